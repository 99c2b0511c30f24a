"""What the binary says it is made of: the list in the binary (cargo-auditable), and the one beside it (CycloneDX)."""

import json
import os
import re
import shutil
import struct
import subprocess
import zlib

import pytest
from rendering import ROOT


def section(path, name):
    """The bytes of a section of a 64-bit little-endian ELF file; None without one."""
    data = path.read_bytes()
    assert data[:6] == b"\x7fELF\x02\x01", f"{path} is no such file"
    (headers,) = struct.unpack_from("<Q", data, 0x28)
    size, count, names = struct.unpack_from("<HHH", data, 0x3A)
    entries = [struct.unpack_from("<IIQQQQ", data, headers + size * number) for number in range(count)]
    text = data[entries[names][4] :]
    for start, _, _, _, offset, length in entries:
        if text[start : text.index(b"\0", start)] == name.encode():
            return data[offset : offset + length]
    return None


def listed(document):
    return {(one["name"], one["version"]) for one in document["components"] if one["scope"] == "required"}


@pytest.fixture(scope="module")
def beside():
    """The list beside the binary, made anew."""
    done = subprocess.run([ROOT / "deploy/image/sbom"], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_the_list_in_the_binary_is_the_one_beside_it(queuepost, beside):
    audit = section(queuepost, ".dep-v0")
    if audit is None and shutil.which("cargo-auditable") is None:
        pytest.skip("the binary was built without cargo-auditable, which is not here")
    assert audit is not None, "the binary does not list its crates, though cargo-auditable is here"
    packages = json.loads(zlib.decompress(audit))["packages"]
    inside = {(one["name"], one["version"]) for one in packages if one.get("kind") != "build" and not one.get("root")}
    # Macros are in the binary's list as if they were linked.
    everything = {(one["name"], one["version"]) for one in beside["components"]}
    assert listed(beside) <= inside <= everything
    assert json.loads((queuepost.parent / "queuepost.cdx.json").read_text()) == beside


def test_each_part_has_version_licence_source_and_checksum(beside):
    assert (beside["bomFormat"], beside["specVersion"]) == ("CycloneDX", "1.6")
    assert len(beside["components"]) > 100
    for one in beside["components"]:
        assert one["purl"] == one["bom-ref"] == f"pkg:cargo/{one['name']}@{one['version']}"
        assert re.fullmatch(r"[\w.()+-]+( (OR|AND|WITH) [\w.()+-]+)*", one["licenses"][0]["expression"]), one
        assert re.fullmatch(r"[0-9a-f]{64}", one["hashes"][0]["content"]), one
    names = {one["name"] for one in beside["components"]}
    assert {"tokio", "rustls", "aws-lc-sys", "aws-sdk-sqs"} <= names
    assert not {"proptest", "rcgen", "opentelemetry"} & names, "tests and features that are off are no part of it"
    references = {one["bom-ref"] for one in beside["components"]} | {beside["metadata"]["component"]["bom-ref"]}
    assert {one["ref"] for one in beside["dependencies"]} == references
    assert all(set(one["dependsOn"]) <= references for one in beside["dependencies"])


def test_the_same_commit_prints_the_same_bytes_and_other_features_and_machines_others(beside):
    def printed(**more):
        command = [ROOT / "deploy/image/sbom"]
        return json.loads(subprocess.run(command, capture_output=True, check=True, env={**os.environ, **more}).stdout)

    assert printed() == beside and "timestamp" not in beside["metadata"]
    assert ("opentelemetry", "required") in {(one["name"], one["scope"]) for one in printed(FEATURES="otlp")["components"]}
    dated = printed(SOURCE_DATE_EPOCH="1700000000")
    assert dated["metadata"].pop("timestamp") == "2023-11-14T22:13:20Z" and dated == beside
    other = printed(TARGETARCH="arm64" if os.uname().machine == "x86_64" else "amd64")
    assert other["serialNumber"] != beside["serialNumber"]
