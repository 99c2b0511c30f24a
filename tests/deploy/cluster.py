"""A real kube-apiserver over a real etcd, on loopback, for as long as a test needs it.

There is no controller and no node: objects are defaulted, validated and admitted as in any cluster, but no pod is made. What
a Deployment's pods would be met with is asked by a dry run of one.
"""

import json
import os
import socket
import subprocess
import time
import urllib.request
from pathlib import Path

from rendering import run, tool

PATIENCE = 120
TOKEN = "deploy-tests"


def free_port():
    """A port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def until(what, ready, process=None, log=None):
    """Waits until `ready` returns something; prints the log when it never does or the process ends."""
    end = time.monotonic() + PATIENCE
    last = None
    while time.monotonic() < end and (process is None or process.poll() is None):
        try:
            if found := ready():
                return found
        except OSError as error:
            last = error
        time.sleep(0.1)
    tail = Path(log).read_text()[-4000:] if log else ""
    raise AssertionError(f"{what}: not within {PATIENCE} s; {last}\n{tail}")


class Cluster:
    """The two processes, and the tools pointed at them."""

    def __init__(self, folder):
        self.folder = folder
        self.processes = []
        etcd, api = tool("etcd"), tool("kube-apiserver")
        self.kubectl_path, self.helm_path = tool("kubectl"), tool("helm")
        client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self._start(
            "etcd", etcd, "--data-dir", folder / "etcd", "--listen-client-urls", client, "--advertise-client-urls", client,
            "--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", f"default={peer}",
            "--unsafe-no-fsync",
        )
        key = folder / "service-accounts.key"
        run(tool("openssl"), "genrsa", "-out", key, "2048")
        (folder / "tokens.csv").write_text(f"{TOKEN},tests,tests,system:masters\n")
        port = free_port()
        process, log = self._start(
            "kube-apiserver", api, "--etcd-servers", client, "--bind-address", "127.0.0.1",
            "--advertise-address", "127.0.0.1", "--secure-port", port, "--cert-dir", folder / "certificates",
            "--service-account-key-file", key, "--service-account-signing-key-file", key,
            "--service-account-issuer", "https://tests", "--service-cluster-ip-range", "10.0.0.0/24",
            "--token-auth-file", folder / "tokens.csv", "--authorization-mode", "RBAC", "--endpoint-reconciler-type", "none",
        )
        config = {
            "apiVersion": "v1", "kind": "Config", "current-context": "tests",
            "clusters": [
                {"name": "tests", "cluster": {"server": f"https://127.0.0.1:{port}", "insecure-skip-tls-verify": True}}
            ],
            "users": [{"name": "tests", "user": {"token": TOKEN}}],
            "contexts": [{"name": "tests", "context": {"cluster": "tests", "user": "tests"}}],
        }
        self.kubeconfig = folder / "kubeconfig"
        self.kubeconfig.write_text(json.dumps(config))
        self.env = {
            "KUBECONFIG": str(self.kubeconfig), "HOME": str(folder), "PATH": os.environ["PATH"],
        }
        until("kube-apiserver", lambda: self.kubectl("get", "--raw", "/readyz", check=False).stdout == "ok", process, log)
        until("namespace default", lambda: self.kubectl("get", "namespace", "default", check=False).returncode == 0)

    def _start(self, name, *command):
        log = self.folder / f"{name}.log"
        with log.open("w") as file:
            process = subprocess.Popen([str(part) for part in command], stdout=file, stderr=file)
        self.processes.append(process)
        return process, log

    def kubectl(self, *arguments, check=True, **options):
        return run(self.kubectl_path, *arguments, check=check, env=self.env, **options)

    def helm(self, *arguments, check=True):
        return run(self.helm_path, *arguments, check=check, env=self.env)

    def get(self, kind, name, namespace):
        """An object as the server has it."""
        return json.loads(self.kubectl("-n", namespace, "get", kind, name, "-o", "json").stdout)

    def stop(self):
        for process in reversed(self.processes):
            process.terminate()
            process.wait(timeout=60)
