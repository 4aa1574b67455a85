"""Checking one landed file: good rows are accepted, the others quarantined, and a receipt counts both."""

from __future__ import annotations

import hashlib
import logging
from datetime import UTC, datetime
from typing import Any

import pandas as pd

from carprice.errors import DataRefused, NothingToDo
from carprice.landing.content import fingerprint
from carprice.listings.headers import HEADERS
from carprice.params import Params
from carprice.quality.outcome import Outcome, outcome_of
from carprice.quality.page import quality_page
from carprice.quality.quarantine import quarantine_csv
from carprice.store import DataRoot
from carprice_contract import data_root
from carprice_contract.data_root import LISTINGS, QUARANTINE, RAW

log = logging.getLogger(__name__)


def check_data_quality(
    root: DataRoot, params: Params, file: str, sha256: str | None = None
) -> dict[str, Any]:
    """Check `raw/<file>`, whose content has this SHA-256, and return its receipt.

    Writes the accepted rows, the quarantined ones, the quality page and, last, the receipt. A file
    that has a receipt is not read again. Raises `DataRefused`, after writing the receipt, when the
    file as a whole can't be used, and `NothingToDo` when its content is no longer what was claimed.
    """
    if sha256 is not None and root.exists(data_root.receipt(sha256)):
        return _decided(root, sha256)
    try:
        seen_as = fingerprint(root, file)
        content = root.read_bytes(f"{RAW}/{file}")
    except FileNotFoundError as error:
        raise DataRefused(
            f"The file {file} was expected in {RAW}/, but it was removed before it was read. Land it again.",
            code="file_removed",
            params={"file": file},
        ) from error
    found_sha = hashlib.sha256(content).hexdigest()
    if sha256 is not None and sha256 != found_sha:
        raise NothingToDo(
            f"{file} changed after it was claimed (SHA-256 {sha256[:12]} was expected, found "
            f"{found_sha[:12]}). The next run claims its new content."
        )
    if root.exists(data_root.receipt(found_sha)):
        return _decided(root, found_sha)

    outcome = outcome_of(content, file, params.quality)
    receipt = _receipt(file, found_sha, len(content), outcome)
    receipt["fingerprints"] = {file: seen_as}
    accepted = f"{LISTINGS}/{found_sha}.parquet"
    if outcome.refused.any() and outcome.raw is not None:
        root.write_bytes(f"{QUARANTINE}/{found_sha}.csv", quarantine_csv(outcome.raw, outcome))
    if outcome.refusal is None and outcome.parsed is not None:
        table = outcome.parsed.listings[outcome.parsed.good].copy()
        table["source_sha256"] = pd.Series(found_sha, index=table.index, dtype=object)
        root.write_parquet(accepted, table)
    else:
        # an earlier check that died, with other settings, may have written it
        root.remove(accepted)
    root.write_text(receipt["quality_page"], quality_page(receipt, outcome, params.quality))
    root.write_json(data_root.receipt(found_sha), receipt)
    log.info(
        "%s: %d rows in, %d repeated, %d accepted, %d refused",
        file,
        receipt["rows_in"],
        receipt["rows_repeated"],
        receipt["rows_accepted"],
        receipt["rows_refused"],
    )
    if outcome.refusal is not None:
        outcome.refusal.result = receipt
        raise outcome.refusal
    return receipt


def _decided(root: DataRoot, sha256: str) -> dict[str, Any]:
    receipt: dict[str, Any] = root.read_json(data_root.receipt(sha256))
    log.info("%s is already %s: nothing to do", receipt["file"], receipt["status"])
    if receipt["status"] == "refused":
        code, params = receipt.get("refusal_code", ""), receipt.get("refusal_params")
        raise DataRefused(receipt["refusal"], result=receipt, code=code, params=params)
    return receipt


def _receipt(file: str, sha256: str, size: int, outcome: Outcome) -> dict[str, Any]:
    found, refusal = outcome.found, outcome.refusal
    return {
        "file": file,
        "names": [file],
        "sha256": sha256,
        "bytes": size,
        "status": "refused" if refusal else "accepted",
        "rows_in": len(outcome.problems),
        "rows_repeated": int(outcome.repeated.sum()),
        "rows_accepted": int(outcome.accepted.sum()),
        "rows_refused": int(outcome.refused.sum()),
        "refusal": None if refusal is None else str(refusal),
        "refusal_code": None if refusal is None else refusal.code,
        "refusal_params": None if refusal is None else refusal.params,
        "reasons": outcome.reasons,
        "unknown_columns": [*found.unknown, *found.second] if found else [],
        "missing_columns": [HEADERS[name][0] for name in found.missing] if found else [],
        "encoding": outcome.raw.encoding if outcome.raw else None,
        "delimiter": outcome.raw.delimiter if outcome.raw else None,
        "quality_page": f"reports/quality/{sha256}.html",
        "checked_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }
