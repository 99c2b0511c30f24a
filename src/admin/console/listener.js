// The page of one listener: what is wrong and what to do, its flow, its limits, its queue, its failures.

import { ofListener, read } from "./api.js";
import { actionBar } from "./actions.js";
import { chart, inWords, table } from "./chart.js";
import { configurationPart } from "./configuration.js";
import { deadLetters } from "./letters.js";
import { each, h, replace, setAttribute, setText, setWords, show } from "./dom.js";
import { gateWords, inFlight, judge, learned, receiving, refusalWords } from "./judge.js";
import { card, facts, meter, stateChip } from "./parts.js";
import { clock, count, lasting, secondsSince } from "./text.js";

const FAILURES_EVERY_MS = 5_000;
/** Failures that are shown before "all". */
const FIRST = 5;

/** The view of the listener `name`. */
export function listenerView(app, name) {
  const bar = actionBar(app, name);
  const chip = stateChip();
  const now = nowPart(bar);
  const parts = [flowPart(), limitsPart(), queuePart(), deadLetters(app, name, bar.mayPress), failuresPart(app, name), configurationPart(name)];
  const grid = h("div", { class: "grid" }, parts.map((part) => part.root));
  const shown = h("div", {}, now.root, bar.root, grid);
  const gone = h("div", { class: "empty" });
  const root = h("div", { class: "view" },
    h("nav", { "aria-label": "Where this page is" }, h("a", { href: "#/", text: "← All event listeners" })),
    h("div", { class: "headline" }, h("h1", { tabindex: "-1", text: name }), chip), shown, gone);

  function update() {
    const listener = app.status.listeners.find((one) => one.name === name);
    show(shown, listener);
    show(gone, !listener);
    show(chip, listener);
    if (!listener) {
      replace(gone, name, () => [h("h2", { text: "No such listener" }), h("p", { text: `This process has no listener ${name}: it was deleted, drained, or never was here.` }),
        h("p", {}, h("a", { class: "button", href: "#/", text: "Show all listeners" }))]);
      return;
    }
    const endpoint = app.endpoint(listener.endpoint);
    const rates = app.rates.of(name, app.seenAt);
    const said = judge(listener, endpoint, rates);
    chip.update(said);
    now.update(said, listener);
    bar.update(listener);
    const seen = { listener, endpoint, rates, history: app.histories.get(name) ?? null };
    for (const part of parts) part.update(seen);
    app.wantHistories([name]);
  }

  return { root, title: name, update, end: () => parts.forEach((part) => part.end?.()), bar };
}

// What is wrong, since when, what to do; with the button that helps, if there is one.
function nowPart(bar) {
  const what = h("p", { class: "what" });
  const since = h("span", { class: "muted" });
  const fix = h("p", { class: "fix" });
  const help = h("div", { class: "help-act" });
  const root = h("section", { class: "card now", "aria-label": "How it is now" }, h("div", { class: "now-words" }, h("div", { class: "who" }, what, since), fix), help);
  const update = (said) => {
    setAttribute(root, "data-tone", said.tone);
    setWords(what, said.what);
    setText(since, said.since ? `For ${lasting(said.since)}, since ${clock(Date.now() - said.since * 1_000).slice(0, -3)}` : "");
    setWords(fix, said.fix ? `What to do: ${said.fix}` : "");
    show(fix, said.fix);
    replace(help, said.act, () => said.act && actOf(said.act, bar));
  };
  return { root, update };
}

function actOf(act, bar) {
  const jump = (id) => () => {
    const target = document.getElementById(id);
    target?.scrollIntoView({ block: "start" });
    target?.focus();
  };
  if (act === "resume") return h("button", { type: "button", class: "primary", text: "Resume", on: { click: () => bar.press("resume") } });
  if (act === "failures") return h("button", { type: "button", text: "Show failures", on: { click: jump("failures") } });
  return h("button", { type: "button", text: "Show dead letters", on: { click: jump("letters") } });
}

function flowPart() {
  const root = card("Last 15 minutes", { wide: true });
  const drawn = h("div", { class: "chart-box" });
  const axis = h("p", { class: "chart-axis muted small", "aria-hidden": "true" }, h("span", { text: "15 min ago" }), h("span", { class: "chart-key", text: "above the line: delivered · below: not delivered" }), h("span", { text: "now" }));
  const words = h("p", { class: "small" });
  const numbers = h("div", { class: "scroll" });
  root.body.append(drawn, axis, words, numbers);
  return { root, update({ listener, rates, history }) {
    const points = history?.points ?? [];
    replace(drawn, history?.points ?? null, () => chart(points));
    setText(words, inWords(points));
    replace(numbers, [points, rates && Object.values(rates).map((rate) => rate.toFixed(1)), listener.totals], () => table(points, rates, listener.totals));
  } };
}

function limitsPart() {
  const root = card("Limits and gates");
  const flight = meter("Messages in flight, of the workers");
  const posts = meter("POSTs that run, of the endpoint's sessions");
  const list = facts();
  root.body.append(list);
  return { root, update({ listener, endpoint }) {
    flight.update(inFlight(listener), listener.workers.limit);
    posts.update(endpoint?.sessions.in_use ?? null, endpoint?.sessions.limit ?? null);
    const changed = listener.workers.limit !== listener.workers_configured ? `${count(listener.workers_configured)} by its configuration` : "";
    const last = refusalWords(endpoint?.adaptive?.last_refusal);
    list.update([
      ["In flight, of its workers", flight, changed],
      ["Of these", stages(listener.messages)],
      ["Endpoint", listener.endpoint],
      ["POSTs there, of its sessions", posts],
      ["Learned limit", learned(endpoint)],
      last && ["Last refusal", last],
      ["Receives", receiving(listener)],
      ["Its own gate", gateWords(listener.gate)],
      ["Gate of the endpoint", gateWords(listener.endpoint_gate, endpoint?.adaptive)],
    ]);
  } };
}

function stages(messages) {
  const names = { waiting: "waiting to be posted", held: "held, as nothing could be sent", delivering: "being posted", settling: "being settled" };
  const told = Object.entries(messages ?? {}).filter(([, number]) => number > 0).map(([stage, number]) => `${count(number)} ${names[stage] ?? stage}`);
  return told.join(", ") || "none";
}

function queuePart() {
  const root = card("Queue");
  const list = facts();
  root.body.append(list);
  return { root, update({ listener }) {
    const depth = listener.queue_depth;
    const age = depth ? `read ${lasting(depth.age_seconds)} ago` : "not read yet";
    const oldest = listener.oldest_age_seconds;
    list.update([
      ["Queue", listener.queue],
      ["Waiting", count(depth?.visible), age],
      ["Hidden", count(depth?.not_visible), "in flight anywhere, parked ones included"],
      depth?.delayed > 0 && ["Delayed", count(depth.delayed)],
      oldest !== undefined && ["Oldest message", oldest ? lasting(oldest) : "–", oldest ? "of those received in the last minute" : "none received in the last minute"],
      ["Parked here", count(listener.parked), "after a 429"],
      ["Deferred here", count(listener.deferred), "after another failure"],
      ["Max receives", listener.max_receives === null ? "–" : count(listener.max_receives), listener.max_receives === null ? "no dead-letter queue" : "then a message is dead-lettered"],
    ]);
  } };
}

function failuresPart(app, name) {
  const root = card("Recent failures", { wide: true });
  root.id = "failures";
  root.tabIndex = -1;
  const none = h("p", { class: "muted", text: "No delivery has failed since the start." });
  const trouble = h("p", { class: "muted small" });
  const body = h("tbody", { role: "rowgroup" });
  const heads = ["When", "What", "What became of it", "Message"].map((text) => h("th", { scope: "col", role: "columnheader", text }));
  const grid = h("div", { class: "scroll" }, h("table", { class: "list failures", role: "table" },
    h("caption", { class: "unseen", text: "Recent failures, the newest first" }), h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads)), body));
  const more = h("button", { type: "button", class: "quiet" });
  root.body.append(none, grid, more, trouble);
  let all = false;
  let found = null;
  let askedFor = null;

  more.addEventListener("click", () => { all = !all; draw(); });
  const timer = setInterval(() => { askedFor = null; }, FAILURES_EVERY_MS);

  async function ask(deliveries) {
    if (askedFor === deliveries) return;
    askedFor = deliveries;
    try {
      found = (await read(ofListener(name, "failures"))).recent_failures;
      setText(trouble, "");
    } catch (error) {
      setText(trouble, `The failures could not be read: ${error.message}.`);
    }
    draw();
  }

  function draw() {
    const failures = found ?? [];
    show(none, found && failures.length === 0);
    show(grid, failures.length > 0);
    show(more, failures.length > FIRST);
    setText(more, all ? "Show fewer" : `Show all ${failures.length}`);
    // What to do is said once for each reason, at its newest failure.
    const reasons = new Set();
    const first = (reason) => !reasons.has(reason) && reasons.add(reason) !== null;
    const rows = failures.map((failure) => ({ ...failure, fix: first(failure.reason) ? failure.fix : null }));
    each(body, rows.slice(0, all ? undefined : FIRST), (failure) => `${failure.time} ${failure.id} ${failure.times}`, failureRow);
  }

  // A status that says nothing new needs no new look.
  return { root, end: () => clearInterval(timer), update: ({ listener }) => { ask(listener.failures?.deliveries ?? 0); } };
}

function failureRow(failure) {
  const status = failure.status === null ? failure.outcome : `${failure.status} ${failure.outcome}`;
  const times = failure.times > 1 ? ` × ${count(failure.times)}` : "";
  const when = h("time", { datetime: failure.time, title: failure.time });
  const most = failure.max_receives === null ? "" : ` of ${failure.max_receives}`;
  const said = failure.answer ?? failure.error;
  const fix = h("span", { class: "small block fix" });
  const row = h("tr", { role: "row" },
    h("td", { role: "cell", data: { label: "When" }, class: "when" }, when),
    h("td", { role: "cell", data: { label: "What" } }, h("span", { class: "strong", text: `${status}${times}` }),
      h("span", { class: "muted small block", text: failure.reason ?? "" }), said && h("code", { class: "said", text: said })),
    h("td", { role: "cell", data: { label: "What became of it" } }, h("span", { text: failure.then }), fix),
    h("td", { role: "cell", data: { label: "Message" } }, h("code", { class: "id", text: failure.id }),
      h("span", { class: "muted small block", text: `receive ${failure.receive}${most}${failure.final ? ", the last" : ""}` })));
  row.update = (now) => {
    setText(when, `${lasting(secondsSince(failure.time))} ago`);
    setWords(fix, now.fix ? `What to do: ${now.fix}` : "");
  };
  return row;
}
