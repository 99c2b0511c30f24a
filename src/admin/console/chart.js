// The last fifteen minutes as bars: what was done stands above the line, what was not hangs below it.
// Position and pattern tell the outcomes apart, and never colour alone. A table says the same in numbers.

import { h, newId, svg } from "./dom.js";
import { clock, count, many, perSecond } from "./text.js";

/** Outcomes in the order of the chart. */
export const OUTCOMES = [
  { key: "deleted", name: "Delivered", hint: "the endpoint took them", up: true },
  { key: "parked", name: "Parked", hint: "throttled: 429" },
  { key: "deferred", name: "Deferred", hint: "failed, tried again" },
  { key: "dead_lettered", name: "Dead-lettered", hint: "sent to the dead-letter queue" },
  { key: "released", name: "Released", hint: "given back, never tried" },
  { key: "abandoned", name: "Abandoned", hint: "left to SQS" },
];

/** Steps that are shown: fifteen minutes of 15 s. */
const STEPS = 60;
const STEP = 10;
const GAP = 2;

/** `{up, down}`: sums of what was done and of what was not. */
function sums(point) {
  const down = OUTCOMES.filter((outcome) => !outcome.up).reduce((sum, outcome) => sum + point[outcome.key], 0);
  return { up: point.deleted, down };
}

/** The whole in one sentence, for those who cannot see it. */
export function inWords(points) {
  if (points.length === 0) return "Nothing is known yet: the first step of 15 s has not ended.";
  const total = (key) => points.reduce((sum, point) => sum + point[key], 0);
  const told = OUTCOMES.filter((outcome) => total(outcome.key) > 0).map((outcome) => `${count(total(outcome.key))} ${outcome.name.toLowerCase()}`);
  const minutes = Math.max(1, Math.round((points.length * 15) / 60));
  const since = `In the last ${minutes === 1 ? "minute" : `${minutes} minutes`}`;
  const worst = points.reduce((most, point) => (sums(point).down > sums(most).down ? point : most), points[0]);
  const when = sums(worst).down > 0 ? ` Most failures at ${clock(worst.time)}.` : "";
  return told.length === 0 ? `${since}: nothing was settled.` : `${since}: ${told.join(", ")}.${when}`;
}

/** The chart of a history. `small` leaves out everything but the bars. */
export function chart(points, { small = false } = {}) {
  const shown = points.slice(-STEPS);
  const [above, below] = small ? [20, 10] : [84, 46];
  const width = STEPS * STEP;
  const most = (which) => Math.max(1, ...shown.map((point) => sums(point)[which]));
  // One scale for both sides, so that heights can be compared; the lower side is cut where it would be too long.
  const scale = Math.min(above / most("up"), small || most("down") <= 1 ? Infinity : below / most("down"), above);
  const height = above + below + 2;
  const prefix = newId("pattern");
  const image = svg("svg", {
    viewBox: `0 0 ${width} ${height}`, class: small ? "spark" : "chart", role: "img", "aria-label": inWords(shown), preserveAspectRatio: "none",
  });
  image.append(patterns(prefix, small));
  image.append(svg("line", { class: "axis", x1: 0, x2: width, y1: above + 1, y2: above + 1 }));
  shown.forEach((point, index) => {
    const x = width - (shown.length - index) * STEP;
    image.append(...bars(point, x, above, below, scale, prefix, small));
  });
  return image;
}

function bars(point, x, above, below, scale, prefix, small) {
  const made = [];
  const bar = (y, tall, outcome) => svg("rect", { x: x + GAP / 2, y, width: STEP - GAP, height: tall, class: `bar ${outcome.key}` },
    small ? null : svg("title", { text: titleOf(point) }));
  let depth = above + 2;
  for (const outcome of OUTCOMES) {
    const number = point[outcome.key];
    if (!number) continue;
    // What happened at all is seen.
    const tall = Math.max(number * scale, 2);
    const y = outcome.up ? above - Math.min(tall, above) : depth;
    const seen = outcome.up ? Math.min(tall, above) : Math.min(tall, above + 2 + below - depth);
    if (seen <= 0) continue;
    if (!outcome.up) depth += seen;
    const solid = bar(y, seen, outcome);
    made.push(solid);
    if (!small && !outcome.up) {
      const over = svg("rect", { x: x + GAP / 2, y, width: STEP - GAP, height: seen, fill: `url(#${prefix}-${outcome.key})` }, svg("title", { text: titleOf(point) }));
      made.push(over);
    }
  }
  return made;
}

function titleOf(point) {
  const told = OUTCOMES.filter((outcome) => point[outcome.key]).map((outcome) => `${outcome.name.toLowerCase()} ${count(point[outcome.key])}`);
  return `15 s until ${clock(point.time)}: ${told.join(", ") || "nothing"}`;
}

// Lines over the colours: each outcome below the line has its own.
const LINES = {
  parked: "M0 6 6 0", deferred: "M0 0 6 6M0 6 6 0", dead_lettered: "M0 3h6", released: "M3 0v6", abandoned: "M0 3h6M3 0v6",
};

function patterns(prefix, small) {
  if (small) return svg("defs");
  return svg("defs", {}, Object.entries(LINES).map(([key, d]) => svg("pattern", {
    id: `${prefix}-${key}`, width: 6, height: 6, patternUnits: "userSpaceOnUse",
  }, svg("path", { d, class: "line" }))));
}

/** The numbers of the chart: over its time, per second now, and since the start. */
export function table(points, rates, totals) {
  const total = (key) => points.reduce((sum, point) => sum + point[key], 0);
  const rare = (outcome) => ["released", "abandoned", "dead_lettered"].includes(outcome.key);
  const rows = OUTCOMES.filter((outcome) => !rare(outcome) || totals[outcome.key] > 0).map((outcome) => h("tr", {},
    h("th", { scope: "row" }, swatch(outcome), h("span", { text: outcome.name }), h("span", { class: "muted hint-inline", text: ` ${outcome.hint}` })),
    h("td", { class: "number", text: rates ? perSecond(rates[outcome.key]) : "–" }),
    h("td", { class: "number", text: count(total(outcome.key)) }),
    h("td", { class: "number", text: count(totals[outcome.key]) })));
  return h("table", { class: "numbers" },
    h("caption", { class: "unseen", text: `Messages by outcome; ${many(points.length, "step")} of 15 s` }),
    h("thead", {}, h("tr", {}, h("th", { scope: "col", text: "Outcome" }), ["Now", "15 min", "Since start"].map((text) => h("th", { scope: "col", class: "number", text })))),
    h("tbody", {}, rows));
}

function swatch(outcome) {
  const prefix = newId("swatch");
  return svg("svg", { class: "swatch", viewBox: "0 0 14 14", "aria-hidden": "true" },
    patterns(prefix, false),
    svg("rect", { width: 14, height: 14, rx: 2, class: `bar ${outcome.key}` }),
    outcome.up ? null : svg("rect", { width: 14, height: 14, rx: 2, fill: `url(#${prefix}-${outcome.key})` }));
}
