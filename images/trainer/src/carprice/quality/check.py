"""Checking one landed file: good rows are accepted, others put aside, and a receipt counts all of them."""

from __future__ import annotations

import datetime
import hashlib
import logging
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Any

from carprice import local_files
from carprice.errors import DataRefused, NothingToDo
from carprice.history import snapshots
from carprice.landing.content import fingerprint, local_time, raw_file, sha256_of, written_at
from carprice.landing.receipts import read_receipt, write_receipt
from carprice.landing.summaries import time_of_receipt
from carprice.params import Params, QualityParams
from carprice.quality.accepted import AcceptedFile
from carprice.quality.hold import PriceSource, no_prices
from carprice.quality.outcome import Source, opened
from carprice.quality.page import quality_page
from carprice.quality.quarantine import QuarantineFile
from carprice.quality.receipt import receipt_of
from carprice.quality.row_list import RowList
from carprice.store import DataRoot, Discarded
from carprice_contract import data_root
from carprice_contract.data_root import LISTINGS, QUARANTINE, RAW
from carprice_contract.landing import written_name

log = logging.getLogger(__name__)


class FileHeld(NothingToDo):
    """A file waits until a person releases or rejects it; `result` is its receipt."""


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
        found_sha = sha256_of(root, raw_file(file))
    except FileNotFoundError as error:
        raise DataRefused(
            f"The file {file} was expected in {RAW}/, but it was removed before it was read. Land it again.",
            code="file_removed",
            params={"file": file},
        ) from error
    if sha256 is not None and sha256 != found_sha:
        raise NothingToDo(
            f"{file} changed after it was claimed (SHA-256 {sha256[:12]} was expected, found "
            f"{found_sha[:12]}). The next run claims its new content."
        )
    if root.exists(data_root.receipt(found_sha)):
        return _decided(root, found_sha)

    known = {
        "fingerprints": {file: seen_as},
        "checked_at": time_of_receipt(root).isoformat(timespec="microseconds"),
    }
    receipt = record(root, params.quality, file, found_sha, prices, kept=known)
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


def try_file(
    path: str,
    params: QualityParams,
    prices: PriceSource = no_prices,
    row_list: str | None = None,
    known: snapshots.KnownNames = snapshots.NO_NAMES,
) -> dict[str, Any]:
    """What would become of the local file at `path`: its receipt. Writes only `row_list`, if it is named.

    `row_list` is a CSV file with the fate of every row. `known` are names that titles are read by, those of
    the data root. Raises `UsageProblem` when `path` can't be read.
    """
    source, size = _local_source(path)
    with ThreadPoolExecutor(1) as beside:  # hashing a large file takes a second, and leaves this core free
        sha256 = beside.submit(_sha256_of, source)
        file = written_name(os.path.basename(path))
        outcome = opened(source, file, params, known, _written_at(path))
        if row_list is None:
            outcome.read()
            if outcome.shared is not None:
                outcome.identify()
            outcome.close(params)
        else:
            with local_files.writing(row_list) as output:
                outcome.read([RowList(output).add])
                if outcome.shared is not None:
                    _begin_again(output)
                    outcome.identify([RowList(output).add])
                outcome.close(params)
                if outcome.has_other_fates_now:
                    _begin_again(output)
                    again = RowList(output)
                    for rows in outcome.refused_rows():
                        again.add(rows)
    return receipt_of(file, sha256.result(), size, outcome, params, prices)


def record(
    root: DataRoot,
    params: QualityParams,
    file: str,
    sha256: str,
    prices: PriceSource | None,
    rejection: DataRefused | None = None,
    kept: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Read `raw/<file>` and write what became of it: its rows, its page and, last, its receipt.

    `prices` is None where a person has decided, so that the file is not held; `rejection` refuses it. `kept`
    are entries of the receipt that are known already. Raises `FileNotFoundError`.
    """
    accepted, quarantined = f"{LISTINGS}/{sha256}.parquet", f"{QUARANTINE}/{sha256}.csv"
    source, size = source_of(root, raw_file(file))
    outcome = opened(source, file, params, snapshots.names(root), written_at(root, file))

    def decided() -> dict[str, Any]:
        outcome.close(params, rejection)
        return receipt_of(file, sha256, size, outcome, params, prices) | dict(kept or {})

    if outcome.raw is None:
        receipt = decided()
    else:
        with root.writing(quarantined) as refused_output:
            quarantine = QuarantineFile(refused_output, outcome.raw)
            with root.writing(accepted) as accepted_output:
                listings = AcceptedFile(accepted_output, sha256)
                outcome.read([listings.add, quarantine.add])
                listings.close()
                if outcome.shared is not None:
                    _begin_again(accepted_output)
                    listings = AcceptedFile(accepted_output, sha256)
                    outcome.identify([listings.add])
                    listings.close()
                receipt = decided()
                if receipt["status"] != "accepted":
                    raise Discarded
            if outcome.has_other_fates_now:
                quarantine.close()
                _begin_again(refused_output)
                quarantine = QuarantineFile(refused_output, outcome.raw)
                for rows in outcome.refused_rows():
                    quarantine.add(rows)
            quarantine.close()
            if not receipt["rows_quarantined"]:
                raise Discarded
    # an earlier check that died, or one with other settings, may have written them
    if receipt["status"] != "accepted":
        root.remove(accepted)
    if not receipt["rows_quarantined"]:
        root.remove(quarantined)
    root.write_text(receipt["quality_page"], quality_page(receipt, outcome, params))
    return write_receipt(root, receipt)


def source_of(root: DataRoot, name: str) -> tuple[Source, int]:
    """A file of the data root to read, and its size in bytes."""
    if root.is_local:
        return root.path(name), os.stat(root.path(name)).st_size
    content = root.read_bytes(name)
    return content, len(content)


def _local_source(path: str) -> tuple[Source, int]:
    """A file of this machine to read, and its size in bytes. Raises `UsageProblem`."""
    if not os.path.isfile(path):  # a pipe can be read once
        content = local_files.read(path)
        return content, len(content)
    local_files.require_readable(path)
    return path, os.stat(path).st_size


def _sha256_of(source: Source) -> str:
    if isinstance(source, bytes):
        return hashlib.sha256(source).hexdigest()
    with open(source, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _written_at(path: str) -> datetime.datetime | None:
    """When a file of this machine was last written (UTC); None for a pipe."""
    if not os.path.isfile(path):
        return None
    return local_time(path)


def _begin_again(output: IO[Any]) -> None:
    output.seek(0)
    output.truncate()


def _decided(root: DataRoot, sha256: str) -> dict[str, Any]:
    receipt = read_receipt(root, sha256)
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
