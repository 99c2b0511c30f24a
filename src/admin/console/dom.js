// Small helpers to build the page. Text from outside only ever becomes text: nothing here parses HTML.

/**
 * Makes an element.
 * `props`: `class`, `text`, `on` (listeners by event), `data` (data-* by name); all else is an attribute, left out when null or false.
 */
export function h(tag, props = {}, ...children) {
  return fill(document.createElement(tag), props, children);
}

/** The same for SVG. */
export function svg(tag, props = {}, ...children) {
  return fill(document.createElementNS("http://www.w3.org/2000/svg", tag), props, children);
}

function fill(element, props, children) {
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") element.textContent = value;
    else if (name === "on") for (const [event, react] of Object.entries(value)) element.addEventListener(event, react);
    else if (name === "data") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** Sets a text if it differs, so that selections and screen readers are left alone. */
export function setText(element, text) {
  const wanted = String(text ?? "");
  if (element.textContent !== wanted) element.textContent = wanted;
}

/** The same for words of the process, which have names and keys in backticks. */
export function setWords(element, text) {
  const parts = String(text ?? "").split("`");
  // Without a partner a backtick is itself.
  if (parts.length % 2 === 0) setText(element, text);
  else replace(element, parts, () => parts.map((part, index) => (index % 2 ? h("code", { text: part }) : document.createTextNode(part))));
}

/** Sets or removes an attribute if it differs. */
export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value)) element.setAttribute(name, value === true ? "" : value);
}

/** Shows or hides. */
export function show(element, is) {
  if (element.hidden === Boolean(is)) element.hidden = !is;
}

/** Replaces what is inside, unless `key` says that it would be the same. */
export function replace(element, key, make) {
  const text = JSON.stringify(key);
  if (element.madeOf === text) return;
  element.madeOf = text;
  element.replaceChildren(...[make()].flat().filter(Boolean));
}

/**
 * Keeps one child for each item, in the items' order. A child stays the same element while its item is there,
 * so that focus survives. `make` returns an element with a function `update`.
 */
export function each(parent, items, keyOf, make) {
  const known = parent.byKey ?? (parent.byKey = new Map());
  const wanted = new Set(items.map(keyOf));
  for (const [key, child] of known) {
    if (wanted.has(key)) continue;
    child.remove();
    known.delete(key);
  }
  items.forEach((item, index) => {
    const key = keyOf(item);
    const child = known.get(key) ?? make(item);
    known.set(key, child);
    child.update?.(item);
    if (parent.children[index] !== child) parent.insertBefore(child, parent.children[index] ?? null);
  });
}

let ids = 0;

/** An id that no other element has. */
export function newId(stem) {
  ids += 1;
  return `${stem}-${ids}`;
}
