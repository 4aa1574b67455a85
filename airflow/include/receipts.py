"""What the checks of a run say of its files: a step checks one file, or several small ones."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from carprice_contract.steps import FILE_FAILED


def receipts_of(results: Iterable[Any] | None) -> Iterator[dict[str, Any]]:
    """What the `results` of checks say of each file: its receipt, or a part of it."""
    for result in results or ():
        if isinstance(result, Mapping):
            yield dict(result)
        else:
            yield from result or ()


def findings_of(result: Any) -> list[str]:
    """`refused` or `held` for each such file of a check that was not green; empty where the check failed."""
    found = [receipt.get("status") for receipt in receipts_of([result]) if isinstance(receipt, Mapping)]
    if FILE_FAILED in found:
        return []
    return [status for status in found if status in ("refused", "held")]
