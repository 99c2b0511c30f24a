"""A handler behind Flask-Limiter. Argument: the port of the loopback.

Prints the status of each answer and the message that got it.
"""

import sys

import waitress
from flask import Flask, request
from flask_limiter import Limiter
from flask_limiter.util import get_remote_address

app = Flask(__name__)
# The window moves: at no time more than 20 within the last four seconds. Refused requests do not count.
Limiter(
    get_remote_address,
    app=app,
    storage_uri="memory://",
    strategy="moving-window",
    default_limits=["20 per 4 second"],
    headers_enabled=True,
)


@app.after_request
def log(response):
    # One write: several threads print.
    sys.stdout.write(f"answered {response.status_code} {request.headers.get('X-Queuepost-Message-Id')}\n")
    sys.stdout.flush()
    return response


@app.post("/work")
def work():
    return "done"


waitress.serve(app, host="127.0.0.1", port=int(sys.argv[1]), threads=16)
