"""Sends to queues through SNS, EventBridge and S3 of the server in argument 1, and prints the queues' URLs.

"wrapped" and "raw" are subscribed to a topic, "events" is the target of a rule, "objects" is told of new objects.
"""

import sys

import boto3


def client(service):
    return boto3.client(
        service,
        endpoint_url=sys.argv[1],
        region_name="us-east-1",
        aws_access_key_id="111111111111",
        aws_secret_access_key="x",
    )


sqs, sns, events, s3 = map(client, ["sqs", "sns", "events", "s3"])


def queue(name):
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    print(url)
    return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]


topic = sns.create_topic(Name="orders")["TopicArn"]
for name, raw in [("wrapped", "false"), ("raw", "true")]:
    attributes = {"RawMessageDelivery": raw}
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=queue(name), Attributes=attributes)
tenant = {"DataType": "String", "StringValue": "acme"}
sns.publish(TopicArn=topic, Subject="An order", Message='{"order": 7}', MessageAttributes={"tenant": tenant})

arn = queue("events")
events.put_rule(Name="all", EventPattern='{"source": ["shop"]}')
events.put_targets(Rule="all", Targets=[{"Id": "queue", "Arn": arn}])
events.put_events(Entries=[{"Source": "shop", "DetailType": "order", "Detail": '{"order": 8}'}])

arn = queue("objects")
s3.create_bucket(Bucket="uploads")
notified = [{"QueueArn": arn, "Events": ["s3:ObjectCreated:*"]}]
s3.put_bucket_notification_configuration(
    Bucket="uploads", NotificationConfiguration={"QueueConfigurations": notified}
)
s3.put_object(Bucket="uploads", Key="a b/ünï.txt", Body=b"x")
