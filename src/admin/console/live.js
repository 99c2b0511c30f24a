// The status as it changes: by Server-Sent Events, and by asking again and again where those do not come.
// While the tab is hidden nothing is asked, since the process serves a limited number of watchers.

import { read } from "./api.js";

const POLL_MS = 2_000;
/** Events come when something changes. After so long without one the status is asked for, to be sure. */
const SILENCE_MS = 12_000;
/** How long to poll before events are tried again. */
const RETRY_MS = 30_000;

export class Live {
  /** `onStatus` gets each status, `onConnection` what `connection` says, once a second at least. */
  constructor({ onStatus, onConnection }) {
    Object.assign(this, { onStatus, onConnection });
    this.lastSeen = null;
    this.failed = false;
    this.source = null;
    this.asking = false;
    this.triedAt = 0;
    this.askedAt = 0;
  }

  start() {
    document.addEventListener("visibilitychange", () => (document.hidden ? this.pause() : this.resume()));
    // A page in the history of the browser keeps no connection.
    addEventListener("pagehide", () => this.pause());
    addEventListener("pageshow", () => this.resume());
    this.resume();
  }

  resume() {
    if (this.timer) return;
    this.listen();
    this.timer = setInterval(() => this.tick(), 1_000);
    this.ask();
  }

  pause() {
    clearInterval(this.timer);
    this.timer = null;
    this.close();
  }

  close() {
    this.source?.close();
    this.source = null;
  }

  listen() {
    this.triedAt = Date.now();
    this.source = new EventSource("api/v1/events");
    this.source.addEventListener("status", (event) => this.took(JSON.parse(event.data)));
    this.source.addEventListener("error", () => {
      // The browser connects again by itself, unless the process refused. Asking tells which it is.
      if (this.source?.readyState === EventSource.CLOSED) this.close();
      this.ask();
    });
  }

  tick() {
    const now = Date.now();
    if (!this.source && now - this.triedAt > RETRY_MS) this.listen();
    const every = this.hasEvents() && !this.failed ? SILENCE_MS : POLL_MS;
    if (now - Math.max(this.lastSeen ?? 0, this.askedAt) >= every) this.ask();
    this.onConnection(this.connection());
  }

  hasEvents() {
    return this.source?.readyState === EventSource.OPEN;
  }

  async ask() {
    if (this.asking) return;
    this.asking = true;
    this.askedAt = Date.now();
    try {
      this.took(await read("api/v1/status?failures=0", { wait: 8_000 }));
    } catch {
      this.failed = true;
      this.onConnection(this.connection());
    } finally {
      this.asking = false;
    }
  }

  took(status) {
    this.lastSeen = Date.now();
    this.failed = false;
    this.onStatus(status, this.lastSeen);
    this.onConnection(this.connection());
  }

  /** `is`: `live`, `polling`, `trying` (never seen yet) or `lost`; `seconds` since the process was seen. */
  connection() {
    const seconds = this.lastSeen === null ? null : Math.floor((Date.now() - this.lastSeen) / 1_000);
    if (this.failed) return { is: this.lastSeen === null ? "trying" : "lost", seconds };
    if (this.lastSeen === null) return { is: "trying", seconds };
    return { is: this.hasEvents() ? "live" : "polling", seconds };
  }
}
