// Every view and every state that has a design, in light, dark and on a phone: axe finds nothing, and the words are right.
// The process is a fake, since a real one is seldom faulted, gone and draining when a test wants it to be.
//
//   node barriers.mjs FOLDER_OF_THE_CONSOLE [FOLDER_FOR_PICTURES]

import { join } from "node:path";
import { Fake, TOKEN, listener } from "./fake.mjs";
import { SIZES, browser, noBarriers, open, steps, until } from "./kit.mjs";
import { LETTERS, busy } from "./states.mjs";

const [folder, pictures] = process.argv.slice(2);
const chrome = await browser();
for (const [name, scheme, size] of [["light", "light", SIZES.desk], ["dark", "dark", SIZES.desk], ["phone", "light", SIZES.phone], ["phone-dark", "dark", SIZES.phone]]) {
  await tour(name, scheme, size);
}
await chrome.close();

async function tour(name, scheme, size) {
  const fake = new Fake(folder, busy());
  fake.answers["POST refunds/dead-letters/peek"] = [200, LETTERS];
  fake.answers["GET refunds/redrive"] = [200, { listener: "refunds", state: "running", way: "by_hand", moved: 6, total: 17, failed: 0, started: new Date().toISOString(), ended: null, error: null }];
  fake.answers["POST /api/v1/check"] = [200, { valid: false, advice: ["a queue without a dead-letter queue tries a message until it expires"], checks: [{ what: "endpoint", status: "warning", detail: "it answers slowly", fix: "see whether it is healthy" }], queue: { ok: false, words: "no queue has this name" }, post: null, problems: [{ key: "workers", words: "0 is too few", fix: "1 to 10,000" }, { key: "batch.size", words: "must be a number", fix: "write one" }] }];
  const url = await fake.start();
  const port = Number(new URL(url).port);
  const page = await open(chrome, url, { scheme, size });
  const { has, picture, go } = helpers(page, name);
  await steps(page, {
    [`${name}: the list says what is wrong, since when and what to do`]: async () => {
      await has("4 of 7 listeners need attention");
      await has("What to do: Look at them, mend the cause, then redrive.");
      await has("for 14 min");
      await until("two rates", async () => { fake.status.listeners[0].totals.deleted += 2; fake.tell(); return /[1-9][\d.,]*\/s/.test(await page.getByRole("row", { name: /^orders / }).innerText()); });
      await picture("list");
      await noBarriers(page, `${name} list`);
    },
    [`${name}: the list is filtered and sorted, and the address keeps it`]: async () => {
      await page.fill("#filter", "ref");
      await until("one row", async () => (await page.locator("table.list tbody tr").count()) === 1);
      await page.fill("#filter", "nothing like it");
      await has("No listener matches");
      await noBarriers(page, `${name} nothing matches`);
      await page.click("text=Show all");
      if (size === SIZES.desk) {
        await page.click("th >> text=Waiting");
        await until("the fullest first", async () => (await page.locator("table.list tbody th a").first().innerText()) === "thumbnails");
        if (!page.url().includes("sort=waiting")) throw new Error(page.url());
      }
      await page.click("button.group >> text=Paused");
      await until("one row", async () => (await page.locator("table.list tbody tr").count()) === 1);
    },
    [`${name}: without the token everything is read-only, and says so`]: async () => {
      await go("#/listeners/invoices");
      await has("Read-only: no token was entered.");
      await page.click("button:has-text('Pause')");
      await has("Enter the token");
      await noBarriers(page, `${name} token`);
      await page.fill("dialog input", "a wrong token, surely");
      await page.click("text=Use this token");
      await has("this is not the token of this process");
      await page.fill("dialog input", TOKEN);
      await page.click("text=Use this token");
      await has("Changes allowed");
    },
    [`${name}: a listener's page has gate, limits, chart and failures in words`]: async () => {
      await has("The endpoint asked for a pause (Retry-After). It asked for 20 s.");
      await has("closed for 23 s: the endpoint asked for a pause (Retry-After), for 20 s; next try in 4 s");
      await has("14 at once, 7.2 a second; the rate holds POSTs back");
      await until("a chart", () => page.locator("svg.chart[aria-label*='delivered']").count());
      await until("failures", () => page.locator(".failures tbody tr").count());
      await picture("listener");
      await noBarriers(page, `${name} listener`);
    },
    [`${name}: text of others stays text`]: async () => {
      await go("#/listeners/refunds");
      await has("<img src=x onerror=alert(1)>");
      if (await page.locator("main img").count() > 0) throw new Error("an answer became an image");
      await has("Redrive runs: 6 of 17 sent back.");
      await page.click("text=Look at letters…");
      await page.click("dialog button[type=submit]");
      await has("<b>none</b>");
      await picture("letters", false);
      await noBarriers(page, `${name} letters`);
      await page.click("text=Redrive this one…");
      await noBarriers(page, `${name} redrive`);
      await page.keyboard.press("Escape");
    },
    [`${name}: the form shows each problem at its field`]: async () => {
      await page.keyboard.press("n");
      await has("Queue URI");
      await page.fill("textarea.code", "batch.size: many");
      await noBarriers(page, `${name} form`);
      await page.getByRole("button", { name: "Test", exact: true }).click();
      await has("0 is too few; 1 to 10,000");
      await has("batch.size: must be a number");
      await until("marked", () => page.locator("[aria-invalid=true]").count());
      await picture("form");
      await noBarriers(page, `${name} problems`);
    },
    [`${name}: help and dialogs by keyboard`]: async () => {
      await go("#/listeners/orders");
      await has("Send a message…");
      await page.keyboard.press("?");
      await has("Keyboard and words");
      await noBarriers(page, `${name} help`);
      await page.keyboard.press("Escape");
      for (const action of ["workers", "test", "send", "drain", "delete"]) {
        await page.click(`[data-action=${action}]`);
        await noBarriers(page, `${name} ${action}`);
        await page.keyboard.press("Escape");
        await until("closed", async () => (await page.locator("dialog").count()) === 0);
        if (!await page.evaluate((wanted) => document.activeElement.dataset.action === wanted, action)) throw new Error("focus did not come back");
      }
    },
    [`${name}: a listener that is gone, an empty process, one that drains`]: async () => {
      await go("#/listeners/nobody");
      await has("No such listener");
      await noBarriers(page, `${name} gone`);
      fake.status = { ...fake.status, listeners: [], phase: "draining" };
      await go("#/");
      fake.tell();
      await has("No event listeners yet");
      await has("This process drains");
      await noBarriers(page, `${name} empty`);
      fake.status = { ...fake.status, listeners: [listener("orders")], phase: "running" };
      fake.tell();
      await has("Nothing is wrong with the one listener.");
    },
    [`${name}: a process that is gone is told of, and found again`]: async () => {
      await fake.stop();
      await has("The process does not answer; what is shown is old.");
      await until("seconds", async () => /Last seen \d+ s ago/.test(await page.locator("#connection").innerText()));
      await picture("gone", false);
      await noBarriers(page, `${name} not connected`);
      const again = new Fake(folder, { ...busy(), hasNoEvents: true, session: { ...fake.session, changes: "off", note: "set admin.allow_changes: true and admin.token_file, and restart" } });
      await again.start(port);
      await until("live", async () => (await page.locator("#connection").innerText()).startsWith("Live"));
      await has("4 of 7 listeners need attention");
      // Without events the status is asked for again and again.
      await has("Live, asked every 2 s");
      again.status.listeners[0].paused = true;
      await has("Paused by hand while 1,204 messages wait.");
      await has("Read-only: changes are off in this process.");
      await again.stop();
    },
  });
  await page.context().close();
}

function helpers(page, name) {
  return {
    has: (text) => page.getByText(text).first().waitFor({ state: "attached" }).catch(() => { throw new Error(`missing: ${text}`); }),
    go: async (hash) => { await page.evaluate((wanted) => { location.hash = wanted; }, hash); },
    picture: async (what, fullPage = true) => {
      if (!pictures) return;
      // A note that goes away by itself would hide what the picture is for.
      await page.evaluate(() => document.getElementById("toasts").replaceChildren());
      await page.screenshot({ path: join(pictures, `console-${what}-${name}.png`), fullPage });
    },
  };
}
