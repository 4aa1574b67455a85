"""The receipts: one record for each content that has been dealt with, named by its SHA-256.

On a local data root, a lock keeps two processes from writing a receipt at the same time.
"""

from __future__ import annotations

import contextlib
import logging
from contextlib import AbstractContextManager
from typing import Any

from carprice.store import DataRoot
from carprice_contract import data_root
from carprice_contract.data_root import RECEIPTS
from carprice_contract.formats import FORMAT, RECEIPT

log = logging.getLogger(__name__)


def read_receipt(root: DataRoot, sha256: str) -> dict[str, Any]:
    """The receipt of the content with this SHA-256, with the keys of the newest format.

    Raises `FileNotFoundError`, and `UsageProblem` when a newer release wrote it.
    """
    receipt = root.read_record(data_root.receipt(sha256), RECEIPT)
    for key in ("reasons", "reasons_aside"):
        counted = receipt.get(key, [])
        if isinstance(counted, dict):  # format 1 has sentences only
            counted = [
                {"column": None, "code": "", "params": {}, "sentence": sentence, "rows": rows}
                for sentence, rows in counted.items()
            ]
        receipt[key] = counted
    return receipt | {FORMAT: RECEIPT}


def add_name(root: DataRoot, sha256: str, name: str, fingerprint: str) -> None:
    """Write into its receipt that `raw/<name>`, which has this fingerprint, holds the content too."""
    with _locked(root):
        # read again: what the caller read may be minutes old, and a person may have decided since
        receipt = read_receipt(root, sha256)
        if name not in receipt["names"]:
            log.info(
                "%s holds the same bytes as %s, already %s: nothing to do",
                name,
                receipt["file"],
                receipt["status"],
            )
        _write(root, _with_names(receipt, [name], {name: fingerprint}))


def write_receipt(root: DataRoot, receipt: dict[str, Any]) -> dict[str, Any]:
    """Write a receipt, with the names that the content was found under meanwhile; returns it."""
    with _locked(root):
        with contextlib.suppress(FileNotFoundError):
            known = read_receipt(root, receipt["sha256"])
            receipt = _with_names(receipt, known["names"], known.get("fingerprints", {}))
        _write(root, receipt)
    return receipt


def _with_names(receipt: dict[str, Any], names: list[str], fingerprints: dict[str, str]) -> dict[str, Any]:
    return receipt | {
        "names": list(dict.fromkeys([*receipt["names"], *names])),
        "fingerprints": receipt.get("fingerprints", {}) | fingerprints,
    }


def _locked(root: DataRoot) -> AbstractContextManager[bool]:
    return root.locked(f"{RECEIPTS}/.lock")


def _write(root: DataRoot, receipt: dict[str, Any]) -> None:
    root.write_json(data_root.receipt(receipt["sha256"]), receipt)
