"""The release script, in a small repository with played tools: what it refuses, and what it makes. A real release takes minutes."""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tarfile

import pytest
from rendering import ROOT, run

#: What stands for the real programs. The build script "compiles" a file with what the release looks for.
PLAYED = {
    "bin/cargo": "exit 0",
    "bin/cargo-auditable": "exit 0",
    "bin/musl-gcc": "exit 0",
    **{f"bin/{arch}-linux-{tool}": "exit 0" for arch in ("x86_64", "aarch64") for tool in ("musl-gcc", "gnu-gcc")},
    "bin/docker": 'case "$1" in info) echo id ;; save) echo "image ${@: -1}" >"$3" ;; esac',
    "bin/helm": 'case "$1" in package) echo chart >"$4/queuepost-1.2.3.tgz" ;; esac',
    "repo/.ci/supply": 'echo "advisories: not checked: played"; exit "${REFUSED-0}"',
    "repo/deploy/image/build": 'echo "binary $TARGETARCH ${AUDIT-.dep-v0} $QUEUEPOST_REVISION" >"built-$TARGETARCH"; echo "built-$TARGETARCH"',
    "repo/deploy/image/sbom": 'echo "{}"',
    "repo/deploy/image/prebuilt": "exit 0",
}
FILES = {
    "Cargo.toml": '[package]\nname = "queuepost"\nversion = "1.2.3"\n',
    "Cargo.lock": '[[package]]\nname = "queuepost"\nversion = "1.2.3"\n',
    "deploy/helm/queuepost/Chart.yaml": 'name: queuepost\nversion: 1.2.3\nappVersion: "1.2.3"\n',
    "CHANGELOG.md": "# Changelog\n\n## Unreleased\n\n## 1.2.3 - 2026-01-02\n\n- Something is new.\n\n## 1.2.2 - 2026-01-01\n\n- Old.\n",
    "LICENSE": "licence\n", "README.md": "readme\n", "SECURITY.md": "security\n", ".gitignore": "/target\n/built-*\n",
}


class Repository:
    def __init__(self, folder):
        self.root = folder / "repo"
        for path, text in FILES.items():
            (self.root / path).parent.mkdir(parents=True, exist_ok=True)
            (self.root / path).write_text(text)
        for path, script in PLAYED.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(f"#!/bin/bash\n{script}\n")
            (folder / path).chmod(0o755)
        (self.root / "deploy/release").mkdir()
        shutil.copy(ROOT / "deploy/release/release", self.root / "deploy/release")
        # git and what else the played programs need, but neither a docker nor a helm of this machine.
        (folder / "real").mkdir()
        (folder / "real/python3").symlink_to(os.path.realpath(sys.executable))
        for name in ("bash", "git", "env"):
            (folder / "real" / name).symlink_to(shutil.which(name))
        self.env = {"PATH": f"{folder}/bin:{folder}/real", "HOME": str(folder), "GIT_CONFIG_GLOBAL": "/dev/null"}
        self.bin = folder / "bin"
        self.git("init", "--quiet")
        self.commit()

    def git(self, *arguments):
        return run("git", "-c", "user.name=n", "-c", "user.email=e@example.com", *arguments, cwd=self.root).stdout.strip()

    def commit(self):
        self.git("add", "--all")
        self.git("commit", "--quiet", "--allow-empty", "--message", "m", "--date", "2026-01-02T00:00:00Z")

    def write(self, path, old, new):
        file = self.root / path
        assert old in file.read_text()
        file.write_text(file.read_text().replace(old, new))
        self.commit()

    def release(self, *arguments, version="1.2.3", **env):
        command = [self.root / "deploy/release/release", version, *arguments]
        return subprocess.run(command, env=self.env | env, capture_output=True, text=True, timeout=60)


@pytest.fixture
def repository(tmp_path):
    return Repository(tmp_path)


def test_a_dry_run_says_what_would_be_made_and_makes_nothing(repository):
    done = repository.release("--dry-run")
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    assert "would make amd64, arm64, chart, image in target/release-1.2.3" in done.stdout
    assert not (repository.root / "target").exists() and not list(repository.root.glob("built-*"))


@pytest.mark.parametrize(
    "path, old, new, said",
    [
        ("Cargo.toml", "1.2.3", "1.2.4", "Cargo.toml has version 1.2.4"),
        ("Cargo.lock", "1.2.3", "1.2.4", "Cargo.lock has version 1.2.4"),
        ("deploy/helm/queuepost/Chart.yaml", "\nversion: 1.2.3", "\nversion: 1.2.4", "Chart.yaml (version) has version 1.2.4"),
        ("deploy/helm/queuepost/Chart.yaml", '"1.2.3"', '"1.2.4"', "Chart.yaml (appVersion) has version 1.2.4"),
        ("CHANGELOG.md", "## 1.2.3 - 2026-01-02", "## 1.2.3", "CHANGELOG.md has no section `## 1.2.3 - YYYY-MM-DD`"),
        ("CHANGELOG.md", "- Something is new.\n", "", "CHANGELOG.md says nothing under 1.2.3 - 2026-01-02"),
        ("CHANGELOG.md", "## Unreleased\n", "## Unreleased\n\n- Forgotten.\n", "CHANGELOG.md has entries under Unreleased"),
    ],
)
def test_what_does_not_belong_to_the_version_is_refused_before_anything_is_made(repository, path, old, new, said):
    repository.write(path, old, new)
    done = repository.release()
    assert done.returncode == 1 and [line for line in done.stdout.splitlines() if line.startswith(f"wrong: {said}")], done.stdout
    assert not (repository.root / "target").exists()


def test_all_that_is_wrong_is_said_at_once(repository):
    (repository.root / "README.md").write_text("changed\n")
    for name in ("docker", "cargo-auditable"):
        (repository.bin / name).unlink()
    done = repository.release(version="v2")
    assert done.returncode == 1 and done.stdout.count("wrong: ") == 5, done.stdout
    for said in ("v2 is no version", "has no section", "not committed", "docker is not", "cargo-auditable is not"):
        assert said in done.stdout, said


def test_a_tag_on_another_commit_is_refused_and_one_on_this_commit_is_not(repository):
    repository.git("tag", "v1.2.3")
    assert repository.release("--dry-run").returncode == 0
    repository.commit()
    done = repository.release("--dry-run")
    assert done.returncode == 1 and "v1.2.3 is there already" in done.stdout


def test_a_release_has_everything_a_tag_needs_and_sums_that_hold(repository):
    done = repository.release()
    assert done.returncode == 0, done.stdout + done.stderr
    out = repository.root / "target/release-1.2.3"
    archives = [f"queuepost-1.2.3-{arch}-unknown-linux-musl" for arch in ("aarch64", "x86_64")]
    assert {path.name for path in out.iterdir()} == {
        "NOTES.md", "SHA256SUMS", "queuepost-1.2.3.tgz",
        *(f"{name}.{kind}" for name in archives for kind in ("tar.gz", "cdx.json")),
        *(f"queuepost-1.2.3-image-{arch}.tar.gz" for arch in ("amd64", "arm64")),
    }
    assert (out / "NOTES.md").read_text() == "- Something is new.\n"
    sums = dict(reversed(line.split("  ")) for line in (out / "SHA256SUMS").read_text().splitlines())
    assert sums.keys() == {path.name for path in out.iterdir()} - {"NOTES.md", "SHA256SUMS"}
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == value for name, value in sums.items())
    with tarfile.open(out / f"{archives[1]}.tar.gz") as tar:
        items = {item.name.removeprefix(f"{archives[1]}/"): item for item in tar}
        assert items.keys() == {"queuepost", "queuepost.cdx.json", "LICENSE", "README.md", "CHANGELOG.md", "SECURITY.md"}
        assert {(item.uid, item.gid) for item in items.values()} == {(0, 0)}
        assert items["queuepost"].mode == 0o755 and items["LICENSE"].mode == 0o644
    assert "advisories: not checked: played\n" in done.stdout, "a check that was not made is said"
    for step in ("git tag", "docker load", "docker manifest create", "helm push"):
        assert step in done.stdout, step
    # Made again elsewhere in time, it is the same.
    again = repository.release()
    assert again.returncode == 0
    packed = {name: value for name, value in sums.items() if not name.endswith(".tgz")}
    assert all(hashlib.sha256((out / name).read_bytes()).hexdigest() == value for name, value in packed.items())


def test_a_binary_that_does_not_list_its_crates_is_not_released(repository):
    done = repository.release(AUDIT="")
    assert done.returncode != 0 and "does not list its crates" in done.stderr, done.stderr
    assert not (repository.root / "target/release-1.2.3/SHA256SUMS").exists()


def test_what_the_rules_for_dependencies_refuse_is_not_released(repository):
    done = repository.release(REFUSED="1")
    assert done.returncode != 0 and ".ci/supply: exit 1" in done.stderr, done.stderr
    assert not (repository.root / "target").exists()


def test_what_is_left_out_and_what_is_not_for_shipping_is_said(repository):
    other = "arm64" if platform.machine() == "x86_64" else "amd64"
    (repository.bin / "docker").unlink()
    done = repository.release("--leave-out", "image", "--leave-out", other, PROFILE="dev")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "left out: image\n" in done.stdout and f"left out: {other}\n" in done.stdout and "not for shipping" in done.stdout
    assert not list((repository.root / "target/release-1.2.3").glob("*image*")) and "docker" not in done.stdout
    assert os.path.exists(repository.root / "target/release-1.2.3/SHA256SUMS")
