"""The binary for arm64, which this machine compiled, by an emulator: it starts, and moves messages. Speed is not looked at."""

import os
import platform
import re
import struct
import subprocess
from pathlib import Path

import pytest
from cluster import until
from rendering import ROOT, run, tool
from servers import Endpoint, Queue
from test_supply import section

#: The number of the processor in an ELF file.
AARCH64 = 0xB7


@pytest.fixture(scope="module")
def arm64():
    """The binary: $QUEUEPOST_ARM64_BINARY, or where .ci/deploy puts it; and how it is run here."""
    path = Path(os.environ.get("QUEUEPOST_ARM64_BINARY", ROOT / "target/image-arm64/queuepost"))
    if not path.exists():
        pytest.skip("the binary for arm64 is not built: QUEUEPOST_ARM64=1 .ci/deploy builds it")
    return path, [] if platform.machine() == "aarch64" else [tool("qemu-aarch64")]


def test_it_is_a_static_binary_for_arm64_that_lists_its_crates(arm64):
    path, _ = arm64
    data = path.read_bytes()
    assert struct.unpack_from("<H", data, 0x12) == (AARCH64,)
    assert b"ld-musl" not in data and b"ld-linux" not in data and str(ROOT).encode() not in data
    assert section(path, ".dep-v0"), "it was built without cargo-auditable"


def test_it_starts_and_says_its_version(arm64):
    path, emulator = arm64
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert run(*emulator, path, "--version").stdout.startswith(f"queuepost {version}")


def test_it_moves_messages_and_drains(arm64, tmp_path):
    path, emulator = arm64
    queue, endpoint = Queue(tmp_path), Endpoint()
    env = {
        "PATH": os.environ["PATH"], "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
        "QUEUEPOST_ADMIN_LISTEN": "127.0.0.1:0",
    }
    command = ["run", "--queue", queue.url, "--url", f"http://127.0.0.1:{endpoint.port}/", "--workers", "2", "--receive-wait", "1s"]
    log = tmp_path / "log"
    with log.open("w") as file:
        process = subprocess.Popen([*emulator, path, *command], env=env, stdout=file, stderr=file)
    try:
        bodies = [f'{{"n":{n}}}' for n in range(10)]
        queue.send(*bodies)
        until("all posted", lambda: len(endpoint.bodies) >= len(bodies), process, log)
        assert sorted(endpoint.bodies) == sorted(bodies)
        until("all deleted", lambda: queue.depth() == (0, 0), process, log)
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        queue.stop()
        endpoint.stop()
