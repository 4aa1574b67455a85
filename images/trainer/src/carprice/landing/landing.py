"""Where files land: putting one into `raw/` as a whole, and claiming those that wait to be dealt with.

What has been done is told by the receipts, named by the sha256 of the content they are about, never
by a list that a process keeps. Imports nothing of pandas: the claim has to start fast.
"""

from __future__ import annotations

import hashlib
import logging
import math
import os
import re
import shutil
import time
from collections.abc import Mapping
from typing import Any

from carprice.errors import CarpriceError, NothingToDo, UsageProblem
from carprice.params import LandingParams, Params
from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_SNAPSHOT, RAW, RECEIPTS
from carprice_contract.landing import is_complete, is_listed

log = logging.getLogger(__name__)

# what object stores call the version of an object
_VERSION_KEYS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "updated", "mtime", "created")


def land(root: DataRoot, path: str, name: str | None = None) -> dict[str, Any]:
    """Copy the local file `path` to `raw/`, where it appears as a whole under `name` (default: its own).

    Returns `{"file", "sha256", "bytes", "already"}`. `already` is a sentence when the same bytes are
    known, under whichever name, and nothing new will happen; None when the file waits to be claimed.
    Raises `UsageProblem` when it can't be read, when the name is not one that is looked at, or when
    `raw/` holds another content under that name.
    """
    name = name if name is not None else os.path.basename(path)
    if not is_listed(name) or "/" in name or "\\" in name:
        raise UsageProblem(
            f"A file name that ends in .csv and does not start with a point was expected, found {name!r}; "
            "rename the file or give it another name."
        )
    try:
        source = open(path, "rb")  # noqa: SIM115 (closed below; its errors are told from those of the copy)
    except OSError as error:
        raise UsageProblem(
            f"A readable file was expected, found {path}: {error.strerror or error}."
        ) from error
    with source:
        digest = hashlib.file_digest(source, "sha256").hexdigest()
        size = source.tell()
        target = f"{RAW}/{name}"
        there = root.exists(target)
        if there and sha256_of(root, target) != digest:
            stem, dot, suffix = name.rpartition(".")
            raise UsageProblem(
                f"{target} already exists with other content, and files there are never changed; "
                f"land this one under another name, for example {stem}-2{dot}{suffix}."
            )
        if not there:
            source.seek(0)
            with root.writing(target) as copy:
                shutil.copyfileobj(source, copy, 1 << 20)
            if root.is_local:
                # A modification time before the rename shows that the file came as a whole.
                modified = math.floor(os.fstat(source.fileno()).st_mtime)
                os.utime(root.path(target), (modified, modified))
    already = f"{name} is in {RAW}/ already and waits to be read" if there else None
    if root.exists(f"{RECEIPTS}/{digest}.json"):
        receipt = root.read_json(f"{RECEIPTS}/{digest}.json")
        already = (
            f"the same bytes were {receipt['status']} as {receipt['file']} on {receipt['checked_at'][:10]}"
        )
        _remember(root, receipt, name, fingerprint(root, name))
    return {"file": name, "sha256": digest, "bytes": size, "already": already}


def claim(root: DataRoot, params: Params) -> list[dict[str, str]]:
    """The complete files of `raw/` that wait to be checked: `[{"file", "sha256"}, ...]`, by name.

    A content stands there once, however many names it has. The name of a content that has been dealt
    with is added to its receipt, with a sentence in the log. A file that was accepted but is in no
    snapshot after `landing.reclaim_seconds` is claimed again: the run that had it died. Raises
    `NothingToDo`, with an empty list as its result, when no file waits.
    """
    receipts = _receipts(root)
    known = {
        (name, print_): sha
        for sha, receipt in receipts.items()
        for name, print_ in receipt.get("fingerprints", {}).items()
    }
    pending: dict[str, str] = {}
    unfinished = 0
    for entry in sorted(root.entries(RAW), key=lambda e: str(e["name"])):
        name = entry["name"].rsplit("/", 1)[-1]
        if not is_listed(name):
            if not name.startswith("."):
                log.info("%s does not end in .csv: ignored", name)
            continue
        try:
            before = fingerprint(root, name, entry)
            if (name, before) in known:
                continue
            if not _settled(root, name, params.landing):
                log.info("%s may still be written: left for the next claim", name)
                unfinished += 1
                continue
            sha = sha256_of(root, f"{RAW}/{name}")
            if fingerprint(root, name, entry) != before:
                log.info("%s changed while it was read: left for the next claim", name)
                continue
        except FileNotFoundError:
            continue
        except CarpriceError:  # the store as a whole, not this file
            raise
        except OSError as error:
            log.error("%s can't be read (%s): correct its permissions", name, error.strerror or error)
            continue
        if sha in receipts:
            _remember(root, receipts[sha], name, before)
        elif sha in pending:
            log.info(
                "%s holds the same bytes as %s, which is claimed: one of them is enough", name, pending[sha]
            )
        else:
            pending[sha] = name
    for sha, receipt in _unassembled(root, receipts, params.landing.reclaim_seconds).items():
        log.warning("%s was accepted but is in no snapshot: claimed again", receipt["file"])
        pending[sha] = receipt["file"]
    if not pending:
        raise NothingToDo(
            f"At least one new and complete file was expected in {RAW}/, found none"
            + (f" ({unfinished} may still be written)" if unfinished else "")
            + "; it is looked at again when a file lands.",
            result=[],
        )
    return [{"file": name, "sha256": sha} for sha, name in sorted(pending.items(), key=lambda p: p[1])]


def sha256_of(root: DataRoot, name: str) -> str:
    """The SHA-256 of the content of `name`, in hexadecimal. Raises `FileNotFoundError`."""
    digest = hashlib.sha256()
    with root.open(name) as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def fingerprint(root: DataRoot, name: str, entry: Mapping[str, Any] | None = None) -> str:
    """What changes whenever the content of `raw/<name>` may have: spares reading it again to know it.

    `entry` is what the root already told of an object, where it was asked. Raises `FileNotFoundError`.
    """
    if root.is_local:
        status = os.stat(root.path(f"{RAW}/{name}"))
        return f"{status.st_size}-{status.st_mtime_ns}-{status.st_ctime_ns}"
    if entry is None:
        entry = next((e for e in root.entries(RAW) if e["name"].rsplit("/", 1)[-1] == name), None)
    if entry is None:
        raise FileNotFoundError(name)
    return f"{entry.get('size')}-{next((entry[key] for key in _VERSION_KEYS if key in entry), '')}"


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


def _receipts(root: DataRoot) -> dict[str, dict[str, Any]]:
    found = {}
    for name in root.names(RECEIPTS, ".json"):
        if re.fullmatch(r"[0-9a-f]{64}\.json", name):
            found[name.removesuffix(".json")] = root.read_json(f"{RECEIPTS}/{name}")
    return found


def _remember(root: DataRoot, receipt: dict[str, Any], name: str, print_: str) -> None:
    """Note in its receipt that `raw/<name>` holds this content."""
    if name not in receipt["names"]:
        log.info(
            "%s holds the same bytes as %s, already %s: nothing to do",
            name,
            receipt["file"],
            receipt["status"],
        )
        receipt["names"].append(name)
    receipt.setdefault("fingerprints", {})[name] = print_
    root.write_json(f"{RECEIPTS}/{receipt['sha256']}.json", receipt)


def _unassembled(
    root: DataRoot, receipts: dict[str, dict[str, Any]], after_seconds: float
) -> dict[str, dict[str, Any]]:
    """Accepted files, longer ago than `after_seconds`, that the latest snapshot does not hold."""
    from datetime import UTC, datetime

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
        and (now - datetime.fromisoformat(receipt["checked_at"])).total_seconds() > after_seconds
    }
