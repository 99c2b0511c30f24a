"""The Terraform modules: known to the provider's schema, and the same as the CloudFormation templates beside them."""

import re
import subprocess

import pytest
import yaml
from cloudformation_policy import listed
from cloudformation_template import load, resolve
from cloudformation_values import COLLECTOR, ECS, KEY, LISTED, QUEUE, ROLES, SECRET, VALUES
from rendering import ROOT, tool
from terraform_module import FOLDER, MODULES, SCHEMA, holds, problems, read, statements, text

QUEUE_GIVEN = {
    **QUEUE, **LISTED, "ExternalId": "ab", "KmsKeyArn": KEY[0][1], "ResultQueueArns": "arn:aws:sqs:eu-west-1:123456789012:done",
}
ECS_GIVEN = {
    **ECS, "EndpointPort": "8443", "EndpointSecretArn": SECRET[0][1], "SecretKmsKeyArn": KEY[0][1], "ConsumerRoleArns": ROLES["made"],
    "ImageRepositoryArn": "arn:aws:ecr:eu-west-1:123456789012:repository/queuepost", "CollectorImage": COLLECTOR, "TaskMemory": "1024",
    "SpotWeight": "3",
}
#: Each resource of a template, and what it is in the module.
COUNTERPARTS = {
    ("queue.yaml", "queue"): {
        "QueueDLQ": "aws_sqs_queue.dead_letter", "Queue": "aws_sqs_queue.queue", "QueuePolicy": "aws_sqs_queue_policy.queue",
        "QueueDLQPolicy": "aws_sqs_queue_policy.dead_letter", "QueueConsumerRole": "aws_iam_role.consumer",
        "QueueConsumerPolicy": "aws_iam_policy.consumer", "QueueConsumerResultsPolicy": "aws_iam_policy.consumer",
        "QueueConsumerKeyPolicy": "aws_iam_policy.consumer", "OperatorPolicy": "aws_iam_policy.operator",
        "OperatorKeyPolicy": "aws_iam_policy.operator", "DeadLettersAlarm": "aws_cloudwatch_metric_alarm.dead_letters",
        "OldestMessageAlarm": "aws_cloudwatch_metric_alarm.oldest_message", "InFlightAlarm": "aws_cloudwatch_metric_alarm.in_flight",
        "NoConsumptionAlarm": "aws_cloudwatch_metric_alarm.no_consumption",
        "EmptyReceivesAlarm": "aws_cloudwatch_metric_alarm.empty_receives",
    },
    ("ecs.yaml", "ecs"): {
        "LogGroup": "aws_cloudwatch_log_group.this", "Cluster": "aws_ecs_cluster.this", "ExecutionRole": "aws_iam_role.execution",
        "ExecutionPolicy": "aws_iam_policy.execution", "TaskRole": "aws_iam_role.task", "TaskPolicy": "aws_iam_policy.task",
        "CollectorPolicy": "aws_iam_policy.task", "SecurityGroup": "aws_security_group.this",
        "EndpointEgress": "aws_vpc_security_group_egress_rule.endpoint", "TaskDefinition": "aws_ecs_task_definition.this",
        "FleetNamespace": "aws_service_discovery_private_dns_namespace.this", "FleetService": "aws_service_discovery_service.this",
        "Service": "aws_ecs_service.this", "ScalableTarget": "aws_appautoscaling_target.this",
        "ScalingPolicy": "aws_appautoscaling_policy.this", "TasksAlarm": "aws_cloudwatch_metric_alarm.tasks",
        "FaultedAlarm": "aws_cloudwatch_metric_alarm.faulted", "GateAlarm": "aws_cloudwatch_metric_alarm.gate",
    },
}
#: What CloudFormation says within another resource.
WITHIN = {
    "aws_iam_role_policy_attachment", "aws_ecs_cluster_capacity_providers", "aws_vpc_security_group_egress_rule.aws",
}
#: Variables by parameter, where the name is not the same in other letters.
RENAMED = {
    "AlgorithmiaAccountNumber": "consumer_account_id", "QueueDLQName": "dead_letter_queue_name",
    "DLQMessageRetentionSeconds": "dead_letter_retention_seconds", "DLQMessagesAlarmThreshold": "dead_letters_alarm_threshold",
    "ImageUri": "image", "PrivateSubnetIds": "subnet_ids", "ConsumerRoleArns": "more_consumer_role_arns", "OwnerTag": "tags",
    "QueueStackName": "consumer_role_arn",
}


def variable(parameter):
    return RENAMED.get(parameter, re.sub(r"(?<!^)([A-Z])", r"_\1", parameter).lower())


@pytest.mark.parametrize("module", MODULES)
def test_the_provider_knows_every_argument_and_misses_none(module):
    found = read(module)
    for kind, prefix in (("resource", ""), ("data", "data.")):
        for place, body in found[kind].items():
            assert problems(body, SCHEMA[prefix + place.split(".")[0]]["arguments"], place) == []
    for name, body in found["module"].items():
        inner = read((FOLDER / module / body["source"]).resolve().relative_to(FOLDER))["variable"]
        assert body.keys() - {"source"} <= inner.keys(), name
        assert {key for key, one in inner.items() if "default" not in one} <= body.keys(), name


@pytest.mark.parametrize("module", MODULES)
def test_every_reference_leads_somewhere_and_every_variable_is_used(module):
    written, found = text(module), read(module)
    code = re.sub(r"^\s*#.*$", "", written, flags=re.MULTILINE)
    assert set(re.findall(r"\bvar\.(\w+)", code)) == found["variable"].keys()
    assert set(re.findall(r"\blocal\.(\w+)", code)) == found["locals"].keys()
    for data, type_, name, attribute in re.findall(r"\b(data\.)?(aws_\w+)\.(\w+)(?:\[[0-9*]\])?\.(\w+)", code):
        place = f"{type_}.{name}"
        assert place in found["data" if data else "resource"], place
        schema = SCHEMA[f"{data}{type_}"]
        assert attribute in schema["attributes"] or attribute in schema["arguments"], f"{place}.{attribute}"
    for path in re.findall(r"\$\{path\.module\}/([\w.-]+)", code):
        assert (FOLDER / module / path).exists()


CASES = [
    (module, parameter, value, expected)
    for template, module in COUNTERPARTS
    for parameter, (good, bad) in VALUES[template].items()
    if parameter not in ("OwnerTag", "QueueStackName")
    for expected, values in ((True, good), (False, bad))
    for value in values
]


@pytest.mark.parametrize(("module", "parameter", "value", "expected"), CASES)
def test_variables_take_and_refuse_what_their_parameters_do(module, parameter, value, expected):
    name = variable(parameter)
    one = read(module)["variable"][name]
    if one["type"] == "${bool}" or one["type"] == "bool":
        assert (value in ("true", "false")) is expected
        return
    optional = "default" in one and one["default"] in (None, "null", "${null}")
    kind = one["type"].removeprefix("${").removesuffix("}")
    if value == "" and (optional or kind.startswith("list")) or (parameter == "RequestTimeoutSeconds" and value == "0"):
        assert expected, "null, or no members"
        return
    if kind == "number":
        if not re.fullmatch(r"-?\d+", value):
            assert not expected, "no number"
            return
        given = int(value)
    else:
        given = [part.strip() for part in value.split(",")] if kind.startswith("list") else value
    assert holds(one["validation"][0]["condition"], name, given) is expected


@pytest.mark.parametrize(("template", "module"), COUNTERPARTS)
def test_every_parameter_has_its_variable_with_the_same_default(template, module):
    variables, parameters = read(module)["variable"], load(template)["Parameters"]
    for parameter, definition in parameters.items():
        one = variables[variable(parameter)]
        assert one["description"].endswith((".", ".)")) and "type" in one, parameter
        default = definition.get("Default")
        if default in (None, "") or parameter == "RequestTimeoutSeconds":
            assert one.get("default") in (None, "null", "${null}", [], {}), parameter
        else:
            assert str(one["default"]).lower().removeprefix("${").removesuffix("}") == str(default).lower(), parameter
    own = {"name", "queue_url", "queue_name"} if module == "ecs" else set()
    assert variables.keys() - {variable(parameter) for parameter in parameters} == own


@pytest.mark.parametrize(("template", "module"), COUNTERPARTS)
def test_every_resource_has_its_counterpart_and_none_is_beside(template, module):
    pairs, found = COUNTERPARTS[template, module], read(module)["resource"]
    assert pairs.keys() == load(template)["Resources"].keys()
    assert set(pairs.values()) == {place for place in found if not {place, place.split(".")[0]} & WITHIN}


def documented(template, given, *names):
    """The statements of these resources' policies, as `statements` tells them."""
    made = resolve(load(template), given)["Resources"]
    found = []
    for name in names:
        body = made[name]["Properties"]
        for one in body.get("PolicyDocument", body.get("AssumeRolePolicyDocument"))["Statement"]:
            keys = [(operator, key) for operator, keys in one.get("Condition", {}).items() for key in keys]
            found.append((one.get("Sid"), one["Effect"], tuple(sorted(listed(one["Action"]))), tuple(sorted(keys))))
    return found


@pytest.mark.parametrize(
    ("template", "module", "document", "names"),
    [
        ("queue.yaml", "queue", "queue", ["QueuePolicy"]), ("queue.yaml", "queue", "dead_letter", ["QueueDLQPolicy"]),
        ("queue.yaml", "queue", "trust", ["QueueConsumerRole"]),
        ("queue.yaml", "queue", "consumer", ["QueueConsumerPolicy", "QueueConsumerResultsPolicy", "QueueConsumerKeyPolicy"]),
        ("queue.yaml", "queue", "operator", ["OperatorPolicy", "OperatorKeyPolicy"]), ("ecs.yaml", "ecs", "tasks", ["TaskRole"]),
        ("ecs.yaml", "ecs", "execution", ["ExecutionPolicy"]), ("ecs.yaml", "ecs", "task", ["TaskPolicy", "CollectorPolicy"]),
    ],
)
def test_policies_say_the_same(template, module, document, names):
    given = QUEUE_GIVEN if module == "queue" else ECS_GIVEN
    expected = documented(template, given, *names)
    if document == "task":
        workspace = {"PrometheusWorkspaceArn": "arn:aws:aps:eu-west-1:123456789012:workspace/ws-1"}
        expected += documented(template, {**given, **workspace}, "CollectorPolicy")
    written = read(module)["data"][f"aws_iam_policy_document.{document}"]
    assert sorted(statements(written), key=str) == sorted(expected, key=str)


def known(module, value):
    """A literal; of a variable, its default."""
    if isinstance(value, str) and (found := re.fullmatch(r"\$\{var\.(\w+)\}", value)):
        return read(module)["variable"][found[1]]["default"]
    return value


ALARMS = [(template, module, name) for (template, module), pairs in COUNTERPARTS.items() for name in pairs if name.endswith("Alarm")]


@pytest.mark.parametrize(("template", "module", "name"), ALARMS)
def test_alarms_watch_the_same(template, module, name):
    expected = resolve(load(template), QUEUE_GIVEN if module == "queue" else ECS_GIVEN)["Resources"][name]["Properties"]
    made = read(module)["resource"][COUNTERPARTS[template, module][name]]
    for key in ("Namespace", "MetricName", "Statistic", "Period", "EvaluationPeriods", "DatapointsToAlarm", "ComparisonOperator",
                "Threshold", "TreatMissingData"):
        own = re.sub(r"(?<!^)([A-Z])", r"_\1", key).lower()
        assert known(module, made.get(own)) == expected.get(key), key
    for one, query in zip(expected.get("Metrics", []), made.get("metric_query", []), strict=True):
        assert (query["id"], query.get("expression"), query["return_data"]) == (one["Id"], one.get("Expression"), one["ReturnData"])
        if "metric" in query:
            (metric,), stat = query["metric"], one["MetricStat"]
            assert (metric["metric_name"], metric["stat"], metric["period"]) == (
                stat["Metric"]["MetricName"], stat["Stat"], stat["Period"],
            )
    assert "Look " in made["alarm_description"]


def test_queues_are_kept_and_closed_alike():
    for name in ("queue", "dead_letter"):
        made = read("queue")["resource"][f"aws_sqs_queue.{name}"]
        assert made["lifecycle"][0]["prevent_destroy"] is True and made["receive_wait_time_seconds"] == 20
        assert made["sqs_managed_sse_enabled"] == "${var.kms_key_arn == null ? true : null}"
    made = read("queue")["resource"]["aws_sqs_queue.dead_letter"]["redrive_allow_policy"]
    assert "byQueue" in made and "local.queue_arn" in made


def same(made, expected, place):
    """That every literal of a container is what the template has, under the same names in other letters."""
    if isinstance(made, dict) and isinstance(expected, dict):
        names = {name[0].upper() + name[1:]: name for name in made}
        if place.endswith("Options"):
            names = {name: name for name in made}
        # Without a host's port the provider sees a change each time.
        assert names.keys() - {"HostPort"} == expected.keys(), place
        for name in expected:
            same(made[names[name]], expected[name], f"{place}.{name}")
    elif isinstance(made, list) and isinstance(expected, list):
        for index, (one, other) in enumerate(zip(made, expected, strict=True)):
            same(one, other, f"{place}[{index}]")
    elif not (isinstance(made, str) and made.startswith("${")):
        assert made == expected, place


def test_containers_say_the_same():
    local = read("ecs")["locals"]
    containers = resolve(load("ecs.yaml"), ECS_GIVEN)["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"]
    for expected in containers:
        same(local[expected["Name"]], expected, expected["Name"])
    code, template = text("ecs"), (ROOT / "cloudformation/ecs.yaml").read_text()
    names = r"\b(?:QUEUE_(?:URL|ROLE_ARN|EXTERNAL_ID)|QUEUEPOST_[A-Z_]+|ENDPOINT_SECRET|AOT_CONFIG_CONTENT)\b"
    assert set(re.findall(names, code)) == set(re.findall(names, template))
    assert '["run", "--require-healthy"]' in local["queuepost"]["command"]


@pytest.mark.parametrize("kind", ["cloudwatch", "prometheus"])
def test_the_collector_is_told_the_same(kind):
    given = {"PrometheusWorkspaceArn": "arn:aws:aps:eu-central-1:123456789012:workspace/ws-1"} if kind == "prometheus" else {}
    containers = resolve(load("ecs.yaml"), {**ECS_GIVEN, **given})["Resources"]["TaskDefinition"]["Properties"]["ContainerDefinitions"]
    values = {
        "name": "orders", "region": "eu-west-1", "home": "eu-central-1", "workspace": "ws-1", "suffix": "amazonaws.com",
        "log_group": "${LogGroup}",
    }
    written = (FOLDER / f"ecs/collector-{kind}.yaml.tftpl").read_text()
    made = re.sub(r"\$\{(\w+)\}", lambda found: values[found[1]], written)
    assert yaml.safe_load(made) == yaml.safe_load(containers[1]["Environment"][0]["Value"])


def test_service_and_scaling_are_the_same():
    made, found = resolve(load("ecs.yaml"), ECS_GIVEN)["Resources"], read("ecs")["resource"]
    service, expected = found["aws_ecs_service.this"], made["Service"]["Properties"]["DeploymentConfiguration"]
    assert service["deployment_circuit_breaker"] == [{"enable": True, "rollback": True}]
    assert service["deployment_minimum_healthy_percent"] == expected["MinimumHealthyPercent"]
    assert service["deployment_maximum_percent"] == expected["MaximumPercent"]
    assert service["network_configuration"][0]["assign_public_ip"] is False
    assert found["aws_ecs_cluster_capacity_providers.this"]["capacity_providers"] == made["Cluster"]["Properties"]["CapacityProviders"]
    (tracking,) = found["aws_appautoscaling_policy.this"]["target_tracking_scaling_policy_configuration"]
    wanted = made["ScalingPolicy"]["Properties"]["TargetTrackingScalingPolicyConfiguration"]
    assert (tracking["scale_in_cooldown"], tracking["scale_out_cooldown"]) == (wanted["ScaleInCooldown"], wanted["ScaleOutCooldown"])
    metrics = tracking["customized_metric_specification"][0]["metrics"]
    for one, other in zip(metrics, wanted["CustomizedMetricSpecification"]["Metrics"], strict=True):
        assert (one["id"], one.get("expression"), one["return_data"]) == (other["Id"], other.get("Expression"), other["ReturnData"])


def test_the_modules_are_formatted_and_tflint_has_nothing_to_say():
    hclfmt, tflint = tool("hclfmt"), tool("tflint")
    for module in MODULES:
        for path in (FOLDER / module).glob("*.tf"):
            done = subprocess.run([hclfmt], input=path.read_bytes(), capture_output=True, check=True)
            assert done.stdout == path.read_bytes(), path
        options = ["--config", FOLDER / ".tflint.hcl", "--call-module-type=all", "--format=compact"]
        done = subprocess.run([tflint, *options], cwd=FOLDER / module, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_pages_name_every_module_and_what_exists():
    page = (FOLDER / "README.md").read_text()
    for module in MODULES:
        assert f"]({module})" in page, module
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page):
        assert (FOLDER / target).resolve().exists(), target
    names = {name for module in ("queue", "ecs") for kind in ("variable", "output") for name in read(module)[kind]}
    for name in re.findall(r"`([a-z]+(?:_[a-z]+)+)`", page):
        assert name in names | {"prevent_destroy"}, name
