"""An AWS of its own for the stacks: MiniStack, which checks credentials, roles and policies, behind a recorder.

The recorder plays the part of TLS in front of MiniStack (it says so in X-Forwarded-Proto, which MiniStack takes for
aws:SecureTransport) and writes down what is called.

Where MiniStack differs from AWS, and what is done about it:
  - alarms over metric math, scaling, single egress rules and Pod Identity cannot be made: `without` takes them out;
  - a role's permissions boundary and where a task's secrets are is dropped: both are looked at in the template;
  - a batch call needs a permission of its own name, where AWS asks for that of the single call: `with_batches` adds them;
  - aws:PrincipalArn of an assumed role is the session's ARN, not the role's: denials by it are tried with users.
"""

import http.client
import http.server
import json
import os
import re
import subprocess
import threading
import urllib.parse
import urllib.request

import botocore.session
import pytest
from botocore.config import Config
from cloudformation_template import load
from cluster import free_port, until
from rendering import TOOLS

REGION = "us-east-1"
#: Owns the queues.
OWNER = "111111111111"
#: Consumes them.
CONSUMER = "222222222222"
BATCHES = {
    "sqs:DeleteMessage": "sqs:DeleteMessageBatch", "sqs:ChangeMessageVisibility": "sqs:ChangeMessageVisibilityBatch",
    "sqs:SendMessage": "sqs:SendMessageBatch",
}
#: Connection headers, which are the recorder's own business.
HOP = {"connection", "transfer-encoding", "content-length"}


class Aws:
    """The server, and clients of it. A key of twelve digits is the root user of that account."""

    def __init__(self, folder):
        program = TOOLS / "venv/bin/ministack"
        if not program.exists():
            pytest.skip("ministack is not installed: .ci/deploy installs it")
        self.port = free_port()
        self.origin = f"http://127.0.0.1:{self.port}"
        log = folder / "ministack.log"
        env = {
            "PATH": os.environ["PATH"], "HOME": str(folder), "BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(self.port),
            "MINISTACK_HOST": "127.0.0.1", "SFTP_ENABLED": "0", "IOT_MTLS_ENABLED": "0", "LOG_LEVEL": "ERROR", "AUTH": "true",
        }
        with log.open("w") as file:
            self.process = subprocess.Popen([program], stdout=file, stderr=file, env=env, cwd=folder)
        until("ministack", lambda: urllib.request.urlopen(f"{self.origin}/_ministack/health", timeout=10), self.process, log)
        self.recorder = Recorder(self.port)
        self.session = botocore.session.Session()

    def client(self, service, account=OWNER, secret="x", *, key=None, token=None, tls=True):
        return self.session.create_client(
            service, region_name=REGION, endpoint_url=self.recorder.origin if tls else self.origin,
            aws_access_key_id=key or account, aws_secret_access_key=secret, aws_session_token=token,
            config=Config(retries={"total_max_attempts": 1}, connect_timeout=60, read_timeout=120),
        )

    def create(self, name, template, **parameters):
        """Makes a stack; its outputs."""
        formation = self.client("cloudformation")
        formation.create_stack(StackName=name, **stack(template, parameters))
        return self.settled(name, "CREATE_COMPLETE")

    def update(self, name, template, **parameters):
        self.client("cloudformation").update_stack(StackName=name, **stack(template, parameters))
        return self.settled(name, "UPDATE_COMPLETE")

    def delete(self, name):
        self.client("cloudformation").delete_stack(StackName=name)
        formation = self.client("cloudformation")

        def gone():
            try:
                return formation.describe_stacks(StackName=name)["Stacks"][0]["StackStatus"] == "DELETE_COMPLETE"
            except formation.exceptions.ClientError as error:
                return "does not exist" in str(error)

        until(f"the end of {name}", gone)

    def settled(self, name, wanted):
        formation = self.client("cloudformation")

        def done():
            found = formation.describe_stacks(StackName=name)["Stacks"][0]
            return found if not found["StackStatus"].endswith("_IN_PROGRESS") else None

        found = until(f"the stack {name}", done)
        if found["StackStatus"] != wanted:
            events = formation.describe_stack_events(StackName=name)["StackEvents"]
            raise AssertionError([(event["LogicalResourceId"], event.get("ResourceStatusReason")) for event in events])
        return {output["OutputKey"]: output["OutputValue"] for output in found.get("Outputs", [])}

    def attributes(self, url):
        return self.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]

    def depth(self, url):
        """Visible and in flight."""
        found = self.attributes(url)
        return int(found["ApproximateNumberOfMessages"]), int(found["ApproximateNumberOfMessagesNotVisible"])

    def user(self, name):
        """A user of the owner's account that may do anything with queues: a client of SQS and its ARN."""
        iam = self.client("iam")
        arn = iam.create_user(UserName=name)["User"]["Arn"]
        allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sqs:*", "Resource": "*"}]}
        iam.put_user_policy(UserName=name, PolicyName="queues", PolicyDocument=json.dumps(allow))
        key = iam.create_access_key(UserName=name)["AccessKey"]
        return self.client("sqs", secret=key["SecretAccessKey"], key=key["AccessKeyId"]), arn

    def stop(self):
        self.recorder.stop()
        self.process.terminate()
        self.process.wait(timeout=60)


def stack(template, parameters):
    values = [{"ParameterKey": name, "ParameterValue": str(value)} for name, value in parameters.items()]
    return {"TemplateBody": json.dumps(template), "Parameters": values, "Capabilities": ["CAPABILITY_IAM"]}


class Recorder:
    """Passes requests on, and keeps who asked for what."""

    def __init__(self, port):
        self.calls = []
        recorder = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self):
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                recorder.calls.append(named(self.headers, body))
                onward = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
                onward.putrequest("POST", self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    if name.lower() not in HOP:
                        onward.putheader(name, value)
                onward.putheader("X-Forwarded-Proto", "https")
                onward.putheader("Content-Length", str(len(body)))
                onward.endheaders(body)
                answer = onward.getresponse()
                content = answer.read()
                onward.close()
                try:
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in HOP:
                            self.send_header(name, value)
                    self.send_header("Content-Length", str(len(content)))
                    self.end_headers()
                    self.wfile.write(content)
                except (BrokenPipeError, ConnectionResetError):
                    self.close_connection = True

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.origin = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


def named(headers, body):
    """Who called (the access key), which service, which operation, on which queue."""
    scope = re.search(r"Credential=([^/]+)/[^/]+/[^/]+/([^/]+)/", headers.get("Authorization", ""))
    key, service = scope.groups() if scope else ("", "")
    if service == "sqs":
        arguments = json.loads(body or b"{}")
        queue = arguments.get("QueueUrl", arguments.get("QueueName", "")).rsplit("/", 1)[-1]
        return key, service, headers.get("X-Amz-Target", "").removeprefix("AmazonSQS."), queue
    form = urllib.parse.parse_qs(body.decode(errors="replace"))
    return key, service, form.get("Action", [""])[0], ""


def without(template, *gone):
    """The template without these resources, and what lists them."""
    assert template["Resources"].keys() >= set(gone), gone
    made = dict(template)
    made["Resources"] = {name: entry for name, entry in template["Resources"].items() if name not in gone}
    made["Outputs"] = {name: pruned(entry, gone) for name, entry in template["Outputs"].items()}
    return made


def pruned(node, gone):
    if isinstance(node, list):
        return [pruned(part, gone) for part in node if not (isinstance(part, dict) and part.get("Ref") in gone)]
    if isinstance(node, dict):
        return {name: pruned(part, gone) for name, part in node.items()}
    return node


def with_batches(node):
    """The same with the batch calls beside their single ones, wherever actions are listed."""
    if isinstance(node, dict):
        return {name: with_batches(part) for name, part in node.items()}
    if isinstance(node, list):
        more = [BATCHES[part] for part in node if isinstance(part, str) and part in BATCHES]
        return [*(with_batches(part) for part in node), *more]
    return node


def template():
    """queue.yaml as MiniStack can make it."""
    return with_batches(without(load("queue.yaml"), "NoConsumptionAlarm"))


def names(prefix):
    return {"QueueName": prefix, "QueueDLQName": f"{prefix}-dlq"}


def environment(origin):
    return {"AWS_ENDPOINT_URL": origin, "AWS_ACCESS_KEY_ID": CONSUMER, "AWS_SECRET_ACCESS_KEY": "x", "AWS_REGION": REGION}


def document(aws, policy):
    iam = aws.client("iam")
    version = iam.get_policy(PolicyArn=policy)["Policy"]["DefaultVersionId"]
    return iam.get_policy_version(PolicyArn=policy, VersionId=version)["PolicyVersion"]["Document"]
