"""The pair of functions in MiniStack, as its account sees it. The first argument is what to do; each prints a line of JSON."""

import base64
import json
import os
import sys

import boto3
import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.exceptions import ClientError

iam, sqs, sts = boto3.client("iam"), boto3.client("sqs"), boto3.client("sts")
QUEUE = "orders.fifo"


def account():
    return sts.get_caller_identity()["Account"]


def queue_url():
    return sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]


def policy():
    got = sqs.get_queue_attributes(QueueUrl=queue_url(), AttributeNames=["Policy"])
    return json.loads(got["Attributes"]["Policy"])


def adapt():
    """What MiniStack 1.5 sees otherwise than AWS: sessions in aws:PrincipalArn, and batches as actions of their own."""
    written = policy()
    for statement in written["Statement"]:
        if statement["Effect"] == "Deny":
            arns = statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"]
            sessions = [arn.replace(":iam:", ":sts:").replace(":role/", ":assumed-role/") + "/*" for arn in arns]
            statement["Condition"]["ArnNotEquals"]["aws:PrincipalArn"] = arns + sessions
    sqs.set_queue_attributes(QueueUrl=queue_url(), Attributes={"Policy": json.dumps(written)})
    allow("orders-receive", ["sqs:DeleteMessageBatch", "sqs:ChangeMessageVisibilityBatch"])


def allow(role, actions):
    statement = {"Effect": "Allow", "Action": actions, "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    iam.put_role_policy(RoleName=role, PolicyName="of-the-test", PolicyDocument=document)


def make_outsider():
    """A role of the same account that may do anything with queues and functions, if only its own policy is asked."""
    trust = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account()}:root"}, "Action": "sts:AssumeRole"}
    iam.create_role(RoleName="outsider", AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    allow("outsider", ["sqs:*"])


def session(role):
    got = sts.assume_role(RoleArn=f"arn:aws:iam::{account()}:role/{role}", RoleSessionName="test")["Credentials"]
    return boto3.Session(got["AccessKeyId"], got["SecretAccessKey"], got["SessionToken"])


def answer(call, **parameters):
    try:
        call(**parameters)
        return "done"
    except ClientError as error:
        return error.response["Error"]["Code"]


def called(url, role, body, sent):
    """The status of a POST that `role` signed with `body`, and sent with another."""
    request = AWSRequest("POST", url, {"content-type": "application/json"}, body)
    if role:
        SigV4Auth(session(role).get_credentials(), "lambda", os.environ["AWS_REGION"]).add_auth(request)
    return urllib3.request("POST", url, headers=dict(request.headers), body=sent).status


def admitted():
    """What each role can do with the empty queue, and which requests the URL of the second argument refuses."""
    make_outsider()
    url, event = sys.argv[2], '{"Records": []}'
    found = {
        "unsigned": called(url, None, event, event),
        "signed by outsider": called(url, "outsider", event, event),
        "signed by orders-receive": called(url, "orders-receive", event, event),
        "signed by orders-receive, then altered": called(url, "orders-receive", event, event + " "),
    }
    for role in ["orders-receive", "outsider"]:
        client, queue = session(role).client("sqs"), {"QueueUrl": queue_url()}
        message = {"MessageBody": "{}", "MessageGroupId": "a", "MessageDeduplicationId": "a"}
        found[role] = {
            "look": answer(client.get_queue_attributes, **queue, AttributeNames=["QueueArn"]),
            "receive": answer(client.receive_message, **queue),
            "send": answer(client.send_message, **queue, **message),
            "invoke": answer(session(role).client("lambda").invoke, FunctionName="orders-receive"),
        }
    return found


def send():
    """Lets the function send each order of the second argument."""
    functions = boto3.client("lambda")
    ids = []
    for order in json.loads(sys.argv[2]):
        ran = functions.invoke(FunctionName="orders-send", Payload=json.dumps(order).encode(), LogType="Tail")
        said = ran["Payload"].read().decode()
        assert "FunctionError" not in ran, (said, base64.b64decode(ran.get("LogResult", "")).decode())
        ids.append(json.loads(said)["messageId"])
    return ids


def printed():
    """What the function that receives has printed, in order; a list of lines for each time it ran."""
    logs, runs = boto3.client("logs"), {}
    for event in logs.filter_log_events(logGroupName="/aws/lambda/orders-receive")["events"]:
        run = runs.setdefault(event["logStreamName"], [])
        if event["message"].startswith("{"):
            run.append(json.loads(event["message"]))
    return list(runs.values())


print(json.dumps({"policy": policy, "adapt": adapt, "admitted": admitted, "send": send, "printed": printed}[sys.argv[1]]()))
