"""What is rendered from the chart and from Kustomize, and by which tools.

A rendering is text, as the user's tool prints it; `objects` reads it. Goldens are in deploy/rendered: a test compares,
and QUEUEPOST_BLESS=1 rewrites.
"""

import functools
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "deploy/helm/queuepost"
KUSTOMIZE = ROOT / "deploy/kustomize"
RENDERED = ROOT / "deploy/rendered"
TOOLS = ROOT / "target/deploy-tools"
NAMESPACE = "queuepost"

#: Every rendering that is kept, by name: of the chart by its values, of Kustomize by its folder.
HELM = {f"helm-{path.name.removesuffix('-values.yaml')}": path for path in sorted((CHART / "ci").glob("*-values.yaml"))}
OVERLAYS = {
    "kustomize-base": KUSTOMIZE / "base",
    "kustomize-dev": KUSTOMIZE / "overlays/dev",
    "kustomize-production": KUSTOMIZE / "overlays/production",
    "kustomize-fleet": ROOT / "tests/deploy/overlays/fleet",
    "kustomize-pod-identity": ROOT / "tests/deploy/overlays/pod-identity",
}
NAMES = [*HELM, *OVERLAYS]
#: Renderings that describe the same installation.
SAME = [
    ("helm-minimal", "kustomize-base"),
    ("helm-dev", "kustomize-dev"),
    ("helm-production", "kustomize-production"),
    ("helm-pod-identity", "kustomize-pod-identity"),
]


def found(name, *, prefer=None):
    """A program: our own build, or else the machine's; None without either."""
    for path in (TOOLS / "bin" / name, *([Path(prefer)] if prefer else [])):
        if path.exists():
            return str(path)
    return shutil.which(name)


#: Programs whose versions print differently: the module that pins each, and what prints its version.
PINNED = {
    "helm": ("helm.sh/helm/v3", ["version", "--template", "{{.Version}}"]),
    "kubectl": ("k8s.io/kubernetes", ["version", "--client", "--output", "json"]),
}


@functools.cache
def other_version(name, path):
    """What the machine's program is, where that is not the version that is pinned; our own build always is."""
    if name not in PINNED or Path(path).is_relative_to(TOOLS):
        return None
    module, command = PINNED[name]
    pinned = re.search(rf"^\s*{re.escape(module)} (v\S+)", (ROOT / "tests/deploy/tools/go.mod").read_text(), re.MULTILINE)[1]
    said = re.search(r"v[0-9]+\.[0-9]+\.[0-9]+[^\s\"]*", run(path, *command, check=False).stdout)
    return None if said and said[0] == pinned else f"{path} is {said[0] if said else 'of no known version'} and not {pinned}"


def tool(name, *, prefer=None):
    """A program; without it, or with another version than the tests are for, the test is skipped by its name."""
    path = found(name, prefer=prefer)
    if path is None:
        pytest.skip(f"{name} is not installed: .ci/deploy installs it where it can")
    if other := other_version(name, path):
        pytest.skip(f"{name} is not installed as pinned: {other}")
    return path


def run(*command, check=True, timeout=300, **options):
    """Runs a program; what it printed is in the failure."""
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=timeout, **options)
    if check and done.returncode != 0:
        raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    return done


def helm_template(*arguments, check=True):
    """`helm template` of the chart."""
    name = [] if "--name-template" in arguments else ["queuepost"]
    return run(tool("helm"), "template", *name, CHART, "--namespace", NAMESPACE, *arguments, check=check)


def render(name):
    """The text of a rendering."""
    if name in HELM:
        return helm_template("--values", HELM[name]).stdout
    return run(tool("kubectl"), "kustomize", OVERLAYS[name]).stdout


def objects(text):
    """The objects of a rendering."""
    return [document for document in yaml.safe_load_all(text) if document]


def golden(name):
    """The objects of a rendering as it is kept."""
    return objects((RENDERED / f"{name}.yaml").read_text())


def one(manifests, kind):
    """The only object of a kind."""
    (found,) = [manifest for manifest in manifests if manifest["kind"] == kind]
    return found


def blessing():
    """Whether generated files are to be rewritten."""
    return os.environ.get("QUEUEPOST_BLESS") == "1"


def matches(path, expected):
    """Fails unless the file at `path` holds exactly `expected`; rewrites it if told so."""
    if blessing():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(expected)
        return
    kept = path.read_text() if path.exists() else ""
    assert kept == expected, f"{path.relative_to(ROOT)} is not what is generated; rewrite it: QUEUEPOST_BLESS=1 .ci/deploy"
