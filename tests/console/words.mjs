// What the console says and reckons, without a browser: keys as lines, times as words, rates, and what is wrong.

import assert from "node:assert/strict";
import { depth, endpoint, gate, listener, totals } from "./fake.mjs";
import { asLines, fromLines } from "./console/keylines.js";
import { gateWords, judge } from "./console/judge.js";
import { Rates } from "./console/rates.js";
import { lasting, perSecond } from "./console/text.js";

const tests = {
  "keys come back from their lines as they were": () => {
    const keys = {
      timeout: "30s", workers: 4, paused: false, success: "200", name: "007", batch: { size: 5, window: "1s" }, headers: { "X-A.b": { env: "SECRET" } },
      on_response: [{ status: 422, action: "dead_letter" }], note: " spaced ", empty: "", template: { body: "a\nb" },
    };
    assert.deepEqual(fromLines(asLines(keys)), keys);
  },
  "lines a person writes are read as the file would": () => {
    const read = fromLines("# a remark\n\nworkers: 4\nurl: http://h/p?a=b:c\nbatch.size: 5\nno pair\nheaders.V: 1.10\n__proto__.polluted: 1");
    assert.deepEqual(read, { workers: 4, url: "http://h/p?a=b:c", batch: { size: 5 }, "no pair": "", headers: { V: "1.10" } });
    assert.equal({}.polluted, undefined);
  },
  "times have two parts at most": () => {
    const words = [0, 59, 60, 250, 3_599, 3_600, 7_500, 86_400, 270_000].map(lasting);
    assert.deepEqual(words, ["0 s", "59 s", "1 min", "4 min 10 s", "59 min 59 s", "1 h", "2 h 5 min", "1 day", "3 days 3 h"]);
    assert.deepEqual([null, 0, 0.04, 3.14, 1_234.5].map(perSecond), ["–", "0/s", "< 0.1/s", "3.1/s", "1,235/s"]);
  },
  "rates look back ten seconds, through silence and a restart": () => {
    const rates = new Rates();
    const note = (deleted, at) => rates.note({ listeners: [{ name: "a", totals: totals({ received: deleted, deleted }) }] }, at);
    const rate = (at) => rates.of("a", at)?.deleted ?? null;
    note(1_000, 0);
    assert.equal(rate(0), null);
    note(1_050, 5_000);
    assert.equal(rate(5_000), 10);
    for (let at = 6_000; at <= 30_000; at += 1_000) note(1_050, at);
    assert.equal(rate(30_000), 0);
    note(10, 31_000);
    assert.equal(rate(31_000), null, "a process that started again has no rate yet");
    note(40, 34_000);
    assert.equal(rate(34_000), 10);
    rates.note({ listeners: [] }, 35_000);
    assert.equal(rates.of("a", 35_000), null);
  },
  "the worst is said first, with what to do": () => {
    const shut = gate("closed", "throttled", "the endpoint throttles every request (429)", 30, 0, "nothing, if it passes");
    const cases = [
      [{}, "Idle"], [{ queue_depth: depth(3) }, "Flowing"], [{ parked: 2 }, "Waiting"], [{ state: "pending" }, "Starting"], [{ paused: true }, "Paused"],
      [{ paused: true, endpoint_gate: shut }, "Gate closed"], [{ state: "faulted", why: "denied; allow it", endpoint_gate: shut }, "Faulted"],
      [{ not_receiving: "draining", endpoint_gate: shut }, "Draining"], [{ not_receiving: "settle_fault" }, "Deletes fail"], [{ state: "degraded", why: "nothing" }, "Degraded"],
      [{ failures: { in_a_row: 3, lasting_seconds: 4, last: "500" }, dead_letter_queue: { name: "q", depth: depth(1) } }, "Failing"],
      [{ dead_letter_queue: { name: "q", depth: depth(0, { not_visible: 1 }) } }, "Dead letters"], [{ dead_letter_queue: { name: "q", depth: null, why: "denied" } }, "Idle"],
    ];
    for (const [over, word] of cases) assert.equal(judge(listener("a", over), endpoint("e")).word, word, JSON.stringify(over));
    const said = judge(listener("a", { endpoint_gate: shut }), endpoint("e"));
    assert.deepEqual([said.what, said.since, said.fix], ["The endpoint throttles every request (429). The next try is due.", 30, "Nothing, if it passes."]);
    assert.equal(gateWords(shut), "closed for 30 s: the endpoint throttles every request (429); the next try is due");
  },
};

for (const [name, test] of Object.entries(tests)) {
  test();
  console.log(`ok ${name}`);
}
