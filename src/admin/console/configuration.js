// The configuration of a listener: what was written for it, and every key with where its value comes from.

import { ofListener, read } from "./api.js";
import { h, replace, setText, show } from "./dom.js";
import { card, facts } from "./parts.js";

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

  async function update() {
    if (Date.now() < next) return;
    next = Date.now() + EVERY_MS;
    try {
      draw(await read(ofListener(name, "configuration")));
    } catch (error) {
      setText(where, `It could not be read: ${error.message}. ${error.fix}`);
    }
  }

  function draw({ origin, file, line, keys, editable, all }) {
    const from = { flags: "From flags and variables" }[origin] ?? `From ${file}${origin === "file" && line ? `, line ${line}` : ""}`;
    setText(where, `${from}. ${editable ? "It can be edited here." : "It is changed where it is written."}`);
    list.update(Object.entries(keys).map(([key, value]) => [key, asText(value)]));
    show(whole, all?.length > 0);
    replace(body, all ?? null, () => everyKey(all ?? []));
  }

  return { root, update };
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
