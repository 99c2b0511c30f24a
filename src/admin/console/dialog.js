// A dialog: a title, what it asks, and buttons. Escape and "Cancel" leave everything as it was.

import { h, newId, show } from "./dom.js";
import { refusal } from "./say.js";

/**
 * Opens a dialog. `submit` does it and may throw a refusal, which is shown; `say` words the button.
 * `content` are elements, or a function of the dialog. Whatever `submit` returns as elements is shown as the result; else it closes.
 */
export function open({ title, content = [], say = null, danger = false, cancel = "Cancel", wide = false, submit }) {
  const id = newId("dialog");
  const result = h("div", { class: "result", "aria-live": "polite" });
  const go = say && h("button", { type: "submit", class: danger ? "danger" : "primary", text: say });
  const leave = h("button", { type: "button", text: cancel, on: { click: () => dialog.close() } });
  const form = h("form", { novalidate: true, on: { submit: (event) => send(event) } },
    h("h2", { id, text: title }), h("div", { class: "dialog-body" }, ...content), result, h("div", { class: "buttons" }, leave, go));
  const dialog = h("dialog", { "aria-labelledby": id, class: wide ? "wide" : null, on: { close: () => dialog.remove() } }, form);

  async function send(event) {
    event.preventDefault();
    if (!submit || go.disabled) return;
    go.disabled = true;
    form.setAttribute("aria-busy", "true");
    result.replaceChildren(h("p", { class: "muted", text: "Working …" }));
    try {
      const shown = await submit();
      if (shown) result.replaceChildren(...[shown].flat());
      else dialog.close();
    } catch (error) {
      result.replaceChildren(refusal(error));
    } finally {
      go.disabled = false;
      form.removeAttribute("aria-busy");
    }
  }

  document.body.append(dialog);
  dialog.showModal();
  (dialog.querySelector("[autofocus]") ?? dialog.querySelector("input, textarea, select") ?? go ?? leave).focus();
  return { dialog, allow: (is) => { if (go) go.disabled = !is; }, result, hideGo: () => go && show(go, false) };
}

/** A field with its label and a hint; `control` is the input. */
export function field(label, control, hint = null) {
  const id = control.id || newId("field");
  control.id = id;
  const said = hint && h("p", { class: "hint", id: `${id}-hint`, text: hint });
  if (said) control.setAttribute("aria-describedby", said.id);
  return h("div", { class: "field" }, h("label", { for: id, text: label }), control, said);
}
