"""What the chart and Kustomize render: as it is kept, the same from both, and in order."""

import copy
import re

import policy
import pytest
import yaml
from rendering import CHART, KUSTOMIZE, NAMES, RENDERED, SAME, golden, matches, objects, other_version, render, run, tool


@pytest.mark.parametrize("name", NAMES)
def test_a_rendering_is_the_one_that_is_kept(name):
    matches(RENDERED / f"{name}.yaml", render(name))


def test_no_rendering_is_kept_that_nobody_makes():
    assert {path.stem for path in RENDERED.glob("*.yaml")} == set(NAMES)


def test_the_kustomize_rules_are_those_of_the_chart():
    rules = (CHART / "files/alerts.yaml").read_text()
    # Its head is for those who load it as a file.
    rules = rules[rules.index("groups:") :]
    spec = "".join(f"  {line}\n" if line else "\n" for line in rules.splitlines())
    head = (
        "# Written from deploy/helm/queuepost/files/alerts.yaml: QUEUEPOST_BLESS=1 .ci/deploy\n"
        "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nmetadata:\n  name: queuepost\nspec:\n"
    )
    matches(KUSTOMIZE / "components/prometheusrule/prometheusrule.yaml", head + spec)


def comparable(manifests):
    """Objects by kind and name, without what only one of the two tools says."""
    kept = {}
    for manifest in copy.deepcopy(manifests):
        kind, metadata = manifest["kind"], manifest["metadata"]
        if kind == "Namespace" or "helm.sh/hook" in metadata.get("annotations", {}):
            continue
        text = yaml.safe_dump(manifest)
        if kind == "ConfigMap":
            manifest["data"] = {key: yaml.safe_load(value) for key, value in manifest["data"].items()}
            metadata["name"] = "queuepost"
        if kind == "PrometheusRule":
            # The chart knows its release; the component measures every job, and any Deployment of that name.
            for rule in (rule for group in manifest["spec"]["groups"] for rule in group["rules"]):
                rule["expr"] = re.sub(r'\{namespace="\w+", pod=~"queuepost-\.\+"\}', "", rule["expr"])
                rule["expr"] = re.sub(r'\{namespace="\w+", deployment="queuepost"\}', '{deployment=~".*queuepost.*"}', rule["expr"])
        if kind in ("PodMonitor", "ServiceMonitor"):
            # The chart counts the listeners; Kustomize cannot, and policy.py does.
            manifest["spec"].pop("sampleLimit")
        if kind == "Deployment":
            template = manifest["spec"]["template"]
            template["metadata"]["annotations"].pop("checksum/config", None)
            # Chart labels and managed-by are each tool's own.
            _drop(template["metadata"]["labels"])
            for volume in template["spec"]["volumes"]:
                if volume["name"] == "config":
                    volume["configMap"]["name"] = "queuepost"
            container = template["spec"]["containers"][0]
            container["env"].sort(key=lambda variable: variable["name"])
            container["volumeMounts"].sort(key=lambda mount: mount["name"])
            template["spec"]["volumes"].sort(key=lambda volume: volume["name"])
        metadata.pop("namespace", None)
        _drop(metadata.get("labels", {}))
        assert (kind, metadata["name"]) not in kept, f"twice: {text}"
        kept[kind, metadata["name"]] = manifest
    return kept


def _drop(labels):
    labels.pop("helm.sh/chart", None)
    labels.pop("app.kubernetes.io/managed-by", None)


@pytest.mark.parametrize(("helm", "kustomize"), SAME)
def test_helm_and_kustomize_describe_the_same_objects(helm, kustomize):
    from_helm, from_kustomize = comparable(golden(helm)), comparable(golden(kustomize))
    assert from_helm.keys() == from_kustomize.keys()
    for key, manifest in from_helm.items():
        assert manifest == from_kustomize[key], key


def test_every_kind_of_the_chart_is_compared():
    templates = "".join(path.read_text() for path in (CHART / "templates").glob("*.yaml"))
    kinds = {line.removeprefix("kind: ") for line in templates.splitlines() if line.startswith("kind: ")}
    # Helm alone has hooks, and Kustomize needs no dashboards: Grafana's own folder or sidecar takes the files.
    kinds -= {"Job", "Pod", "GrafanaDashboard"}
    compared = {key[0] for helm, _ in SAME for key in comparable(golden(helm))}
    assert kinds == compared


@pytest.mark.parametrize("name", NAMES)
def test_a_rendering_is_in_order(name):
    assert list(policy.complaints(golden(name))) == []


def deployment(change):
    def mutate(manifests):
        (found,) = [manifest for manifest in manifests if manifest["kind"] == "Deployment"]
        change(found["spec"]["template"]["spec"])

    return mutate


def container(change):
    return deployment(lambda pod: change(pod["containers"][0]))


def of(kind, change):
    def mutate(manifests):
        change([manifest for manifest in manifests if manifest["kind"] == kind][0])

    return mutate


def variable(name, value):
    def change(container):
        (found,) = [variable for variable in container["env"] if variable["name"] == name]
        found["value"] = value

    return container(change)




BROKEN = {
    "runs as root": deployment(lambda pod: pod["securityContext"].update(runAsUser=0)),
    "no seccomp profile": deployment(lambda pod: pod["securityContext"].pop("seccompProfile")),
    "mounts a service account token": deployment(lambda pod: pod.pop("automountServiceAccountToken")),
    "shares a namespace": deployment(lambda pod: pod.update(hostNetwork=True)),
    "mounts a folder of its node": deployment(lambda pod: pod["volumes"].append({"name": "x", "hostPath": {}})),
    "may gain privileges": container(lambda c: c["securityContext"].pop("allowPrivilegeEscalation")),
    "can write its root": container(lambda c: c["securityContext"].update(readOnlyRootFilesystem=False)),
    "has capabilities": container(lambda c: c["securityContext"]["capabilities"].update(add=["NET_RAW"])),
    "is not pinned": container(lambda c: c.update(image="registry:5000/queuepost:latest")),
    "no livenessProbe": container(lambda c: c.pop("livenessProbe")),
    "readinessProbe asks /livez": container(lambda c: c["readinessProbe"]["httpGet"].update(path="/livez")),
    "startupProbe asks port http": container(lambda c: c["startupProbe"]["httpGet"].update(port="http")),
    "the admin port listens on 127.0.0.1:9464": variable("QUEUEPOST_ADMIN_LISTEN", "127.0.0.1:9464"),
    "is less than the drain": deployment(lambda pod: pod.update(terminationGracePeriodSeconds=144)),
    "cuts off POSTs of 2m": variable("QUEUEPOST_SHUTDOWN_DEADLINE", "134s"),
    "no memory limit": container(lambda c: c["resources"].pop("limits")),
    "no requests": container(lambda c: c["resources"].pop("requests")),
    "a CPU limit": container(lambda c: c["resources"]["limits"].update(cpu="1")),
    "with subPath": container(lambda c: c["volumeMounts"][0].update(subPath="queuepost.yaml")),
    "which is no volume": container(lambda c: c["volumeMounts"][0].update(name="other")),
    "counts other pods": deployment(lambda pod: pod["topologySpreadConstraints"][0].pop("labelSelector")),
    "ready for longer than a rollout": of("Deployment", lambda m: m["spec"].update(minReadySeconds=600)),
    "how to roll with strategy Recreate": of("Deployment", lambda m: m["spec"]["strategy"].update(type="Recreate")),
    "why it ended": container(lambda c: c.pop("terminationMessagePolicy")),
    "does not select its own pods": of("Deployment", lambda m: m["spec"]["selector"]["matchLabels"].update(a="b")),
    "Service queuepost: does not select": of("Service", lambda m: m["spec"]["selector"].update(a="b")),
    "Service queuepost: port http is none": of("Service", lambda m: m["spec"]["ports"][0].update(targetPort="http")),
    "PodMonitor queuepost: port http": of(
        "PodMonitor", lambda m: m["spec"]["podMetricsEndpoints"][0].update(port="http")
    ),
    "may have 1900 samples, and more than 1899": of("PodMonitor", lambda m: m["spec"].update(sampleLimit=1899)),
    "NetworkPolicy queuepost: does not select": of(
        "NetworkPolicy", lambda m: m["spec"]["podSelector"]["matchLabels"].update(a="b")
    ),
    "lets in everybody": of("NetworkPolicy", lambda m: m["spec"]["ingress"][0].pop("from")),
    "holds a secret": of("ConfigMap", lambda m: m["data"].update(auth="Authorization: Bearer abc")),
    "variable HTTPS_PROXY holds a secret": container(
        lambda c: c["env"].append({"name": "HTTPS_PROXY", "value": "http://me:secret@proxy:3128"})
    ),
    "needs no rights": lambda manifests: manifests.append({"kind": "ClusterRole", "metadata": {"name": "x"}}),
    "secrets are made elsewhere": lambda manifests: manifests.append({"kind": "Secret", "metadata": {"name": "x"}}),
    "counts parked messages": of(
        "ScaledObject", lambda m: m["spec"]["triggers"][0]["metadata"].pop("scaleOnInFlight")
    ),
    "has no authentication": of("ScaledObject", lambda m: m["spec"]["triggers"][0].pop("authenticationRef")),
    "backlog_refunds reads without a role": of(
        "ScaledObject", lambda m: m["spec"]["triggers"][3]["authenticationRef"].update(name="queuepost")
    ),
    "a closed gate does not keep": of("ScaledObject", lambda m: m["spec"]["advanced"].pop("scalingModifiers")),
    "gates_orders is not in the formula": of(
        "ScaledObject", lambda m: m["spec"]["advanced"]["scalingModifiers"].update(formula="max(backlog_orders, workers_orders)")
    ),
    "names gate_refunds, which is no trigger": of(
        "ScaledObject", lambda m: m["spec"]["advanced"]["scalingModifiers"].update(formula="gate_refunds")
    ),
    "a name that no formula can say": of("ScaledObject", lambda m: m["spec"]["triggers"][0].update(name="orders-backlog")),
    "its target is 1": of("ScaledObject", lambda m: m["spec"]["advanced"]["scalingModifiers"].update(target="480")),
    "at every look of the autoscaler": of("ScaledObject", lambda m: m["spec"]["triggers"][1].pop("useCachedMetrics")),
    "more pods at least than at most": of("ScaledObject", lambda m: m["spec"].update(minReplicaCount=11)),
    "may scale to no pod": of("ScaledObject", lambda m: m["spec"].pop("minReplicaCount")),
    "no fallback": of("ScaledObject", lambda m: m["spec"].pop("fallback")),
    "how fast it shrinks": of("ScaledObject", lambda m: m["spec"].pop("advanced")),
    "2 triggers on queues and 1 on workers": of("ScaledObject", lambda m: m["spec"]["triggers"].pop(4)),
    "is not of the form": of(
        "ScaledObject",
        lambda m: m["spec"]["triggers"][1]["metadata"].update(url="http://queuepost.queuepost:9464/api/v1/listeners/orders"),
    ),
    "asks for listener order, which is none": of(
        "ScaledObject",
        lambda m: m["spec"]["triggers"][1]["metadata"].update(url="http://queuepost.queuepost.svc:9464/api/v1/listeners/order"),
    ),
    "the Deployment sets too": of("Deployment", lambda m: m["spec"].update(replicas=2)),
    "wants more workers in use": of(
        "ScaledObject", lambda m: m["spec"]["triggers"][1]["metadata"].update(targetValue="33")
    ),
}


@pytest.mark.parametrize("expected", BROKEN)
def test_what_is_broken_is_complained_of(expected):
    manifests = golden("kustomize-production")
    BROKEN[expected](manifests)
    found = list(policy.complaints(manifests))
    assert any(expected in complaint for complaint in found), found


def test_a_program_of_another_version_is_not_used(tmp_path):
    program = tmp_path / "helm"
    program.write_text("#!/bin/sh\necho v3.1.0\n")
    program.chmod(0o755)
    assert f"{program} is v3.1.0 and not v3." in other_version("helm", str(program))
    assert other_version("openssl", "/usr/bin/openssl") is None


def test_a_change_of_the_configuration_rolls_the_pods_where_that_is_asked_for():
    def pods(workers, rollout):
        listener = '{"queue": "orders", "url": "http://a", "workers": %d}' % workers
        text = run(
            tool("helm"), "template", CHART, "--set-json", f"listeners=[{listener}]", "--set", f"config.rollout={rollout}",
        ).stdout
        (found,) = [manifest for manifest in objects(text) if manifest["kind"] == "Deployment"]
        return found["spec"]["template"]

    assert pods(1, "reload") == pods(2, "reload")
    assert pods(1, "rollout") == pods(1, "rollout")
    assert pods(1, "rollout") != pods(2, "rollout")
