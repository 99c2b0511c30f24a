"""Caps for all pods: the Service that tells the pods of each other, and how many pods are of use."""

import json

import policy
import policy_fleet
import pytest
from cloudformation_template import Refused, check, load, properties, resolve
from cloudformation_values import ECS
from rendering import golden, helm_template, objects, one

TWO = ["--set", "queue=https://sqs.eu-west-1.amazonaws.com/123456789012/orders", "--set", "url=http://orders/events"]
MINE = ["--set", "existingConfigMap=mine,shutdown.deadline=25s"]


def named(manifests, kind, name):
    (found,) = [m for m in manifests if (m["kind"], m["metadata"]["name"]) == (kind, name)]
    return found


def env(manifests):
    container = one(manifests, "Deployment")["spec"]["template"]["spec"]["containers"][0]
    return {variable["name"]: variable.get("value") for variable in container["env"]}


def test_one_value_makes_the_service_and_the_name_of_it():
    made = objects(helm_template(*TWO, "--set", "fleet.enabled=true").stdout)
    spec = named(made, "Service", "queuepost-fleet")["spec"]
    assert (spec["clusterIP"], spec["publishNotReadyAddresses"]) == ("None", True)
    assert "dns: queuepost-fleet.queuepost.svc" in one(made, "ConfigMap")["data"]["queuepost.yaml"]
    assert "QUEUEPOST_FLEET_DNS" not in env(made) and list(policy.complaints(made)) == []


def test_a_configuration_of_ones_own_gets_the_name_by_a_variable():
    made = objects(helm_template(*MINE, "--set", "fleet.enabled=true", "--set", "service.enabled=false").stdout)
    assert env(made)["QUEUEPOST_FLEET_DNS"] == "queuepost-fleet.queuepost.svc"
    assert list(policy.complaints(made)) == []


def test_without_it_there_is_no_trace_of_a_fleet():
    assert "fleet" not in helm_template(*TWO).stdout and "FLEET" not in helm_template(*MINE).stdout


def test_the_longest_name_of_a_release_leaves_room_for_the_services():
    made = objects(helm_template(*TWO, "--set", f"fleet.enabled=true,fullnameOverride={'a' * 63}").stdout)
    assert named(made, "Service", f"{'a' * 57}-fleet") and list(policy.complaints(made)) == []


def test_a_prefix_of_an_overlay_reaches_service_and_variable():
    made = golden("kustomize-fleet")
    assert env(made)["QUEUEPOST_FLEET_DNS"] == "orders-queuepost-fleet"
    assert named(made, "Service", "orders-queuepost-fleet")["spec"]["selector"]["app.kubernetes.io/instance"] == "orders"


ENDPOINTS = {
    "eight": {"url": "http://a", "sessions": 8},
    "three": {"url": "http://b", "sessions": 3},
    "burst": {"url": "http://c", "sessions": 20, "rate_limit": {"per_second": 1, "burst": 5}},
    "second": {"url": "http://d", "rate_limit": {"per_second": 6.5}},
    "open": {"url": "http://e"},
}


@pytest.mark.parametrize(
    ("used", "values", "pods"),
    [
        (["eight"], "", 8),
        (["three"], "", 3),
        (["eight", "three"], "", 8),
        (["burst"], "", 5),
        (["second"], "", 7),
        (["eight", "open"], "", 10),
        (["open"], "", 10),
        (["eight"], "keda.maxReplicaCount=6", 6),
        (["eight", "open"], "fleet.workers=true", 8),
        (["eight"], "listenersDir.enabled=true,listenersDir.existingClaim=kept", 10),
        (["three"], "fleet.enabled=false", 10),
    ],
)
def test_keda_asks_for_no_more_pods_than_can_have_a_part_of_a_cap(used, values, pods):
    listeners = [
        {"queue": f"https://sqs.eu-west-1.amazonaws.com/1/{name}", "endpoint": name, "path": "/", "workers": 4 if name == "open" else 16}
        for name in used
    ]
    made = objects(
        helm_template(
            "--set-json", f"listeners={json.dumps(listeners)}", "--set-json", f"endpoints={json.dumps(ENDPOINTS)}",
            "--set", "fleet.enabled=true,keda.enabled=true", *(["--set", values] if values else []),
        ).stdout
    )
    scaled = one(made, "ScaledObject")
    assert scaled["spec"]["maxReplicaCount"] == pods
    assert list(policy.complaints(made)) == []
    # What the chart computes is the most that is let through.
    scaled["spec"]["maxReplicaCount"] = 1000
    config = policy_fleet.useful(policy._config(one(made, "Deployment"), made), env(made))
    assert any("have no part" in complaint for complaint in policy.complaints(made)) == (config is not None)
    assert config is None or min(config, 6 if "=6" in values else 10) == pods


def broken(change):
    manifests = golden("helm-fleet")
    change(manifests)
    return list(policy.complaints(manifests))


def service(change):
    return lambda manifests: change(named(manifests, "Service", "queuepost-fleet"))


BROKEN = {
    "it needs publishNotReadyAddresses": service(lambda s: s["spec"].pop("publishNotReadyAddresses")),
    "it needs clusterIP: None": service(lambda s: s["spec"].pop("clusterIP")),
    "there is no Service queuepost-fleet": service(lambda s: s["metadata"].update(name="other")),
    "in namespace queuepost and runs in other": lambda m: one(m, "Deployment")["metadata"].update(namespace="other"),
    "Service queuepost-fleet: does not select": service(lambda s: s["spec"]["selector"].update(a="b")),
    "scrapes each pod 2 times": service(lambda s: s["spec"]["ports"][0].update(name="http-metrics")),
    "asks for 9 pods, and those beyond 8": lambda m: one(m, "ScaledObject")["spec"].update(maxReplicaCount=9),
    "HorizontalPodAutoscaler a: asks for 30 pods, and those beyond 8": lambda m: m.append(
        {
            "kind": "HorizontalPodAutoscaler",
            "metadata": {"name": "a"},
            "spec": {"scaleTargetRef": {"name": "queuepost"}, "maxReplicas": 30},
        }
    ),
}


@pytest.mark.parametrize("expected", BROKEN)
def test_what_is_broken_of_a_fleet_is_complained_of(expected):
    found = broken(BROKEN[expected])
    assert any(expected in complaint for complaint in found), found


COUNTED = {**ECS, "EndpointUrl": "", "Configuration": "listeners: [{queue: a, url: https://b}]", "Fleet": "true", "MaxTasks": "4"}


def test_tasks_of_ecs_are_listed_by_a_zone_and_count_by_its_name():
    made = resolve(load("ecs.yaml"), COUNTED)["Resources"]
    service = made["FleetService"]["Properties"]
    assert service["DnsConfig"] == {"RoutingPolicy": "MULTIVALUE", "DnsRecords": [{"Type": "A", "TTL": 10}]}
    assert "HealthCheckCustomConfig" not in service and "HealthCheckConfig" not in service, "what is unhealthy posts, too"
    assert made["Service"]["Properties"]["ServiceRegistries"] == [{"RegistryArn": {"Fn::GetAtt": ["FleetService", "Arn"]}}]
    name = f"{service['Name']}.{made['FleetNamespace']['Properties']['Name']}"
    (container,) = made["TaskDefinition"]["Properties"]["ContainerDefinitions"]
    assert {"Name": "QUEUEPOST_FLEET_DNS", "Value": name} in container["Environment"]


def test_tasks_need_no_right_to_count_each_other():
    plain = {**COUNTED, "Fleet": "false"}
    for policy_ in ("TaskPolicy", "ExecutionPolicy"):
        assert properties("ecs.yaml", policy_, **COUNTED) == properties("ecs.yaml", policy_, **plain)
    made = resolve(load("ecs.yaml"), plain)["Resources"]
    assert "FleetService" not in made and "FleetNamespace" not in made and "ServiceRegistries" not in made["Service"]["Properties"]
    assert "QUEUEPOST_FLEET_DNS" not in json.dumps(made)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"MaxTasks": "5"}, "Fleet needs MaxTasks of 4 or less"),
        ({"MaxTasks": "10"}, "Fleet needs MaxTasks of 4 or less"),
        ({"Configuration": "", "EndpointUrl": ECS["EndpointUrl"]}, "Fleet needs Configuration"),
    ],
)
def test_a_fleet_of_tasks_that_cloud_map_cannot_list_or_that_has_nothing_to_share_is_refused(given, said):
    with pytest.raises(Refused, match=said):
        check(load("ecs.yaml"), {**COUNTED, **given})
    assert check(load("ecs.yaml"), {**COUNTED, **given, "Fleet": "false"})
