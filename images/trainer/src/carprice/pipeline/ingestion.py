"""From a landed file to a snapshot of all accepted listings."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from typing import Any

from carprice.errors import DataRefused
from carprice.pipeline.context import Context


def land(context: Context, path: str, name: str | None = None) -> dict[str, Any]:
    """Put the local file at `path` into `raw/`, complete or not at all."""
    from carprice.landing import land as landing

    return landing.land(context.root, path, name)


def check_file(context: Context, path: str, row_list: str | None = None) -> dict[str, Any]:
    """What would become of the local file at `path` if it landed: its receipt. Nothing is recorded.

    `row_list` names a CSV file for the fate of every row. Raises `DataRefused` with the receipt as its result
    when the file would be refused as a whole, and `UsageProblem` when `path` can't be read or `row_list`
    can't be written.
    """
    from carprice import local_files
    from carprice.quality import check
    from carprice.quality.row_list import write_row_list

    if row_list is not None:
        local_files.require_place_for(row_list, "--rows")
    receipt, outcome = check.examine(local_files.read(path), os.path.basename(path), context.params.quality)
    if row_list is not None:
        with local_files.writing(row_list) as output:
            write_row_list(output, outcome)
    if outcome.refusal is not None:
        raise DataRefused(f"{receipt['file']} would be refused.", receipt, outcome.refusal.code)
    return receipt


def claim_files(context: Context) -> list[dict[str, str]]:
    """The landed files that wait to be checked. Raises `NothingToDo` when there is none."""
    from carprice.landing.claim import claim

    return claim(context.root, context.params)


def check_data_quality(context: Context, file: str, sha256: str) -> dict[str, Any]:
    """Accept, quarantine or refuse the rows of one landed file; returns its receipt.

    Raises `DataRefused` with the receipt as its result when the whole file is refused. The refusal is
    recorded as an alert, which a later step sends.
    """
    from carprice.alerts import events
    from carprice.quality import check

    with _refusal_recorded(context):
        receipt = check.check_data_quality(context.root, context.params, file, sha256)
    events.file_accepted(context.root, receipt["sha256"])
    return receipt


def assemble_listings(context: Context, sha256: list[str]) -> dict[str, Any]:
    """Make a snapshot of all accepted listings; `sha256` names the files just checked."""
    from carprice.history import snapshots

    return snapshots.assemble(context.root, context.params, sha256)


@contextlib.contextmanager
def _refusal_recorded(context: Context) -> Iterator[None]:
    try:
        yield
    except DataRefused as refused:
        if isinstance(refused.result, dict) and refused.result.get("status") == "refused":
            from carprice.alerts import events

            events.file_refused(context.root, refused.result)
        raise
