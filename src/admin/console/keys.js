// Keyboard shortcuts. Single letters, and only while nothing is being written and no dialog is open.

import { open } from "./dialog.js";
import { h } from "./dom.js";

const KEYS = [
  ["/", "Go to the filter of the list"],
  ["l", "List of listeners"],
  ["n", "Create a new event listener"],
  ["p", "Pause or resume the listener that is shown"],
  ["e", "Edit the listener that is shown"],
  ["t", "Light, dark, or as the system"],
  ["k", "Enter or forget the token"],
  ["?", "This help"],
  ["Esc", "Close a dialog, or empty the filter"],
];

/** Calls `actions[key]` when a key is pressed. */
export function shortcuts(actions) {
  document.addEventListener("keydown", (event) => {
    const writes = event.target.closest?.("input, textarea, select, [contenteditable]");
    if (writes || document.querySelector("dialog[open]") || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = actions[event.key];
    // A key that is held down is pressed once.
    if (!act || event.repeat) return;
    event.preventDefault();
    act();
  });
}

/** Shows what the keys do, and what the words mean. */
export function help() {
  const row = ([key, words]) => h("tr", {}, h("th", { scope: "row" }, h("kbd", { text: key })), h("td", { text: words }));
  const word = ([term, words]) => [h("dt", { text: term }), h("dd", { text: words })];
  const terms = [
    ["In flight", "Messages received by this process and not settled yet; the cap is the listener's workers."],
    ["Parked, deferred", "Hidden in the queue until the next try: after a 429, after another failure."],
    ["Gate", "Closes when the endpoint takes nothing. One message at a time then tries whether it is back."],
    ["Learned limit", "What the endpoint was found to take: POSTs at once, and starts per second."],
    ["Dead letters", "Messages that failed as often as the queue allows. Redrive sends them back."],
  ];
  open({ title: "Keyboard and words", cancel: "Close", wide: true, content: [
    h("table", { class: "keys" }, h("caption", { class: "unseen", text: "Keyboard shortcuts" }), h("tbody", {}, KEYS.map(row))),
    h("dl", { class: "terms" }, terms.flatMap(word)),
  ] });
}
