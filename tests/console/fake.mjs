// An admin port that says what a test wants: states that a real process reaches seldom or late.
// It serves the console's own files, and answers of the shapes that docs/openapi.json has.

import { createServer } from "node:http";
import { readFileSync } from "node:fs";
import { join } from "node:path";

const TYPES = { html: "text/html; charset=utf-8", css: "text/css", js: "text/javascript", svg: "image/svg+xml" };
const POLICY = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; form-action 'none'; frame-ancestors 'none'; base-uri 'none'";
export const TOKEN = "planted-token-0123456789";

const open = { state: "open", reason: null, words: null, fix: null, closed_seconds: null, next_probe_seconds: null };

/** A listener of the status; `over` replaces what is special of it. */
export function listener(name, over = {}) {
  return {
    name, queue: name, endpoint: "https://api.example", state: "healthy", fault: null, why: null, paused: false, workers_configured: 16,
    workers: { limit: 16, in_use: 0, reserved: 0 }, messages: { waiting: 0, held: 0, delivering: 0, settling: 0 }, parked: 0, deferred: 0,
    not_receiving: null, totals: totals(), failures: { deliveries: 0, final_receives: 0, in_a_row: 0, lasting_seconds: null, last_seconds_ago: null, last: null },
    recent_failures: null, queue_depth: depth(0), dead_letter_queue: { name: `${name}-dlq`, depth: depth(0), why: null }, max_receives: 10, oldest_age_seconds: 0,
    gate: open, endpoint_gate: open, scaling: { gates_open: 1, workers_in_use: 0 }, ...over,
  };
}

export function totals(over = {}) {
  return { received: 0, deleted: 0, parked: 0, deferred: 0, released: 0, dead_lettered: 0, abandoned: 0, ...over };
}

export function depth(visible, over = {}) {
  return { visible, not_visible: 0, delayed: 0, age_seconds: 12, ...over };
}

export function gate(state, reason, words, closed, next, fix = null) {
  return { state, reason, words, fix, closed_seconds: closed, next_probe_seconds: next };
}

export function endpoint(name, over = {}) {
  return {
    name, sessions: { limit: 32, in_use: 3 }, gate: open,
    adaptive: { enabled: true, limit: 32, rate: null, limited_by: null, last_refusal: null }, ...over,
  };
}

/** Fifteen minutes; `shape` says what happened in step 0 to 59. */
export function history(name, shape) {
  const now = Date.now();
  const point = (_, index) => ({ time: new Date(now - (59 - index) * 15_000).toISOString(), ...totals(shape(index)) });
  return { listener: name, step_seconds: 15, points: Array.from({ length: 60 }, point) };
}

/** A process with its documents; tests change them while it runs. */
export class Fake {
  constructor(folder, documents = {}) {
    this.folder = folder;
    this.status = { version: "0.1.0", revision: "abc1234", phase: "running", listeners: [], endpoints: [] };
    this.session = {
      changes: "token_needed", writable_listeners: true, listeners_dir: "/etc/queuepost/listeners",
      process: { version: "0.1.0", revision: "abc1234", started: new Date(Date.now() - 7_380_000).toISOString(), host: "queuepost-7d9f-x2x9k" }, note: null,
    };
    this.histories = {};
    this.failures = {};
    this.answers = {};
    Object.assign(this, documents);
    this.clients = new Set();
    this.asked = [];
    this.server = createServer((request, response) => this.answer(request, response));
  }

  start(port = 0) {
    return new Promise((done) => this.server.listen(port, "127.0.0.1", () => done(`http://127.0.0.1:${this.server.address().port}/`)));
  }

  stop() {
    this.server.closeAllConnections();
    return new Promise((done) => this.server.close(done));
  }

  /** Tells all watchers of the status as it is now. */
  tell() {
    for (const client of this.clients) client.write(`event: status\ndata: ${JSON.stringify(this.status)}\n\n`);
  }

  answer(request, response) {
    const path = new URL(request.url, "http://fake").pathname;
    const send = (status, body, headers = {}) => { response.writeHead(status, { "content-type": "application/json", ...headers }); response.end(typeof body === "string" ? body : JSON.stringify(body)); };
    const file = path === "/" ? "index.html" : path.startsWith("/console/") ? path.slice(9) : null;
    if (file) return send(200, readFileSync(join(this.folder, file), "utf8"), { "content-type": TYPES[file.split(".").pop()], "content-security-policy": POLICY });
    if (path === "/api/v1/events" && this.hasNoEvents) return send(503, { error: "32 clients follow the events already", fix: "close one of them" });
    if (path === "/api/v1/events") {
      response.writeHead(200, { "content-type": "text/event-stream" });
      response.write(`retry: 2000\nevent: status\ndata: ${JSON.stringify(this.status)}\n\n`);
      this.clients.add(response);
      response.on("close", () => this.clients.delete(response));
      return undefined;
    }
    const shown = request.headers.authorization;
    const isRight = shown === `Bearer ${TOKEN}`;
    if (shown && !isRight) return send(401, { error: "this is not the token of this process", fix: "send `Authorization: Bearer TOKEN`" });
    if (path === "/api/v1/session") return send(200, { ...this.session, changes: isRight && this.session.changes !== "off" ? "allowed" : this.session.changes });
    if (path === "/api/v1/status") return send(200, this.status);
    this.asked.push(`${request.method} ${path}`);
    const [, name, route = ""] = path.match(/^\/api\/v1\/listeners\/([^/]+)\/?(.*)$/) ?? [];
    const answer = this.answers[`${request.method} ${name ? `${name}/${route}` : path}`];
    if (answer) return send(...answer);
    const document = name && this.ofListener(name, isRight)[route];
    return document ? send(200, document) : send(404, { error: "there is no such path here", fix: "GET / lists the paths" });
  }

  /** What is read of a listener, by route; its keys are for who has the token. */
  ofListener(name, isRight) {
    const file = `/etc/queuepost/listeners/${name}.json`;
    return {
      history: this.histories[name] ?? history(name, () => ({})),
      failures: { listener: name, recent_failures: this.failures[name] ?? [] },
      redrive: { listener: name, state: "none", way: null, moved: 0, total: null, failed: 0, started: null, ended: null, error: null },
      configuration: {
        listener: name, origin: "directory", file, line: 1, editable: true, object: null,
        keys: isRight ? { name, queue: `https://sqs.eu-west-1.amazonaws.com/123456789012/${name}`, url: "https://api.example/events", workers: 16, headers: { Authorization: "REDACTED" }, batch: { size: 5 } } : null,
        all: isRight ? [{ key: "workers", value: "16", from: "default" }, { key: "batch.size", value: "5", from: `${file}:3:18` }] : null,
      },
    };
  }
}
