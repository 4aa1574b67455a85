"""A table of listings, each with its price or its problem: the columns of `carprice predict` and more."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pandas as pd

from carprice.lifecycle import prediction
from carprice.spreadsheets import csv_text
from price_contract import messages
from price_contract.answers import BatchRow
from price_contract.language import current

_WHOLE = {prediction.PRICE: "price_mad", prediction.LOW: "low_mad", prediction.HIGH: "high_mad"}


def priced_csv(
    table: pd.DataFrame, rows: Sequence[BatchRow], delimiter: str, coverage: float, version: str
) -> str:
    """The rows of `table` as CSV, each with what its answer holds; `version` of the model answered.

    Sentences are in the language that is on. In English they are those of the API, as `carprice predict`
    writes them.
    """
    records = [cast(dict[str, Any], row) for row in rows]
    asked = [record.get("asking_price") or {} for record in records]
    covered = [record.get("evidence") == "usual" for record in records]
    priced = ["price_mad" in record for record in records]
    columns: dict[str, Any] = {
        name: pd.array([record.get(key) for record in records], dtype="Int64") for name, key in _WHOLE.items()
    }
    columns[prediction.EVIDENCE] = [record.get("evidence", "") for record in records]
    columns[prediction.WARNINGS] = [_warnings(row) for row in rows]
    columns[prediction.PROBLEM] = [_problem(row) for row in rows]
    columns["verdict"] = [each.get("verdict") or "" for each in asked]
    columns["difference_mad"] = pd.array([each.get("difference_mad") for each in asked], dtype="Int64")
    columns["difference_share"] = [each.get("difference_share") for each in asked]
    columns["interval_coverage"] = [coverage if each else None for each in covered]
    columns["prediction_id"] = [record.get("prediction_id", "") for record in records]
    columns["model_version"] = [version if each else "" for each in priced]
    return csv_text(pd.concat([table.reset_index(drop=True), pd.DataFrame(columns)], axis=1), delimiter)


def _warnings(row: BatchRow) -> str:
    found = row.get("warnings", [])
    return prediction.sentences_of(found) if current() == "en" else messages.warnings(found)


def _problem(row: BatchRow) -> str:
    if "problem" not in row:
        return ""
    return row["problem"] if current() == "en" else messages.unpriced_row(row)
