"""A function behind a URL, made with Powertools for AWS Lambda: prints its address, then what Powertools reads of each event.

A record whose body has "fails": N fails at its first N receives. As the Invoke API does it, a function that throws is answered
with 200 and X-Amz-Function-Error; ANSWER is the body of every answer in place of that of Powertools.
"""

import base64
import hashlib
import json
import os
import struct
from http.server import BaseHTTPRequestHandler, HTTPServer

from aws_lambda_powertools.utilities.batch import BatchProcessor, EventType, process_partial_response
from aws_lambda_powertools.utilities.data_classes import SQSEvent


def digest(attributes):
    """The sum of message attributes by the rule of the SQS developer guide."""
    parts = b""
    for name in sorted(attributes):
        kind = attributes[name]["dataType"]
        is_binary = kind.startswith("Binary")
        value = base64.b64decode(attributes[name]["binaryValue"]) if is_binary else attributes[name]["stringValue"].encode()
        for part, mark in ((name.encode(), b""), (kind.encode(), b"\x02" if is_binary else b"\x01"), (value, b"")):
            parts += struct.pack(">I", len(part)) + part + mark
    return hashlib.md5(parts).hexdigest() if attributes else None


def value_of(attribute):
    is_binary = attribute.data_type == "Binary"
    return [attribute.data_type, attribute.binary_value if is_binary else attribute.string_value]


def shown(record):
    attributes = record.message_attributes
    return {
        "id": record.message_id,
        "handle": len(record.receipt_handle) > 0,
        "body": record.body,
        "json": record.json_body,
        "receives": record.attributes.approximate_receive_count,
        "times": [record.attributes.sent_timestamp, record.attributes.approximate_first_receive_timestamp],
        "sender": record.attributes.sender_id,
        "group": record.attributes.message_group_id,
        "attributes": {name: value_of(attribute) for name, attribute in attributes.items()},
        "digests": [
            record.md5_of_body == hashlib.md5(record.body.encode()).hexdigest(),
            record.get("md5OfMessageAttributes") == digest(record.raw_event["messageAttributes"]),
        ],
        "source": [record.event_source, record.event_source_arn, record.aws_region, record.queue_url],
    }


def handle(record):
    fails = record.json_body.get("fails", 0)
    if int(record.attributes.approximate_receive_count) <= fails:
        raise ValueError("not yet")


def handler(event, _context):
    return process_partial_response(event=event, record_handler=handle, processor=BatchProcessor(EventType.SQS))


class Url(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        event = json.loads(self.rfile.read(int(self.headers["content-length"])))
        records = [shown(record) for record in SQSEvent(event).records]
        thrown = None
        try:
            answer = handler(event, {})
        except Exception as error:  # Powertools throws when all records have failed.
            thrown, answer = type(error).__name__, {"errorType": type(error).__name__, "errorMessage": str(error)[:80]}
        answer = os.environ.get("ANSWER", json.dumps(answer)).encode()
        print(json.dumps({"records": records, "thrown": thrown, "type": self.headers["content-type"]}), flush=True)
        self.send_response(200)
        if thrown:
            self.send_header("X-Amz-Function-Error", "Unhandled")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = HTTPServer(("127.0.0.1", 0), Url)
print(f"http://127.0.0.1:{server.server_port}", flush=True)
server.serve_forever()
