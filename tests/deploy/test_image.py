"""The image, built from the Dockerfile and run by Docker: what is in it, as whom it runs, what it does and how it ends."""

import io
import os
import platform
import re
import shutil
import subprocess
import tarfile

import pytest
from cluster import free_port, until
from docker import Docker
from rendering import ROOT, run, tool
from servers import Endpoint, NameServer, Queue

IMAGE = "queuepost:test"
#: What is shipped, and what .ci/deploy builds without optimising it.
LARGEST = 25 * 1000 * 1000
LARGEST_UNOPTIMISED = 60 * 1000 * 1000
LOCKED_DOWN = [
    "--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--network", "host", "--env", "AWS_REGION=us-east-1",
    "--env", "AWS_ACCESS_KEY_ID=test", "--env", "AWS_SECRET_ACCESS_KEY=test",
]


@pytest.fixture(scope="module")
def docker(tmp_path_factory):
    made = Docker(tmp_path_factory.mktemp("docker"))
    yield made
    made.stop()


@pytest.fixture(scope="module")
def image(docker, queuepost):
    assert queuepost == ROOT / "target/image/queuepost", "the image holds what deploy/image/prebuilt put there"
    docker.build(IMAGE, "--build-arg", "VERSION=0.1.0", "--build-arg", "REVISION=abc")
    return IMAGE


#: Programs of this machine that the builder's image has too, and programs it has that are played.
REAL = ["sh", "cp", "mkdir", "touch", "sed", "uname", "dirname", "cat", "rm", "tr", "env"]
PLAYED = {
    "apt-get": "exit 0",
    "dpkg": "exit 0",
    "rustup": "exit 0",
    "rustc": "echo /rust",
    "cargo-auditable": "exit 0",
    "python3": "echo '{}'",
    # Each compilation leaves a line: what it was asked for, what it found, and what it would write into the binary.
    "cargo": """folder="target/$(echo "$*" | sed 's/.*--target \\([^ ]*\\).*/\\1/')/dist"
mkdir -p "$folder"
env | sed -n '/^CC_\\|^AR_\\|_LINKER=/p' >>"$folder/queuepost"
echo "$* | $(sed -n 1p src/main.rs) | ${QUEUEPOST_REVISION:-none}" >>"$folder/queuepost"
""",
}


@pytest.fixture(scope="module")
def builder(docker, tmp_path_factory):
    """An image of the builder's name, whose compiler writes down what it is asked for."""
    name = re.search(r"^FROM .*?(\S+) AS compiled$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]
    root = tmp_path_factory.mktemp("builder")
    for program in REAL:
        path = tool(program)
        libraries = re.findall(r"(/\S+) \(0x", run("ldd", path, check=False).stdout)
        for source, place in [(path, f"bin/{program}"), *((library, library.lstrip("/")) for library in libraries)]:
            (root / place).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, root / place)
    for program, script in PLAYED.items():
        (root / "bin" / program).write_text(f"#!/bin/sh\n{script}")
        (root / "bin" / program).chmod(0o755)
    authorities = root / "etc/ssl/certs/ca-certificates.crt"
    authorities.parent.mkdir(parents=True)
    authorities.write_text("authorities")
    (root / "tmp").mkdir()
    packed = root.parent / f"{root.name}.tar"
    run("tar", "-C", root, "-cf", packed, ".")
    docker("import", "--change", "ENV PATH=/bin", packed, name)
    yield
    docker("rmi", "--force", name)


def compilations(docker, tag):
    """What the played compiler wrote into the image's binary."""
    made = docker("create", tag).stdout.strip()
    packed = subprocess.run([docker.client, "export", made], env=docker.env, capture_output=True, check=True).stdout
    docker("rm", made)
    with tarfile.open(fileobj=io.BytesIO(packed)) as files:
        return files.extractfile("queuepost").read().decode().splitlines()


@pytest.mark.parametrize("buildkit", [True, False], ids=["BuildKit", "the classic builder"])
def test_every_builder_compiles_the_dependencies_first_and_then_the_program(docker, builder, buildkit, tmp_path):
    context = tmp_path / "context"
    shutil.copytree(ROOT, context, ignore=lambda folder, names: {n for n in names if n in ("target", ".git", "docs", "tests")})
    (context / "tests").mkdir()
    (context / "tests/main.rs").write_text("")

    def build(revision):
        options = ["--pull=false", "--network", "host", "--build-arg", f"REVISION={revision}", "--build-arg", "FEATURES=otlp"]
        docker("build", "--tag", "queuepost:played", *options, context, buildkit=buildkit)
        return compilations(docker, "queuepost:played")

    (context / "src/main.rs").write_text("fn first() {}\n")
    dependencies, program = build("abc")
    assert dependencies.startswith("auditable build ") and program.startswith("auditable build ")
    assert "--features otlp" in dependencies and "| fn main() {} |" in dependencies and dependencies.endswith("| none")
    assert "--features otlp" in program and "| fn first() {} |" in program and program.endswith("| abc")
    # Another program, another revision: the dependencies are those of before.
    (context / "src/main.rs").write_text("fn second() {}\n")
    again, program = build("def")
    assert again == dependencies and "| fn second() {} | def" in program


#: The other machine as Docker calls it and as Rust does, by the name of this one.
OTHER = {"x86_64": ("arm64", "aarch64"), "aarch64": ("amd64", "x86_64")}


def test_buildkit_compiles_for_another_machine_on_its_own(docker, builder):
    name, arch = OTHER[platform.machine()]
    docker("build", "--tag", "queuepost:other", "--platform", f"linux/{name}", "--network", "host", ROOT, buildkit=True)
    said = "\n".join(compilations(docker, "queuepost:other"))
    target = f"{arch}_unknown_linux_musl"
    assert said.count(f"--target {arch}-unknown-linux-musl ") == 2
    assert f"CC_{target}={arch}-linux-musl-gcc\n" in said and f"AR_{target}={arch}-linux-gnu-ar\n" in said
    assert f"CARGO_TARGET_{target.upper()}_LINKER={arch}-linux-gnu-gcc\n" in said
    assert docker.inspect("queuepost:other")["Architecture"] == name


def test_buildkit_keeps_what_was_compiled_where_that_is_asked_for(docker, builder, tmp_path):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text(run(ROOT / "deploy/image/with-caches").stdout)
    assert dockerfile.read_text().count(" --mount=type=cache,") == 4

    def build(revision):
        options = ["--pull=false", "--network", "host", "--build-arg", f"REVISION={revision}", "--file", dockerfile]
        docker("build", "--tag", "queuepost:cached", *options, ROOT, buildkit=True)
        return compilations(docker, "queuepost:cached")

    dependencies, program = build("abc")
    # The played compiler adds a line to what it finds in its folder, which is the one of before.
    assert build("def") == [dependencies, program, f"{program.removesuffix('abc')}def"]


@pytest.mark.parametrize("other", [False, True])
def test_the_builder_installs_a_compiler_for_the_machine_that_is_built_for(other, tmp_path):
    for program in ("apt-get", "dpkg", "rustup", "cargo"):
        (tmp_path / program).write_text(f'#!/bin/sh\necho "{program} $*"\n')
        (tmp_path / program).chmod(0o755)
    machine = platform.machine()
    name, arch = OTHER[machine] if other else ("", machine)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TARGETARCH": name}
    said = run(ROOT / "deploy/image/toolchain", env=env).stdout
    assert f"rustup target add {arch}-unknown-linux-musl" in said
    assert re.search(r"^cargo install --locked cargo-auditable@\d+\.\d+\.\d+$", said, re.MULTILINE), said
    if other:
        assert f"dpkg --add-architecture {name}\n" in said
        assert f" gcc-{arch.replace('_', '-')}-linux-gnu musl-dev:{name}\n" in said
    else:
        assert "dpkg" not in said and " musl-tools\n" in said


def test_both_dockerfiles_end_in_the_same_image():
    ours, prebuilt = ((ROOT / path).read_text() for path in ("Dockerfile", "deploy/image/Dockerfile"))
    assert ours[ours.index("ARG VERSION=") :] == prebuilt[prebuilt.index("ARG VERSION=") :]
    assert re.findall(r"^FROM .*$", prebuilt, re.MULTILINE) == ["FROM scratch"]
    # Only BuildKit knows mounts.
    assert "--mount" not in re.sub(r"^#.*$", "", ours + prebuilt, flags=re.MULTILINE)


def test_the_classic_builder_packs_a_prebuilt_binary(docker, image):
    docker.build("queuepost:classic", "--build-arg", "VERSION=0.1.0", "--build-arg", "REVISION=abc", buildkit=False)
    made, classic = (docker.inspect(name)["Config"] for name in (image, "queuepost:classic"))
    for key in ("User", "Entrypoint", "Cmd", "Labels", "Healthcheck", "ExposedPorts"):
        assert made[key] == classic[key], key


def test_a_prebuilt_binary_knows_its_revision(queuepost):
    head = run("git", "rev-parse", "HEAD", cwd=ROOT, check=False).stdout.strip()
    if not head:
        pytest.skip("this is no checkout of git")
    assert head.encode() in queuepost.read_bytes(), f"the binary was not built from {head}, or does not say so"


@pytest.fixture(scope="module")
def queue(tmp_path_factory):
    made = Queue(tmp_path_factory.mktemp("queue"))
    yield made
    made.stop()


@pytest.fixture
def endpoint():
    made = Endpoint()
    yield made
    made.stop()


class Container:
    """A running listener."""

    def __init__(self, docker, queue, url, *options):
        self.docker = docker
        self.admin = f"127.0.0.1:{free_port()}"
        environment = ["--env", f"QUEUEPOST_ADMIN_LISTEN={self.admin}"]
        command = ["run", "--queue", queue.url, "--url", url, "--workers", "2", "--receive-wait", "1s"]
        started = docker("run", "--detach", *LOCKED_DOWN, *environment, *options, IMAGE, *command)
        self.id = started.stdout.strip()

    def state(self):
        return self.docker.inspect(self.id)["State"]

    def logs(self):
        done = self.docker("logs", self.id)
        return done.stdout + done.stderr

    def until(self, what, ready):
        try:
            return until(what, ready)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.logs()}") from error


@pytest.fixture
def start(docker, image, queue):
    started = []

    def make(url, *options):
        started.append(Container(docker, queue, url, *options))
        return started[-1]

    yield make
    for container in started:
        # A listener that is killed leaves a receive behind, which would take a message of the next test into the dark.
        docker("stop", "--time", "60", container.id)
        docker("rm", container.id)


def test_the_binary_is_static_and_names_neither_a_path_of_this_machine_nor_the_time_of_its_compilation(queuepost):
    text = queuepost.read_bytes()
    assert b"/lib64/ld-linux" not in text and b"ld-musl" not in text
    for folder in (str(ROOT), str(ROOT.home() / ".cargo"), str(ROOT.home() / ".rustup")):
        assert folder.encode() not in text, folder
    # As C's __DATE__ writes it.
    dates = set(re.findall(rb"(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ 123]\d \d{4}", text))
    assert dates <= {b"Jan  1 1970"}, dates


def test_what_the_builder_gets_is_enough_for_cargo_and_no_more(docker, tmp_path):
    dockerfile = tmp_path / "Dockerfile"
    dockerfile.write_text("FROM scratch\nCOPY . /\n")
    context = tmp_path / "context"
    docker("build", "--file", dockerfile, "--output", f"type=local,dest={context}", ROOT)
    metadata = ["metadata", "--locked", "--offline", "--no-deps", "--format-version", "1"]
    run("cargo", *metadata, "--manifest-path", context / "Cargo.toml", cwd=ROOT)
    there = {path.relative_to(context) for path in context.rglob("*.rs") if "src" in path.parts}
    assert there == {path.relative_to(ROOT) for path in (ROOT / "src").rglob("*.rs")}
    assert (context / "deploy/image/build").exists()
    assert {path.name for path in context.iterdir()} <= {
        "Cargo.toml", "Cargo.lock", "src", "benches", "tests", "deploy", "target",
    }


def test_the_toolchain_of_the_builder_is_that_of_the_project():
    channel = re.search(r'channel = "(.+)"', (ROOT / "rust-toolchain.toml").read_text())[1]
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert f" rust:{channel}-" in dockerfile and f"RUSTUP_TOOLCHAIN={channel}\n" in dockerfile


def test_the_builder_compiles_the_binary_where_its_image_can_be_had(docker):
    builder = re.search(r"^FROM .*?(\S+) AS compiled$", (ROOT / "Dockerfile").read_text(), re.MULTILINE)[1]
    if docker("pull", builder, check=False).returncode != 0:
        pytest.skip(f"{builder} cannot be pulled")
    # A daemon without a bridge builds on the host's network. It compiles with link-time optimisation.
    docker("build", "--tag", "queuepost:compiled", "--network", "host", ROOT, timeout=3600)
    said = docker("run", "--rm", *LOCKED_DOWN, "queuepost:compiled", "--version").stdout
    version = re.search(r'^version = "(.+)"', (ROOT / "Cargo.toml").read_text(), re.MULTILINE)[1]
    assert version in said, said
    assert docker.inspect("queuepost:compiled")["Size"] < LARGEST


def test_the_image_holds_the_binary_and_the_authorities_and_is_small(docker, image):
    made = docker("create", image).stdout.strip()
    packed = subprocess.run([docker.client, "export", made], env=docker.env, capture_output=True, check=True).stdout
    docker("rm", made)
    files = {item.name: item for item in tarfile.open(fileobj=io.BytesIO(packed)) if item.isfile() and item.size}
    assert files.keys() == {"queuepost", "queuepost.cdx.json", "etc/ssl/certs/ca-certificates.crt"}
    assert docker.inspect(image)["Size"] < LARGEST_UNOPTIMISED
    config = docker.inspect(image)["Config"]
    assert config["User"] == "65532:65532" and config["Entrypoint"] == ["/queuepost"] and config["Cmd"] == ["run"]
    assert config["Healthcheck"]["Test"] == ["CMD", "/queuepost", "healthcheck"]
    labels = {key.removeprefix("org.opencontainers.image."): value for key, value in config["Labels"].items()}
    assert labels["version"] == "0.1.0" and labels["revision"] == "abc" and labels["licenses"] == "Apache-2.0"


def test_it_moves_messages_from_a_queue_on_the_host_as_nobody_with_no_rights(start, docker, queue, endpoint):
    container = start(
        f"http://localhost:{endpoint.port}/events", "--health-interval", "1s", "--health-start-period", "0s",
    )
    bodies = [f'{{"n":{n}}}' for n in range(20)]
    queue.send(*bodies)
    container.until("all posted", lambda: len(endpoint.bodies) >= len(bodies))
    assert sorted(endpoint.bodies) == sorted(bodies)
    container.until("all deleted", lambda: queue.depth() == (0, 0))
    status = open(f"/proc/{container.state()['Pid']}/status").read()
    assert re.search(r"^Uid:\s+65532\s+65532\s+65532\s+65532$", status, re.MULTILINE), status
    for kind in ("CapEff", "CapPrm", "CapBnd"):
        assert re.search(rf"^{kind}:\s+0+$", status, re.MULTILINE), status
    assert docker.inspect(container.id)["HostConfig"]["ReadonlyRootfs"]
    container.until("healthy", lambda: container.state()["Health"]["Status"] == "healthy")


def test_a_stop_drains_and_exits_0(start, docker, queue, endpoint):
    container = start(f"http://127.0.0.1:{endpoint.port}/events")
    # A new process begins with one POST at once, and goes on with two after two successes.
    queue.send("one", "two", "three", "four")
    container.until("four done", lambda: len(endpoint.bodies) == 4 and queue.depth() == (0, 0))
    endpoint.answering.clear()
    queue.send("first", "second", "third", "fourth")
    container.until("two running", lambda: len(endpoint.bodies) == 6)
    stopping = subprocess.Popen([docker.client, "stop", "--time", "60", container.id], env=docker.env, stdout=subprocess.DEVNULL)
    container.until("draining", lambda: "drain" in container.logs())
    endpoint.answering.set()
    assert stopping.wait(60) == 0
    state = container.state()
    assert (state["ExitCode"], state["OOMKilled"]) == (0, False), container.logs()
    # What ran was finished and deleted, what never began is there for others.
    until("two left", lambda: queue.depth() == (2, 0))
    assert len(endpoint.bodies) == 6
    queue.call("PurgeQueue", QueueUrl=queue.url)


def test_names_are_looked_up_in_the_hosts_file_and_at_the_name_server(start, queue, endpoint):
    names = NameServer()
    container = start(f"http://hosts.test:{endpoint.port}/", "--add-host", "hosts.test:127.0.0.1")
    queue.send("by the hosts file")
    container.until("posted", lambda: "by the hosts file" in endpoint.bodies)
    container.docker("stop", container.id)
    container = start(f"http://dns.test:{endpoint.port}/", "--dns", NameServer.ADDRESS)
    queue.send("by the name server")
    container.until("posted", lambda: "by the name server" in endpoint.bodies)
    names.stop()


def test_the_authorities_of_the_image_are_trusted_and_no_others(docker, image, queue, tmp_path):
    openssl = tool("openssl")
    key, certificate = tmp_path / "key.pem", tmp_path / "certificate.pem"
    run(
        openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", certificate, "-subj", "/CN=localhost",
        "-addext", "subjectAltName=DNS:localhost", "-addext", "basicConstraints=critical,CA:FALSE", "-days", "2",
    )
    port = free_port()
    server = subprocess.Popen(
        [openssl, "s_server", "-accept", f"127.0.0.1:{port}", "-key", key, "-cert", certificate, "-quiet"],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )
    check = ["check", "--format", "json", "--queue", queue.url, "--url", f"https://localhost:{port}/"]
    mount = ["--volume", f"{certificate}:/etc/ssl/certs/ca-certificates.crt:ro"]
    try:
        refused = docker("run", "--rm", *LOCKED_DOWN, IMAGE, *check, check=False)
        assert refused.returncode == 1 and "authority" in refused.stdout, refused.stdout + refused.stderr
        trusted = docker("run", "--rm", *LOCKED_DOWN, *mount, IMAGE, *check, check=False)
        assert trusted.returncode == 0, trusted.stdout + trusted.stderr
    finally:
        server.terminate()
        server.wait(10)


def test_without_a_configuration_it_says_so_and_exits_78(docker, image):
    done = docker("run", "--rm", *LOCKED_DOWN, image, check=False)
    assert done.returncode == 78 and "queue" in done.stderr, done.stderr
