"""What the container talks to: an SQS server, an endpoint, a name server. All on loopback, all ended by their handle."""

import http.server
import json
import os
import socket
import struct
import subprocess
import threading
import urllib.parse
import urllib.request

import pytest
from cluster import free_port, until
from rendering import TOOLS


class Queue:
    """MiniStack, with one queue."""

    def __init__(self, folder):
        program = TOOLS / "venv/bin/ministack"
        if not program.exists():
            pytest.skip("ministack is not installed: .ci/deploy installs it")
        self.origin = f"http://127.0.0.1:{(port := free_port())}"
        log = folder / "ministack.log"
        env = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port),
            "MINISTACK_HOST": "127.0.0.1", "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "ERROR",
        }
        with log.open("w") as file:
            self.process = subprocess.Popen([program], stdout=file, stderr=file, env=env, cwd=folder)
        made = until("ministack", lambda: self.call("CreateQueue", QueueName="orders"), self.process, log)
        path = urllib.parse.urlsplit(made["QueueUrl"]).path
        self.url = f"{self.origin}{path}"

    def call(self, action, **arguments):
        headers = {
            "Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": f"AmazonSQS.{action}",
            "Authorization": "AWS4-HMAC-SHA256 Credential=test/20260101/us-east-1/sqs/aws4_request, SignedHeaders=host, Signature=0",
        }
        request = urllib.request.Request(self.origin, json.dumps(arguments).encode(), headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.loads(answer.read() or b"{}")

    def send(self, *bodies):
        for body in bodies:
            self.call("SendMessage", QueueUrl=self.url, MessageBody=body)

    def depth(self):
        """Visible and in flight."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        attributes = self.call("GetQueueAttributes", QueueUrl=self.url, AttributeNames=names)["Attributes"]
        return tuple(int(attributes[name]) for name in names)

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)


class Endpoint:
    """Answers every POST with its status, once it is let."""

    def __init__(self, port=0):
        self.status = 200
        self.bodies = []
        self.answering = threading.Event()
        self.answering.set()
        endpoint = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                endpoint.bodies.append(body)
                endpoint.answering.wait(60)
                self.send_response(endpoint.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.port = self.server.server_port
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.answering.set()
        self.server.shutdown()


class NameServer:
    """Says that every name is 127.0.0.1, as a name server at the port that /etc/resolv.conf means."""

    ADDRESS = "127.0.0.54"

    def __init__(self):
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.bind((self.ADDRESS, 53))
        except OSError as error:
            pytest.skip(f"no name server at {self.ADDRESS}:53: {error}")
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self):
        while True:
            try:
                question, peer = self.socket.recvfrom(512)
            except OSError:
                return
            end = question.index(0, 12) + 5
            (kind,) = struct.unpack("!H", question[end - 4 : end - 2])
            answers = 1 if kind == 1 else 0
            head = question[:2] + struct.pack("!HHHHH", 0x8180, 1, answers, 0, 0)
            answer = struct.pack("!HHHIH4s", 0xC00C, 1, 1, 60, 4, socket.inet_aton("127.0.0.1"))
            self.socket.sendto(head + question[12:end] + answer * answers, peer)

    def stop(self):
        self.socket.close()
