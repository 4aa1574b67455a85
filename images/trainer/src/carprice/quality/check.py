"""Checking one landed file: good rows are accepted, the others quarantined, and a receipt counts both."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import pandas as pd

from carprice.errors import DataRefused, NothingToDo
from carprice.landing.content import fingerprint
from carprice.params import Params, QualityParams
from carprice.quality.outcome import Outcome, outcome_of
from carprice.quality.page import quality_page
from carprice.quality.quarantine import quarantine_csv
from carprice.quality.receipt import receipt_of
from carprice.store import DataRoot
from carprice_contract import data_root
from carprice_contract.data_root import LISTINGS, QUARANTINE, RAW

log = logging.getLogger(__name__)


def examine(content: bytes, file: str, params: QualityParams) -> tuple[dict[str, Any], Outcome]:
    """What would become of a file with this content and name: its receipt, and each row. Writes nothing."""
    outcome = outcome_of(content, file, params)
    return receipt_of(file, hashlib.sha256(content).hexdigest(), len(content), outcome), outcome


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

    receipt, outcome = examine(content, file, params.quality)
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
        "%s: %d rows in, %d repeated, %d accepted, %d without a price, %d not a used car, %d quarantined",
        file,
        receipt["rows_in"],
        receipt["rows_repeated"],
        receipt["rows_accepted"],
        receipt["rows_unpriced"],
        receipt["rows_not_used_cars"],
        receipt["rows_quarantined"],
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
