"""The chart's names, labels, rollouts and scaling: what holds for any release name, in a rollout, and while an endpoint is dead."""

import json
import math
import re
import shutil

import policy
import pytest
import yaml
from rendering import CHART, ROOT, golden, helm_template, matches, objects, one, run, tool

TWO = ["--set", "queue=https://sqs.eu-west-1.amazonaws.com/123456789012/orders", "--set", "url=http://orders:8080/events"]
EVERYTHING = ["--set", "keda.enabled=true,podMonitor.enabled=true,prometheusRule.enabled=true,config.check=true"]
#: What Kubernetes takes for a Service's name (RFC 1035).
SERVICE_NAME = re.compile(r"[a-z]([-a-z0-9]{0,61}[a-z0-9])?")


class Strict(yaml.SafeLoader):
    """A reader that refuses a key that is written twice, as Kustomize and Flux do."""

    def construct_mapping(self, node, deep=False):
        keys = [key.value for key, _ in node.value]
        assert len(keys) == len(set(keys)), f"twice: {sorted({key for key in keys if keys.count(key) > 1})}"
        return super().construct_mapping(node, deep)


def strictly(text):
    return [document for document in yaml.load_all(text, Strict) if document]


def strings(value):
    """Every text that has to be one: names, namespaces, labels."""
    if isinstance(value, dict):
        for key, part in value.items():
            if key in ("labels", "matchLabels", "annotations", "nodeSelector"):
                yield from part.values()
            elif key in ("name", "namespace", "serviceAccountName", "serviceAccount", "secretName"):
                yield part
            yield from strings(part)
    elif isinstance(value, list):
        for part in value:
            yield from strings(part)


@pytest.mark.parametrize("name", ["n", "y", "true", "null", "1234", "1orders", "1e3", "0x10", "a.b"])
def test_any_release_name_makes_names_that_kubernetes_takes(name):
    made = strictly(helm_template(*TWO, *EVERYTHING, "--name-template", name, "--namespace", "1234").stdout)
    assert all(isinstance(text, str) for text in strings(made)), [text for text in strings(made) if not isinstance(text, str)]
    assert all(SERVICE_NAME.fullmatch(m["metadata"]["name"]) for m in made), [m["metadata"]["name"] for m in made]
    assert one(made, "Deployment")["metadata"]["labels"]["app.kubernetes.io/instance"] == name
    assert list(policy.complaints(made)) == []


def test_a_label_of_ours_and_of_yours_is_written_once_and_selectors_stay_ours():
    labels = {"app.kubernetes.io/part-of": "shop", "app.kubernetes.io/name": "x", "app.kubernetes.io/managed-by": "x", "team": "a"}
    values = json.dumps({"commonLabels": labels, "podLabels": {**labels, "team": "b"}, "podAnnotations": {
        "kubectl.kubernetes.io/default-container": "proxy",
    }})
    flags = [part for key, value in json.loads(values).items() for part in ("--set-json", f"{key}={json.dumps(value)}")]
    made = strictly(helm_template(*TWO, *EVERYTHING, *flags).stdout)
    deployment = one(made, "Deployment")
    pod = deployment["spec"]["template"]["metadata"]
    assert (deployment["metadata"]["labels"]["team"], pod["labels"]["team"]) == ("a", "b")
    assert pod["annotations"]["kubectl.kubernetes.io/default-container"] == "proxy"
    for found in (deployment["metadata"]["labels"], pod["labels"]):
        assert found["app.kubernetes.io/part-of"] == "shop" and found["app.kubernetes.io/name"] == "queuepost"
        assert found["app.kubernetes.io/managed-by"] == "Helm"
    assert list(policy.complaints(made)) == []


def test_another_strategy_alone_leaves_out_how_to_roll():
    spec = one(objects(helm_template(*TWO, "--set", "strategy.type=Recreate").stdout), "Deployment")["spec"]
    assert spec["strategy"] == {"type": "Recreate"}


@pytest.mark.parametrize(
    ("values", "ready", "progress"),
    [("", 0, 600), ("minReadySeconds=drain", 85, 600), ("minReadySeconds=drain,shutdown.deadline=10m", 610, 910)],
)
def test_a_rollout_waits_for_each_drain_by_value(values, ready, progress):
    spec = one(objects(helm_template(*TWO, "--set", values).stdout), "Deployment")["spec"]
    assert (spec["minReadySeconds"], spec["progressDeadlineSeconds"]) == (ready, progress)
    if ready:
        assert ready == spec["template"]["spec"]["terminationGracePeriodSeconds"]


def test_nothing_promises_one_pod_more_where_old_pods_drain_beside_new_ones():
    told = {}
    for path in [*ROOT.glob("deploy/**/*.yaml"), *ROOT.glob("deploy/**/*.md"), *ROOT.glob("docs/*.md")]:
        text = re.sub(r"\s*\n[ #]*", " ", path.read_text())
        assert not re.search(r"one (more pod|pod's more)|one pod's `?workers`? more|minus 1\b", text), path
        if re.search(r"up to twice (that|its)", text):
            told[path.name] = True
    assert {"values.yaml", "deployment.yaml", "scaledobject.yaml", "kubernetes.md"} <= told.keys()


def config(values):
    made = objects(helm_template(*TWO, "--set", values).stdout)
    (found,) = [m for m in made if m["kind"] == "ConfigMap" and "annotations" not in m["metadata"]]
    mounted = one(made, "Deployment")["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"]
    assert mounted == found["metadata"]["name"]
    return found


def test_a_rollout_leaves_running_pods_the_configuration_they_began_with():
    first, second = config("config.rollout=rollout,config.check=true"), config("config.rollout=rollout,config.check=true,log.level=debug")
    assert first["metadata"]["name"] != second["metadata"]["name"] and first["immutable"] and second["immutable"]


def test_a_reload_changes_the_configuration_in_its_place():
    made = [one(objects(helm_template(*TWO, "--set", f"log.level={level}").stdout), "ConfigMap") for level in ("info", "debug")]
    assert {m["metadata"]["name"] for m in made} == {"queuepost"} and not any("immutable" in m for m in made)


def test_the_check_reads_what_the_pods_would_read():
    made = golden("helm-guarded")
    job, deployment = one(made, "Job"), one(made, "Deployment")
    assert {"pre-install", "pre-upgrade"} <= set(job["metadata"]["annotations"]["helm.sh/hook"].split(","))
    check, pods = (m["spec"]["template"]["spec"] for m in (job, deployment))
    (container, consumer) = check["containers"][0], pods["containers"][0]
    assert container["args"] == ["check", "--offline"]
    assert (container["image"], container["env"], container["volumeMounts"]) == (
        consumer["image"], consumer["env"], consumer["volumeMounts"],
    )
    # The pods' own ConfigMap is only changed once the check has passed, and a first install has none.
    maps = {m["metadata"]["name"]: m for m in made if m["kind"] == "ConfigMap"}
    checked, mounted = (maps[pod["volumes"][0]["configMap"]["name"]] for pod in (check, pods))
    assert checked["data"] == mounted["data"] and checked["metadata"]["name"] != mounted["metadata"]["name"]
    weights = [int(m["metadata"]["annotations"]["helm.sh/hook-weight"]) for m in (checked, job)]
    assert weights == sorted(set(weights))


@pytest.mark.parametrize(("workers", "passes"), [("16", True), ("0", False)])
def test_what_the_check_runs_refuses_a_bad_configuration(workers, passes, queuepost, tmp_path):
    listeners = json.dumps([{"queue": "a", "region": "eu-west-1", "url": "http://a", "workers": int(workers)}])
    made = objects(helm_template(
        "--set-json", f"listeners={listeners}", "--set", "config.check=true", "--skip-schema-validation").stdout)
    container = one(made, "Job")["spec"]["template"]["spec"]["containers"][0]
    file = tmp_path / "queuepost.yaml"
    file.write_text(next(m for m in made if m["metadata"]["name"] == "queuepost-check")["data"]["queuepost.yaml"])
    env = {v["name"]: v["value"] for v in container["env"]} | {"QUEUEPOST_CONFIG": str(file)}
    assert (run(queuepost, *container["args"], env=env, check=False).returncode == 0) == passes


def test_helm_test_asks_a_pod_through_the_service():
    made = objects(helm_template(*TWO, "--name-template", "1-orders").stdout)
    pod, service = one(made, "Pod"), one(made, "Service")
    assert pod["metadata"]["annotations"]["helm.sh/hook"] == "test" and pod["spec"]["enableServiceLinks"]
    variable = service["metadata"]["name"].upper().replace("-", "_")
    assert pod["spec"]["containers"][0]["args"] == [
        "healthcheck", "--ready", "--admin-address", f"$({variable}_SERVICE_HOST):$({variable}_SERVICE_PORT)",
    ]
    assert not [m for m in objects(helm_template(*TWO, "--set", "networkPolicy.enabled=true").stdout) if m["kind"] == "Pod"]


def test_a_readiness_of_all_listeners_is_one_value():
    made = objects(helm_template(*TWO, "--set", "readinessProbe.httpGet.path=/readyz?listeners=all").stdout)
    assert list(policy.complaints(made)) == []


def test_the_sample_limit_is_more_than_the_listeners_can_have():
    said = (ROOT / "docs/metrics.md").read_text()
    process, endpoint, most = map(int, re.search(r"process has (\d+), each endpoint (\d+) and .*?, and (\d+) at most", said).groups())
    for count in (1, 24, 60):
        listeners = json.dumps([{"queue": f"q{n}", "url": f"http://a{n}"} for n in range(count)])
        for monitor, kind in (("podMonitor", "PodMonitor"), ("serviceMonitor", "ServiceMonitor")):
            made = objects(helm_template("--set-json", f"listeners={listeners}", "--set", f"{monitor}.enabled=true").stdout)
            assert one(made, kind)["spec"]["sampleLimit"] > process + count * (endpoint + most)
    own = helm_template(*TWO, "--set", "podMonitor.enabled=true,podMonitor.sampleLimit=9").stdout
    assert one(objects(own), "PodMonitor")["spec"]["sampleLimit"] == 9
    elsewhere = helm_template("--set", "existingConfigMap=mine,shutdown.deadline=25s,podMonitor.enabled=true").stdout
    assert "sampleLimit" not in one(objects(elsewhere), "PodMonitor")["spec"]


def test_every_place_that_says_how_many_series_there_are_says_what_the_reference_says():
    usual, most = re.search(r"from its start, (\d+) once .*?, and (\d+) at most", (ROOT / "docs/metrics.md").read_text()).groups()
    texts = [CHART / "values.yaml", ROOT / "docs/watching.md", *ROOT.glob("deploy/kustomize/components/*monitor/*monitor.yaml")]
    assert len(texts) == 4
    for path in texts:
        said = path.read_text()
        found = set(re.findall(r"[Aa]bout (\d+) (?:each|series)", said))
        assert found == {usual}, path
        assert set(re.findall(r"(\d+) at most", said)) <= {most}, path


def pods(formula, **values):
    """How many pods KEDA's formula asks for: its operators are those of Python."""
    return math.ceil(eval(formula, {"__builtins__": {}, "max": max}, values))


def scaled(*values):
    return one(objects(helm_template(*values, "--set", "keda.enabled=true").stdout), "ScaledObject")["spec"]


def test_a_closed_gate_does_not_scale_the_fleet_to_its_maximum():
    formula = scaled(*TWO)["advanced"]["scalingModifiers"]["formula"]
    backlog = {"backlog_orders": 100_000, "workers_orders": 1}
    assert pods(formula, **backlog, gates_orders=1) == 209
    assert pods(formula, **backlog, gates_orders=0) == 1
    # One of ten pods closed its gate: that changes little.
    assert pods(formula, **backlog, gates_orders=0.9) == 188
    assert pods(formula, backlog_orders=0, workers_orders=24, gates_orders=1) == 2


def test_each_listener_has_one_light_path_and_the_busiest_sets_the_number_of_pods():
    listeners = [{"queue": "orders", "url": "http://a", "workers": 32}, {"queue": "re-funds", "url": "http://b", "workers": 8}]
    spec = scaled(
        "--set-json", f"listeners={json.dumps(listeners)}", "--set", "aws.region=eu-west-1,keda.queueLengths.orders=10",
    )
    asked = {t["name"]: t["metadata"] for t in spec["triggers"] if t["type"] == "metrics-api"}
    base = "http://queuepost.queuepost.svc:9464/api/v1/listeners"
    assert {name: (m["url"], m["format"], m["valueLocation"], m["aggregationType"]) for name, m in asked.items()} == {
        "workers_orders": (f"{base}/orders", "json", "workers.in_use", "sum"),
        "gates_orders": (f"{base}/orders", "json", "scaling.gates_open", "average"),
        "workers_re_funds": (f"{base}/re-funds", "json", "workers.in_use", "sum"),
        "gates_re_funds": (f"{base}/re-funds", "json", "scaling.gates_open", "average"),
    }
    assert all(t["useCachedMetrics"] for t in spec["triggers"] if t["type"] == "metrics-api")
    names = {t["name"]: 0 for t in spec["triggers"]}
    formula = spec["advanced"]["scalingModifiers"]["formula"]
    assert pods(formula, **{**names, "gates_orders": 1, "backlog_orders": 30, "workers_re_funds": 12}) == 3
    assert pods(formula, **{**names, "gates_orders": 1, "backlog_re_funds": 1e6, "workers_orders": 25}) == 2


def test_what_the_triggers_ask_for_is_in_the_object_of_a_listener():
    source = (ROOT / "src/admin/status.rs").read_text()
    shown = re.search(r'"workers": \{(.*?)\}', source, re.DOTALL)[1]
    assert '"in_use"' in shown


@pytest.mark.parametrize("values", ["keda.gates=false", "keda.minReplicaCount=0"])
def test_without_gates_each_trigger_stands_for_itself(values):
    spec = scaled(*TWO, "--set", values)
    assert "scalingModifiers" not in spec["advanced"] and [t["name"] for t in spec["triggers"]] == ["backlog_orders", "workers_orders"]


def test_a_trigger_of_yours_is_a_term_of_the_formula():
    trigger = {"type": "cron", "name": "morning", "metadata": {}}
    spec = scaled(*TWO, "--set-json", f"keda.extraTriggers={json.dumps([trigger])}", "--set", "keda.extraTerms={morning / 1}")
    assert pods(spec["advanced"]["scalingModifiers"]["formula"], backlog_orders=0, workers_orders=0, gates_orders=1, morning=5) == 5


def test_a_cluster_of_both_kinds_of_addresses_can_have_keda():
    made = objects(helm_template(*TWO, "--set", "keda.enabled=true,adminHost=[::],service.ipFamilies={IPv4}").stdout)
    assert one(made, "Service")["spec"]["ipFamilies"] == ["IPv4"]


def test_the_dashboards_of_the_chart_are_those_of_the_project():
    for path in sorted((ROOT / "dashboards").glob("*.json")):
        matches(CHART / "files/dashboards" / path.name, path.read_text())
    assert {p.name for p in (CHART / "files/dashboards").iterdir()} == {p.name for p in (ROOT / "dashboards").glob("*.json")}


def test_dashboards_come_as_config_maps_for_the_sidecar_and_for_the_operator():
    values = ["--set", "dashboards.configMap.enabled=true,dashboards.grafanaOperator.enabled=true"]
    made = strictly(helm_template(*TWO, *values, "--set", "dashboards.configMap.labels.team=shop").stdout)
    maps = {m["metadata"]["name"]: m for m in made if m["kind"] == "ConfigMap" and m["metadata"]["name"] != "queuepost"}
    shown = [m for m in made if m["kind"] == "GrafanaDashboard"]
    assert len(maps) == len(shown) == len(list((ROOT / "dashboards").glob("*.json")))
    for dashboard in shown:
        spec = dashboard["spec"]
        assert spec.keys() == {"instanceSelector", "allowCrossNamespaceImport", "configMapRef"}
        found = maps[spec["configMapRef"]["name"]]
        text = found["data"][spec["configMapRef"]["key"]]
        assert json.loads(text) == json.loads((ROOT / "dashboards" / spec["configMapRef"]["key"]).read_text())
        assert found["metadata"]["labels"].items() >= {"grafana_dashboard": "1", "team": "shop"}.items()
        # A ConfigMap holds a MiB, and what applies on the client's side keeps 256 KiB in an annotation.
        assert len(text) < 256 * 1024


def test_a_chart_of_charts_can_turn_it_off(tmp_path):
    parent = tmp_path / "shop"
    shutil.copytree(CHART, parent / "charts/queuepost")
    chart = {"apiVersion": "v2", "name": "shop", "version": "1.0.0", "dependencies": [
        {"name": "queuepost", "version": "0.1.0", "condition": "queuepost.enabled"},
    ]}
    (parent / "Chart.yaml").write_text(yaml.safe_dump(chart))
    values = [part.replace("queue=", "queuepost.queue=").replace("url=", "queuepost.url=") for part in TWO]
    for enabled, count in (("true", 1), ("false", 0)):
        text = run(tool("helm"), "template", "shop", parent, *values, "--set", f"queuepost.enabled={enabled}").stdout
        assert len([m for m in objects(text) if m["kind"] == "Deployment"]) == count


@pytest.mark.parametrize("name", ["argocd", "flux"])
def test_the_examples_for_others_are_installations_of_the_chart(name, tmp_path):
    made = strictly((ROOT / f"deploy/examples/{name}.yaml").read_text())
    version = "v" + yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    if name == "argocd":
        source = one(made, "Application")["spec"]["source"]
        path, tag, values = source["path"], source["targetRevision"], source["helm"]["valuesObject"]
    else:
        spec = one(made, "HelmRelease")["spec"]
        path, tag, values = spec["chart"]["spec"]["chart"], one(made, "GitRepository")["spec"]["ref"]["tag"], spec["values"]
    assert (ROOT / path, tag) == (CHART, version)
    (tmp_path / "values.yaml").write_text(yaml.safe_dump(values))
    assert list(policy.complaints(objects(helm_template("--values", tmp_path / "values.yaml").stdout))) == []
