"""A day of queuepost in a minute: two processes, a queue server, endpoints, and a real Prometheus with our rules.

Five listeners: orders and refunds at one endpoint, whose load and answers the story changes; archive, whose endpoint is not up
at first; reports, whose queue does not exist; invoices, whose queue denies every call. Each chapter ends when Prometheus has
seen what it is about. Everything is on loopback and ended by its handle.
"""

import http.server
import json
import random
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.parse
import urllib.request

from cluster import free_port, until
from rendering import ROOT, tool

RULES = ROOT / "deploy/prometheus/queuepost.rules.yaml"
ACCOUNT = "000000000000"
JOB = "queuepost"


class Server(http.server.ThreadingHTTPServer):
    """One that does not mind clients that are killed."""

    daemon_threads = True

    def handle_error(self, *_):
        pass


class Answers:
    """An endpoint; `mode` says how it takes requests, a body with `poison` is refused."""

    def __init__(self, port):
        self.mode, self.running, self.lock, self.random = "well", 0, threading.Lock(), random.Random(7)
        answers = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                status, took, headers = answers.judge(body)
                time.sleep(took)
                with answers.lock:
                    answers.running -= 1
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", port), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def judge(self, body):
        """Status, seconds it takes, headers."""
        with self.lock:
            self.running += 1
            took = max(0.02, self.random.gauss(0.15, 0.05))
            if self.mode == "closed":
                return 429, 0.01, {"Retry-After": "2"}
            if self.mode == "throttling" and self.running > 3:
                return 429, 0.01, {}
            if b"poison" in body:
                return 422, 0.03, {}
            if self.mode == "slow":
                took = 4
            return (500 if self.random.random() < 0.005 else 200), took, {}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Denying:
    """A queue server at which nobody may do anything."""

    def __init__(self):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                self.rfile.read(int(self.headers["Content-Length"]))
                body = json.dumps({"__type": "com.amazon.coral.service#AccessDeniedException", "message": "not allowed"}).encode()
                self.send_response(403)
                self.send_header("Content-Type", "application/x-amz-json-1.0")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


class Story:
    """The processes. `scrape` and `park` are seconds; a chapter lasts `chapter` seconds at least; one of `poison` refunds is."""

    def __init__(self, folder, binary, *, scrape=1, park=10, chapter=0, poison=20, patience=180):
        self.folder, self.binary, self.scrape, self.chapter, self.poison, self.patience = folder, str(binary), scrape, chapter, poison, patience
        self.prometheus_path = tool("prometheus")
        self.processes, self.stops, self.rates, self.sending = [], [], {}, threading.Event()
        self.began = time.time()
        queue, sample, admin = (free_port() for _ in range(3))
        self.queues = f"http://127.0.0.1:{queue}"
        self._start("queues", self.binary, "dev", "--queue-listen", f"127.0.0.1:{queue}", "--endpoint-listen", f"127.0.0.1:{sample}", "--admin-listen", f"127.0.0.1:{admin}", "--log-level", "warn")
        until("the queue server", lambda: self.call("ListQueues"), *self.processes[-1])
        for name, receives in [("orders", 10), ("refunds", 3), ("archive", 10)]:
            self.call("CreateQueue", QueueName=f"{name}-dlq", Attributes={"MessageRetentionPeriod": "1209600"})
            policy = {"deadLetterTargetArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:{name}-dlq", "maxReceiveCount": receives}
            self.call("CreateQueue", QueueName=name, Attributes={"RedrivePolicy": json.dumps(policy)})
        self.shop = Answers(shop := free_port())
        self.archive_port = free_port()
        denying = Denying()
        self.stops += [self.shop.stop, denying.stop]
        common = f"receive_wait: 4s, throttle_delay: {park}s"
        config = f"""
endpoints:
  shop: {{ url: "http://127.0.0.1:{shop}", sessions: 6 }}
  archive: {{ url: "http://127.0.0.1:{self.archive_port}" }}
listeners:
  - {{ queue: "{self.queues}/{ACCOUNT}/orders", endpoint: shop, path: /orders, workers: 6, timeout: 8s, {common} }}
  - {{ queue: "{self.queues}/{ACCOUNT}/refunds", endpoint: shop, path: /refunds, workers: 4, timeout: 8s, {common}, on_response: [{{ status: 422, action: defer, delay: 1s }}] }}
  - {{ queue: "{self.queues}/{ACCOUNT}/archive", endpoint: archive, path: /archive, workers: 4, timeout: 1s, {common} }}
  - {{ queue: "{self.queues}/{ACCOUNT}/reports", endpoint: shop, path: /reports, workers: 4, timeout: 1s, {common} }}
  - {{ queue: "http://127.0.0.1:{denying.port}/{ACCOUNT}/invoices", endpoint: shop, path: /invoices, workers: 4, timeout: 1s, {common} }}
"""
        (folder / "queuepost.yaml").write_text(config)
        self.admin = [free_port(), free_port()]
        self.bridges = [self._bridge(port) for port in self.admin]
        (folder / "prometheus.yml").write_text(json.dumps({
            "global": {"scrape_interval": f"{scrape}s", "scrape_timeout": f"{scrape}s", "evaluation_interval": f"{scrape}s"},
            "rule_files": [str(RULES)],
            "scrape_configs": [{"job_name": JOB, "static_configs": [{"targets": [f"127.0.0.1:{port}" for port in self.admin]}]}],
        }))
        web = free_port()
        self.prometheus = f"http://127.0.0.1:{web}"
        self._start("prometheus", self.prometheus_path, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/tsdb", f"--web.listen-address=127.0.0.1:{web}", "--log.level=warn")
        until("prometheus", lambda: urllib.request.urlopen(f"{self.prometheus}/-/ready", timeout=10).status == 200, *self.processes[-1])
        threading.Thread(target=self._send, daemon=True).start()

    def _start(self, name, *command):
        log = self.folder / f"{name}.log"
        with log.open("a") as file:
            process = subprocess.Popen([str(part) for part in command], stdout=file, stderr=file, cwd=self.folder)
        self.processes.append((process, log))
        return process

    def _bridge(self, port):
        return self._start(f"queuepost-{port}", self.binary, "run", "--config", self.folder / "queuepost.yaml", "--admin-listen", f"127.0.0.1:{port}")

    def call(self, action, **arguments):
        headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}"}
        request = urllib.request.Request(self.queues, json.dumps(arguments).encode(), headers)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.loads(answer.read() or b"{}")

    def _send(self):
        """Sends `rates` messages a second until the end."""
        sent = {}
        while not self.sending.wait(0.25):
            for name, rate in list(self.rates.items()):
                due = sent.get(name, 0) + rate / 4
                entries = []
                while due >= 1 and len(entries) < 10:
                    due -= 1
                    number = sent.get(f"{name} number", 0) + 1
                    sent[f"{name} number"] = number
                    poison = name == "refunds" and number % self.poison == 0
                    entries.append({"Id": str(len(entries)), "MessageBody": json.dumps({"number": number, "is": "poison" if poison else "good"})})
                sent[name] = due
                try:
                    if entries:
                        self.call("SendMessageBatch", QueueUrl=f"{self.queues}/{ACCOUNT}/{name}", Entries=entries)
                except OSError:
                    return

    def get(self, path, **arguments):
        try:
            with urllib.request.urlopen(f"{self.prometheus}/api/v1/{path}?{urllib.parse.urlencode(arguments)}", timeout=60) as answer:
                return json.loads(answer.read())["data"]
        except urllib.error.HTTPError as error:
            raise AssertionError(f"{arguments}: {error.read().decode()}") from None

    def query(self, expr):
        """What an expression yields now."""
        return self.get("query", query=expr)["result"]

    def range(self, expr, step=None):
        """What an expression yields from the story's beginning until now."""
        return self.get("query_range", query=expr, start=self.began, end=time.time(), step=step or self.scrape)["result"]

    def metrics(self, process=0):
        """The exposition of a process."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.admin[process]}/metrics", timeout=30) as answer:
            return answer.read().decode()

    def waits(self, what, *exprs, least=None):
        """A chapter: until Prometheus answers every one of these, and for `least` (or `chapter`) seconds."""
        least = self.chapter if least is None else least
        began = time.monotonic()
        end = began + self.patience
        missing = list(exprs)
        while missing or time.monotonic() < began + least:
            missing = [expr for expr in missing if not self.query(expr)]
            dead = [str(log) for process, log in self.processes if process.poll() is not None]
            assert not dead, f"{what}: ended on its own: {dead}"
            assert not missing or time.monotonic() < end, f"{what}: not within {self.patience} s: {missing}"
            time.sleep(self.scrape / 2)

    def tell(self):
        """All of it."""
        self.rates = {"orders": 24, "refunds": 6, "archive": 0.5}
        self.waits(
            "normal load", 'sum(queuepost_deliveries_total{outcome="success", listener="orders"}) > 100',
            'sum(queuepost_deliveries_total{outcome="success", listener="refunds"}) > 20',
        )
        self.waits(
            "a queue that is not there, one that denies, an endpoint that is not up", 'queuepost_listener_faulted{listener="reports"} == 1',
            'queuepost_listener_faulted{listener="invoices"} == 1', 'queuepost_sqs_requests_total{result="denied"} > 1',
            'queuepost_gate_closed_seconds_total{reason="unreachable"} > 5', 'queuepost_visibility_extensions_total{listener="archive", result="extended"} > 0',
        )
        self.shop.mode = "throttling"
        first = f'listener="orders", instance="127.0.0.1:{self.admin[0]}"'
        # Three at once, of 0.15 s each, are 20 a second: a process may learn the one or the other.
        learned = 'sum(queuepost_adaptive_limit{endpoint="shop"}) < 8 or sum(queuepost_adaptive_rate{endpoint="shop"}) < 30'
        self.waits("the endpoint takes three at once", "sum(queuepost_messages_parked_total) > 10", f"queuepost_messages_parked_total{{{first}}} > 0", learned)
        self.shop.mode = "closed"
        self.waits(
            "the endpoint takes nothing", 'queuepost_gate_state{endpoint="shop", listener="", state="closed"} == 1',
            'sum(queuepost_gate_closed_seconds_total{reason=~"throttled|retry_after"}) > 5',
        )
        self.shop.mode = "well"
        archive = Answers(self.archive_port)
        self.stops.append(archive.stop)
        self.waits(
            "all is well again", 'queuepost_gate_state{endpoint="shop", listener="", state="open"} == 1',
            'sum(rate(queuepost_messages_deleted_total{listener="orders"}[10s])) > 10', 'sum(queuepost_deliveries_total{listener="archive", outcome="success"}) > 0',
        )
        self.waits(
            "poison is dead-lettered", "sum(queuepost_messages_near_dead_letter_total) > 2",
            'max(queuepost_queue_messages_visible{listener="refunds", role="dead_letter"}) > 0',
        )
        self.shop.mode = "slow"
        second = f'instance="127.0.0.1:{self.admin[1]}"'
        self.waits("POSTs take seconds", f'sum(queuepost_messages_in_progress{{stage="delivering", {second}}}) > 3', least=0)
        self.bridges[1].send_signal(signal.SIGTERM)
        self.processes = [entry for entry in self.processes if entry[0] is not self.bridges[1]]
        self.waits("a drain", f"max_over_time(queuepost_draining{{{second}}}[30s]) == 1", least=0)
        self.shop.mode = "well"
        code = self.bridges[1].wait(timeout=60)
        self.waits("one process alone", "count(queuepost_build_info) == 1", least=self.chapter / 2)
        self.bridges[1] = self._bridge(self.admin[1])
        self.waits(
            "two processes again", "count(queuepost_build_info) == 2", 'count(queuepost_messages_deleted_total{listener="orders"} > 0) == 2',
        )
        return code

    def stop(self):
        self.sending.set()
        for process, _ in reversed(self.processes):
            process.kill()
        for process, _ in self.processes:
            process.wait(timeout=60)
        for stop in self.stops:
            stop()
