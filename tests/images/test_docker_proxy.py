"""The filter in front of the Docker API, between a real client and a real engine.

A relay between proxy and engine notes what reaches the engine, so that "refused" means: it never
heard of it.
"""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
SOURCE = REPOSITORY / "images/docker-proxy"
AIRFLOW_PYTHON = REPOSITORY / ".venv/airflow/bin/python"
IMAGE = "carprice-trainer:latest"
MARK = uuid.uuid4().hex[:8]
NETWORK = f"carprice-proxy-test-{MARK}"
SYSTEM = f"proxy-test-{MARK}"
API = "/v1.41"
TMP = "/tmp"  # noqa: S108 - a container's own
NOBODY = "0" * 64
KELVIN_SIGN = chr(0x212A)

sys.path[:0] = [str(SOURCE), str(REPOSITORY / "airflow")]
from docker_proxy import container_policy, endpoints
from docker_proxy import settings as proxy_settings

from include import settings as airflow_settings

pytestmark = [pytest.mark.docker]


def docker(*arguments: str) -> str:
    """What the docker command printed, asked at the engine itself."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


class Relay:
    """Passes every connection on to the engine and notes the first line of what was asked."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.asked: list[str] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            engine = socket.socket(socket.AF_UNIX)
            engine.connect("/var/run/docker.sock")
            threading.Thread(target=self._pass_on, args=(client, engine, True), daemon=True).start()
            threading.Thread(target=self._pass_on, args=(engine, client, False), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, noted: bool) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                if noted:
                    self.asked += [line.decode() for line in re.findall(rb"[A-Z]+ /\S* HTTP/1.[01]", part)]
                target.sendall(part)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@dataclass
class Answer:
    """A response, and what reached the engine before it came."""

    status: int
    content: bytes
    asked: list[str] = field(default_factory=list)

    @property
    def json(self) -> Any:
        return json.loads(self.content)

    @property
    def message(self) -> str:
        return str(self.json["message"])


class RunningProxy:
    """The proxy as a process of its own, on a free port."""

    def __init__(self, folder: Path, relay: Relay, **environment: str) -> None:
        self.relay = relay
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.log = folder / f"proxy-{self.port}.log"
        self.environment = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(SOURCE),
            "CARPRICE_PROXY_PORT": str(self.port),
            "CARPRICE_PROXY_ENGINE_SOCKET": relay.path,
            **environment,
        }
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "docker_proxy", "serve"], env=self.environment, stderr=log
            )
        end = time.monotonic() + 20
        while f":{self.port}" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, "the proxy does not listen"
            time.sleep(0.02)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=20)

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        """One request; a body that is not bytes goes as JSON."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if content is not None:
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        before = len(self.relay.asked)
        try:
            connection.request(method, target, content, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(), self.relay.asked[before:])
        finally:
            connection.close()

    def send(self, message: bytes) -> Answer:
        """Exactly these bytes, and what came back until the connection was closed."""
        before = len(self.relay.asked)
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(message)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        return Answer(int(head.split()[1]) if head else 0, body, self.relay.asked[before:])

    def create(self, body: Any, name: str = "") -> Answer:
        return self.ask("POST", f"{API}/containers/create?name={name or container_name()}", body)


def container_name() -> str:
    return f"carprice-proxy_{MARK}-1-{uuid.uuid4().hex[:8]}"


@pytest.fixture(scope="module")
def engine() -> Iterator[None]:
    """An engine with a step's image and a network for the steps; in the end nothing of ours is left."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "version"], capture_output=True).returncode
    ):
        sentence = "No Docker engine answers: `make docker-engine` starts one."
        if os.environ.get("REQUIRE_DOCKER") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    if not docker("image", "ls", "-q", IMAGE):
        subprocess.run([REPOSITORY / "images/build", "trainer"], check=True)
    docker("network", "create", NETWORK)
    yield
    ours = docker("ps", "-aq", "--filter", f"name={MARK}").split()
    if ours:
        docker("rm", "-fv", *ours)
    docker("network", "rm", NETWORK)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root that the steps' user may write to."""
    folder = tmp_path_factory.mktemp("root") / "data"
    (folder / "raw").mkdir(parents=True)
    for each in (folder, folder / "raw"):
        each.chmod(0o777)
    return folder


@pytest.fixture(scope="module")
def start(
    engine: None, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., RunningProxy]]:
    """Starts a proxy, with other settings where told."""
    folder = tmp_path_factory.mktemp("proxy")
    relay = Relay(folder / "engine.sock")
    running: list[RunningProxy] = []

    def started(**environment: str) -> RunningProxy:
        usual = {
            "CARPRICE_PROXY_ID": SYSTEM,
            "CARPRICE_DOCKER_NETWORK": NETWORK,
            "DATA_DIR": str(data),
        }
        running.append(RunningProxy(folder, relay, **{**usual, **environment}))
        return running[-1]

    yield started
    assert [proxy.stop() for proxy in running] == [0] * len(running)
    for proxy in running:
        assert "Traceback" not in proxy.log.read_text()


@pytest.fixture(scope="module")
def proxy(start: Callable[..., RunningProxy]) -> RunningProxy:
    return start()


@pytest.fixture
def step(data: Path) -> dict[str, Any]:
    """The body of a step's create request, as the Docker SDK writes it for container_step."""
    return {
        "User": "50000:0",
        "Tty": False,
        "OpenStdin": False,
        "StdinOnce": False,
        "AttachStdin": False,
        "AttachStdout": True,
        "AttachStderr": True,
        "Env": [f"DATA_DIR={data}", "HOME=/tmp", "CARPRICE_PARAMS=a: 1\n", "AWS_SECRET_ACCESS_KEY=hidden"],
        "Cmd": ["train-model", "--result", f"{TMP}/result.json"],
        "Image": IMAGE,
        "NetworkDisabled": False,
        "Entrypoint": ["carprice"],
        "HostConfig": {
            "Memory": 2 * 1024**3,
            "MemorySwap": 2 * 1024**3,
            "NetworkMode": NETWORK,
            "CapDrop": ["ALL"],
            "SecurityOpt": ["no-new-privileges"],
            "CpuQuota": 200000,
            "CpuPeriod": 100000,
            "CpuShares": 1024,
            "PidsLimit": 512,
            "Mounts": [{"Target": str(data), "Source": str(data), "Type": "bind", "ReadOnly": False}],
        },
        "Labels": {
            "carprice.data": str(data),
            "carprice.dag": "some_dag",
            "carprice.run": "manual__1",
            "carprice.task": "some_step",
            "carprice.map_index": "-1",
            "carprice.try": "1",
        },
    }


@pytest.fixture
def made(proxy: RunningProxy, step: dict[str, Any]) -> Iterator[str]:
    """The id of a container made through the proxy and not started."""
    answer = proxy.create({**step, "Cmd": ["--help"]})
    assert answer.status == 201, answer.content
    yield answer.json["Id"]
    subprocess.run(["docker", "rm", "-fv", answer.json["Id"]], capture_output=True, check=False)


def words(value: str) -> str:
    return value or "nothing"


def state(container: str) -> str:
    """What an operation could have changed of a container."""
    return docker("inspect", "--format", "{{.Name}} {{json .State}} {{json .HostConfig}}", container)


def changed(body: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """`body` with `value` at `place`, a path of keys and numbers; `...` takes the key out."""
    body = copy.deepcopy(body)
    *parents, last = [int(key) if key.isdigit() else key for key in place.split("/")]
    inner: Any = body
    for key in parents:
        inner = inner[key]
    if value is ...:
        del inner[last]
    elif isinstance(inner, list) and last == len(inner):
        inner.append(value)
    else:
        inner[last] = value
    return body


# --- a step


STEP = """
import json, sys
from collections import defaultdict
from types import SimpleNamespace

from airflow.sdk import Asset
from include.step import step_operator

class TaskInstance:
    dag_id, task_id, map_index, try_number, run_id = "proxy", "check", -1, 1, sys.argv[1]

    def xcom_push(self, key, value):
        print(key, value)

events = defaultdict(lambda: SimpleNamespace(extra=None))
operator = step_operator()(
    python_callable=lambda: sys.argv[2:], task_id="check", outlets=[Asset(name="a", uri="carprice://test/a")]
)
print("RESULT", json.dumps(operator.execute({"ti": TaskInstance(), "outlet_events": events})))
"""


def run_step(
    proxy: RunningProxy, data: Path, folder: Path, *arguments: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """A step as Airflow runs it, by the operator of `airflow/include/container_step.py`."""
    (folder / "params.yaml").write_text("landing: {settle_seconds: 10}\n")
    return subprocess.run(
        [AIRFLOW_PYTHON, "-c", STEP, f"run-{MARK}", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "AIRFLOW_HOME": str(folder),
            "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
            "PYTHONPATH": str(REPOSITORY / "airflow"),
            "DOCKER_HOST": f"tcp://127.0.0.1:{proxy.port}",
            "CARPRICE_DOCKER_NETWORK": NETWORK,
            "CARPRICE_PARAMS_FILE": str(folder / "params.yaml"),
            "DATA_DIR": str(data),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_real_step_runs_from_start_to_result(proxy: RunningProxy, data: Path, tmp_path: Path) -> None:
    import hashlib

    from carprice.listings import sample

    sample.write_sample(str(data / "raw/sample.csv"), 200, 1)
    digest = hashlib.sha256((data / "raw/sample.csv").read_bytes()).hexdigest()

    done = run_step(proxy, data, tmp_path, "check-data-quality", "--file", "sample.csv", "--sha256", digest)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    result = json.loads(done.stdout.partition("RESULT ")[2].splitlines()[0])
    assert (result["file"], result["status"]) == ("sample.csv", "accepted")
    assert (data / f"listings/{digest}.parquet").stat().st_uid != 0
    assert docker("ps", "-aq", "--filter", f"label=carprice.run=run-{MARK}") == ""


def test_a_step_follows_its_output_and_is_told_its_exit_status(
    proxy: RunningProxy, data: Path, tmp_path: Path
) -> None:
    done = run_step(proxy, data, tmp_path, "no-such-step")

    assert done.returncode == 1
    assert "The step was called wrongly: " in done.stderr
    assert "no-such-step" in done.stderr


def test_a_step_that_is_refused_says_why(proxy: RunningProxy, data: Path, tmp_path: Path) -> None:
    done = run_step(proxy, data, tmp_path, "claim-files", CARPRICE_STEP_MEMORY="3g")

    assert done.returncode == 1
    assert f"HostConfig.Memory must be a whole number from 6291456 to {2 * 1024**3}, found {3 * 1024**3}" in (
        done.stderr
    )


def test_a_container_has_the_hardening_that_was_left_out(proxy: RunningProxy, step: dict[str, Any]) -> None:
    for key in ("CapDrop", "SecurityOpt"):
        del step["HostConfig"][key]

    answer = proxy.create(step)

    assert answer.status == 201, answer.content
    container = answer.json["Id"]
    found = json.loads(docker("inspect", container))[0]
    host = found["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert found["Config"]["Labels"]["carprice.proxy"] == SYSTEM
    (scratch,) = (mount for mount in found["Mounts"] if mount["Type"] == "volume")
    assert scratch["Destination"] == TMP
    assert proxy.ask("DELETE", f"{API}/containers/{container}?force=True").status == 204
    gone = subprocess.run(["docker", "volume", "inspect", scratch["Name"]], capture_output=True, check=False)
    assert gone.returncode == 1


# --- what a container may be

ALLOWED_BODIES = {
    "as container_step sends it": ("Tty", False),
    "no arguments": ("Cmd", ...),
    "no mounts": ("HostConfig/Mounts", ...),
    "data read only": ("HostConfig/Mounts/0/ReadOnly", True),
    "the app's image": ("Image", "carprice-app:latest"),
    "another user": ("User", "1234:1234"),
    "background": ("HostConfig/CpuShares", 64),
    "half a processor": ("HostConfig/CpuQuota", 50000),
    "its root file system read only": ("HostConfig/ReadonlyRootfs", True),
    "its scratch volume": (
        "HostConfig/Mounts/1",
        {"Target": TMP, "Source": None, "Type": "volume", "ReadOnly": False},
    ),
    "mail": ("Env/4", "CARPRICE_SMTP_URL=smtp://user:password@mail:25"),
}


@pytest.mark.parametrize(("place", "value"), ALLOWED_BODIES.values(), ids=ALLOWED_BODIES)
def test_a_container_of_a_step_is_allowed(
    proxy: RunningProxy, step: dict[str, Any], place: str, value: Any
) -> None:
    answer = proxy.create(changed(step, place, value))
    if place == "Image" and answer.status == 404:
        pytest.skip(f"The engine has no {value}.")

    assert answer.status == 201, answer.content
    assert proxy.ask("DELETE", f"{API}/containers/{answer.json['Id']}").status == 204


DATA = "the data root"  # replaced by the data root of the test
REFUSED_BODIES: list[tuple[str, Any]] = [
    # host namespaces and privileges
    ("HostConfig/Privileged", True),
    ("HostConfig/Privileged", False),
    ("HostConfig/NetworkMode", "host"),
    ("HostConfig/NetworkMode", "container:some-other"),
    ("HostConfig/NetworkMode", "bridge"),
    ("HostConfig/NetworkMode", "none"),
    ("HostConfig/NetworkMode", ""),
    ("HostConfig/NetworkMode", ...),
    ("HostConfig/PidMode", "host"),
    ("HostConfig/IpcMode", "host"),
    ("HostConfig/UTSMode", "host"),
    ("HostConfig/UsernsMode", "host"),
    ("HostConfig/CgroupnsMode", "host"),
    ("HostConfig/CgroupParent", "/"),
    ("HostConfig/CapAdd", ["SYS_ADMIN"]),
    ("HostConfig/CapDrop", []),
    ("HostConfig/CapDrop", ["CHOWN"]),
    ("HostConfig/CapDrop", None),
    ("HostConfig/Capabilities", ["CAP_SYS_ADMIN"]),
    ("HostConfig/SecurityOpt", []),
    ("HostConfig/SecurityOpt", ["no-new-privileges", "seccomp=unconfined"]),
    ("HostConfig/SecurityOpt", ["apparmor=unconfined"]),
    ("HostConfig/SecurityOpt", ["no-new-privileges=false"]),
    ("HostConfig/ReadonlyRootfs", False),
    ("HostConfig/MaskedPaths", []),  # which means: hide nothing of /proc
    ("HostConfig/ReadonlyPaths", []),
    ("HostConfig/GroupAdd", ["root"]),
    ("HostConfig/GroupAdd", ["0"]),
    ("HostConfig/Runtime", "other"),
    ("HostConfig/Sysctls", {"kernel.shm_rmid_forced": "1"}),
    ("HostConfig/Isolation", "process"),
    # devices
    ("HostConfig/Devices", [{"PathOnHost": "/dev/sda", "PathInContainer": "/dev/sda"}]),
    ("HostConfig/DeviceRequests", [{"Driver": "nvidia", "Count": -1}]),
    ("HostConfig/DeviceCgroupRules", ["a *:* rwm"]),
    ("HostConfig/BlkioDeviceWriteBps", [{"Path": "/dev/sda", "Rate": 1}]),
    # files
    ("HostConfig/Binds", ["/:/host"]),
    ("HostConfig/Binds", []),
    ("HostConfig/VolumesFrom", ["some-other"]),
    ("HostConfig/Tmpfs", {"/opt/venv": "exec"}),
    ("HostConfig/VolumeDriver", "local"),
    ("HostConfig/Mounts", {"Target": "/x"}),
    ("HostConfig/Mounts/0/Source", "/"),
    ("HostConfig/Mounts/0/Source", f"{DATA}/"),
    ("HostConfig/Mounts/0/Source", f"{DATA}/raw"),  # a link by the time the engine looks
    ("HostConfig/Mounts/0/Source", f"{DATA}/.."),
    ("HostConfig/Mounts/0/Source", f"{DATA}/../../etc"),
    ("HostConfig/Mounts/0/Source", f"{DATA}-too"),
    ("HostConfig/Mounts/0/Source", f"/{DATA}"),
    ("HostConfig/Mounts/0/Source", "/var/run/docker.sock"),
    ("HostConfig/Mounts/0/Source", None),
    ("HostConfig/Mounts/0/Source", ["/"]),
    ("HostConfig/Mounts/0/Target", "/opt/venv"),
    ("HostConfig/Mounts/0/Target", ["/"]),
    ("HostConfig/Mounts/0/Target", ...),
    ("HostConfig/Mounts/0/Type", "volume"),
    ("HostConfig/Mounts/0/Type", "tmpfs"),
    ("HostConfig/Mounts/0/Type", ...),
    ("HostConfig/Mounts/0/ReadOnly", 0),
    ("HostConfig/Mounts/0/BindOptions", {"Propagation": "rshared"}),
    ("HostConfig/Mounts/0/Consistency", "default"),
    ("HostConfig/Mounts/1", {"Target": DATA, "Source": DATA, "Type": "bind"}),
    ("HostConfig/Mounts/1", {"Target": "/host", "Source": "/", "Type": "bind"}),
    ("HostConfig/Mounts/1", {"Target": TMP, "Source": "/", "Type": "bind"}),
    ("HostConfig/Mounts/1", {"Target": TMP, "Source": "someones-volume", "Type": "volume"}),
    ("HostConfig/Mounts/1", {"Target": f"{TMP}/", "Source": "/", "Type": "bind"}),
    (
        "HostConfig/Mounts/1",
        {
            "Target": TMP,
            "Type": "volume",
            "VolumeOptions": {"DriverConfig": {"Options": {"type": "none", "o": "bind", "device": "/"}}},
        },
    ),
    ("Volumes", {"/opt/venv": {}}),
    # resources
    ("HostConfig/Memory", ...),
    ("HostConfig/Memory", 0),
    ("HostConfig/Memory", -1),
    ("HostConfig/Memory", 2 * 1024**3 + 1),
    ("HostConfig/Memory", 1e9),
    ("HostConfig/Memory", "2g"),
    ("HostConfig/Memory", True),
    ("HostConfig/MemorySwap", ...),
    ("HostConfig/MemorySwap", -1),
    ("HostConfig/MemorySwap", 1024**3),
    ("HostConfig/CpuQuota", ...),
    ("HostConfig/CpuQuota", -1),
    ("HostConfig/CpuQuota", 200001),
    ("HostConfig/CpuPeriod", ...),
    ("HostConfig/CpuPeriod", 50000),
    ("HostConfig/CpuShares", 262144),
    ("HostConfig/NanoCpus", 64_000_000_000),
    ("HostConfig/PidsLimit", ...),
    ("HostConfig/PidsLimit", 0),
    ("HostConfig/PidsLimit", -1),
    ("HostConfig/OomKillDisable", True),
    ("HostConfig/OomScoreAdj", -1000),
    ("HostConfig/ShmSize", 2**40),
    ("HostConfig/Ulimits", [{"Name": "nofile", "Soft": 1048576, "Hard": 1048576}]),
    ("HostConfig/RestartPolicy", {"Name": "always"}),
    ("HostConfig/AutoRemove", True),
    ("HostConfig/LogConfig", {"Type": "syslog", "Config": {"syslog-address": "tcp://10.0.0.1:514"}}),
    # network
    ("HostConfig/PublishAllPorts", True),
    ("HostConfig/PortBindings", {"8000/tcp": [{"HostPort": "8000"}]}),
    ("HostConfig/ExtraHosts", ["mlflow:10.0.0.1"]),
    ("HostConfig/Dns", ["10.0.0.1"]),
    ("HostConfig/Links", ["some-other:x"]),
    ("NetworkingConfig", {"EndpointsConfig": {"bridge": {}}}),
    ("ExposedPorts", {"8000/tcp": {}}),
    ("MacAddress", "02:42:ac:11:00:02"),
    ("NetworkDisabled", True),
    # who and what runs
    ("User", "0"),
    ("User", "0:0"),
    ("User", "00"),
    ("User", "+0"),
    ("User", "root"),
    ("User", "nobody"),
    ("User", ""),
    ("User", ":50000"),
    ("User", "4294967296"),
    ("User", "50000:root"),
    ("User", 50000),
    ("User", ...),
    ("Image", "carprice-trainer"),
    ("Image", "carprice-python:3.13"),
    ("Image", "sha256:" + "0" * 64),
    ("Image", ["carprice-trainer:latest"]),
    ("Image", ...),
    ("Entrypoint", ["sh", "-c"]),
    ("Entrypoint", "carprice"),
    ("Entrypoint", []),
    ("Entrypoint", ...),
    ("Cmd", "--help"),
    ("Env/4", "PATH=/data/evil"),
    ("Env/4", "LD_PRELOAD=/data/evil.so"),
    ("Env/4", "PYTHONPATH=/data/evil"),
    ("Env/4", "AWS_CONFIG_FILE=/data/evil"),
    ("Env/4", "HOME"),
    ("Tty", True),
    ("Tty", 0),
    ("OpenStdin", True),
    ("AttachStdin", True),
    ("AttachStdout", "yes"),
    ("WorkingDir", "/"),
    ("Hostname", "mlflow"),
    ("Healthcheck", {"Test": ["CMD-SHELL", "id"]}),
    ("Shell", ["sh"]),
    ("OnBuild", ["RUN id"]),
    ("StopSignal", "SIGHUP"),
    # labels
    ("Labels", ...),
    ("Labels", None),
    ("Labels/carprice.run", ...),
    ("Labels/carprice.try", 1),
    ("Labels/carprice.data", "/somewhere/else"),
    ("Labels/carprice.proxy", SYSTEM),
    ("Labels/com.docker.compose.project", "carprice"),
    # a key as Go's decoder takes it, too
    ("HostConfig/privileged", True),
    ("HostConfig/PRIVILEGED", True),
    ("HostConfig/pidmode", "host"),
    (f"HostConfig/Networ{KELVIN_SIGN}Mode", "host"),
    ("hostconfig", {"Privileged": True}),
    ("hostConfig", {"Privileged": True}),
    ("user", "0"),
    ("HostConfig", ...),
    ("HostConfig", None),
    ("HostConfig", []),
]


@pytest.mark.parametrize(("place", "value"), REFUSED_BODIES, ids=[f"{p}={v!r}" for p, v in REFUSED_BODIES])
def test_a_container_of_anything_else_is_refused(
    proxy: RunningProxy, step: dict[str, Any], data: Path, place: str, value: Any
) -> None:
    if value is not ...:
        value = json.loads(json.dumps(value).replace(DATA, str(data)))
    name = container_name()

    answer = proxy.create(changed(step, place, value), name)

    assert answer.status == 403
    key = next(word for word in reversed(place.split("/")) if not word.isdigit())
    assert key in answer.message
    if key == "Env":
        assert json.dumps(value.partition("=")[0]) in answer.message
    elif value is ...:
        assert "found none" in answer.message or "found null" in answer.message
    else:
        assert any(found in answer.message for found in values_of(value))
    assert answer.asked == []
    assert docker("ps", "-aq", "--filter", f"name={name}") == ""


def values_of(value: Any) -> list[str]:
    """`value` and every value in it, as a sentence shows them."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
    return [json.dumps(value)[:200], *(found for each in inner for found in values_of(each))]


def text_of(step: dict[str, Any]) -> bytes:
    return json.dumps(step).encode()


AMBIGUOUS_BODIES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "a key twice": (lambda text: text.replace(b'"Tty"', b'"Image": "other", "Tty"'), '"Image"'),
    "a key twice below": (
        lambda text: text.replace(b'"Memory":', b'"NetworkMode": "host", "Memory":'),
        '"NetworkMode"',
    ),
    "a key twice in the second spelling of JSON": (
        lambda text: text.replace(b'"Tty"', b'"\\u0055ser": "0:0", "Tty"'),
        '"User"',
    ),
    "variables twice": (lambda text: text.replace(b'"Tty"', b'"Env": ["A=secret"], "Tty"'), '"Env"'),
    "a second document": (lambda text: text + b'{"HostConfig": {"Privileged": true}}', "JSON"),
    "half a document": (lambda text: text[:-1], "JSON"),
    "no document": (lambda text: b"", "JSON"),
    "null": (lambda text: b"null", "object"),
    "a list": (lambda text: b"[" + text + b"]", "object"),
    "a byte order mark": (lambda text: b"\xef\xbb\xbf" + text, "JSON"),
    "UTF-16": (lambda text: text.decode().encode("utf-16"), "UTF-8"),
    "Latin-1": (lambda text: text.replace(b"some_step", b"\xe9tape"), "UTF-8"),
    "half a surrogate pair": (lambda text: text.replace(b"some_step", b"\\ud800"), "surrogate"),
    "not a number": (lambda text: text.replace(b"2147483648", b"NaN"), "NaN"),
    "infinity": (lambda text: text.replace(b"2147483648", b"Infinity"), "Infinity"),
    "a number without end": (lambda text: text.replace(b"2147483648", b"1" * 9000), "JSON"),
    "a pit": (lambda text: text.replace(b'"some_dag"', b"[" * 100_000 + b"]" * 100_000), "JSON"),
}


@pytest.mark.parametrize(("edit", "word"), AMBIGUOUS_BODIES.values(), ids=AMBIGUOUS_BODIES)
def test_a_body_that_decoders_read_differently_is_refused(
    proxy: RunningProxy, step: dict[str, Any], edit: Callable[[bytes], bytes], word: str
) -> None:
    name = container_name()

    answer = proxy.create(edit(text_of(step)), name)

    assert answer.status == 403
    assert word in answer.message
    assert "secret" not in answer.message
    assert "hidden" not in answer.message
    assert answer.asked == []
    assert docker("ps", "-aq", "--filter", f"name={name}") == ""


@pytest.mark.parametrize(
    "name", ["", "postgres", "carprice-postgres-1", "carprice-x-1-abc", "/carprice-x-1-0123abcd"]
)
def test_a_container_has_a_name_of_a_step(proxy: RunningProxy, step: dict[str, Any], name: str) -> None:
    answer = proxy.ask("POST", f"{API}/containers/create?{urlencode({'name': name})}", step)

    assert answer.status == 403
    assert json.dumps(name) in answer.message
    assert answer.asked == []


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=x"]
)
def test_what_a_form_in_a_browser_can_send_is_refused(
    proxy: RunningProxy, step: dict[str, Any], kind: str
) -> None:
    target = f"{API}/containers/create?name={container_name()}"

    answer = proxy.ask("POST", target, step, **{"Content-Type": kind})

    assert (answer.status, answer.asked) == (403, [])
    assert f'Content-Type must be application/json, found "{kind}"' in answer.message


def test_a_proxy_for_an_object_store_mounts_nothing(
    start: Callable[..., RunningProxy], step: dict[str, Any]
) -> None:
    proxy = start(DATA_DIR="s3://bucket/prefix")
    step["Labels"]["carprice.data"] = "s3://bucket/prefix"

    answer = proxy.create(step)
    assert (answer.status, answer.asked) == (403, [])
    assert "HostConfig.Mounts[0] must be left out: the data root is s3://bucket/prefix" in answer.message

    answer = proxy.create(changed(step, "HostConfig/Mounts", []))
    assert answer.status == 201, answer.content
    assert proxy.ask("DELETE", f"{API}/containers/{answer.json['Id']}").status == 204


def test_a_proxy_for_a_named_volume_mounts_that_volume_only(
    start: Callable[..., RunningProxy], step: dict[str, Any]
) -> None:
    volume = f"carprice-proxy-test-{MARK}"
    proxy = start(CARPRICE_DOCKER_HOST_DATA_DIR=volume)
    bind = proxy.create(step)
    assert (bind.status, bind.asked) == (403, [])
    assert 'HostConfig.Mounts[0].Type must be "volume", found "bind"' in bind.message
    mount = {**step["HostConfig"]["Mounts"][0], "Type": "volume"}
    other = proxy.create(changed(step, "HostConfig/Mounts", [{**mount, "Source": "other"}]))
    assert (other.status, other.asked) == (403, [])
    device = {"DriverConfig": {"Options": {"type": "none", "o": "bind", "device": "/"}}}
    disguised = {**mount, "Source": volume, "VolumeOptions": device}
    refused = proxy.create(changed(step, "HostConfig/Mounts", [disguised]))
    assert (refused.status, refused.asked) == (403, [])

    docker("volume", "create", volume)
    try:
        answer = proxy.create(changed(step, "HostConfig/Mounts", [{**mount, "Source": volume}]))
        assert answer.status == 201, answer.content
        assert proxy.ask("DELETE", f"{API}/containers/{answer.json['Id']}?v=True").status == 204
        assert docker("volume", "ls", "-q", "--filter", f"name={volume}") == volume  # data stays
    finally:
        docker("volume", "rm", volume)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two secrets that only the steps' user may read."""
    folder = tmp_path_factory.mktemp("secrets")
    # Nobody listens there.
    texts = {"webhook_url": "http://127.0.0.1:9/hidden-token", "mlflow_password": "hidden-password"}
    for name, text in texts.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
        if os.getuid() == 0:
            os.chown(folder / name, 50000, 0)
    folder.chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def with_secrets(start: Callable[..., RunningProxy], secrets: Path) -> RunningProxy:
    return start(CARPRICE_PROXY_STEP_SECRETS_DIR=str(secrets))


def test_a_step_of_airflows_reads_its_secret_from_the_file(
    with_secrets: RunningProxy, data: Path, tmp_path: Path
) -> None:
    named = {"CARPRICE_WEBHOOK_URL_FILE": "/run/secrets/webhook_url"}

    done = run_step(with_secrets, data, tmp_path, "alert", "--test", **named)

    assert "webhook: " in done.stdout + done.stderr
    assert "hidden" not in done.stdout + done.stderr + with_secrets.log.read_text()


def test_a_step_has_its_secrets_as_files_and_docker_inspect_shows_none(
    with_secrets: RunningProxy, step: dict[str, Any], secrets: Path
) -> None:
    step["Env"][3:] = ["MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/mlflow_password"]

    answer = with_secrets.create(step)

    assert answer.status == 201, answer.content
    (found,) = json.loads(docker("inspect", answer.json["Id"]))
    assert with_secrets.ask("DELETE", f"{API}/containers/{answer.json['Id']}").status == 204
    assert "hidden" not in json.dumps(found)
    files = [mount for mount in found["HostConfig"]["Mounts"] if "secrets" in mount.get("Source", "")]
    assert files == [
        {
            "Type": "bind",
            "Source": str(secrets / "mlflow_password"),
            "Target": "/run/secrets/mlflow_password",
            "ReadOnly": True,
        }
    ]


@pytest.mark.parametrize(
    "variable",
    [
        "MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/webhook_url",
        "MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/../mlflow_password",
        "MLFLOW_TRACKING_PASSWORD_FILE=mlflow_password",
        "MLFLOW_TRACKING_PASSWORD_FILE=",
        "MLFLOW_TRACKING_PASSWORD_FILE",
        "CARPRICE_WEBHOOK_URL_FILE=/run/secrets/admin_password",
        "MLFLOW_TRACKING_USERNAME_FILE=/run/secrets/admin_password",
        "AWS_CONFIG_FILE=/run/secrets/store_key",
    ],
)
def test_a_secret_of_another_name_or_place_is_refused(
    with_secrets: RunningProxy, step: dict[str, Any], variable: str
) -> None:
    answer = with_secrets.create(changed(step, "Env/4", variable))

    assert (answer.status, answer.asked) == (403, [])
    assert f"Env must have {json.dumps(variable.partition('=')[0])} as " in answer.message or (
        f"found {json.dumps(variable.partition('=')[0])}: leave it out" in answer.message
    )


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("/run/secrets/mlflow_password", "mlflow_password"),
        ("/run/secrets/mlflow_password", "admin_password"),
        ("/run/secrets", ""),
        ("/run/secrets/../x", "mlflow_password"),
    ],
)
def test_a_secret_that_the_request_mounts_itself_is_refused(
    with_secrets: RunningProxy, step: dict[str, Any], secrets: Path, target: str, source: str
) -> None:
    step["Env"] += ["MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/mlflow_password"]
    mount = {"Target": target, "Source": str(secrets / source), "Type": "bind", "ReadOnly": True}

    answer = with_secrets.create(changed(step, "HostConfig/Mounts/1", mount))

    assert (answer.status, answer.asked) == (403, [])
    assert "HostConfig.Mounts[1].Source must be " in answer.message


def test_a_proxy_without_a_folder_of_secrets_gives_none(proxy: RunningProxy, step: dict[str, Any]) -> None:
    named = "MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/mlflow_password"

    answer = proxy.create(changed(step, "Env/4", named))

    assert (answer.status, answer.asked) == (403, [])
    assert "name the folder of the steps' secrets in CARPRICE_PROXY_STEP_SECRETS_DIR" in answer.message


def test_a_proxy_told_the_user_of_the_steps_takes_no_other(
    start: Callable[..., RunningProxy], step: dict[str, Any]
) -> None:
    answer = start(CARPRICE_STEP_USER="1234:0").create(step)

    assert (answer.status, answer.asked) == (403, [])
    assert 'User must be "1234:0", found "50000:0"' in answer.message


# --- what may be asked

FILTERS = quote('{"reference": ["carprice-trainer:latest"]}')
ALLOWED_REQUESTS = [
    ("GET", "/_ping"),
    ("HEAD", "/_ping"),
    ("GET", "/version"),
    ("GET", f"{API}/_ping"),
    ("GET", f"{API}/version"),
    ("GET", f"{API}/images/json?only_ids=0&all=0&filters={FILTERS}"),
    ("GET", f"{API}/containers/json?limit=-1&all=1&size=0&trunc_cmd=0"),
]


@pytest.mark.parametrize(("method", "target"), ALLOWED_REQUESTS, ids=words)
def test_what_a_step_asks_is_answered(proxy: RunningProxy, method: str, target: str) -> None:
    answer = proxy.ask(method, target)

    assert answer.status == 200
    assert len(answer.asked) == 1


REFUSED_REQUESTS = [
    # the engine and its other parts
    ("GET", "/info"),
    ("GET", "/events"),
    ("GET", "/system/df"),
    ("POST", "/auth"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("GET", "/swarm"),
    ("POST", "/swarm/init"),
    ("GET", "/secrets"),
    ("POST", "/services/create"),
    ("GET", "/plugins"),
    ("POST", "/plugins/pull"),
    ("GET", "/volumes"),
    ("POST", "/volumes/create"),
    ("POST", "/volumes/prune"),
    ("GET", "/networks"),
    ("POST", "/networks/create"),
    ("POST", f"/networks/{NETWORK}/connect"),
    # images
    ("POST", "/build"),
    ("POST", "/images/create?fromImage=busybox&tag=latest"),
    ("POST", "/images/load"),
    ("GET", "/images/json"),
    ("GET", "/images/json?filters=" + quote('{"reference": ["*"]}')),
    ("GET", "/images/json?filters=" + quote('{"reference": ["carprice-trainer:latest", "postgres"]}')),
    ("GET", "/images/json?filters=" + quote('{"reference": {"carprice-trainer:latest": true}}')),
    ("GET", "/images/json?filters=" + quote('{"dangling": ["true"]}')),
    ("GET", "/images/carprice-trainer:latest/json"),
    ("GET", "/images/carprice-trainer/json"),
    ("DELETE", "/images/carprice-trainer"),
    ("POST", "/images/carprice-trainer/tag?repo=x"),
    ("POST", "/commit?container=x"),
    # containers that are not named by their full id
    ("GET", "/containers/json?filters=" + quote('{"name": ["x"]}')),
    ("GET", "/containers/json?filters=" + quote('{"label": {"x": true}}')),
    ("GET", "/containers/json?size=1"),
    ("GET", "/containers/json?before=x"),
    ("GET", "/containers/carprice-postgres-1/json"),
    ("GET", "/containers/0123456789ab/json"),
    ("POST", "/containers/prune"),
    ("POST", "/containers/create"),
    ("POST", "/containers/create?name=carprice-x-1-0123abcd&platform=linux/arm64"),
]
REFUSED_OPERATIONS = [
    ("POST", "/exec"),
    ("GET", "/top"),
    ("GET", "/stats"),
    ("GET", "/logs?stdout=1"),
    ("GET", "/changes"),
    ("GET", "/export"),
    ("POST", "/stop"),
    ("POST", "/kill"),
    ("POST", "/restart"),
    ("POST", "/pause"),
    ("POST", "/update"),
    ("POST", "/rename?name=x"),
    ("POST", "/resize?h=1&w=1"),
    ("POST", "/copy"),
    ("PUT", "/archive?path=/tmp"),
    ("HEAD", "/archive?path=/tmp/result.json"),
    ("GET", "/archive"),
    ("GET", "/archive?path=/etc/passwd"),
    ("GET", "/archive?path=/tmp/../etc/passwd"),
    ("GET", "/archive?path=/tmp/result.json/"),
    ("POST", "/attach?stdin=1&stream=1"),
    ("POST", "/attach?stdout=1&stream=1"),  # without an upgrade
    ("POST", "/attach?stdout=1&stream=1&detachKeys=x"),
    ("GET", "/attach/ws"),
    ("GET", "/json?size=1"),
    ("POST", "/start?detachKeys=x"),
    ("POST", "/start?checkpoint=x"),
    ("POST", "/wait?condition=removed"),
    ("DELETE", "?link=True"),
    ("DELETE", "?other=1"),
]


@pytest.mark.parametrize(("method", "target"), REFUSED_REQUESTS, ids=words)
def test_anything_else_is_refused(proxy: RunningProxy, method: str, target: str) -> None:
    answer = proxy.ask(method, API + target)

    assert answer.status == 403
    assert answer.message.endswith((".", "Airflow."))
    assert answer.asked == []


@pytest.mark.parametrize(("method", "rest"), REFUSED_OPERATIONS, ids=words)
def test_anything_else_is_refused_with_a_step_too(
    proxy: RunningProxy, made: str, method: str, rest: str
) -> None:
    before = state(made)

    answer = proxy.ask(method, f"{API}/containers/{made}{rest}")

    assert answer.status == 403
    assert method == "HEAD" or answer.message
    assert answer.asked == []
    assert state(made) == before


def test_a_start_brings_no_settings_of_its_own(proxy: RunningProxy, made: str) -> None:
    answer = proxy.ask("POST", f"{API}/containers/{made}/start", {"Privileged": True})

    assert (answer.status, answer.asked) == (403, [])
    assert "has no body, found 20 bytes" in answer.message


@pytest.mark.parametrize("version", ["", "/v1.40", "/v1.12", "/v1.0"])
def test_an_older_api_is_refused(proxy: RunningProxy, made: str, version: str) -> None:
    answer = proxy.ask("POST", f"{version}/containers/{made}/start")

    assert (answer.status, answer.asked) == (403, [])
    assert f"/v1.41 or newer, found {json.dumps(f'{version}/containers/{made}/start')}" in answer.message


OPERATIONS = [
    ("GET", "/json"),
    ("POST", "/start"),
    ("POST", "/wait"),
    ("POST", "/attach?logs=0&stdout=1&stderr=1&stream=1"),
    ("GET", "/archive?path=%2Ftmp%2Fresult.json"),
    ("DELETE", "?v=False&link=False&force=True"),
]


@pytest.fixture(params=["", "another-system"], ids=["no label", "another system's label"])
def foreign(engine: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container that somebody else made."""
    labels = ["--label", f"carprice.proxy={request.param}"] if request.param else []
    container = docker(
        "create",
        "--network",
        "none",
        "--name",
        container_name(),
        *labels,
        "--entrypoint",
        "sleep",
        IMAGE,
        "60",
    )
    yield container
    docker("rm", "-fv", container)


@pytest.mark.parametrize(("method", "rest"), OPERATIONS, ids=words)
def test_containers_of_others_are_out_of_reach(
    proxy: RunningProxy, foreign: str, method: str, rest: str
) -> None:
    before = state(foreign)

    answer = proxy.ask(method, f"{API}/containers/{foreign}{rest}", Connection="Upgrade", Upgrade="tcp")

    assert answer.status == 403
    assert f'carprice.proxy must be "{SYSTEM}", found ' in answer.message
    assert answer.asked == [f"GET {API}/containers/{foreign}/json HTTP/1.1"]  # the proxy's own question
    assert state(foreign) == before


def test_only_containers_made_through_the_proxy_are_listed(
    proxy: RunningProxy, foreign: str, made: str
) -> None:
    for filters in ("", '{"label": []}', '{"label": ["carprice.task=some_step"]}'):
        answer = proxy.ask("GET", f"{API}/containers/json?all=1&filters={quote(filters or '{}')}")
        assert [found["Id"] for found in answer.json] == [made]


def test_a_container_that_is_gone_is_not_found(proxy: RunningProxy) -> None:
    answer = proxy.ask("DELETE", f"{API}/containers/{NOBODY}?force=True")

    assert (answer.status, answer.message) == (404, f"No such container: {NOBODY}")


def test_a_name_that_looks_like_an_id_is_no_id(proxy: RunningProxy) -> None:
    name = uuid.uuid4().hex * 2
    labels = ("--label", f"carprice.proxy={SYSTEM}")
    docker("create", "--network", "none", "--name", name, *labels, "--entrypoint", "sleep", IMAGE, "60")
    try:
        answer = proxy.ask("POST", f"{API}/containers/{name}/start")
        assert (answer.status, answer.message) == (404, f"No such container: {name}")
    finally:
        docker("rm", "-fv", name)


def test_a_restarted_proxy_still_knows_its_containers(start: Callable[..., RunningProxy], made: str) -> None:
    assert start().ask("GET", f"{API}/containers/{made}/json").status == 200


# --- messages


def head(*lines: str) -> bytes:
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


PING = "GET /_ping HTTP/1.1"
HOST = "Host: engine"
START = f"POST {API}/containers/{NOBODY}/start HTTP/1.1"
AMBIGUOUS_MESSAGES: dict[str, bytes] = {
    "both lengths": head(START, HOST, "Content-Length: 4", "Transfer-Encoding: chunked") + b"0\r\n\r\n",
    "length twice": head(START, HOST, "Content-Length: 0", "Content-Length: 4") + b"abcd",
    "the same length twice": head(START, HOST, "Content-Length: 0", "Content-Length: 0"),
    "two lengths in one": head(START, HOST, "Content-Length: 0, 0"),
    "a signed length": head(START, HOST, "Content-Length: +0"),
    "a hexadecimal length": head(START, HOST, "Content-Length: 0x0"),
    "another coding": head(START, HOST, "Transfer-Encoding: gzip, chunked") + b"0\r\n\r\n",
    "a coding in capitals": head(START, HOST, "Transfer-Encoding: Chunked") + b"0\r\n\r\n",
    "coding twice": head(START, HOST, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"),
    "space before the colon": head(START, HOST, "Content-Length : 4") + b"abcd",
    "a folded line": head(START, HOST, "X-One: a", " Content-Length: 4") + b"abcd",
    "a bare line feed": b"GET /_ping HTTP/1.1\r\nHost: x\nContent-Length: 4\r\n\r\nabcd",
    "a bare carriage return": head(PING, HOST, "X-One: a\rb"),
    "a zero byte": head(PING, HOST, "X-One: a\0b"),
    "a byte beyond ASCII": head(PING, HOST, "X-One: \xe9"),
    "no host": head(PING),
    "host twice": head(PING, HOST, HOST),
    "HTTP/1.0": head("GET /_ping HTTP/1.0", HOST),
    "HTTP/0.9": head("GET /_ping"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two spaces": head("GET  /_ping HTTP/1.1", HOST),
    "a whole address": head("GET http://docker/_ping HTTP/1.1", HOST),
    "a tunnel": head("CONNECT docker:80 HTTP/1.1", HOST),
    "a lower case method": head("get /_ping HTTP/1.1", HOST),
    "an encoded path": head("GET /%5fping HTTP/1.1", HOST),
    "an encoded slash": head(f"GET {API}/containers%2fjson HTTP/1.1", HOST),
    "a fragment": head("GET /_ping#x HTTP/1.1", HOST),
    "a backslash": head(f"GET {API}\\containers\\json HTTP/1.1", HOST),
    "a semicolon in the query": head(f"DELETE {API}/containers/{NOBODY}?v=1;link=1 HTTP/1.1", HOST),
    "an argument twice": head(f"DELETE {API}/containers/{NOBODY}?link=0&link=1 HTTP/1.1", HOST),
    "an argument without a value": head(f"DELETE {API}/containers/{NOBODY}?link HTTP/1.1", HOST),
    "an argument that is no UTF-8": head(f"GET {API}/containers/json?filters=%ff HTTP/1.1", HOST),
    "an expectation": head(START, HOST, "Content-Length: 0", "Expect: 100-continue"),
    "a chunk with an extension": head(START, HOST, "Transfer-Encoding: chunked") + b"1;x=y\r\na\r\n0\r\n\r\n",
    "a chunk of a negative length": head(START, HOST, "Transfer-Encoding: chunked") + b"-1\r\n\r\n",
    "a chunk longer than it says": head(START, HOST, "Transfer-Encoding: chunked") + b"1\r\nab\r\n0\r\n\r\n",
    "a chunk ended by a line feed": head(START, HOST, "Transfer-Encoding: chunked") + b"0\n\n\r\n",
    "a last chunk with an extension": head(START, HOST, "Transfer-Encoding: chunked") + b"0;x=y\r\n\r\n",
    "a last chunk with a space": head(START, HOST, "Transfer-Encoding: chunked") + b"0 \r\n\r\n",
    "a last chunk with two zeros": head(START, HOST, "Transfer-Encoding: chunked") + b"00\r\n\r\n",
    "a last chunk and a line feed": head(START, HOST, "Transfer-Encoding: chunked") + b"0\r\n\n",
    "a chunk's length without end": head(START, HOST, "Transfer-Encoding: chunked") + b"1;" + b"x" * 70_000,
    "a length without end": head(START, HOST, f"Content-Length: {'1' * 5000}"),
    "an empty line at the start": b"\r\n" + head(PING, HOST),
    "any header twice": head(PING, HOST, "X-One: a", "x-one: a"),
    "a trailer": head(START, HOST, "Transfer-Encoding: chunked") + b"0\r\nX-One: a\r\n\r\n",
    "a head without end": head(PING, HOST, "X-One: " + "a" * 70_000),
    "not HTTP at all": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
}


@pytest.mark.parametrize("message", AMBIGUOUS_MESSAGES.values(), ids=AMBIGUOUS_MESSAGES)
def test_a_message_that_could_be_read_in_two_ways_is_refused(proxy: RunningProxy, message: bytes) -> None:
    answer = proxy.send(message)

    assert answer.status in (400, 403, 417, 431)
    assert answer.message
    assert answer.asked == []


@pytest.mark.parametrize(
    "path",
    ["//_ping", "/./_ping", "/x/../_ping", f"{API}//containers/json", f"{API}/../_ping", f"{API}{API}/_ping"],
)
def test_a_path_that_would_be_cleaned_is_refused(proxy: RunningProxy, path: str) -> None:
    answer = proxy.send(head(f"GET {path} HTTP/1.1", HOST))

    assert (answer.status, answer.asked) == (403, [])


def test_a_second_request_on_a_connection_is_never_looked_at(proxy: RunningProxy) -> None:
    second = head(f"GET {API}/containers/json HTTP/1.1", HOST)
    before = len(proxy.relay.asked)

    proxy.send(head(PING, HOST) + second)

    # The connection may be closed before the first request has reached the engine: wait for that.
    end = time.monotonic() + 20
    while not (asked := proxy.relay.asked[before:]):
        assert time.monotonic() < end, "the first request never reached the engine"
        time.sleep(0.01)
    assert asked == [PING]


def test_a_body_in_chunks_is_checked_like_any_other(proxy: RunningProxy, step: dict[str, Any]) -> None:
    def create(body: bytes) -> Answer:
        chunks = [body[at : at + 100] for at in range(0, len(body), 100)]
        message = head(
            f"POST {API}/containers/create?name={container_name()} HTTP/1.1",
            HOST,
            "Content-Type: application/json",
            "Transfer-Encoding: chunked",
        )
        return proxy.send(message + b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in [*chunks, b""]))

    refused = create(text_of(changed(step, "HostConfig/Privileged", True)))
    assert (refused.status, refused.asked) == (403, [])

    allowed = create(text_of(step))
    assert allowed.status == 201
    identity = re.search(rb"[0-9a-f]{64}", allowed.content)
    assert identity
    assert proxy.ask("DELETE", f"{API}/containers/{identity[0].decode()}").status == 204


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_that_is_too_long_is_refused(
    proxy: RunningProxy, step: dict[str, Any], announced: bool
) -> None:
    body = text_of(changed(step, "Cmd", ["x" * 2 * 1024 * 1024]))
    start = [f"POST {API}/containers/create?name={container_name()} HTTP/1.1", HOST]
    if announced:
        answer = proxy.send(head(*start, f"Content-Length: {len(body)}") + body)
    else:
        chunk = b"%x\r\n%s\r\n" % (len(body), body)
        answer = proxy.send(head(*start, "Transfer-Encoding: chunked") + chunk + b"0\r\n\r\n")

    assert (answer.status, answer.asked) == (413, [])
    assert "may have 1048576 bytes, found more" in answer.message


def test_a_request_that_does_not_arrive_is_given_up(start: Callable[..., RunningProxy]) -> None:
    proxy = start(CARPRICE_PROXY_REQUEST_SECONDS="0.5")

    for part in (b"GET /_p", head(START, HOST, "Content-Length: 10") + b"abc"):
        answer = proxy.send(part)
        assert (answer.status, answer.asked) == (408, [])
        assert "must arrive in 0.5 seconds" in answer.message


def test_connections_have_a_limit(start: Callable[..., RunningProxy]) -> None:
    proxy = start(CARPRICE_PROXY_MAX_CONNECTIONS="1")
    with socket.create_connection(("127.0.0.1", proxy.port)) as idle:
        idle.sendall(b"GET ")
        answer = proxy.ask("GET", "/_ping")

    assert (answer.status, answer.asked) == (503, [])
    assert "raise CARPRICE_PROXY_MAX_CONNECTIONS" in answer.message


def test_an_engine_that_is_away_is_named(start: Callable[..., RunningProxy], tmp_path: Path) -> None:
    proxy = start(CARPRICE_PROXY_ENGINE_SOCKET=str(tmp_path / "nobody.sock"))

    answer = proxy.ask("GET", "/_ping")
    assert answer.status == 502
    assert f"can't reach the Docker engine at {tmp_path}/nobody.sock" in answer.message
    assert ping(proxy).returncode == 1


def ping(proxy: RunningProxy) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "docker_proxy", "ping"],
        env=proxy.environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_health_check_asks_the_engine_through_the_proxy(proxy: RunningProxy) -> None:
    before = len(proxy.relay.asked)

    assert ping(proxy).returncode == 0
    assert proxy.relay.asked[before:] == ["GET /_ping HTTP/1.1"]


def test_no_secret_of_a_step_is_logged(proxy: RunningProxy, step: dict[str, Any]) -> None:
    refused = [
        changed(step, "Env/4", "AWS_PROFILE=topsecret"),
        changed(step, "Env", {"A": "topsecret"}),
        changed(step, "env", ["A=topsecret"]),
    ]
    for body in refused:
        assert "topsecret" not in proxy.create(body).message

    assert "topsecret" not in proxy.log.read_text()


# --- settings

FINE = {"CARPRICE_DOCKER_NETWORK": "carprice_steps", "DATA_DIR": "/srv/carprice/data"}
WRONG_SETTINGS = [
    ("CARPRICE_PROXY_PROT", "2375", "did you mean CARPRICE_PROXY_PORT?"),
    ("CARPRICE_PROXY_PORT", "http", "must be a number"),
    ("CARPRICE_PROXY_PORT", "65536", "1 to 65535"),
    ("CARPRICE_PROXY_REQUEST_SECONDS", "0", "above zero"),
    ("CARPRICE_PROXY_REQUEST_SECONDS", "nan", "above zero"),
    ("CARPRICE_PROXY_ID", "a b", "letters, digits"),
    ("CARPRICE_TRAINER_IMAGE", "a,b", "one image"),
    ("CARPRICE_DOCKER_NETWORK", "", "made for the steps"),
    ("CARPRICE_DOCKER_NETWORK", "host", "made for the steps"),
    ("CARPRICE_DOCKER_NETWORK", "bridge", "made for the steps"),
    ("CARPRICE_DOCKER_NETWORK", "container:x", "made for the steps"),
    ("CARPRICE_STEP_USER", "0:0", "a uid above 0"),
    ("CARPRICE_STEP_USER", "root", "a uid above 0"),
    ("CARPRICE_STEP_MEMORY", "lots", "a size such as"),
    ("CARPRICE_STEP_MEMORY", "0", "a size such as"),
    ("DATA_DIR", "", "must be set"),
    ("DATA_DIR", "data", "an absolute path"),
    ("DATA_DIR", "/srv/../etc", "an absolute path"),
    ("DATA_DIR", "/srv/data/", "an absolute path"),
    ("CARPRICE_DOCKER_HOST_DATA_DIR", "/", "the engine's socket is in it"),
    ("CARPRICE_DOCKER_HOST_DATA_DIR", "/var/run", "the engine's socket is in it"),
    ("CARPRICE_DOCKER_HOST_DATA_DIR", "../data", "the name of a volume"),
    ("CARPRICE_PROXY_STEP_SECRETS_DIR", ".secrets", "an absolute path"),
    ("CARPRICE_PROXY_STEP_SECRETS_DIR", "/run", "the engine's socket is in it"),
    ("CARPRICE_PROXY_STEP_SECRETS_DIR", "/srv/carprice/data", "it is in the data root"),
    ("CARPRICE_PROXY_STEP_SECRETS_DIR", "/srv/carprice/data/.secrets", "it is in the data root"),
]


@pytest.mark.parametrize(("name", "value", "words"), WRONG_SETTINGS)
def test_a_setting_that_would_open_the_filter_stops_the_start(name: str, value: str, words: str) -> None:
    with pytest.raises(proxy_settings.SettingError, match=re.escape(words)) as error:
        proxy_settings.Settings.from_environment({**FINE, name: value})

    assert name in str(error.value)


def test_what_the_proxy_shares_with_airflow_means_the_same_to_both() -> None:
    def of(module: Any) -> dict[str, tuple[Any, Any]]:
        fields = module.Settings.__dataclass_fields__.values()
        return {found.metadata["name"]: (found.default, found.type) for found in fields}

    ours, airflows = of(proxy_settings), of(airflow_settings)
    shared = {name for name in ours if not name.startswith(proxy_settings.PREFIX)}
    # Those without a default here have none that would be safe.
    assert {name for name in shared if ours[name] != airflows[name]} == {
        "CARPRICE_DOCKER_NETWORK",
        "DATA_DIR",
    }
    assert (
        proxy_settings.Settings.from_environment({**FINE, "CARPRICE_STEP_MEMORY": "512MB"}).memory_bytes
        == 2**29
    )


def test_whatever_airflow_tells_a_step_may_be_told() -> None:
    told = {
        *airflow_settings.STEP_SECRETS,
        *airflow_settings.Settings(mlflow_tracking_uri="http://mlflow:5000").step_environment(),
        "CARPRICE_PARAMS",
        "HOME",
    }

    assert told <= {*container_policy.STEP_VARIABLES, *container_policy.SECRET_FILES}
    assert set(airflow_settings.STEP_SECRET_PREFIXES) <= set(container_policy.STEP_VARIABLE_PREFIXES)


def test_the_files_that_the_proxy_mounts_are_those_that_a_step_reads() -> None:
    from carprice import cli

    assert set(container_policy.SECRET_FILES) == {f"{name}_FILE" for name in cli.SECRETS}


def test_the_security_document_names_every_endpoint_and_setting() -> None:
    document = (REPOSITORY / "docs/security.md").read_text()
    settings = proxy_settings.Settings(network="steps", data_dir="/srv/data")
    wanted = [f"`{found.method} {found.path}`" for found in endpoints.Endpoints(settings).all]
    for found in proxy_settings.Settings.__dataclass_fields__.values():
        default = found.default if found.default != "" else "empty"
        wanted.append(f"| `{found.metadata['name']}` | {default if default == 'empty' else f'`{default}`'} |")
        wanted.append(found.metadata["help"])

    assert [text for text in wanted if text not in document] == []


# --- the image


@pytest.fixture(scope="module")
def image(engine: None) -> str:
    """The proxy's image, built from this tree."""
    done = subprocess.run(
        [REPOSITORY / "images/build", "docker-proxy"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return "carprice-docker-proxy:latest"


def test_the_image_runs_locked_down_and_answers_for_the_engine(image: str, data: Path) -> None:
    name = f"docker-proxy-{MARK}"
    group = os.stat("/var/run/docker.sock").st_gid
    locked = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "64m"]
    settings = {"CARPRICE_DOCKER_NETWORK": NETWORK, "DATA_DIR": str(data), "CARPRICE_PROXY_ID": SYSTEM}
    variables = [word for each in settings.items() for word in ("--env", "=".join(each))]
    docker(
        *("run", "-d", "--name", name, "--network", NETWORK, *locked, *variables),
        *("--group-add", str(group), "--volume", "/var/run/docker.sock:/var/run/docker.sock", image),
    )
    end = time.monotonic() + 30
    while "listening" not in subprocess.run(["docker", "logs", name], capture_output=True, text=True).stderr:
        assert time.monotonic() < end, "the proxy does not listen"
        time.sleep(0.1)

    assert docker("exec", name, "python3", "-m", "docker_proxy", "ping") == ""
    assert docker("exec", name, "id", "-u") == "50000"
    docker("stop", "--time", "30", name)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", name) == "0"  # it heard the signal
