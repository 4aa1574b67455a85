"""Checking one landed file: good rows are accepted, others put aside, and a receipt counts all of them."""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import pandas as pd

from carprice.errors import DataRefused, NothingToDo
from carprice.landing.content import fingerprint
from carprice.params import Params, QualityParams
from carprice.quality.hold import PriceSource, no_prices, reasons_to_hold
from carprice.quality.outcome import Outcome, outcome_of
from carprice.quality.page import quality_page
from carprice.quality.quarantine import quarantine_csv
from carprice.quality.receipt import receipt_of
from carprice.store import DataRoot
from carprice_contract import data_root
from carprice_contract.data_root import LISTINGS, QUARANTINE, RAW

log = logging.getLogger(__name__)


class FileHeld(NothingToDo):
    """A file waits until a person releases or rejects it; `result` is its receipt."""


def examine(
    content: bytes, file: str, params: QualityParams, prices: PriceSource = no_prices
) -> tuple[dict[str, Any], Outcome]:
    """What would become of a file with this content and name: its receipt, and each row. Writes nothing."""
    outcome = outcome_of(content, file, params)
    receipt = receipt_of(file, hashlib.sha256(content).hexdigest(), len(content), outcome)
    if outcome.refusal is None and outcome.parsed is not None:
        reasons, price_check = reasons_to_hold(outcome.listings(), params, prices)
        receipt["hold"] = [reason.record() for reason in reasons]
        receipt["price_check"] = price_check
        if reasons:
            receipt["status"] = "held"
    return receipt, outcome


def check_data_quality(
    root: DataRoot,
    params: Params,
    file: str,
    sha256: str | None = None,
    prices: PriceSource = no_prices,
) -> dict[str, Any]:
    """Check `raw/<file>`, whose content has this SHA-256, and return its receipt.

    Writes the accepted rows, the quarantined ones, the quality page and, last, the receipt. A file
    that has a receipt is not read again. `prices` is asked whether the prices of the file stand far from
    those of the production model. Raises `DataRefused`, after writing the receipt, when the file as a whole
    can't be used, `FileHeld` when a person has to decide, and `NothingToDo` when its content is no longer
    what was claimed.
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

    receipt, outcome = examine(content, file, params.quality, prices)
    receipt["fingerprints"] = {file: seen_as}
    record(root, params.quality, receipt, outcome)
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
    return _used(receipt)


def record(root: DataRoot, params: QualityParams, receipt: dict[str, Any], outcome: Outcome) -> None:
    """Write what became of a file: its rows, its quality page and, last, its receipt."""
    sha256 = receipt["sha256"]
    accepted = f"{LISTINGS}/{sha256}.parquet"
    if outcome.refused.any() and outcome.raw is not None:
        root.write_bytes(f"{QUARANTINE}/{sha256}.csv", quarantine_csv(outcome.raw, outcome))
    if receipt["status"] == "accepted":
        table = outcome.listings().copy()
        table["source_sha256"] = pd.Series(sha256, index=table.index, dtype=object)
        root.write_parquet(accepted, table)
    else:
        # an earlier check that died, with other settings, may have written it
        root.remove(accepted)
    root.write_text(receipt["quality_page"], quality_page(receipt, outcome, params))
    root.write_json(data_root.receipt(sha256), receipt)


def _decided(root: DataRoot, sha256: str) -> dict[str, Any]:
    receipt: dict[str, Any] = root.read_json(data_root.receipt(sha256))
    log.info("%s is already %s: nothing to do", receipt["file"], receipt["status"])
    return _used(receipt)


def _used(receipt: dict[str, Any]) -> dict[str, Any]:
    """The receipt of an accepted file. Raises `DataRefused` or `FileHeld` for another one."""
    if receipt["status"] == "refused":
        code, params = receipt.get("refusal_code", ""), receipt.get("refusal_params")
        raise DataRefused(receipt["refusal"], result=receipt, code=code, params=params)
    if receipt["status"] == "held":
        raise FileHeld(
            f"{receipt['file']} is held: {'; '.join(reason['sentence'] for reason in receipt['hold'])}. "
            f"Release it with `carprice release {receipt['sha256'][:12]}`, or reject it with "
            f"`carprice reject {receipt['sha256'][:12]}`.",
            result=receipt,
        )
    return receipt
