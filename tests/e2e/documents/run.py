"""Runs the shell blocks of a page as a reader types them, against the real program: run.py PROGRAM PAGE

Each block has its own `bash -euo pipefail` in a folder of its own. A block that starts `queuepost dev` or `queuepost run` is the
first terminal: it goes on until another one starts, or to the end of the page, and must end well by SIGINT. What stands behind such
a command in a block, and every other block, is typed into the second terminal, one shell for the whole page.

The ports of the documents are replaced by free ones, and names by those of SCENES. Everything binds to loopback. A block below
`<!-- not run: REASON -->` is left out.
"""

import contextlib
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PATIENCE = 120
TOKEN = "planted-token-0123456789"
BLOCK = re.compile(r"^(?:<!-- not run: (?P<why>[^\n]*) -->\n)?```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
SERVER = re.compile(r"^(?:\w+=\S+ )*(?:queuepost (?:dev|run)\b|cargo run -- dev)", re.M)
SAVED = re.compile(r"this as `([^`]+)`[^\n]*\n\n\Z")

ORDERS = """
listeners:
  - {queue: orders, url: "http://127.0.0.1:8080/orders"}
"""
FIFO = """
  - {queue: orders.fifo, name: fifo, url: "http://127.0.0.1:8080/fifo"}
"""
HELLO = """
listeners:
  - {queue: jobs, endpoint: algorithmia, path: /}
endpoints: {algorithmia: {url: "http://127.0.0.1:8080"}}
"""
CHANGES = """
admin: {allow_changes: true, token_file: token}
"""


@dataclass
class Scene:
    """What is there before a page begins. Without one: a `dev` of `config`, and an endpoint that answers 200."""

    config: str | None = None  # queuepost.yaml of the `dev` that runs from the start
    dev: bool = True
    process: bool = False  # the page has a process of its own at the admin port
    endpoint: bool = True
    letter: bool = False  # a dead letter in orders-dlq
    names: dict = field(default_factory=dict)  # what a placeholder of the page stands for
    files: dict = field(default_factory=dict)
    after: dict = field(default_factory=dict)  # a text of a block: what is waited for behind its line, in any terminal
    settled: dict = field(default_factory=dict)  # a text of a block: a queue that must have a message before it


LETTERS = {"DLQ": "orders-dlq", "LISTENER": "orders"}
QUEUES = {"https://sqs.eu-west-1.amazonaws.com/123456789012": "http://127.0.0.1:9324/000000000000"}
SCENES = {
    "README.md": Scene(after={"hello": "answered 200", "try me later": "parked for 10 s"}, endpoint=False),
    "docs/tutorial.md": Scene(
        dev=False,
        endpoint=False,
        after={
            '{"hello":"world"}': "answered 200",
            "try me later": "parked for 10 s",
            "invoices": "422 /orders",
            '{"order":2}': "closed",
        },
        settled={"queuepost peek": "orders-dlq"},
    ),
    "docs/algorithmia.md": Scene(dev=False),
    "docs/fifo.md": Scene(dev=False),
    "docs/configuring.md": Scene(config=ORDERS, process=True),
    "docs/listeners-dir.md": Scene(config=ORDERS, process=True, names=QUEUES),
    "docs/simple-sqsd.md": Scene(config=ORDERS, process=True, names=QUEUES),
    "docs/sqsd.md": Scene(config=ORDERS, process=True, names=QUEUES | {"http://localhost/worker": "http://127.0.0.1:8080/worker"}),
    "docs/event-listeners.md": Scene(config=HELLO + CHANGES, names=QUEUES | {"TOKEN": TOKEN}),
    "docs/by-hand.md": Scene(config=ORDERS + FIFO + CHANGES, letter=True, files={"orders.jsonl": '{"order":1}\n{"order":2}\n'}),
}


def scene(page):
    if page.startswith("examples/"):
        return Scene(dev=False)
    return SCENES.get(page) or Scene(config=ORDERS + CHANGES, letter=True, names=LETTERS)


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(422 if b"broken" in body else 200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


def free_ports(count):
    bound = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(one.getsockname()[1]) for one in bound]
    for one in bound:
        one.close()
    return ports


class Terminal:
    """A shell in a process group of its own; all it prints is in `output`."""

    def __init__(self, folder, environment):
        self.output = ""
        self.process = subprocess.Popen(
            ["bash", "-euo", "pipefail"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            text=True, cwd=folder, env=environment, start_new_session=True,
        )
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            self.output += line

    def type(self, text):
        self.process.stdin.write(text)
        self.process.stdin.flush()

    def end(self, by):
        """A signal to all of the group, also to what its shell left behind; how the shell ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, by)
        return self.process.wait(PATIENCE)

    def has_ended(self):
        """Whether the shell ended. Then all that was printed is here."""
        if self.process.poll() is None:
            return False
        self.end(signal.SIGKILL)
        self.reader.join()
        return True


class Reader:
    def __init__(self, program, page):
        self.page, self.scene = page, scene(page)
        self.folder = Path(tempfile.mkdtemp(prefix="queuepost-page-"))
        self.queue, self.sample, self.admin, self.endpoint, other = free_ports(5)
        self.admin_of_dev = other if self.scene.process else self.admin
        self.names = dict(zip(("9324", "9325", "9464", "8080"), (self.queue, self.sample, self.admin, self.endpoint)))
        self.first = self.second = None
        self.background, self.count = [], 0
        self.furnish(program)

    def here(self, text):
        """A text with the names and ports of this machine."""
        for name, other in self.scene.names.items():
            text = re.sub(rf"(?<![\w-]){re.escape(name)}(?!\w)", other, text)
        for port, other in self.names.items():
            text = re.sub(rf"(?<!\d){port}(?!\d)", other, text)
        return text

    def furnish(self, program):
        commands = self.folder / "bin"
        (self.folder / "target").mkdir()
        commands.mkdir()
        (self.folder / "target/debug").symlink_to(commands)
        (self.folder / "examples").symlink_to(ROOT / "examples")
        listens = f"--queue-listen 127.0.0.1:{self.queue} --endpoint-listen 127.0.0.1:{self.sample} --admin-listen 127.0.0.1:{self.admin_of_dev}"
        curl = shutil.which("curl") or sys.exit("curl is not installed")
        stubs = {
            "queuepost": f'if [ "${{1:-}}" = dev ]; then shift; set -- dev {listens} "$@"; fi\nexec {program} "$@"\n',
            # What was compiled already need not be.
            "cargo": '[ "$*" = build ]\n',
            # An answer other than 2xx is a failure. A stream is cut behind its first event. Counts are looked at when there are some.
            "curl": f"""case "$*" in
*/events) {curl} --fail-with-body "$@" | grep --max-count 1 '^event\\|^data\\|^id' ;;
*/metrics) for try in {{1..600}}; do {curl} -s "${{@: -1}}" | grep -q '^queuepost_messages_.* [1-9]' && break; sleep 0.1; done
  exec {curl} --fail-with-body "$@" ;;
*) exec {curl} --fail-with-body "$@" ;;
esac
""",
        }
        if not shutil.which("jq"):
            print("jq is not installed: its filters are not tried, only that they get JSON")
            stubs["jq"] = "exec python3 -m json.tool\n"
        for name, text in stubs.items():
            (commands / name).write_text(f"#!/usr/bin/env bash\n{text}")
            (commands / name).chmod(0o755)
        has_token = CHANGES in (self.scene.config or "")
        files = {"token": TOKEN, "header": f"Authorization: Bearer {TOKEN}\n"} if has_token else {}
        if self.scene.config:
            files["queuepost.yaml"] = self.scene.config
        for name, text in (files | self.scene.files).items():
            (self.folder / name).write_text(self.here(text))
            (self.folder / name).chmod(0o600)
        self.environment = {
            "PATH": f"{commands}:{os.environ['PATH']}",
            "HOME": str(self.folder),
            "AWS_ACCESS_KEY_ID": "x",
            "AWS_SECRET_ACCESS_KEY": "x",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_REGION": "eu-west-1",
            "AWS_ENDPOINT_URL_SQS": f"http://127.0.0.1:{self.queue}",
            "QUEUEPOST_ADMIN_LISTEN": f"127.0.0.1:{self.admin}",
        }
        if has_token:
            self.environment["QUEUEPOST_ADMIN_TOKEN_FILE"] = str(self.folder / "token")

    def terminal(self):
        return Terminal(self.folder, self.environment)

    def fail(self, block, why):
        shown = [f"{name}:\n{one.output}" for name, one in (("first terminal", self.first), ("second", self.second)) if one]
        shown += [f"in the background:\n{one.output}" for one in self.background]
        raise SystemExit(f"{self.page}: {why}\n```\n{block}```\n" + "\n".join(shown))

    def until(self, block, what, ask):
        end = time.monotonic() + PATIENCE
        while not ask():
            if time.monotonic() > end:
                self.fail(block, f"not in time: {what}")
            time.sleep(0.02)

    def serve(self, block, text):
        """The first terminal: a process that goes on."""
        self.interrupt()
        self.first = one = self.terminal()
        one.type(f"{text}\nexit\n")

        def is_ready():
            if one.has_ended():
                self.fail(block, f"it ended with {one.process.returncode}")
            return "embedded queue listening" in one.output or re.search(r"\bstarted\b", one.output)

        self.until(block, "it starts", is_ready)
        return one

    def interrupt(self):
        """Ctrl-C in the first terminal."""
        if self.first is None:
            return
        one, self.first = self.first, None
        # As the terminal does: each process of the foreground gets it.
        if (code := one.end(signal.SIGINT)) not in (0, 130, -signal.SIGINT) or "panicked" in one.output:
            self.first = one
            self.fail("", f"after Ctrl-C it ended with {code}")

    def type(self, block, text):
        """The second terminal."""
        if self.second is None:
            self.second = self.terminal()
        self.count += 1
        file = self.folder / f"block-{self.count}.sh"
        file.write_text(text)
        self.second.type(f". {file} </dev/null\necho '@done {self.count}'\n")

        def is_done():
            if self.second.has_ended():
                self.fail(block, f"it failed with {self.second.process.returncode}")
            return f"@done {self.count}\n" in self.second.output

        self.until(block, "the block ends", is_done)

    def has_letter(self, queue):
        url = f"http://127.0.0.1:{self.queue}/000000000000/{queue}"
        asked = subprocess.run([self.folder / "bin/queuepost", "peek", "--queue", url], env=self.environment, capture_output=True, text=True, check=False)
        return bool(asked.stdout.strip())

    def run(self, block):
        found = SERVER.search(block)
        text = self.here(block)
        for words, queue in self.scene.settled.items():
            if words in block:
                self.until(block, f"a message in {queue}", lambda queue=queue: self.has_letter(queue))
        if found:
            found = SERVER.search(text)
            end = re.compile(r"(?<!\\)\n").search(text, found.start()).end()
            self.serve(block, text[:end])
            text = text[end:]
        # As a reader does, who looks at what a command did before the next one.
        for words, said in sorted(self.scene.after.items(), key=lambda one: block.find(one[0])):
            if words not in block:
                continue
            if words in text:
                end = re.compile(r"(?<!\\)\n").search(text, text.index(words)).end()
                self.type(block, text[:end])
                text = text[end:]
            self.until(block, said, lambda said=said: any(
                one and said in one.output for one in (self.first, self.second, *self.background)) or self.status_says(said))
        if text.strip():
            self.type(block, text)

    def status_says(self, said):
        asked = subprocess.run([self.folder / "bin/queuepost", "status"], env=self.environment, capture_output=True, text=True, check=False)
        return said in asked.stdout

    def prepare(self):
        if self.scene.endpoint:
            threading.Thread(target=ThreadingHTTPServer(("127.0.0.1", int(self.endpoint)), Endpoint).serve_forever, daemon=True).start()
        if not self.scene.dev:
            return
        self.serve("(the scene)", "queuepost dev" + (" --config queuepost.yaml" if self.scene.config else ""))
        self.background.append(self.first)
        self.first = None
        if self.scene.letter:
            self.type("(the letter)", f"queuepost send --queue http://127.0.0.1:{self.queue}/000000000000/orders-dlq broken\n")

    def read(self):
        ran = 0
        try:
            self.prepare()
            page = (ROOT / self.page).read_text()
            for found in BLOCK.finditer(page):
                saved = SAVED.search(page[: found.start()])
                if saved:
                    (self.folder / saved[1]).write_text(self.here(found["text"]))
                elif found["language"] == "sh" and not found["why"]:
                    self.run(found["text"])
                    ran += 1
            self.interrupt()
        finally:
            for one in (self.first, self.second, *self.background):
                if one:
                    one.end(signal.SIGKILL)
            shutil.rmtree(self.folder)
        print(f"{self.page}: {ran} blocks ran")


Reader(sys.argv[1], sys.argv[2]).read()
