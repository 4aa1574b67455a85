"""A step as a child process, for machines without a Docker engine."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Any, ClassVar

import psutil  # type: ignore[import-untyped]
from airflow.sdk import BaseOperator, Context
from airflow.sdk.exceptions import AirflowFailException

from carprice_contract import variables
from include.airflow_internals import DecoratedOperator
from include.base_step import Json, LineLog, Outcome, Step, labels, without_try
from include.settings import Settings, settings

# A third of another process's share: on a machine that is busy for hours, the step still gets on.
BACKGROUND_NICE = 5

_PR_SET_PDEATHSIG = 1


class ProcessStep(Step, BaseOperator):
    """A step as a child process, for machines without a Docker engine."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, "command")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        "command": "json",
    }

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.command: list[str] = []
        self._process: subprocess.Popen[bytes] | None = None

    def run_step(self, arguments: list[str], context: Context) -> Outcome:
        """Run the step's process to its end. Raises `AirflowFailException` when it can't be started."""
        here = settings()
        self.log.warning(
            "CARPRICE_RUNTIME=process: this step runs as a plain process, "
            "without the memory limit and the isolation of a container."
        )
        variable, python = self._python(here)
        if not python:
            raise AirflowFailException(
                f"CARPRICE_RUNTIME=process needs {variable}, found it empty: set it to the python of that "
                "environment."
            )
        key = " ".join(f"{name}={value}" for name, value in without_try(labels(context)).items())
        _kill_earlier_tries(key, self.log.warning)
        with tempfile.TemporaryDirectory(prefix="carprice-step-") as folder:
            result_file = os.path.join(folder, "result.json")
            self.command = [*arguments, "--result", result_file]
            try:
                # A process group can be killed as a whole. Not a session: Linux's autogrouping would then
                # ignore the nice value.
                self._process = subprocess.Popen(
                    [python, "-m", "carprice_collector" if self.collecting else "carprice", *self.command],
                    env={
                        **self._environment(here),
                        "CARPRICE_STEP_KEY": key,
                        "PYTHONUNBUFFERED": "1",
                    },
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    process_group=0,
                    preexec_fn=_child_setup(os.getpid(), BACKGROUND_NICE if self.background else 0),
                )
            except OSError as problem:
                raise AirflowFailException(
                    f"{variable}={python} can't be started: {problem.strerror}."
                ) from problem
            try:
                last_words = self._follow(self._process)
                exit_code = self._process.wait()
            finally:
                self.on_kill()
            return Outcome(exit_code, self._result(result_file), last_words)

    def _python(self, here: Settings) -> tuple[str, str]:
        """The setting that names the python of this step, and its value."""
        if self.collecting:
            return "CARPRICE_COLLECTOR_PYTHON", here.collector_python
        if self.serving:
            return "CARPRICE_SERVING_PYTHON", here.serving_python
        return "CARPRICE_TRAINER_PYTHON", here.trainer_python

    def _environment(self, here: Settings) -> dict[str, str]:
        inherited = _without_airflow(os.environ)
        if self.collecting:
            open_ones = {name: value for name, value in inherited.items() if not variables.is_private(name)}
            return {**open_ones, **here.collector_environment()}
        return {**inherited, **here.step_environment(), **here.step_secrets(os.environ)}

    def _follow(self, process: subprocess.Popen[bytes]) -> str:
        lines = LineLog(self.log.info)

        def pump(name: str, pipe: IO[bytes]) -> None:
            for line in pipe:
                lines.add(name, line)

        pumps = [
            threading.Thread(target=pump, args=pair, daemon=True)
            for pair in (("stdout", process.stdout), ("stderr", process.stderr))
        ]
        for thread in pumps:
            thread.start()
        for thread in pumps:
            thread.join()
        lines.close()
        return lines.last_words

    def _result(self, file_name: str) -> Json:
        try:
            with open(file_name, "rb") as file:
                return json.load(file)
        except FileNotFoundError:
            return None
        except ValueError:
            self.log.warning("The step's result is not JSON; it is left out.")
            return None

    def on_kill(self) -> None:
        """Kill the process and its children; steps write atomically, so there is nothing to wait for."""
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)


def _without_airflow(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` without the variables of Airflow, above all its secrets."""
    return {
        name: value
        for name, value in environment.items()
        if not name.lstrip("_").startswith("AIRFLOW") and name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }


def _kill_earlier_tries(key: str, warn: Callable[..., None]) -> None:
    """Kill the processes that a killed worker left running, so that a step runs once at a time."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("CARPRICE_STEP_KEY") == key:
                warn("Killing process %d of an earlier try", process.pid)
                process.kill()


def _child_setup(parent: int, nice: int) -> Callable[[], None]:
    """What the child does before it becomes the step: lower its priority, and die with its task."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def setup() -> None:
        if nice:
            os.nice(nice)
        if prctl:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return setup
