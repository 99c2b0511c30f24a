// What happens per second, from the totals of successive statuses. It looks back ten seconds.

const WINDOW_MS = 10_000;
/** Outcomes that count as trouble; a 429 is flow control and stands apart. */
export const FAILURES = ["deferred", "dead_lettered", "abandoned"];

export class Rates {
  constructor() {
    this.samples = new Map();
  }

  /** Notes the totals of all listeners at a time in milliseconds. */
  note(status, at) {
    const names = new Set(status.listeners.map((listener) => listener.name));
    for (const name of this.samples.keys()) if (!names.has(name)) this.samples.delete(name);
    for (const { name, totals } of status.listeners) {
      const last = this.samples.get(name)?.at(-1);
      // Totals that went back are of a process that started again.
      const fresh = !last || last.totals.received > totals.received;
      const kept = fresh ? [] : this.samples.get(name).filter((sample, index, all) => {
        const next = all[index + 1];
        return at - sample.at <= WINDOW_MS || (next === undefined || at - next.at < WINDOW_MS);
      });
      this.samples.set(name, [...kept, { at, totals }]);
    }
  }

  /** Messages per second by outcome; null until two statuses were seen. `now` counts quiet time too. */
  of(name, now) {
    const samples = this.samples.get(name);
    if (!samples || samples.length === 0) return null;
    const [first, last] = [samples[0], samples.at(-1)];
    const seconds = (Math.max(now, last.at) - first.at) / 1_000;
    if (seconds < 0.9) return null;
    const rate = (key) => Math.max(0, (last.totals[key] - first.totals[key]) / seconds);
    return Object.fromEntries(Object.keys(last.totals).map((key) => [key, rate(key)]));
  }
}
