"""A Docker daemon of the tests' own: private folder and socket, no bridge and no packet filter, containers on the host's
network, so that they reach servers on its loopback.
"""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cluster import until
from rendering import ROOT, run, tool

#: Debian's own client knows BuildKit without a plug-in, which others need.
CLIENT = "/usr/bin/docker"


class Docker:
    """The daemon, and the client pointed at it."""

    def __init__(self, folder):
        self.client = CLIENT if os.path.exists(CLIENT) else tool("docker")
        daemon = tool("dockerd")
        # Since 23 the client builds by its plug-in alone.
        version = run(self.client, "--version", check=False).stdout
        major = re.search(r"version ([0-9]+)\.", version)
        if (not major or int(major[1]) >= 23) and run(self.client, "buildx", "version", check=False).returncode != 0:
            pytest.skip(f"docker's plug-in buildx is not installed: {version.strip()} does not build without it")
        if os.geteuid() != 0:
            pytest.skip("dockerd is not started: this needs root")
        # A socket's path has 108 bytes at most.
        self.socket = f"/tmp/queuepost-docker-{os.getpid()}.sock"
        self.folder = folder
        self.log = folder / "dockerd.log"
        with self.log.open("w") as file:
            self.process = subprocess.Popen(
                [
                    daemon, "--host", f"unix://{self.socket}", "--data-root", folder / "data", "--exec-root", folder / "exec",
                    "--pidfile", folder / "dockerd.pid", "--iptables=false", "--ip6tables=false", "--bridge=none",
                ],
                stdout=file, stderr=file,
            )
        self.env = {
            "DOCKER_HOST": f"unix://{self.socket}", "HOME": str(folder), "PATH": os.environ["PATH"],
        }
        try:
            until("dockerd", lambda: self("info", check=False).returncode == 0, self.process, self.log)
        except AssertionError as error:
            self.stop()
            pytest.skip(f"dockerd does not start on this machine: {str(error).splitlines()[-1]}")

    def __call__(self, *arguments, check=True, buildkit=True, **options):
        return run(self.client, *arguments, check=check, env=self.env | {"DOCKER_BUILDKIT": str(int(buildkit))}, **options)

    def build(self, tag, *arguments, **options):
        """Builds the image around the prebuilt binary."""
        return self("build", "--tag", tag, "--file", ROOT / "deploy/image/Dockerfile", *arguments, ROOT, **options)

    def inspect(self, name):
        return json.loads(self("inspect", name).stdout)[0]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=60)
        # It leaves a network namespace mounted, which nobody could remove.
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for mount in reversed([mount for mount in mounts if mount.startswith(f"{self.folder}/")]):
            run("umount", mount, check=False)
        shutil.rmtree(self.folder, ignore_errors=True)
