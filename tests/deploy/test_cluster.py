"""The chart and the overlays against a real kube-apiserver: what it takes, refuses, changes and leaves alone."""

import json

import pytest
import yaml
from cluster import Cluster
from rendering import CHART, HELM, OVERLAYS, golden, objects, one
from test_schemas import SOURCES

FIRST = ["--set", "queue=https://sqs.eu-west-1.amazonaws.com/123456789012/orders", "--set", "url=http://orders:8080/events"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The server, with the CRDs of KEDA and of the Prometheus operator."""
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    try:
        crds = sorted(SOURCES.glob("crd-*.yaml"))
        for path in crds:
            made.kubectl("apply", "--server-side", "-f", path)
        made.kubectl("wait", "--for=condition=Established", "crd", "--all", "--timeout=60s")
        yield made
    finally:
        made.stop()


def namespace(cluster, name):
    """A namespace in which only restricted pods are admitted."""
    label = {"pod-security.kubernetes.io/enforce": "restricted"}
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": label}}
    cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))
    return name


def pod_of(deployment, change=lambda spec: None):
    """A pod as the Deployment would make it."""
    template = deployment["spec"]["template"]
    change(template["spec"])
    metadata = {"generateName": "pod-", "namespace": deployment["metadata"]["namespace"], **template["metadata"]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


def admitted(cluster, pod):
    return cluster.kubectl("create", "--dry-run=server", "-f", "-", check=False, input=json.dumps(pod))


def test_an_installation_is_upgraded_rolled_back_and_removed(cluster):
    ns = namespace(cluster, "helm")

    def deployment():
        return cluster.get("deployment", "queuepost", ns)

    said = cluster.helm("install", "queuepost", CHART, "-n", ns, *FIRST).stdout
    assert "is installed as queuepost in helm" in said and "aws eks create-pod-identity-association" in said, said
    first = deployment()
    pod = admitted(cluster, pod_of(deployment()))
    assert pod.returncode == 0, pod.stderr
    assert "token" not in yaml.safe_dump(pod_of(deployment())["spec"]["volumes"])

    # Nothing changed: the server has nothing new, and no pod is replaced.
    cluster.helm("upgrade", "queuepost", CHART, "-n", ns, *FIRST)
    assert deployment()["metadata"]["generation"] == first["metadata"]["generation"]

    # Other listeners: a new configuration, new pods, a longer grace period.
    listeners = "listeners[0].queue=orders,listeners[0].url=http://orders:8080,listeners[0].timeout=5m"
    cluster.helm("upgrade", "queuepost", CHART, "-n", ns, "--set", listeners)
    second = deployment()
    assert second["spec"]["template"]["metadata"]["annotations"] != first["spec"]["template"]["metadata"]["annotations"]
    assert second["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 325
    assert "timeout: 5m" in cluster.get("configmap", "queuepost", ns)["data"]["queuepost.yaml"]

    # Everything on, then back to the first.
    cluster.helm("upgrade", "queuepost", CHART, "-n", ns, "--values", HELM["helm-production"])
    assert cluster.get("scaledobject", "queuepost", ns)["spec"]["minReplicaCount"] == 1
    assert admitted(cluster, pod_of(deployment())).returncode == 0
    cluster.helm("rollback", "queuepost", "1", "-n", ns)
    assert deployment()["spec"]["template"] == first["spec"]["template"]

    cluster.helm("uninstall", "queuepost", "-n", ns)
    kinds = "deployment,service,serviceaccount,configmap,pdb,networkpolicy,scaledobject,triggerauthentication,podmonitor"
    left = json.loads(cluster.kubectl("-n", ns, "get", kinds, "-o", "json").stdout)["items"]
    assert [item["metadata"]["name"] for item in left if item["metadata"]["name"] not in ("default", "kube-root-ca.crt")] == []


def test_a_pod_that_is_not_restricted_is_refused(cluster):
    ns = namespace(cluster, "refused")
    cluster.helm("install", "queuepost", CHART, "-n", ns, *FIRST)

    def unrestricted(spec):
        spec["containers"][0]["securityContext"].pop("capabilities")

    done = admitted(cluster, pod_of(cluster.get("deployment", "queuepost", ns), unrestricted))
    assert done.returncode != 0 and "violates PodSecurity" in done.stderr, done.stderr


@pytest.mark.parametrize("name", [name for name in HELM if name != "helm-pod-identity"])
def test_the_server_takes_every_rendering_of_the_chart_and_knows_every_field(name, cluster):
    ns = namespace(cluster, name)
    said = cluster.helm("install", "queuepost", CHART, "-n", ns, "--values", HELM[name])
    assert "unknown field" not in said.stderr, said.stderr
    manifest = cluster.helm("get", "manifest", "queuepost", "-n", ns).stdout
    done = cluster.kubectl("-n", ns, "apply", "--server-side", "--validate=strict", "--force-conflicts", "-f", "-", input=manifest)
    assert len(done.stdout.splitlines()) == len(objects(manifest))


@pytest.mark.parametrize("name", ["kustomize-dev", "kustomize-production"])
def test_an_overlay_is_applied_twice_and_changes_nothing_the_second_time(name, cluster):
    def apply():
        return cluster.kubectl("apply", "--server-side", "--validate=strict", "-k", OVERLAYS[name]).stdout.splitlines()

    assert len(apply()) == len(golden(name))
    manifest = one(golden(name), "Deployment")["metadata"]
    before = cluster.get("deployment", manifest["name"], manifest["namespace"])
    apply()
    after = cluster.get("deployment", manifest["name"], manifest["namespace"])
    assert before["metadata"]["generation"] == after["metadata"]["generation"]
    assert admitted(cluster, pod_of(after)).returncode == 0


@pytest.mark.parametrize(
    ("values", "said", "not_said"),
    [
        ([], ["aws.irsaRoleArn=", "aws eks create-pod-identity-association", "image.repository=REGISTRY"], ["WARNING"]),
        (["aws.irsaRoleArn=arn:aws:iam::123456789012:role/a", "image.repository=r/queuepost"], ["readyz?verbose"], ["NEXT"]),
        (["shutdown.deadline=74s"], ["cuts off POSTs"], []),
        (["keda.enabled=true,keda.minReplicaCount=0"], ["minReplicaCount is 0"], ["cuts off"]),
    ],
)
def test_the_notes_say_what_to_do_next(values, said, not_said, cluster):
    sets = [part for value in values for part in ("--set", value)]
    notes = cluster.helm("install", "queuepost", CHART, "-n", "orders", "--dry-run=server", *FIRST, *sets).stdout
    notes = notes.split("NOTES:")[1]
    assert "kubectl -n orders rollout status deployment/queuepost" in notes
    for text in said:
        assert text in notes, notes
    for text in not_said:
        assert text not in notes, notes
