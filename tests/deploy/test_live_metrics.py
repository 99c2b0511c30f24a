"""Metrics, dashboards and rules against live processes: a real Prometheus scrapes what `story.py` tells.

QUEUEPOST_PICTURES=1 makes the story last ten minutes, and draws docs/pictures from it.
"""

import os
import re
import subprocess

import panels
import pytest
import story
import yaml
from rendering import ROOT, tool

PICTURES = os.environ.get("QUEUEPOST_PICTURES") == "1"
RULES = [rule for group in yaml.safe_load(story.RULES.read_text())["groups"] for rule in group["rules"]]
LISTENERS = ["orders", "refunds", "archive", "reports", "invoices"]
INTERVAL = "16s" if PICTURES else "6s"


@pytest.fixture(scope="module")
def told(queuepost, tmp_path_factory):
    """The story, told to its end; processes and Prometheus still run."""
    slow = {"scrape": 2, "park": 45, "chapter": 55, "poison": 100} if PICTURES else {}
    told = story.Story(tmp_path_factory.mktemp("story"), queuepost, **slow)
    try:
        told.exit_code = told.tell()
        yield told
    finally:
        told.stop()


def lines(exposition):
    """Each series of an exposition: its name and its labels."""
    for line in exposition.splitlines():
        if not line.startswith("#"):
            name, braces = re.fullmatch(r"([a-z_]+)(\{.*\})? \S+", line).groups()
            yield name, dict(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', braces or ""))


def test_a_drain_under_load_ends_well(told):
    assert told.exit_code == 0


def test_promtool_finds_nothing_to_say_about_the_metrics(told):
    done = subprocess.run([tool("promtool"), "check", "metrics"], input=told.metrics(), capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_reference_has_every_metric_and_label_that_is_exposed_and_no_other(told):
    rows = re.findall(r"^\| `(queuepost_\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    documented = {name: (kind, set(re.findall(r"(?:^|; )`(\w+)`", labels)), help_) for name, kind, labels, help_ in rows}
    text = told.metrics()
    kinds = dict(re.findall(r"^# TYPE (\w+) (\w+)$", text, re.M))
    helps = dict(re.findall(r"^# HELP (\w+) (.*)$", text, re.M))
    # They are there only while a rate is learned, once a claim check was fetched, once somebody asked for a change, and in a fleet.
    for name in ("adaptive_rate", "object_requests_total", "admin_writes_total", "fleet_members", "fleet_share"):
        name = f"queuepost_{name}"
        kinds.setdefault(name, documented[name][0])
        helps.setdefault(name, documented[name][2])
    assert {name: (kinds[name], helps[name]) for name in kinds} == {name: (kind, help_) for name, (kind, _, help_) in documented.items()}
    for name, labels in lines(text):
        family = name if name in kinds else re.sub("_(bucket|sum|count)$", "", name)
        assert set(labels) - {"le"} == documented[family][1], name


def test_a_listener_has_as_many_series_as_the_reference_says(told):
    page = (ROOT / "docs/metrics.md").read_text()
    numbers = re.search(r"Each process has (\d+), each endpoint (\d+) and each listener (\d+) from its start, (\d+) once .* and (\d+) at most", page)
    process, endpoint, started, working, most = map(int, numbers.groups())
    counts = {}
    for name, labels in lines(told.metrics()):
        if name == "queuepost_adaptive_rate":
            continue
        owner = labels.get("listener") or labels.get("endpoint", "process")
        counts[owner] = counts.get(owner, 0) + 1
    # archive is a listener and an endpoint.
    assert (counts["process"], counts["shop"]) == (process, endpoint)
    # What cannot be read has no depths.
    assert all(counts[name] >= started - 6 for name in LISTENERS)
    assert working <= counts["orders"] <= most
    stored = told.query(f'count({{listener="orders", instance="127.0.0.1:{told.admin[0]}"}})')
    assert working <= float(stored[0]["value"][1]) <= most


def has_data(expr, told, **values):
    """Whether a query returns a number for any moment of the story."""
    found = told.range(panels.filled(expr, INTERVAL, **values))
    return any(value != "NaN" for series in found for _, value in series["values"])


def shown(expr):
    """A query as it is, but for what is left out while it is zero: whether a drain finds a message to release is chance."""
    return expr.removesuffix(" > 0") if "queuepost_messages_released_total" in expr else expr


@pytest.mark.parametrize("name", panels.NAMES)
def test_every_query_of_a_dashboard_returns_data(told, name):
    board = panels.dashboard(name)
    choices = [{}]
    if name == "listener":
        choices = [{"listener": listener, "endpoint": "archive" if listener == "archive" else "shop"} for listener in LISTENERS]
    silent = [
        f"{panel['title']}: {target['expr']}"
        for panel in panels.panels(board)
        for target in panel["targets"]
        # The endpoint of the story limits requests at once: whether it is found to limit a rate is chance. No message of the
        # story is a claim check, and no process shares caps.
        if not re.search("queuepost_(adaptive_rate|object_requests_total|admin_writes_total|fleet_)", target["expr"])
        and not any(has_data(shown(target["expr"]), told, **values) for values in choices)
    ]
    assert silent == []


@pytest.mark.parametrize("name", panels.NAMES)
def test_every_variable_of_a_dashboard_has_values(told, name):
    for variable in panels.dashboard(name)["templating"]["list"]:
        if variable["type"] == "query" and variable["name"] not in {"cluster", "namespace"}:
            expr, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()
            found = {series["metric"].get(label) for series in told.query(panels.filled(expr, listener="orders"))}
            assert found and None not in found, variable["name"]


def operands(expr):
    """What an alert compares: the left side of each comparison outside of parentheses, joined by and, or, unless."""
    parts, depth, start, quoted = [], 0, 0, False
    flat = re.sub(r"\s+", " ", expr)
    for at, char in enumerate(flat):
        quoted ^= char == '"'
        if quoted:
            continue
        depth += (char in "({[") - (char in ")}]")
        word = re.match(r" (and|or|unless)( on \([^)]*\))? ", flat[at:])
        if depth == 0 and word:
            parts.append(flat[start:at])
            start = at + len(word[0])
    parts.append(flat[start:])
    for part in parts:
        depth = 0
        for at, char in enumerate(part):
            depth += (char in "({[") - (char in ")}]")
            if depth == 0 and re.match(r" (>|<|==|>=|<=) ", part[at:]):
                part = part[:at]
                break
        yield part


def test_operands_are_what_stands_left_of_a_comparison():
    found = list(operands('max by (a) (x{b=~"c or d"}) > 0\nand\nsum(rate(y[1m])) / (sum(z) > 0) == 0\nunless on (a)\nw == 1'))
    assert found == ['max by (a) (x{b=~"c or d"})', "sum(rate(y[1m])) / (sum(z) > 0)", "w"]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_every_rule_has_data_to_judge_by(told, rule):
    for expr in operands(rule["expr"]):
        # The story is shorter than a quarter of an hour, and has a process throughout.
        expr = expr.replace("offset 15m", "offset 10s")
        if "kube_deployment" in expr or "queuepost_fleet_" in expr:
            # The story has no kube-state-metrics, and no process shares caps.
            continue
        if expr.startswith("( job:queuepost_known:group"):
            expr = "job:queuepost_known:group"
        assert has_data(expr, told), expr


def test_alerts_that_should_are_on_their_way_and_their_words_are_filled_in(told):
    alerts = told.get("alerts")["alerts"]
    seen = {(alert["labels"]["alertname"], alert["labels"].get("listener")) for alert in alerts}
    assert {
        ("QueuepostListenerFaulted", "reports"), ("QueuepostListenerFaulted", "invoices"), ("QueuepostDeadLetterImminent", "refunds"),
        ("QueuepostDeadLetterQueueNotEmpty", "refunds"), ("QueuepostPreflightWarning", "refunds"),
    } <= seen
    assert not {name for name, _ in seen} & {"QueuepostDown", "QueuepostDeliveryPanics", "QueuepostVersionSkew"}
    for alert in alerts:
        text = " ".join(alert["annotations"].values())
        assert "<error expanding template" not in text and "<no value>" not in text, text


def test_prometheus_evaluates_every_rule_without_an_error(told):
    rules = [rule for group in told.get("rules")["groups"] for rule in group["rules"]]
    assert len(rules) == len(RULES)
    assert [rule for rule in rules if rule["health"] != "ok"] == []


@pytest.mark.parametrize("name", panels.NAMES)
def test_a_dashboard_can_be_drawn(told, name, tmp_path):
    draw = pytest.importorskip("draw", reason="matplotlib is not installed: .ci/deploy installs it")
    values = {"listener": "orders", "endpoint": "shop"} if name == "listener" else {}
    drawing = draw.Drawing(told, name, INTERVAL, **values)
    assert drawing.titles == [panel["title"] for panel in panels.panels(panels.dashboard(name))]
    picture = drawing.png()
    assert 10_000 < len(picture) < 200_000
    folder = ROOT / "docs/pictures" if PICTURES else tmp_path
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.png").write_bytes(picture)
