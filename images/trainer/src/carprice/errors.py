"""The errors of the pipeline and the exit status each one ends a step with.

Every message is one sentence for a stranger: what was expected, what was found, what to do.
"""

from collections.abc import Mapping
from typing import Any

from carprice_contract.steps import ExitCode


class CarpriceError(Exception):
    """A step ended without doing its work; `exit_code` tells the caller why.

    `result` is what the step's result file holds all the same, where there is something to tell.
    """

    exit_code = ExitCode.FAILED

    def __init__(self, message: str, result: Any = None) -> None:
        super().__init__(message)
        self.result = result


class UsageProblem(CarpriceError):
    """The command line, a setting or `params.yaml` is wrong."""

    exit_code = ExitCode.USAGE


class DataRefused(CarpriceError):
    """The data can't be used; trying again would change nothing.

    `code` is one of `carprice.listings.problems.FILE_CODES` where a file is refused, else empty; `params` are
    its parameters, as JSON holds them.
    """

    exit_code = ExitCode.REFUSED

    def __init__(
        self, message: str, result: Any = None, code: str = "", params: Mapping[str, Any] | None = None
    ) -> None:
        super().__init__(message, result)
        self.code = code
        self.params = dict(params or {})


class TryAgain(CarpriceError):
    """A service is away; the same step may succeed later."""

    exit_code = ExitCode.TRY_AGAIN


class NothingToDo(CarpriceError):
    """There is no work for this step, or a gate said no; the task is skipped."""

    exit_code = ExitCode.NOTHING_TO_DO


class NoJson(UsageProblem, ValueError):
    """A record of the data root is broken; to who can do without it, one more that can't be read."""


class StoreAway(TryAgain, OSError):
    """The object store does not answer; to who can do without a file, one more that can't be read."""


class StoreRefused(UsageProblem, OSError):
    """The object store has no such bucket, or the keys are not good for it."""
