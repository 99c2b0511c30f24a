"""The chart as its users meet it: values that are refused, what is computed from them, what it says."""

import json
import re

import policy
import pytest
import yaml
from rendering import (
    CHART, HELM, KUSTOMIZE, ROOT, golden, helm_template, matches, objects, one, run, tool,
)

TWO = ["--set", "queue=https://sqs.eu-west-1.amazonaws.com/123456789012/orders", "--set", "url=http://orders/events"]

CLAIM = "listenersDir.enabled=true,listenersDir.existingClaim=kept"


@pytest.mark.parametrize("name", HELM)
def test_helm_lint_has_nothing_to_say(name):
    said = run(tool("helm"), "lint", "--strict", CHART, "--values", HELM[name]).stdout
    assert "[WARNING]" not in said and "[ERROR]" not in said, said


def test_the_first_install_needs_two_values():
    assert one(objects(helm_template(*TWO).stdout), "Deployment")
    for missing in ([], TWO[:2], TWO[2:]):
        assert "two values are needed" in helm_template(*missing, check=False).stderr


REFUSED = {
    "less than shutdown.deadline + 10 s": [*TWO, "--set", "terminationGracePeriodSeconds=84"],
    "write 35 or more": [*TWO, "--set", "shutdown.deadline=25s,terminationGracePeriodSeconds=34"],
    "is not a duration": [*TWO, "--set", "shutdown.deadline=25x", "--skip-schema-validation"],
    "latest changes under your feet": [*TWO, "--set", "image.tag=latest", "--skip-schema-validation"],
    "additional properties 'replicas' not allowed": [*TWO, "--set", "replicas=3"],
    "/image/tag": [*TWO, "--set", "image.tag=latest"],
    "/listeners/0": ["--set", "listeners[0].url=http://a"],
    "/queue": ["--set", "queue=https:/a", "--set", "url=http://a"],
    "QUEUEPOST_CONFIG is set by the chart": [*TWO, "--set", "env[0].name=QUEUEPOST_CONFIG"],
    "QUEUEPOST_TIMEOUT would override": [*TWO, "--set", "env[0].name=QUEUEPOST_TIMEOUT"],
    "name the Secret with the token": [*TWO, "--set", "admin.allowChanges=true"],
    "leave it out with keda.enabled": [*TWO, "--set", "admin.metricsPort=9465,keda.enabled=true"],
    "take another port than adminPort": [*TWO, "--set", "admin.metricsPort=9464"],
    "extraArgs: --admin-allow-changes overrides": [*TWO, "--set", "extraArgs={--admin-allow-changes}"],
    "QUEUEPOST_FLEET_DNS is set by the chart": [*TWO, "--set", "env[0].name=QUEUEPOST_FLEET_DNS"],
    "extraArgs: --fleet-dns=a overrides": [*TWO, "--set", "extraArgs={--fleet-dns=a}"],
    "fleet.workers: set fleet.enabled too": [*TWO, "--set", "fleet.workers=true"],
    "write fleet: {workers: true} there": [
        "--set", "existingConfigMap=mine,shutdown.deadline=25s,fleet.enabled=true,fleet.workers=true",
    ],
    "keda.minReplicaCount: 17 pods are more than can have a part of any endpoint's sessions with fleet.enabled: 16": [
        *TWO, "--set", "fleet.enabled=true,fleet.workers=true,keda.enabled=true,keda.minReplicaCount=17,keda.maxReplicaCount=20",
    ],
    "QUEUEPOST_LISTENERS_DIR is set by the chart": [*TWO, "--set", "env[0].name=QUEUEPOST_LISTENERS_DIR"],
    "extraArgs: --listeners-dir=/a overrides": [*TWO, "--set", "extraArgs={--listeners-dir=/a}"],
    "each pod would have other listeners": [*TWO, "--set", "listenersDir.enabled=true"],
    "or name a claim that all pods share": [*TWO, "--set", "listenersDir.enabled=true,replicaCount=null"],
    "and keda.enabled to false": [*TWO, "--set", "listenersDir.enabled=true,replicaCount=1,keda.enabled=true"],
    "with existingConfigMap or listenersDir alone": ["--set", f"{CLAIM},keda.enabled=true"],
    "two values are needed": [*TWO[:2], "--set", "listenersDir.enabled=true,replicaCount=1"],
    "/listenersDir": [*TWO, "--set", "listenersDir.claim=a"],
    "extraArgs: --timeout overrides": [*TWO, "--set", "extraArgs={--timeout,1h}"],
    "extraArgs: --shutdown-deadline=5s overrides": [*TWO, "--set", "extraArgs={--shutdown-deadline=5s}"],
    "extraArgs: --admin-listen overrides": [*TWO, "--set", "extraArgs={--admin-listen}"],
    "extraArgs: --config overrides": [*TWO, "--set", "extraArgs={--config}"],
    "extraArgs: -c overrides": [*TWO, "--set", "extraArgs={-c,/etc/other.yaml}"],
    "cannot annotate a service account": [
        *TWO, "--set", "serviceAccount.create=false,aws.irsaRoleArn=arn:aws:iam::123456789012:role/a",
    ],
    "write them into listeners": [*TWO, "--set", "listeners[0].queue=b"],
    "holds the whole configuration": [*TWO, "--set", "existingConfigMap=mine,shutdown.deadline=25s"],
    "set shutdown.deadline too": ["--set", "existingConfigMap=mine"],
    "enable one of them": [*TWO, "--set", "podMonitor.enabled=true,serviceMonitor.enabled=true"],
    "needs service.enabled": [*TWO, "--set", "keda.enabled=true,service.enabled=false"],
    "two ways to one role": [
        *TWO, "--set", "aws.irsaRoleArn=arn:aws:iam::123456789012:role/a,aws.podIdentity.enabled=true",
    ],
    "KEDA reads no variables": [
        "--set-json", 'listeners=[{"queue":"a","region":"b","url":"http://a","role_arn":"arn:a","external_id":"${ID}"}]',
        "--set", "keda.enabled=true",
    ],
    "listeners[1] (orders) has the name of listeners[0] (orders)": [
        "--set-json", 'listeners=[{"queue":"orders","url":"http://a"},{"queue":"http://q/1/Orders","url":"http://b"}]',
    ],
    "listeners[0] (orders) posts to nowhere": ["--set-json", 'listeners=[{"queue":"orders"}]'],
    "has a url and an endpoint": ["--set-json", 'listeners=[{"queue":"orders","url":"http://a","endpoint":"b"}]'],
    "neither path nor algorithm": [
        "--set-json", 'listeners=[{"queue":"orders","endpoint":"a"}]', "--set", "endpoints.a.url=http://a",
    ],
    "endpoint order is not under endpoints, which has: orders, refunds": [
        "--set-json", 'listeners=[{"queue":"orders","endpoint":"order"}]',
        "--set-json", 'endpoints={"refunds":{"url":"http://a"},"orders":{"url":"http://b"}}',
    ],
    "keda.minReplicaCount: 11 is more than keda.maxReplicaCount (10)": [*TWO, "--set", "keda.enabled=true,keda.minReplicaCount=11"],
    "keda.queueLengths: order is no listener; there are: orders": [*TWO, "--set", "keda.enabled=true,keda.queueLengths.order=1"],
    "in one of IPv6 alone scale by a ScaledObject": [*TWO, "--set", "keda.enabled=true,adminHost=[::]"],
    "with keda.gates a formula computes the pods": [*TWO, "--set", "keda.enabled=true,keda.extraTriggers[0].type=cron"],
    "progressDeadlineSeconds: 85 is not more than": [*TWO, "--set", "minReadySeconds=drain,progressDeadlineSeconds=85"],
    "/minReadySeconds": [*TWO, "--set", "minReadySeconds=soon"],
    "/config/rollout": [*TWO, "--set", "config.rollout=restart"],
    "aws.region is needed": ["--set", "queue=orders,url=http://a,keda.enabled=true"],
}


@pytest.mark.parametrize("expected", REFUSED)
def test_what_does_not_fit_together_is_refused(expected):
    done = helm_template(*REFUSED[expected], check=False)
    assert done.returncode != 0 and expected in done.stderr, done.stderr


@pytest.mark.parametrize(
    ("values", "deadline", "grace"),
    [
        ([], 75, 85),
        (["shutdown.deadline=25s"], 25, 35),
        (["shutdown.deadline=1h1m1s1ms"], 3662, 3672),
        (["shutdown.deadline=25s", "terminationGracePeriodSeconds=60"], 25, 60),
    ],
)
def test_the_grace_period_follows_the_deadline(values, deadline, grace):
    sets = [part for value in values for part in ("--set", value)]
    pod = one(objects(helm_template(*TWO, *sets).stdout), "Deployment")["spec"]["template"]["spec"]
    assert pod["terminationGracePeriodSeconds"] == grace
    assert {"name": "QUEUEPOST_SHUTDOWN_DEADLINE", "value": f"{deadline}s"} in pod["containers"][0]["env"]


@pytest.mark.parametrize(
    ("listener", "deadline"),
    [({"timeout": "2m"}, 135), ({"timeout": "1h30m"}, 5415), ({"algorithm": "demo/Hello"}, 450), ({"timeout": "100ms"}, 16)],
)
def test_the_deadline_follows_the_longest_time_out(listener, deadline):
    listeners = [{"queue": "a", "url": "http://a", "timeout": "1s"}, {"queue": "b", "url": "http://a", **listener}]
    text = helm_template("--set-json", f"listeners={json.dumps(listeners)}").stdout
    env = one(objects(text), "Deployment")["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "QUEUEPOST_SHUTDOWN_DEADLINE", "value": f"{deadline}s"} in env


@pytest.mark.parametrize(
    ("listener", "expected"),
    [
        ({"queue": "https://sqs.eu-west-1.amazonaws.com/123456789012/Orders_A"}, ("orders-a", "eu-west-1", None)),
        ({"queue": "arn:aws-cn:sqs:cn-north-1:123456789012:a.fifo"}, ("a-fifo", "cn-north-1", None)),
        ({"queue": "orders", "region": "eu-west-3", "name": "mine"}, ("mine", "eu-west-3", None)),
        ({"queue": "http://sqs.test:9324/000000000000/a"}, ("a", "us-east-1", "http://sqs.test:9324")),
        ({"queue": "https://sqs-fips.us-gov-west-1.amazonaws.com/1/a"}, ("a", "us-gov-west-1", None)),
        ({"queue": "https://sqs.ap-southeast-4.api.aws/1/a"}, ("a", "ap-southeast-4", None)),
        ({"queue": "https://us-west-1.queue.amazonaws.com/1/a"}, ("a", "us-west-1", None)),
        ({"queue": "https://queue.amazonaws.com/1/a"}, ("a", "us-east-1", None)),
        (
            {"queue": "http://sqs.eu-west-3.localhost.localstack.cloud:4566/1/a"},
            ("a", "eu-west-3", "http://sqs.eu-west-3.localhost.localstack.cloud:4566"),
        ),
    ],
)
def test_triggers_name_queue_region_and_listener(listener, expected):
    listeners = json.dumps([{"url": "http://a", "workers": 10, **listener}])
    text = helm_template("--set-json", f"listeners={listeners}", "--set", "keda.enabled=true").stdout
    queue, workers, _ = one(objects(text), "ScaledObject")["spec"]["triggers"]
    name, region, address = expected
    assert (queue["metadata"]["awsRegion"], queue["metadata"].get("awsEndpoint")) == (region, address)
    assert workers["metadata"]["url"].endswith(f":9464/api/v1/listeners/{name}")
    assert workers["metadata"]["targetValue"] == "7"


def test_a_network_policy_without_peers_lets_in_nobody():
    made = objects(helm_template(*TWO, "--set", "networkPolicy.enabled=true", "--set-json", "networkPolicy.from=[]").stdout)
    spec = one(made, "NetworkPolicy")["spec"]
    assert spec["policyTypes"] == ["Ingress"] and spec["ingress"] == []
    assert list(policy.complaints(made)) == []


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]"])
def test_the_admin_port_listens_on_either_kind_of_address(host):
    made = objects(helm_template(*TWO, "--set", f"adminHost={host}").stdout)
    assert {"name": "QUEUEPOST_ADMIN_LISTEN", "value": f"{host}:9464"} in _container(made)["env"]
    assert list(policy.complaints(made)) == []


def test_changes_are_off_and_with_a_secret_their_token_is_a_file():
    assert "QUEUEPOST_ADMIN_ALLOW_CHANGES" not in helm_template(*TWO).stdout
    made = objects(helm_template(*TWO, "--set", "admin.allowChanges=true,admin.existingSecret=a,admin.secretKey=b").stdout)
    container = _container(made)
    assert {"name": "QUEUEPOST_ADMIN_ALLOW_CHANGES", "value": "true"} in container["env"]
    assert {"name": "QUEUEPOST_ADMIN_TOKEN_FILE", "value": "/etc/queuepost/admin/b"} in container["env"]
    assert {"name": "admin-token", "mountPath": "/etc/queuepost/admin", "readOnly": True} in container["volumeMounts"]
    volumes = one(made, "Deployment")["spec"]["template"]["spec"]["volumes"]
    assert {"name": "admin-token", "secret": {"secretName": "a", "defaultMode": 0o440}} in volumes
    assert list(policy.complaints(made)) == []


def test_metrics_and_probes_may_have_a_port_of_their_own_and_the_rest_is_on_loopback_then():
    made = objects(helm_template(*TWO, "--set", "admin.metricsPort=9465,service.enabled=true,podMonitor.enabled=true").stdout)
    container = _container(made)
    assert {"name": "QUEUEPOST_ADMIN_LISTEN", "value": "127.0.0.1:9464"} in container["env"]
    assert {"name": "QUEUEPOST_ADMIN_METRICS_LISTEN", "value": "0.0.0.0:9465"} in container["env"]
    assert container["ports"] == [{"name": "http-metrics", "containerPort": 9465, "protocol": "TCP"}]
    assert [port["port"] for port in one(made, "Service")["spec"]["ports"]] == [9465]
    assert list(policy.complaints(made)) == []


@pytest.mark.parametrize(
    ("values", "volume"),
    [
        ("listenersDir.enabled=true,replicaCount=1", {"emptyDir": {"sizeLimit": "64Mi"}}),
        (CLAIM, {"persistentVolumeClaim": {"claimName": "kept"}}),
    ],
)
def test_a_directory_of_listeners_is_a_volume_that_pods_may_write(values, volume):
    made = objects(helm_template("--set", f"{values},config.check=true").stdout)
    for kind in ("Deployment", "Job"):
        pod = one(made, kind)["spec"]["template"]["spec"]
        container = pod["containers"][0]
        assert {"name": "QUEUEPOST_LISTENERS_DIR", "value": "/var/lib/queuepost/listeners"} in container["env"]
        assert {"name": "listeners", "mountPath": "/var/lib/queuepost/listeners"} in container["volumeMounts"]
        assert {"name": "listeners", **volume} in pod["volumes"]
    assert list(policy.complaints(made)) == []


def test_no_limit_of_samples_is_guessed_where_listeners_may_be_created():
    limits = [
        one(objects(helm_template(*TWO, "--set", f"podMonitor.enabled=true{more}").stdout), "PodMonitor")["spec"].get("sampleLimit")
        for more in ("", f",{CLAIM}", f",{CLAIM},podMonitor.sampleLimit=9")
    ]
    assert limits == [1200, None, 9]


def test_without_a_directory_of_listeners_nothing_is_writable():
    made = objects(helm_template(*TWO).stdout)
    assert all(mount["readOnly"] for mount in _container(made)["volumeMounts"])
    assert "QUEUEPOST_LISTENERS_DIR" not in {variable["name"] for variable in _container(made)["env"]}


@pytest.mark.parametrize(("values", "deadline"), [("", 75), (",listeners[0].timeout=2m", 135), (",listeners[0].timeout=1s", 75)])
def test_the_deadline_covers_a_listener_that_is_created_later(values, deadline):
    first = ",listeners[0].queue=a,listeners[0].url=http://a" if values else ""
    made = objects(helm_template("--set", f"{CLAIM}{first}{values}").stdout)
    assert {"name": "QUEUEPOST_SHUTDOWN_DEADLINE", "value": f"{deadline}s"} in _container(made)["env"]


def test_queuepost_takes_a_configuration_that_has_its_listeners_in_a_directory_alone(queuepost, tmp_path):
    made = objects(helm_template("--set", CLAIM).stdout)
    file, folder = tmp_path / "queuepost.yaml", tmp_path / "listeners"
    file.write_text(one(made, "ConfigMap")["data"]["queuepost.yaml"])
    folder.mkdir()
    env = {v["name"]: v["value"] for v in _container(made)["env"]}
    env |= {"QUEUEPOST_CONFIG": str(file), "QUEUEPOST_LISTENERS_DIR": str(folder)}
    said = run(queuepost, "check", "--offline", env=env, check=False)
    assert said.returncode == 0 and "✘" not in said.stdout, said.stdout + said.stderr
    (folder / "orders.yaml").write_text("queue: orders\nregion: eu-west-1\nurl: http://orders/events\n")
    assert "valid: 1 listener" in run(queuepost, "check", "--offline", env=env).stdout


ROLE = "arn:aws:iam::210987654321:role/consumer"
KEDA_ROLE = "arn:aws:iam::210987654321:role/keda"


@pytest.mark.parametrize(
    ("listener", "keda", "expected"),
    [
        ({}, {}, {"identityOwner": "keda"}),
        ({}, {"roleArn": KEDA_ROLE}, {"roleArn": KEDA_ROLE}),
        ({"role_arn": ROLE}, {"roleArn": KEDA_ROLE}, {"roleArn": ROLE}),
        ({"role_arn": ROLE, "external_id": "x1"}, {}, {"roleArn": ROLE, "externalID": "x1"}),
        ({"role_arn": ROLE, "external_id": "${ID}"}, {"roles": {"a": {"externalId": "x2"}}}, {"roleArn": ROLE, "externalID": "x2"}),
        ({"role_arn": ROLE, "external_id": "${ID}"}, {"roles": {"a": {"roleArn": KEDA_ROLE}}}, {"roleArn": KEDA_ROLE}),
    ],
)
def test_a_queue_is_read_by_keda_as_the_role_that_consumes_it(listener, keda, expected):
    listeners = json.dumps([{"queue": "a", "region": "eu-west-1", "url": "http://a", **listener}])
    keda = json.dumps({"enabled": True, **keda})
    made = objects(helm_template("--set-json", f"listeners={listeners}", "--set-json", f"keda={keda}").stdout)
    queue = one(made, "ScaledObject")["spec"]["triggers"][0]["authenticationRef"]["name"]
    (identity,) = [
        m["spec"]["podIdentity"] for m in made if m["kind"] == "TriggerAuthentication" and m["metadata"]["name"] == queue
    ]
    assert identity == {"provider": "aws", **expected}


def test_one_version_everywhere():
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert chart["appVersion"] == version
    kustomizations = [yaml.safe_load(path.read_text()) for path in KUSTOMIZE.rglob("kustomization.yaml")]
    versions = {
        pair["pairs"]["app.kubernetes.io/version"] for each in kustomizations for pair in each.get("labels", [])
    }
    tags = {image["newTag"] for each in kustomizations for image in each.get("images", [])}
    assert (versions, tags) == ({version}, {version})


def test_the_readme_is_generated_from_the_values(tmp_path):
    run(
        tool("helm-docs"), "--chart-search-root", CHART, "--template-files", "README.md.gotmpl",
        "--sort-values-order", "file", "--output-file", "README.new.md",
    )
    made = CHART / "README.new.md"
    text = made.read_text()
    made.unlink()
    matches(CHART / "README.md", text)


def test_every_value_is_documented_and_in_the_schema():
    schema = json.loads((CHART / "values.schema.json").read_text())
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert values.keys() | {"global", "enabled"} == schema["properties"].keys()
    for key, value in values.items():
        known = schema["properties"][key].get("properties")
        if known is not None and isinstance(value, dict):
            assert value.keys() == known.keys(), key
    lines = (CHART / "values.yaml").read_text().splitlines()
    for before, line in zip(lines, lines[1:]):
        if re.match(r"[a-zA-Z]+: *[^ ]", line):
            assert before.startswith("#"), f"no comment before {line}"


def test_listeners_and_endpoints_take_every_key_of_the_file():
    schema = json.loads((CHART / "values.schema.json").read_text())["properties"]
    source = (ROOT / "src/config/file.rs").read_text()

    def keys(function):
        body = source.split(f"impl {function} {{")[1].split("fn read(")[1].split("fields.finish();\n        ")
        own = body[-2] if function == "Endpoint" else body[0]
        named = set(re.findall(r'fields\.(?:text|texts|list|address|secret|map)\("(\w+)"', own))
        return named | ({"headers"} if "Header::all(" in own else set())

    assert keys("Listener") == schema["listeners"]["items"]["properties"].keys()
    endpoint = schema["endpoints"]["additionalProperties"]["properties"]
    written = set(re.findall(r'"(\w+)"', source.split("impl Endpoint {")[1].split("impl Tls {")[0]))
    assert written | {"headers"} == endpoint.keys() | endpoint["rate_limit"]["properties"].keys()


@pytest.mark.parametrize("name", [name for name in HELM if name != "helm-everything"])
def test_queuepost_takes_the_configuration_of_a_rendering(name, queuepost, tmp_path):
    manifests = golden(name)
    text = next(m for m in manifests if m["kind"] == "ConfigMap")["data"]["queuepost.yaml"]
    (tmp_path / "orders-auth").write_text("Authorization: Bearer x")
    (tmp_path / "orders-auth").chmod(0o600)
    file = tmp_path / "queuepost.yaml"
    file.write_text(text.replace("/etc/queuepost/secrets", str(tmp_path)))
    env = {v["name"]: v.get("value") or "x1" for v in _container(manifests)["env"]} | {"QUEUEPOST_CONFIG": str(file)}
    said = run(queuepost, "check", "--offline", env=env).stdout
    assert "✘" not in said and "cuts off" not in said, said


def _container(manifests):
    return one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
