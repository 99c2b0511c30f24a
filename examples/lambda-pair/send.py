"""The function that sends: an order of a customer, behind the customer's other orders, and once even if it is sent twice."""

import json
import os

import boto3

sqs = boto3.client("sqs")


def lambda_handler(order, _context):
    sent = sqs.send_message(
        QueueUrl=os.environ["QUEUE_URL"],
        MessageBody=json.dumps(order),
        MessageGroupId=order["customer"],
        MessageDeduplicationId=f"{order['customer']}-{order['number']}",
    )
    return {"messageId": sent["MessageId"]}
