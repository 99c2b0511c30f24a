"""What runs queuepost: the templates for ECS and for EKS Pod Identity, resolved by parameters."""

import re
import subprocess

import pytest
import yaml
from cloudformation_metrics import series, state
from cloudformation_policy import decision
from cloudformation_template import Refused, check, load, properties, resolve
from cloudformation_values import ACCOUNT, COLLECTOR, ECS, EKS, KEY, ROLES, SECRET
from rendering import ROOT, tool

CONFIGURATION = "listeners:\n  - { queue: '${QUEUE_URL}', role_arn: '${QUEUE_ROLE_ARN}', url: https://orders.internal/events }\n"
WORKSPACE = f"arn:aws:aps:eu-central-1:{ACCOUNT}:workspace/ws-12ab"
COLLECTED = {"CollectorImage": COLLECTOR, "TaskMemory": "1024"}


def container(name="queuepost", **given):
    found = properties("ecs.yaml", "TaskDefinition", **given)["ContainerDefinitions"]
    return next(one for one in found if one["Name"] == name)


def variables(**given):
    return {pair["Name"]: pair["Value"] for pair in container(**given)["Environment"]}


def secrets(**given):
    return {pair["Name"]: pair["ValueFrom"] for pair in container(**given)["Secrets"]}


def execution(**given):
    """The statements of what ECS may do, by their names."""
    document = properties("ecs.yaml", "ExecutionPolicy", **given)["PolicyDocument"]
    return {statement["Sid"]: statement for statement in document["Statement"]}


def test_the_time_out_is_queuepost_s_own_unless_one_is_given():
    assert "QUEUEPOST_TIMEOUT" not in variables() and "QUEUEPOST_TIMEOUT" not in variables(Algorithm="demo/Hello")
    assert variables(RequestTimeoutSeconds="90", Algorithm="demo/Hello")["QUEUEPOST_TIMEOUT"] == "90s"


def test_a_task_is_killed_after_its_drain_and_within_what_fargate_allows():
    longest = load("ecs.yaml")["Parameters"]["ShutdownDeadlineSeconds"]["MaxValue"]
    assert longest + 10 <= container()["StopTimeout"] <= 120
    assert variables()["QUEUEPOST_SHUTDOWN_DEADLINE"] == f"{longest}s"


def test_the_container_is_locked_down_and_looks_after_itself():
    task, made = properties("ecs.yaml", "TaskDefinition"), container()
    assert made["ReadonlyRootFilesystem"] is True and made["User"] == "65532:65532" and made["Privileged"] is False
    assert made["LinuxParameters"] == {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}
    assert made["HealthCheck"]["Command"] == ["CMD", "/queuepost", "healthcheck"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["/queuepost"]' in dockerfile and "USER 65532:65532" in dockerfile
    assert made["LogConfiguration"]["LogDriver"] == "awslogs"
    assert made["LogConfiguration"]["Options"]["mode"] == "non-blocking"
    assert made["PortMappings"] == [{"Name": "metrics", "ContainerPort": 9464, "Protocol": "tcp"}]
    assert (task["NetworkMode"], task["Cpu"], task["Memory"]) == ("awsvpc", 256, 512)
    known = "".join(path.read_text() for path in (ROOT / "src/config").rglob("*.rs"))
    assert not made["Secrets"] and "DependsOn" not in made
    for pair in made["Environment"]:
        assert f'"{pair["Name"]}"' in known, pair["Name"]


def test_the_service_runs_in_private_rolls_back_and_scales_by_backlog():
    service = properties("ecs.yaml", "Service")
    network = service["NetworkConfiguration"]["AwsvpcConfiguration"]
    assert network["AssignPublicIp"] == "DISABLED" and network["Subnets"] == ["subnet-1", "subnet-2"]
    deployment = service["DeploymentConfiguration"]
    assert deployment["DeploymentCircuitBreaker"] == {"Enable": True, "Rollback": True}
    assert (deployment["MinimumHealthyPercent"], deployment["MaximumPercent"]) == (100, 200)
    assert "DesiredCount" not in service
    tracking = properties("ecs.yaml", "ScalingPolicy")["TargetTrackingScalingPolicyConfiguration"]
    backlog, visible, tasks = tracking["CustomizedMetricSpecification"]["Metrics"]
    assert [part["ReturnData"] for part in (backlog, visible, tasks)] == [True, False, False]
    assert (service["LaunchType"], "CapacityProviderStrategy" in service) == ("FARGATE", False)
    assert visible["MetricStat"]["Metric"]["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert visible["MetricStat"]["Metric"]["Dimensions"][0]["Value"] == {"Fn::ImportValue": "orders-QueueName"}
    assert tasks["MetricStat"]["Metric"]["MetricName"] == "RunningTaskCount" and tracking["TargetValue"] == 480
    assert properties("ecs.yaml", "SecurityGroup").keys() & {"SecurityGroupIngress"} == set()


#: Visible messages and running tasks of three minutes, and the backlog of a task that follows.
BACKLOGS = {
    "tasks share the backlog": ([900, 900, 900], [3, 3, 3], [300, 300, 300]),
    "the number of tasks comes late": ([900, 900, 900], [3, 3, None], [300, 300, 300]),
    "no task runs": ([900, 900, 900], [0, 0, 0], [900, 900, 900]),
    "nothing is known of tasks yet": ([900, 900, 900], [None, None, 2], [None, None, 450]),
    "nothing is known of the queue": ([None, 4, 4], [2, 2, 2], [None, 2, 2]),
}


@pytest.mark.parametrize("case", BACKLOGS)
def test_a_late_number_of_tasks_does_not_multiply_the_backlog(case):
    visible, tasks, expected = BACKLOGS[case]
    tracking = properties("ecs.yaml", "ScalingPolicy")["TargetTrackingScalingPolicyConfiguration"]
    backlog = tracking["CustomizedMetricSpecification"]["Metrics"][0]
    assert series(backlog["Expression"], {"visible": visible, "tasks": tasks}) == expected


def test_a_task_whose_queue_is_denied_ends_before_its_first_health_check():
    """The circuit breaker counts tasks that end before a health check was good. It does not ask whether they are ready."""
    made = container()
    assert made["Command"] == ["run", "--require-healthy"] and made["HealthCheck"]["Interval"] >= 15
    assert "--ready" not in made["HealthCheck"]["Command"], "SQS out of reach for a minute would end every task"
    assert container(RequireHealthy="false")["Command"] == ["run"]


def test_the_endpoint_s_key_comes_from_a_secret_and_stands_nowhere():
    secret, parameter = SECRET[0][1:]
    assert secrets(EndpointSecretArn=secret) == {"QUEUEPOST_AUTH_HEADER": secret}
    assert secrets(EndpointSecretArn=parameter, Algorithm="demo/Hello") == {"QUEUEPOST_ALGORITHM_KEY": parameter}
    assert secrets(EndpointSecretArn=secret, EndpointSecretKey="key") == {"QUEUEPOST_AUTH_HEADER": f"{secret}:key::"}
    known = "".join((ROOT / "src/config" / name).read_text() for name in ("load.rs", "source.rs"))
    for name in ("QUEUEPOST_AUTH_HEADER", "QUEUEPOST_ALGORITHM_KEY", "QUEUEPOST_CONFIG_TEXT"):
        assert f'"{name}"' in known, name
    may = execution(EndpointSecretArn=secret, EndpointSecretKey="key", SecretKmsKeyArn=KEY[0][1])
    assert may["ReadSecrets"]["Resource"] == [secret] and may["DecryptSecrets"]["Resource"] == KEY[0][1]
    assert execution().keys() == {"Log"}
    with pytest.raises(Refused, match="EndpointSecretKey needs EndpointSecretArn"):
        check(load("ecs.yaml"), {**ECS, "EndpointSecretKey": "key"})


def test_a_configuration_replaces_the_one_listener_and_may_name_queue_role_and_secret():
    secret, parameter = SECRET[0][1:]
    text = {"EndpointUrl": "", "Configuration": CONFIGURATION, "ExternalId": "ab"}
    found = variables(**text, EndpointSecretArn=secret)
    assert found["QUEUEPOST_CONFIG_TEXT"] == CONFIGURATION
    assert {"QUEUE_URL", "QUEUE_ROLE_ARN", "QUEUE_EXTERNAL_ID"} <= found.keys()
    of_listener = {"QUEUEPOST_QUEUE", "QUEUEPOST_ROLE_ARN", "QUEUEPOST_URL", "QUEUEPOST_WORKERS", "QUEUEPOST_EXTERNAL_ID"}
    assert not of_listener & found.keys() and of_listener - {"QUEUEPOST_EXTERNAL_ID"} <= variables().keys()
    assert secrets(**text, EndpointSecretArn=secret) == {"ENDPOINT_SECRET": secret}
    kept = {"EndpointUrl": "", "ConfigurationArn": parameter}
    assert secrets(**kept) == {"QUEUEPOST_CONFIG_TEXT": parameter} and "QUEUEPOST_CONFIG_TEXT" not in variables(**kept)
    assert execution(**kept)["ReadSecrets"]["Resource"] == [parameter]
    # A time-out would be refused beside several listeners.
    assert "QUEUEPOST_TIMEOUT" not in variables(**text, RequestTimeoutSeconds="90")
    for given, said in (
        ({"EndpointUrl": ""}, "EndpointUrl, Configuration or ConfigurationArn is needed"),
        ({**text, "ConfigurationArn": parameter}, "exclude each other"),
        ({"Configuration": CONFIGURATION}, "with a configuration write them into it"),
    ):
        with pytest.raises(Refused, match=said):
            check(load("ecs.yaml"), {**ECS, **given})


@pytest.mark.parametrize(("template", "policy"), [("ecs.yaml", "TaskPolicy"), ("eks-pod-identity.yaml", "PodPolicy")])
def test_several_queues_are_several_roles(template, policy):
    more = "arn:aws:iam::333333333333:role/refunds"
    (statement,) = properties(template, policy, ConsumerRoleArns=f"{ROLES['made']}, {more}")["PolicyDocument"]["Statement"]
    assert statement["Resource"] == [{"Fn::ImportValue": "orders-QueueConsumerARN"}, ROLES["made"], more]


def test_a_cluster_may_be_there_already():
    made, there = (resolve(load("ecs.yaml"), {**ECS, **given}) for given in ({}, {"ClusterName": "main"}))
    assert made["Resources"]["Cluster"]["Properties"]["CapacityProviders"] == ["FARGATE", "FARGATE_SPOT"]
    assert "Cluster" not in there["Resources"] and '"Cluster"' not in re.sub(r"'", '"', str(there)).replace('"Cluster": "main"', "")
    assert there["Resources"]["Service"]["Properties"]["Cluster"] == "main" == there["Outputs"]["ClusterName"]["Value"]
    target = there["Resources"]["ScalableTarget"]["Properties"]["ResourceId"]
    assert target == {"Fn::Join": ["/", ["service", "main", {"Fn::GetAtt": ["Service", "Name"]}]]}


def test_spot_runs_what_is_above_the_base():
    service = properties("ecs.yaml", "Service", SpotWeight="3", OnDemandBase="2")
    assert "LaunchType" not in service, "it excludes a strategy"
    assert service["CapacityProviderStrategy"] == [
        {"CapacityProvider": "FARGATE", "Base": 2, "Weight": 1}, {"CapacityProvider": "FARGATE_SPOT", "Weight": 3},
    ]


def collector(**given):
    (pair,) = container("collector", **COLLECTED, **given)["Environment"]
    assert pair["Name"] == "AOT_CONFIG_CONTENT"
    return yaml.safe_load(pair["Value"])


@pytest.mark.parametrize("given", [{}, {"PrometheusWorkspaceArn": WORKSPACE}])
def test_the_collector_s_pipeline_is_whole_and_prometheus_takes_its_scrapes(given, tmp_path):
    found = collector(**given)
    pipeline = found["service"]["pipelines"]["metrics"]
    for kind in ("receivers", "processors", "exporters"):
        assert set(pipeline[kind]) == found[kind].keys(), kind
    assert set(found["service"].get("extensions", [])) == found.get("extensions", {}).keys()
    config = tmp_path / "prometheus.yaml"
    config.write_text(yaml.safe_dump(found["receivers"]["prometheus"]["config"]))
    done = subprocess.run([tool("promtool"), "check", "config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (scrape,) = found["receivers"]["prometheus"]["config"]["scrape_configs"]
    port = container()["PortMappings"][0]["ContainerPort"]
    assert scrape["static_configs"] == [{"targets": [f"127.0.0.1:{port}"], "labels": {"namespace": "orders"}}]
    statements = properties("ecs.yaml", "CollectorPolicy", **COLLECTED, **given)["PolicyDocument"]["Statement"]
    action = "aps:RemoteWrite" if given else ["logs:CreateLogStream", "logs:DescribeLogStreams", "logs:PutLogEvents"]
    assert [statement["Action"] for statement in statements] == [action]


def test_cloudwatch_gets_the_metrics_that_the_alarms_watch():
    found = collector()
    page = (ROOT / "docs/metrics.md").read_text()
    (scrape,) = found["receivers"]["prometheus"]["config"]["scrape_configs"]
    (keep,) = scrape["metric_relabel_configs"]
    kept = {name for name in re.findall(r"^\| `(queuepost_\w+)`", page, re.MULTILINE) if re.fullmatch(keep["regex"], name)}
    assert len(kept) == 7, kept
    declared = found["exporters"]["awsemf"]["metric_declarations"]
    selected = {name for name in kept for one in declared for pattern in one["metric_name_selectors"] if re.fullmatch(pattern, name)}
    assert selected == kept
    alarms = {
        name: entry["Properties"] for name, entry in resolve(load("ecs.yaml"), {**ECS, **COLLECTED})["Resources"].items()
        if entry["Type"] == "AWS::CloudWatch::Alarm"
    }
    assert alarms.keys() == {"TasksAlarm", "FaultedAlarm", "GateAlarm"}
    for name in ("FaultedAlarm", "GateAlarm"):
        assert alarms[name]["MetricName"] in selected and alarms[name]["Namespace"] == found["exporters"]["awsemf"]["namespace"]
        assert alarms[name]["Dimensions"] == [{"Name": "namespace", "Value": "orders"}]
        assert all(["namespace"] in one["dimensions"] for one in declared)
    to_prometheus = resolve(load("ecs.yaml"), {**ECS, **COLLECTED, "PrometheusWorkspaceArn": WORKSPACE})["Resources"]
    assert "GateAlarm" not in to_prometheus and "TasksAlarm" in to_prometheus
    assert not [name for name in resolve(load("ecs.yaml"), {**ECS, **COLLECTED, "EnableAlarms": "false"})["Resources"] if "Alarm" in name]


def test_prometheus_gets_everything_with_the_task_as_instance():
    found = collector(PrometheusWorkspaceArn=WORKSPACE)
    assert "metric_relabel_configs" not in found["receivers"]["prometheus"]["config"]["scrape_configs"][0]
    write = found["exporters"]["prometheusremotewrite"]["endpoint"]
    assert write == "https://aps-workspaces.eu-central-1.amazonaws.com/workspaces/ws-12ab/api/v1/remote_write"
    assert found["extensions"]["sigv4auth"] == {"region": "eu-central-1", "service": "aps"}
    order = found["service"]["pipelines"]["metrics"]["processors"]
    assert order.index("resourcedetection") < order.index("resource")
    assert found["processors"]["resource"]["attributes"] == [
        {"key": "service.instance.id", "from_attribute": "aws.ecs.task.arn", "action": "upsert"},
    ]


def test_the_collector_has_memory_of_its_own_and_ends_after_queuepost():
    for memory in ("1024", "2048", "4096", "8192"):
        cpu = "256" if memory in ("1024", "2048") else "1024"
        given = {"CollectorImage": COLLECTOR, "TaskMemory": memory, "TaskCpu": cpu}
        assert container(**given)["Memory"] + container("collector", **given)["Memory"] == int(memory)
    made = container("collector", **COLLECTED)
    assert made["Essential"] is False and made["RestartPolicy"]["Enabled"] is True
    assert made["ReadonlyRootFilesystem"] is True and made["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    assert container(**COLLECTED)["DependsOn"] == [{"ContainerName": "collector", "Condition": "START"}]
    for given, said in (
        ({"CollectorImage": COLLECTOR}, "CollectorImage needs TaskMemory=1024"),
        ({"PrometheusWorkspaceArn": WORKSPACE}, "PrometheusWorkspaceArn needs CollectorImage"),
        ({"AlarmTopicArn": f"arn:aws:sns:eu-west-1:{ACCOUNT}:a", "EnableAlarms": "false"}, "AlarmTopicArn needs EnableAlarms=true"),
    ):
        with pytest.raises(Refused, match=said):
            check(load("ecs.yaml"), {**ECS, **given})


#: Values of ten minutes, and the state of the alarm then.
STATES = {
    ("TasksAlarm", "a stack just made"): ([None] * 10, "INSUFFICIENT_DATA"),
    ("TasksAlarm", "a deployment that starts"): ([None] * 5 + [0, 0, 1, 2, 2], "OK"),
    ("TasksAlarm", "a task of two that stays away"): ([1] * 10, "ALARM"),
    ("TasksAlarm", "a task replaced within minutes"): ([2, 2, 2, 1, 1, 1, 2, 2, 2, 2], "OK"),
    ("FaultedAlarm", "a listener that is faulted"): ([0] * 5 + [1] * 5, "ALARM"),
    ("FaultedAlarm", "a queue denied for two minutes"): ([0] * 6 + [1, 1, 0, 0], "OK"),
    ("GateAlarm", "a gate that probes meanwhile"): ([1, 1, 1, 1, 0, 1, 1, 1, 0, 1], "ALARM"),
    ("GateAlarm", "a gate that closes now and then"): ([1, 0, 1, 1, 0, 1, 1, 0, 0, 1], "OK"),
}


@pytest.mark.parametrize(("alarm", "case"), STATES)
def test_the_service_s_alarms_are_raised_when_somebody_has_to_act(alarm, case):
    values, expected = STATES[alarm, case]
    made = properties("ecs.yaml", alarm, **COLLECTED)
    assert state(made, {"value": values}) == expected
    words = made["AlarmDescription"]
    assert "Look at" in words and "${" not in words and len(words) <= 1024


def test_the_task_may_become_the_consumer_and_ecs_may_pull_one_repository():
    role = {"Fn::ImportValue": "orders-QueueConsumerARN"}
    (statement,) = properties("ecs.yaml", "TaskPolicy")["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("sts:AssumeRole", role)
    assert execution()["Log"]["Resource"] == {"Fn::GetAtt": ["LogGroup", "Arn"]}
    assert load("ecs.yaml")["Resources"]["LogGroup"]["DeletionPolicy"] == "RetainExceptOnCreate"
    repository = "arn:aws:ecr:eu-west-1:123456789012:repository/queuepost"
    may = execution(ImageRepositoryArn=repository)
    assert may["LogIn"]["Action"] == "ecr:GetAuthorizationToken" and may["Pull"]["Resource"] == repository
    assert load("ecs.yaml")["Resources"]["Service"]["DependsOn"] == ["ExecutionPolicy", "TaskPolicy"]
    for name in ("TaskRole", "ExecutionRole"):
        document = properties("ecs.yaml", name)["AssumeRolePolicyDocument"]
        arn = f"arn:aws:ecs:eu-west-1:{ACCOUNT}:task/a"
        who = {"service": "ecs-tasks.amazonaws.com", "aws:SourceAccount": ACCOUNT, "aws:SourceArn": arn}
        assert decision(document, "sts:AssumeRole", who) == "Allow"
        assert decision(document, "sts:AssumeRole", {**who, "aws:SourceAccount": "999999999999"}) is None


@pytest.mark.parametrize(
    ("cpu", "memory", "fit"), [("256", "512", True), ("256", "4096", False), ("512", "512", False), ("2048", "4096", True)],
)
def test_cpu_and_memory_are_a_pair_that_fargate_has(cpu, memory, fit):
    given = {**ECS, "TaskCpu": cpu, "TaskMemory": memory}
    if fit:
        check(load("ecs.yaml"), given)
    else:
        with pytest.raises(Refused, match=f"Fargate gives {cpu} CPU units"):
            check(load("ecs.yaml"), given)


def test_the_pods_role_is_for_one_service_account_of_one_cluster():
    made = resolve(load("eks-pod-identity.yaml"), EKS)["Resources"]
    document = made["PodRole"]["Properties"]["AssumeRolePolicyDocument"]
    who = {
        "service": "pods.eks.amazonaws.com", "aws:RequestTag/eks-cluster-arn": f"arn:aws:eks:eu-west-1:{ACCOUNT}:cluster/main",
        "aws:RequestTag/kubernetes-namespace": "orders", "aws:RequestTag/kubernetes-service-account": "orders-queuepost",
    }
    for action in ("sts:AssumeRole", "sts:TagSession"):
        assert decision(document, action, who) == "Allow"
        for key in who:
            assert decision(document, action, {**who, key: "other"}) is None, key
    association = made["Association"]["Properties"]
    assert (association["ClusterName"], association["Namespace"], association["ServiceAccount"]) == ("main", "orders", "orders-queuepost")
    assert association["RoleArn"] == {"Fn::GetAtt": ["PodRole", "Arn"]}
    (statement,) = made["PodPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert set(statement["Action"]) == {"sts:AssumeRole", "sts:TagSession"}
    # The session's tags go along: the consumer role has to take them.
    (trust,) = properties("queue.yaml", "QueueConsumerRole")["AssumeRolePolicyDocument"]["Statement"]
    assert trust["Action"] == statement["Action"]
