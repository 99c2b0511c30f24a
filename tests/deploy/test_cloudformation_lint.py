"""The templates before cfn-lint and cfn-guard.

Guard's rules are of two collections. Those of AWS Control Tower come with the program and are meant for what a template becomes,
so they are held against resolved templates. Those of the AWS Guard Rules Registry are meant for templates as they are written;
no package registry has them, so they are tried where QUEUEPOST_GUARD_RULES names a checkout, and skipped by name elsewhere.

A rule that is deliberately not kept is named in the resource's `Metadata.guard.SuppressedRules`, with its reason above.
"""

import json
import os
import re
from pathlib import Path

import pytest
from cloudformation_template import FOLDER, TEMPLATES, load, resolve
from cloudformation_values import ACCOUNT, COLLECTOR, ECS, EKS, KEY, LISTED, QUEUE, ROLES, SECRET
from rendering import TOOLS, run, tool

CONTROL_TOWER = TOOLS / "guard/rules/control-tower/cfn-guard"
REGISTRY = os.environ.get("QUEUEPOST_GUARD_RULES")
TOPIC = f"arn:aws:sns:eu-west-1:{ACCOUNT}:on-call"
#: What is made of the templates: their defaults, and all that can be given.
VARIANTS = {
    "queue.yaml": {
        "production": {**QUEUE, "AlarmTopicArn": TOPIC},
        "everything": {
            **QUEUE, **LISTED, "AlarmTopicArn": TOPIC, "KmsKeyArn": KEY[0][1], "ExternalId": "ab", "FifoQueue": "true",
            "ContentBasedDeduplication": "true", "HighThroughputFifo": "true", "OwnerTag": "team a",
            "PermissionsBoundaryArn": f"arn:aws:iam::{ACCOUNT}:policy/limit",
        },
    },
    "ecs.yaml": {
        "default": {**ECS, "AlarmTopicArn": TOPIC},
        "everything": {
            **ECS, "ExternalId": "ab", "Algorithm": "demo/Hello", "EndpointPort": "8443", "LogKmsKeyArn": KEY[0][1], "OwnerTag": "team a",
            "ImageRepositoryArn": f"arn:aws:ecr:eu-west-1:{ACCOUNT}:repository/queuepost", "AlarmTopicArn": TOPIC,
            "EndpointSecretArn": SECRET[0][1], "EndpointSecretKey": "key", "SecretKmsKeyArn": KEY[0][1], "SpotWeight": "3",
            "CollectorImage": COLLECTOR, "TaskMemory": "1024",
        },
        "configured": {
            **ECS, "EndpointUrl": "", "ConfigurationArn": SECRET[0][2], "ConsumerRoleArns": ROLES["made"], "ClusterName": "main",
            "AlarmTopicArn": TOPIC, "CollectorImage": COLLECTOR, "TaskMemory": "1024",
            "PrometheusWorkspaceArn": f"arn:aws:aps:eu-west-1:{ACCOUNT}:workspace/ws-1", "Fleet": "true", "MaxTasks": "4", "OwnerTag": "team a",
        },
    },
    "eks-pod-identity.yaml": {"default": EKS, "several": {**EKS, "ConsumerRoleArns": ROLES["made"]}},
}
MADE = [(template, variant) for template, variants in VARIANTS.items() for variant in variants]


@pytest.mark.parametrize("template", TEMPLATES)
def test_cfn_lint_has_nothing_to_say(template):
    program = TOOLS / "venv/bin/cfn-lint"
    if not program.exists():
        pytest.skip("cfn-lint is not installed: .ci/deploy installs it")
    done = run(program, "--include-checks", "I", "--regions", "eu-west-1", "us-east-1", "--", FOLDER / template, check=False)
    assert done.returncode == 0 and not done.stdout.strip(), done.stdout + done.stderr
    assert "cfn-lint" not in (FOLDER / template).read_text(), "nothing is suppressed"


def guard(rules, data):
    """The rules that fail, with the resources they fail for, and the rules that pass."""
    options = ["--structured", "--output-format", "json", "--show-summary", "none"]
    (report,) = json.loads(run(tool("cfn-guard"), "validate", *options, "--rules", rules, "--data", data, check=False).stdout)
    failed = {}
    for entry in report["not_compliant"]:
        resources = set(re.findall(r"/Resources/([A-Za-z0-9]+)", json.dumps(entry)))
        failed.setdefault(entry["Rule"]["name"], set()).update(resources)
    return failed, report["compliant"]


def suppressed(template, name):
    return load(template)["Resources"][name].get("Metadata", {}).get("guard", {}).get("SuppressedRules", [])


@pytest.mark.parametrize(("template", "variant"), MADE)
def test_what_is_made_keeps_the_rules_of_control_tower(template, variant, tmp_path):
    if not CONTROL_TOWER.exists():
        pytest.skip("the rules of AWS Control Tower are not installed: .ci/deploy takes them from npm")
    made = tmp_path / "made.json"
    made.write_text(json.dumps(resolve(load(template), VARIANTS[template][variant])))
    failed, passed = guard(CONTROL_TOWER, made)
    kept = {rule: {name for name in names if rule not in suppressed(template, name)} for rule, names in failed.items()}
    assert not any(kept.values()) and all(failed.values()), failed
    assert passed, "no rule was tried"


def test_without_a_topic_only_the_alarms_have_no_action(tmp_path):
    if not CONTROL_TOWER.exists():
        pytest.skip("the rules of AWS Control Tower are not installed: .ci/deploy takes them from npm")
    made = tmp_path / "made.json"
    made.write_text(json.dumps(resolve(load("queue.yaml"), QUEUE)))
    failed, _ = guard(CONTROL_TOWER, made)
    assert failed.keys() == {"cloudwatch_alarm_action_check"}
    assert all(name.endswith("Alarm") for name in failed["cloudwatch_alarm_action_check"])


@pytest.mark.parametrize("template", TEMPLATES)
def test_the_templates_keep_the_rules_of_the_registry(template):
    if REGISTRY is None:
        pytest.skip("the AWS Guard Rules Registry is in no package registry: name a checkout in QUEUEPOST_GUARD_RULES")
    failed, passed = guard(Path(REGISTRY) / "rules/aws", FOLDER / template)
    assert not failed and passed, failed


@pytest.mark.parametrize("template", TEMPLATES)
def test_what_is_suppressed_has_its_reason_above(template):
    lines = (FOLDER / template).read_text().splitlines()
    places = [index for index, line in enumerate(lines) if "SuppressedRules" in line]
    assert len(places) == sum(1 for name in load(template)["Resources"] if suppressed(template, name))
    for place in places:
        assert lines[place - 1].lstrip().startswith("# "), lines[place]


def test_guard_finds_what_is_wrong(tmp_path):
    if not CONTROL_TOWER.exists():
        pytest.skip("the rules of AWS Control Tower are not installed: .ci/deploy takes them from npm")
    made = resolve(load("queue.yaml"), QUEUE)
    made["Resources"]["Queue"]["Properties"]["SqsManagedSseEnabled"] = False
    wrong = tmp_path / "wrong.json"
    wrong.write_text(json.dumps(made))
    failed, _ = guard(CONTROL_TOWER, wrong)
    assert "Queue" in failed["sqs_queue_encrypted_check"]
