// What every test of the console needs: a browser, pages that report their errors, axe, and steps by name.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { chromium } from "playwright-core";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
/** How long anything may take on a busy machine. */
export const PATIENCE = 60_000;

export const SIZES = { desk: { width: 1_280, height: 900 }, phone: { width: 390, height: 844 } };

/** A browser with a profile of its own. */
export function browser() {
  return chromium.launch({ executablePath: process.env.QUEUEPOST_CHROMIUM ?? "/usr/bin/chromium", args: FLAGS });
}

/** A page; whatever it complains of is a failure, but for requests that were meant to fail. */
export async function open(chrome, url, { scheme = "light", size = SIZES.desk, quiet = true } = {}) {
  const context = await chrome.newContext({ colorScheme: scheme, viewport: size, reducedMotion: "reduce" });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  page.complaints = [];
  page.on("pageerror", (error) => page.complaints.push(error.stack));
  page.on("console", (message) => {
    const text = message.text();
    const isOfNetwork = text.startsWith("Failed to load resource");
    if (message.type() === "error" && !(quiet && isOfNetwork)) page.complaints.push(text);
  });
  await page.goto(url);
  return page;
}

/** Fails if axe finds a barrier, if the page is wider than the screen, or if it complained. */
export async function noBarriers(page, where) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const told = found.violations.map(({ id, help, nodes }) => `${id}: ${help}\n    ${nodes.slice(0, 3).map((node) => `${node.html.slice(0, 200)} ${node.failureSummary}`).join("\n    ")}`);
  if (told.length > 0) throw new Error(`${where}: axe found\n  ${told.join("\n  ")}`);
  if (found.passes.length === 0) throw new Error(`${where}: axe looked at nothing`);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  if (wide > 0) throw new Error(`${where}: the page is ${wide} pixels wider than the screen`);
  if (page.complaints.length > 0) throw new Error(`${where}: the page complains: ${page.complaints.join("\n")}`);
}

/** Waits until `is` is true of the page; `what` names it. */
export async function until(what, is, patience = PATIENCE) {
  const end = Date.now() + patience;
  let last;
  do {
    try {
      last = await is();
      if (last) return last;
    } catch (error) {
      last = error.message;
    }
    await new Promise((done) => setTimeout(done, 50));
  } while (Date.now() < end);
  throw new Error(`not so in time: ${what} (${last})`);
}

/** Runs steps one after another, and says which one failed. */
export async function steps(page, all) {
  for (const [name, step] of Object.entries(all)) {
    try {
      await step();
      console.log(`ok ${name}`);
    } catch (error) {
      const shown = await page.evaluate(() => document.body.innerText).catch(() => "");
      const picture = process.env.QUEUEPOST_SHOTS && `${process.env.QUEUEPOST_SHOTS}/failed.png`;
      if (picture) await page.screenshot({ path: picture });
      console.log(`The page then:\n${shown}\n\nfailed ${name}: ${error.stack}`);
      process.exit(1);
    }
  }
}
