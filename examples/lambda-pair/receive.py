"""The function that receives: the event of the queue is the body of an HTTP request; the answer names the messages that failed."""

import base64
import json


def lambda_handler(event, _context):
    body = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"]
    failed, stopped = [], set()
    for record in json.loads(body)["Records"]:
        group = record["attributes"]["MessageGroupId"]
        # Behind a message that failed, those of its group wait, or they would overtake it.
        if group not in stopped:
            try:
                handle(record)
                continue
            except Exception as error:
                print(json.dumps({"failed": record["messageId"], "why": str(error)}))
        stopped.add(group)
        failed.append({"itemIdentifier": record["messageId"]})
    return {"batchItemFailures": failed}


def handle(record):
    order = json.loads(record["body"])
    # To try it: {"fails": 1} is handled at its second receive.
    if int(record["attributes"]["ApproximateReceiveCount"]) <= order.get("fails", 0):
        raise ValueError("not yet")
    print(json.dumps({"handled": order}))
