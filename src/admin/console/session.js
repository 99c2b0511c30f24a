// Whether this page may change anything: what the process allows, and whether the token is right.

import { Refusal, keepToken, read, token } from "./api.js";
import { field, open } from "./dialog.js";
import { h, setText } from "./dom.js";
import { note } from "./say.js";

/** What the process said of itself and of changes; null before it was asked. */
export let session = null;
const watchers = [];

/** Calls `react` now and whenever the session changes. */
export function onSession(react) {
  watchers.push(react);
  react(session);
  return () => watchers.splice(watchers.indexOf(react), 1);
}

/** Whether changes can be made now. */
export function mayChange() {
  return session?.changes === "allowed";
}

/** Why nothing can be changed, with what to do; null where something can. */
export function readOnly() {
  if (mayChange()) return null;
  if (session?.changes === "off") {
    return { words: "Read-only: changes are off in this process.", fix: session.note ?? "Set admin.allow_changes and admin.token_file." };
  }
  return { words: "Read-only: no token was entered.", fix: "Enter the token of admin.token_file to change something." };
}

/** Asks the process, with the token if there is one. A wrong token is forgotten. */
export async function refresh() {
  const shown = token();
  try {
    take(await read("api/v1/session", { withToken: shown !== null }));
  } catch (error) {
    if (error.status === 401 && shown !== null) {
      keepToken(null);
      await refresh();
      throw error;
    }
    // A page that was refused stays what it was: the banner says that the process is not there.
    if (session === null) take(null);
    if (error.status !== 0) throw error;
  }
}

function take(found) {
  session = found;
  for (const react of watchers) react(session);
}

/** Sets the button that shows and changes it. */
export function tokenButton(button) {
  button.addEventListener("click", () => (mayChange() ? forget() : askForToken()));
  onSession(() => {
    const words = mayChange() ? "Changes allowed" : session?.changes === "off" ? "Read-only" : "Read-only · enter token";
    setText(button, words);
    button.dataset.is = mayChange() ? "allowed" : "readonly";
    button.title = mayChange() ? "Forget the token" : readOnly().fix;
  });
}

function forget() {
  keepToken(null);
  refresh().then(() => note("The token was forgotten: the page is read-only."), () => {});
}

/** Asks for the token; where changes are off it says so. */
export function askForToken() {
  if (session?.changes === "off") {
    open({ title: "Changes are off", cancel: "Close", content: [
      h("p", { text: "This process lets nobody change anything through this port, so the page is read-only." }),
      h("p", { text: `What to do: ${readOnly().fix}` }),
    ] });
    return;
  }
  const input = h("input", { type: "password", autocomplete: "off", autofocus: true, spellcheck: "false", required: true });
  open({
    title: "Enter the token", say: "Use this token",
    content: [field("Token", input, "The content of the file admin.token_file; queuepost dev prints it. It is kept in this tab alone, and sent to this process only.")],
    submit: async () => {
      const value = input.value.trim();
      if (!value) throw new Refusal(0, "No token was entered", "paste the line that is in the file");
      keepToken(value);
      await refresh();
      if (!mayChange()) {
        keepToken(null);
        throw new Refusal(0, "The process did not take the token", session?.note ?? "see its log");
      }
      note("The token is right: changes are allowed.");
    },
  });
}
