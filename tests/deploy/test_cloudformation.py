"""What the CloudFormation templates say: parameters, policies, alarms and limits, read as data and resolved by parameters."""

import re

import pytest
from cloudformation_metrics import state
from cloudformation_policy import decision, listed
from cloudformation_template import TEMPLATES, Refused, check, fits, load, properties, resolve
from cloudformation_values import ACCOUNT, BOUNDARY, KEY, LISTED, NEEDED, QUEUE, ROLES, ROOT_USER, VALUES
from rendering import ROOT

CASES = [
    (template, name, value, expected)
    for template, parameters in VALUES.items()
    for name, (good, bad) in parameters.items()
    for expected, values in ((True, good), (False, bad))
    for value in values
]


@pytest.mark.parametrize(("template", "name", "value", "expected"), CASES)
def test_good_values_are_taken_and_bad_ones_refused(template, name, value, expected):
    assert fits(load(template)["Parameters"][name], value) is expected, value


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_parameter_has_its_limits_words_and_place(template):
    loaded = load(template)
    interface = loaded["Metadata"]["AWS::CloudFormation::Interface"]
    parameters = loaded["Parameters"]
    grouped = [name for group in interface["ParameterGroups"] for name in group["Parameters"]]
    assert sorted(grouped) == sorted(parameters) == sorted(interface["ParameterLabels"])
    assert {name for name, one in parameters.items() if "Default" not in one} == NEEDED[template].keys() - {"EndpointUrl"}
    page = (ROOT / "docs/cloudformation.md").read_text()
    for name, one in parameters.items():
        own = {"AllowedPattern", "AllowedValues", "MinValue"} & one.keys()
        assert own or one["Type"].startswith(("AWS::", "List<AWS::")), name
        assert not own or name in VALUES[template], f"{name} has no good and bad values"
        assert "AllowedValues" in one or not own or one["ConstraintDescription"].startswith("must "), name
        assert one["Description"].endswith((".", "?")) and f"`{name}`" in page, name
        assert "Default" not in one or fits(one, str(one["Default"])), name
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert loaded["Metadata"]["queuepost"]["Version"] == version


def test_three_parameters_are_enough_and_the_historic_outputs_come_first():
    made = resolve(load("queue.yaml"), QUEUE)
    assert list(made["Outputs"])[:2] == ["QueueURL", "QueueConsumerARN"]
    assert made["Outputs"]["QueueURL"]["Value"] == {"Ref": "Queue"}
    assert made["Outputs"]["QueueConsumerARN"]["Value"] == {"Fn::GetAtt": ["QueueConsumerRole", "Arn"]}
    assert {"QueueARN", "QueueDLQURL", "QueueDLQARN", "QueueName", "ExternalIdRequired", "AlarmNames"} <= made["Outputs"].keys()
    for name, output in made["Outputs"].items():
        assert output["Export"]["Name"] == f"orders-{name}"
    queue, dlq = (made["Resources"][name] for name in ("Queue", "QueueDLQ"))
    for one in (queue, dlq):
        assert (one["DeletionPolicy"], one["UpdateReplacePolicy"]) == ("RetainExceptOnCreate", "Retain")
        assert one["Properties"]["MessageRetentionPeriod"] == 14 * 86400
        assert one["Properties"]["ReceiveMessageWaitTimeSeconds"] == 20
        assert one["Properties"]["SqsManagedSseEnabled"] is True and "KmsMasterKeyId" not in one["Properties"]
        assert not {"FifoQueue", "ContentBasedDeduplication", "FifoThroughputLimit"} & one["Properties"].keys()
    assert queue["Properties"]["RedrivePolicy"]["maxReceiveCount"] == 10 and queue["Properties"]["VisibilityTimeout"] == 300
    assert dlq["Properties"]["RedriveAllowPolicy"]["sourceQueueArns"] == [f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders"]
    assert "RedrivePolicy" not in dlq["Properties"] and "Operator" not in "".join(made["Resources"])


def test_a_key_of_one_s_own_replaces_the_other_encryption():
    key = KEY[0][1]
    for name in ("Queue", "QueueDLQ"):
        made = properties("queue.yaml", name, KmsKeyArn=key)
        assert made["KmsMasterKeyId"] == key and "SqsManagedSseEnabled" not in made
    (statement,) = properties("queue.yaml", "QueueConsumerKeyPolicy", KmsKeyArn=key)["PolicyDocument"]["Statement"]
    assert (statement["Action"], statement["Resource"]) == ("kms:Decrypt", key)


def test_the_fifo_switch_names_both_queues_and_what_only_fifo_has_needs_it():
    given = {"FifoQueue": "true", "ContentBasedDeduplication": "true", "HighThroughputFifo": "true"}
    queue, dlq = (properties("queue.yaml", name, **given) for name in ("Queue", "QueueDLQ"))
    assert (queue["QueueName"], dlq["QueueName"]) == ("orders.fifo", "orders-dlq.fifo")
    assert queue["FifoQueue"] is True and dlq["FifoQueue"] is True and queue["ContentBasedDeduplication"] == "true"
    assert (queue["DeduplicationScope"], queue["FifoThroughputLimit"]) == ("messageGroup", "perMessageGroupId")
    assert dlq["RedriveAllowPolicy"]["sourceQueueArns"] == [f"arn:aws:sqs:eu-west-1:{ACCOUNT}:orders.fifo"]
    for name in ("ContentBasedDeduplication", "HighThroughputFifo"):
        with pytest.raises(Refused, match=f"{name} needs FifoQueue=true"):
            check(load("queue.yaml"), {**QUEUE, name: "true"})


def test_names_that_are_equal_or_bring_their_own_suffix_are_refused():
    for given, said in (
        ({"QueueDLQName": "orders"}, "QueueDLQName must differ"), ({"QueueName": "orders.fifo"}, "leave .fifo out"),
        ({"QueueName": "orders.fifo", "FifoQueue": "true"}, "leave .fifo out"),
    ):
        with pytest.raises(Refused, match=said):
            check(load("queue.yaml"), {**QUEUE, **given})


MADE = {"QueueConsumerRole.Arn": ROLES["made"]}


def caller(arn, tls="true"):
    return {"aws:SecureTransport": tls, "aws:PrincipalArn": arn, "aws:PrincipalIsAWSService": "false"}


SERVICE = {"aws:SecureTransport": "true", "aws:PrincipalIsAWSService": "true", "service": "sns.amazonaws.com"}
ANONYMOUS = {"aws:SecureTransport": "true"}


@pytest.mark.parametrize(
    ("who", "send", "receive"),
    [
        (caller(ROLES["sender"]), "Allow", "Deny"),
        (caller("arn:aws:iam::333333333333:role/far"), "Allow", "Deny"),
        (caller("arn:aws:iam::333333333333:role/other"), "Deny", "Deny"),
        (caller(ROLES["made"]), "Deny", None),
        (caller(ROLES["consumer"]), "Deny", None),
        (caller(ROLES["operator"]), None, None),
        (caller(ROOT_USER), None, None),
        (caller(ROLES["other"]), "Deny", "Deny"),
        (SERVICE, None, None),
        (ANONYMOUS, "Deny", "Deny"),
        (caller(ROLES["sender"], tls="false"), "Deny", "Deny"),
    ],
)
def test_only_the_listed_send_and_receive(who, send, receive):
    document = properties("queue.yaml", "QueuePolicy", **LISTED)["PolicyDocument"]
    assert decision(document, "sqs:SendMessage", who, MADE) == send
    assert decision(document, "sqs:ReceiveMessage", who, MADE) == receive


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        (caller(ROLES["operator"]), None), (caller(ROOT_USER), None), (SERVICE, None), (ANONYMOUS, "Deny"),
        *((caller(ROLES[name]), "Deny") for name in ("sender", "made", "consumer", "other")),
    ],
)
def test_dead_letters_are_received_by_the_operator_alone_and_moved_by_anybody_sqs_lets(who, expected):
    document = properties("queue.yaml", "QueueDLQPolicy", **LISTED)["PolicyDocument"]
    assert decision(document, "sqs:ReceiveMessage", who, MADE) == expected
    assert decision(document, "sqs:SendMessage", who, MADE) is None
    without = properties("queue.yaml", "QueueDLQPolicy", ConsumerPrincipalArn=LISTED["ConsumerPrincipalArn"])["PolicyDocument"]
    assert decision(without, "sqs:ReceiveMessage", caller(ROLES["operator"]), MADE) == "Deny"
    assert decision(without, "sqs:ReceiveMessage", caller(ROOT_USER), MADE) is None


def test_without_lists_only_plain_text_is_denied():
    for name in ("QueuePolicy", "QueueDLQPolicy"):
        document = properties("queue.yaml", name)["PolicyDocument"]
        for action in ("sqs:SendMessage", "sqs:ReceiveMessage", "sqs:GetQueueAttributes"):
            assert decision(document, action, caller(ROLES["other"])) is None
            for who in (caller(ROLES["other"], tls="false"), caller(ROOT_USER, tls="false"), {"aws:SecureTransport": "false"}):
                assert decision(document, action, who) == "Deny"


@pytest.mark.parametrize(("senders", "consumer", "operator"), [(s, c, o) for s in (0, 1) for c in (0, 1) for o in (0, 1)])
def test_every_allow_names_its_principals_and_actions(senders, consumer, operator):
    given = {name: LISTED[name] for name, on in zip(LISTED, (senders, consumer, operator), strict=True) if on}
    for entry in resolve(load("queue.yaml"), {**QUEUE, **given})["Resources"].values():
        for statement in entry["Properties"].get("PolicyDocument", {}).get("Statement", []):
            assert statement["Resource"] != "*" and "NotAction" not in statement
            if statement["Effect"] == "Allow":
                assert "*" not in "".join(listed(statement["Action"])) and statement.get("Principal") != "*"


def test_the_role_trusts_the_account_or_one_principal_with_the_external_id():
    def trusted(who, **given):
        document = properties("queue.yaml", "QueueConsumerRole", **given)["AssumeRolePolicyDocument"]
        return decision(document, "sts:AssumeRole", who)

    inside = {"aws:PrincipalArn": "arn:aws:iam::222222222222:role/bridge"}
    assert trusted(inside) == "Allow" and trusted(caller(ROLES["other"])) is None
    assert trusted(inside, ExternalId="ab") is None
    assert trusted({**inside, "sts:ExternalId": "guessed"}, ExternalId="ab") is None
    assert trusted({**inside, "sts:ExternalId": "ab"}, ExternalId="ab") == "Allow"
    one = {"ConsumerPrincipalArn": inside["aws:PrincipalArn"]}
    assert trusted(inside, **one) == "Allow"
    assert trusted({"aws:PrincipalArn": "arn:aws:iam::222222222222:role/other"}, **one) is None


def test_the_permissions_boundary_is_on_every_role():
    limit = BOUNDARY[0][1]
    for template, needed in NEEDED.items():
        plain, limited = (resolve(load(template), {**needed, **more})["Resources"] for more in ({}, {"PermissionsBoundaryArn": limit}))
        roles = [name for name, entry in plain.items() if entry["Type"] == "AWS::IAM::Role"]
        assert roles
        for name in roles:
            assert "PermissionsBoundary" not in plain[name]["Properties"]
            assert limited[name]["Properties"]["PermissionsBoundary"] == limit
            assert "Policies" not in plain[name]["Properties"]


TAGLESS = {
    "AWS::SQS::QueuePolicy", "AWS::IAM::ManagedPolicy", "AWS::EC2::SecurityGroupEgress",
    "AWS::ApplicationAutoScaling::ScalableTarget", "AWS::ApplicationAutoScaling::ScalingPolicy",
}


@pytest.mark.parametrize("template", TEMPLATES)
def test_all_that_takes_tags_says_whose_it_is(template):
    for given, expected in (({}, ["Application"]), ({"OwnerTag": "team a"}, ["Application", "Owner"])):
        for name, entry in resolve(load(template), {**NEEDED[template], **given})["Resources"].items():
            if entry["Type"] not in TAGLESS:
                assert [tag["Key"] for tag in entry["Properties"]["Tags"]] == expected, name


def test_the_operator_may_move_dead_letters_back_and_nothing_else():
    made = resolve(load("queue.yaml"), {**QUEUE, "OperatorPrincipalArn": ROLES["operator"], "KmsKeyArn": KEY[0][1]})["Resources"]
    take, back = made["OperatorPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert {"sqs:StartMessageMoveTask", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"} <= set(take["Action"])
    assert "sqs:SendMessage" not in take["Action"] and "sqs:SendMessage" in back["Action"]
    assert take["Resource"] == {"Fn::GetAtt": ["QueueDLQ", "Arn"]} and back["Resource"] == {"Fn::GetAtt": ["Queue", "Arn"]}
    assert "Roles" not in made["OperatorPolicy"]["Properties"], "it is attached by hand"
    (key,) = made["OperatorKeyPolicy"]["Properties"]["PolicyDocument"]["Statement"]
    assert key["Action"] == ["kms:Decrypt", "kms:GenerateDataKey"]


def test_the_consumer_sends_results_to_the_listed_queues_alone():
    done, failed = "arn:aws:sqs:eu-west-1:123456789012:done", "arn:aws:sqs:eu-west-1:123456789012:failed.fifo"
    made = resolve(load("queue.yaml"), {**QUEUE, "ResultQueueArns": f"{done},{failed}"})["Resources"]["QueueConsumerResultsPolicy"]
    (statement,) = made["Properties"]["PolicyDocument"]["Statement"]
    assert statement["Action"] == ["sqs:SendMessage", "sqs:GetQueueAttributes", "sqs:GetQueueUrl"]
    assert statement["Resource"] == [done, failed]
    assert made["Properties"]["Roles"] == [{"Ref": "QueueConsumerRole"}]
    assert "QueueConsumerResultsPolicy" not in resolve(load("queue.yaml"), QUEUE)["Resources"]


#: Metric, statistic, threshold, period, evaluations, missing data.
ALARMS = {
    "DeadLettersAlarm": ("ApproximateNumberOfMessagesVisible", "Maximum", 0, 60, 1, "notBreaching"),
    "OldestMessageAlarm": ("ApproximateAgeOfOldestMessage", "Maximum", 900, 60, 5, "notBreaching"),
    "InFlightAlarm": ("ApproximateNumberOfMessagesNotVisible", "Maximum", 96000, 60, 5, "notBreaching"),
    "EmptyReceivesAlarm": ("NumberOfEmptyReceives", "Sum", 18000, 3600, 3, "notBreaching"),
}


def test_the_alarms_watch_what_they_should():
    made = resolve(load("queue.yaml"), QUEUE)["Resources"]
    assert {name for name, entry in made.items() if entry["Type"] == "AWS::CloudWatch::Alarm"} == {*ALARMS, "NoConsumptionAlarm"}
    for name, expected in ALARMS.items():
        alarm = made[name]["Properties"]
        assert tuple(
            alarm[key] for key in ("MetricName", "Statistic", "Threshold", "Period", "EvaluationPeriods", "TreatMissingData")
        ) == expected
        queue = "QueueDLQ" if name == "DeadLettersAlarm" else "Queue"
        assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": [queue, "QueueName"]}}]
        assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    alarm = made["NoConsumptionAlarm"]["Properties"]
    stuck, waiting, deleted = alarm["Metrics"]
    assert stuck["Expression"] == "IF(waiting > 0 AND FILL(deleted, 0) == 0, 1, 0)"
    assert [part["MetricStat"]["Metric"]["MetricName"] for part in (waiting, deleted)] == [
        "ApproximateNumberOfMessagesVisible", "NumberOfMessagesDeleted",
    ]
    assert [part["MetricStat"]["Period"] for part in (waiting, deleted)] == [300, 300]
    assert alarm["EvaluationPeriods"] == 3


#: What a queue shows in four periods of five minutes (visible, deleted), and the state of the alarm then.
CONSUMPTION = {
    "a stack just made, which nobody has called": ([None] * 4, [None] * 4, "OK"),
    "a first poll that finds nothing": ([None, None, 0, 0], [None, None, 0, 0], "OK"),
    "an idle queue": ([0] * 4, [0] * 4, "OK"),
    "work that is done": ([50, 40, 60, 50], [900, 900, 900, 900], "OK"),
    "no deletes reported beside deletes": ([5, 5, 5, 5], [0, 0, 0, 7], "OK"),
    "messages that wait for a quarter of an hour": ([None, 3, 3, 3], [None, 0, 0, 0], "ALARM"),
    "deletes that end": ([9, 9, 9, 9], [4, 0, None, None], "ALARM"),
    "a queue that nobody has called for six hours, once a message comes": ([None, 1, 1, 1], [None, None, None, None], "ALARM"),
}


@pytest.mark.parametrize("case", CONSUMPTION)
def test_consumption_is_missed_only_while_messages_wait(case):
    waiting, deleted, expected = CONSUMPTION[case]
    assert state(properties("queue.yaml", "NoConsumptionAlarm"), {"waiting": waiting, "deleted": deleted}) == expected


def test_alarms_go_to_the_topic_and_say_what_to_do():
    topic = "arn:aws:sns:eu-west-1:123456789012:on-call"
    silent, loud = (resolve(load("queue.yaml"), {**QUEUE, **given})["Resources"] for given in ({}, {"AlarmTopicArn": topic}))
    for name in (*ALARMS, "NoConsumptionAlarm"):
        assert silent[name]["Properties"]["AlarmActions"] == [] == silent[name]["Properties"]["OKActions"]
        assert loud[name]["Properties"]["AlarmActions"] == [topic] == loud[name]["Properties"]["OKActions"]
        words = silent[name]["Properties"]["AlarmDescription"]
        assert "Look " in words and "orders" in words and "${" not in words and len(words) <= 1024
    assert not [name for name in resolve(load("queue.yaml"), {**QUEUE, "EnableAlarms": "false"})["Resources"] if "Alarm" in name]


def test_the_blind_spot_of_the_age_is_explained_where_it_is_defined():
    text = (ROOT / "cloudformation/queue.yaml").read_text()
    comment = text[: text.index("  OldestMessageAlarm:\n")].rsplit("\n\n", 1)[1]
    assert "three times or more" in comment and "queuepost_queue_oldest_message_age_seconds" in comment
    assert "three times or more" in properties("queue.yaml", "OldestMessageAlarm")["AlarmDescription"]
    assert "queue_oldest_message_age_seconds" in "".join(path.read_text() for path in (ROOT / "src/telemetry").rglob("*.rs"))


@pytest.mark.parametrize("template", TEMPLATES)
def test_a_template_fits_into_one_request(template):
    assert (ROOT / "cloudformation" / template).stat().st_size <= 51_200


@pytest.mark.parametrize("template", TEMPLATES)
def test_no_partition_region_or_account_is_written_out(template):
    text = re.sub(r"AllowedPattern: .*", "", (ROOT / "cloudformation" / template).read_text())
    assert not re.search(r"arn:aws|[0-9]{12}|(eu|us|ap)-[a-z]+-[0-9]|amazonaws\.com/", text)
