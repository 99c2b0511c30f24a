"""An HTTP server by other authors: prints every POST as a line of JSON, and answers 200; 422 where the customer is nobody."""

import base64
import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        request = {
            "target": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "body": base64.b64encode(body).decode(),
        }
        known = b'"nobody"' not in body
        answer = b'{"done":true}' if known else b'{"error":"no such customer"}'
        self.send_response(200 if known else 422)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        print(json.dumps(request), flush=True)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
print(json.dumps({"port": server.server_port}), flush=True)
server.serve_forever()
