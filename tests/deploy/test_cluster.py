"""The chart and the overlays against a real kube-apiserver: what it takes, refuses, changes and leaves alone."""

import json
import shutil

import pytest
import yaml
from cluster import Cluster
from rendering import CHART, HELM, KUSTOMIZE, OVERLAYS, golden, objects, one
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

    # Other listeners: a new configuration, and a longer grace period, which makes new pods.
    listeners = "listeners[0].queue=orders,listeners[0].url=http://orders:8080,listeners[0].timeout=5m"
    cluster.helm("upgrade", "queuepost", CHART, "-n", ns, "--set", listeners)
    second = deployment()
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


def test_a_rollout_keeps_the_former_configuration_and_can_be_rolled_back(cluster):
    ns = namespace(cluster, "rollout")

    def mounted():
        return cluster.get("deployment", "queuepost", ns)["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]

    def there():
        found = json.loads(cluster.kubectl("-n", ns, "get", "configmap", "-o", "json").stdout)["items"]
        return {item["metadata"]["name"] for item in found} - {"kube-root-ca.crt"}

    def replica_set(name):
        """As the Deployment's controller makes it, which does not run here."""
        deployment = cluster.get("deployment", "queuepost", ns)
        owner = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "queuepost", "uid": deployment["metadata"]["uid"]}
        spec = {"replicas": 1, "selector": deployment["spec"]["selector"], "template": deployment["spec"]["template"]}
        metadata = {"name": name, "namespace": ns, "ownerReferences": [owner]}
        manifest = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": metadata, "spec": spec}
        cluster.kubectl("apply", "-f", "-", input=json.dumps(manifest))

    rollout = [*FIRST, "--set", "config.rollout=rollout"]
    cluster.helm("install", "queuepost", CHART, "-n", ns, *rollout)
    first = mounted()
    replica_set("first")
    cluster.helm("upgrade", "queuepost", CHART, "-n", ns, *rollout, "--set", "log.level=debug")
    second = mounted()
    replica_set("second")
    # A pod of before that is made anew in mid-rollout finds its file, and nobody can change it.
    assert first != second and there() == {first, second}
    changed = cluster.kubectl("-n", ns, "patch", "configmap", first, "-p", '{"data":{"queuepost.yaml":"x"}}', check=False)
    assert changed.returncode != 0 and "immutable" in changed.stderr, changed.stderr
    # The rollout is held back, and mended by another.
    cluster.helm("upgrade", "queuepost", CHART, "-n", ns, *rollout, "--set", "log.level=warn")
    third = mounted()
    assert there() == {first, second, third}
    # It is done: what no pod mounts goes.
    cluster.kubectl("-n", ns, "scale", "replicaset", "first", "second", "--replicas", "0")
    cluster.helm("upgrade", "queuepost", CHART, "-n", ns, *rollout, "--set", "log.level=warn")
    assert there() == {third}
    cluster.helm("rollback", "queuepost", "2", "-n", ns)
    assert mounted() == second and there() == {first, second}


@pytest.mark.parametrize("name", ["n", "1234", "true"])
def test_the_server_takes_any_release_name(name, cluster):
    ns = namespace(cluster, f"name-{name}")
    cluster.helm("install", name, CHART, "-n", ns, *FIRST, "--set", "keda.enabled=true,podMonitor.enabled=true")


def test_two_installations_in_a_namespace_leave_each_other_alone(cluster, tmp_path):
    ns = namespace(cluster, "shop")
    shutil.copytree(KUSTOMIZE, tmp_path / "deploy/kustomize")
    components = ["keda", "podmonitor", "networkpolicy"]
    for name in ("orders", "refunds"):
        overlay = tmp_path / name
        overlay.mkdir()
        kustomization = {
            "apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization", "namespace": ns, "namePrefix": f"{name}-",
            "resources": ["../deploy/kustomize/base"],
            "components": [f"../deploy/kustomize/components/{component}" for component in components],
            "labels": [{"includeSelectors": True, "pairs": {"app.kubernetes.io/instance": name}}],
        }
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
        cluster.kubectl("apply", "--server-side", "--validate=strict", "-k", overlay)
    for name, other in (("orders", "refunds"), ("refunds", "orders")):
        full = f"{name}-queuepost"
        scaled = cluster.get("scaledobject", full, ns)["spec"]
        assert scaled["scaleTargetRef"]["name"] == full
        assert scaled["triggers"][0]["authenticationRef"]["name"] == full
        pod = cluster.get("deployment", full, ns)["spec"]["template"]
        assert pod["spec"]["serviceAccountName"] == full
        cluster.get("triggerauthentication", full, ns)
        cluster.get("configmap", pod["spec"]["volumes"][0]["configMap"]["name"], ns)
        foreign = cluster.get("deployment", f"{other}-queuepost", ns)["spec"]["template"]["metadata"]["labels"]
        spread = [constraint["labelSelector"]["matchLabels"] for constraint in pod["spec"]["topologySpreadConstraints"]]
        selectors = [
            cluster.get("service", full, ns)["spec"]["selector"],
            cluster.get("networkpolicy", full, ns)["spec"]["podSelector"]["matchLabels"],
            *(cluster.get(kind, full, ns)["spec"]["selector"]["matchLabels"] for kind in ("deployment", "pdb", "podmonitor")),
            *spread,
        ]
        assert len(selectors) == 7
        for selector in selectors:
            assert selector.items() <= pod["metadata"]["labels"].items() and not selector.items() <= foreign.items(), selector


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
    # No controller runs a Job here; what hooks are is compared with the schemas.
    said = cluster.helm("install", "queuepost", CHART, "-n", ns, "--no-hooks", "--values", HELM[name])
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
        (
            ["fleet.enabled=true,fleet.workers=true,keda.enabled=true,keda.maxReplicaCount=40"],
            ["KEDA scales to 16 pods at most", "count each other by queuepost-fleet.orders.svc"], ["stand by"],
        ),
        (["fleet.enabled=true,fleet.workers=true,replicaCount=20"], ["16 of the 20 pods have a part", "stand by"], ["KEDA scales"]),
        (["fleet.enabled=true,replicaCount=null"], ["share sessions and rate_limit"], ["NOTE"]),
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
