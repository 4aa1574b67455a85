"""Checking several landed files in one step: each is checked for itself, and none stops the others."""

from __future__ import annotations

import functools
import logging
import random
from collections.abc import Sequence
from typing import Any

from carprice.errors import CarpriceError, DataRefused, NothingToDo, TryAgain
from carprice.pipeline.context import Context
from carprice.pipeline.ingestion import check_data_quality, production_prices
from carprice_contract.steps import FILE_FAILED

log = logging.getLogger(__name__)

Document = dict[str, Any]

KEYS = (
    "file", "sha256", "status", "refusal", "refusal_code", "hold", "quality_page",
    "rows_in", "rows_accepted", "rows_refused", "rows_repeated",
)  # fmt: skip
"""What the result of a step says of each of several files, as far as its receipt has it."""

# A sentence names so many files; the result names all of them.
_MOST_NAMED = 5


class SomeFailed(CarpriceError):
    """The check of some of the files failed; a further try checks only these."""


def check_files(context: Context, files: Sequence[tuple[str, str]]) -> Any:
    """Check files of `raw/`, given by name and SHA-256; returns the receipt of one file, or `KEYS` of each.

    A file whose check fails has the status `FILE_FAILED`, and its `problem`. A file that changed since it was
    claimed is left out: the next claim takes it. Raises, with the result: `SomeFailed` where a check failed,
    or what it raised where it was the only file; else `DataRefused` where a file is refused; else
    `NothingToDo` where a file is held, or all have changed. Raises `TryAgain` as soon as a service is away.
    """
    if len(files) == 1:
        return check_data_quality(context, *files[0])
    prices = functools.cache(lambda: production_prices(context))
    found: dict[str, Document] = {}

    def result() -> list[Document]:
        return [found[sha256] for _, sha256 in files if sha256 in found]

    # In another order each time: a file that ends the process must not always end it before the same others.
    for file, sha256 in random.sample(files, len(files)):
        try:
            found[sha256] = _short(check_data_quality(context, file, sha256, prices))
        except TryAgain as away:
            away.result = result()
            raise
        except (DataRefused, NothingToDo) as ended:
            if isinstance(ended.result, dict):
                found[sha256] = _short(ended.result)
            elif isinstance(ended, DataRefused):
                found[sha256] = {"file": file, "sha256": sha256, "status": "refused", "refusal": str(ended)}
            log.info("%s", ended)
        except Exception as error:
            log.exception("the check of %s failed", file)
            found[sha256] = {"file": file, "sha256": sha256, "status": FILE_FAILED, "problem": str(error)}
    _raise_what_they_ended_with(result(), len(files))
    return result()


def _raise_what_they_ended_with(found: list[Document], files: int) -> None:
    failed, refused, held = (
        [file for file in found if file["status"] == status] for status in (FILE_FAILED, "refused", "held")
    )
    if failed:
        raise SomeFailed(_sentence(failed, files, "could not be checked", "problem"), found)
    if refused:
        raise DataRefused(_sentence(refused, files, "were refused", "refusal"), found)
    if held:
        names = ", ".join(file["file"] for file in held[:_MOST_NAMED])
        more = f" and {len(held) - _MOST_NAMED} more" if len(held) > _MOST_NAMED else ""
        raise NothingToDo(
            f"{len(held)} of {files} files are held until a person decides: {names}{more}.", found
        )
    if not found:
        raise NothingToDo(
            f"All {files} files changed after they were claimed. The next run claims them again.", found
        )


def _sentence(told: list[Document], files: int, what: str, key: str) -> str:
    named = "; ".join(f"{file['file']}: {file[key]}" for file in told[:_MOST_NAMED])
    more = f"; and {len(told) - _MOST_NAMED} more" if len(told) > _MOST_NAMED else ""
    return f"{len(told)} of {files} files {what}: {named}{more}"


def _short(receipt: Document) -> Document:
    return {key: receipt[key] for key in KEYS if key in receipt}
