"""A process beside this one that does a part of the work."""

from __future__ import annotations

import contextlib
import multiprocessing
import pickle
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Generic, TypeVar

from carprice.errors import TryAgain

Job = TypeVar("Job")
Result = TypeVar("Result")

# the process says that it listens, and that it has its work
_READY = 2


class SecondProcess(Generic[Job, Result]):
    """A process that does one job after the other: `work(job)`, both of which can be pickled.

    It ends with the block, and when this process dies. At most one job is under way.
    """

    def __init__(self, work: Callable[[Job], Result]) -> None:
        # a forked process would have the locks of this one's threads, but not the threads
        context = multiprocessing.get_context("spawn")
        self._here, there = context.Pipe()
        self._work = work
        # its work is sent once it listens: `start` would wait until it does
        self._process = context.Process(target=_serve, args=(there,), daemon=True)
        self._process.start()
        there.close()
        self._told = 0

    def is_ready(self) -> bool:
        """Whether the process has started, which takes seconds. Raises `TryAgain` when it has died."""
        while self._told < _READY and self._here.poll():
            self._received()
            self._told += 1
            if self._told < _READY:
                self._send(self._work)
        return self._told == _READY

    def begin(self, job: Job) -> None:
        """Begin a job, after the one before it was waited for."""
        self._send(job)

    def result(self) -> Result:
        """Wait for the result of the job. Raises what the job raised, `TryAgain` when the process died."""
        result, error = self._received()
        if error is not None:
            raise error
        found: Result = result
        return found

    def _send(self, what: object) -> None:
        # a process that has died is told of where its result is asked for
        with contextlib.suppress(BrokenPipeError):
            self._here.send(what)

    def _received(self) -> Any:
        try:
            return self._here.recv()
        except (EOFError, ConnectionError) as gone:
            self._process.join()
            raise TryAgain(
                "A process that parses rows was expected to go on, but it ended with exit code "
                f"{self._process.exitcode}; it may have been killed because memory was short. Try again."
            ) from gone

    def __enter__(self) -> SecondProcess[Job, Result]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._here.close()
        self._process.terminate()
        self._process.join()
        self._process.close()


def _serve(jobs: Connection[Any, Any]) -> None:
    jobs.send(None)
    try:
        work: Callable[[Any], Any] = jobs.recv()
    except EOFError:
        return
    jobs.send(None)
    while True:
        try:
            job = jobs.recv()
        except EOFError:
            return
        try:
            answer: tuple[Any, Exception | None] = work(job), None
        except Exception as error:  # noqa: BLE001 (it is raised again where the result is taken)
            answer = None, error
        try:
            jobs.send(answer)
        except (TypeError, AttributeError, pickle.PicklingError):
            told = "".join(traceback.format_exception(answer[1])) if answer[1] else "its result can't be sent"
            jobs.send((None, RuntimeError(told)))
