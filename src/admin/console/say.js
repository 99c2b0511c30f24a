// What the page says aside from its content: short notes that go away, and changes told to screen readers.
// The announcer is told of changes of state alone, a few at a time, so that it does not chatter.

import { h } from "./dom.js";

const NOTE_MS = 8_000;
const GATHER_MS = 3_000;
const TOLD_AT_ONCE = 3;

/** Shows what was done. */
export function note(text) {
  const shown = h("p", { class: "toast", text });
  document.getElementById("toasts").append(shown);
  setTimeout(() => shown.remove(), NOTE_MS);
}

/** A refusal in a box, with what to do. */
export function refusal({ message, fix }) {
  return h("div", { class: "problem", role: "alert" }, h("p", { class: "strong", text: message }), fix && h("p", { text: `What to do: ${fix}` }));
}

let waiting = [];
let timer = null;

/** Tells whoever listens to the page. */
export function announce(text) {
  waiting.push(text);
  timer ??= setTimeout(() => {
    const told = waiting.slice(0, TOLD_AT_ONCE).join(" ");
    const more = waiting.length - TOLD_AT_ONCE;
    document.getElementById("announcer").textContent = more > 0 ? `${told} And ${more} more changes.` : told;
    waiting = [];
    timer = null;
  }, GATHER_MS);
}
