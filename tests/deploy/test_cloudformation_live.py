"""The stack of queue.yaml made on MiniStack, which enforces roles, and consumed by the binary with the role it made."""

import json
import re
import subprocess
import urllib.request

import pytest
from cloudformation_aws import BATCHES, CONSUMER, OWNER, REGION, Aws, document, environment, names, stack, template
from cloudformation_template import load
from cluster import free_port, until
from servers import Endpoint

HISTORIC = {"AlgorithmiaAccountNumber": CONSUMER}
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


class Bridge:
    """`queuepost run`, in the consumer's account."""

    def __init__(self, program, aws, folder, outputs, *options, origin=None):
        self.admin = f"127.0.0.1:{free_port()}"
        self.log = folder / "queuepost.log"
        command = [program, "run", *consuming(outputs), "--admin-listen", self.admin, "--receive-wait", "1s", *options]
        with self.log.open("w") as file:
            self.process = subprocess.Popen(command, stdout=file, stderr=file, env=environment(origin or aws.recorder.origin))

    def until(self, what, ready):
        return until(what, ready, self.process, self.log)

    def line(self, words):
        """The first line of the log with these words."""
        return self.until(words, lambda: next((line for line in self.log.read_text().splitlines() if words in line), None))

    def metric(self, name):
        """The sum over all labels; 0 when it is not there yet."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        return sum(float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if re.match(rf"{name}[ {{]", line))

    def stop(self):
        self.process.terminate()
        return self.process.wait(timeout=120)


def consuming(outputs):
    return ["--queue", outputs["QueueURL"], "--role-arn", outputs["QueueConsumerARN"]]


@pytest.fixture
def start(aws, queuepost, tmp_path):
    started = []

    def make(outputs, *options, **more):
        started.append(Bridge(queuepost, aws, tmp_path, outputs, *options, **more))
        return started[-1]

    yield make
    for bridge in started:
        if bridge.process.poll() is None:
            bridge.stop()


def send(aws, url, *bodies):
    for body in bodies:
        aws.client("sqs").send_message(QueueUrl=url, MessageBody=body)


def redrive(attributes):
    """Where to and after how many receives."""
    policy = json.loads(attributes["RedrivePolicy"])
    return policy["deadLetterTargetArn"], int(policy["maxReceiveCount"])


def test_three_parameters_make_the_historic_stack(aws):
    outputs = aws.create("historic", template(), **HISTORIC, **names("historic"))
    assert list(outputs)[:2] == ["QueueURL", "QueueConsumerARN"]
    assert outputs["QueueURL"].endswith(f"/{OWNER}/historic")
    assert re.fullmatch(rf"arn:aws:iam::{OWNER}:role/.+", outputs["QueueConsumerARN"])
    queue, dlq = aws.attributes(outputs["QueueURL"]), aws.attributes(outputs["QueueDLQURL"])
    assert redrive(queue) == (outputs["QueueDLQARN"], 10)
    for attributes in (queue, dlq):
        assert attributes["MessageRetentionPeriod"] == "1209600" and attributes["ReceiveMessageWaitTimeSeconds"] == "20"
        assert attributes["SqsManagedSseEnabled"] == "true" and "KmsMasterKeyId" not in attributes
    assert queue["VisibilityTimeout"] == "300" and "FifoQueue" not in queue
    allowed = json.loads(dlq["RedriveAllowPolicy"])
    assert allowed == {"redrivePermission": "byQueue", "sourceQueueArns": [outputs["QueueARN"]]}
    assert "RedrivePolicy" not in dlq
    alarms = aws.client("cloudwatch").describe_alarms(AlarmNames=outputs["AlarmNames"].split(","))["MetricAlarms"]
    assert len(alarms) == 4 and all(alarm["AlarmDescription"] for alarm in alarms)


def test_messages_are_consumed_through_the_role_and_a_poisoned_one_ends_in_the_dlq(aws, start, queuepost, endpoint):
    parameters = {**HISTORIC, **names("consumed"), "ExternalId": EXTERNAL_ID}
    outputs = aws.create("consumed", template(), **parameters)
    send(aws, outputs["QueueURL"], "one", "two")
    bridge = start(outputs, "--url", f"http://127.0.0.1:{endpoint.port}/", "--external-id", EXTERNAL_ID)
    bridge.until("both delivered", lambda: sorted(endpoint.bodies) == ["one", "two"])
    bridge.until("an empty queue", lambda: aws.depth(outputs["QueueURL"]) == (0, 0))

    # An update of the stack reaches the queue while it is consumed.
    aws.update("consumed", template(), **parameters, MaxReceiveCount=1)
    assert redrive(aws.attributes(outputs["QueueURL"])) == (outputs["QueueDLQARN"], 1)
    endpoint.status = 500
    send(aws, outputs["QueueURL"], "poison")
    bridge.until("a dead letter", lambda: aws.depth(outputs["QueueDLQURL"]) == (1, 0))
    letter = aws.client("sqs").receive_message(QueueUrl=outputs["QueueDLQURL"])["Messages"][0]
    assert letter["Body"] == "poison" and endpoint.bodies.count("poison") == 1
    assert bridge.stop() == 0


def checked(queuepost, aws, outputs, *options, origin=None):
    """Exit code of `queuepost check`, and what it says by status."""
    command = [queuepost, "check", *consuming(outputs), "--format", "json", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment(origin or aws.recorder.origin))
    lines = json.loads(done.stdout)
    return done.returncode, {status: [line for line in lines if line["status"] == status] for status in {line["status"] for line in lines}}


def test_check_is_green_and_a_wrong_external_id_is_refused_with_its_fix(aws, start, queuepost, endpoint):
    outputs = aws.create("checked", template(), **HISTORIC, **names("checked"), ExternalId=EXTERNAL_ID)
    assert outputs["ExternalIdRequired"] == "true"
    url = ["--url", f"http://127.0.0.1:{endpoint.port}/"]
    code, said = checked(queuepost, aws, outputs, *url, "--external-id", EXTERNAL_ID)
    # The historic retention is 14 days on both queues, of which it warns.
    assert code == 0 and said.keys() == {"ok", "warning"}, said
    assert [line["check"] for line in said["warning"]] == ["redrive"] and "14 d" in said["warning"][0]["detail"]
    for wrong in ([], ["--external-id", "guessed"]):
        code, said = checked(queuepost, aws, outputs, *url, *wrong)
        (line,) = said["failed"]
        assert code == 1 and line["check"] == "queue" and "the role was not assumed" in line["detail"], said
        assert "external_id" in line["fix"] and "guessed" not in json.dumps(said), said

    send(aws, outputs["QueueURL"], "one")
    bridge = start(outputs, *url, "--external-id", "guessed")
    line = json.loads(bridge.line("faulted"))
    assert line["reason"] == "assume_role_denied" and outputs["QueueConsumerARN"] in line["message"]
    assert "set external_id to what the trust policy demands" in line["fix"] and "guessed" not in bridge.log.read_text()
    assert bridge.stop() == 0 and not endpoint.bodies and aws.depth(outputs["QueueURL"]) == (1, 0)


def test_check_has_no_warning_with_a_shorter_retention(aws, queuepost, endpoint):
    outputs = aws.create("short", template(), **HISTORIC, **names("short"), MessageRetentionSeconds=345600)
    code, said = checked(queuepost, aws, outputs, "--url", f"http://127.0.0.1:{endpoint.port}/")
    assert code == 0 and said.keys() == {"ok"}, said


def actions(statement):
    return {action.removeprefix("sqs:") for action in statement["Action"]}


def test_the_role_may_do_what_the_binary_calls_and_nothing_else(aws, start, endpoint):
    outputs = aws.create("called", template(), **HISTORIC, **names("called"), MaxReceiveCount=1000)
    port = free_port()
    where = ["--url", f"http://127.0.0.1:{port}/", "--timeout", "1s", "--throttle-delay", "1s", "--require-healthy"]
    aws.recorder.calls.clear()
    by_arn = {**outputs, "QueueURL": outputs["QueueARN"]}
    bridge = start(by_arn, *where)
    # Nobody listens: the message is held, and its visibility extended.
    client = aws.client("sqs")
    client.send_message(QueueUrl=outputs["QueueURL"], MessageBody="held")
    bridge.until("an extension", lambda: bridge.metric("queuepost_visibility_extensions_total"))
    listening = Endpoint(port)
    try:
        bridge.until("a delivery", lambda: "held" in listening.bodies)
        for status, metric in ((429, "queuepost_messages_parked_total"), (500, "queuepost_messages_deferred_total")):
            listening.status = status
            client.send_message(QueueUrl=outputs["QueueURL"], MessageBody=str(status))
            bridge.until(metric, lambda wanted=metric: bridge.metric(wanted))
        listening.status = 200
        bridge.until("deletes", lambda: bridge.metric("queuepost_messages_deleted_total") == 3)
        assert bridge.stop() == 0
    finally:
        listening.stop()
    singles = {batch.removeprefix("sqs:"): single.removeprefix("sqs:") for single, batch in BATCHES.items()}
    calls = [call for key, *call in aws.recorder.calls if key != OWNER]
    called = {(queue, singles.get(operation, operation)) for service, operation, queue in calls if service == "sqs"}
    consume, look = load("queue.yaml")["Resources"]["QueueConsumerPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert called == {("called", action) for action in actions(consume)} | {("called-dlq", action) for action in actions(look)}
    assert "denied" not in bridge.log.read_text()
    assert {operation for service, operation, _ in calls if service != "sqs"} == {"AssumeRole"}


def refused(call, **arguments):
    """The code of the error that a call ends with."""
    with pytest.raises(call.__self__.exceptions.ClientError) as error:
        call(**arguments)
    return error.value.response["Error"]["Code"]


def test_both_queues_refuse_what_does_not_come_by_tls(aws, queuepost, endpoint):
    outputs = aws.create("tls", template(), **HISTORIC, **names("tls"))
    code, said = checked(queuepost, aws, outputs, "--url", f"http://127.0.0.1:{endpoint.port}/", origin=aws.origin)
    assert code == 1 and [line["problem"] for line in said["failed"]] and "denied" in said["failed"][0]["detail"], said
    secure, arn = aws.user("plain")
    key = secure._request_signer._credentials
    plain = aws.client("sqs", secret=key.secret_key, key=key.access_key, tls=False)
    for url in (outputs["QueueURL"], outputs["QueueDLQURL"]):
        assert "AccessDenied" in refused(plain.send_message, QueueUrl=url, MessageBody="x"), arn
        secure.send_message(QueueUrl=url, MessageBody="x")


def test_only_the_listed_send_and_only_the_listed_receive(aws):
    (sender, sends), (consumer, receives), (operator, redrives), (other, _) = map(aws.user, ("sends", "receives", "redrives", "other"))
    outputs = aws.create(
        "listed", template(), **HISTORIC, **names("listed"), SenderPrincipalArns=sends, ConsumerPrincipalArn=receives,
        OperatorPrincipalArn=redrives,
    )
    url = outputs["QueueURL"]
    for may in (sender, operator, aws.client("sqs")):
        may.send_message(QueueUrl=url, MessageBody="x")
    for may_not in (consumer, other):
        assert "AccessDenied" in refused(may_not.send_message, QueueUrl=url, MessageBody="x")
    for may in (consumer, operator, aws.client("sqs")):
        assert may.receive_message(QueueUrl=url, WaitTimeSeconds=0)["Messages"]
    for may_not in (sender, other):
        assert "AccessDenied" in refused(may_not.receive_message, QueueUrl=url, WaitTimeSeconds=0)
    letters = outputs["QueueDLQURL"]
    operator.receive_message(QueueUrl=letters, WaitTimeSeconds=0)
    for may_not in (sender, consumer, other):
        assert "AccessDenied" in refused(may_not.receive_message, QueueUrl=letters, WaitTimeSeconds=0)
    statements = document(aws, outputs["OperatorPolicyARN"])["Statement"]
    assert {statement["Resource"] for statement in statements} == {outputs["QueueARN"], outputs["QueueDLQARN"]}


def test_a_fifo_stack_makes_fifo_queues_that_are_consumed_in_order(aws, start, endpoint):
    outputs = aws.create(
        "fifo", template(), **HISTORIC, **names("ordered"), FifoQueue="true", ContentBasedDeduplication="true", HighThroughputFifo="true",
    )
    assert outputs["QueueName"] == "ordered.fifo" and outputs["QueueDLQURL"].endswith("/ordered-dlq.fifo")
    queue = aws.attributes(outputs["QueueURL"])
    assert (queue["FifoQueue"], queue["ContentBasedDeduplication"]) == ("true", "true")
    assert (queue["DeduplicationScope"], queue["FifoThroughputLimit"]) == ("messageGroup", "perMessageGroupId")
    for body in ("first", "second", "third"):
        aws.client("sqs").send_message(QueueUrl=outputs["QueueURL"], MessageBody=body, MessageGroupId="a")
    bridge = start(outputs, "--url", f"http://127.0.0.1:{endpoint.port}/")
    bridge.until("all delivered", lambda: endpoint.bodies == ["first", "second", "third"])
    assert bridge.stop() == 0


def test_key_and_owner_are_where_they_belong(aws):
    key = aws.client("kms").create_key()["KeyMetadata"]["Arn"]
    outputs = aws.create("kept", template(), **HISTORIC, **names("kept"), KmsKeyArn=key, OwnerTag="team a", EnableAlarms="false")
    assert "AlarmNames" not in outputs
    for url in (outputs["QueueURL"], outputs["QueueDLQURL"]):
        attributes = aws.attributes(url)
        assert attributes["KmsMasterKeyId"] == key and attributes.get("SqsManagedSseEnabled") != "true"
        assert aws.client("sqs").list_queue_tags(QueueUrl=url)["Tags"]["Owner"] == "team a"
    iam = aws.client("iam")
    name = outputs["QueueConsumerARN"].rsplit("/", 1)[1]
    assert iam.get_role(RoleName=name)["Role"]["MaxSessionDuration"] == 3600
    assert len(iam.list_attached_role_policies(RoleName=name)["AttachedPolicies"]) == 2
    assert not iam.list_role_policies(RoleName=name)["PolicyNames"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"QueueDLQName": "wrong"}, "QueueDLQName must differ from QueueName"),
        ({"QueueName": "wrong.fifo"}, "leave .fifo out"),
        ({"AlgorithmiaAccountNumber": "1234"}, "12 digits"),
        ({"MaxReceiveCount": "1001"}, "1 to 1000"),
        ({"MaxReceiveCount": "0"}, "1 to 1000"),
        ({"HighThroughputFifo": "true"}, "HighThroughputFifo needs FifoQueue=true"),
        ({"AlarmTopicArn": f"arn:aws:sns:{REGION}:{OWNER}:a", "EnableAlarms": "false"}, "AlarmTopicArn needs EnableAlarms=true"),
    ],
)
def test_parameters_that_do_not_fit_are_refused_before_anything_is_made(aws, wrong, said):
    formation = aws.client("cloudformation")
    with pytest.raises(formation.exceptions.ClientError, match=re.escape(said)):
        formation.create_stack(StackName="wrong", **stack(template(), {**HISTORIC, **names("wrong"), **wrong}))
    assert not aws.client("sqs").list_queues(QueueNamePrefix="wrong").get("QueueUrls")


def test_a_first_deploy_that_fails_leaves_nothing_and_can_be_tried_again(aws):
    """Something at the end is refused, as IAM and SQS refuse accounts and principals that do not exist."""
    broken = template()
    broken["Resources"] = {**broken["Resources"], "Refused": {
        "Type": "AWS::CloudFormation::WaitCondition", "DependsOn": ["Queue", "QueueDLQ"], "Properties": {"Handle": "none", "Timeout": "1"},
    }}
    formation = aws.client("cloudformation")
    formation.create_stack(StackName="again", **stack(broken, {**HISTORIC, **names("again")}))
    aws.settled("again", "ROLLBACK_COMPLETE")
    assert not aws.client("sqs").list_queues(QueueNamePrefix="again").get("QueueUrls")
    aws.delete("again")
    assert aws.create("again", template(), **HISTORIC, **names("again"))["QueueName"] == "again"


def test_queues_and_messages_outlive_the_stack(aws):
    outputs = aws.create("deleted", template(), **HISTORIC, **names("deleted"))
    send(aws, outputs["QueueURL"], "one")
    aws.delete("deleted")
    assert aws.depth(outputs["QueueURL"]) == (1, 0) and aws.depth(outputs["QueueDLQURL"]) == (0, 0)
    iam = aws.client("iam")
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_role(RoleName=outputs["QueueConsumerARN"].rsplit("/", 1)[1])
