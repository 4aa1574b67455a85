"""The proxy as a process between a real client and a real engine.

A relay between proxy and engine records what reaches the engine, so that "refused" means: the engine
never heard of it.
"""

from __future__ import annotations

import contextlib
import copy
import http.client
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import uuid
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

REPOSITORY = Path(__file__).resolve().parents[3]
SOURCE = REPOSITORY / "images/docker-proxy"
ENGINE_SOCKET = "/var/run/docker.sock"
IMAGE = "carprice-trainer:latest"
MARK = uuid.uuid4().hex[:8]
NETWORK = f"carprice-proxy-test-{MARK}"
SYSTEM = f"proxy-test-{MARK}"
API = "/v1.41"
TMP = "/tmp"  # noqa: S108 - a container's own
NOBODY = "0" * 64

sys.path.insert(0, str(SOURCE))


def docker(*arguments: str) -> str:
    """What the docker command printed, asked at the engine itself."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


class _EngineConnection(http.client.HTTPConnection):
    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(ENGINE_SOCKET)


def engine_says(path: str) -> Any:
    """The engine's own answer to a GET, past the proxy; quicker than the docker command."""
    connection = _EngineConnection("docker", timeout=60)
    try:
        connection.request("GET", API + path)
        response = connection.getresponse()
        content = response.read()
        assert response.status == 200, content
        return json.loads(content)
    finally:
        connection.close()


def state(container: str) -> dict[str, Any]:
    """Everything that an operation could change of a container."""
    found = engine_says(f"/containers/{container}/json")
    return {key: found[key] for key in ("Name", "State", "HostConfig")}


def exists(name: str) -> bool:
    """Whether the engine has a container of this name."""
    return bool(engine_says(f"/containers/json?all=1&filters={quote(json.dumps({'name': [name]}))}"))


class Relay:
    """Forwards every connection to the engine and records the first line of each request."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.received: list[str] = []
        self._listening = socket.socket(socket.AF_UNIX)
        self._listening.bind(self.path)
        self._listening.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            client, _ = self._listening.accept()
            engine = socket.socket(socket.AF_UNIX)
            engine.connect(ENGINE_SOCKET)
            threading.Thread(target=self._forward, args=(client, engine, True), daemon=True).start()
            threading.Thread(target=self._forward, args=(engine, client, False), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, recorded: bool) -> None:
        with contextlib.suppress(OSError):
            while part := source.recv(65536):
                if recorded:
                    self.received += [line.decode() for line in re.findall(rb"[A-Z]+ /\S* HTTP/1.[01]", part)]
                target.sendall(part)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


@dataclass
class Answer:
    """A response, and the requests that reached the engine before it came."""

    status: int
    content: bytes
    reached_engine: list[str] = field(default_factory=list)

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
        end = time.monotonic() + 60
        while f":{self.port}" not in self.log.read_text():
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < end, "the proxy does not listen"
            time.sleep(0.02)

    def stop(self) -> int:
        self.process.terminate()
        return self.process.wait(timeout=20)

    def ping(self) -> subprocess.CompletedProcess[str]:
        """The command of the image's health check."""
        return subprocess.run(
            [sys.executable, "-m", "docker_proxy", "ping"],
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def ask(self, method: str, target: str, body: Any = None, **headers: str) -> Answer:
        """One request; a body that is not bytes goes as JSON."""
        content = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        if content is not None:
            headers.setdefault("Content-Type", "application/json")
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        before = len(self.relay.received)
        try:
            connection.request(method, target, content, headers)
            response = connection.getresponse()
            return Answer(response.status, response.read(), self.relay.received[before:])
        finally:
            connection.close()

    def send(self, message: bytes) -> Answer:
        """Exactly these bytes, and what came back until the proxy closed the connection."""
        before = len(self.relay.received)
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as connection:
            connection.sendall(message)
            answer = b""
            with contextlib.suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    answer += part
        head, _, body = answer.partition(b"\r\n\r\n")
        return Answer(int(head.split()[1]) if head else 0, body, self.relay.received[before:])

    def create(self, body: Any, name: str = "") -> Answer:
        return self.ask("POST", f"{API}/containers/create?name={name or container_name()}", body)


def container_name() -> str:
    return f"carprice-proxy_{MARK}-1-{uuid.uuid4().hex[:8]}"


def step_body(data: Path) -> dict[str, Any]:
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


def text_of(step: dict[str, Any]) -> bytes:
    return json.dumps(step).encode()


def changed(body: dict[str, Any], place: str, value: Any) -> dict[str, Any]:
    """`body` with `value` at `place`, a path of keys and numbers; `...` removes the key."""
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


def id_of(value: str) -> str:
    """The id of a test case, the same in each process of a test run; an empty one has a name too."""
    return value.replace(MARK, "MARK") or "nothing"
