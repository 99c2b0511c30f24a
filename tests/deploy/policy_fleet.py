"""What must hold of manifests whose pods share caps: docs/fleet.md.

Pure functions over what a pod is given: its configuration (None when it is made elsewhere) and its variables.
"""

import math

#: `workers` of a listener that says nothing of them.
WORKERS = 16


def name(config, env):
    """The name by which the pods count each other; None without a fleet."""
    return env.get("QUEUEPOST_FLEET_DNS") or (config or {}).get("fleet", {}).get("dns")


def useful(config, env):
    """Most pods that can have a part of some cap; None where some listener has none that is shared, or without a fleet.

    A pod has none of an endpoint with fewer sessions than pods, nor of one with a smaller burst.
    """
    if config is None or name(config, env) is None:
        return None
    caps = [_cap(listener, config) for listener in config["listeners"]]
    return None if None in caps or "QUEUEPOST_LISTENERS_DIR" in env else max(caps, default=None)


def _cap(listener, config):
    endpoint = config.get("endpoints", {}).get(listener.get("endpoint"), {})
    rate = endpoint.get("rate_limit")
    caps = [endpoint.get("sessions"), rate and rate.get("burst", math.ceil(rate["per_second"]))]
    if config.get("fleet", {}).get("workers"):
        caps.append(listener.get("workers", WORKERS))
    return min((cap for cap in caps if cap), default=None)


def complaints(config, env, namespace, services):
    """What is wrong with the Service behind the name."""
    written = name(config, env)
    if written is None or env.get("QUEUEPOST_FLEET_DNS") is None and (config or {}).get("fleet", {}).get("server"):
        return
    if written.startswith("_"):
        written = written.split(".", 2)[-1]
    service, *rest = written.rstrip(".").split(".")
    (found, *_) = [s for s in services if s["metadata"]["name"] == service] or [None]
    if found is None:
        yield f"counts its fleet by {written}, and there is no Service {service}"
        return
    if rest and namespace and rest[0] != namespace:
        yield f"counts its fleet in namespace {rest[0]} and runs in {namespace}"
    if found["spec"].get("clusterIP") != "None":
        yield f"counts its fleet by Service {service}, which has one address for all pods: it needs clusterIP: None"
    if found["spec"].get("publishNotReadyAddresses") is not True:
        yield f"counts its fleet by Service {service}, which leaves out pods that still drain: it needs publishNotReadyAddresses: true"
