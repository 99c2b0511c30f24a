// The console: puts the parts together. It shows one process, and changes it for whoever has its token.
// The address after # says what is shown: / the list, /new a form, /listeners/NAME a listener, …/edit its form.

import { ofListener, read } from "./api.js";
import { h, setAttribute, setText, show } from "./dom.js";
import { formView } from "./form.js";
import { judge } from "./judge.js";
import { help, shortcuts } from "./keys.js";
import { Live } from "./live.js";
import { listView } from "./list.js";
import { listenerView } from "./listener.js";
import { Rates } from "./rates.js";
import { announce } from "./say.js";
import { onSession, refresh, session, tokenButton } from "./session.js";
import { lasting, secondsSince } from "./text.js";
import { themeButton } from "./theme.js";

/** Steps of a history end every 15 s. */
const HISTORY_MS = 15_000;
/** Most listeners of the list whose histories are drawn: each is a request. */
const HISTORIES_MAX = 24;

const app = {
  status: null, seenAt: 0, rates: new Rates(), histories: new Map(), wanted: [],
  endpoint: (name) => app.status.endpoints.find((endpoint) => endpoint.name === name),
  wantHistories(names) {
    const added = names.slice(0, HISTORIES_MAX).some((name) => !app.histories.has(name) && !app.wanted.includes(name));
    app.wanted = names.slice(0, HISTORIES_MAX);
    if (added) readHistories();
  },
};
const main = document.getElementById("main");
const lost = h("p", { class: "notice", role: "alert", data: { tone: "bad" } });
const draining = h("p", { class: "notice", data: { tone: "held" }, text: "This process drains: it receives nothing more, finishes what runs, and ends. Changes are refused." });
let view = null;
let said = new Map();

async function readHistories() {
  for (const name of app.wanted) {
    try {
      app.histories.set(name, await read(ofListener(name, "history")));
    } catch {
      // The list does without; whether the process is there is told at the top.
      app.histories.delete(name);
    }
  }
  if (app.status) view?.update();
}

function route() {
  const [path, query = ""] = location.hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decoded);
  if (parts[0] === "new") return formView(app);
  if (parts[0] === "listeners" && parts[1] && parts[2] === "edit") return formView(app, parts[1]);
  if (parts[0] === "listeners" && parts[1]) return listenerView(app, parts[1]);
  return listView(app, new URLSearchParams(query));
}

function decoded(part) {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function navigate() {
  for (const dialog of document.querySelectorAll("dialog")) dialog.close();
  if (app.status === null) return;
  const before = view;
  view?.end?.();
  view?.bar?.end();
  view = route();
  document.title = `${view.title} · queuepost`;
  main.replaceChildren(view.root);
  view.update();
  // The first view is where the reader is anyway.
  if (before) {
    scrollTo(0, 0);
    view.root.querySelector("h1").focus();
  }
}

function onStatus(status, at) {
  const isFirst = app.status === null;
  Object.assign(app, { status, seenAt: at });
  app.rates.note(status, at);
  tellChanges(status);
  show(draining, status.phase === "draining");
  if (isFirst) navigate();
  else view.update();
}

/** Screen readers are told of states that changed, and of nothing that counts up and down. */
function tellChanges(status) {
  const now = new Map(status.listeners.map((listener) => {
    const { word, tone } = judge(listener, app.endpoint(listener.endpoint));
    return [listener.name, { word, tone }];
  }));
  for (const [name, { word, tone }] of now) {
    const before = said.get(name);
    // From flowing to idle and back is no news.
    if (before && before.tone !== tone && !(["good", "idle"].includes(before.tone) && ["good", "idle"].includes(tone))) announce(`${name}: ${word}.`);
  }
  said = now;
}

function onConnection({ is, seconds }) {
  const words = {
    live: "Live", polling: "Live, asked every 2 s", trying: app.status ? "Trying" : "Connecting",
    lost: seconds === null ? "Not connected" : `Last seen ${lasting(seconds)} ago`,
  };
  const element = document.getElementById("connection");
  const isLost = is === "lost" || (is === "trying" && app.status === null && live.failed);
  setAttribute(element, "data-is", isLost ? "lost" : is);
  setText(document.getElementById("connection-words"), isLost && seconds === null ? "Not connected" : words[is]);
  setAttribute(document.body, "data-stale", is === "lost");
  if (isLost === lost.hidden) {
    setText(lost, seconds === null ? "The process does not answer. Trying again every 2 s." : "");
    show(lost, isLost);
  }
  // The seconds count in a part that is not read out, the sentence is read once.
  if (isLost && seconds !== null) {
    if (!lost.counter) {
      lost.counter = h("span", { "aria-hidden": "true" });
      lost.replaceChildren(h("span", { text: "The process does not answer; what is shown is old. Trying again. " }), lost.counter);
    }
    setText(lost.counter, `Last seen ${lasting(seconds)} ago.`);
  } else {
    lost.counter = null;
  }
  if (!isLost && live.wasLost) refresh().catch(() => {});
  live.wasLost = isLost;
  drawProcess();
}

function drawProcess() {
  const of = session?.process;
  const version = of?.version ?? app.status?.version;
  if (!version) return;
  const up = of?.started ? `up ${lasting(secondsSince(of.started))}` : null;
  setText(document.getElementById("process"), [version, of?.host, up].filter(Boolean).join(" · "));
}

const live = new Live({ onStatus, onConnection });
document.getElementById("notices").append(lost, draining);
show(lost, false);
show(draining, false);
main.append(h("p", { class: "empty muted", text: "Asking the process …" }));
tokenButton(document.getElementById("token"));
themeButton(document.getElementById("theme"));
document.getElementById("help").addEventListener("click", help);
document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
onSession(drawProcess);
addEventListener("hashchange", navigate);
shortcuts({
  "/": () => { if (!view?.focusFilter) location.hash = "#/"; setTimeout(() => view?.focusFilter?.()); },
  l: () => { location.hash = "#/"; },
  n: () => { location.hash = "#/new"; },
  p: () => view?.bar?.press(view.bar.isHeld() ? "resume" : "pause"),
  e: () => view?.bar?.press("edit"),
  t: () => document.getElementById("theme").click(),
  k: () => document.getElementById("token").click(),
  "?": help,
});
refresh().catch(() => {});
setInterval(() => { if (!document.hidden) readHistories(); }, HISTORY_MS);
live.start();
