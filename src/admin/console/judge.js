// What is to be said of a listener: its state in a word, and what is wrong, since when, and what to do.
// Everything is read from one entry of the status, so that list and page say the same.

import { count, lasting, many } from "./text.js";

/** How bad a state is; the list shows the worst first. */
export const TONES = ["bad", "warn", "held", "good", "idle"];

/** The gates of a listener that are not open, its own first. */
export function closedGates(listener) {
  const all = [
    { whose: "its own gate", gate: listener.gate },
    { whose: `the gate of endpoint ${listener.endpoint}`, gate: listener.endpoint_gate },
  ];
  return all.filter(({ gate }) => gate && gate.state !== "open");
}

/** The last refusal of an endpoint in a few words, with the pause it asked for. */
export function refusalWords(refusal) {
  if (!refusal) return null;
  const seconds = refusal.retry_after_seconds;
  const names = { retry_after: "the endpoint asked for a pause", throttled: "429", overloaded: "502, 503 or 504" };
  return `${names[refusal.reason] ?? refusal.words}${seconds ? `: Retry-After ${seconds} s` : ""}`;
}

/** A gate in one sentence: since when it is closed, why, and when the next message tries. */
export function gateWords(gate, adaptive) {
  if (!gate) return "–";
  if (gate.state === "open") return "open";
  const begun = gate.closed_seconds === null ? gate.state : `${gate.state === "closed" ? "closed" : `${gate.state}, closed`} for ${lasting(gate.closed_seconds)}`;
  const asked = adaptive?.last_refusal?.retry_after_seconds;
  const why = gate.words ? `: ${gate.words}` : "";
  const told = gate.reason === "retry_after" && asked ? `, for ${asked} s` : "";
  return `${begun}${why}${told}${nextTry(gate)}`;
}

function nextTry(gate) {
  if (gate.state === "probing") return "; a try is out now";
  return gate.next_probe_seconds ? `; next try in ${lasting(gate.next_probe_seconds)}` : "; the next try is due";
}

/** Messages of a listener that are here. */
export function inFlight(listener) {
  return Object.values(listener.messages ?? {}).reduce((sum, number) => sum + number, 0);
}

/** Letters in its dead-letter queue; null where unknown. */
export function letters(listener) {
  const depth = listener.dead_letter_queue?.depth;
  return depth ? depth.visible + depth.not_visible + depth.delayed : null;
}

/**
 * `{tone, word, what, since, fix, act}`: how it is; `since` in seconds; `act` names a button that helps.
 * One thing is said, the worst: what a person should look at first.
 */
export function judge(listener, endpoint, rates = null) {
  const { state, why, failures } = listener;
  if (state === "faulted") return of("bad", "Faulted", why ?? "A person has to act.", null, splitFix(why));
  if (state === "unreachable") {
    return of("bad", "Unreachable", why ?? "Its queue cannot be read.", null, splitFix(why));
  }
  if (listener.not_receiving === "draining") {
    return of("held", "Draining", "It receives nothing more and finishes what runs.", null, "Resume starts it again.", "resume");
  }
  const [closed] = closedGates(listener);
  if (closed) return ofGate(closed, listener, endpoint);
  if (listener.paused) {
    const waiting = listener.queue_depth?.visible;
    const what = waiting ? `Paused by hand while ${many(waiting, "message")} ${waiting === 1 ? "waits" : "wait"}.` : "Paused by hand.";
    return of("held", "Paused", what, null, "Resume when it may receive again.", "resume");
  }
  if (state === "degraded") {
    return of("bad", "Degraded", why ?? "Nothing is delivered.", failures?.lasting_seconds, "Look at its recent failures.", "failures");
  }
  if (listener.not_receiving === "settle_fault") {
    return of("bad", "Deletes fail", "SQS refuses its deletes or hidings, so nothing is received.", null,
      "See /readyz?verbose and the log: mostly a permission of the role is missing.");
  }
  if (failures?.in_a_row >= 3) {
    return of("warn", "Failing", `${many(failures.in_a_row, "delivery", "deliveries")} in a row failed: ${failures.last ?? "see its failures"}.`,
      failures.lasting_seconds, "Look at its recent failures.", "failures");
  }
  return ofQuiet(listener, rates);
}

function of(tone, word, what, since = null, fix = "", act = null) {
  return { tone, word, what: sentence(what), since, fix: sentence(fix), act };
}

function ofGate({ gate, whose }, listener, endpoint) {
  const asked = endpoint?.adaptive?.last_refusal?.retry_after_seconds;
  const told = gate.reason === "retry_after" && asked ? ` It asked for ${asked} s.` : "";
  const next = gate.state === "probing" ? "One message tries it now."
    : gate.next_probe_seconds ? `Next try in ${lasting(gate.next_probe_seconds)}.` : "The next try is due.";
  const what = `${sentence(gate.words ?? `${whose} is not open`)}${told} ${next}`.trim();
  const hard = ["unreachable", "unauthorized", "misdirected"].includes(gate.reason) || listener.state === "degraded";
  return of(hard ? "bad" : "warn", gate.state === "probing" ? "Gate probing" : "Gate closed", what, gate.closed_seconds,
    gate.fix ?? "");
}

function ofQuiet(listener, rates) {
  const dead = letters(listener);
  if (dead) {
    return of("warn", "Dead letters", `${many(dead, "message")} in ${listener.dead_letter_queue.name} failed for good.`, null,
      "Look at them, mend the cause, then redrive.", "letters");
  }
  if (listener.state === "pending") return of("idle", "Starting", "Its queue was not read yet.");
  if (inFlight(listener) > 0 || rates?.deleted > 0) return of("good", "Flowing", "Messages are being delivered.");
  const waiting = listener.queue_depth?.visible;
  if (listener.parked || listener.deferred) {
    const hidden = listener.parked + listener.deferred;
    return of("good", "Waiting", `${many(hidden, "message")} ${hidden === 1 ? "is" : "are"} hidden until the next try.`);
  }
  return waiting ? of("good", "Flowing", "Messages are being delivered.") : of("good", "Idle", "Its queue is empty.");
}

/** Texts of the process end with what to do, behind a semicolon; where there is none the log has more. */
function splitFix(why) {
  return why?.includes(";") ? "" : "See /readyz?verbose and the log for the fix.";
}

function sentence(text) {
  if (!text) return "";
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}

/** Why nothing is received just now, in a few words. */
export function receiving(listener) {
  const words = {
    draining: "no, it drains", paused: "no, it is paused",
    standing_by: "no, it stands by: other processes have the endpoint's sessions", settle_fault: "no, SQS refuses its deletes or hidings",
    back_off: "no, it backs off from SQS", gathering: "yes", gate_closed: "no, a gate is closed", no_slot: "no, all its workers have a message",
    no_room: "no, the endpoint's sessions or rate are used up",
  };
  const why = listener.not_receiving;
  if (why === null || why === undefined) return listener.paused ? "one last time" : "yes";
  return words[why] ?? `no: ${why}`;
}

/** What the endpoint was found to take, in words. */
export function learned(endpoint) {
  const adaptive = endpoint?.adaptive;
  if (!adaptive) return "–";
  if (!adaptive.enabled) return "not learned: its limits are fixed";
  const rate = adaptive.rate === null ? "" : `, ${adaptive.rate < 10 ? adaptive.rate.toFixed(1) : count(Math.round(adaptive.rate))} a second`;
  const by = { rate: "; the rate holds POSTs back", concurrency: "; the number at once holds POSTs back" };
  return `${count(Math.floor(adaptive.limit))} at once${rate}${by[adaptive.limited_by] ?? ""}`;
}
