"""Claiming the files in `raw/` that wait to be checked.

A receipt for a content means that it has been dealt with; no process keeps a list. Pandas is not imported: a
claim starts fast.
"""

from __future__ import annotations

import logging
import os
import time
from datetime import UTC, datetime
from typing import Any

from carprice.errors import CarpriceError, NothingToDo
from carprice.landing.content import fingerprint, sha256_of
from carprice.landing.receipts import add_name, all_receipts
from carprice.params import LandingParams, Params
from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_SNAPSHOT, RAW
from carprice_contract.landing import is_complete, is_listed

log = logging.getLogger(__name__)


def claim(root: DataRoot, params: Params) -> list[dict[str, str]]:
    """The complete files of `raw/` that wait to be checked: `[{"file", "sha256"}, ...]`, by name.

    Files with the same content are claimed once. Another name of a content that has been dealt with is
    added to its receipt and logged. A file that was accepted but is in no snapshot after
    `landing.reclaim_seconds` is claimed again, because the run that had it died. A file that a person
    released is claimed at once. Raises `NothingToDo`, with an empty list as its result, when no file waits.
    """
    receipts = all_receipts(root)
    known = {
        (name, known_fingerprint): sha
        for sha, receipt in receipts.items()
        for name, known_fingerprint in receipt.get("fingerprints", {}).items()
    }
    pending: dict[str, str] = {}
    unfinished = 0
    for entry in sorted(root.entries(RAW), key=lambda e: str(e["name"])):
        name = entry["name"].rsplit("/", 1)[-1]
        if not is_listed(name):
            if not name.startswith("."):
                log.info("%s does not end in .csv; it is ignored", name)
            continue
        try:
            before = fingerprint(root, name, entry)
            if (name, before) in known:
                continue
            if not _settled(root, name, params.landing):
                log.info("%s may still be being written; the next claim looks at it again", name)
                unfinished += 1
                continue
            sha = sha256_of(root, f"{RAW}/{name}")
            if fingerprint(root, name, entry) != before:
                log.info("%s changed while it was read; the next claim looks at it again", name)
                continue
        except FileNotFoundError:
            continue
        except CarpriceError:  # the store as a whole, not this file
            raise
        except OSError as error:
            log.error("%s can't be read (%s); correct its permissions", name, error.strerror or error)
            continue
        if sha in receipts:
            add_name(root, receipts[sha], name, before)
        elif sha in pending:
            log.info(
                "%s holds the same bytes as %s, which is claimed already; it is skipped", name, pending[sha]
            )
        else:
            pending[sha] = name
    for sha, receipt in _unassembled(root, receipts, params.landing.reclaim_seconds).items():
        log.warning("%s was accepted but is in no snapshot; it is claimed again", receipt["file"])
        pending[sha] = receipt["file"]
    if not pending:
        raise NothingToDo(
            f"At least one new and complete file was expected in {RAW}/, found none"
            + (f" ({unfinished} may still be being written)" if unfinished else "")
            + ". The next claim runs when a file lands.",
            result=[],
        )
    return [{"file": name, "sha256": sha} for sha, name in sorted(pending.items(), key=lambda p: p[1])]


def _settled(root: DataRoot, name: str, params: LandingParams) -> bool:
    if not root.is_local:  # an object appears as a whole
        return True
    status = os.stat(root.path(f"{RAW}/{name}"))
    return is_complete(
        status.st_mtime_ns,
        status.st_ctime_ns,
        time.time_ns(),
        params.settle_seconds,
        params.settle_seconds_renamed,
    )


def _unassembled(
    root: DataRoot, receipts: dict[str, dict[str, Any]], after_seconds: float
) -> dict[str, dict[str, Any]]:
    """Accepted files, longer ago than `after_seconds`, that the latest snapshot does not hold."""
    try:
        held = set(root.read_json(LATEST_SNAPSHOT)["sha256"])
    except FileNotFoundError:
        held = set()
    now = datetime.now(UTC)
    return {
        sha: receipt
        for sha, receipt in receipts.items()
        if receipt["status"] == "accepted"
        and sha not in held
        # no run has a file that a person released
        and (
            receipt.get("decision")
            or (now - datetime.fromisoformat(receipt["checked_at"])).total_seconds() > after_seconds
        )
    }
