"""Receives POSTs and verifies their signatures with the libraries of the standards; prints its address, then a line each.

What to verify is in the environment: WEBHOOK_SECRETS, SIMPLE_SQSD_SECRET, or AWS_* and SIGV4_SERVICE.
"""

import base64
import hashlib
import hmac
import json
import os
from http.server import BaseHTTPRequestHandler, HTTPServer

from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from standardwebhooks import Webhook


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        shown = {"headers": {name.lower(): value for name, value in self.headers.items()}, "verified": []}
        shown["body"] = base64.b64encode(body).decode()
        shown["path"] = self.path
        try:
            shown["verified"] = list(self.verified(body))
        except Exception as error:  # The test prints it.
            shown["error"] = repr(error)
        print(json.dumps(shown), flush=True)
        # An answer that repeats credentials at its beginning, which is what the log shows.
        sent = [self.headers.get("x-amz-security-token"), self.headers.get("authorization")]
        answer = json.dumps({"you sent": sent}).encode()
        self.send_response(int(os.environ.get("ANSWER", "200")))
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def verified(self, body):
        for number, secret in enumerate(os.environ.get("WEBHOOK_SECRETS", "").split()):
            Webhook(secret).verify(body, dict(self.headers), json_parse=False)
            yield f"standard webhooks {number}"
        if secret := os.environ.get("SIMPLE_SQSD_SECRET"):
            url = f"http://{self.headers['host']}{self.path}"
            signed = hmac.new(secret.encode(), f"POST {url}\n".encode() + body, hashlib.sha256).hexdigest()
            assert hmac.compare_digest(signed, self.headers["X-Sqsd-Signature"]), signed
            yield "simple-sqsd"
        if service := os.environ.get("SIGV4_SERVICE"):
            self.verify_sigv4(service, body)
            yield "sigv4"

    def verify_sigv4(self, service, body):
        """Signs the received request again, with botocore, and compares."""
        authorization = self.headers["authorization"].removeprefix("AWS4-HMAC-SHA256 ")
        parts = dict(part.split("=", 1) for part in authorization.split(", "))
        signed = parts["SignedHeaders"].split(";")
        token = os.environ.get("AWS_SESSION_TOKEN")
        credentials = Credentials(os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"], token)
        signer = SigV4Auth(credentials, service, os.environ["AWS_REGION"])
        url = f"http://{self.headers['host']}{self.path}"
        request = AWSRequest("POST", url, {name: self.headers[name] for name in signed}, body)
        request.context["timestamp"] = self.headers["x-amz-date"]
        assert {"host", "content-type", "x-amz-date", "x-amz-content-sha256"} <= set(signed), signed
        assert token is None or "x-amz-security-token" in signed, signed
        assert self.headers["x-amz-security-token"] == token, "token"
        assert self.headers["x-amz-content-sha256"] == hashlib.sha256(body).hexdigest(), "body"
        canonical = signer.canonical_request(request)
        expected = signer.signature(signer.string_to_sign(request, canonical), request)
        assert parts["Signature"] == expected, (parts["Signature"], expected, canonical)
        assert parts["Credential"] == signer.scope(request), parts

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
