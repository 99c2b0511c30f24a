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
  const { valid, problems = [], advice = [], checks = [], queue, post } = checked;
  const queueWords = queue && h("p", { class: "strong", text: `${queue.ok ? "✓ The queue can be read" : "✕ The queue"}: ${queue.words}` });
  // What is in order is told by the lines above; these say the rest.
  const rest = checks.filter((one) => one.status !== "ok").map(checkWords).filter((words) => !queue?.words?.includes(words));
  const said = [...new Set([...rest, ...advice.map(wordsOf)])];
  return [
    h("p", { class: valid ? "strong done" : "strong wrong-words", text: valid ? "✓ The configuration is valid." : `✕ ${problems.length === 1 ? "One thing is" : `${problems.length} things are`} wrong with the configuration.` }),
    queueWords && h("div", { class: queue.ok ? "outcome good" : "outcome bad" }, queueWords),
    post && (post.error && !post.messages ? h("div", { class: "outcome bad" }, worded(`✕ It was not posted: ${wordsOf({ words: post.error, fix: post.fix })}`)) : postResult(post)),
    said.length > 0 && h("ul", { class: "advice" }, said.map((text) => h("li", {}, worded(text)))),
  ].filter(Boolean);
}

function checkWords({ what, status, detail, fix }) {
  const sign = status === "failed" ? "✕" : "!";
  return `${sign} ${what}: ${wordsOf({ words: detail, fix })}`;
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
