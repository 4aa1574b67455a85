"""A stack under test: the repository's compose file with its own ports, data, secrets and name."""

from __future__ import annotations

import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import requests
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
PORTS = ("AIRFLOW", "MLFLOW", "PRICE_API", "PRICE_APP", "REPORTS", "EVIDENTLY")
LOGAN = {"make": "Dacia", "model": "Logan", "model_year": 2015, "mileage": 120_000, "fuel": "Diesel"}

# Prints the body of each POST request on a line.
MAILBOX = """
import http.server
class Mailbox(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode(), flush=True)
        self.send_response(204)
        self.end_headers()
    def log_message(self, *words):
        pass
http.server.ThreadingHTTPServer(("", 8080), Mailbox).serve_forever()
"""


class NoAnswer(Exception):
    """A service does not answer."""


def docker(*arguments: str, check: bool = True) -> str:
    """The output of a docker command. Raises `AssertionError` with the end of its errors if it fails."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    assert not check or done.returncode == 0, f"docker {' '.join(arguments)}:\n{done.stderr[-3000:]}"
    return done.stdout


class TeamStack:
    """One stack, from its settings to its removal."""

    def __init__(self, folder: Path) -> None:
        self.name = f"carprice-test-{os.getpid()}"
        self.folder = folder
        self.data = folder / "data"
        self.secrets = folder / ".secrets"
        self.ports = dict(zip(PORTS, _free_ports(len(PORTS)), strict=True))
        self._files = [REPOSITORY / "docker-compose.yml"]
        self._unused_before = _unused_volumes()

    def make_env(self, **more: str) -> None:
        """Do what `make env` does, in this stack's folder, with `more` in the environment."""
        settings = {f"CARPRICE_{name}_PORT": str(port) for name, port in self.ports.items()}
        subprocess.run(
            [sys.executable, REPOSITORY / "stack/make_env.py", "--folder", self.folder],
            env=os.environ | settings | {"COMPOSE_PROJECT_NAME": self.name} | more,
            check=True,
        )
        egress = self.folder / "egress.json"
        if egress.exists() and egress not in self._files:
            self._files.append(egress)

    def compose(self, *arguments: str, check: bool = True) -> str:
        """The output of a `docker compose` command on this stack."""
        files = [word for file in self._files for word in ("--file", str(file))]
        return docker("compose", "--env-file", str(self.folder / ".env"), *files, *arguments, check=check)

    def up(self, *services: str) -> None:
        """Start it and wait until it is healthy. Raises `AssertionError` with the logs otherwise."""
        try:
            self.compose("up", "--detach", "--wait", "--quiet-pull", *services)
        except AssertionError as problem:
            logs = self.compose("logs", "--no-color", "--tail", "30", check=False)
            raise AssertionError(f"{problem}\n{logs[-20_000:]}") from problem

    def make(self, target: str) -> str:
        """The output of a target of the Makefile that runs `docker compose`, on this stack."""
        files = {
            "COMPOSE_FILE": ":".join(map(str, self._files)),
            "COMPOSE_ENV_FILES": str(self.folder / ".env"),
        }
        done = subprocess.run(
            ["make", "--no-print-directory", target],
            cwd=REPOSITORY,
            env=os.environ | files,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return done.stdout

    def use(self, *files: str) -> None:
        """Add compose files of the repository, as COMPOSE_FILE in .env does."""
        self._files += [REPOSITORY / file for file in files]

    def change(self, services: Mapping[str, Any], params: Mapping[str, Mapping[str, Any]]) -> None:
        """Before the start, change services by one more compose file, and params.yaml by a copy."""
        edited = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
        for section, values in params.items():
            edited[section] |= values
        (self.folder / "params.yaml").write_text(yaml.safe_dump(edited))
        mount = f"{self.folder}/params.yaml:/etc/carprice/params.yaml:ro"
        mounted = {name: {"volumes": [mount]} for name in ("triggerer", "dag-processor", "worker")}
        # A busy machine starts a service slowly, and a check of its health; that does not make it unhealthy.
        patient = {"healthcheck": {"start_period": "900s", "timeout": "60s"}}
        every = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"]
        changed = {name: patient | services.get(name, {}) | mounted.get(name, {}) for name in every}
        self._files.append(self.folder / "under-test.json")
        self._files[-1].write_text(json.dumps({"services": changed}))

    def containers(self) -> dict[str, dict[str, Any]]:
        """`docker inspect` of each container of the stack, by its service."""
        found = self.compose("ps", "--all", "--quiet").split()
        described = json.loads(docker("inspect", *found)) if found else []
        return {each["Config"]["Labels"]["com.docker.compose.service"]: each for each in described}

    def memory(self) -> dict[str, float]:
        """The memory of each container of the stack's services, in MiB."""
        shown = ("stats", "--no-stream", "--format", "{{.Name}} {{.MemUsage}}")
        used = docker(*shown, *self.compose("ps", "--quiet").split()).splitlines()
        found = (line.split() for line in used)
        return {name.removeprefix(f"{self.name}-"): _mebibytes(memory) for name, memory, *_ in found}

    def run_in(self, service: str, *command: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command inside a service's container."""
        executing = ["docker", "exec", "--interactive", f"{self.name}-{service}-1", *command]
        return subprocess.run(
            executing, input=stdin, capture_output=True, text=True, check=False, timeout=600
        )

    def sql(self, database: str, query: str) -> list[str]:
        """The rows of a query, with `|` between columns. Raises `NoAnswer` if PostgreSQL does not answer."""
        psql = ("psql", "--tuples-only", "--no-align", "--dbname", database, "-c", query)
        done = self.run_in("postgres", *psql)
        if done.returncode == 2 or "is restarting" in done.stderr or "is not running" in done.stderr:
            raise NoAnswer(done.stderr)
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    def kill(self, service: str) -> None:
        """Kill -9 a service's main process, as the kernel does when memory is short.

        `docker kill` does not do: the engine does not restart a container after it.
        """
        pid = int(docker("inspect", "--format", "{{.State.Pid}}", f"{self.name}-{service}-1"))
        assert pid > 1, f"{service} does not run"
        os.kill(pid, signal.SIGKILL)

    def steps(self, task: str = "") -> list[str]:
        """The ids of all containers of steps; with `task`, only the running ones of that task."""
        ours = ["--filter", f"label=carprice.proxy={self.name}"]
        of_task = ["--filter", f"label=carprice.task={task}", "--filter", "status=running"] if task else []
        return docker("ps", "--all", "--quiet", *ours, *of_task).split()

    def secret(self, name: str) -> str:
        """The text of a secret."""
        return (self.secrets / name).read_text()

    def land(self, text: bytes, name: str) -> None:
        """Put a complete file into data/raw, from the host."""
        unfinished = self.data / "raw" / f".{name}.part"
        unfinished.write_bytes(text)
        unfinished.rename(self.data / "raw" / name)

    def url(self, port: str) -> str:
        """The address of a published port."""
        return f"http://127.0.0.1:{self.ports[port]}"

    def production_version(self) -> str | None:
        """The version that the price API serves, or None."""
        answer = self.ask_price("GET", "/v1/model")
        return str(answer.json()["version"]) if answer.status_code == 200 else None

    def ask_price(self, method: str, path: str, **options: Any) -> requests.Response:
        """Call the price API with the app's key."""
        with requests.Session() as session:
            session.trust_env = False
            key = {"X-API-Key": self.secret("app_api_key")}
            return session.request(method, self.url("PRICE_API") + path, headers=key, timeout=30, **options)

    def airflow(self, path: str) -> requests.Response:
        """The answer of Airflow's API to its admin."""
        with requests.Session() as session:
            session.trust_env = False
            login = {"username": "admin", "password": self.secret("admin_password")}
            token = session.post(f"{self.url('AIRFLOW')}/auth/token", json=login, timeout=60).json()
            session.headers["Authorization"] = f"Bearer {token['access_token']}"
            return session.get(f"{self.url('AIRFLOW')}/api/v2/{path}", timeout=60)

    def down(self) -> None:
        """Stop and remove it with its volumes and the containers of its steps."""
        down = ("down", "--volumes", "--remove-orphans", "--timeout", "20")
        self.compose(*down, check=False)
        if left := self.steps():
            docker("rm", "--force", "--volumes", *left)
            self.compose(*down, check=False)  # their network
        shutil.rmtree(self.folder, ignore_errors=True)

    def left_over(self) -> dict[str, list[str]]:
        """Containers, networks and volumes of this stack that the engine still has.

        The volume of a step has neither a name nor a label, so each new unused volume of that kind counts.
        """
        ours = f"label=com.docker.compose.project={self.name}"
        return {
            "containers": docker("ps", "--all", "--quiet", "--filter", ours).split() + self.steps(),
            "networks": docker("network", "ls", "--quiet", "--filter", ours).split(),
            "volumes": sorted(docker("volume", "ls", "--quiet", "--filter", ours).split())
            + sorted(_unused_volumes() - self._unused_before),
        }


class Mailbox:
    """A webhook outside the stack, which only `egress` reaches; it gets the steps' alerts and reports."""

    def __init__(self, stack: TeamStack) -> None:
        self._name = f"{stack.name}-mailbox"
        image = stack.containers()["api"]["Config"]["Image"]
        network = ["--network", f"{stack.name}_outside"]
        docker("run", "--detach", "--name", self._name, *network, image, "python3", "-c", MAILBOX)

    @staticmethod
    def url_in(stack: TeamStack) -> str:
        """Its address for the steps."""
        return f"http://{stack.name}-mailbox:8080/"

    def address(self) -> str:
        """Its IP address."""
        found = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return docker("inspect", self._name, "--format", found).strip()

    def messages(self) -> list[str]:
        """The texts received, oldest first."""
        return [json.loads(line)["text"] for line in docker("logs", self._name).splitlines()]

    def remove(self) -> None:
        """Remove its container."""
        docker("rm", "--force", "--volumes", self._name, check=False)


def wait_for(found: Callable[[], Any], what: str, seconds: float = 1200, every: float = 1) -> Any:
    """Poll until `found` returns something true, and return that; no answer of a service counts as not yet.

    Raises `AssertionError` after `seconds`.
    """
    until = time.monotonic() + seconds
    while True:
        problem: Exception | None = None
        try:
            if answer := found():
                return answer
        except (NoAnswer, requests.RequestException, FileNotFoundError) as away:
            problem = away
        assert time.monotonic() < until, f"waited {seconds:.0f} s for {what} ({problem})"
        time.sleep(every)


def _mebibytes(shown: str) -> float:
    """A size as `docker stats` shows it, such as 1.2GiB."""
    number, unit = re.fullmatch(r"([0-9.]+)([KMG]?i?B)", shown).groups()  # type: ignore[union-attr]
    return float(number) * {"B": 2**-20, "KiB": 2**-10, "MiB": 1, "GiB": 2**10}[unit]


def _unused_volumes() -> set[str]:
    """The volumes that have no name and that no container uses."""
    unused = docker("volume", "ls", "--quiet", "--filter", "dangling=true", check=False).split()
    return {name for name in unused if re.fullmatch("[0-9a-f]{64}", name)}


def _free_ports(count: int) -> list[int]:
    """Ports that nothing listens on.

    They are below those that the kernel gives to outgoing connections, one of which could otherwise take a
    port before its service starts.
    """
    found: list[int] = []
    for port in random.sample(range(20_000, 30_000), 1000):
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found
