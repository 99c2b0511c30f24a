"""The stacks of what runs queuepost, made on MiniStack beside the stack of a queue; the binary gets what a task would get."""

import json
import subprocess

import pytest
from cloudformation_aws import OWNER, REGION, Aws, document, environment, names, template, without
from cloudformation_template import load, properties
from cluster import free_port
from servers import Endpoint

EXTERNAL_ID = "agreed:42"


@pytest.fixture(scope="module")
def aws(tmp_path_factory):
    made = Aws(tmp_path_factory.mktemp("aws"))
    yield made
    made.stop()


@pytest.fixture
def endpoint():
    made = Endpoint()
    yield made
    made.stop()


class Tasks:
    """A stack of tasks: what its one task definition says, and the binary run with it as ECS would run it."""

    def __init__(self, aws, name, **parameters):
        ec2 = aws.client("ec2")
        vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
        subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.0.1.0/24")["Subnet"]["SubnetId"]
        made = without(load("ecs.yaml"), "ScalableTarget", "ScalingPolicy", "EndpointEgress")
        image = "registry.example.com/queuepost:0.1.0"
        self.outputs = aws.create(name, made, ImageUri=image, VpcId=vpc, PrivateSubnetIds=subnet, **parameters)
        ecs = aws.client("ecs")
        (service,) = ecs.describe_services(cluster=self.outputs["ClusterName"], services=[self.outputs["ServiceName"]])["services"]
        self.definition = ecs.describe_task_definition(taskDefinition=service["taskDefinition"])["taskDefinition"]
        (self.container,) = self.definition["containerDefinitions"]
        self.variables = {pair["name"]: pair["value"] for pair in self.container["environment"]}
        task = properties("ecs.yaml", "TaskDefinition", **{name: str(value) for name, value in parameters.items()})
        for secret in task["ContainerDefinitions"][0]["Secrets"]:
            name = secret["ValueFrom"].split(":parameter")[1]
            self.variables[secret["Name"]] = aws.client("ssm").get_parameter(Name=name, WithDecryption=True)["Parameter"]["Value"]
        self.aws = aws

    def run(self, program, *command):
        credentials = {**environment(self.aws.recorder.origin), "AWS_ACCESS_KEY_ID": OWNER}
        return subprocess.run([program, *command], capture_output=True, text=True, timeout=300, env={**self.variables, **credentials})

    def checked(self, program):
        """Check and status of each line of `check`, without what it says of redrives."""
        said = self.run(program, "check", "--format", "json")
        lines = [line for line in json.loads(said.stdout) if line["check"] != "redrive"]
        return [(line["check"], line["status"]) for line in lines], said


def test_the_fargate_stack_takes_queue_and_role_from_the_queue_s_stack(aws, queuepost, endpoint):
    source = aws.create("source", template(), AlgorithmiaAccountNumber=OWNER, **names("source"), ExternalId=EXTERNAL_ID)
    tasks = Tasks(
        aws, "tasks", QueueStackName="source", ExternalId=EXTERNAL_ID, EndpointPort=endpoint.port,
        EndpointUrl=f"http://127.0.0.1:{endpoint.port}/events",
    )
    variables = tasks.variables
    assert variables["QUEUEPOST_QUEUE"] == source["QueueURL"] and variables["QUEUEPOST_ROLE_ARN"] == source["QueueConsumerARN"]
    assert variables["QUEUEPOST_EXTERNAL_ID"] == EXTERNAL_ID and tasks.definition["taskRoleArn"] == tasks.outputs["TaskRoleARN"]
    # The binary, with the container's variables and nothing else, reads that queue through that role.
    lines, said = tasks.checked(queuepost)
    assert lines == [("configuration", "ok"), ("queue", "ok"), ("endpoint", "ok")], said.stdout
    assert granted(aws, tasks.outputs["TaskRoleARN"]) == [("sts:AssumeRole", source["QueueConsumerARN"])]


def test_a_task_with_a_wrong_external_id_ends_by_itself(aws, queuepost, endpoint):
    aws.create("strict", template(), AlgorithmiaAccountNumber=OWNER, **names("strict"), ExternalId=EXTERNAL_ID)
    url = f"http://127.0.0.1:{endpoint.port}/events"
    tasks = Tasks(aws, "wrong-tasks", QueueStackName="strict", ExternalId="guessed", EndpointUrl=url, EndpointPort=endpoint.port)
    tasks.variables["QUEUEPOST_ADMIN_LISTEN"] = f"127.0.0.1:{free_port()}"
    done = tasks.run(queuepost, *tasks.container["command"])
    assert done.returncode == 1 and "assume_role_denied" in done.stdout, done.stdout + done.stderr


def test_a_configuration_out_of_a_parameter_runs_several_listeners(aws, queuepost, endpoint):
    first, second = (
        aws.create(name, template(), AlgorithmiaAccountNumber=OWNER, **names(name)) for name in ("busy-queue", "other-queue")
    )
    url = f"http://127.0.0.1:{endpoint.port}"
    text = f"""
endpoints:
  api: {{ url: "{url}", auth: {{ header_env: ENDPOINT_SECRET }} }}
listeners:
  - {{ queue: "${{QUEUE_URL}}", role_arn: "${{QUEUE_ROLE_ARN}}", endpoint: api, path: /busy }}
  - {{ queue: "{second['QueueURL']}", role_arn: "{second['QueueConsumerARN']}", endpoint: api, path: /other }}
"""
    ssm = aws.client("ssm")
    ssm.put_parameter(Name="/team/configuration", Value=text, Type="SecureString")
    ssm.put_parameter(Name="/team/key", Value="Authorization: Bearer s3cr3t", Type="SecureString")
    arn = f"arn:aws:ssm:{REGION}:{OWNER}:parameter/team"
    tasks = Tasks(
        aws, "several", EndpointUrl="", QueueStackName="busy-queue", ConfigurationArn=f"{arn}/configuration", EndpointSecretArn=f"{arn}/key",
        ConsumerRoleArns=second["QueueConsumerARN"],
    )
    lines, said = tasks.checked(queuepost)
    assert [status for _, status in lines] == ["ok"] * len(lines) and [check for check, _ in lines].count("queue") == 2, said.stdout
    roles = [first["QueueConsumerARN"], second["QueueConsumerARN"]]
    assert granted(aws, tasks.outputs["TaskRoleARN"]) == [("sts:AssumeRole", roles)]


def granted(aws, role):
    """Action and resource of each statement of the one policy that is attached to a role."""
    iam = aws.client("iam")
    (policy,) = iam.list_attached_role_policies(RoleName=role.rsplit("/", 1)[1])["AttachedPolicies"]
    return [(statement["Action"], statement["Resource"]) for statement in document(aws, policy["PolicyArn"])["Statement"]]


def test_the_pods_role_is_for_one_service_account_and_one_queue(aws):
    source = aws.create("pods", template(), AlgorithmiaAccountNumber=OWNER, **names("pods"))
    made = without(load("eks-pod-identity.yaml"), "Association")
    outputs = aws.create(
        "identity", made, ClusterName="main", Namespace="orders", ServiceAccount="orders-queuepost", QueueStackName="pods",
    )
    role = aws.client("iam").get_role(RoleName=outputs["PodRoleARN"].rsplit("/", 1)[1])["Role"]
    (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
    assert statement["Condition"]["StringEquals"]["aws:RequestTag/kubernetes-service-account"] == "orders-queuepost"
    assert granted(aws, outputs["PodRoleARN"]) == [(["sts:AssumeRole", "sts:TagSession"], source["QueueConsumerARN"])]
