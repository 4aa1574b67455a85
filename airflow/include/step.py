"""`@step`: a task that is one command of `carprice`.

Like Airflow's `@task.bash`, the decorated function computes and returns what to run, here the
argument list of `carprice`; the operator runs it, in a container of its own or, on machines without
a Docker engine, as a child process. Both keep the step contract:

- the result is the JSON file the command writes to `--result`, never what it prints. It becomes the
  task's XCom and the `extra` of the asset events it emits;
- exit 0 is success, 99 nothing to do (the task is skipped), 65 the data was refused and 2 a wrong
  call (failed, no retry), anything else is tried again. The result of a step that ended with 99 or
  65 is kept as XCom too.
"""

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
import uuid
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any, ClassVar, TypeAlias

import psutil  # type: ignore[import-untyped]
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import BaseOperator
from airflow.sdk.bases.decorator import DecoratedOperator, task_decorator_factory
from airflow.sdk.bases.decorator import determine_kwargs as needed_kwargs
from airflow.sdk.definitions.context import Context, context_merge
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from docker.errors import APIError, ImageNotFound
from docker.types import Mount

from include.settings import settings

EXIT_USAGE = 2
EXIT_REFUSED = 65
EXIT_NOTHING_TO_DO = 99

BACKGROUND_NICE = 15
BACKGROUND_CPU_SHARES = 64
DEFAULT_CPU_SHARES = 1024

_PR_SET_PDEATHSIG = 1

Json: TypeAlias = Any
"""A JSON document."""


def step(function: Callable[..., Sequence[str]] | None = None, **kwargs: Any) -> Callable[..., Any]:  # noqa: ANN401
    """Make a task of a function that returns the argument list of `carprice`.

    Takes the arguments of any Airflow operator and `background=True`, for steps that give way to
    others when the machine is busy. How the step runs is the setting CARPRICE_RUNTIME.
    """
    operator = {"docker": ContainerStep, "process": ProcessStep}[settings().runtime]
    decorator: Callable[..., Any] = task_decorator_factory(
        function, decorated_operator_class=operator, **kwargs
    )
    return decorator


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status, its result if it wrote one, and its last words on stderr."""

    exit_code: int
    result: Json = None
    last_words: str = ""
    remark: str = ""


class Step(DecoratedOperator):  # type: ignore[misc]  # mypy does not look into Airflow
    """What both ways to run a step have in common."""

    custom_operator_name = "@step"
    overwrite_rtif_after_execution = True  # the command is known only then, and ops want to see it

    def __init__(self, *, background: bool = False, **kwargs: Any) -> None:  # noqa: ANN401
        self.background = background
        super().__init__(**kwargs)

    @abstractmethod
    def run_step(self, arguments: list[str], context: Context) -> Outcome:
        """Run `carprice` with these arguments."""

    def execute(self, context: Context) -> Json:
        """Compute the arguments, run the step, hand on its result."""
        context_merge(context, self.op_kwargs)
        arguments = self.python_callable(
            *self.op_args, **needed_kwargs(self.python_callable, self.op_args, context)
        )
        if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
            raise AirflowFailException(
                f"The function of step {self.task_id} must return the arguments of `carprice` "
                f"as a list of strings, not {arguments!r}."
            )
        return self._concluded(self.run_step(arguments, context), context)

    def _concluded(self, outcome: Outcome, context: Context) -> Json:
        if outcome.exit_code == 0:
            if outcome.result is None:
                raise AirflowException("The step ended well but wrote no result; look at its log.")
            if isinstance(outcome.result, dict):
                for outlet in self.outlets:
                    context["outlet_events"][outlet].extra = outcome.result
            return outcome.result
        if outcome.result is not None and self.do_xcom_push:
            context["ti"].xcom_push("return_value", outcome.result)
        sentence = outcome.last_words or "no word on stderr"
        if outcome.exit_code == EXIT_NOTHING_TO_DO:
            raise AirflowSkipException(sentence)
        if outcome.exit_code == EXIT_REFUSED:
            raise AirflowFailException(f"The data was refused: {_refusal(outcome.result) or sentence}")
        if outcome.exit_code == EXIT_USAGE:
            raise AirflowFailException(f"The step was called wrongly: {sentence}")
        raise AirflowException(
            f"The step ended with exit status {outcome.exit_code}{outcome.remark}: {sentence}"
        )


class ContainerStep(Step, DockerOperator):  # type: ignore[misc]  # mypy does not look into Airflow
    """A step in a container of its own. Every default is here, with its reason."""

    # The result is read as JSON: nothing a container leaves behind is ever unpickled.
    pickling_library = json

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, "image", "command")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        "command": "json",
    }

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
        here = settings()
        super().__init__(
            # Works for images with and without an ENTRYPOINT.
            entrypoint=["carprice"],
            image=here.trainer_image,
            # Images are built or pulled when the system is set up, not in the middle of a run.
            force_pull=False,
            # The engine may be on another machine, where a folder in Airflow's /tmp means nothing.
            mount_tmp_dir=False,
            # The data folder, under the same path as everywhere, so that recorded paths mean the same.
            mounts=[
                Mount(target=here.data_root, source=here.docker_host_data_dir or here.data_root, type="bind")
            ]
            if here.data_is_local
            else [],
            # Files in the data folder belong to whoever runs the system, never to root.
            user=here.container_user,
            network_mode=here.docker_network,
            # A step that eats all memory must not take Airflow and MLflow with it.
            mem_limit=here.step_memory,
            # Leave nothing behind, not after a failure either: log and result are in Airflow by then.
            auto_remove="force",
            retrieve_output=True,
            retrieve_output_path="/tmp/result.json",  # noqa: S108 - the container's own
            **kwargs,
        )

    def run_step(self, arguments: list[str], context: Context) -> Outcome:
        """Run the step's container to its end. Raises `AirflowException` when it can't be started."""
        here = settings()
        self.command = [*arguments, "--result", str(self.retrieve_output_path)]
        self.environment = {**here.step_environment(), "HOME": "/tmp"}  # noqa: S108 - the container's own
        self._private_environment = here.step_secrets(os.environ)
        self.labels = _labels(context)
        words = [self.labels["carprice.task"], self.labels["carprice.try"], uuid.uuid4().hex[:8]]
        self.container_name = "-".join(["carprice", *words])
        self._remove_earlier_tries()
        try:
            outcome: Outcome = DockerOperator.execute(self, context)
            return outcome
        except ImageNotFound as problem:
            raise AirflowException(
                f"The engine has no image {self.image} and could not pull it ({problem.explanation}): "
                "build it with `make images` or set CARPRICE_TRAINER_IMAGE."
            ) from problem
        except APIError as problem:
            raise AirflowException(
                f"The Docker engine refused the container: {problem.explanation}"
            ) from problem

    def _remove_earlier_tries(self) -> None:
        """Stop what a killed worker left running, so that no step ever runs twice at a time."""
        mine = [f"{name}={value}" for name, value in (self.labels or {}).items() if name != "carprice.try"]
        for container in self.cli.containers(all=True, filters={"label": mine}):
            self.log.warning("Removing container %s of an earlier try", container["Names"])
            with contextlib.suppress(APIError):
                self.cli.remove_container(container["Id"], force=True)

    def _run_image_with_mounts(self, target_mounts: list[Mount], add_tmp_variable: bool) -> Outcome:
        """Create, start and follow the container.

        In place of the base class's own, which knows neither the limits below nor the result of
        a container that ended with another status than 0.
        """
        cpu_period = 100_000
        self.container = self.cli.create_container(
            image=self.image,
            entrypoint=self.entrypoint,
            command=self.command,
            name=self.container_name,
            labels=self.labels,
            environment={**self.environment, **self._private_environment},
            user=self.user,
            host_config=self.cli.create_host_config(
                mounts=target_mounts,
                network_mode=self.network_mode,
                mem_limit=self.mem_limit,
                memswap_limit=self.mem_limit,  # swapping instead of failing would only hide it
                cpu_period=cpu_period,
                cpu_quota=int(settings().step_cpus * cpu_period),
                cpu_shares=BACKGROUND_CPU_SHARES if self.background else DEFAULT_CPU_SHARES,
                pids_limit=512,
                cap_drop=["ALL"],  # a step needs no right of root's
                security_opt=["no-new-privileges"],
            ),
        )
        container = self.container["Id"]
        try:
            output = self.cli.attach(container, stdout=True, stderr=True, stream=True, demux=True)
            self.cli.start(container)
            lines = _LineLog(self.log.info)
            for stdout, stderr in output:
                lines.add("stdout", stdout)
                lines.add("stderr", stderr)
            lines.close()
            exit_code = self.cli.wait(container)["StatusCode"]
            remark = ""
            if self.cli.inspect_container(container)["State"].get("OOMKilled"):
                remark = f" (it needed more than {self.mem_limit} of memory: raise CARPRICE_STEP_MEMORY)"
            return Outcome(exit_code, self._result(), lines.last_words, remark)
        finally:
            with contextlib.suppress(APIError):  # on_kill may have removed it already
                self.cli.remove_container(container, force=True)

    def _result(self) -> Json:
        try:
            return self._attempt_to_retrieve_result()
        except ValueError:
            self.log.warning("The step's result is not JSON; it is left out.")
            return None

    def on_kill(self) -> None:
        """Remove the container at once; steps write atomically, so there is nothing to wait for."""
        if self.hook.client_created and self.container:
            with contextlib.suppress(APIError):
                self.cli.remove_container(self.container["Id"], force=True)


class ProcessStep(Step, BaseOperator):  # type: ignore[misc]  # mypy does not look into Airflow
    """A step as a child process, for machines without a Docker engine."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, "command")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        "command": "json",
    }

    def __init__(self, **kwargs: Any) -> None:  # noqa: ANN401
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
        if not here.trainer_python:
            raise AirflowFailException(
                "CARPRICE_RUNTIME=process needs CARPRICE_TRAINER_PYTHON, "
                "the python of the trainer's environment."
            )
        key = " ".join(f"{k}={v}" for k, v in _labels(context).items() if k != "carprice.try")
        _kill_earlier_tries(key, self.log.warning)
        with tempfile.TemporaryDirectory(prefix="carprice-step-") as folder:
            result_file = os.path.join(folder, "result.json")
            self.command = [*arguments, "--result", result_file]
            try:
                # A group of its own can be killed as a whole; a session of its own would make
                # Linux's autogrouping deaf to the nice value.
                self._process = subprocess.Popen(
                    [here.trainer_python, "-m", "carprice", *self.command],
                    env={
                        **_without_airflow(os.environ),
                        **here.step_environment(),
                        **here.step_secrets(os.environ),
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
                    f"CARPRICE_TRAINER_PYTHON={here.trainer_python} can't be started: {problem.strerror}."
                ) from problem
            try:
                last_words = self._follow(self._process)
                exit_code = self._process.wait()
            finally:
                self.on_kill()
            return Outcome(exit_code, self._result(result_file), last_words)

    def _follow(self, process: subprocess.Popen[bytes]) -> str:
        lines = _LineLog(self.log.info)

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


class _LineLog:
    """Logs whole lines of two interleaved streams and remembers stderr's last one."""

    def __init__(self, log: Callable[..., None]) -> None:
        self._log = log
        self._partial = {"stdout": b"", "stderr": b""}
        self._lock = threading.Lock()
        self.last_words = ""

    def add(self, stream: str, content: bytes | None) -> None:
        """Log what `content` completes."""
        with self._lock:
            *whole, self._partial[stream] = (self._partial[stream] + (content or b"")).split(b"\n")
            for line in whole:
                self._line(stream, line)

    def close(self) -> None:
        """Log what never got its line end."""
        for stream, line in self._partial.items():
            if line:
                self._line(stream, line)

    def _line(self, stream: str, line: bytes) -> None:
        text = line.decode("utf-8", errors="replace").rstrip()
        self._log("%s", text)
        if stream == "stderr" and text:
            self.last_words = text


def _labels(context: Context) -> dict[str, str]:
    """What a step is found by: its task instance, and the try."""
    ti = context["ti"]
    return {
        "carprice.dag": ti.dag_id,
        "carprice.run": ti.run_id,
        "carprice.task": ti.task_id,
        "carprice.map_index": str(-1 if ti.map_index is None else ti.map_index),
        "carprice.try": str(ti.try_number),
    }


def _refusal(result: Json) -> str | None:
    """The sentence a receipt gives for refusing its file."""
    return result.get("refusal") if isinstance(result, dict) else None


def _without_airflow(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` less what belongs to Airflow alone, its secrets first of all."""
    return {
        name: value
        for name, value in environment.items()
        if not name.lstrip("_").startswith("AIRFLOW") and name not in ("PYTHONPATH", "VIRTUAL_ENV")
    }


def _kill_earlier_tries(key: str, warn: Callable[..., None]) -> None:
    """Stop what a killed worker left running, so that no step ever runs twice at a time."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.environ().get("CARPRICE_STEP_KEY") == key:
                warn("Killing process %d of an earlier try", process.pid)
                process.kill()


def _child_setup(parent: int, nice: int) -> Callable[[], None]:
    """What the child does before it becomes the step: be nice, and never outlive its task."""
    prctl = ctypes.CDLL(None).prctl if sys.platform == "linux" else None

    def setup() -> None:
        if nice:
            os.nice(nice)
        if prctl:
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(1)

    return setup
