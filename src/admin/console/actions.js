// What can be done with a listener. Each button asks first where something could be lost, and says what happened.

import { change, ofListener, read } from "./api.js";
import { field, open } from "./dialog.js";
import { h, setAttribute, setText, show } from "./dom.js";
import { postResult } from "./results.js";
import { note } from "./say.js";
import { askForToken, mayChange, onSession, readOnly } from "./session.js";

/** The buttons of a listener's page. `press` does one by name; `mayPress` is false, and asks for the token, where nothing may be changed. */
export function actionBar(app, name) {
  let listener = null;
  const actions = {
    pause: () => tell("pause", () => `${name} is paused: it receives nothing more.`),
    resume: () => tell("resume", () => `${name} receives again.`),
    workers: () => workers(name, listener), test: () => test(name), send: () => send(name), drain: () => drain(name),
    edit: () => { location.hash = `#/listeners/${encodeURIComponent(name)}/edit`; },
    delete: () => remove(name),
  };
  const words = { workers: "Workers…", test: "Test post…", send: "Send a message…", edit: "Edit…", drain: "Drain…", delete: "Delete…" };
  const pause = h("button", { type: "button", class: "primary", on: { click: () => press(isHeld() ? "resume" : "pause") } });
  const buttons = Object.entries(words).map(([action, text]) => h("button", { type: "button", text, data: { action }, on: { click: () => press(action) } }));
  const why = h("p", { class: "muted small", id: "bar-note" });
  const root = h("div", {}, h("div", { class: "bar-buttons", role: "group", "aria-label": `What can be done with ${name}` }, pause, buttons), why);
  let kept = null;
  const forget = onSession(draw);
  read(ofListener(name, "configuration")).then(({ editable, file }) => { kept = { editable, file }; draw(); }, () => {});

  function isHeld() {
    return listener?.paused || listener?.not_receiving === "draining";
  }

  function draw() {
    const off = readOnly();
    const fixed = !off && kept && !kept.editable;
    setText(why, off ? `${off.words} ${off.fix}` : fixed ? `${kept.file ? `Its configuration is in ${kept.file}` : "It is configured by flags and variables"}: edit and delete it there.` : "");
    show(why, off || fixed);
    for (const button of [pause, ...buttons]) {
      const locked = fixed && ["edit", "delete"].includes(button.dataset.action);
      // A button that asks for the token works; one that cannot help is disabled.
      setAttribute(button, "data-locked", Boolean(off));
      setAttribute(button, "aria-disabled", locked ? "true" : null);
      setAttribute(button, "aria-describedby", off || locked ? "bar-note" : null);
    }
  }

  function mayPress() {
    if (mayChange()) return true;
    askForToken();
    return false;
  }

  function press(action) {
    if (!mayPress()) return;
    if (["edit", "delete"].includes(action) && kept && !kept.editable) return;
    actions[action]();
  }

  async function tell(action, told) {
    pause.disabled = true;
    try {
      await change("POST", ofListener(name, action));
      note(told());
    } catch (error) {
      failed(`${name} could not be told to ${action}`, error);
    } finally {
      pause.disabled = false;
    }
  }

  return { root, press, mayPress, isHeld, end: forget, update(now) {
    listener = now;
    setText(pause, isHeld() ? "Resume" : "Pause");
  } };
}

/** A change that was not made. */
export function failed(title, error) {
  open({ title, cancel: "Close", content: [h("p", { class: "strong", text: error.message }), error.fix && h("p", { text: `What to do: ${error.fix}` })] });
}

function workers(name, listener) {
  const input = h("input", { type: "number", min: 1, max: 10_000, value: listener.workers.limit, inputmode: "numeric", required: true });
  open({
    title: `Workers of ${name}`, say: "Set workers",
    content: [field("POSTs at once", input, `1 to 10,000; ${listener.workers_configured} by its configuration. It lasts until a restart, or until the file has another value.`)],
    submit: async () => {
      const { workers: now, before } = await change("POST", ofListener(name, "workers"), { workers: Number(input.value) });
      note(`${name} has ${now} workers, and had ${before.workers}.`);
    },
  });
}

function test(name) {
  const body = h("textarea", { rows: 5, class: "code", spellcheck: "false", text: "{\"hello\": \"world\"}" });
  open({
    title: `Test post to the endpoint of ${name}`, say: "Post it once", cancel: "Close", wide: true,
    content: [field("Body of the message", body, "It is posted once, as a message of the queue would be. No queue is touched. The endpoint does the work, so choose a harmless body.")],
    submit: async () => postResult(await change("POST", ofListener(name, "test"), { body: body.value })),
  });
}

function send(name) {
  const body = h("textarea", { rows: 5, class: "code", spellcheck: "false", text: "{\"hello\": \"world\"}" });
  const group = h("input", { autocomplete: "off", spellcheck: "false" });
  const duplicate = h("input", { autocomplete: "off", spellcheck: "false" });
  const attributes = h("textarea", { rows: 2, class: "code", spellcheck: "false", placeholder: "tenant: acme" });
  const fifo = h("details", {}, h("summary", { text: "Attributes, and what FIFO queues need" }), field("Attributes", attributes, "One a line: name: text"),
    field("Message group", group, "Needed on a FIFO queue."), field("Deduplication id", duplicate));
  open({
    title: `Send a message to the queue of ${name}`, say: "Send", cancel: "Close", wide: true,
    content: [field("Body", body, "It is put on the queue. Any listener of that queue may get it."), fifo],
    submit: async () => {
      const message = { body: body.value };
      if (group.value) message.group = group.value;
      if (duplicate.value) message.deduplication_id = duplicate.value;
      const lines = attributes.value.split("\n").filter((line) => line.trim());
      if (lines.length > 0) message.attributes = Object.fromEntries(lines.map(pair));
      const { message_id: id, queue } = await change("POST", ofListener(name, "send"), message);
      return h("p", { class: "done" }, `Sent to ${queue}: `, h("code", { text: id }));
    },
  });
}

function pair(line) {
  const at = line.indexOf(":");
  return at < 0 ? [line.trim(), ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
}

function drain(name) {
  open({
    title: `Drain ${name}?`, say: "Drain it", danger: true,
    content: [h("p", { text: "It receives nothing more, finishes what runs, and ends. Resume starts it again; so does a restart." }),
      h("p", { class: "muted", text: "This waits until its POSTs have ended. You may close this: the drain goes on." })],
    submit: async () => {
      const { state } = await change("POST", ofListener(name, "drain"));
      note(state === "drained" ? `${name} is drained.` : `${name} has ended; some POSTs were cut off.`);
    },
  });
}

function remove(name) {
  const input = h("input", { autocomplete: "off", spellcheck: "false", autocapitalize: "off" });
  const opened = open({
    title: `Delete ${name}?`, say: "Delete this listener", danger: true,
    content: [h("p", { text: "It receives nothing more, finishes what runs, and its file is removed. Its queue and the messages there stay." }),
      field(`Type ${name} to confirm`, input)],
    submit: async () => {
      await change("DELETE", ofListener(name));
      note(`${name} was deleted.`);
      location.hash = "#/";
    },
  });
  opened.allow(false);
  input.addEventListener("input", () => opened.allow(input.value === name));
}
