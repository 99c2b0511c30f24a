// What a test said: the endpoint's answer and what would become of the message; what is wrong with a configuration.

import { h, setWords } from "./dom.js";
import { count } from "./text.js";

/** What a test POST came to. */
export function postResult(tested) {
  const [message] = tested.messages ?? [];
  const good = message?.deleted;
  const answered = tested.status === null ? tested.error ?? "There was no answer." : `It answered ${tested.status} after ${count(tested.duration_ms)} ms.`;
  return h("div", { class: good ? "outcome good" : "outcome bad" },
    h("p", { class: "strong", text: `${good ? "✓ It works." : "✕ It does not work yet."} ${answered}` }),
    h("p", { text: message ? `The message would be ${good ? "deleted" : `kept: ${message.then}`}.` : "" }),
    message?.meaning && !good && h("p", { text: message.meaning }),
    message?.fix && !good && worded(`What to do: ${message.fix}`),
    tested.answer && h("pre", { class: "said", tabindex: "0", "aria-label": "How the answer begins", text: tested.answer }),
    tested.request && h("p", { class: "muted small path", text: `POST ${tested.request.url}, ${count(tested.request.body_bytes)} bytes` }));
}

/** What the check before "Create" says. */
export function checkResult(checked) {
  const { valid, problems = [], advice = [], queue, post } = checked;
  const queueWords = queue && h("p", { class: "strong", text: `${queue.ok ? "✓ The queue can be read" : "✕ The queue"}: ${queue.words}` });
  return [
    h("p", { class: valid ? "strong done" : "strong wrong-words", text: valid ? "✓ The configuration is valid." : `✕ ${problems.length === 1 ? "One thing is" : `${problems.length} things are`} wrong with the configuration.` }),
    queueWords && h("div", { class: queue.ok ? "outcome good" : "outcome bad" }, queueWords),
    post && postResult(post),
    advice.length > 0 && h("ul", {}, advice.map((one) => h("li", {}, worded(wordsOf(one))))),
  ].filter(Boolean);
}

/** A problem or an advice in words. */
export function wordsOf(one) {
  if (typeof one === "string") return one;
  const { words, fix } = one;
  return fix ? `${words}; ${fix}` : words;
}

function worded(text) {
  const element = h("p");
  setWords(element, text);
  return element;
}
