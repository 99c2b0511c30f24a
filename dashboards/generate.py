#!/usr/bin/env python3
"""Writes overview.json, listener.json, slo.json and cost.json: `python3 dashboards/generate.py`. Only the standard library is needed.

A dashboard is a list of rows, a row a title and its panels, a panel what a person reads: title, description, queries with
their legends, unit. Everything Grafana wants beside that is in grafana.py. The JSON is kept; a test compares.
"""

import json
from pathlib import Path

from grafana import Panel, dashboard, heatmap, lines, names, stat, variables

FOLDER = Path(__file__).resolve().parent

#: A listener, or an endpoint, of one place: `orders` of another cluster, namespace or job is another line.
PLACE = "cluster, namespace, job"
LISTENER, ENDPOINT = f"{PLACE}, listener", f"{PLACE}, endpoint"
WHERE_NAMED = "{{job}} {{namespace}} {{cluster}}"
LISTENER_NAMED, ENDPOINT_NAMED = f"{{{{listener}}}} {WHERE_NAMED}", f"{{{{endpoint}}}} {WHERE_NAMED}"
WHERE = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job", instance=~"$instance"'


def of(metric, more="", listener=True):
    """A selector: the metric, where, and of which listeners."""
    labels = [WHERE, *(['listener=~"$listener"'] if listener else []), *([more] if more else [])]
    return f"queuepost_{metric}{{{', '.join(labels)}}}"


def rate(metric, by="", more="", listener=True):
    """Per second, summed."""
    return f"sum{f' by ({by})' if by else ''} (rate({of(metric, more, listener)}[$__rate_interval]))"


def seen(expr):
    """Without the lines of what does not happen: they would bury the others in the legend."""
    return f"{expr} > 0"


def share(part, whole):
    """Part of a whole; nothing where there is no whole."""
    return f"{part} / ({whole} > 0)"


def quantiles(metric, more="", listener=True):
    """The three lines that say how long it takes."""
    inner = rate(f"{metric}_bucket", "le", more, listener)
    return [(f"histogram_quantile({q}, {inner})", f"p{q[2:].ljust(2, '0')}") for q in ("0.5", "0.95", "0.99")]


NOT_429 = 'outcome!="throttled"'
BAD = 'outcome!~"success|throttled"'
SOURCE_QUEUE, DEAD_LETTER = 'role="source"', 'role="dead_letter"'
COMPLETED = 'point="completed"'
SETTLING = 'operation=~"DeleteMessageBatch|ChangeMessageVisibilityBatch"'
NOT_OPEN = 'state=~"closed|probing"'
AN_ENDPOINT = f'{NOT_OPEN}, listener=""'
#: The gate of the chosen listener's endpoint, and that with the listener's own.
ITS_NOT_OPEN = f'{NOT_OPEN}, endpoint=~"$endpoint", listener=""'
BOTH_GATES = 'endpoint=~"$endpoint", listener=~"|$listener"'
BOTH_NOT_OPEN = f"{NOT_OPEN}, {BOTH_GATES}"
FATES = [
    ("messages_deleted_total", "deleted"), ("messages_parked_total", "parked"), ("messages_deferred_total", "deferred"),
    ("messages_released_total", "released"), ("messages_dead_lettered_total", "dead-lettered"), ("messages_abandoned_total", "abandoned"),
]
#: The gauge is 0 when nothing was received in the last minute: no good news, nor bad.
NOTHING_RECEIVED = {"0": ("none", "grey")}
RED_FROM_ONE = {"steps": [(1, "red")]}
ORANGE_FROM_ONE = {"steps": [(1, "orange")]}


def per_queue(metric, more, by=LISTENER):
    """Every process says the same of a queue."""
    return f"max by ({by}) ({of(metric, more)})"


def overview():
    states = {"0": ("open", "green"), "1": ("not open", "red")}
    closed = f"avg by ({ENDPOINT}, listener, reason) (rate({of('gate_closed_seconds_total', listener=False)}[$__rate_interval]))"
    rows = [
        ("Now", [
            stat("Processes", "Processes that answer Prometheus. Fewer than you run: look at the pods.", f"count({of('build_info', listener=False)})", base="blue", width=2),
            names("Listeners faulted", "Listeners that cannot read their queue, by name; a person has to act. Runbook: QueuepostListenerFaulted.", f"max by ({LISTENER}) ({of('listener_faulted')}) == 1", LISTENER_NAMED, width=5),
            stat("Gates not open", "Gates, of endpoints and of single listeners, that are closed or probing in some process. Nothing is received behind them but probes.", f"count(max by ({ENDPOINT}, listener) ({of('gate_state', NOT_OPEN, listener=False)}) == 1) or vector(0)", **RED_FROM_ONE),
            stat("Visible", "Messages ready to be received, over all queues.", f"sum({per_queue('queue_messages_visible', SOURCE_QUEUE)})", base="blue", width=2),
            stat("Parked", "Messages hidden after a 429 by these processes, not yet due.", f"sum({of('messages_parked_current')})", base="blue", width=2),
            stat("Oldest received", "Age of the oldest message received in the last minute; none: nothing was received. Runbook: QueuepostOldestMessageTooOld.", f"max({of('queue_oldest_message_age_seconds')})", "s", steps=[(900, "orange"), (3600, "red")], values=NOTHING_RECEIVED),
            stat("Dead-lettered", "Messages in the dead-letter queues. Look at them, mend, and move them back.", f"sum({per_queue('queue_messages_visible', DEAD_LETTER)})", width=2, **ORANGE_FROM_ONE),
            stat("Configuration refused", "Processes that go on with an old configuration, because the new one is not valid; their log says why. Runbook: QueuepostConfigReloadFailed.", f"count({of('config_last_reload_successful', listener=False)} == 0) or vector(0)", **ORANGE_FROM_ONE),
            stat("Draining", "Processes that are stopping.", f"sum({of('draining', listener=False)})", width=2, **ORANGE_FROM_ONE),
        ]),
        ("Deliveries: rate, errors, duration", [
            lines("Deliveries by outcome", "POSTs per second and what came of them. Orange is throttling; red and the rest are failures, with their meaning in docs/errors.md.", [(seen(rate("deliveries_total", "outcome")), "{{outcome}}")], "reqps", 12, stack=True),
            lines("What became of messages", "Per second. Deleted is the throughput; parked waits after a 429, deferred after another failure.", [(rate(metric), legend) for metric, legend in FATES], "mps", 12, stack=True),
            lines("Failed deliveries", "Share of the deliveries that failed; a 429 is neither good nor bad here. Objective: below 1 %.", [(share(rate("deliveries_total", LISTENER, BAD), rate("deliveries_total", LISTENER, NOT_429)), LISTENER_NAMED)], "percentunit", max=1, steps=[(0.01, "red")]),
            lines("Throttled deliveries", "Share of the deliveries answered 429. Above 20 % for long: QueuepostThrottledSustained.", [(share(rate("deliveries_total", LISTENER, 'outcome="throttled"'), rate("deliveries_total", LISTENER)), LISTENER_NAMED)], "percentunit", max=1, steps=[(0.2, "orange")]),
            lines("Duration of a delivery", "Connecting and reading the answer included, all outcomes.", quantiles("delivery_duration_seconds"), "s"),
        ]),
        ("Queues: backlog, age, dead letters", [
            lines("Visible messages", "The backlog of each queue, read on request, at most every 30 s.", [(per_queue("queue_messages_visible", SOURCE_QUEUE), LISTENER_NAMED)], "short"),
            lines("In flight", "Received by anybody and not settled, parked ones included. SQS stops handing out at 120,000.", [(per_queue("queue_messages_not_visible", SOURCE_QUEUE), LISTENER_NAMED)], "short"),
            lines("Parked by these processes", "Hidden after a 429, not yet due.", [(f"sum by ({LISTENER}) ({of('messages_parked_current')})", LISTENER_NAMED)], "short"),
            lines("Age of messages at completion", "From sending to success; 95 of 100 messages were younger. Objective: 15 minutes.", [(f"histogram_quantile(0.95, {rate('message_age_seconds_bucket', f'{LISTENER}, le', COMPLETED)}) >= 0", LISTENER_NAMED)], "s"),
            lines("Messages on their final receive", "Per second. If they fail once more SQS dead-letters them.", [(rate("messages_near_dead_letter_total", LISTENER), LISTENER_NAMED)], "mps"),
            lines("Dead-letter queues", "Messages in each, read on request, at most every 30 s.", [(per_queue("queue_messages_visible", DEAD_LETTER), LISTENER_NAMED)], "short"),
        ]),
        ("Workers and sessions: use, saturation, errors", [
            lines("Workers in use", "Share of the workers that hold a message. At 100 % with a backlog: more workers or more processes.", [(f"sum by ({LISTENER}) ({of('workers_in_use')}) / sum by ({LISTENER}) ({of('workers_limit')})", LISTENER_NAMED)], "percentunit", max=1, steps=[(0.95, "orange")]),
            lines("Sessions in use", "Share of the POSTs at once that the configuration allows.", [(f"sum by ({ENDPOINT}) ({of('sessions_in_use', listener=False)}) / sum by ({ENDPOINT}) ({of('sessions_limit', listener=False)})", ENDPOINT_NAMED)], "percentunit", max=1),
            lines("Fleet: members", "Processes that each process sees in its fleet, itself included. All should see as many as run. Without a fleet no line. Runbook: QueuepostFleetMismatch.", [(of("fleet_members", listener=False), "{{instance}}")], "short"),
            lines("Fleet: shares", "Part of an endpoint's sessions that its processes have together: 1 when all is dealt out, never long above it.", [(f"sum by ({ENDPOINT}) ({of('fleet_share', listener=False)})", ENDPOINT_NAMED)], "percentunit", steps=[(1.01, "orange"), (1.25, "red")]),
            lines("Fleet: standing by", "Processes that have no part of an endpoint's sessions, and receive nothing for it. For long: more processes than sessions.", [(f"count by ({ENDPOINT}) ({of('fleet_share', listener=False)} == 0)", ENDPOINT_NAMED)], "short"),
            lines("Messages in flight here", "By where they are. Waiting: for the gate, a session or the rate. Held: the endpoint cannot be reached.", [(f"sum by (stage) ({of('messages_in_progress')})", "{{stage}}")], "short", stack=True),
        ]),
        ("Gates and limits", [
            Panel("state-timeline", "Gates", "Green: messages are received. Red: nothing but probes. With a listener's name behind it: its own gate.", [
                (f"max by ({ENDPOINT}) ({of('gate_state', AN_ENDPOINT, listener=False)})", ENDPOINT_NAMED), (f"max by ({ENDPOINT}, listener) ({of('gate_state', NOT_OPEN)})", f"{{{{endpoint}}}}: {LISTENER_NAMED}"),
            ], "short", 12, values=states, max=1, steps=[(1, "red")]),
            lines("Time closed, by reason", "Part of the time a gate was not open, mean of the processes, and what the endpoint did to close it.", [(seen(closed), f"{{{{endpoint}}}} {{{{listener}}}}: {{{{reason}}}} {WHERE_NAMED}")], "percentunit", 12, max=1),
            lines("Adaptive limit", "POSTs at once that an endpoint takes, found from its answers, as a share of what the configuration allows. Low: it has too much to do.", [(f"sum by ({ENDPOINT}) ({of('adaptive_limit', listener=False)}) / sum by ({ENDPOINT}) ({of('sessions_limit', listener=False)})", ENDPOINT_NAMED)], "percentunit", max=1),
            lines("Learned rate", "POSTs started per second that an endpoint was found to take from all processes together. No line: it was not found to limit them.", [(f"sum by ({ENDPOINT}) ({of('adaptive_rate', listener=False)})", ENDPOINT_NAMED)], "reqps"),
            lines("SQS errors", "Calls that failed, per second, by kind; docs/errors.md has each with its fix.", [(rate("sqs_requests_total", f"{LISTENER}, result", 'result!="ok"'), f"{{{{listener}}}} {{{{result}}}} {WHERE_NAMED}")], "reqps"),
            lines("Changes asked of the admin port", "Per second, by what came of them. denied: no token, a wrong one, a web page, or changes are off.", [(rate("admin_writes_total", "action, result", listener=False), "{{action}} {{result}}")], "reqps"),
            lines("Things that should not happen", "Per second: lost leases, abandoned messages, messages left out, panics, dropped headers, copies not posted again, log lines that nobody read.", [
                *((rate(metric), legend) for metric, legend in [("leases_lost_total", "leases lost"), ("messages_abandoned_total", "abandoned"), ("messages_left_out_total", "left out"), ("panics_total", "panics"), ("headers_dropped_total", "headers dropped"), ("duplicates_suppressed_total", "copies")]),
                (rate("log_lines_dropped_total", listener=False), "log lines dropped"),
            ], "mps"),
            lines("Age of the configuration", "Since each process read the configuration that it runs by. Processes that differ for long: one has not followed a change.", [(f"time() - {of('config_last_reload_success_timestamp_seconds', listener=False)}", "{{instance}}")], "s"),
        ]),
    ]
    return dashboard("overview", "queuepost: overview", "All listeners: what is delivered, what waits, and what holds it up.", rows, variables())


def listener():
    endpoint = 'endpoint=~"$endpoint"'
    total = "sqs_requests_total"
    rows = [
        ("Now", [
            stat("State", "Faulted: the queue cannot be read; the log and /readyz?verbose say why. Paused: somebody paused it, in every process.", f"max({of('listener_faulted')}) + 2 * min({of('listener_paused')})", "none", values={"0": ("healthy", "green"), "1": ("faulted", "red"), "2": ("paused", "orange"), "3": ("faulted", "red")}),
            stat("Gate", "Whether the gate of the endpoint, or the listener's own, is not open in some process.", f"max({of('gate_state', BOTH_NOT_OPEN, listener=False)})", "none", values={"0": ("open", "green"), "1": ("not open", "red")}),
            stat("Visible", "Messages ready to be received.", per_queue("queue_messages_visible", SOURCE_QUEUE), base="blue"),
            stat("Oldest received", "Age of the oldest message received in the last minute; none: nothing was received.", f"max({of('queue_oldest_message_age_seconds')})", "s", steps=[(900, "orange"), (3600, "red")], values=NOTHING_RECEIVED),
            stat("Parked", "Hidden after a 429, not yet due.", f"sum({of('messages_parked_current')})", base="blue"),
            stat("Dead-lettered", "Messages in the dead-letter queue.", per_queue("queue_messages_visible", DEAD_LETTER), **ORANGE_FROM_ONE),
            stat("Last success", "Time since a delivery last succeeded, in any process.", f"time() - (max({of('last_success_timestamp_seconds')}) > 0)", "s", none="never", steps=[(600, "orange")]),
            stat("Queue settings", "Warnings about the queue's settings; queuepost check says them in words.", f"sum(max by (warning) ({of('preflight_warnings')}))", **ORANGE_FROM_ONE),
        ]),
        ("Deliveries", [
            lines("Outcomes", "POSTs per second and what came of them; docs/errors.md says what each means.", [(seen(rate("deliveries_total", "outcome")), "{{outcome}}")], "reqps", stack=True),
            lines("Answers by status code", "What the endpoint itself answered, per second.", [(rate("http_responses_total", "code"), "{{code}}")], "reqps", stack=True),
            lines("What became of messages", "Per second. Deleted is the throughput.", [(rate(metric), legend) for metric, legend in FATES], "mps", stack=True),
            heatmap("Duration of deliveries", "How many deliveries took how long. Two bands: two kinds of work, or a slow dependency.", rate("delivery_duration_seconds_bucket", "le"), "s"),
            lines("Duration of deliveries that succeeded", "Near the listener's timeout: raise it, or give the endpoint more to run on.", quantiles("delivery_duration_seconds", 'outcome="success"'), "s"),
            lines("Deferred and released, by reason", "Per second. configuration is for you to mend, message is the message's own fault, gate was released while the gate stayed closed.", [(seen(rate("messages_deferred_total", "reason")), "deferred: {{reason}}"), (seen(rate("messages_released_total", "reason")), "released: {{reason}}")], "mps"),
        ]),
        ("Receives and age", [
            lines("Receives", "Messages per second. Again: they failed before, or their settlement was lost.", [
                (rate("messages_received_total", "", 'first="true"'), "first receive"), (rate("messages_received_total", "", 'first="false"'), "again"),
            ], "mps", stack=True),
            heatmap("Receive count", "How often messages had been handed out. What comes near the queue's max receives is about to be dead-lettered.", rate("message_receive_count_bucket", "le"), "short"),
            lines("Messages on their final receive", "Per second. If they fail once more SQS dead-letters them.", [(rate("messages_near_dead_letter_total"), "last receive"), (rate("messages_dead_lettered_total"), "dead-lettered by a row")], "mps"),
            lines("Age at receive", "Since the message was sent. Old already: too few workers, or a closed gate.", quantiles("message_age_seconds", 'point="received"'), "s"),
            lines("Age at completion", "Since the message was sent. Much more than at receive: retries.", quantiles("message_age_seconds", 'point="completed"'), "s"),
            lines("Oldest message received", "In the last minute. Unlike CloudWatch's it does not go blind after three receives.", [(f"max({of('queue_oldest_message_age_seconds')})", "oldest")], "s"),
        ]),
        ("Gate and limits", [
            Panel("state-timeline", "Gates", "Green: messages are received. Red: nothing but probes. Above the endpoint's gate, below the listener's own.", [
                (f"max({of('gate_state', ITS_NOT_OPEN, listener=False)})", "endpoint"),
                (f"max({of('gate_state', NOT_OPEN)})", "listener"),
            ], "short", values={"0": ("open", "green"), "1": ("not open", "red")}, max=1, steps=[(1, "red")]),
            lines("Time closed, by reason", "Part of the time that the gate of the endpoint or the listener's own was not open, mean of the processes.", [
                (f"avg by (reason) (rate({of('gate_closed_seconds_total', BOTH_GATES, listener=False)}[$__rate_interval])) > 0", "{{reason}}"),
            ], "percentunit", max=1),
            lines("Sessions of the endpoint", "POSTs at once, over all processes and all listeners of the endpoint. The adaptive limit falls where the endpoint says it has too much to do.", [
                (f"sum({of('sessions_in_use', endpoint, listener=False)})", "in use"), (f"sum({of('adaptive_limit', endpoint, listener=False)})", "adaptive limit"), (f"sum({of('sessions_limit', endpoint, listener=False)})", "limit"),
            ], "short"),
            lines("Rate of the endpoint", "POSTs started per second that the endpoint was found to take, over all processes and all its listeners. No line: it was not found to limit them.", [
                (f"sum({of('adaptive_rate', endpoint, listener=False)})", "adaptive limit"),
            ], "reqps"),
            lines("Workers", "Over all processes. In use at the limit with messages visible: raise workers or add processes.", [
                (f"sum({of('workers_in_use')})", "in use"), (f"sum({of('workers_reserved')})", "reserved"), (f"sum({of('workers_limit')})", "limit"),
            ], "short"),
            lines("Messages in flight here", "By where they are. Waiting: for the gate, a session or the rate. Held: the endpoint cannot be reached. Settling: SQS is slow.", [(f"sum by (stage) ({of('messages_in_progress')})", "{{stage}}")], "short", stack=True),
            lines("The queue", "In flight counts parked messages too; SQS stops handing out at 120,000.", [
                (f"max({of('queue_messages_visible', SOURCE_QUEUE)})", "visible"),
                (f"clamp_min(max({of('queue_messages_not_visible', SOURCE_QUEUE)}) - sum({of('messages_parked_current')}), 0)", "in flight, working"),
                (f"sum({of('messages_parked_current')})", "in flight, parked by us"), (f"max({of('queue_messages_delayed', SOURCE_QUEUE)})", "delayed"),
            ], "short", stack=True),
        ]),
        ("Leases and settlement", [
            lines("Lease extensions", "Per second, by result. failed is tried again; lost means that a message may be delivered twice.", [(rate("visibility_extensions_total", "result"), "{{result}}")], "mps"),
            lines("Lost, abandoned, copied", "Per second. All should be zero; copies are messages that came again and were not posted for it.", [
                (rate("leases_lost_total"), "leases lost"), (rate("messages_abandoned_total"), "abandoned"), (rate("duplicates_suppressed_total"), "copies"), (rate("panics_total"), "panics"),
            ], "mps"),
            lines("Deleted without a POST", "Per second. Expired: older than the listener's retention, and their work was not done. No work: test events and confirmations of subscriptions.", [
                (rate("messages_expired_total"), "expired"), (rate("messages_no_work_total"), "no work"),
            ], "mps"),
            lines("Duration of settling calls", "95 of 100 calls were shorter.", [
                (f"histogram_quantile(0.95, {rate('sqs_request_duration_seconds_bucket', 'operation, le', SETTLING)})", "{{operation}}"),
            ], "s"),
        ]),
        ("SQS", [
            lines("Calls", "Per second, by operation. This is what SQS charges for.", [(rate(total, "operation"), "{{operation}}")], "reqps", stack=True),
            lines("Errors", "Per second, by operation and kind; docs/errors.md has each with its fix.", [(rate(total, "operation, result", 'result!="ok"'), "{{operation}} {{result}}")], "reqps", none="none"),
            lines("Calls to S3 for claim checks", "Per second, by operation and result.", [(rate("object_requests_total", "operation, result"), "{{operation}} {{result}}")], "reqps", none="none"),
            lines("Receives that brought nothing", "Share of the receives. Near 100 % is right for an idle queue: one long poll after the other.", [(share(rate("sqs_empty_receives_total"), rate(total, "", 'operation="ReceiveMessage", result="ok"')), "empty")], "percentunit", max=1),
            lines("Messages per receive", "Ten is the most, and the cheapest.", [(share(rate("messages_received_total"), rate(total, "", 'operation="ReceiveMessage", result="ok"')), "messages")], "short", max=10),
            lines("Duration of receives", "A long poll waits up to 20 s on purpose.", quantiles("sqs_request_duration_seconds", 'operation="ReceiveMessage"'), "s"),
            lines("Estimated cost", "Dollars a day at the present rate of calls, of up to 64 KiB each, before free tier and discounts. FIFO: 0.50 for a million.", [(f"{rate(total)} * 86400 / 1e6 * $price", "dollars a day")], "currencyUSD", decimals=3),
        ]),
    ]
    return dashboard("listener", "queuepost: listener", "One listener in depth: its deliveries, receives, limits, leases, and what SQS costs.", rows, variables(one_listener=True, price=True))


def slo():
    where = 'cluster=~"$cluster", namespace=~"$namespace", job=~"$job", listener=~"$listener"'

    def ratio(rule, window):
        return f"max by ({LISTENER}) (listener:queuepost_{rule}:ratio_rate{window}{{{where}}})"

    rows = []
    for name, rule, what, good in [
        ("delivery", "delivery_errors", "Deliveries that failed; a 429 is neither good nor bad here", "deliveries that do not fail"),
        ("freshness", "stale_completions", "Messages completed more than 15 minutes after they were sent; what 429s delay counts here", "messages completed within 15 minutes"),
    ]:
        objective = f'queuepost:{name}_objective:ratio{{cluster=~"$cluster", namespace=~"$namespace", job=~"$job"}}'

        def burn(window, rule=rule, objective=objective):
            return f"max({ratio(rule, window)} / on ({PLACE}) group_left () (1 - {objective}))"

        title = name.capitalize()
        rows.append((f"{title}: {good}", [
            stat(f"{title}: objective", f"Set in the recording rule queuepost:{name}_objective:ratio. The lowest, where several places are shown.", f"min({objective})", "percentunit", 4, base="blue", decimals=2),
            stat(f"{title}: budget left", "Of three days, of the listener that has least. Below 0: more was spent than the objective allows.", f"1 - {burn('3d')}", "percentunit", 4, base="red", steps=[(0, "orange"), (0.5, "green")], min=None, decimals=0),
            *[
                stat(f"{title}: burn in {window}", f"How many times faster than the objective allows, the worst listener. {alert}", burn(window), "none", 4, steps=[(threshold, "red")], decimals=1)
                for window, threshold, alert in [("1h", 14.4, "Fast burn: above 14.4."), ("6h", 6, "Medium burn: above 6."), ("1d", 3, "Slow burn: above 3."), ("3d", 1, "Slow burn: above 1.")]
            ],
            lines(f"{title}: burn rate by window", "The worst listener. 1 spends the budget just in time; the lines are the thresholds of the alerts.", [(burn(window), window) for window in ("5m", "1h", "6h", "3d")], "none", 12, steps=[(14.4, "red"), (6, "orange"), (1, "yellow")]),
            lines(f"{title}: bad share by listener", f"{what}. Over 1 h.", [(ratio(rule, "1h"), LISTENER_NAMED)], "percentunit", 12),
        ]))
    return dashboard("slo", "queuepost: SLO", "Two objectives, delivery and freshness: what is left of their budgets, and how fast it is spent.", rows, variables(instance=False), "now-6h")


def cost():
    calls, received = "sqs_requests_total", 'operation="ReceiveMessage", result="ok"'

    def dollars(by):
        return f"{rate(calls, by)} * 86400 / 1e6 * $price"

    rows = [
        ("What SQS charges for: calls", [
            stat("Dollars a day", "At the present rate of calls, of up to 64 KiB each, before free tier and discounts. FIFO: choose 0.50.", dollars(""), "currencyUSD", 6, base="blue", decimals=2),
            stat("Calls per message", "Over all listeners. 0.20 is the least: ten messages a receive, ten a delete.", share(rate(calls), rate("messages_deleted_total")), "none", 6, steps=[(1, "orange"), (3, "red")], decimals=2),
            stat("Receives that brought nothing", "Share of the receives. Idle queues are asked every 20 s all the same.", share(rate("sqs_empty_receives_total"), rate(calls, "", received)), "percentunit", 6, base="blue", decimals=0),
            stat("Calls", "Per second, all listeners.", rate(calls), "reqps", 6, base="blue"),
        ]),
        ("By listener", [
            lines("Dollars a day by listener", "The dearest first to look at. A month is thirty times as much.", [(dollars(LISTENER), LISTENER_NAMED)], "currencyUSD", 12, stack=True, decimals=3),
            lines("Calls per message by listener", "Much above 1: it is nearly idle, or its messages are extended or retried a lot.", [(share(rate(calls, LISTENER), rate("messages_deleted_total", LISTENER)), LISTENER_NAMED)], "none", 12),
            lines("Calls by operation", "Receives, deletes, hidings, extensions (ChangeMessageVisibilityBatch), looks at the queue.", [(rate(calls, "operation"), "{{operation}}")], "reqps", 12, stack=True),
            lines("Messages per receive by listener", "Ten is the most, and the cheapest.", [(share(rate("messages_received_total", LISTENER), rate(calls, LISTENER, received)), LISTENER_NAMED)], "short", 12, max=10),
        ]),
    ]
    return dashboard("cost", "queuepost: cost", "What all listeners cost at SQS, and which of them.", rows, variables(price=True))


def rendered():
    """The text of each file."""
    made = {"overview": overview(), "listener": listener(), "slo": slo(), "cost": cost()}
    return {f"{name}.json": json.dumps(found, indent=2, ensure_ascii=False) + "\n" for name, found in made.items()}


if __name__ == "__main__":
    for name, text in rendered().items():
        (FOLDER / name).write_text(text)
