"""Dashboards as they are kept, and their queries with the variables filled in as Grafana fills them."""

import json
import re

from rendering import ROOT

FOLDER = ROOT / "dashboards"
NAMES = ["overview", "listener", "slo", "cost"]
#: What Grafana puts for "All", and the price a dashboard begins with.
EVERYTHING = {"cluster": ".*", "namespace": ".*", "job": ".+", "instance": ".+", "listener": ".+", "endpoint": ".+", "price": "0.40"}


def dashboard(name):
    return json.loads((FOLDER / f"{name}.json").read_text())


def panels(board):
    """The panels that show something."""
    return [panel for panel in board["panels"] if panel["type"] != "row"]


def filled(expr, interval="20s", **values):
    """A query without variables."""
    text = expr.replace("$__rate_interval", interval)
    for name, value in (EVERYTHING | values).items():
        text = re.sub(rf"\${name}\b", lambda _, value=value: value, text)
    assert "$" not in text, text
    return text
