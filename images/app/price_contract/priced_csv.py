"""A table of listings with the price or the problem of each row, as `carprice predict` writes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pandas as pd

from carprice.lifecycle import prediction
from carprice.spreadsheets import csv_text
from price_contract.answers import BatchRow

_KEYS = {prediction.PRICE: "price_mad", prediction.LOW: "low_mad", prediction.HIGH: "high_mad"}


def priced_csv(table: pd.DataFrame, rows: Sequence[BatchRow], delimiter: str) -> str:
    """The rows of `table` as CSV, each with price, interval, warnings and problem of its answer."""
    records = [cast(dict[str, Any], row) for row in rows]
    columns: dict[str, Any] = {
        name: pd.array([record.get(key) for record in records], dtype="Int64") for name, key in _KEYS.items()
    }
    columns[prediction.WARNINGS] = [prediction.sentences_of(record.get("warnings", ())) for record in records]
    columns[prediction.PROBLEM] = [record.get("problem", "") for record in records]
    return csv_text(pd.concat([table.reset_index(drop=True), pd.DataFrame(columns)], axis=1), delimiter)
