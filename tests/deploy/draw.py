"""Draws a dashboard from its JSON and the data of a Prometheus, so that it can be looked at where there is no Grafana.

Layout, titles, units, legends, colours and thresholds are those of the JSON. matplotlib is needed, from the tests' own
requirements.
"""

import datetime
import io
import zlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.dates  # noqa: E402
import matplotlib.pyplot as plt  # noqa: E402
from panels import dashboard, filled  # noqa: E402
from PIL import Image  # noqa: E402

#: Pixels of one unit of Grafana's grid.
ACROSS, DOWN, DPI = 62, 34, 100
COLORS = {
    "green": "#56A64B", "orange": "#FF9830", "red": "#E02F44", "blue": "#3274D9", "purple": "#8F3BB8", "yellow": "#F2CC0C",
    "grey": "#8E8E8E", "teal": "#37A2B8",
}
REST = ["#3274D9", "#37A2B8", "#8F3BB8", "#F2CC0C", "#56A64B", "#FF9830", "#E02F44", "#8E8E8E", "#7B5B3A", "#C15C9D"]
SECONDS = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"), (0.001, "ms")]


def spoken(value, unit, decimals=None):
    """A number as Grafana shows it."""
    if value is None or value != value:
        return "–"
    if unit == "percentunit":
        return f"{value * 100:.{1 if decimals is None else max(0, decimals)}f} %".replace(".0 %", " %")
    if unit == "s":
        if value == 0:
            return "0 s"
        size, name = next(((size, name) for size, name in SECONDS if abs(value) >= size), (0.001, "ms"))
        return f"{value / size:.3g} {name}"
    suffix = {"reqps": " req/s", "mps": " msg/s", "currencyUSD": ""}.get(unit, "")
    text = f"{value:.{decimals}f}" if decimals is not None else f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
    return f"{'$' if unit == 'currencyUSD' else ''}{text}{suffix}"


def legend(target, labels):
    text = target["legendFormat"]
    for name, value in labels.items():
        text = text.replace("{{" + name + "}}", value)
    while "{{" in text:
        text = text[: text.index("{{")] + text[text.index("}}") + 2 :]
    return text.strip() or "value"


def by_name(name):
    """The colour that a line of this name has in every panel."""
    return REST[zlib.crc32(name.encode()) % len(REST)]


class Drawing:
    """One dashboard; `values` are those of its variables, `interval` is $__rate_interval."""

    def __init__(self, story, name, interval, until=None, **values):
        self.story, self.interval, self.values = story, interval, values
        self.until = datetime.datetime.fromtimestamp(until) if until else datetime.datetime.now()
        self.board = dashboard(name)
        self.titles = []
        down = max(panel["gridPos"]["y"] + panel["gridPos"]["h"] for panel in self.board["panels"])
        self.width, self.height = 24 * ACROSS, (down + 1.6) * DOWN
        self.figure = plt.figure(figsize=(self.width / DPI, self.height / DPI), dpi=DPI, facecolor="#F4F5F5")
        self.figure.text(12 / self.width, 1 - 26 / self.height, self.board["title"], fontsize=15, weight="bold")
        shown = "   ".join(f"{name}: {value}" for name, value in values.items())
        self.figure.text(1 - 12 / self.width, 1 - 26 / self.height, shown, fontsize=10, color="#555555", ha="right")
        for panel in self.board["panels"]:
            self._panel(panel)

    def png(self):
        """Small enough for a repository."""
        data = io.BytesIO()
        self.figure.savefig(data, format="png", facecolor=self.figure.get_facecolor())
        plt.close(self.figure)
        small = io.BytesIO()
        Image.open(data).convert("RGB").quantize(112).save(small, format="png", optimize=True)
        return small.getvalue()

    def _box(self, x, y, w, h):
        """Pixels from the left and the top, as a part of the figure."""
        return [x / self.width, 1 - (y + h) / self.height, w / self.width, h / self.height]

    def _panel(self, panel):
        at = panel["gridPos"]
        x, y, w, h = at["x"] * ACROSS, (at["y"] + 1.3) * DOWN, at["w"] * ACROSS, at["h"] * DOWN
        if panel["type"] == "row":
            self.figure.text((x + 10) / self.width, 1 - (y + 25) / self.height, f"▾ {panel['title']}", fontsize=11, weight="bold")
            return
        card = self.figure.add_axes(self._box(x + 4, y + 4, w - 8, h - 8), facecolor="white")
        card.set_xticks([])
        card.set_yticks([])
        for spine in card.spines.values():
            spine.set_color("#D5D7DA")
        self.figure.text((x + 12) / self.width, 1 - (y + 21) / self.height, panel["title"], fontsize=9, weight="bold")
        self.titles.append(panel["title"])
        getattr(self, "_" + panel["type"].replace("-", "_"))(panel, x, y, w, h)

    def _series(self, panel):
        found = []
        for target in panel["targets"]:
            expr = filled(target["expr"], self.interval, **self.values)
            for series in self.story.range(expr):
                points = [(datetime.datetime.fromtimestamp(at), float(value)) for at, value in series["values"]]
                found.append((legend(target, series["metric"]), points, series["metric"]))
        return found

    def _axes(self, x, y, w, h, unit, decimals=None):
        axes = self.figure.add_axes(self._box(x, y, w, h))
        axes.tick_params(labelsize=7, length=2, colors="#444444")
        axes.grid(color="#E6E7E8", linewidth=0.6)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
        axes.xaxis.set_major_formatter(matplotlib.dates.DateFormatter("%H:%M"))
        axes.xaxis.set_major_locator(matplotlib.dates.AutoDateLocator(minticks=3, maxticks=8))
        axes.yaxis.set_major_locator(plt.MaxNLocator(4))
        axes.yaxis.set_major_formatter(lambda value, _: spoken(value, unit, decimals))
        return axes

    def _timeseries(self, panel, x, y, w, h):
        defaults, series = panel["fieldConfig"]["defaults"], self._series(panel)
        fixed = {
            each["matcher"]["options"]: each["properties"][0]["value"]["fixedColor"] for each in panel["fieldConfig"]["overrides"]
        }
        unit, stack = defaults["unit"], defaults["custom"]["stacking"]["mode"] == "normal"
        right = panel["options"]["legend"]["placement"] == "right"
        # What never was anything but zero says nothing in a stack, and would bury the rest in the legend.
        if stack:
            series = [each for each in series if any(value > 0 for _, value in each[1])]
        # A long legend needs more of the width.
        longest = max([len(each[0]) for each in series] + [8])
        columns = 1 if right else max(1, min(4, int(w / (6 * longest + 75))))
        lines = 0 if right else -(-min(9, len(series)) // columns)
        aside = min(250, 95 + 6 * longest) if right else 0
        axes = self._axes(x + 66, y + 34, w - 84 - aside, h - 60 - 15 * lines, unit, defaults.get("decimals"))
        if not series:
            axes.text(0.5, 0.5, "no data", transform=axes.transAxes, ha="center", color="#999999", fontsize=9)
        colors = [fixed.get(name) or by_name(name) for name, _, _ in series]
        if stack and series:
            times = sorted({at for _, points, _ in series for at, _ in points})
            heights = [[dict(points).get(at, 0) for at in times] for _, points, _ in series]
            axes.stackplot(times, heights, colors=colors, alpha=0.75, linewidth=0)
        else:
            for (_, points, _), color in zip(series, colors):
                points = list(self._with_gaps(points))
                axes.plot([at for at, _ in points], [value for _, value in points], color=color, linewidth=1.3)
        for step in defaults["thresholds"]["steps"][1:]:
            axes.axhline(step["value"], color=COLORS.get(step["color"], "#E02F44"), linewidth=1, linestyle="--")
        top = max([value for _, points, _ in series for _, value in points] + [0])
        axes.set_ylim(bottom=0, top=None if top else 1)
        if unit == "s" and top > 60:
            axes.yaxis.set_major_locator(plt.MultipleLocator(next(step for step in (30, 60, 120, 300, 900, 3600, 14400, 86400) if top / step < 5)))
        self._span(axes)
        handles = [plt.Line2D([], [], color=color, linewidth=4) for color in colors]
        texts = [f"{name}  {spoken(points[-1][1], unit, defaults.get('decimals'))}" for name, points, _ in series]
        place = {"loc": "upper left", "bbox_to_anchor": (1.01, 1.05)} if right else {"loc": "upper center", "bbox_to_anchor": (0.46, -16 / max(40, h - 60 - 15 * lines))}
        if series:
            axes.legend(handles[:9], texts[:9], fontsize=7, ncol=columns, frameon=False, handlelength=0.8, columnspacing=1.0, **place)

    def _with_gaps(self, points):
        """A line is not drawn across a time without data."""
        last = None
        for at, value in points:
            if last and (at - last).total_seconds() > 1.5 * self.story.scrape:
                yield last, float("nan")
            yield at, value
            last = at

    def _span(self, axes):
        began = datetime.datetime.fromtimestamp(self.story.began)
        axes.set_xlim(began, self.until)

    def _stat(self, panel, x, y, w, h):
        defaults = panel["fieldConfig"]["defaults"]
        target = panel["targets"][0]
        found = self.story.query(filled(target["expr"], self.interval, **self.values))
        value = float(found[0]["value"][1]) if found else None
        steps = defaults["thresholds"]["steps"]
        color = [step["color"] for step in steps if step["value"] is None or (value is not None and value >= step["value"])][-1]
        text = defaults.get("noValue", "–") if value is None else spoken(value, defaults["unit"], defaults.get("decimals"))
        for mapping in defaults.get("mappings", []):
            if value is not None and (option := mapping["options"].get(f"{value:g}")):
                text, color = option["text"], option["color"]
        if panel["options"]["textMode"] == "name":
            text = "\n".join(legend(target, each["metric"]) for each in found[:4]) or text
            color = color if found else "green"
        size = 19 if len(text) < 9 else 9
        self.figure.text((x + w / 2) / self.width, 1 - (y + h * 0.66) / self.height, text, fontsize=size, weight="bold", ha="center", va="center", color=COLORS[color])

    def _state_timeline(self, panel, x, y, w, h):
        series = self._series(panel)
        longest = max([len(each[0]) for each in series] + [6])
        left = min(150, 26 + 7 * longest)
        axes = self._axes(x + left, y + 36, w - left - 20, h - 86, "none")
        options = panel["fieldConfig"]["defaults"]["mappings"][0]["options"]
        for row, (_, points, _) in enumerate(series):
            for (at, value), (until, _) in zip(points, points[1:]):
                axes.barh(-row, until - at, left=at, height=0.75, color=COLORS[options[f"{value:g}"]["color"]], linewidth=0)
        axes.set_yticks([-row for row in range(len(series))], [name for name, _, _ in series])
        axes.yaxis.set_major_formatter(plt.FixedFormatter([name for name, _, _ in series]))
        axes.grid(False)
        handles = [plt.Line2D([], [], color=COLORS[option["color"]], linewidth=4) for option in options.values()]
        axes.legend(handles, [option["text"] for option in options.values()], fontsize=7, ncol=3, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -16 / (h - 86)))
        self._span(axes)

    def _heatmap(self, panel, x, y, w, h):
        unit = panel["fieldConfig"]["defaults"]["unit"]
        series = sorted(self._series(panel), key=lambda each: float(each[2]["le"]))
        axes = self._axes(x + 66, y + 34, w - 84, h - 64, unit)
        if not series:
            return
        times = sorted({at for _, points, _ in series for at, _ in points})
        below, rows = [0.0] * len(times), []
        for _, points, _ in series:
            now = [dict(points).get(at, 0.0) for at in times]
            rows.append([max(0.0, after - before) for before, after in zip(below, now)])
            below = now
        last = max((i for i, row in enumerate(rows) if max(row) > 0), default=len(rows) - 1)
        first = min((i for i, row in enumerate(rows) if max(row) > 0), default=0)
        rows, names = rows[first : last + 1], series[first : last + 1]
        axes.pcolormesh(times, range(len(rows)), rows, cmap="Oranges", shading="nearest", vmin=0)
        axes.set_yticks(range(len(rows)))
        axes.yaxis.set_major_formatter(plt.FixedFormatter([f"≤ {spoken(float(metric['le']), unit) if metric['le'] != '+Inf' else '∞'}" for _, _, metric in names]))
        axes.grid(False)
        self._span(axes)
