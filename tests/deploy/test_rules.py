"""Recording and alert rules: promtool takes them, every alert fires when it should and is quiet when it nearly should."""

import json
import re

import pytest
import yaml
from rendering import CHART, ROOT, helm_template, matches, objects, one, run, tool

RULES = ROOT / "deploy/prometheus/queuepost.rules.yaml"
RUNBOOKS = ROOT / "docs/runbooks"
GROUPS = yaml.safe_load(RULES.read_text())["groups"]
ALERTS = [rule for group in GROUPS for rule in group["rules"] if "alert" in rule]
NAMES = sorted({rule["alert"] for rule in ALERTS})


def of(metric, values, labels="", listener="orders"):
    """A series of a listener, or of none."""
    parts = ['job="queuepost"', 'instance="a"', *([f'listener="{listener}"'] if listener else []), *([labels] if labels else [])]
    return {"series": f"queuepost_{metric}{{{', '.join(parts)}}}", "values": values}


def deliveries(good, failed, throttled=0, samples=200):
    """POSTs a minute by outcome."""
    rates = {"success": good, "failed": failed, "throttled": throttled}
    return [of("deliveries_total", f"0+{rate}x{samples}", f'outcome="{outcome}"') for outcome, rate in rates.items()]


def completions(fresh, stale, samples=200):
    """Completed messages a minute, younger and older than 15 minutes."""
    age = "message_age_seconds"
    return [
        of(f"{age}_bucket", f"0+{fresh}x{samples}", 'point="completed", le="900"'),
        of(f"{age}_count", f"0+{fresh + stale}x{samples}", 'point="completed"'),
        of(f"{age}_bucket", f"0+{stale}x{samples}", 'point="received", le="900"'),
    ]


def queue(visible, role="source", metric="queue_messages_visible"):
    return of(metric, visible, f'role="{role}"')


def calls(ok, failed, result="network", operation="ReceiveMessage"):
    labels = f'operation="{operation}", result='
    return [of("sqs_requests_total", ok, f'{labels}"ok"'), of("sqs_requests_total", failed, f'{labels}"{result}"')]


FAULTED, HEALTHY = of("listener_faulted", "1x60"), of("listener_faulted", "0x60")
BUILD = of("build_info", "1x200", 'version="1", revision="a"', listener=None)
OBJECTIVES = of("build_info", "1x900", 'version="1", revision="a"', listener=None)
ENDS = of("build_info", "1x10 stale", 'version="1", revision="a"', listener=None)
GATE = 'endpoint="shop", listener="", reason="throttled"'
OWN_GATE = 'endpoint="shop", reason="throttled"'
UP = {"series": 'up{job="queuepost", instance="a"}', "values": "1x10 0x800"}
ORDERS = {"listener": "orders"}
DENIED = {"operation": "SendMessage"}
STANDS = [queue("5x60"), of("messages_deleted_total", "7x60"), of("messages_dead_lettered_total", "0x60")]



def up(values):
    return {"series": 'up{job="queuepost", instance="a"}', "values": values}


def deployment(wants, has, name="queuepost"):
    return [
        {"series": f'kube_deployment_{what}{{job="kube-state-metrics", deployment="{name}"}}', "values": f"{count}x800"}
        for what, count in [("spec_replicas", wants), ("status_replicas_available", has)]
    ]


def gates(endpoint, own="0x60"):
    """Seconds that the gate of the endpoint, and the listener's own, were not open."""
    return [of("gate_closed_seconds_total", endpoint, GATE, None), of("gate_closed_seconds_total", own, OWN_GATE)]


def fleet(first, second, values=None):
    """Two processes that run, and how many each sees."""
    return [
        series
        for instance, members in (("a", first), ("b", second))
        for series in (
            {"series": f'up{{job="queuepost", instance="{instance}"}}', "values": "1x60"},
            {"series": f'queuepost_fleet_members{{job="queuepost", instance="{instance}"}}', "values": values or f"{members}x60"},
        )
    ]


def shares(*parts):
    """What each process has of an endpoint's sessions."""
    return [
        {"series": f'queuepost_fleet_share{{job="queuepost", instance="{instance}", endpoint="shop"}}', "values": f"{part}x60"}
        for instance, part in zip("ab", parts, strict=True)
    ]


#: An endpoint that dies in the tenth minute, under a hundred messages a second.
DIES = [
    *gates("0x10 55+55x60"), queue("100+3000x60"), of("messages_deleted_total", "0+6000x10 60000x60"), of("messages_dead_lettered_total", "0x70"),
    *[of("deliveries_total", values, f'outcome="{outcome}"') for outcome, values in [("success", "0+6000x10 60000x60"), ("unavailable", "0x10 2+2x60")]],
    HEALTHY, BUILD,
]

#: Alert, what it is like, minutes from the beginning, its series, and the labels it fires with; None: it does not.
#: A sample is a minute.
CASES = [
    ("QueuepostDown", "its targets do not answer, for half a day", 720, [ENDS, UP], {}),
    ("QueuepostDown", "its targets have not answered for four minutes", 14, [ENDS, UP], None),
    ("QueuepostDown", "uninstalled or scaled to zero: no targets are left", 30, [ENDS, up("0x10 stale")], None),
    ("QueuepostDown", "another job's targets do not answer", 30, [up("0x60")], None),
    ("QueuepostDown", "a Deployment has none of the pods it wants", 720, deployment(2, 0), {"job": None, "deployment": "queuepost"}),
    ("QueuepostDown", "a Deployment scaled to zero", 30, deployment(0, 0), None),
    ("QueuepostDown", "a Deployment of something else", 30, deployment(2, 0, "shop"), None),
    ("QueuepostDown", "one of two processes is left", 30, [ENDS, UP, {**BUILD, "series": BUILD["series"].replace('"a"', '"b"', 1)}], None),
    ("QueuepostListenerFaulted", "in one process of two", 11, [FAULTED, {**HEALTHY, "series": HEALTHY["series"].replace('"a"', '"b"')}], ORDERS),
    ("QueuepostListenerFaulted", "for nine minutes", 15, [of("listener_faulted", "1x9 0x20")], None),
    ("QueuepostNotConsuming", "visible and none deleted", 25, [*STANDS, HEALTHY], ORDERS),
    ("QueuepostNotConsuming", "faulted has its own alert", 25, [*STANDS, FAULTED], None),
    ("QueuepostNotConsuming", "paused has its own alert", 25, [*STANDS, HEALTHY, of("listener_paused", "1x60")], None),
    ("QueuepostNotConsuming", "paused in one process of two", 25, [*STANDS, HEALTHY, of("listener_paused", "1x60"), {**of("listener_paused", "0x60"), "series": of("listener_paused", "")["series"].replace('"a"', '"b"')}], ORDERS),
    ("QueuepostNotConsuming", "nothing is visible", 25, [queue("0x60"), *STANDS[1:]], None),
    ("QueuepostNotConsuming", "one is deleted every nine minutes", 50, [queue("5x60"), of("messages_deleted_total", "0x8 1x8 2x8 3x8 4x8 5x20"), STANDS[2]], None),
    ("QueuepostNotConsuming", "all go to the dead-letter queue by a row", 25, [*STANDS[:2], of("messages_dead_lettered_total", "0+6x60")], None),
    ("QueuepostNotConsuming", "a closed gate has its own alert", 40, [*STANDS, HEALTHY, *gates("0+55x60")], None),
    ("QueuepostEndpointTakesNothing", "ten minutes after it died", 20, DIES, ORDERS),
    ("QueuepostEndpointTakesNothing", "the listener's own gate is closed", 20, [*STANDS, *gates("0x60", "0+55x60")], ORDERS),
    ("QueuepostEndpointTakesNothing", "seven minutes after it died", 17, DIES, None),
    ("QueuepostEndpointTakesNothing", "nothing is visible", 30, [queue("0x60"), *STANDS[1:], *gates("0+55x60")], None),
    ("QueuepostEndpointTakesNothing", "it takes some between its pauses", 30, [STANDS[0], of("messages_deleted_total", "0+3x60"), *gates("0+55x60")], None),
    ("QueuepostEndpointTakesNothing", "the gate of another endpoint is closed", 30, [*STANDS, *gates("0x60"), of("gate_closed_seconds_total", "0+55x60", GATE.replace("shop", "mail"), None)], None),
    ("QueuepostGateClosedLong", "five minutes after the endpoint died", 16, DIES, {"endpoint": "shop"}),
    ("QueuepostListenerPausedLong", "for five hours", 300, [of("listener_paused", "1x320")], ORDERS),
    ("QueuepostListenerPausedLong", "for two hours", 300, [of("listener_paused", "0x100 1x120 0x100")], None),
    ("QueuepostGateClosedLong", "closed nearly always", 25, [of("gate_closed_seconds_total", "0+55x60", GATE, None)], {"endpoint": "shop"}),
    ("QueuepostGateClosedLong", "in one process of two", 25, [of("gate_closed_seconds_total", "0+60x60", GATE, None), {"series": of("gate_closed_seconds_total", "", GATE, None)["series"].replace('"a"', '"b"'), "values": "0x60"}], None),
    ("QueuepostGateClosedLong", "for three minutes", 6, [of("gate_closed_seconds_total", "0+60x3 180x60", GATE, None)], None),
    ("QueuepostThrottledSustained", "a quarter is throttled", 30, deliveries(70, 5, 25), ORDERS),
    ("QueuepostThrottledSustained", "a sixth is throttled", 30, deliveries(80, 3, 17), None),
    ("QueuepostDeadLetterImminent", "one message on its final receive", 12, [of("messages_near_dead_letter_total", "0x3 1x60")], ORDERS),
    ("QueuepostDeadLetterImminent", "the last was long ago", 40, [of("messages_near_dead_letter_total", "0x3 1x60")], None),
    ("QueuepostDeadLetterImminent", "for four minutes", 7, [of("messages_near_dead_letter_total", "0x3 1x60")], None),
    ("QueuepostDeadLetterQueueNotEmpty", "one message", 10, [queue("0x2 1x60", "dead_letter")], ORDERS),
    ("QueuepostDeadLetterQueueNotEmpty", "the source is not empty", 10, [queue("9x60"), queue("0x60", "dead_letter")], None),
    ("QueuepostDeadLetterQueueNotEmpty", "for four minutes", 7, [queue("0x2 1x60", "dead_letter")], None),
    ("QueuepostDeadLetterQueueGrowing", "one a minute", 25, [queue("0+1x60", "dead_letter")], ORDERS),
    ("QueuepostDeadLetterQueueGrowing", "many that were there before", 25, [queue("500x60", "dead_letter")], None),
    ("QueuepostDeadLetterQueueGrowing", "one in two minutes", 40, [queue("0 0 1 1 2 2 3 3 4 4 5 5 6 6 7 7 8 8 9 9 10 10 11 11 12 12 13 13 14 14 15 15 16 16 17 17 18 18 19 19 20", "dead_letter")], None),
    ("QueuepostDeadLetterQueueGrowing", "since four minutes", 29, [queue("0x24 20x60", "dead_letter")], None),
    ("QueuepostInFlightNearLimit", "100,000", 15, [queue("100000x60", metric="queue_messages_not_visible")], ORDERS),
    ("QueuepostInFlightNearLimit", "90,000", 15, [queue("90000x60", metric="queue_messages_not_visible")], None),
    ("QueuepostOldestMessageTooOld", "seen at every fifth scrape", 30, [of("queue_oldest_message_age_seconds", "0 0 0 0 4000 0 0 0 0 4000 0 0 0 0 4000 0 0 0 0 4000 0 0 0 0 4000 0 0 0 0 4000 0")], ORDERS),
    ("QueuepostOldestMessageTooOld", "50 minutes", 30, [of("queue_oldest_message_age_seconds", "3000x60")], None),
    ("QueuepostWorkersSaturated", "all busy, and messages wait", 20, [of("workers_in_use", "16x60"), of("workers_limit", "16x60"), queue("9x60")], ORDERS),
    ("QueuepostWorkersSaturated", "all busy, and none waits", 20, [of("workers_in_use", "16x60"), of("workers_limit", "16x60"), queue("0x60")], None),
    ("QueuepostWorkersSaturated", "one of ten is free", 20, [of("workers_in_use", "9x60"), of("workers_limit", "10x60"), queue("9x60")], None),
    ("QueuepostVisibilityExtensionFailing", "one of fifty", 30, [of("visibility_extensions_total", "0+49x60", 'result="extended"'), of("visibility_extensions_total", "0+1x60", 'result="failed"')], ORDERS),
    ("QueuepostVisibilityExtensionFailing", "one of two hundred", 30, [of("visibility_extensions_total", "0+199x60", 'result="extended"'), of("visibility_extensions_total", "0+1x60", 'result="lost"')], None),
    ("QueuepostLeasesLost", "one", 8, [of("leases_lost_total", "0x4 1x60")], ORDERS),
    ("QueuepostLeasesLost", "long ago", 40, [of("leases_lost_total", "0x4 1x60")], None),
    ("QueuepostDuplicateReceives", "one of fifty", 65, [of("duplicates_suppressed_total", "0+2x90"), of("messages_received_total", "0+95x90", 'first="true"'), of("messages_received_total", "0+5x90", 'first="false"')], ORDERS),
    ("QueuepostDuplicateReceives", "one of two hundred", 65, [of("duplicates_suppressed_total", "0+1x90"), of("messages_received_total", "0+200x90", 'first="true"')], None),
    ("QueuepostMessagesAbandoned", "one", 8, [of("messages_abandoned_total", "0x4 1x60")], ORDERS),
    ("QueuepostMessagesAbandoned", "long ago", 40, [of("messages_abandoned_total", "0x4 1x60")], None),
    ("QueuepostSqsErrors", "one of ten", 30, [*calls("0+90x60", "0+10x60"), HEALTHY], ORDERS),
    ("QueuepostSqsErrors", "a FIFO queue throttles", 30, [*calls("0+90x60", "0+30x60", "throttled"), HEALTHY], None),
    ("QueuepostSqsErrors", "one of thirty", 30, calls("0+290x60", "0+10x60"), None),
    ("QueuepostSqsErrors", "faulted has its own alert", 30, [*calls("0+90x60", "0+10x60"), FAULTED], None),
    ("QueuepostSqsAccessDenied", "a copy for the dead-letter queue", 20, [*calls("0x60", "0+1x60", "denied", "SendMessage"), HEALTHY], {**ORDERS, **DENIED}),
    ("QueuepostSqsAccessDenied", "faulted has its own alert", 20, [*calls("0x60", "0+1x60", "denied", "SendMessage"), FAULTED], None),
    ("QueuepostSqsAccessDenied", "long ago", 40, calls("0x60", "3x60", "denied", "SendMessage"), None),
    ("QueuepostSqsAccessDenied", "another error", 20, calls("0x60", "0+1x60", "network", "SendMessage"), None),
    ("QueuepostQueueStatsStale", "no answer for ten minutes", 20, [*calls("5x60", "0+2x60", operation="GetQueueAttributes"), HEALTHY], ORDERS),
    ("QueuepostQueueStatsStale", "every second answer fails", 20, calls("0+1x60", "0+1x60", operation="GetQueueAttributes"), None),
    ("QueuepostQueueStatsStale", "faulted has its own alert", 20, [*calls("5x60", "0+2x60", operation="GetQueueAttributes"), FAULTED], None),
    ("QueuepostDeliveryPanics", "one", 8, [of("panics_total", "0x4 1x60")], ORDERS),
    ("QueuepostDeliveryPanics", "none", 8, [of("panics_total", "0x60")], None),
    ("QueuepostPreflightWarning", "few receives", 16, [of("preflight_warnings", "1x60", 'warning="few_receives"')], {**ORDERS, "warning": "few_receives"}),
    ("QueuepostPreflightWarning", "mended within ten minutes", 30, [of("preflight_warnings", "1x10 0x60", 'warning="few_receives"')], None),
    ("QueuepostConfigReloadFailed", "a file that stays bad", 8, [of("config_last_reload_successful", "1x1 0x60", listener=None)], {"instance": "a"}),
    ("QueuepostConfigReloadFailed", "a file put right within four minutes", 8, [of("config_last_reload_successful", "1x1 0x3 1x60", listener=None)], None),
    ("QueuepostFleetMismatch", "one of two processes is not behind the name", 15, fleet(1, 1), {}),
    ("QueuepostFleetMismatch", "one of two sees itself alone", 15, fleet(1, 2), {}),
    ("QueuepostFleetMismatch", "one has seen nobody yet", 15, fleet(2, 0), {}),
    ("QueuepostFleetMismatch", "half of the fleet has no answers and keeps its shares", 15, [*fleet(2, 2), *shares(0.7, 0.6)], {"endpoint": "shop"}),
    ("QueuepostFleetMismatch", "each sees both", 30, [*fleet(2, 2), *shares(0.5, 0.5)], None),
    ("QueuepostFleetMismatch", "for nine minutes, in a rollout", 30, fleet(3, 3, "3x9 2x60"), None),
    ("QueuepostFleetMismatch", "no fleet at all", 30, [up("1x60"), BUILD], None),
    ("QueuepostVersionSkew", "two versions for an hour", 62, [BUILD, of("build_info", "1x200", 'version="2", revision="a"', None)], {}),
    ("QueuepostVersionSkew", "two versions during a rollout", 62, [BUILD, of("build_info", "1x30 _x200", 'version="2", revision="a"', None)], None),
    ("QueuepostVersionSkew", "two processes of one version", 62, [BUILD, {**BUILD, "series": BUILD["series"].replace('instance="a"', 'instance="b"')}], None),
]


def counted(*segments):
    """Values of a counter that grows by so much a sample, for so many samples; one segment after the other."""
    total, text = 0, ["0"]
    for step, samples in segments:
        text.append(f"{total + step}+{step}x{samples - 1}")
        total += step * samples
    return " ".join(text)


def failing(*shares):
    """Deliveries of which so many of a thousand fail, and as many again are throttled, for so many samples."""
    found = {"success": [(1000 - bad, n) for bad, n in shares], "failed": shares, "throttled": [(500, n) for _, n in shares]}
    return [of("deliveries_total", counted(*segments), f'outcome="{outcome}"') for outcome, segments in found.items()]


def late(*shares):
    """Completed messages of which so many of a thousand are too old; all were young when received."""
    age = "message_age_seconds"
    return [
        of(f"{age}_bucket", counted(*[(1000 - bad, n) for bad, n in shares]), 'point="completed", le="900"'),
        of(f"{age}_count", counted(*[(1000, n) for _, n in shares]), 'point="completed"'),
        of(f"{age}_bucket", counted(*[(1000, n) for _, n in shares]), 'point="received", le="900"'),
    ]


#: Speed, what it is like, minutes, bad ones of a thousand and for how many samples, windows that fire.
#: A sample is a minute, of slow burns five.
BURNS = [
    ("Fast", "a fifth, for five minutes", 5, [(200, 5)], ["1h"]),
    ("Fast", "a fifth, for two minutes", 2, [(200, 5)], []),
    ("Fast", "a tenth, for an hour", 70, [(100, 80)], []),
    ("Fast", "most of the hour, but hardly now", 70, [(400, 50), (50, 30)], []),
    ("Fast", "now, but hardly in the hour", 70, [(5, 62), (400, 10)], []),
    ("Medium", "a tenth, for twenty minutes", 20, [(100, 20)], ["6h"]),
    ("Medium", "a tenth, for ten minutes", 10, [(100, 20)], []),
    ("Medium", "a twentieth, for hours", 200, [(50, 210)], []),
    ("Medium", "for hours, but hardly now", 400, [(150, 340), (20, 80)], []),
    ("Medium", "now, but hardly for hours", 400, [(20, 360), (150, 60)], []),
    ("Slow", "4 %, for more than an hour", 80, [(40, 40)], ["1d"]),
    ("Slow", "4 %, for more than three hours", 200, [(40, 60)], ["1d", "3d"]),
    ("Slow", "4 %, for less than an hour", 50, [(40, 40)], []),
    ("Slow", "2 %, for a day", 1500, [(20, 400)], ["3d"]),
    ("Slow", "half a percent, for a day", 1500, [(5, 400)], []),
    ("Slow", "for a day, but hardly now", 1500, [(100, 200), (8, 150)], []),
    ("Slow", "now, but hardly for a day", 4200, [(1, 790), (100, 60)], []),
]
for speed, like, minutes, shares, windows in BURNS:
    for budget, made in [("DeliveryErrorBudget", failing), ("FreshnessBudget", late)]:
        labels = [{**ORDERS, "window": window} for window in windows]
        CASES.append((f"Queuepost{budget}{speed}Burn", like, minutes, [*made(*shares), OBJECTIVES], labels or None))

#: What wakes nobody: few messages, of which a few fail or are late. Failures that go on are many soon, by their retries.
QUIET = [("one of one", "0x9 1x400"), ("two of ten in an hour", "0x9 2x400"), ("nine within the window", "0x9 9x400")]
for speed, minutes in [("Fast", 12), ("Medium", 28), ("Slow", 125)]:
    for like, values in QUIET:
        failed = [of("deliveries_total", values, 'outcome="failed"'), of("deliveries_total", "0x9 1x400", 'outcome="success"'), OBJECTIVES]
        aged = [of("message_age_seconds_count", values, 'point="completed"'), of("message_age_seconds_bucket", "0x400", 'point="completed", le="900"'), OBJECTIVES]
        for budget, series in [("DeliveryErrorBudget", failed), ("FreshnessBudget", aged)]:
            CASES.append((f"Queuepost{budget}{speed}Burn", f"{like}, on a quiet queue", minutes, series, None))


def promtool(tmp_path, tests, interval="1m"):
    """Runs rule unit tests; what failed is in the failure."""
    file = tmp_path / "test.yaml"
    file.write_text(json.dumps({"rule_files": [str(RULES)], "evaluation_interval": interval, "tests": tests}))
    return run(tool("promtool"), "test", "rules", file, check=False)


@pytest.mark.parametrize(("name", "like", "minutes", "series", "fires"), CASES, ids=[f"{case[0]}: {case[1]}" for case in CASES])
def test_an_alert_fires_when_it_should_and_is_quiet_otherwise(tmp_path, name, like, minutes, series, fires):
    expected = []
    for labels in [] if fires is None else fires if isinstance(fires, list) else [fires]:
        severities = {rule["labels"]["severity"] for rule in ALERTS if rule["alert"] == name}
        labels = {"alertname": name, "alertstate": "firing", "job": "queuepost", "severity": severities.pop(), **labels}
        text = ", ".join(f'{key}="{value}"' for key, value in labels.items() if value is not None)
        expected.append({"labels": f"ALERTS{{{text}}}", "value": 1})
    query = {"expr": f'ALERTS{{alertname="{name}", alertstate="firing"}}', "eval_time": f"{minutes}m", "exp_samples": expected}
    queries = [query]
    waits = {rule["for"] for rule in ALERTS if rule["alert"] == name}
    if expected and len(waits) == 1:
        # It was pending for as long as it says, and not longer.
        wait = waits.pop()
        steps = int(wait[:-1]) * {"m": 1, "h": 60}[wait[-1]]
        pending = f'min(count_over_time(ALERTS{{alertname="{name}", alertstate="pending"}}[1w])) == bool {steps}'
        queries.append({"expr": pending, "eval_time": f"{minutes}m", "exp_samples": [{"labels": "{}", "value": 1}]})
    interval = "5m" if name.endswith("SlowBurn") else "1m"
    done = promtool(tmp_path, [{"interval": interval, "input_series": series, "promql_expr_test": queries}], interval)
    assert done.returncode == 0, f"{like}: {done.stdout}\n{done.stderr}"


def test_every_alert_is_seen_firing_and_quiet():
    assert {case[0] for case in CASES if case[4] is not None} == set(NAMES)
    assert {case[0] for case in CASES if case[4] is None} == set(NAMES)


def test_a_429_is_no_failed_delivery_and_what_it_delays_is_late(tmp_path):
    labels = '{job="queuepost", listener="orders"}'
    queries = [
        {"expr": f"listener:queuepost_{rule}:ratio_rate5m", "eval_time": "10m", "exp_samples": [{"labels": f"listener:queuepost_{rule}:ratio_rate5m{labels}", "value": value}]}
        for rule, value in [("delivery_errors", 0.25), ("stale_completions", 0.5)]
    ]
    series = [*deliveries(75, 25, 900), *completions(50, 50)]
    done = promtool(tmp_path, [{"interval": "1m", "input_series": series, "promql_expr_test": queries}])
    assert done.returncode == 0, done.stdout + done.stderr


def test_prometheus_3_writes_bucket_bounds_with_a_point(tmp_path):
    series = [{**each, "series": each["series"].replace('le="900"', 'le="900.0"')} for each in completions(50, 50)]
    rule = "listener:queuepost_stale_completions:ratio_rate5m"
    query = {"expr": rule, "eval_time": "10m", "exp_samples": [{"labels": f'{rule}{{job="queuepost", listener="orders"}}', "value": 0.5}]}
    done = promtool(tmp_path, [{"interval": "1m", "input_series": series, "promql_expr_test": [query]}])
    assert done.returncode == 0, done.stdout + done.stderr


def test_promtool_takes_the_rules():
    done = run(tool("promtool"), "check", "rules", RULES)
    assert f"{sum(len(group['rules']) for group in GROUPS)} rules found" in done.stdout


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule['alert']} {rule['labels'].get('window', '')}")
def test_an_alert_says_what_a_person_needs(rule):
    notes = rule["annotations"]
    assert re.fullmatch(r"Queuepost[A-Z][A-Za-z]+", rule["alert"])
    assert rule["labels"]["severity"] in {"critical", "warning", "info"} and rule["for"]
    assert re.fullmatch(r"[A-Z].*[^.]\.", notes["summary"]) and "{{" not in notes["summary"]
    assert "{{" in notes["description"]
    assert notes["runbook_url"] == f"docs/runbooks/{rule['alert']}.md"
    uids = {json.loads(path.read_text())["uid"] for path in (ROOT / "dashboards").glob("*.json")}
    assert re.match(r"/d/([a-z-]+)", notes["dashboard_url"])[1] in uids


def test_every_alert_has_a_runbook_and_every_runbook_an_alert():
    pages = {path.stem: path.read_text() for path in RUNBOOKS.glob("*.md") if path.stem != "README"}
    assert sorted(pages) == NAMES
    for name, text in pages.items():
        assert text.startswith(f"# {name}\n"), name
        headings = re.findall("^## (.*)$", text, re.M)
        assert headings == ["What it means", "How to confirm", "What to do", "How to stop the bleeding"], name
        (rule, *_) = [rule for rule in ALERTS if rule["alert"] == name]
        assert f"*{rule['labels']['severity']}*: {rule['annotations']['summary']}" in text or name.endswith("SlowBurn"), name
    index = (RUNBOOKS / "README.md").read_text()
    assert sorted(re.findall(r"\[(Queuepost\w+)\]\(\1\.md\)", index)) == NAMES


def test_the_chart_has_these_rules():
    matches(CHART / "files/alerts.yaml", RULES.read_text())


def test_objectives_and_addresses_are_values_of_the_chart():
    values = "prometheusRule.enabled=true,prometheusRule.freshnessObjective=0.95,prometheusRule.deliveryObjective=0.999"
    addresses = "prometheusRule.runbooks=https://git.example/q/,prometheusRule.grafana=https://grafana.example"
    text = helm_template("--set", "queue=orders,url=http://a,aws.region=eu-west-1", "--set", values, "--set", addresses).stdout
    groups = one(objects(text), "PrometheusRule")["spec"]["groups"]
    mine = 'group by (cluster, namespace, job) (queuepost_build_info{namespace="queuepost", pod=~"queuepost-.+"})'
    assert [rule["expr"] for rule in groups[0]["rules"]] == [f"0.999 * {mine}", f"0.95 * {mine}"]
    (down,) = [rule["expr"] for group in groups for rule in group["rules"] if rule.get("alert") == "QueuepostDown"]
    assert down.count('{namespace="queuepost", deployment="queuepost"}') == 2 and ".*" not in down
    alerts = [rule["annotations"] for group in groups for rule in group["rules"] if "alert" in rule]
    assert len(alerts) == len(ALERTS)
    assert all(each["runbook_url"].startswith("https://git.example/q/docs/runbooks/Queuepost") for each in alerts)
    assert all(each["dashboard_url"].startswith("https://grafana.example/d/queuepost-") for each in alerts)
    assert [group["rules"] for group in groups[1:2]] == [group["rules"] for group in GROUPS[1:2]]


@pytest.mark.parametrize("value", ["deliveryObjective=0.93", "freshnessObjective=0.94"])
def test_an_objective_whose_fast_burn_could_never_fire_is_refused(value):
    done = helm_template("--set", "queue=orders,url=http://a,aws.region=eu-west-1,prometheusRule.enabled=true", "--set", f"prometheusRule.{value}", check=False)
    assert done.returncode != 0 and "must be above 0.94" in done.stderr, done.stderr


def test_each_release_and_namespace_is_measured_by_its_own_objective(tmp_path):
    """Two jobs that fail alike: one in a hundred is too much for one of them only."""
    text = RULES.read_text()
    expr = "0.99 * group by (cluster, namespace, job) (queuepost_build_info)"
    assert text.count(expr) == 2
    both = expr.replace("info)", 'info{namespace="dev"})') + "\n          or " + expr.replace("0.99", "0.999").replace("info)", 'info{namespace="prod"})')
    rules = tmp_path / "rules.yaml"
    rules.write_text(text.replace(f"expr: {expr}", f"expr: |-\n          {both}"))
    series = []
    for space in ("dev", "prod"):
        moved = [*failing((30, 80)), OBJECTIVES]
        series += [{**each, "series": each["series"].replace('job="queuepost"', f'job="queuepost", namespace="{space}"')} for each in moved]
    query = 'count by (namespace) (ALERTS{alertname="QueuepostDeliveryErrorBudgetFastBurn", alertstate="firing"})'
    wanted = [{"labels": '{namespace="prod"}', "value": 1}]
    tests = [{"interval": "1m", "input_series": series, "promql_expr_test": [{"expr": query, "eval_time": "70m", "exp_samples": wanted}]}]
    file = tmp_path / "test.yaml"
    file.write_text(json.dumps({"rule_files": [str(rules)], "evaluation_interval": "1m", "tests": tests}))
    done = run(tool("promtool"), "test", "rules", file, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
