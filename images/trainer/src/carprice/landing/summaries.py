"""The receipts in short: what claims, snapshots and the index need of every file that ever landed.

A receipt is read once. What is needed of it is kept in one file, which is made again where it is gone.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from carprice.errors import CarpriceError
from carprice.landing.receipts import read_receipt
from carprice.store import DataRoot
from carprice_contract import data_root
from carprice_contract.data_root import LATEST_SNAPSHOT, RECEIPT_SUMMARIES, RECEIPTS
from carprice_contract.formats import FORMAT, SUMMARIES
from carprice_contract.landing import object_fingerprint

log = logging.getLogger(__name__)

Document = dict[str, Any]

KEYS = (
    "sha256", "file", "names", "fingerprints", "status", "checked_at", "decision", "quality_page", "refusal",
    "hold", "rows_in", "rows_accepted", "rows_refused", "rows_repeated", "rows_unpriced",
    "rows_not_used_cars",
)  # fmt: skip
"""The keys of a receipt that its summary has, as far as the receipt has them.

Beside them it has `fields`: the raw fields that the columns of the file were taken for.
"""

# Where the data root is an object store, a read waits for the network and not for the processor.
_READERS = 16
# So many receipts are read again and again before they are kept: writing the file takes longer.
MOST_UNKEPT = 50


def summaries(root: DataRoot, skip_broken: bool = False) -> dict[str, Document]:
    """The summary (`KEYS`) of every receipt by the SHA-256 of its content, in order of that.

    Raises what `read_receipt` raises; `skip_broken` leaves out what is no receipt, and takes one that a newer
    release wrote as it is.
    """
    versions = {
        name.removesuffix(".json"): _version(entry)
        for entry in root.entries(RECEIPTS)
        if re.fullmatch(r"[0-9a-f]{64}\.json", name := entry["name"].rsplit("/", 1)[-1])
    }
    kept = _kept(root)
    known = {
        sha: kept[sha] for sha, version in versions.items() if kept.get(sha, {}).get("version") == version
    }
    unread = sorted(versions.keys() - known.keys())
    read, doubtful = _read(root, unread, skip_broken)
    known |= {sha: {"version": versions[sha], "summary": summary} for sha, summary in read.items()}
    if len(read) > MOST_UNKEPT or len(kept) > len(known) + MOST_UNKEPT:
        document = {FORMAT: SUMMARIES, "keys": KEYS, "receipts": known}
        root.write_bytes(RECEIPT_SUMMARIES, json.dumps(document, separators=(",", ":")).encode())
    found = {sha: entry["summary"] for sha, entry in known.items()} | doubtful
    return dict(sorted(found.items()))


def time_of_receipt(root: DataRoot) -> datetime:
    """Now (UTC), or the first moment after all receipts where the clock was set back since the last snapshot.

    The times of receipts are their order, and the files of a snapshot come before those that land after it.
    """
    now = datetime.now(UTC)
    try:
        assembled = datetime.fromisoformat(root.read_json(LATEST_SNAPSHOT)["assembled_at"])
    except (FileNotFoundError, ValueError, KeyError):
        return now
    if now > assembled:
        return now
    log.warning("the clock was set back: the newest snapshot is of %s, and it is %s", assembled, now)
    times = [datetime.fromisoformat(receipt["checked_at"]) for receipt in summaries(root, True).values()]
    return max([now, *(time + timedelta(microseconds=1) for time in times)])


def _kept(root: DataRoot) -> dict[str, Any]:
    try:
        document = root.read_json(RECEIPT_SUMMARIES)
        usable = document.get(FORMAT) == SUMMARIES and document["keys"] == list(KEYS)
        return dict(document["receipts"]) if usable else {}
    except FileNotFoundError:
        return {}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        log.warning("%s can't be read and is made again: %s", RECEIPT_SUMMARIES, error)
        return {}


def _version(entry: Document) -> str:
    """A text that changes whenever a receipt is written: a local file is replaced by another one."""
    return f"{object_fingerprint(entry)}-{entry.get('ino', '')}"


def _read(
    root: DataRoot, shas: Iterable[str], skip_broken: bool
) -> tuple[dict[str, Document], dict[str, Document]]:
    """The summaries of receipts; and of those, unless they are skipped, that this release does not know."""

    def one(sha: str) -> tuple[str, Document | None, bool]:
        try:
            return sha, _summary(read_receipt(root, sha)), True
        except FileNotFoundError:
            return sha, None, True
        except (CarpriceError, ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            if not skip_broken:
                raise
            return sha, _as_it_is(root, sha, error), False

    with ThreadPoolExecutor(_READERS) as pool:
        found = list(pool.map(one, shas))
    return tuple(  # type: ignore[return-value]
        {sha: summary for sha, summary, known in found if summary is not None and known is wanted}
        for wanted in (True, False)
    )


def _as_it_is(root: DataRoot, sha: str, error: Exception) -> Document | None:
    try:
        document = root.read_json(data_root.receipt(sha))
    except (OSError, ValueError):
        document = None
    if not isinstance(document, dict):
        log.warning("the receipt %s can't be read and is left out: %s", data_root.receipt(sha), error)
        return None
    return _summary(document)


def _summary(receipt: Document) -> Document:
    fields = sorted({str(field) for field in (receipt.get("columns") or {}).values()})
    return {key: receipt[key] for key in KEYS if key in receipt} | {"fields": fields}
