"""What every way to run a step has in common: how a command of `carprice` is called and how it ends.

- The result is the JSON file the command writes to `--result`, never what it prints. It becomes the
  task's XCom and the `extra` of the asset events it emits.
- The exit status decides what becomes of the task, see `ExitCode`. The result of a step that was
  skipped or refused its data is kept as XCom too, and so are the last words of a step that failed:
  the report of the run shows them.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from airflow.sdk import Context, SkipMixin
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from carprice_contract import containers
from carprice_contract.steps import ExitCode
from include.airflow_internals import DecoratedOperator, context_merge, determine_kwargs
from include.settings import settings

PROBLEM = "problem"
"""The key of the XCom that holds the last words of a step that failed."""

Json: TypeAlias = Any
"""A JSON document."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status, its result if it wrote one, and its last words on stderr.

    `remark` is what else there is to say of the end, in brackets, such as that memory ran out.
    """

    exit_code: int
    result: Json = None
    last_words: str = ""
    remark: str = ""


class Step(DecoratedOperator, SkipMixin):
    """What every way to run a step has in common.

    `skip_unless` maps tasks right behind this one to keys of its result: a task whose key is not true
    is skipped. A branch task would do the same, and would cost one more process.
    """

    inherits_from_skipmixin = True
    custom_operator_name = "@step"
    overwrite_rtif_after_execution = True  # the command is known only then, and ops want to see it

    def __init__(
        self,
        *,
        background: bool = False,
        serving: bool = False,
        collecting: bool = False,
        skip_unless: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.background = background
        self.serving = serving
        self.collecting = collecting
        self.skip_unless = dict(skip_unless or {})
        super().__init__(**kwargs)

    @abstractmethod
    def run_step(self, arguments: list[str], context: Context) -> Outcome:
        """Run `carprice` with these arguments."""

    def execute(self, context: Context) -> Json:
        """Compute the arguments, run the step, hand on its result."""
        context_merge(context, self.op_kwargs)
        arguments = self.python_callable(
            *self.op_args, **determine_kwargs(self.python_callable, self.op_args, context)
        )
        if not isinstance(arguments, list) or not all(isinstance(word, str) for word in arguments):
            raise AirflowFailException(
                f"The function of step {self.task_id} must return the arguments of `carprice` "
                f"as a list of strings, not {arguments!r}."
            )
        # As plain text: a name of the contract is a member of an enum.
        return self._conclude(self.run_step([str(word) for word in arguments], context), context)

    def _conclude(self, outcome: Outcome, context: Context) -> Json:
        if outcome.exit_code == ExitCode.DONE:
            if outcome.result is None:
                raise AirflowException("The step succeeded but wrote no result; look at its log.")
            if isinstance(outcome.result, dict):
                for outlet in self.outlets:
                    context["outlet_events"][outlet].extra = outcome.result
                self._skip_tasks(outcome.result, context)
            return outcome.result
        if outcome.result is not None and self.do_xcom_push:
            context["ti"].xcom_push("return_value", outcome.result)
        sentence = outcome.last_words or "it wrote nothing to stderr"
        if outcome.exit_code == ExitCode.NOTHING_TO_DO:
            raise AirflowSkipException(sentence)
        sentence = _refusal(outcome.result) or sentence
        context["ti"].xcom_push(PROBLEM, f"{sentence}{outcome.remark}")
        if outcome.exit_code == ExitCode.REFUSED:
            raise AirflowFailException(f"The data was refused: {sentence}")
        if outcome.exit_code == ExitCode.USAGE:
            raise AirflowFailException(f"The step was called wrongly: {sentence}")
        said = f"The step ended with exit status {outcome.exit_code}{outcome.remark}: {sentence}"
        if outcome.exit_code != ExitCode.TRY_AGAIN and context["ti"].try_number > settings().retries:
            raise AirflowFailException(said)
        raise AirflowException(said)

    def _skip_tasks(self, result: dict[str, Any], context: Context) -> None:
        skipped = [task for task, key in self.skip_unless.items() if not result.get(key)]
        if skipped:
            if self.do_xcom_push:
                context["ti"].xcom_push("return_value", result)  # skipping ends the task with an exception
            self.skip(context["ti"], [self.dag.get_task(task) for task in skipped])


class LineLog:
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
        """Log what is left without a line end."""
        for stream, line in self._partial.items():
            if line:
                self._line(stream, line)

    def _line(self, stream: str, line: bytes) -> None:
        text = line.decode("utf-8", errors="replace").rstrip()
        self._log("%s", text)
        if stream == "stderr" and text:
            self.last_words = text


def labels(context: Context) -> dict[str, str]:
    """The labels that a step is found by: the system it belongs to, its task instance, and the try."""
    ti = context["ti"]
    return {
        # Two systems on one machine may have runs of the same name.
        containers.DATA_LABEL: settings().data_root,
        containers.DAG_LABEL: ti.dag_id,
        containers.RUN_LABEL: ti.run_id,
        containers.TASK_LABEL: ti.task_id,
        containers.MAP_INDEX_LABEL: str(-1 if ti.map_index is None else ti.map_index),
        containers.TRY_LABEL: str(ti.try_number),
    }


def without_try(labels: Mapping[str, str]) -> dict[str, str]:
    """The labels that every try of a step has."""
    return {name: value for name, value in labels.items() if name != containers.TRY_LABEL}


def _refusal(result: Json) -> str | None:
    """The sentence a receipt gives for refusing its file."""
    return result.get("refusal") if isinstance(result, dict) else None
