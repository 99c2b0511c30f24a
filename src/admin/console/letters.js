// The dead-letter queue of a listener: how much is there, a look at it, and sending it back.

import { change, ofListener, read } from "./api.js";
import { field, open } from "./dialog.js";
import { failed } from "./actions.js";
import { h, setAttribute, setText, show } from "./dom.js";
import { card } from "./parts.js";
import { announce, note } from "./say.js";
import { clock, count, lasting, many, secondsSince } from "./text.js";

const WATCH_MS = 1_000;

/** The card; `mayPress` asks for the token where it is needed. */
export function deadLetters(app, name, mayPress) {
  const words = h("p");
  const why = h("p", { class: "muted small" });
  const look = h("button", { type: "button", text: "Look at letters…", on: { click: () => mayPress() && peek() } });
  const back = h("button", { type: "button", text: "Redrive…", on: { click: () => mayPress() && redrive() } });
  const bar = h("progress", { class: "meter tall", "aria-label": "Letters redriven" });
  const told = h("p", { class: "strong" });
  const more = h("p", { class: "muted small" });
  const cancel = h("button", { type: "button", text: "Cancel the redrive", on: { click: () => mayPress() && stop() } });
  const progress = h("div", { class: "redrive" }, told, bar, more, cancel);
  const root = card("Dead letters");
  root.id = "letters";
  root.tabIndex = -1;
  root.body.append(words, why, h("div", { class: "buttons start" }, look, back), progress);
  show(progress, false);
  let timer = null;
  let running = false;
  watch();

  async function watch() {
    clearTimeout(timer);
    try {
      draw(await read(ofListener(name, "redrive")));
    } catch {
      // A process without this route has no redrive to show; one that is gone is told of above.
    }
    if (running && root.isConnected) timer = setTimeout(watch, WATCH_MS);
  }

  function draw(job) {
    const ended = running && job.state !== "running";
    running = job.state === "running";
    show(progress, job.state !== "none");
    show(cancel, running);
    show(bar, running);
    setAttribute(bar, "max", job.total || null);
    setAttribute(bar, "value", job.total ? Math.min(job.moved, job.total) : null);
    setText(told, jobWords(job));
    setText(more, [job.error, job.failed ? `${many(job.failed, "letter")} stayed.` : "", ...(job.said ?? []).slice(-2)].filter(Boolean).join(" "));
    if (ended) announce(jobWords(job));
  }

  function redrive(id = null) {
    const ids = h("textarea", { rows: 2, class: "code", spellcheck: "false", text: id ?? "" });
    const rate = h("input", { type: "number", min: 1, inputmode: "numeric", placeholder: "no limit" });
    const dry = h("input", { type: "checkbox" });
    open({
      title: `Redrive the dead letters of ${name}`, say: "Redrive", cancel: "Close",
      content: [h("p", { text: "Letters go back to the queue they came from. Mend the cause first: what fails again comes back here." }),
        field("Only these ids", ids, "One a line. Empty: all of them."), field("Letters a second", rate),
        h("label", { class: "check" }, dry, " Only say what would be done (dry run)")],
      submit: async () => {
        const body = {};
        const wanted = ids.value.split(/\s+/).filter(Boolean);
        if (wanted.length > 0) body.ids = wanted;
        if (rate.value) body.rate = Number(rate.value);
        if (dry.checked) body.dry_run = true;
        const job = await change("POST", ofListener(name, "redrive"), body);
        if (job.dry_run) return h("p", { class: "done", text: job.words ?? `It would send back ${many(job.total, "letter")}.` });
        draw(job);
        watch();
        note("The redrive has begun.");
        return null;
      },
    });
  }

  async function stop() {
    try {
      draw(await change("POST", ofListener(name, "redrive/cancel")));
      watch();
    } catch (error) {
      failed("The redrive could not be cancelled", error);
    }
  }

  function peek() {
    const max = h("input", { type: "number", min: 1, max: 10, value: 10, inputmode: "numeric" });
    const opened = open({
      title: `Dead letters of ${name}`, say: "Look", cancel: "Close", wide: true,
      content: [field("At most", max, "A look costs each letter one receive, and hides it for a moment. Up to 10.")],
      submit: async () => {
        const found = await change("POST", ofListener(name, "dead-letters/peek"), { max: Number(max.value) });
        const one = (id) => { opened.dialog.close(); redrive(id); };
        return found.messages.length === 0 ? h("p", { text: "No letter can be seen just now." })
          : [h("p", { class: "muted small", text: found.note ?? "" }), h("ol", { class: "letters" }, found.messages.map((message) => letter(message, one)))];
      },
    });
  }

  return { root, end: () => clearTimeout(timer), update({ listener }) {
    const queue = listener.dead_letter_queue;
    const depth = queue?.depth;
    const there = depth ? depth.visible + depth.not_visible + depth.delayed : null;
    setAttribute(root, "data-notable", there > 0);
    setText(words, !queue ? "Its queue has no dead-letter queue: a message that fails is tried until it expires."
      : there === null ? `${queue.name}: how much is there is not known.`
        : there === 0 ? `${queue.name} is empty.` : `${many(there, "letter")} in ${queue.name}.`);
    setText(why, queue?.why ?? (depth ? `Read ${lasting(depth.age_seconds)} ago.` : ""));
    show(look, queue);
    show(back, queue);
  } };
}

function jobWords(job) {
  const of = job.total === null ? "" : ` of ${count(job.total)}`;
  const moved = `${count(job.moved)}${of} sent back`;
  const words = {
    running: `Redrive runs: ${moved}.`, done: `Redrive done: ${moved}.`, failed: `Redrive failed: ${moved}.`, cancelled: `Redrive cancelled: ${moved}.`,
  };
  const when = job.ended ? ` Ended at ${clock(job.ended)}.` : "";
  return `${words[job.state] ?? ""}${when}`;
}

function letter(message, redriveOne) {
  const attributes = Object.entries(message.attributes ?? {});
  const why = [message.status, message.reason].filter((part) => part !== null && part !== undefined).join(" ");
  return h("li", {},
    h("p", { class: "who" }, h("code", { text: message.id }), h("button", { type: "button", class: "small-button", text: "Redrive this one…", on: { click: () => redriveOne(message.id) } })),
    h("p", { class: "muted small", text: `Sent ${lasting(secondsSince(message.sent_at))} ago, received ${many(message.receives, "time")}${why ? `; ${why}` : ""}` }),
    h("pre", { class: "said", tabindex: "0", "aria-label": `Body of ${message.id}`, text: message.body }),
    message.body_cut && h("p", { class: "muted small", text: "Only the first 4 KiB are shown." }),
    attributes.length > 0 && h("details", {}, h("summary", { text: many(attributes.length, "attribute") }),
      h("dl", { class: "facts" }, attributes.map(([key, value]) => h("div", {}, h("dt", { text: key }), h("dd", { text: value }))))));
}
