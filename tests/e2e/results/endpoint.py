"""An HTTP server by other authors: answers a body with `bad` in it 500, every other one 200, and prints each body."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        answer = ("broken: " if "bad" in body else "done: ").encode() + body.encode()
        self.send_response(500 if "bad" in body else 200)
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        print(json.dumps(body), flush=True)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
print(json.dumps(server.server_port), flush=True)
server.serve_forever()
