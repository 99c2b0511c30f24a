"""Makes the pair in the account and region of the credentials, and prints the variables of queuepost.yaml."""

import io
import json
import time
import zipfile
from pathlib import Path

import boto3

iam, sqs, functions = boto3.client("iam"), boto3.client("sqs"), boto3.client("lambda")
account = boto3.client("sts").get_caller_identity()["Account"]
region = sqs.meta.region_name
LOGS = "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole"


def document(name):
    """A policy beside this file, for this account and region."""
    text = Path(__file__).with_name(name).read_text()
    return text.replace("123456789012", account).replace("eu-west-1", region)


def role(name, principal):
    trust = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole"}
    made = iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    return made["Role"]["Arn"]


def queue(name, attributes):
    url = sqs.create_queue(QueueName=name, Attributes={"FifoQueue": "true", **attributes})["QueueUrl"]
    return url, sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


def function(name, file, role_arn, variables):
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as archive:
        archive.write(Path(__file__).with_name(file), file)
    functions.create_function(
        FunctionName=name,
        Runtime="python3.13",
        Handler=f"{Path(file).stem}.lambda_handler",
        Role=role_arn,
        Code={"ZipFile": code.getvalue()},
        Timeout=30,
        Environment={"Variables": variables},
    )


def once_known(make):
    """A new role is known to other services a few seconds later."""
    for _ in range(30):
        try:
            return make()
        except (functions.exceptions.InvalidParameterValueException, sqs.exceptions.InvalidAttributeValue):
            time.sleep(2)
    return make()


_, dead_letters = queue("orders-dlq.fifo", {})
redrive = json.dumps({"deadLetterTargetArn": dead_letters, "maxReceiveCount": 5})
queue_url, _ = queue("orders.fifo", {"RedrivePolicy": redrive})
of_lambda = {"Service": "lambda.amazonaws.com"}
sender, handler = role("orders-send", of_lambda), role("orders-handle", of_lambda)
for name in ["orders-send", "orders-handle"]:
    iam.attach_role_policy(RoleName=name, PolicyArn=LOGS)
receiver = role("orders-receive", {"AWS": f"arn:aws:iam::{account}:root"})
iam.put_role_policy(RoleName="orders-receive", PolicyName="receive", PolicyDocument=document("receive-role.json"))
once_known(lambda: sqs.set_queue_attributes(QueueUrl=queue_url, Attributes={"Policy": document("policy.json")}))
once_known(lambda: function("orders-send", "send.py", sender, {"QUEUE_URL": queue_url}))
once_known(lambda: function("orders-receive", "receive.py", handler, {}))
url = functions.create_function_url_config(FunctionName="orders-receive", AuthType="AWS_IAM")["FunctionUrl"]
print(f"QUEUE_URL={queue_url}\nROLE_ARN={receiver}\nFUNCTION_URL={url.rstrip('/')}")
