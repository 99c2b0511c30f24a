// The configuration of a listener: where it is written, and with the token its keys with where each value comes from.

import { ofListener, read } from "./api.js";
import { h, replace, setText, show } from "./dom.js";
import { card, facts } from "./parts.js";
import { mayChange, onSession, session } from "./session.js";

/** How often it is read again: a reload may have changed it. */
const EVERY_MS = 10_000;

/** The card of the listener `name`. */
export function configurationPart(name) {
  const root = card("Configuration", { wide: true });
  const where = h("p", { class: "muted small" });
  const list = facts();
  const body = h("div", { class: "scroll" });
  const whole = h("details", { class: "every-key" }, h("summary", { text: "Every key, with where its value comes from" }), body);
  root.body.append(where, list, whole);
  show(whole, false);
  let next = 0;
  // Keys are for who has the token: they are read anew when it is entered or forgotten.
  const end = onSession(() => { next = 0; });

  async function update() {
    if (Date.now() < next) return;
    next = Date.now() + EVERY_MS;
    try {
      draw(await read(ofListener(name, "configuration"), { withToken: mayChange() }));
    } catch (error) {
      setText(where, `It could not be read: ${error.message}. ${error.fix}`);
    }
  }

  function draw({ origin, file, line, keys, editable, all }) {
    const from = { flags: "From flags and variables" }[origin] ?? `From ${file}${origin === "file" && line ? `, line ${line}` : ""}`;
    setText(where, `${from}. ${editable ? "It can be edited here." : "It is changed where it is written."}${keys ? "" : ` ${withheld()}`}`);
    list.update(Object.entries(keys ?? {}).map(([key, value]) => [key, asText(value)]));
    show(whole, all?.length > 0);
    replace(body, all ?? null, () => everyKey(all ?? []));
  }

  return { root, update, end };
}

function withheld() {
  const off = session?.changes === "off";
  return `Its keys may have secrets: ${off ? "as changes are off, `queuepost check --explain` shows them." : "enter the token to see them."}`;
}

function asText(value) {
  if (value === null) return "–";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function everyKey(all) {
  const row = ({ key, value, from }) => h("tr", {}, h("th", { scope: "row" }, h("code", { text: key })), h("td", { text: asText(value) }), h("td", { class: "muted", text: from }));
  return h("table", { class: "numbers" }, h("caption", { class: "unseen", text: "Every key of the listener" }),
    h("thead", {}, h("tr", {}, ["Key", "Value", "From"].map((text) => h("th", { scope: "col", text })))), h("tbody", {}, all.map(row)));
}
