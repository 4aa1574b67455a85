"""API processes that start in a moment: forks of one process that has imported everything already.

Each is a process of its own with its own environment, as after `python -m price_api serve`. Only the
imports, four seconds of computing, are not repeated.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
from functools import lru_cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
APP = HERE.parents[1] / "images" / "app"
IMPORTS = "api_imports"


@lru_cache(maxsize=1)
def _forks() -> ForkServerContext:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([IMPORTS])
    # The server finds what it imports by this variable alone, and ignores what it does not find.
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join((str(HERE), str(APP))))
        forkserver.ensure_running()
    return context


class ForkedApi:
    """`price_api serve` in a fork; as much of `subprocess.Popen` as tests use."""

    def __init__(self, environment: dict[str, str], log: Path, folder: Path) -> None:
        log.touch()
        self._process = _forks().Process(target=_serve, args=(environment, str(log), str(folder)))
        self._process.start()
        assert self._process.pid is not None
        self.pid = self._process.pid

    def poll(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end; the exit status."""
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired("price_api serve", timeout or 0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)


def _serve(environment: dict[str, str], log: str, folder: str) -> None:
    with open(log, "ab") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    if IMPORTS not in sys.modules:
        raise RuntimeError(f"expected {IMPORTS} to be imported before the fork, but its import failed")
    from price_api.__main__ import main

    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.exit(main(["serve"]))
