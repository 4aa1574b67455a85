"""Claiming the files in `raw/` that wait to be checked.

A receipt for a content means that it has been dealt with; no process keeps a list. Pandas is not imported: a
claim starts fast.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from carprice.errors import CarpriceError, NothingToDo
from carprice.landing.content import fingerprint, raw_file, sha256_of
from carprice.landing.receipts import add_name
from carprice.landing.summaries import summaries
from carprice.params import LandingParams, Params
from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_SNAPSHOT, RAW
from carprice_contract.landing import endings, is_complete, is_listed, written_name

log = logging.getLogger(__name__)


def claim(root: DataRoot, params: Params) -> list[dict[str, str]]:
    """The complete files of `raw/` that wait to be checked: `[{"file", "sha256"}, ...]`, by name.

    At most `landing.most_files` are claimed; the next claim takes the rest. Files with the same content are
    claimed once. Another name of a content that has been dealt with is added to its receipt and logged. A
    file that was accepted but is in no snapshot after `landing.reclaim_seconds` is claimed again, because the
    run that had it died. A file that a person released is claimed at once. `file` is the written name. Raises
    `NothingToDo`, with an empty list as its result, when no file waits.
    """
    receipts = summaries(root)
    most = params.landing.most_files
    claimed: dict[str, str] = {}
    for sha, receipt in _unassembled(root, receipts, params.landing.reclaim_seconds).items():
        if len(claimed) < most:
            log.warning("%s was accepted but is in no snapshot; it is claimed again", receipt["file"])
            claimed[sha] = receipt["file"]
    unfinished: list[str] = []
    for name, sha in _new_files(root, params.landing, receipts, unfinished):
        if sha in claimed:
            log.info(
                "%s holds the same bytes as %s, which is claimed already; it is skipped", name, claimed[sha]
            )
        elif len(claimed) < most:
            claimed[sha] = name
        else:
            log.info("%d files are claimed (landing.most_files); the next claim takes the rest", most)
            break
    if not claimed:
        raise NothingToDo(
            f"At least one new and complete file was expected in {RAW}/, found none"
            + (f" ({len(unfinished)} may still be being written)" if unfinished else "")
            + ". The next claim runs when a file lands.",
            result=[],
        )
    return [{"file": name, "sha256": sha} for sha, name in sorted(claimed.items(), key=lambda p: p[1])]


def _new_files(
    root: DataRoot, params: LandingParams, receipts: dict[str, dict[str, Any]], unfinished: list[str]
) -> Iterator[tuple[str, str]]:
    """The written name and the SHA-256 of each complete file whose content has no receipt, by name.

    The names of files that may still be being written are appended to `unfinished`.
    """
    known = {
        (name, known_fingerprint)
        for receipt in receipts.values()
        for name, known_fingerprint in receipt.get("fingerprints", {}).items()
    }
    for entry in sorted(root.entries(RAW), key=lambda e: str(e["name"])):
        name = written_name(entry["name"].rsplit("/", 1)[-1])
        if not is_listed(name):
            if not name.startswith("."):
                log.info("%s does not end in %s; it is ignored", name, endings())
            continue
        try:
            before = fingerprint(root, name, entry)
            if (name, before) in known:
                continue
            if not _settled(root, name, params):
                log.info("%s may still be being written; the next claim looks at it again", name)
                unfinished.append(name)
                continue
            sha = sha256_of(root, raw_file(name))
            if fingerprint(root, name) != before:  # asked again: `entry` tells how the file was
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
            add_name(root, sha, name, before)
        else:
            yield name, sha


def _settled(root: DataRoot, name: str, params: LandingParams) -> bool:
    if not root.is_local:  # an object appears as a whole
        return True
    status = os.stat(root.path(raw_file(name)))
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
