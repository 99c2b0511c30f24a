// Parts that several views show: the chip of a state, a meter, a list of facts, a card.

import { each, h, newId, setAttribute, setText } from "./dom.js";
import { count } from "./text.js";

/** A sign for each tone, so that a state is known by shape and word as well as by colour. */
const SIGNS = { bad: "✕", warn: "!", held: "❚❚", good: "✓", idle: "…" };

/** The chip of a state; `update` takes what `judge` says. */
export function stateChip() {
  const sign = h("span", { class: "sign", "aria-hidden": "true" });
  const word = h("span");
  const chip = h("span", { class: "chip" }, sign, word);
  chip.update = ({ tone, word: text }) => {
    setAttribute(chip, "data-tone", tone);
    setText(sign, SIGNS[tone]);
    setText(word, text);
  };
  return chip;
}

/** Something of a cap, as numbers and as a bar. */
export function meter(label) {
  const words = h("span", { class: "meter-words" });
  const bar = h("progress", { class: "meter", "aria-label": label, max: 1, value: 0 });
  const element = h("div", { class: "meter-box" }, words, bar);
  element.update = (is, most) => {
    setText(words, `${count(is)} / ${count(most)}`);
    setAttribute(bar, "max", Math.max(1, most ?? 1));
    setAttribute(bar, "value", Math.min(is ?? 0, most ?? 0));
    setAttribute(bar, "data-full", most > 0 && is >= most);
  };
  return element;
}

/** A card with a title; `section.body` is what to fill. */
export function card(title, { wide = false, tools = [] } = {}) {
  const id = newId("card");
  const body = h("div", { class: "card-body" });
  const section = h("section", { class: wide ? "card wide" : "card", "aria-labelledby": id },
    h("div", { class: "card-head" }, h("h2", { id, text: title }), h("div", { class: "card-tools" }, tools)), body);
  section.body = body;
  return section;
}

/** A list of facts, `[term, text or element, hint]` each. */
export function facts() {
  const list = h("dl", { class: "facts" });
  list.update = (pairs) => each(list, pairs.filter(Boolean), ([term]) => term, ([term, value]) => {
    const text = h("dd", {}, value instanceof Node ? value : null);
    const hint = h("span", { class: "muted small" });
    const pair = h("div", {}, h("dt", { text: term }), text);
    const told = value instanceof Node ? null : h("span");
    if (told) text.append(told);
    text.append(hint);
    pair.update = ([, now, more]) => {
      if (told) setText(told, now);
      setText(hint, more ? ` ${more}` : "");
    };
    return pair;
  });
  return list;
}
