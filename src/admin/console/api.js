// Requests to the process that serves this page, with the token where a change needs it.
// The token is kept for this tab alone and sent as a header; there are no cookies.

const KEPT_AS = "queuepost.token";
const WAIT_MS = 15_000;

/** Why a request was not done, in the process's own words. */
export class Refusal extends Error {
  constructor(status, error, fix, problems = []) {
    super(error);
    Object.assign(this, { status, fix, problems });
  }
}

let inMemory = null;

/** The token that was entered; null without one. */
export function token() {
  return inMemory ?? stored(() => sessionStorage.getItem(KEPT_AS)) ?? null;
}

/** Keeps a token until the tab is closed; null forgets it. */
export function keepToken(value) {
  inMemory = value;
  stored(() => (value === null ? sessionStorage.removeItem(KEPT_AS) : sessionStorage.setItem(KEPT_AS, value)));
}

// A browser may forbid storage; the token is in memory then.
function stored(use) {
  try {
    return use();
  } catch {
    return null;
  }
}

/** Reads a document; `withToken` lets the process say whether the token is right. */
export function read(path, { withToken = false, wait = WAIT_MS } = {}) {
  return ask("GET", path, undefined, withToken, wait);
}

/** Makes a change. A drain or a test may take as long as a POST to the endpoint. */
export function change(method, path, body, { wait = 30 * 60_000 } = {}) {
  return ask(method, path, body, true, wait);
}

/** The path of a listener's route. */
export function ofListener(name, route = "") {
  return `api/v1/listeners/${encodeURIComponent(name)}${route && `/${route}`}`;
}

async function ask(method, path, body, withToken, wait) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (withToken && token() !== null) headers.Authorization = `Bearer ${token()}`;
  let answer;
  let text;
  try {
    const limit = AbortSignal.timeout(wait);
    answer = await fetch(path, {
      method, headers, body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store", credentials: "omit", redirect: "error", signal: limit,
    });
    text = await answer.text();
  } catch {
    throw new Refusal(0, "the process did not answer", "see whether it runs and can be reached; then try again");
  }
  const document = parsed(text);
  if (answer.ok && document !== null) return document;
  const { error, fix, problems } = document ?? {};
  throw new Refusal(answer.status, error ?? `the process answered ${answer.status}`, fix ?? "", problems ?? []);
}

function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}
