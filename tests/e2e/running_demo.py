"""A demo under test, and a client of everything it serves."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

import psutil
import requests
import yaml
from demo import services
from demo.airflow_api import OPEN, AirflowApi
from demo.settings import REPOSITORY
from demo.supervisor import MARK

from carprice.landing.land import land
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.listings import sample
from carprice.store import DataRoot

# Long, because a busy machine is slow and the test is not about that.
START_SECONDS = 1200
STEP_SECONDS = 1200

# A model of a few hundred synthetic listings passes these gates. A test closes the gate that it is about.
PARAMS: dict[str, dict[str, Any]] = {
    "landing": {"settle_seconds": 5.0},
    "promotion": {
        "max_mape": 1.0,
        "max_median_ape": 1.0,
        "min_r2_log": -10.0,
        "production_confidence": 0.0,
        "max_slice_loss": 100.0,
        "max_prediction_ms": 10_000.0,
    },
}


class Api(AirflowApi):
    """Calls of Airflow's REST API that only the tests need."""

    def runs(self, dag_id: str = "~") -> list[dict[str, Any]]:
        """All runs of a DAG, or of all, oldest first."""
        found = self._get(f"dags/{dag_id}/dagRuns", {"order_by": "id", "limit": 1000})
        return list(found["dag_runs"])

    def result(self, task: Mapping[str, Any]) -> Any:
        """The XCom result of a task instance, or None."""
        path = (
            f"dags/{task['dag_id']}/dagRuns/{task['dag_run_id']}/taskInstances/{task['task_id']}"
            "/xcomEntries/return_value"
        )
        try:
            found = self._get(path, {"map_index": task["map_index"], "deserialize": True})
        except requests.HTTPError as error:
            if error.response.status_code == 404:
                return None
            raise
        value = found["value"]
        return json.loads(value) if isinstance(value, str) else value

    def asset_events(self) -> list[dict[str, Any]]:
        """The events of all assets, each with the `name` of its asset, oldest first."""
        found = self._get("assets/events", {"order_by": "timestamp", "limit": 1000})
        return list(found["asset_events"])


class Demo:
    """One data root and state, and the demo that runs on it."""

    open: ClassVar[list[Demo]] = []

    def __init__(self, folder: Path, runtime: str, database: str = "") -> None:
        self.data = folder / "data"
        self.state = folder / "state"
        self.runtime = runtime
        self.params_file = folder / "params.yaml"
        names = ("AIRFLOW_PORT", "MLFLOW_PORT", "API_PORT", "APP_PORT", "EVIDENTLY_PORT")
        self.ports = dict(zip(names, free_ports(len(names)), strict=True))
        self.root = DataRoot(str(self.data))
        self._folder = folder
        self._database = database
        self._process: subprocess.Popen[bytes] | None = None
        self._output = folder / "output.log"
        self.edit_params()

    # --- start and stop

    def start(self, file: Path | None, once: bool = False, **settings: str) -> None:
        """Start it as `make demo FILE=...` does, on the data root as it is."""
        self._output = self._folder / f"output-{time.monotonic_ns()}.log"
        with open(self._output, "wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "demo"],
                cwd=REPOSITORY,
                env=self.environment() | {"FILE": str(file or ""), "ONCE": "1" if once else ""} | settings,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        if self not in Demo.open:
            Demo.open.append(self)

    def environment(self) -> dict[str, str]:
        """The environment of the demo and of commands that ask about it."""
        inherited = {k: v for k, v in os.environ.items() if not k.startswith(("AIRFLOW_", "CARPRICE_"))}
        inherited |= {name: str(port) for name, port in self.ports.items()}
        return inherited | {
            "DATA_DIR": str(self.data),
            "DEMO_STATE": str(self.state),
            "RUNTIME": self.runtime,
            "AIRFLOW_DATABASE": self._database,
            "CARPRICE_PARAMS_FILE": str(self.params_file),
            # The catch-up schedule never runs, so that it cannot hide a file that the landing trigger lost.
            "CARPRICE_CATCHUP_SCHEDULE": "0 0 29 2 *",
            "CARPRICE_DRIFT_SCHEDULE": "0 0 29 2 *",
            "PYTHONUNBUFFERED": "1",
        }

    def wait_until_serving(self) -> None:
        """Wait until the demo prints how to stop it."""
        self.wait_for(lambda: "Ctrl-C stops everything" in self.output, "the demo serves", START_SECONDS)

    def wait_for_end(self, seconds: float = START_SECONDS) -> int:
        """Wait until it ends by itself, and return its exit status."""
        assert self._process is not None
        return self._process.wait(timeout=seconds)

    def stop(self, impatient: bool = False) -> int:
        """Stop it as Ctrl-C does, twice if `impatient`, and return its exit status."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
        if impatient:
            self.wait_for(lambda: "stopping" in self.output, "it is stopping")
            time.sleep(0.5)
            self._process.send_signal(signal.SIGINT)
        return self._process.wait(timeout=120)

    def close(self) -> None:
        """Stop it, kill what is left, and remove its folder."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            if self._process is not None:
                self.stop()
        marks = self.marks
        for process in self.processes(marks):
            with contextlib.suppress(psutil.Error):
                process.kill()
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        Demo.open.remove(self)
        shutil.rmtree(self._folder, ignore_errors=True)

    # --- what it shows

    @property
    def output(self) -> str:
        """What it has printed since the last start."""
        return self._output.read_text(errors="replace")

    def last_words(self) -> Iterator[tuple[str, str]]:
        """Sections for the report of a failed test: its output, and the ends of the services' logs."""
        yield f"demo on {self.data}", self.output[-6000:] if self._output.exists() else "never started"
        for log in sorted((self.state / "logs").glob("*.log")):
            yield f"end of {log.name}", "\n".join(log.read_text(errors="replace").splitlines()[-25:])

    @property
    def api(self) -> Api:
        """A client of its Airflow."""
        url = f"http://127.0.0.1:{self.ports['AIRFLOW_PORT']}"
        return Api(url, services.USER, services.secret(self.state, "admin-password"))

    @property
    def app_url(self) -> str:
        """Where its price page answers."""
        return f"http://127.0.0.1:{self.ports['APP_PORT']}"

    @property
    def api_url(self) -> str:
        """Where its price API answers."""
        return f"http://127.0.0.1:{self.ports['API_PORT']}"

    @property
    def registry(self) -> Registry:
        """Its model registry, by way of its MLflow server."""
        os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{self.ports['MLFLOW_PORT']}"
        try:
            return Registry(self.root)
        finally:
            del os.environ["MLFLOW_TRACKING_URI"]

    def production_version(self) -> str | None:
        """The version in production, or None."""
        version = self.registry.version_of(PRODUCTION)
        return None if version is None else str(version.version)

    def tasks(self, dag_id: str = "~") -> list[dict[str, Any]]:
        """The task instances of all runs of a DAG, or of all DAGs."""
        api = self.api
        return [task for run in api.runs(dag_id) for task in api.tasks(run["dag_id"], run["dag_run_id"])]

    def receipts(self) -> dict[str, dict[str, Any]]:
        """All receipts by the SHA-256 of their files."""
        return {
            name.removesuffix(".json"): self.root.read_json(f"receipts/{name}")
            for name in self.root.names("receipts", ".json")
        }

    def latest_manifest(self) -> dict[str, Any]:
        """The manifest of the newest snapshot."""
        newest = self.root.read_json("snapshots/latest.json")["id"]
        return dict(self.root.read_json(f"snapshots/{newest}/manifest.json"))

    def reports(self) -> list[dict[str, Any]]:
        """All pipeline reports, oldest first."""
        return [
            self.root.read_json(f"reports/pipeline/{name}")
            for name in self.root.names("reports/pipeline", ".json")
        ]

    # --- changes

    def edit_params(self, **changes: dict[str, Any]) -> None:
        """Write its params.yaml: that of the repository with `PARAMS` and `changes`."""
        params = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
        for section, values in [*PARAMS.items(), *changes.items()]:
            params.setdefault(section, {}).update(values)
        written = self.params_file.with_suffix(".new")
        written.write_text(yaml.safe_dump(params))
        written.replace(self.params_file)

    def synthetic(self, name: str, rows: int, seed: int) -> Path:
        """A new file of synthetic listings outside the data root."""
        path = self._folder / name
        sample.write_sample(str(path), rows, seed)
        return path

    def land(self, file: Path, name: str | None = None) -> str:
        """Land a file as `bin/carprice land` does, and return its SHA-256."""
        return str(land(self.root, str(file), name)["sha256"])

    def move_in(self, content: bytes, name: str) -> None:
        """Put a complete file into raw/ by a rename, without code of this project."""
        part = self.data / "raw" / f".{name}.part"
        part.write_bytes(content)
        os.utime(part, (1_700_000_000, 1_700_000_000))
        part.rename(self.data / "raw" / name)

    # --- waiting

    def wait_for(self, condition: Callable[[], Any], what: str, seconds: float = STEP_SECONDS) -> Any:
        """Poll until `condition` is true, and return what it returned.

        A service that does not answer because it restarts counts as not yet. Fails if the demo ends
        meanwhile, and after `seconds`.
        """
        deadline = time.monotonic() + seconds
        problem: Exception | None = None
        while time.monotonic() < deadline:
            try:
                if found := condition():
                    return found
            except (requests.RequestException, FileNotFoundError, psutil.Error) as error:
                problem = error
            assert self._process is not None
            assert self._process.poll() is None, f"the demo ended while waiting until {what}"
            time.sleep(0.3)
        raise AssertionError(f"{seconds:.0f} s were not enough until {what} ({problem})")

    def wait_for_receipts(self, *shas: str) -> list[dict[str, Any]]:
        """Wait until each of these files has a receipt, and return the receipts."""
        self.wait_for(lambda: set(shas) <= set(self.receipts()), f"{len(shas)} files have receipts")
        receipts = self.receipts()
        return [receipts[sha] for sha in shas]

    def wait_until_quiet(self) -> None:
        """Wait until no run has been open for some seconds."""
        quiet_since: list[float] = []

        def quiet() -> bool:
            if any(run["state"] in OPEN for run in self.api.runs()):
                quiet_since.clear()
                return False
            quiet_since.append(time.monotonic())
            return quiet_since[-1] - quiet_since[0] > 4

        self.wait_for(quiet, "all runs have ended")

    def wait_for_report(self, *shas: str) -> dict[str, Any]:
        """Wait for a pipeline report on a model trained on all these files, and for all runs to end."""

        def report() -> dict[str, Any] | None:
            for one in reversed(self.reports()):
                if set(shas) <= {file["sha256"] for file in one["files"]}:
                    return one
            return None

        found: dict[str, Any] = self.wait_for(report, "a model trained on the new files was reported")
        self.wait_until_quiet()
        return found

    # --- its processes

    @property
    def marks(self) -> set[str]:
        """The values of `MARK` in the environments of its processes: one value for each start."""
        if self._process is None or self._process.poll() is not None:
            return set()
        children = psutil.Process(self._process.pid).children()
        return {environment_of(child).get(MARK, "") for child in children} - {""}

    @staticmethod
    def processes(marks: set[str]) -> list[psutil.Process]:
        """All processes with one of these marks."""
        return [p for p in psutil.process_iter() if environment_of(p).get(MARK) in marks]

    def kill_service(self, name: str) -> None:
        """Kill -9 one of Airflow's components."""
        assert self._process is not None

        def found() -> list[psutil.Process]:
            children = psutil.Process(self._process.pid).children() if self._process else []
            return [child for child in children if name in " ".join(child.cmdline()).split()]

        (process,) = self.wait_for(found, f"{name} runs")
        process.kill()

    def kill_step(self, command: str) -> None:
        """Kill -9 one running step of this `carprice` command: its process, or its container."""

        def killed() -> bool:
            if self.runtime == "docker":
                mine = ["--filter", f"label=carprice.data={self.data}"]
                mine += ["--filter", f"label=carprice.task={command.replace('-', '_')}"]
                running = docker("ps", "-q", *mine).split()
                return bool(running) and _status(["docker", "kill", running[0]]) == 0
            for process in self.processes(self.marks):
                words = process.cmdline()
                if "carprice" in words and command in words:
                    process.kill()
                    return True
            return False

        self.wait_for(killed, f"a step {command} runs")


def free_ports(count: int) -> list[int]:
    """Ports that nothing listens on.

    They are below those that the kernel gives to outgoing connections, one of which could otherwise take a
    port before its service starts.
    """
    found: list[int] = []
    for port in random.sample(range(20_000, 30_000), 1000):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            break
    return found


def environment_of(process: psutil.Process) -> dict[str, str]:
    """The environment of a process, empty if it cannot be read."""
    try:
        return dict(process.environ())
    except (psutil.Error, OSError):
        return {}


def docker(*arguments: str) -> str:
    """What a command of the Docker client prints."""
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout


def _status(command: list[str]) -> int:
    return subprocess.run(command, capture_output=True, check=False).returncode
