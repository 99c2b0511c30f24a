"""Every rendering against the schemas of what receives it, by kubeconform.

The schemas are derived from Kubernetes' own OpenAPI document and from the CRDs of KEDA and of the Prometheus operator, as
.ci/deploy finds them in their Go modules. Unknown fields are refused. The ACK controller's module cannot be had from the Go
module proxy; its one kind is compared with the fields it is known to have.
"""

import copy
import json

import pytest
import yaml
from rendering import NAMES, RENDERED, TOOLS, golden, run, tool

SOURCES = TOOLS / "schemas"
ACK = "PodIdentityAssociation"
ACK_FIELDS = {"clusterName", "namespace", "serviceAccount", "roleARN"}


def parse(text):
    """YAML of megabytes, by the parser in C where there is one."""
    return yaml.load(text, getattr(yaml, "CSafeLoader", yaml.SafeLoader))


def strict(schema):
    """The schema, with unknown fields refused, as JSON Schema."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string") or schema.get("format") == "int-or-string":
        return {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    made = {key: strict(part) for key, part in schema.items() if key not in ("format", "properties")}
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if "properties" in schema:
        made["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        if not open_ended:
            made["additionalProperties"] = False
    return made


@pytest.fixture(scope="session")
def schemas(tmp_path_factory):
    """A folder with a schema for each kind."""
    if not SOURCES.exists():
        pytest.skip("the schemas' sources are not installed: .ci/deploy takes them from the Go modules")
    folder = tmp_path_factory.mktemp("schemas")

    def write(group, version, kind, schema):
        name = f"{kind.lower()}-{group.split('.')[0]}-{version}" if group else f"{kind.lower()}-{version}"
        (folder / f"{name}.json").write_text(json.dumps(schema))

    definitions = json.loads((SOURCES / "kubernetes.json").read_text())["definitions"]
    definitions = {name: strict(definition) for name, definition in definitions.items()}
    kinds = {manifest["kind"] for name in NAMES for manifest in golden(name)}
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    for name, definition in definitions.items():
        for kind in definition.get("x-kubernetes-group-version-kind", []):
            if kind["kind"] in kinds:
                write(kind["group"], kind["version"], kind["kind"], {**definition, "definitions": definitions})
    for path in SOURCES.glob("crd-*.yaml"):
        crd = parse(path.read_text())["spec"]
        for version in crd["versions"]:
            schema = strict(copy.deepcopy(version["schema"]["openAPIV3Schema"]))
            schema["properties"]["metadata"] = {"type": "object"}
            write(crd["group"], version["name"], crd["names"]["kind"], schema)
    return folder


def conform(schemas, path, *more):
    location = f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    return run(
        tool("kubeconform"), "-strict", "-summary", "-output", "json", "-schema-location", location, *more, path, check=False
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_rendering_conforms(name, schemas):
    done = conform(schemas, RENDERED / f"{name}.yaml", "-skip", ACK)
    summary = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    skipped = sum(manifest["kind"] == ACK for manifest in golden(name))
    assert summary["summary"]["skipped"] == skipped and summary["summary"]["valid"] == len(golden(name)) - skipped


@pytest.mark.parametrize("kind", ["Deployment", "ScaledObject", "PodMonitor", "TriggerAuthentication"])
def test_an_unknown_field_does_not_conform(kind, schemas, tmp_path):
    manifest = next(manifest for manifest in golden("helm-production") if manifest["kind"] == kind)
    manifest["spec"]["unheardOf"] = 1
    (tmp_path / "manifest.yaml").write_text(yaml.safe_dump(manifest))
    done = conform(schemas, tmp_path / "manifest.yaml")
    assert done.returncode != 0 and "unheardOf" in done.stdout, done.stdout


def test_an_association_has_the_fields_of_the_controller():
    for name in ("helm-pod-identity", "kustomize-pod-identity"):
        (association,) = [manifest for manifest in golden(name) if manifest["kind"] == ACK]
        assert association["spec"].keys() == ACK_FIELDS
