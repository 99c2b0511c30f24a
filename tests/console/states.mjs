// What the fake process shows: one listener in each state that has a design of its own.

import { depth, endpoint, gate, history, listener, totals } from "./fake.mjs";

const wave = (index, most) => Math.round(most * (0.65 + 0.35 * Math.sin(index / 4)));

/** A busy process, with something wrong in several ways. */
export function busy() {
  const throttled = gate("closed", "retry_after", "the endpoint asked for a pause (Retry-After)", 23, 4, "nothing, if it passes; else lower workers, sessions or rate_limit to what the endpoint takes, or give it more room");
  const dead = gate("probing", "unreachable", "the endpoint cannot be connected to", 840, null, "see whether the endpoint runs, and check its address, DNS, and the firewall between; `queuepost check` connects to it");
  const listeners = [
    listener("orders", { endpoint: "https://orders.example", messages: { waiting: 2, held: 0, delivering: 9, settling: 1 }, workers: { limit: 16, in_use: 12, reserved: 0 },
      totals: totals({ received: 48_211, deleted: 48_020, parked: 120, deferred: 59 }), queue_depth: depth(1_204, { not_visible: 31 }), oldest_age_seconds: 96 }),
    listener("invoices", { endpoint: "https://billing.example", endpoint_gate: throttled, not_receiving: "gate_closed", parked: 84, messages: { waiting: 3, held: 0, delivering: 0, settling: 0 }, workers: { limit: 16, in_use: 3, reserved: 0 },
      totals: totals({ received: 9_120, deleted: 8_640, parked: 470 }), failures: { deliveries: 470, final_receives: 0, in_a_row: 12, lasting_seconds: 31, last_seconds_ago: 3, last: "429" }, queue_depth: depth(3_310, { not_visible: 87 }), oldest_age_seconds: 310 }),
    listener("thumbnails", { endpoint: "http://resize.internal:8080", state: "degraded", why: "no delivery has succeeded for 840 s; the last failed 3 s ago: connection_refused", endpoint_gate: dead, not_receiving: "gate_closed",
      messages: { waiting: 0, held: 15, delivering: 1, settling: 0 }, workers: { limit: 16, in_use: 16, reserved: 0 }, totals: totals({ received: 700, deleted: 684 }), queue_depth: depth(5_002), oldest_age_seconds: 852 }),
    listener("refunds", { endpoint: "https://orders.example", totals: totals({ received: 311, deleted: 276, deferred: 30, dead_lettered: 5 }), dead_letter_queue: { name: "refunds-dlq", depth: depth(17), why: null },
      failures: { deliveries: 35, final_receives: 17, in_a_row: 0, lasting_seconds: null, last_seconds_ago: null, last: null } }),
    listener("audit", { endpoint: "https://audit.example", state: "faulted", why: "ReceiveMessage was denied: the role may not receive from audit; allow sqs:ReceiveMessage to arn:aws:iam::123456789012:role/queuepost", fault: "denied", not_receiving: "back_off", queue_depth: null, dead_letter_queue: null, max_receives: null }),
    listener("newsletter", { endpoint: "https://mail.example", paused: true, not_receiving: "paused", queue_depth: depth(52), totals: totals({ received: 1_900, deleted: 1_900 }) }),
    listener("reports", { endpoint: "https://reports.example", totals: totals({ received: 4_031, deleted: 4_031 }) }),
  ];
  const limited = { enabled: true, limit: 14, rate: 7.2, limited_by: "rate", last_refusal: { reason: "retry_after", words: "the endpoint asked for a pause (Retry-After)", retry_after_seconds: 20 } };
  const endpoints = [
    endpoint("https://orders.example", { sessions: { limit: 32, in_use: 9 } }), endpoint("https://billing.example", { gate: throttled, adaptive: limited }),
    endpoint("http://resize.internal:8080", { gate: dead }), endpoint("https://audit.example"), endpoint("https://mail.example"), endpoint("https://reports.example"),
  ];
  const histories = {
    orders: history("orders", (index) => ({ deleted: wave(index, 60), parked: index > 20 && index < 27 ? 14 : 0, deferred: index % 17 === 0 ? 6 : 0 })),
    invoices: history("invoices", (index) => ({ deleted: index < 50 ? wave(index, 24) : 4, parked: index >= 48 ? 26 : index % 11 === 0 ? 5 : 0 })),
    thumbnails: history("thumbnails", (index) => ({ deleted: index < 4 ? 30 : 0 })),
    refunds: history("refunds", (index) => ({ deleted: index % 3 === 0 ? 4 : 1, deferred: index > 30 && index < 50 ? 3 : 0, dead_lettered: index > 40 && index < 50 ? 2 : 0 })),
    newsletter: history("newsletter", (index) => ({ deleted: index < 30 ? 12 : 0 })),
    reports: history("reports", (index) => ({ deleted: wave(index, 9) })),
  };
  return { status: { version: "0.1.0", revision: "abc1234", phase: "running", listeners, endpoints }, histories, failures: { invoices: throttles(), refunds: rejections() } };
}

function throttles() {
  const one = (index) => ({
    id: `ba5ab4a5-ba9a-4a4e-8a3c-5cdb1b0f1d${50 + index}`, time: new Date(Date.now() - 3_000 - index * 2_500).toISOString(), receive: 1 + (index % 3), max_receives: 10, final: false,
    outcome: "throttled", status: 429, reason: "too_many_requests", then: "parked for 300 s", times: 1, error: null, answer: "{\"error\":\"too many requests\",\"retry_after\":20}",
    fix: "nothing, if it passes; else lower workers, sessions or rate_limit to what the endpoint takes, or give it more room",
  });
  return Array.from({ length: 14 }, (_, index) => one(index));
}

function rejections() {
  return [{
    id: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", time: new Date(Date.now() - 190_000).toISOString(), receive: 10, max_receives: 10, final: true, outcome: "rejected", status: 422, reason: "rejected",
    then: "final receive (10 of 10): refunds-dlq next", times: 1, error: null, answer: "{\"error\":\"customer 42 is unknown\"} <img src=x onerror=alert(1)>",
    fix: "look into the endpoint's log for the message id; mend the sender or the endpoint, or choose dead_letter or delete for 422 under on_response",
  }];
}

/** Letters as a look at them shows. */
export const LETTERS = {
  listener: "refunds", queue: "refunds-dlq", note: "Each look costs a letter one receive.",
  messages: [
    { id: "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0", sent_at: new Date(Date.now() - 3_600_000).toISOString(), receives: 11, body: "{\"refund\": 42, \"customer\": \"unknown\"}", body_cut: false, attributes: { tenant: "acme" }, reason: "rejected", status: 422 },
    { id: "1f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f1", sent_at: new Date(Date.now() - 5_600_000).toISOString(), receives: 10, body: "{\"refund\": 43, \"customer\": \"<b>none</b>\"}", body_cut: true, attributes: {}, reason: null, status: null },
  ],
};
