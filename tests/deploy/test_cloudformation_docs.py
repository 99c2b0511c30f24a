"""The walks of docs/cloudformation.md, typed by bash as they stand there, against MiniStack."""

import json
import os
import re
import signal
import subprocess

import pytest
from cloudformation_aws import CONSUMER, OWNER, REGION, Aws, with_batches, without
from cloudformation_template import load
from cluster import free_port, until
from rendering import ROOT, TOOLS
from servers import Endpoint

PAGE = (ROOT / "docs/cloudformation.md").read_text()
PROFILES = """[{name}]
aws_access_key_id = {account}
aws_secret_access_key = x
"""


def blocks(heading):
    """The commands below a heading that are marked as run here."""
    section = re.search(rf"^## {re.escape(heading)}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)[1]
    return re.findall(r"^<!-- not run: tests/deploy runs it -->\n```sh\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)


class Desk:
    """A folder with what the commands need, and a bash that remembers nothing but the two values."""

    def __init__(self, aws, program, folder):
        if not (TOOLS / "venv/bin/aws").exists():
            pytest.skip("the aws command line is not installed: .ci/deploy installs it")
        self.folder, self.endpoint, self.running = folder, Endpoint(), None
        (folder / "cloudformation").mkdir()
        template = with_batches(without(load("queue.yaml"), "NoConsumptionAlarm"))
        (folder / "cloudformation/queue.yaml").write_text(json.dumps(template))
        (folder / "bin").mkdir()
        (folder / "bin/queuepost").symlink_to(program)
        # For SQS the first version of the command line does not read AWS_ENDPOINT_URL.
        (folder / "bin/aws").write_text(f'#!/bin/sh\nexec {TOOLS}/venv/bin/aws --endpoint-url {aws.recorder.origin} "$@"\n')
        (folder / "bin/aws").chmod(0o755)
        accounts = {"default": OWNER, "owner": OWNER, "bridge": CONSUMER}
        (folder / "credentials").write_text("".join(PROFILES.format(name=name, account=one) for name, one in accounts.items()))
        (folder / "config").write_text("")
        self.log = folder / "queuepost.log"
        self.env = {
            "PATH": f"{folder}/bin:{os.environ['PATH']}", "HOME": str(folder), "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION, "AWS_ENDPOINT_URL": aws.recorder.origin, "AWS_CONFIG_FILE": f"{folder}/config",
            "AWS_SHARED_CREDENTIALS_FILE": f"{folder}/credentials", "QUEUEPOST_ADMIN_LISTEN": f"127.0.0.1:{free_port()}",
            "QUEUEPOST_RECEIVE_WAIT": "1s",
        }

    def command(self, text):
        return text.replace("127.0.0.1:8080", f"127.0.0.1:{self.endpoint.port}")

    def type(self, *texts):
        """What the commands print; the values they set are kept for the next."""
        kept = 'declare -p queue role 2>/dev/null | sed "s/^declare -- //" >variables || true'
        script = "\n".join(["touch variables; . ./variables", *map(self.command, texts), kept])
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=self.folder, env=self.env, capture_output=True, text=True, timeout=600,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def start(self, text):
        script = ". ./variables; exec " + self.command(text)
        with self.log.open("w") as file:
            self.running = subprocess.Popen(
                ["bash", "-euo", "pipefail", "-c", script], cwd=self.folder, env=self.env, stdout=file, stderr=file,
            )

    def until(self, what, ready):
        return until(what, ready, self.running, self.log)

    def leave(self):
        if self.running:
            self.running.send_signal(signal.SIGTERM)
            self.running.wait(timeout=120)
        self.endpoint.stop()


@pytest.fixture
def aws(tmp_path):
    made = Aws(tmp_path)
    yield made
    made.stop()


@pytest.fixture
def desk(aws, queuepost, tmp_path):
    folder = tmp_path / "desk"
    folder.mkdir()
    made = Desk(aws, queuepost, folder)
    yield made
    made.leave()


@pytest.mark.parametrize("heading", ["One account: from its number to the first message", "Two accounts"])
def test_the_walk_leads_to_the_first_message(aws, desk, heading):
    commands = blocks(heading)
    (run,) = [block for block in commands if block.startswith("queuepost run")]
    place = commands.index(run)
    said = desk.type(*commands[:place])
    assert "✘" not in said and "✔" in said, said
    # The one warning that the page speaks of.
    warnings = [line for line in said.splitlines() if line.startswith("!")]
    assert len(warnings) == 1 and "keeps messages for 14 d, the queue itself for 14 d" in warnings[0], said
    desk.start(run)
    desk.type(*commands[place + 1 :])
    desk.until("the first message", lambda: desk.endpoint.bodies == ['{"hello":"world"}'])
    if heading != "Two accounts":
        desk.type(*blocks("Changing it"))
        url = aws.client("sqs").get_queue_url(QueueName="orders")["QueueUrl"]
        assert int(json.loads(aws.attributes(url)["RedrivePolicy"])["maxReceiveCount"]) == 100


def test_the_configuration_of_the_page_is_one(queuepost):
    (text,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    role = "arn:aws:iam::123456789012:role/consumer"
    given = {"QUEUE_URL": "https://sqs.eu-west-1.amazonaws.com/123456789012/orders", "QUEUE_ROLE_ARN": role, "ENDPOINT_SECRET": "A: b"}
    env = {"QUEUEPOST_CONFIG_TEXT": text, **given}
    done = subprocess.run([queuepost, "check", "--offline"], env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0 and "valid: 2 listeners, 1 endpoint" in done.stdout, done.stdout + done.stderr


def test_every_file_heading_and_output_the_page_names_exists():
    for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", PAGE):
        assert target.startswith("https://") or (ROOT / "docs" / target).resolve().exists(), target
    headings = {re.sub(r"[^a-z0-9 -]", "", line.lower()).replace(" ", "-") for line in re.findall(r"^#+ (.+)$", PAGE, re.MULTILINE)}
    for anchor in re.findall(r"\]\(#([^)]+)\)", PAGE):
        assert anchor in headings, anchor
    template = load("queue.yaml")
    for name in re.findall(r"`([A-Z][a-z]\w+(?:URL|ARN))`", PAGE):
        assert name in template["Outputs"] or name in load("ecs.yaml")["Outputs"], name
    alarms = {name for one in ("queue.yaml", "ecs.yaml") for name in load(one)["Resources"] if name.endswith("Alarm")}
    assert alarms == set(re.findall(r"^\| `(\w+Alarm)`", PAGE, re.MULTILINE))
