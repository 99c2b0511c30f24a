"""The dashboards as files: what is generated, by the rules of dashboard-linter, with metrics and labels that exist.

dashboard-linter itself cannot be built from the Go module proxy, so its fifteen rules are written here after what their
names and its documentation say; exceptions are in dashboards/.lint, in its own format.
"""

import json
import re
import sys

import panels
import pytest
import yaml
from rendering import ROOT, matches, run, tool

FOLDER = ROOT / "dashboards"
sys.path.insert(0, str(FOLDER))
import generate  # noqa: E402

UNITS = {"short", "none", "percentunit", "s", "reqps", "mps", "currencyUSD"}
#: Labels that scraping gives.
SCRAPED = {"job", "instance", "cluster", "namespace"}
FAMILY_SUFFIXES = {"histogram": ["_bucket", "_sum", "_count"], "counter": [""], "gauge": [""]}


def documented():
    """Every series name and its labels, as docs/metrics.md has them from the code."""
    found = {}
    rows = re.findall(r"^\| `(queuepost_\w+)` \| (counter|gauge|histogram) \| ([^|]*) \|", (ROOT / "docs/metrics.md").read_text(), re.M)
    assert len(rows) > 40
    for name, kind, labels in rows:
        names = set(re.findall(r"(?:^|; )`(\w+)`", labels.strip()))
        for suffix in FAMILY_SUFFIXES[kind]:
            found[name + suffix] = names | SCRAPED | ({"le"} if suffix == "_bucket" else set())
    return found


def recorded():
    """Series names of the recording rules, and their labels."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/queuepost.rules.yaml").read_text())["groups"]
    names = [rule["record"] for group in groups for rule in group["rules"] if "record" in rule]
    place = {"cluster", "namespace", "job"}
    return {name: place | ({"listener"} if name.startswith("listener:") else set()) for name in names}


#: What kube-state-metrics says of a Deployment.
KUBE = {f"kube_deployment_{what}": {"cluster", "namespace", "deployment"} for what in ("spec_replicas", "status_replicas_available")}
SELECTOR = re.compile(r"(?<![\w:])((?:[a-z]+:)?queuepost[_:][\w:]+|kube_\w+|ALERTS)(\{[^}]*\})?")
MATCHER = re.compile(r'(\w+)\s*(=~|!~|!=|=)\s*"((?:[^"\\]|\\.)*)"')


def selectors(expr):
    """Each series named in a query, with its matchers."""
    return [(name, MATCHER.findall(braces or "")) for name, braces in SELECTOR.findall(expr)]


def grouped(expr):
    """Labels named in `by`, `on` and `without`."""
    return {label for inner in re.findall(r"\b(?:by|on|without|group_left)\s*\(([^)]*)\)", expr) for label in re.findall(r"\w+", inner)}


def queries():
    """Every query of every dashboard: where it stands, and its text."""
    for name in panels.NAMES:
        board = panels.dashboard(name)
        for panel in panels.panels(board):
            for target in panel["targets"]:
                yield f"{name}: {panel['title']}", target["expr"]
        for note in board["annotations"]["list"]:
            yield f"{name}: annotation {note['name']}", note["expr"]
        for variable in board["templating"]["list"]:
            if variable["type"] == "query":
                yield f"{name}: variable {variable['name']}", re.fullmatch(r"label_values\((.*), \w+\)", variable["definition"])[1]


def rules():
    """Every query of the rules."""
    groups = yaml.safe_load((ROOT / "deploy/prometheus/queuepost.rules.yaml").read_text())["groups"]
    for group in groups:
        for rule in group["rules"]:
            yield rule.get("alert") or rule["record"], rule["expr"]


def mentioned():
    """Every metric named in a document, a KEDA trigger or the program's own advice, with labels where they stand with it."""
    # What follows `grep` is a part of a name.
    files = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "dashboards").glob("*.md"), *(ROOT / "deploy").rglob("*")]
    for path in files:
        # Rules have a test of their own, and renderings repeat what is read elsewhere.
        if path.suffix in {".md", ".yaml", ".tpl", ".txt"} and path.parent.name != "rendered" and path.name not in {"metrics.md", "queuepost.rules.yaml", "alerts.yaml", "prometheusrule.yaml"}:
            for name, braces in re.findall(r"(?<!grep )\b(queuepost_[a-z_]+)(\{[^}`]*\})?", path.read_text()):
                yield str(path.relative_to(ROOT)), name, re.findall(r"(\w+)(?=[=,}])", re.sub(r'"[^"]*"', "", braces or ""))


def unknown(name, matchers, known):
    """What a selector names that is not there."""
    if name == "ALERTS":
        return None
    if name not in known:
        return f"no metric {name}"
    strange = {label for label, *_ in matchers} - known[name]
    return f"{name} has no label {sorted(strange)}" if strange else None


def test_the_dashboards_are_what_is_generated():
    made = generate.rendered()
    assert {path.name for path in FOLDER.glob("*.json")} == set(made)
    for name, text in made.items():
        matches(FOLDER / name, text)


def test_every_metric_of_dashboards_and_rules_exists_with_its_labels():
    known = documented() | recorded() | KUBE
    wrong = [(where, problem) for where, expr in [*queries(), *rules()] for name, found in selectors(expr) if (problem := unknown(name, found, known))]
    assert not wrong
    assert unknown("queuepost_gone", [], known) and unknown("queuepost_draining", [("listener", "=", "a")], known)


def test_queries_group_by_labels_their_metrics_have():
    known = documented() | recorded() | KUBE
    for where, expr in [*queries(), *rules()]:
        labels = set().union(*(known.get(name, set()) for name, _ in selectors(expr)))
        assert grouped(expr) <= labels, (where, grouped(expr) - labels)


def test_every_metric_named_in_documents_and_triggers_exists_with_its_labels():
    known = documented()
    wrong, seen = [], set()
    for where, name, labels in mentioned():
        seen.add(where)
        # A document may name a histogram as a whole.
        families = {each for each in known if each.startswith(name)} if name.endswith("_") else {name, f"{name}_bucket"}
        wrong += [(where, f"no metric {name}")] if not families & set(known) else []
        wrong += [(where, f"{name} has no label {label}") for label in labels if name in known and label not in known[name]]
    assert not wrong
    assert {"README.md", "docs/watching.md", "docs/errors.md"} <= seen


def test_every_metric_is_on_a_dashboard_or_in_a_rule():
    used = {name for _, expr in [*queries(), *rules()] for name, _ in selectors(expr)}
    families = {re.sub("_(bucket|sum|count)$", "", name) if name not in used else name for name in documented()}
    unused = {name for name in families if not any(each.startswith(name) for each in used)}
    # The time of the last receive is for those who look closer: a listener behind a closed gate receives nothing, and rightly.
    assert unused == {"queuepost_last_receive_timestamp_seconds"}


def template(board, name):
    return next((each for each in board["templating"]["list"] if each["name"] == name), None)


def lint(board):
    """What each rule of dashboard-linter complains of: rule, panel or None, words."""
    (source,) = [each for each in board["templating"]["list"] if each["type"] == "datasource"]
    if source["name"] != "datasource" or source["label"] != "Data source" or source["query"] != "prometheus":
        yield "template-datasource-rule", None, source
    for name, label in [("job", "Job"), ("instance", "Instance")]:
        found = template(board, name)
        fits = found and found["datasource"]["uid"] == "${datasource}" and found["type"] == "query" and found["label"] == label
        if not fits or not found["multi"] or found["allValue"] != ".+":
            yield f"template-{name}-rule", None, found
    for each in board["templating"]["list"]:
        if each["type"] == "query":
            if not re.fullmatch(r"label_values\(.+, \w+\)", each["query"]["query"]):
                yield "template-label-promql-rule", None, each["name"]
            if each["refresh"] != 2:
                yield "template-on-time-change-reload-rule", None, each["name"]
    if board["editable"]:
        yield "uneditable-dashboard", None, board["title"]
    for panel in panels.panels(board):
        title = panel["title"]
        if panel["datasource"]["uid"] != "${datasource}":
            yield "panel-datasource-rule", title, panel["datasource"]
        if not title or not panel["description"]:
            yield "panel-title-description-rule", title, "no title or description"
        if panel["fieldConfig"]["defaults"].get("unit") not in UNITS:
            yield "panel-units-rule", title, panel["fieldConfig"]["defaults"].get("unit")
        if not panel["targets"]:
            yield "panel-no-targets-rule", title, "no query"
        for target in panel["targets"]:
            expr = target["expr"]
            if not balanced(expr):
                yield "target-promql-rule", title, expr
            for window in re.findall(r"\b(?:rate|irate|increase)\([^\[]*\[([^\]]*)\]", expr):
                if window != "$__rate_interval":
                    yield "target-rate-interval-rule", title, window
            for name, found in selectors(expr):
                for label in ("job", "instance"):
                    if (label, "=~", f"${label}") not in found:
                        yield f"target-{label}-rule", title, name
                if name.endswith("_total") and not re.search(rf"\b(?:rate|irate|increase)\({name}\b", expr):
                    yield "target-counter-agg-rule", title, name


def balanced(expr):
    plain = re.sub(r'"(?:[^"\\]|\\.)*"', "", expr)
    return all(plain.count(a) == plain.count(b) for a, b in ("()", "[]", "{}"))


RULES = {
    "template-datasource-rule", "template-job-rule", "template-instance-rule", "template-label-promql-rule", "template-on-time-change-reload-rule",
    "panel-datasource-rule", "panel-title-description-rule", "panel-units-rule", "panel-no-targets-rule", "target-promql-rule",
    "target-rate-interval-rule", "target-job-rule", "target-instance-rule", "target-counter-agg-rule", "uneditable-dashboard",
}


def excepted(board, rule):
    exclusions = yaml.safe_load((FOLDER / ".lint").read_text())["exclusions"]
    assert set(exclusions) <= RULES and all(each["reason"] for each in exclusions.values())
    return any(entry["dashboard"] == board["title"] for entry in exclusions.get(rule, {}).get("entries", []))


@pytest.mark.parametrize("name", panels.NAMES)
def test_a_dashboard_keeps_the_fifteen_rules(name):
    board = panels.dashboard(name)
    assert [each for each in lint(board) if not excepted(board, each[0])] == []


def test_the_recorded_series_are_chosen_by_job_all_the_same():
    for panel in panels.panels(panels.dashboard("slo")):
        for target in panel["targets"]:
            for series, found in selectors(target["expr"]):
                assert ("job", "=~", "$job") in found, panel["title"]


def broken():
    """A dashboard for each rule that breaks it, and only it."""
    def panel(board):
        return panels.panels(board)[0]

    def expr(text):
        return lambda board: panel(board)["targets"][0].update(expr=text)

    where = 'job=~"$job", instance=~"$instance"'
    yield "template-datasource-rule", lambda board: template(board, "datasource").update(query="loki")
    yield "template-job-rule", lambda board: template(board, "job").update(allValue=".*")
    yield "template-instance-rule", lambda board: template(board, "instance").update(multi=False)
    yield "template-label-promql-rule", lambda board: template(board, "listener")["query"].update(query="listeners()")
    yield "template-on-time-change-reload-rule", lambda board: template(board, "listener").update(refresh=1)
    yield "panel-datasource-rule", lambda board: panel(board)["datasource"].update(uid="prometheus-1")
    yield "panel-title-description-rule", lambda board: panel(board).update(description="")
    yield "panel-units-rule", lambda board: panel(board)["fieldConfig"]["defaults"].pop("unit")
    yield "panel-no-targets-rule", lambda board: panel(board)["targets"].clear()
    yield "target-promql-rule", expr(f"sum(queuepost_draining{{{where}}}")
    yield "target-rate-interval-rule", expr(f"rate(queuepost_panics_total{{{where}}}[5m])")
    yield "target-job-rule", expr('queuepost_draining{instance=~"$instance"}')
    yield "target-instance-rule", expr('queuepost_draining{job=~"$job"}')
    yield "target-counter-agg-rule", expr(f"sum(queuepost_panics_total{{{where}}})")
    yield "uneditable-dashboard", lambda board: board.update(editable=True)


@pytest.mark.parametrize(("rule", "change"), list(broken()), ids=[rule for rule, _ in broken()])
def test_a_dashboard_that_breaks_a_rule_is_found(rule, change):
    board = panels.dashboard("overview")
    change(board)
    assert {found for found, _, _ in lint(board)} == {rule}


def test_dashboards_have_fixed_names_and_links():
    for name in panels.NAMES:
        board = panels.dashboard(name)
        assert board["uid"] == f"queuepost-{name}" and board["id"] is None and board["tags"] == ["queuepost"] and board["refresh"] == "30s"
        (link,) = board["links"]
        assert link["includeVars"] and link["keepTime"] and link["tags"] == board["tags"]
        titles = [panel["title"] for panel in board["panels"]]
        assert len(titles) == len(set(titles)), name
        ids = [panel["id"] for panel in board["panels"]]
        assert len(ids) == len(set(ids))


def test_panels_stand_side_by_side_without_overlap():
    for name in panels.NAMES:
        taken = set()
        for panel in panels.dashboard(name)["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert not cells & taken and at["x"] + at["w"] <= 24, (name, panel["title"])
            taken |= cells


def test_runbooks_name_panels_that_exist():
    titles = {panel["title"] for name in panels.NAMES for panel in panels.dashboard(name)["panels"]} | {"listener", "overview", "SLO"}
    titles |= {title.split(":")[0] for title in titles}
    for path in (ROOT / "docs/runbooks").glob("Queuepost*.md"):
        body = path.read_text().split("## What it means")[1]
        confirm = re.sub(r"\s+", " ", body)
        for name in re.findall(r"(?<![\w*])\*([A-Z][^*]+)\*(?!\*)", confirm):
            assert name in titles, f"{path.name}: no panel {name!r}"


def test_provisioning_and_readme_name_what_is_there():
    text = (FOLDER / "README.md").read_text()
    for link in re.findall(r"\]\((?!http)([^)#]+)", text):
        assert (FOLDER / link).exists(), link
    for name in ("datasource.yaml", "dashboards.yaml"):
        assert yaml.safe_load((FOLDER / "provisioning" / name).read_text())["apiVersion"] == 1
    console = (ROOT / "docs/console.md").read_text()
    for picture in (ROOT / "docs/pictures").glob("*.png"):
        shown = f"pictures/{picture.name}" in console if picture.name.startswith("console-") else f"docs/pictures/{picture.name}" in text
        assert picture.stat().st_size < 200_000 and shown, picture.name


def test_promtool_takes_every_query_of_the_dashboards(tmp_path):
    """As rules, which it parses; annotations and variables too."""
    made = [{"record": f"queuepost:query:{i}", "expr": panels.filled(expr)} for i, (_, expr) in enumerate(queries())]
    file = tmp_path / "queries.yaml"
    file.write_text(json.dumps({"groups": [{"name": "queries", "rules": made}]}))
    assert f"{len(made)} rules found" in run(tool("promtool"), "check", "rules", file).stdout


def test_the_page_about_watching_and_the_chart_say_how_many_alerts_and_series_there_are():
    text = (ROOT / "docs/watching.md").read_text()
    alerts = {name for name, _ in rules() if name.startswith("Queuepost")}
    assert f"[{len(alerts)} alerts]" in text
    series = re.search(r"from its start, (\d+) once", (ROOT / "docs/metrics.md").read_text())[1]
    assert f"about {series} series for each listener" in text
    assert f"about {series} each" in (ROOT / "deploy/helm/queuepost/values.yaml").read_text()
