"""What every way to run a step has in common: the step contract of `carprice`.

- The result is the JSON file the command writes to `--result`, never what it prints. It becomes the
  task's XCom and the `extra` of the asset events it emits.
- Exit 0 is success, 99 nothing to do (the task is skipped), 65 the data was refused and 2 a wrong
  call (failed, no retry), anything else is tried again. The result of a step that ended with 99 or
  65 is kept as XCom too, and so are the last words of one that failed, for the report of the run.
"""

from __future__ import annotations

import threading
from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from airflow.sdk.bases.decorator import DecoratedOperator
from airflow.sdk.bases.decorator import determine_kwargs as needed_kwargs
from airflow.sdk.bases.skipmixin import SkipMixin
from airflow.sdk.definitions.context import Context, context_merge
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException

from include.settings import settings

EXIT_USAGE = 2
EXIT_REFUSED = 65
EXIT_NOTHING_TO_DO = 99

PROBLEM = "problem"
"""The key of the XCom that holds the last words of a step that failed."""

Json: TypeAlias = Any
"""A JSON document."""


@dataclass(frozen=True)
class Outcome:
    """How a command ended: its exit status, its result if it wrote one, and its last words on stderr."""

    exit_code: int
    result: Json = None
    last_words: str = ""
    remark: str = ""


class Step(DecoratedOperator, SkipMixin):
    """What both ways to run a step have in common.

    `only_if` maps tasks right behind this one to keys of its result: a task whose key is not true is
    skipped. That costs no process, as a branch of its own would.
    """

    inherits_from_skipmixin = True
    custom_operator_name = "@step"
    overwrite_rtif_after_execution = True  # the command is known only then, and ops want to see it

    def __init__(
        self,
        *,
        background: bool = False,
        serving: bool = False,
        only_if: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        self.background = background
        self.serving = serving
        self.only_if = dict(only_if or {})
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
                self._skip_the_unwanted(outcome.result, context)
            return outcome.result
        if outcome.result is not None and self.do_xcom_push:
            context["ti"].xcom_push("return_value", outcome.result)
        sentence = outcome.last_words or "no word on stderr"
        if outcome.exit_code == EXIT_NOTHING_TO_DO:
            raise AirflowSkipException(sentence)
        sentence = _refusal(outcome.result) or sentence
        context["ti"].xcom_push(PROBLEM, f"{sentence}{outcome.remark}")
        if outcome.exit_code == EXIT_REFUSED:
            raise AirflowFailException(f"The data was refused: {sentence}")
        if outcome.exit_code == EXIT_USAGE:
            raise AirflowFailException(f"The step was called wrongly: {sentence}")
        raise AirflowException(
            f"The step ended with exit status {outcome.exit_code}{outcome.remark}: {sentence}"
        )

    def _skip_the_unwanted(self, result: dict[str, Any], context: Context) -> None:
        unwanted = [task for task, key in self.only_if.items() if not result.get(key)]
        if unwanted:
            if self.do_xcom_push:
                context["ti"].xcom_push("return_value", result)  # skipping ends the task with an exception
            self.skip(context["ti"], [self.dag.get_task(task) for task in unwanted])


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
        """Log what never got its line end."""
        for stream, line in self._partial.items():
            if line:
                self._line(stream, line)

    def _line(self, stream: str, line: bytes) -> None:
        text = line.decode("utf-8", errors="replace").rstrip()
        self._log("%s", text)
        if stream == "stderr" and text:
            self.last_words = text


def labels(context: Context) -> dict[str, str]:
    """What a step is found by: the system it belongs to, its task instance, and the try."""
    ti = context["ti"]
    return {
        # Two systems on one machine may well have runs of the same name.
        "carprice.data": settings().data_root,
        "carprice.dag": ti.dag_id,
        "carprice.run": ti.run_id,
        "carprice.task": ti.task_id,
        "carprice.map_index": str(-1 if ti.map_index is None else ti.map_index),
        "carprice.try": str(ti.try_number),
    }


def _refusal(result: Json) -> str | None:
    """The sentence a receipt gives for refusing its file."""
    return result.get("refusal") if isinstance(result, dict) else None
