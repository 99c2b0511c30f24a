// The list of event listeners: what is wrong stands first, then all of them in a table with filter and sort.
// Filter and sort are kept in the address, so that a view can be shared and the back button works.

import { chart } from "./chart.js";
import { each, h, replace, setAttribute, setText, setWords, show } from "./dom.js";
import { TONES, inFlight, judge, letters } from "./judge.js";
import { meter, stateChip } from "./parts.js";
import { FAILURES } from "./rates.js";
import { onSession, readOnly } from "./session.js";
import { count, lasting, many, perSecond } from "./text.js";

const COLUMNS = [
  { key: "name", name: "Listener", of: (row) => row.name },
  { key: "state", name: "State", of: (row) => TONES.indexOf(row.said.tone) },
  { key: "flight", name: "In flight", of: (row) => -row.flight, number: true },
  { key: "rate", name: "Delivered", of: (row) => -(row.rates?.deleted ?? 0), number: true },
  { key: "failing", name: "Failing", of: (row) => -row.failing, number: true },
  { key: "waiting", name: "Waiting", of: (row) => -(row.visible ?? -1), number: true },
  { key: "letters", name: "Dead letters", of: (row) => -(row.letters ?? -1), number: true },
];

const GROUPS = [
  { key: "all", name: "All", has: () => true },
  { key: "attention", name: "Need attention", has: (row) => needsAttention(row) },
  { key: "flowing", name: "In order", has: (row) => ["good", "idle"].includes(row.said.tone) },
  { key: "held", name: "Paused or draining", has: (row) => row.said.tone === "held" },
];

/** Most entries of what is wrong; the table has the rest. */
const TOLD = 6;

function needsAttention(row) {
  return ["bad", "warn"].includes(row.said.tone);
}

/** The view. `app` has the last status, rates and histories. */
export function listView(app, query) {
  const wish = { text: query.get("filter") ?? "", group: query.get("show") ?? "all", sort: query.get("sort") ?? "state", down: query.get("order") === "reversed" };
  const create = h("a", { class: "button primary", href: "#/new", text: "Create new event listener" });
  const createNote = h("p", { class: "muted small", id: "create-note" });
  const summary = h("p", { class: "lead" });
  const wrong = h("ul", { class: "wrong" });
  const wrongPart = h("section", { class: "card attention", "aria-labelledby": "wrong-title" }, h("h2", { id: "wrong-title", text: "What is wrong" }), wrong);
  const input = h("input", { type: "search", id: "filter", placeholder: "Name, queue or endpoint", value: wish.text, autocomplete: "off", spellcheck: "false" });
  const groups = h("div", { class: "groups", role: "group", "aria-label": "Which listeners are shown" });
  const heads = COLUMNS.map((column) => head(column, wish, changed));
  const body = h("tbody", { role: "rowgroup" });
  const table = h("table", { class: "list", role: "table" },
    h("caption", { class: "unseen", text: "Event listeners" }),
    h("thead", { role: "rowgroup" }, h("tr", { role: "row" }, heads, h("th", { scope: "col", role: "columnheader", text: "Last 15 min" }))), body);
  const none = h("div", { class: "empty" });
  let order = [];
  let orderedBy = null;
  const root = h("div", { class: "view" },
    h("div", { class: "headline" }, h("h1", { tabindex: "-1", text: "Event listeners" }), h("div", { class: "actions" }, create)), createNote,
    summary, wrongPart,
    h("div", { class: "filters" }, h("div", { class: "field inline" }, h("label", { for: "filter", text: "Filter" }), input), groups),
    h("div", { class: "scroll card" }, table), none);

  input.addEventListener("input", () => { wish.text = input.value; changed(); });
  input.addEventListener("keydown", (event) => { if (event.key === "Escape") { input.value = ""; wish.text = ""; changed(); } });
  const forget = onSession((session) => {
    const why = readOnly();
    const cannot = why ? `${why.words} ${why.fix}` : session?.writable_listeners ? null : "This process cannot keep new listeners: set listeners_dir to a folder it may write.";
    setText(createNote, cannot ?? "");
    show(createNote, cannot !== null && app.status !== null);
    setAttribute(create, "aria-describedby", cannot ? "create-note" : null);
  });

  function changed() {
    const wanted = new URLSearchParams();
    if (wish.text) wanted.set("filter", wish.text);
    if (wish.group !== "all") wanted.set("show", wish.group);
    if (wish.sort !== "state") wanted.set("sort", wish.sort);
    if (wish.down) wanted.set("order", "reversed");
    const text = wanted.toString();
    history.replaceState(null, "", text ? `#/?${text}` : "#/");
    update();
  }

  function update() {
    const { status } = app;
    const rows = status.listeners.map((listener) => rowOf(listener, app));
    const bad = rows.filter(needsAttention).sort((a, b) => TONES.indexOf(a.said.tone) - TONES.indexOf(b.said.tone));
    setText(summary, summaryWords(rows, bad));
    show(wrongPart, bad.length > 0);
    each(wrong, bad.slice(0, TOLD), (row) => row.name, wrongItem);
    drawGroups(groups, rows, wish, changed);
    heads.forEach((element) => element.update());
    const group = GROUPS.find(({ key }) => key === wish.group) ?? GROUPS[0];
    const needle = wish.text.trim().toLowerCase();
    const shown = rows.filter((row) => group.has(row) && (!needle || row.text.includes(needle)));
    sort(shown, wish);
    keepInPlace(shown);
    // What stands above is not said twice.
    const told = new Set(bad.slice(0, TOLD).map((row) => row.name));
    each(body, shown.map((row) => ({ ...row, isTold: told.has(row.name) })), (row) => row.name, tableRow);
    show(table.parentElement, shown.length > 0);
    show(none, shown.length === 0);
    replace(none, [rows.length, shown.length, needle, group.key], () => emptyWords(rows.length, needle, group, () => {
      Object.assign(wish, { text: "", group: "all" });
      input.value = "";
      changed();
      input.focus();
    }));
    app.wantHistories(shown.map((row) => row.name));
  }

  /** Rows do not move while somebody points at one or has the keyboard on one: a click would hit another. */
  function keepInPlace(shown) {
    if (body.matches(":hover, :focus-within") && orderedBy === orderOf(wish)) {
      const place = new Map(order.map((name, index) => [name, index]));
      shown.sort((a, b) => (place.get(a.name) ?? Infinity) - (place.get(b.name) ?? Infinity));
    }
    order = shown.map((row) => row.name);
    orderedBy = orderOf(wish);
  }

  return { root, title: "Event listeners", update, end: forget, focusFilter: () => input.focus() };
}

function orderOf(wish) {
  return `${wish.sort} ${wish.down}`;
}

function rowOf(listener, app) {
  const endpoint = app.endpoint(listener.endpoint);
  const rates = app.rates.of(listener.name, app.seenAt);
  const said = judge(listener, endpoint, rates);
  return {
    listener, said, rates, name: listener.name, flight: inFlight(listener), letters: letters(listener),
    failing: rates ? FAILURES.reduce((sum, key) => sum + rates[key], 0) + rates.parked : 0,
    visible: listener.queue_depth?.visible ?? null, history: app.histories.get(listener.name) ?? null,
    text: `${listener.name} ${listener.queue} ${listener.endpoint} ${said.word}`.toLowerCase(),
  };
}

function sort(rows, wish) {
  const column = COLUMNS.find(({ key }) => key === wish.sort) ?? COLUMNS[1];
  const order = wish.down ? -1 : 1;
  rows.sort((a, b) => {
    const [x, y] = [column.of(a), column.of(b)];
    const first = typeof x === "string" ? x.localeCompare(y) : x - y;
    return order * first || a.name.localeCompare(b.name);
  });
}

function summaryWords(rows, bad) {
  if (rows.length === 0) return "";
  const delivered = rows.reduce((sum, row) => sum + (row.rates?.deleted ?? 0), 0);
  const dead = rows.reduce((sum, row) => sum + (row.letters ?? 0), 0);
  const rate = rows.some((row) => row.rates) ? ` ${perSecond(delivered)} delivered.` : "";
  const letterWords = dead > 0 ? ` ${many(dead, "dead letter")}.` : "";
  const state = bad.length === 0 ? `Nothing is wrong with ${rows.length === 1 ? "the one listener" : `${count(rows.length)} listeners`}.`
    : `${count(bad.length)} of ${many(rows.length, "listener")} ${bad.length === 1 ? "needs" : "need"} attention.`;
  return `${state}${rate}${letterWords}`;
}

function wrongItem(row) {
  const chip = stateChip();
  const link = h("a", { href: `#/listeners/${encodeURIComponent(row.name)}`, class: "strong", text: row.name });
  const since = h("span", { class: "muted" });
  const what = h("p", { class: "what" });
  const fix = h("p", { class: "fix" });
  const item = h("li", {}, h("div", { class: "who" }, chip, link, since), what, fix);
  item.update = ({ said }) => {
    chip.update(said);
    setText(since, said.since === null || said.since === undefined ? "" : `for ${lasting(said.since)}`);
    setWords(what, said.what);
    setWords(fix, said.fix ? `What to do: ${said.fix}` : "");
  };
  return item;
}

function head(column, wish, changed) {
  const arrow = h("span", { class: "arrow", "aria-hidden": "true" });
  const button = h("button", { type: "button", class: "sort" }, h("span", { text: column.name }), arrow);
  const title = h("th", { scope: "col", role: "columnheader", class: column.number ? "number" : null }, button);
  button.addEventListener("click", () => {
    wish.down = wish.sort === column.key ? !wish.down : false;
    wish.sort = column.key;
    changed();
  });
  title.update = () => {
    const is = wish.sort === column.key;
    // Numbers begin with the greatest, which assistive technology calls descending.
    const descends = Boolean(column.number) !== wish.down;
    setAttribute(title, "aria-sort", is ? (descends ? "descending" : "ascending") : null);
    setText(arrow, is ? (descends ? "▼" : "▲") : "");
  };
  return title;
}

function drawGroups(parent, rows, wish, changed) {
  each(parent, GROUPS, ({ key }) => key, (group) => {
    const number = h("span", { class: "badge" });
    const button = h("button", { type: "button", class: "group" }, h("span", { text: group.name }), number);
    button.addEventListener("click", () => { wish.group = group.key; changed(); });
    button.update = () => setAttribute(button, "aria-pressed", wish.group === group.key ? "true" : "false");
    button.number = number;
    return button;
  });
  GROUPS.forEach((group, index) => setText(parent.children[index].number, count(rows.filter(group.has).length)));
}

function tableRow({ name }) {
  const chip = stateChip();
  const what = h("span", { class: "what small" });
  const queue = h("span", { class: "muted small path" });
  const flight = meter("In flight of the cap");
  const spark = h("div", { class: "spark-box" });
  const texts = ["Delivered", "Failing", "Waiting", "Dead letters"].map((label) => cell(label, "number"));
  const [delivered, failing, waiting, dead] = texts;
  const row = h("tr", { role: "row" },
    h("th", { scope: "row", role: "rowheader" }, h("a", { href: `#/listeners/${encodeURIComponent(name)}`, text: name }), queue),
    cell("State", "state", chip, what), cell("In flight", "number", flight), texts, cell("Last 15 min", null, spark));
  row.update = ({ listener, said, rates, failing: failures, visible, letters: letterCount, flight: here, history, isTold }) => {
    setAttribute(row, "data-tone", said.tone);
    chip.update(said);
    const since = said.since ? `For ${lasting(said.since)}.` : "";
    setWords(what, said.tone === "good" ? "" : isTold ? since : `${said.what} ${since}`);
    setText(queue, `${listener.queue} → ${listener.endpoint}`);
    flight.update(here, listener.workers.limit);
    setText(delivered, perSecond(rates?.deleted));
    setText(failing, rates ? perSecond(failures) : "–");
    setAttribute(failing, "data-notable", failures > 0);
    setText(waiting, count(visible));
    setText(dead, count(letterCount));
    setAttribute(dead, "data-notable", letterCount > 0);
    replace(spark, history?.points ?? null, () => (history ? chart(history.points, { small: true }) : h("span", { class: "muted small", text: "…" })));
  };
  return row;
}

function cell(label, name, ...children) {
  return h("td", { role: "cell", class: name, data: { label } }, ...children);
}

function emptyWords(all, needle, group, clear) {
  if (all === 0) {
    return [h("h2", { text: "No event listeners yet" }),
      h("p", { text: "A listener takes messages from one queue and posts them to one endpoint." }),
      h("p", {}, h("a", { class: "button primary", href: "#/new", text: "Create the first event listener" }))];
  }
  const words = needle ? `No listener matches “${needle}”${group.key === "all" ? "" : ` among “${group.name}”`}.` : `No listener is in “${group.name}”.`;
  return [h("p", { text: words }), h("p", {}, h("button", { type: "button", text: "Show all", on: { click: clear } }))];
}
