"""What must hold of manifests before they may run anywhere.

Pure functions over parsed objects: `complaints` lists everything that is wrong, each with the object's kind and name.
As a program it judges manifests of yours, for example what an overlay renders to:

    kubectl kustomize my-overlay | python3 tests/deploy/policy.py
"""

import re
import sys

import policy_fleet
import yaml

#: What a stop needs beyond the drain, in seconds.
SETTLING = 10
#: What a drain needs beyond the longest time-out, in seconds.
DRAIN_MARGIN = 15
#: Samples of a scrape for each listener and beside them: more than docs/metrics.md says they can have.
SAMPLES_PER_LISTENER, SAMPLES_BESIDE = 700, 500
UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}
RBAC = {"Role", "RoleBinding", "ClusterRole", "ClusterRoleBinding"}
#: Keys and texts that are, or name, a secret's value.
SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|-----BEGIN|\b(authorization|password|passwd|secret_access_key|session_token)\b\s*[:=]\s*\S|"
    r"\bBearer [A-Za-z0-9]|\bSimple [A-Za-z0-9]|://[^/\s:@]+:[^/\s:@]+@",
    re.IGNORECASE,
)


def seconds(duration):
    """Seconds of a duration such as 1h30m."""
    parts = re.findall(r"([0-9]+)(ms|s|m|h)", duration)
    if "".join(number + unit for number, unit in parts) != duration:
        raise ValueError(f"{duration} is no duration")
    return sum(int(number) * UNITS[unit] for number, unit in parts)


def complaints(manifests):
    """Everything that is wrong, one line each."""
    for manifest in manifests:
        name = f"{manifest['kind']} {manifest['metadata']['name']}"
        for rule in RULES.get(manifest["kind"], []):
            for complaint in rule(manifest, manifests):
                yield f"{name}: {complaint}"
        if manifest["kind"] in RBAC:
            yield f"{name}: queuepost calls no Kubernetes API and needs no rights"
        if manifest["kind"] == "Secret":
            yield f"{name}: secrets are made elsewhere and only referred to"


def _of(manifests, kind):
    return [manifest for manifest in manifests if manifest["kind"] == kind]


def _pod(workload):
    """The pods of a workload; a Pod is its own."""
    return workload["spec"]["template"]["spec"] if "template" in workload["spec"] else workload["spec"]


def _container(workload):
    containers = _pod(workload)["containers"]
    return next((c for c in containers if c["name"] == "queuepost"), containers[0])


def _env(deployment):
    return {variable["name"]: variable.get("value") for variable in _container(deployment).get("env", [])}


def _config(deployment, manifests):
    """The configuration file the pod mounts; None when it is made elsewhere."""
    names = [v["configMap"]["name"] for v in _pod(deployment).get("volumes", []) if v["name"] == "config"]
    maps = [m for m in _of(manifests, "ConfigMap") if m["metadata"]["name"] in names]
    return yaml.safe_load(maps[0]["data"]["queuepost.yaml"]) if maps else None


def _fleet(deployment, manifests):
    namespace = deployment["metadata"].get("namespace")
    yield from policy_fleet.complaints(_config(deployment, manifests), _env(deployment), namespace, _of(manifests, "Service"))


def _useful(target, most, manifests):
    for deployment in _of(manifests, "Deployment"):
        useful = policy_fleet.useful(_config(deployment, manifests), _env(deployment))
        if deployment["metadata"]["name"] == target and useful is not None and most > useful:
            yield f"asks for {most} pods, and those beyond {useful} have no part of any endpoint's sessions: write {useful}, or raise sessions"


def _autoscaler(autoscaler, manifests):
    yield from _useful(autoscaler["spec"]["scaleTargetRef"]["name"], autoscaler["spec"]["maxReplicas"], manifests)


def _restricted(deployment, _):
    pod = _pod(deployment)
    security = pod.get("securityContext", {})
    if not security.get("runAsNonRoot") or security.get("runAsUser", 0) == 0:
        yield "runs as root"
    if security.get("seccompProfile", {}).get("type") != "RuntimeDefault":
        yield "no seccomp profile"
    if pod.get("automountServiceAccountToken") is not False:
        yield "mounts a service account token"
    if any(pod.get(key) for key in ("hostNetwork", "hostPID", "hostIPC")):
        yield "shares a namespace with its node"
    if any("hostPath" in volume for volume in pod.get("volumes", [])):
        yield "mounts a folder of its node"
    for container in [*pod["containers"], *pod.get("initContainers", [])]:
        own = container.get("securityContext", {})
        if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
            yield f"container {container['name']} may gain privileges"
        if own.get("readOnlyRootFilesystem") is not True:
            yield f"container {container['name']} can write its root"
        capabilities = own.get("capabilities", {})
        if "ALL" not in capabilities.get("drop", []) or capabilities.get("add"):
            yield f"container {container['name']} has capabilities"


def _image(deployment, _):
    image = _container(deployment)["image"]
    name = image.rsplit("/", 1)[-1]
    if "@sha256:" not in image and (":" not in name or name.endswith(":latest")):
        yield f"image {image} is not pinned to a version"


def _probes(deployment, _):
    container = _container(deployment)
    ports = {port["name"] for port in container.get("ports", [])}
    for probe, path in (("livenessProbe", "/livez"), ("readinessProbe", "/readyz"), ("startupProbe", "/livez")):
        get = container.get(probe, {}).get("httpGet")
        if not get:
            yield f"no {probe}"
        elif get["path"] not in (path, f"{path}?listeners=all"):
            yield f"{probe} asks {get['path']} and not {path}"
        elif get["port"] not in ports:
            yield f"{probe} asks port {get['port']}, which the container does not have"
    env = _env(deployment)
    # Where metrics have a port of their own, probes ask that, and the rest stays on loopback.
    listens = env.get("QUEUEPOST_ADMIN_METRICS_LISTEN") or env.get("QUEUEPOST_ADMIN_LISTEN") or ""
    hosts = ("0.0.0.0", "[::]")
    if not any(listens == f"{host}:{port['containerPort']}" for host in hosts for port in container.get("ports", [])):
        yield f"the admin port listens on {listens or 'loopback'}, which is no port of the container"


def _ends(deployment, manifests):
    grace = _pod(deployment).get("terminationGracePeriodSeconds", 30)
    deadline = _env(deployment).get("QUEUEPOST_SHUTDOWN_DEADLINE")
    if deadline is None:
        yield "QUEUEPOST_SHUTDOWN_DEADLINE is not set beside the grace period"
        return
    if grace < seconds(deadline) + SETTLING:
        yield f"grace period {grace} s is less than the drain of {deadline} + {SETTLING} s"
    config = _config(deployment, manifests)
    for listener in config["listeners"] if config else []:
        timeout = listener.get("timeout", "435s" if "algorithm" in listener else "60s")
        if seconds(deadline) < seconds(timeout) + DRAIN_MARGIN:
            yield f"a drain of {deadline} cuts off POSTs of {timeout}: it needs {DRAIN_MARGIN} s more than they take"


def _progresses(deployment, _):
    spec = deployment["spec"]
    if spec.get("progressDeadlineSeconds", 600) <= spec.get("minReadySeconds", 0):
        yield "a pod has to be ready for longer than a rollout may take"
    if spec["strategy"]["type"] != "RollingUpdate" and spec["strategy"].get("rollingUpdate"):
        yield f"says how to roll with strategy {spec['strategy']['type']}"
    if _container(deployment).get("terminationMessagePolicy") != "FallbackToLogsOnError":
        yield "does not say in its status why it ended"


def _runs_once(workload, manifests):
    labels = workload["spec"].get("template", workload)["metadata"]["labels"]
    for other in manifests:
        selector = other["spec"].get("selector", {}) if other["kind"] in ("Service", "Deployment", "PodDisruptionBudget") else {}
        if _selects(selector.get("matchLabels", selector), labels):
            yield f"is taken for one of the pods of {other['kind']} {other['metadata']['name']}"


def _resources(deployment, _):
    resources = _container(deployment).get("resources", {})
    if not {"cpu", "memory"} <= resources.get("requests", {}).keys():
        yield "no requests for cpu and memory"
    if "memory" not in resources.get("limits", {}):
        yield "no memory limit"
    if "cpu" in resources.get("limits", {}):
        yield "a CPU limit"


def _volumes(deployment, _):
    pod = _pod(deployment)
    volumes = {volume["name"]: volume for volume in pod.get("volumes", [])}
    for mount in _container(deployment).get("volumeMounts", []):
        if mount["name"] not in volumes:
            yield f"mounts {mount['name']}, which is no volume"
        if "subPath" in mount:
            yield f"mounts {mount['name']} with subPath, which never sees a change"


def _spread(deployment, _):
    constraints = _pod(deployment).get("topologySpreadConstraints", [])
    if not constraints:
        yield "pods are not spread"
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    for constraint in constraints:
        if not _selects(constraint.get("labelSelector", {}).get("matchLabels"), labels):
            yield f"the spread over {constraint['topologyKey']} counts other pods"


def _selects(selector, labels):
    return bool(selector) and selector.items() <= labels.items()


def _selects_itself(deployment, _):
    if not _selects(deployment["spec"]["selector"]["matchLabels"], deployment["spec"]["template"]["metadata"]["labels"]):
        yield "does not select its own pods"


def _selector(of):
    def rule(manifest, manifests):
        for deployment in _of(manifests, "Deployment"):
            if not _selects(of(manifest), deployment["spec"]["template"]["metadata"]["labels"]):
                yield f"does not select the pods of {deployment['metadata']['name']}"

    return rule


def _closed(policy, _):
    if any(not rule.get("from") for rule in policy["spec"].get("ingress", [])):
        yield "lets in everybody: a rule without peers"


def _port(ports):
    def rule(manifest, manifests):
        for deployment in _of(manifests, "Deployment"):
            known = {port["name"] for port in _container(deployment)["ports"]}
            for port in ports(manifest):
                if port not in known:
                    yield f"port {port} is none of the container"

    return rule


def _sample_limit(monitor, manifests):
    for deployment in _of(manifests, "Deployment"):
        config = _config(deployment, manifests)
        needed = SAMPLES_PER_LISTENER * len(config["listeners"]) + SAMPLES_BESIDE if config else 0
        if 0 < monitor["spec"].get("sampleLimit", 0) < needed:
            yield f"a scrape of its listeners may have {needed} samples, and more than {monitor['spec']['sampleLimit']} are dropped"


def _service_monitor(monitor, manifests):
    services = _of(manifests, "Service")
    selector = monitor["spec"]["selector"]["matchLabels"]
    selected = [service for service in services if _selects(selector, service["metadata"]["labels"])]
    if not selected:
        yield "selects no Service"
    for endpoint in monitor["spec"]["endpoints"]:
        scraped = [s for s in selected if endpoint["port"] in {port["name"] for port in s["spec"]["ports"]}]
        if selected and not scraped:
            yield f"port {endpoint['port']} is none of Service {selected[0]['metadata']['name']}"
        if len(scraped) > 1:
            yield f"scrapes each pod {len(scraped)} times, by {' and '.join(s['metadata']['name'] for s in scraped)}"


def _no_secret(config_map, _):
    for key, text in config_map.get("data", {}).items():
        for line in text.splitlines():
            if SECRET.search(line):
                yield f"{key} holds a secret: {line.split(':')[0].strip()}"


def _no_secret_in_env(deployment, _):
    for name, value in _env(deployment).items():
        if value and (SECRET.search(f"{name}={value}") or name == "AWS_SECRET_ACCESS_KEY"):
            yield f"variable {name} holds a secret"


def _scaling(scaled, manifests):
    spec = scaled["spec"]
    target = spec["scaleTargetRef"]["name"]
    deployments = [d for d in _of(manifests, "Deployment") if d["metadata"]["name"] == target]
    if not deployments:
        yield f"scales {target}, which is no Deployment"
        return
    if "replicas" in deployments[0]["spec"]:
        yield "sets a number of pods that the Deployment sets too"
    if spec.get("minReplicaCount", 0) < 1:
        yield "may scale to no pod at all"
    if not spec.get("fallback"):
        yield "no fallback"
    if not spec.get("advanced", {}).get("horizontalPodAutoscalerConfig", {}).get("behavior", {}).get("scaleDown"):
        yield "no word on how fast it shrinks"
    queues = [t for t in spec["triggers"] if t["type"] == "aws-sqs-queue"]
    asking = [t for t in spec["triggers"] if t["type"] == "metrics-api"]
    workers = [t for t in asking if t["metadata"]["valueLocation"] == "workers.in_use"]
    if spec.get("minReplicaCount", 0) > spec.get("maxReplicaCount", 100):
        yield "wants more pods at least than at most"
    yield from _formula(spec)
    yield from _useful(target, spec.get("maxReplicaCount", 100), manifests)
    for trigger in queues:
        if trigger["metadata"].get("scaleOnInFlight") != "false":
            yield f"trigger {trigger['name']} counts parked messages"
        name = trigger.get("authenticationRef", {}).get("name")
        if name not in {m["metadata"]["name"] for m in _of(manifests, "TriggerAuthentication")}:
            yield f"trigger {trigger['name']} has no authentication"
    yield from _asking_triggers(asking, deployments[0], manifests)
    config = _config(deployments[0], manifests)
    listeners = config["listeners"] if config else []
    if not len(queues) == len(workers) == len(listeners):
        yield f"{len(queues)} triggers on queues and {len(workers)} on workers for {len(listeners)} listeners"
    roles = {
        m["metadata"]["name"]: m["spec"].get("podIdentity", {}).get("roleArn") for m in _of(manifests, "TriggerAuthentication")
    }
    for listener, trigger in zip(listeners, queues):
        if "role_arn" in listener and not roles.get(trigger.get("authenticationRef", {}).get("name")):
            yield f"trigger {trigger['name']} reads without a role a queue that is consumed with one"
    for listener, trigger in zip(listeners, workers):
        if int(trigger["metadata"]["targetValue"]) > listener.get("workers", 16):
            yield f"trigger {trigger['name']} wants more workers in use than a pod has"


def _formula(spec):
    modifiers = spec["advanced"].get("scalingModifiers") if "advanced" in spec else None
    if not modifiers:
        yield "a closed gate does not keep a backlog from adding pods"
        return
    names = {trigger["name"] for trigger in spec["triggers"] if trigger["type"] not in ("cpu", "memory")}
    for name in sorted(names):
        if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
            yield f"trigger {name} has a name that no formula can say"
        elif not re.search(rf"\b{name}\b", modifiers["formula"]):
            yield f"trigger {name} is not in the formula and counts for nothing"
    for name in sorted(set(re.findall(r"\b[a-z]+_\w+", modifiers["formula"])) - names):
        yield f"the formula names {name}, which is no trigger"
    if (modifiers["target"], modifiers.get("metricType")) != ("1", "AverageValue"):
        yield "the formula counts pods, so its target is 1 for each"


def _name(listener):
    """Name of a listener, as queuepost makes it from its queue."""
    queue = re.split(r"[/:]", listener["queue"])[-1].lower()
    return listener.get("name") or re.sub(r"[^a-z0-9]", "-", queue).strip("-")[:63].rstrip("-")


def _asking_triggers(triggers, deployment, manifests):
    config = _config(deployment, manifests)
    names = {_name(listener) for listener in config["listeners"]} if config else set()
    ports = {str(port["containerPort"]) for port in _container(deployment)["ports"]}
    for trigger in triggers:
        address = re.fullmatch(r"http://([a-z0-9-]+)\.([a-z0-9-]+)\.svc:([0-9]+)/api/v1/listeners/([a-z0-9-]+)", trigger["metadata"]["url"])
        if not address:
            yield f"trigger {trigger['name']} is not of the form http://SERVICE.NAMESPACE.svc:PORT/api/v1/listeners/NAME"
            continue
        services = {(s["metadata"]["name"], s["metadata"].get("namespace")) for s in _of(manifests, "Service")}
        if address.groups()[:2] not in services:
            yield f"trigger {trigger['name']} asks {address[1]}.{address[2]}, which is no Service"
        if names and address[4] not in names:
            yield f"trigger {trigger['name']} asks for listener {address[4]}, which is none"
        if address[3] not in ports:
            yield f"trigger {trigger['name']} asks port {address[3]}, which the pods do not have"
        if trigger.get("useCachedMetrics") is not True:
            yield f"trigger {trigger['name']} asks every pod at every look of the autoscaler"


RULES = {
    "Deployment": [
        _restricted, _image, _probes, _ends, _progresses, _resources, _volumes, _spread, _selects_itself, _no_secret_in_env, _fleet,
    ],
    "Job": [_restricted, _image, _resources, _runs_once, _no_secret_in_env],
    "Pod": [_restricted, _image, _resources, _runs_once, _no_secret_in_env],
    "Service": [
        _selector(lambda m: m["spec"]["selector"]),
        _port(lambda m: [port["targetPort"] for port in m["spec"]["ports"]]),
    ],
    "PodDisruptionBudget": [_selector(lambda m: m["spec"]["selector"]["matchLabels"])],
    "NetworkPolicy": [
        _selector(lambda m: m["spec"]["podSelector"]["matchLabels"]),
        _port(lambda m: [port["port"] for rule in m["spec"].get("ingress", []) for port in rule["ports"]]),
        _closed,
    ],
    "PodMonitor": [
        _selector(lambda m: m["spec"]["selector"]["matchLabels"]),
        _port(lambda m: [endpoint["port"] for endpoint in m["spec"]["podMetricsEndpoints"]]),
        _sample_limit,
    ],
    "ServiceMonitor": [_service_monitor, _sample_limit],
    "ConfigMap": [_no_secret],
    "ScaledObject": [_scaling],
    "HorizontalPodAutoscaler": [_autoscaler],
}


if __name__ == "__main__":
    wrong = list(complaints([document for document in yaml.safe_load_all(sys.stdin) if document]))
    print("\n".join(wrong) if wrong else "nothing is wrong")
    sys.exit(1 if wrong else 0)
