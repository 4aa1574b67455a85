"""Start services, restart those that die, and stop all of them with everything they started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import requests

from demo.settings import DemoProblem

MARK = "DEMO_PROCESS_OF"
SERVICE_MARK = "DEMO_SERVICE"
GRACE_SECONDS = 12.0
PR_SET_PDEATHSIG = 1


@dataclass
class Service:
    """One long-running process: how it is started, and whether it is ready."""

    name: str
    command: list[str]
    environment: dict[str, str]
    ready: Callable[[], bool]
    process: subprocess.Popen[bytes] | None = None
    starts: list[float] = field(default_factory=list)


class Supervisor:
    """A set of services. Use it as a context manager: leaving it stops everything."""

    def __init__(self, logs: Path) -> None:
        self.mark = uuid.uuid4().hex
        self.services: dict[str, Service] = {}
        self._logs = logs
        self._logs.mkdir(parents=True, exist_ok=True)
        self._stopping = threading.Event()
        self._watcher = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Supervisor:
        self._watcher.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, service: Service) -> None:
        """Start a service and keep it running."""
        self._spawn(service)
        self.services[service.name] = service

    def wait_until_ready(self, name: str, seconds: float) -> None:
        """Wait until a service is ready. Raises `DemoProblem` with the end of its log."""
        service = self.services[name]
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with contextlib.suppress(requests.RequestException, OSError, ValueError, KeyError):
                if service.ready():
                    return
            if len(service.starts) > 3:
                break
            time.sleep(0.25)
        tail = self.log_of(name).read_text(errors="replace").splitlines()[-15:]
        raise DemoProblem(
            f"{name} was expected to answer within {seconds:.0f} s, found no answer; "
            f"its log {self.log_of(name)} ends:\n  " + "\n  ".join(tail)
        )

    def log_of(self, name: str) -> Path:
        """The log file of a service."""
        return self._logs / f"{name}.log"

    def run(self, name: str, command: list[str], environment: dict[str, str]) -> None:
        """Run a command to its end, with its output in its own log. Raises `DemoProblem` if it fails."""
        with open(self.log_of(name), "ab") as log:
            ended = subprocess.run(
                command,
                env=environment | {MARK: self.mark},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
                preexec_fn=_end_with_parent,
            )
        if ended.returncode:
            tail = self.log_of(name).read_text(errors="replace").splitlines()[-15:]
            raise DemoProblem(f"{name} ended with status {ended.returncode}:\n  " + "\n  ".join(tail))

    def stop(self) -> None:
        """Stop all services, the last started first, and then every process that they left."""
        self._stopping.set()
        if self._watcher.is_alive():
            self._watcher.join(timeout=5)
        running = [
            s.process for s in reversed(self.services.values()) if s.process and s.process.poll() is None
        ]
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(timeout=max(0.1, deadline - time.monotonic()))
        # Some of Airflow's processes lead their own groups and outlive their parent. Every process that
        # this supervisor started, directly or not, carries its mark.
        for _ in range(3):
            left = _kill(self.pids())
            for process in running:
                process.poll()
            if not left:
                return
            time.sleep(0.3)

    def _spawn(self, service: Service) -> None:
        with open(self.log_of(service.name), "ab") as log:
            service.process = subprocess.Popen(
                service.command,
                env=service.environment | {MARK: self.mark, SERVICE_MARK: service.name},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=_end_with_parent,
            )
        service.starts.append(time.monotonic())

    def _watch(self) -> None:
        while not self._stopping.wait(0.5):
            for service in list(self.services.values()):
                died = service.process is not None and service.process.poll() is not None
                if died and not self._stopping.is_set() and self._may_restart(service):
                    # As a container would: the child processes of a killed scheduler keep its connection,
                    # and with it the locks that the next scheduler needs.
                    _kill(self.pids(service.name))
                    self._spawn(service)

    @staticmethod
    def _may_restart(service: Service) -> bool:
        """At once the first time, then after a growing pause when a service dies again and again."""
        recent = [at for at in service.starts if time.monotonic() - at < 120]
        pause = min(30.0, 2.0 ** len(recent[1:]) - 1)
        return not recent or time.monotonic() - recent[-1] >= pause

    def pids(self, service: str | None = None) -> list[int]:
        """The processes of this supervisor, or of one service: the service and all that it started.

        They carry its mark, or are in the session of a service. The session is needed because the workers
        of Airflow's LocalExecutor overwrite their environment, and the mark in it, with a title.
        """
        wanted = {f"{MARK}={self.mark}".encode()}
        if service:
            wanted.add(f"{SERVICE_MARK}={service}".encode())
        led = [self.services[service]] if service else list(self.services.values())
        sessions = {each.process.pid for each in led if each.process}
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit() and int(entry.name) != os.getpid():
                with contextlib.suppress(OSError):
                    marked = wanted <= set((entry / "environ").read_bytes().split(b"\0"))
                    state, _, _, session = (entry / "stat").read_text().rpartition(")")[2].split()[:4]
                    if marked or (int(session) in sessions and state != "Z"):
                        found.append(int(entry.name))
        return found


def _kill(pids: list[int]) -> list[int]:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return pids


def _end_with_parent() -> None:
    """Make the kernel end this child when its parent is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
