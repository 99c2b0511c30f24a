// The story of a listener, clicked through in a browser against a real process: create, see messages flow, throttle, see
// the gate, pause, resume, look at dead letters, redrive, edit, delete.
//
//   node story.mjs ADMIN QUEUES ENDPOINT TOKEN [FOLDER_FOR_PICTURES]
//
// ADMIN is the page, QUEUES the embedded queue, ENDPOINT the sample endpoint, which answers as it is told.

import { join } from "node:path";
import { PATIENCE, browser, noBarriers, open, steps, until } from "./kit.mjs";

const [admin, queues, endpoint, token, pictures] = process.argv.slice(2);
const NAME = "refunds";
const queueUrl = `${queues}/000000000000/${NAME}`;

/** One call of the embedded queue. */
async function sqs(action, body) {
  const headers = { "content-type": "application/x-amz-json-1.0", "x-amz-target": `AmazonSQS.${action}` };
  const answer = await fetch(queues, { method: "POST", headers, body: JSON.stringify(body) });
  if (!answer.ok) throw new Error(`${action}: ${await answer.text()}`);
  return answer.json();
}

/** What the endpoint answers from now on. */
async function endpointAnswers(status, retryAfter = null) {
  const answer = await fetch(`${endpoint}/answer/${status}${retryAfter ? `?retry_after=${retryAfter}` : ""}`, { method: "POST" });
  if (!answer.ok) throw new Error(await answer.text());
}

async function makeQueues() {
  await sqs("CreateQueue", { QueueName: `${NAME}-dlq` });
  const policy = { deadLetterTargetArn: `arn:aws:sqs:us-east-1:000000000000:${NAME}-dlq`, maxReceiveCount: 5 };
  await sqs("CreateQueue", { QueueName: NAME, Attributes: { RedrivePolicy: JSON.stringify(policy) } });
}

await makeQueues();
const chrome = await browser();
const page = await open(chrome, admin);
page.setDefaultTimeout(PATIENCE);
const has = (text) => page.getByText(text).first().waitFor({ state: "attached" }).catch(() => { throw new Error(`missing: ${text}`); });
const button = (name) => page.getByRole("button", { name, exact: true });
const picture = async (what) => { if (pictures) await page.screenshot({ path: join(pictures, `story-${what}.png`), fullPage: true }); };
/** Waits until the chip beside the name has one of these words. */
const untilState = (...words) => until(`state ${words.join(" or ")}`, async () => {
  const chip = await page.locator(".headline .chip").innerText();
  return words.some((word) => chip.includes(word));
}, 2 * PATIENCE);
/** The number of an outcome since the start, from the table under the chart. */
const total = async (outcome) => {
  const row = page.locator("table.numbers tbody tr", { hasText: outcome });
  if (await row.count() === 0) return 0;
  return Number((await row.locator("td").last().innerText()).replaceAll(",", ""));
};

/** Sends a message by the dialog of the page. */
async function send(body) {
  await button("Send a message…").click();
  await page.locator("dialog textarea").first().fill(body);
  await page.locator("dialog").getByRole("button", { name: "Send", exact: true }).click();
  await has(`Sent to ${NAME}`);
  await page.keyboard.press("Escape");
  await until("closed", async () => (await page.locator("dialog").count()) === 0);
}

await steps(page, {
  "a page without a token is read-only": async () => {
    await has("Read-only: no token was entered.");
    await page.keyboard.press("k");
    await page.locator("dialog input").fill("not the token, surely");
    await button("Use this token").click();
    await has("this is not the token of this process");
    await page.locator("dialog input").fill(token);
    await button("Use this token").click();
    await has("Changes allowed");
  },
  "what is wrong with a new listener is said at its field": async () => {
    await page.getByRole("link", { name: "Create new event listener" }).click();
    await page.getByLabel("Name").fill("Not A Name");
    await page.getByLabel("Queue URI").fill(queueUrl);
    await page.getByLabel("URL of the endpoint").fill(`${endpoint}/work`);
    await page.getByLabel("Workers").fill("0");
    await page.getByLabel("More keys").fill("throttle_delay: 1s\nretry_delay: 1s\nreceive_wait: 1s\nwrokers: 3");
    await button("Create").click();
    await until("the name marked", async () => (await page.locator("[aria-invalid=true]").count()) === 1);
    await page.getByLabel("Name").fill("");
    await button("Create").click();
    await until("workers and keys marked", async () => (await page.locator("[aria-invalid=true]").count()) === 2);
    await has("did you mean");
    if ((await page.getByLabel("Name").inputValue()) !== NAME) throw new Error("the queue gave no name");
    await picture("problems");
    await noBarriers(page, "problems");
  },
  "the test reads the queue and posts once": async () => {
    await page.getByLabel("Workers").fill("4");
    await page.getByLabel("More keys").fill("throttle_delay: 1s\nretry_delay: 1s\nreceive_wait: 1s");
    await page.getByLabel("The test also posts this body to the endpoint, once").check();
    await button("Test").click();
    await has("✓ The configuration is valid.");
    await has("✓ The queue can be read");
    await has("✓ It works.");
    await noBarriers(page, "tested");
  },
  "a created listener starts, and messages flow": async () => {
    await button("Create").click();
    await has(`${NAME} was created.`);
    await untilState("Idle", "Flowing");
    for (const number of [1, 2, 3]) await send(`{"order": ${number}}`);
    await until("three delivered", async () => (await total("Delivered")) === 3);
  },
  "a throttled endpoint closes the gate, and the page says why": async () => {
    await endpointAnswers(429, 3);
    for (let number = 0; number < 6; number += 1) await sqs("SendMessage", { QueueUrl: queueUrl, MessageBody: `{"throttled": ${number}}` });
    await untilState("Gate closed", "Gate probing");
    await has("asked for a pause (Retry-After)");
    await until("failures", () => page.locator(".failures tbody tr", { hasText: "429" }).count());
    await picture("gate");
    await noBarriers(page, "gate closed");
    await page.keyboard.press("l");
    await has("What is wrong");
    await has("2 of 2 listeners need attention");
    await picture("list");
    await page.getByRole("link", { name: NAME }).first().click();
    await endpointAnswers(200);
    await until("all delivered in the end", async () => (await total("Delivered")) === 9, 2 * PATIENCE);
  },
  "a paused listener receives nothing until it is resumed": async () => {
    await page.keyboard.press("p");
    await untilState("Paused");
    const before = await total("Delivered");
    await send("{\"waits\": true}");
    await has("no, it is paused");
    if ((await total("Delivered")) !== before) throw new Error("a paused listener delivered");
    await button("Resume").first().click();
    await until("delivered", async () => (await total("Delivered")) > before);
    await untilState("Idle", "Flowing", "Dead letters");
  },
  "workers can be changed": async () => {
    await button("Workers…").click();
    await page.getByLabel("POSTs at once").fill("7");
    await button("Set workers").click();
    await has("/ 7");
    await has("4 by its configuration");
  },
  "what failed for good is looked at and redriven": async () => {
    await endpointAnswers(422);
    await send("{\"refund\": 42}");
    await until("its last receive", async () => (await page.locator(".failures tbody tr", { hasText: "422" }).filter({ hasText: "the last" }).count()) > 0, 2 * PATIENCE);
    await button("Look at letters…").click();
    await until("a letter", async () => {
      await button("Look").click();
      await page.locator("dialog [aria-busy]").waitFor({ state: "detached" });
      return page.locator(".letters li", { hasText: "refund" }).count();
    });
    await picture("letters");
    await endpointAnswers(200);
    const before = await total("Delivered");
    await page.locator(".letters li", { hasText: "refund" }).getByRole("button").click();
    await button("Redrive").click();
    await has("Redrive done: 1");
    await until("delivered", async () => (await total("Delivered")) > before);
  },
  "an edited listener goes on with its new configuration": async () => {
    await button("Edit…").click();
    await until("filled in", async () => (await page.getByLabel("Queue URI").inputValue()) === queueUrl);
    if (!(await page.getByLabel("More keys").inputValue()).includes("throttle_delay: 1s")) throw new Error("keys are missing");
    await page.getByLabel("Workers").fill("5");
    await button("Save").click();
    await has(`${NAME} was changed.`);
    await has("/ 5");
    await picture("listener");
  },
  "a drained listener starts again when it is resumed": async () => {
    await button("Drain…").click();
    await button("Drain it").click();
    await has(`${NAME} is drained.`);
    await until("resumable", () => button("Resume").first().isVisible());
    await button("Resume").first().click();
    await untilState("Idle", "Flowing", "Starting", "Dead letters");
  },
  "a listener is deleted after its name was typed": async () => {
    await button("Delete…").click();
    await page.getByLabel(`Type ${NAME} to confirm`).fill("refund");
    if (await button("Delete this listener").isEnabled()) throw new Error("a wrong name deletes");
    await page.getByLabel(`Type ${NAME} to confirm`).fill(NAME);
    await button("Delete this listener").click();
    await has(`${NAME} was deleted.`);
    await until("gone from the list", async () => (await page.getByRole("link", { name: NAME, exact: true }).count()) === 0);
    await noBarriers(page, "after all");
  },
});
await chrome.close();
