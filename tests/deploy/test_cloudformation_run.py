"""What runs queuepost: the templates for ECS and for EKS Pod Identity, resolved by parameters."""

import pytest
from cloudformation_policy import decision
from cloudformation_template import Refused, check, load, properties, resolve
from cloudformation_values import ACCOUNT, ECS, EKS
from rendering import ROOT


def variables(**given):
    (container,) = properties("ecs.yaml", "TaskDefinition", **given)["ContainerDefinitions"]
    return {pair["Name"]: pair["Value"] for pair in container["Environment"]}


def test_the_time_out_is_queuepost_s_own_unless_one_is_given():
    assert "QUEUEPOST_TIMEOUT" not in variables() and "QUEUEPOST_TIMEOUT" not in variables(Algorithm="demo/Hello")
    assert variables(RequestTimeoutSeconds="90", Algorithm="demo/Hello")["QUEUEPOST_TIMEOUT"] == "90s"


def test_a_task_is_killed_after_its_drain_and_within_what_fargate_allows():
    (container,) = properties("ecs.yaml", "TaskDefinition")["ContainerDefinitions"]
    longest = load("ecs.yaml")["Parameters"]["ShutdownDeadlineSeconds"]["MaxValue"]
    assert longest + 10 <= container["StopTimeout"] <= 120
    assert variables()["QUEUEPOST_SHUTDOWN_DEADLINE"] == f"{longest}s"


def test_the_container_is_locked_down_and_looks_after_itself():
    task = properties("ecs.yaml", "TaskDefinition")
    (container,) = task["ContainerDefinitions"]
    assert container["ReadonlyRootFilesystem"] is True and container["User"] == "65532:65532" and container["Privileged"] is False
    assert container["LinuxParameters"] == {"InitProcessEnabled": True, "Capabilities": {"Drop": ["ALL"]}}
    assert container["HealthCheck"]["Command"] == ["CMD", "/queuepost", "healthcheck"]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert 'ENTRYPOINT ["/queuepost"]' in dockerfile and "USER 65532:65532" in dockerfile
    assert container["Command"] == ["run"] and container["LogConfiguration"]["LogDriver"] == "awslogs"
    assert container["LogConfiguration"]["Options"]["mode"] == "non-blocking"
    assert container["PortMappings"] == [{"Name": "metrics", "ContainerPort": 9464, "Protocol": "tcp"}]
    assert (task["NetworkMode"], task["Cpu"], task["Memory"]) == ("awsvpc", 256, 512)
    known = (ROOT / "src/config/load.rs").read_text()
    for pair in container["Environment"]:
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
    assert visible["MetricStat"]["Metric"]["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert visible["MetricStat"]["Metric"]["Dimensions"][0]["Value"] == {"Fn::ImportValue": "orders-QueueName"}
    assert tasks["MetricStat"]["Metric"]["MetricName"] == "RunningTaskCount" and tracking["TargetValue"] == 480
    assert properties("ecs.yaml", "SecurityGroup").keys() & {"SecurityGroupIngress"} == set()


def test_the_task_may_become_the_consumer_and_ecs_may_pull_one_repository():
    role = {"Fn::ImportValue": "orders-QueueConsumerARN"}
    (statement,) = properties("ecs.yaml", "TaskPolicy")["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("sts:AssumeRole", role)
    (log,) = properties("ecs.yaml", "ExecutionPolicy")["PolicyDocument"]["Statement"]
    assert log["Resource"] == {"Fn::GetAtt": ["LogGroup", "Arn"]}
    repository = "arn:aws:ecr:eu-west-1:123456789012:repository/queuepost"
    _, token, pull = properties("ecs.yaml", "ExecutionPolicy", ImageRepositoryArn=repository)["PolicyDocument"]["Statement"]
    assert token["Action"] == "ecr:GetAuthorizationToken" and pull["Resource"] == repository
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
