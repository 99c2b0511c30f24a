"""What docs/kubernetes.md and docs/scaling.md say: its figures by their command, its values in the chart."""

import importlib.util
import re
import shutil

import policy
import pytest
import yaml
from rendering import CHART, KUSTOMIZE, ROOT, helm_template, objects, one, run, tool

SPEC = importlib.util.spec_from_file_location("scaling", ROOT / "deploy/scaling.py")
scaling = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(scaling)

BENCHMARK = """Linux 6.1, 2 processors, load 0.1 before{br}

### endpoint 0 ms, SQS 0 ms

| | CPU µs/message | messages/s | SQS calls/message | POSTs/message | peak MiB | exactly once |
|---|---:|---:|---:|---:|---:|---:|
| queuepost | 50.0 (49.0–51.0) | 9000 (1–2) | 0.200 (0.2–0.2) | 1.000 | 20.0 (1.0–2.0) | {exactly} |

### endpoint 20 ms, SQS 5–10 ms

| | CPU µs/message | messages/s | SQS calls/message | POSTs/message | peak MiB | exactly once |
|---|---:|---:|---:|---:|---:|---:|
| queuepost | 100.0 | 2500 | 0.210 | 1.000 | 24.0 | {exactly} |
"""


def test_what_follows_from_the_constants_is_what_the_page_says():
    page = scaling.PAGE.read_text()
    assert scaling.rendered(page) == page, "rewrite it: python3 deploy/scaling.py"


def test_the_benchmark_prints_what_is_read():
    table = (ROOT / "benches/throughput/table.rs").read_text()
    heading = next(line for line in BENCHMARK.splitlines() if line.startswith("| |"))
    names = ", ".join(f'"{cell.strip()}"' for cell in heading.strip("|").split("|"))
    assert re.sub(r"\s+", " ", names) in re.sub(r"\s+", " ", table)
    found = scaling.parse(BENCHMARK.format(br="  ", exactly="yes, 3 of 3"))
    assert found == {"instant": (50.0, 0.2, 20.0), "waiting": (100.0, 0.21, 24.0)}


def test_figures_of_a_run_that_lost_messages_are_refused():
    with pytest.raises(SystemExit, match="1 lost"):
        scaling.parse(BENCHMARK.format(br="", exactly="NO: of 3 1 lost, 0 repeated, 0 altered"))


def test_constants_are_found_from_three_runs():
    runs = {
        scaling.SMALL: {"instant": (50, 0.2, 20), "waiting": (100, 0.21, 24)},
        scaling.LARGE: {"instant": (200, 0.2, 40), "waiting": (226, 0.21, 24 + 63 * 64 * 8 / 1024)},
        scaling.WIDE: {"instant": (50, 0.2, 40), "waiting": (100, 0.21, 24 + 448 * 64 / 1024)},
    }
    assert scaling.fit(runs) == {
        "cpu_busy": 50, "cpu_waiting": 100, "cpu_per_kib": 2, "memory_base": 20, "memory_per_worker": 64, "memory_per_kib": 8,
        "calls": 0.21,
    }


def test_a_plan_is_the_sum_that_the_page_describes():
    constants = dict.fromkeys(scaling.CONSTANTS, 0) | {"cpu_waiting": 100, "calls": 0.2, "memory_base": 20, "memory_per_worker": 64}
    needs = scaling.plan(constants, 1000, 0.5, 1, 64)
    assert needs["pods"] == 11 and needs["cores"] == pytest.approx(0.1) and needs["MiB of a pod"] == 24
    assert needs["requests per message, backlog"] == pytest.approx(0.2) and needs["requests per message, one by one"] == 2
    # 256 KiB: a receive takes four, of four requests each, and a batch of deletes ten.
    needs = scaling.plan(constants, 1000, 0.5, 256, 64)
    assert needs["requests per message, backlog"] == pytest.approx(4.1)


def mebibytes(text):
    assert text.endswith("Mi")
    return int(text.removesuffix("Mi"))


def test_requests_and_limit_of_the_chart_fit_the_measured_memory():
    constants = scaling.constants_of(scaling.PAGE.read_text())
    resources = yaml.safe_load((CHART / "values.yaml").read_text())["resources"]
    small, large = (scaling.plan(constants, 1, 1, kib, 16)["MiB of a pod"] for kib in (1, 256))
    assert mebibytes(resources["requests"]["memory"]) > 1.5 * small
    assert mebibytes(resources["limits"]["memory"]) > 2 * large


def test_every_value_that_is_set_in_the_documentation_exists():
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    texts = [(ROOT / name).read_text() for name in ("docs/kubernetes.md", "README.md")] + [
        (CHART / "templates/NOTES.txt").read_text()
    ]
    set_ = {key for text in texts for key in re.findall(r"--set ([A-Za-z.]+)=", text)}
    named = set(re.findall(r"`([a-z][A-Za-z]+(?:\.[A-Za-z]+)+)`", texts[0])) - {"shutdown.deadline", "admin.listen"}
    assert len(set_) >= 4
    for path in set_ | {name for name in named if name.split(".")[0] in values}:
        found = values
        for key in path.split("."):
            assert key in found, path
            found = found[key]


@pytest.fixture
def beside(tmp_path):
    """A folder with the Kustomize files, and an empty one for an overlay beside them."""
    shutil.copytree(KUSTOMIZE, tmp_path / "deploy/kustomize")
    (tmp_path / "orders").mkdir()
    return tmp_path


def test_the_two_files_of_the_page_are_an_overlay(beside):
    page = (ROOT / "docs/kubernetes.md").read_text()
    kustomization, configuration = re.findall(r"^```yaml\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)[:2]
    (beside / "orders/kustomization.yaml").write_text(kustomization)
    (beside / "orders/queuepost.yaml").write_text(configuration)
    made = objects(run(tool("kubectl"), "kustomize", beside / "orders").stdout)
    assert list(policy.complaints(made)) == []
    assert {manifest["metadata"]["namespace"] for manifest in made} == {"orders"}
    assert one(made, "Deployment")["spec"]["template"]["spec"]["containers"][0]["image"].startswith("REGISTRY/")
    assert yaml.safe_load(one(made, "ConfigMap")["data"]["queuepost.yaml"]) == yaml.safe_load(configuration)


def test_every_file_of_the_production_overlay_is_in_the_list_of_what_to_change():
    page = (ROOT / "docs/kubernetes.md").read_text()
    listed = set(re.findall(r"^\| `([a-z]+\.yaml)` \|", page, re.MULTILINE))
    assert listed == {path.name for path in (KUSTOMIZE / "overlays/production").iterdir()}


def test_another_namespace_that_keda_is_not_told_is_complained_of(beside):
    file = beside / "deploy/kustomize/overlays/production/kustomization.yaml"
    file.write_text(file.read_text().replace("namespace: queuepost\n", "namespace: orders\n"))
    found = list(policy.complaints(objects(run(tool("kubectl"), "kustomize", file.parent).stdout)))
    assert len(found) == 4 and all("asks queuepost.queuepost, which is no Service" in one for one in found), found


def test_the_names_in_the_trust_policies_are_those_of_the_installation():
    page = (ROOT / "docs/kubernetes.md").read_text()
    (release, namespace) = re.search(r"helm install (\w+) deploy/helm/queuepost --namespace (\w+)", page).groups()
    text = helm_template("--set", "queue=a,url=http://a", "--name-template", release).stdout
    name = one(objects(text), "ServiceAccount")["metadata"]["name"]
    assert f'"system:serviceaccount:{namespace}:{name}"' in page
    assert page.count(name) >= 3


def test_no_page_stops_by_a_scale_to_nothing_a_fleet_that_keda_scales_up_again():
    for page in [*ROOT.glob("docs/**/*.md"), CHART / "templates/NOTES.txt"]:
        text = page.read_text()
        if re.search(r"scaled? (it )?to (0|zero|nothing)|--replicas[= ]0", text):
            assert "autoscaling.keda.sh/paused-replicas=0" in text, page.name
