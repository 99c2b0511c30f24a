// Create or edit an event listener. The process checks what was entered, with the rules and the words of its file.

import { change, ofListener, read, token } from "./api.js";
import { field } from "./dialog.js";
import { h, setAttribute, setText, setWords, show } from "./dom.js";
import { asLines, fromLines } from "./keylines.js";
import { checkResult, wordsOf } from "./results.js";
import { note, refusal } from "./say.js";
import { askForToken, mayChange, onSession, readOnly, session } from "./session.js";

/** Fields of their own; every other key is written as text. */
const FIELDS = [
  { key: "name", label: "Name", hint: "Lower-case letters, digits and -, 63 at most. Empty: made of the queue's name.", placeholder: "orders" },
  { key: "queue", label: "Queue URI", hint: "URL, ARN or name of the SQS queue.", placeholder: "https://sqs.eu-west-1.amazonaws.com/123456789012/orders", required: true },
  { key: "role_arn", label: "Role ARN", hint: "A role to assume before SQS is called. Empty: the credentials of the process.", placeholder: "arn:aws:iam::123456789012:role/queue-consumer" },
  { key: "url", label: "URL of the endpoint", hint: "Where messages are posted.", placeholder: "https://orders.example/events", target: "url" },
  { key: "algorithm", label: "Algorithm", hint: "OWNER/NAME, or OWNER/NAME/VERSION.", placeholder: "demo/Hello/0.1.1", target: "algorithm" },
  { key: "workers", label: "Workers", hint: "Most POSTs at once, 1 to 10,000. Empty: 16.", placeholder: "16", number: true },
];

/** The view: a form for a new listener, or for the listener `name`. */
export function formView(app, name = null) {
  const isNew = name === null;
  const title = isNew ? "Create new event listener" : `Edit ${name}`;
  const inputs = new Map(FIELDS.map((one) => [one.key, input(one)]));
  const rows = new Map(FIELDS.map((one) => [one.key, withProblem(field(one.label, inputs.get(one.key), one.hint))]));
  const target = targetChoice((chosen) => { for (const one of FIELDS) if (one.target) show(rows.get(one.key), one.target === chosen); });
  const more = h("textarea", { rows: 4, class: "code", spellcheck: "false", placeholder: "timeout: 30s\nbatch.size: 5" });
  const moreRow = withProblem(field("More keys", more, "One a line as key: value, with dots for inner keys. Any key of a listener in the configuration file."));
  const post = h("input", { type: "checkbox" });
  const body = h("textarea", { rows: 3, class: "code", spellcheck: "false", "aria-label": "Body of the test post", text: "{\"hello\": \"world\"}" });
  const test = h("button", { type: "button", text: "Test", on: { click: () => send("test") } });
  const save = h("button", { type: "submit", class: "primary", text: isNew ? "Create" : "Save" });
  const result = h("div", { class: "result", role: "status" });
  const why = h("p", { class: "notice", data: { tone: "held" } });
  let loadedWith = null;
  let isWritable = isNew;
  const back = isNew ? "#/" : `#/listeners/${encodeURIComponent(name)}`;
  const form = h("form", { class: "card form", novalidate: true, on: { submit: (event) => { event.preventDefault(); send("save"); } } },
    rows.get("name"), rows.get("queue"), rows.get("role_arn"), target.root, rows.get("url"), rows.get("algorithm"), rows.get("workers"), moreRow,
    h("fieldset", {}, h("legend", { text: "Before it is kept" }),
      h("label", { class: "check" }, post, " The test also posts this body to the endpoint, once"), body,
      h("p", { class: "hint", text: "Test reads the queue and checks every key. It changes nothing." })),
    result, h("div", { class: "buttons" }, h("a", { class: "button", href: back, text: "Cancel" }), test, save));
  const root = h("div", { class: "view narrow" },
    h("nav", { "aria-label": "Where this page is" }, h("a", { href: back, text: isNew ? "← All event listeners" : `← ${name}` })),
    h("h1", { tabindex: "-1", text: title }), why, form);
  show(body, false);
  post.addEventListener("change", () => show(body, post.checked));
  target.choose("url");
  const forget = onSession(() => {
    const off = readOnly();
    const cannot = off ? `${off.words} ${off.fix}` : session?.writable_listeners ? "" : "This process cannot keep listeners: set listeners_dir to a folder it may write, and restart.";
    setText(why, cannot);
    show(why, cannot);
    // Without the token the process tells no keys.
    if (!isNew && loadedWith !== mayChange()) load();
  });

  async function load() {
    loadedWith = mayChange();
    allow(false);
    try {
      // `object` is what may be written back; it is there for who has the token.
      const { object, keys, editable, file } = await read(ofListener(name, "configuration"), { withToken: token() !== null });
      fillIn(object ?? keys ?? {});
      if (!editable) {
        setText(why, `It cannot be edited here: its configuration is in ${file ?? "flags and variables"}. Change it there.`);
        show(why, true);
      }
      allow(editable && Boolean(object));
    } catch (error) {
      result.replaceChildren(refusal(error));
    }
  }

  // What is shown in part may not be written back, and what is typed before the whole has come would be lost.
  function allow(may) {
    isWritable = may;
    for (const control of [...inputs.values(), more, test, save]) control.disabled = !may;
  }

  function fillIn(keys) {
    for (const { key } of FIELDS) inputs.get(key).value = keys[key] ?? "";
    // A name is how a listener is known; a new name is a new listener.
    inputs.get("name").value = name;
    inputs.get("name").readOnly = true;
    target.choose(keys.algorithm ? "algorithm" : "url");
    const known = new Set(FIELDS.filter((one) => !(one.key === "url" && keys.algorithm)).map(({ key }) => key));
    more.value = asLines(Object.fromEntries(Object.entries(keys).filter(([key]) => !known.has(key))));
  }

  function entered() {
    const named = inputs.get("name");
    if (!named.value.trim()) named.value = nameOf(inputs.get("queue").value);
    const keys = fromLines(more.value);
    for (const one of FIELDS) {
      const value = inputs.get(one.key).value.trim();
      if (!value || (one.target && one.target !== target.chosen())) continue;
      // What is no number stays a text, and the process says what is wrong with it.
      keys[one.key] = one.number && /^\d+$/.test(value) ? Number(value) : value;
    }
    return keys;
  }

  async function send(what) {
    if (!mayChange()) return askForToken();
    for (const row of [...rows.values(), moreRow]) row.say([]);
    result.replaceChildren(h("p", { class: "muted", text: what === "test" ? "Testing …" : "Checking and starting it …" }));
    form.setAttribute("aria-busy", "true");
    for (const button of [test, save]) button.disabled = true;
    try {
      await (what === "test" ? tested() : kept());
    } catch (error) {
      const unplaced = place(error.problems ?? []);
      const told = error.problems?.length ? { message: `${error.message}.`, fix: unplaced.map(wordsOf).join(" · ") } : error;
      result.replaceChildren(refusal(told));
    } finally {
      form.removeAttribute("aria-busy");
      for (const button of [test, save]) button.disabled = !isWritable;
    }
    return null;
  }

  async function tested() {
    const asked = { listener: entered() };
    if (!isNew) asked.replaces = name;
    if (post.checked) asked.post = body.value;
    const checked = await change("POST", "api/v1/check", asked);
    const unplaced = place(checked.problems ?? []);
    result.replaceChildren(...checkResult(checked), ...unplaced.map((one) => h("p", { class: "wrong-words", text: wordsOf(one) })));
  }

  async function kept() {
    const path = isNew ? "api/v1/listeners" : ofListener(name);
    const { listener } = await change(isNew ? "POST" : "PUT", path, entered());
    note(isNew ? `${listener} was created.` : `${listener} was changed.`);
    location.hash = `#/listeners/${encodeURIComponent(listener)}`;
  }

  /** Shows each problem at its field; returns those that have none. */
  function place(problems) {
    const byRow = new Map();
    const rest = [];
    for (const problem of problems) {
      const key = (problem.key ?? "").replace(/^listeners\[\d+\]\./, "");
      const row = rows.get(key) && !rows.get(key).hidden ? rows.get(key) : key ? moreRow : null;
      if (row) byRow.set(row, [...(byRow.get(row) ?? []), row === moreRow ? { ...problem, words: `${key}: ${problem.words}` } : problem]);
      else rest.push(problem);
    }
    for (const [row, told] of byRow) row.say(told);
    [...byRow.keys()][0]?.control.focus();
    return rest;
  }

  return { root, title, update: () => {}, end: forget, calm: true };
}

/** A name for the listener of a queue: the last part of its URL or ARN, with nothing that names may not have. */
function nameOf(queue) {
  const last = queue.trim().split(/[/:]/).at(-1) ?? "";
  return last.toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 63);
}

function input({ placeholder, required, number }) {
  return h("input", { placeholder, autocomplete: "off", spellcheck: "false", autocapitalize: "off", "aria-required": required ? "true" : null, inputmode: number ? "numeric" : null });
}

/** A field that shows what is wrong with it, told to screen readers with it. */
function withProblem(row) {
  const control = row.querySelector("input, textarea");
  const said = h("p", { class: "wrong-words", id: `${control.id}-problem` });
  row.append(said);
  show(said, false);
  row.control = control;
  row.say = (problems) => {
    setWords(said, problems.map(wordsOf).join(" · "));
    show(said, problems.length > 0);
    setAttribute(control, "aria-invalid", problems.length > 0 ? "true" : null);
    setAttribute(control, "aria-describedby", `${control.id}-hint${problems.length > 0 ? ` ${said.id}` : ""}`);
  };
  return row;
}

function targetChoice(changed) {
  const make = (value, text) => {
    const radio = h("input", { type: "radio", name: "target", value });
    radio.addEventListener("change", () => changed(value));
    return { radio, label: h("label", { class: "check" }, radio, ` ${text}`) };
  };
  const url = make("url", "an address (URL)");
  const algorithm = make("algorithm", "an algorithm");
  const root = h("fieldset", { class: "choice" }, h("legend", { text: "Post messages to" }), url.label, algorithm.label);
  return {
    root,
    chosen: () => (algorithm.radio.checked ? "algorithm" : "url"),
    choose: (value) => { (value === "algorithm" ? algorithm : url).radio.checked = true; changed(value); },
  };
}
