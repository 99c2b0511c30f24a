"""Sends claim checks with the SQS extended client of AWS to the server in argument 1, and prints the queue's URL.

The bodies "new 1" and "old 1" are long ones of both forms of the pointer; the object of "gone" is deleted before it is sent.
"""

import sys

import boto3
import sqs_extended_client  # noqa: F401, extends boto3


def client(service):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id="111111111111",
        aws_secret_access_key="x",
    )


sqs, s3 = client("sqs"), client("s3")
s3.create_bucket(Bucket="payloads")
sqs.create_queue(QueueName="claims-dlq")
dlq = "arn:aws:sqs:us-east-1:111111111111:claims-dlq"
policy = '{"deadLetterTargetArn": "%s", "maxReceiveCount": 1}' % dlq
queue = sqs.create_queue(QueueName="claims", Attributes={"RedrivePolicy": policy})["QueueUrl"]
print(queue)

sqs.large_payload_support = "payloads"
sqs.s3_client = s3
tenant = {"tenant": {"DataType": "String", "StringValue": "acme"}}


def send(text, **more):
    body = text + "x" * 300_000
    sqs.send_message(QueueUrl=queue, MessageBody=body, MessageAttributes=dict(tenant, **more))


sqs.use_legacy_attribute = False
send("new 1")
sqs.use_legacy_attribute = True
send("old 1")
kept = {each["Key"] for each in s3.list_objects_v2(Bucket="payloads")["Contents"]}
send("gone")
for each in s3.list_objects_v2(Bucket="payloads")["Contents"]:
    if each["Key"] not in kept:
        s3.delete_object(Bucket="payloads", Key=each["Key"])
