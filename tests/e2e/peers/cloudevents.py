"""A receiver of CloudEvents by the official Python SDK: prints its address, then each event as a line of JSON."""

import base64
import json
from http.server import BaseHTTPRequestHandler, HTTPServer

from cloudevents.core.bindings.http import HTTPMessage, from_http_event, from_structured_event


class Receiver(BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        try:
            shown = {"mode": self.mode(), "path": self.path, "events": [shape(e) for e in self.events(body)]}
            status = 200
        except Exception as error:  # Whatever the SDK refuses is what the test is about.
            shown, status = {"refused": repr(error), "headers": dict(self.headers)}, 400
        print(json.dumps(shown), flush=True)
        self.send_response(status)
        self.send_header("content-length", "0")
        self.end_headers()

    def mode(self):
        media = self.headers.get("content-type", "")
        if media.startswith("application/cloudevents-batch"):
            return "batched"
        return "structured" if media.startswith("application/cloudevents") else "binary"

    def events(self, body):
        headers = dict(self.headers)
        if self.mode() == "batched":
            # The SDK reads single events.
            return [from_structured_event(HTTPMessage(headers, json.dumps(e).encode())) for e in json.loads(body)]
        return [from_http_event(HTTPMessage(headers, body))]

    def log_message(self, *_):
        pass


def shape(event):
    attributes = {name: str(value) for name, value in event.get_attributes().items()}
    data = event.get_data()
    if isinstance(data, bytes):
        data = {"base64": base64.b64encode(data).decode()}
    return {"attributes": attributes, "data": data}


server = HTTPServer(("127.0.0.1", 0), Receiver)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
