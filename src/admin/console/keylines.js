// Keys of a listener as lines of text, "timeout: 30s", and back. Inner keys have dots: "batch.size: 5".
// A value that is JSON is taken as such, so that numbers, lists and maps can be written. All else is a text, also a number that
// would be written differently: 1.10 is not 1.1.

/** An object of keys as lines. */
export function asLines(keys, before = "") {
  return Object.entries(keys).flatMap(([key, value]) => {
    const isMap = typeof value === "object" && value !== null && !Array.isArray(value);
    // A key with a dot in it cannot be an inner key's path; its map is written whole.
    const canNest = isMap && Object.keys(value).length > 0 && Object.keys(value).every((inner) => !/[.:\s]/.test(inner));
    return canNest ? [asLines(value, `${before}${key}.`)] : [`${before}${key}: ${asText(value)}`];
  }).join("\n");
}

/** Lines as an object of keys. What is no pair is kept as a key, so that the process can say what is wrong with it. */
export function fromLines(text) {
  const keys = {};
  for (const line of text.split("\n").map((one) => one.trim())) {
    if (!line || line.startsWith("#")) continue;
    const at = line.indexOf(":");
    const [path, value] = at < 0 ? [line, ""] : [line.slice(0, at).trim(), line.slice(at + 1).trim()];
    put(keys, path.split("."), asValue(value));
  }
  return keys;
}

function put(keys, path, value) {
  const [key, ...inner] = path;
  // Such names would reach into the language itself.
  if (["__proto__", "constructor", "prototype"].includes(key)) return;
  if (inner.length === 0) {
    keys[key] = value;
    return;
  }
  if (typeof keys[key] !== "object" || keys[key] === null) keys[key] = {};
  put(keys[key], inner, value);
}

function asText(value) {
  // A text that would read as JSON is written as JSON, so that it stays a text.
  if (typeof value === "string" && isPlain(value)) return value;
  return JSON.stringify(value);
}

function isPlain(text) {
  return text !== "" && text === text.trim() && !text.includes("\n") && asValue(text) === text;
}

function asValue(text) {
  try {
    const value = JSON.parse(text);
    return typeof value === "number" && String(value) !== text ? text : value;
  } catch {
    return text;
  }
}
