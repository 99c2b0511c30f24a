"""A token server, or a server that wants its tokens, by Authlib. Both keep the tokens in one file of JSON lines.

oauth2.py token PORT FILE LIFE     client credentials grant at /oauth/token; LIFE is the life of tokens in seconds
oauth2.py resource PORT FILE       every POST needs a token of scope jobs.write
Port 0 is any free one. The first line of standard output is the address; then a line for each request.
"""

import json
import os
import sys
import time
from wsgiref.simple_server import WSGIRequestHandler, make_server

from authlib.integrations.flask_oauth2 import AuthorizationServer, ResourceProtector
from authlib.oauth2.rfc6749 import ClientMixin, TokenMixin
from authlib.oauth2.rfc6749.grants import ClientCredentialsGrant
from authlib.oauth2.rfc6750 import BearerTokenGenerator, BearerTokenValidator
from flask import Flask, request

os.environ["AUTHLIB_INSECURE_TRANSPORT"] = "1"


class Client(ClientMixin):
    def __init__(self, client_id, secret, method):
        self.client_id, self.secret, self.method = client_id, secret, method

    def get_client_id(self):
        return self.client_id

    def get_allowed_scope(self, scope):
        return " ".join(word for word in (scope or "").split() if word in ("jobs.read", "jobs.write"))

    def check_client_secret(self, client_secret):
        return self.secret == client_secret

    def check_endpoint_auth_method(self, method, endpoint):
        return self.method == method

    def check_grant_type(self, grant_type):
        return grant_type == "client_credentials"


CLIENTS = {
    client.client_id: client
    for client in (
        Client("orders", "planted client secret: 50% + /", "client_secret_basic"),
        Client("orders-body", "planted-body-secret", "client_secret_post"),
    )
}


class Grant(ClientCredentialsGrant):
    TOKEN_ENDPOINT_AUTH_METHODS = ["client_secret_basic", "client_secret_post"]


class Token(TokenMixin):
    def __init__(self, values):
        self.values = values

    def get_scope(self):
        return self.values.get("scope", "")

    def is_expired(self):
        return self.values["issued_at"] + self.values["expires_in"] <= time.time()

    def is_revoked(self):
        return False


def token_server(file, life):
    def save(token, _request):
        with open(file, "a") as tokens:
            tokens.write(json.dumps({"issued_at": time.time(), **token}) + "\n")
        print("granted", flush=True)

    app = Flask("token")
    server = AuthorizationServer(app, query_client=CLIENTS.get, save_token=save)
    generate = BearerTokenGenerator(lambda **_: "planted-token-" + os.urandom(16).hex(), expires_generator=lambda *_: life)
    server.register_token_generator("default", generate)
    server.register_grant(Grant)

    @app.post("/oauth/token")
    def token():
        print("asked", flush=True)
        return server.create_token_response()

    return app


def resource_server(file):
    class Validator(BearerTokenValidator):
        def authenticate_token(self, token_string):
            with open(file) as tokens:
                known = (json.loads(line) for line in tokens)
                return next((Token(each) for each in known if each["access_token"] == token_string), None)

    app = Flask("resource")
    protected = ResourceProtector()
    protected.register_token_validator(Validator())

    @app.post("/work")
    @protected("jobs.write")
    def work():
        print("worked", request.get_data(as_text=True), flush=True)
        return ""

    @app.after_request
    def tell(response):
        if response.status_code == 401:
            print("refused", flush=True)
        return response

    return app


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


role, port, file, *rest = sys.argv[1:]
app = token_server(file, int(rest[0])) if role == "token" else resource_server(file)
server = make_server("127.0.0.1", int(port), app, handler_class=Quiet)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
