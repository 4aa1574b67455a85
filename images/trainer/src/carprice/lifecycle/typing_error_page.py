"""The data owner's list of prices that look like typing errors, on the quality page of their file.

A finding belongs to its file and to the model that found it. It stays when later models learn other listings
and say nothing about it.
"""

from __future__ import annotations

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import IO

import numpy as np
import pandas as pd

from carprice.reports.html import templates
from carprice.spreadsheets import csv_text
from carprice.store import DataRoot

MOST_SHOWN = 50

_NUMBERS = ("model_year", "price_mad", "expected_mad")


def publish(root: DataRoot, found: pd.DataFrame, files: Iterable[str], run_id: str) -> None:
    """Put what a run found in each of `files` (SHA-256) on its quality page, with what earlier runs found.

    The findings of a file (see `model.typing_errors`), with the run and the day of each, are in a CSV file
    beside the page. The newest finding about a listing replaces the earlier ones.
    """
    begin, end = "<!-- typing errors -->", "<!-- end of typing errors -->"
    found = found.assign(found_by=run_id, found_on=f"{datetime.now(UTC):%Y-%m-%d}")
    for sha256 in files:
        page, csv = f"reports/quality/{sha256}.html", f"{sha256}-typing-errors.csv"
        rows = found[found["source_sha256"] == sha256].drop(columns="source_sha256")
        known = root.exists(f"reports/quality/{csv}")
        if not root.exists(page) or not (known or len(rows)):
            continue
        if known:
            earlier = read(io.BytesIO(root.read_bytes(f"reports/quality/{csv}")))
            rows = pd.concat([rows, earlier[~earlier["listing_id"].isin(rows["listing_id"])]])
        rows = _furthest_first(rows)
        root.write_text(f"reports/quality/{csv}", csv_text(rows))
        section = (
            templates()
            .get_template("typing_errors.html")
            .render(rows=rows.to_dict("records"), csv=csv, most=MOST_SHOWN)
        )
        before, _, rest = root.read_bytes(page).decode().partition(begin)
        _, _, after = rest.partition(end)
        root.write_text(page, f"{before}{begin}{section}{end}{after}")


def read(source: str | IO[bytes]) -> pd.DataFrame:
    """Findings from a CSV file; a text that is missing is "", a number NaN."""
    table = pd.read_csv(source, dtype=str, keep_default_na=False)
    for name in _NUMBERS:
        table[name] = pd.to_numeric(table[name], errors="coerce")
    return table.assign(**{name: "" for name in ("found_by", "found_on") if name not in table})


def _furthest_first(rows: pd.DataFrame) -> pd.DataFrame:
    asked, expected = (rows[name].to_numpy(dtype=np.float64) for name in ("price_mad", "expected_mad"))
    return rows.iloc[np.argsort(-np.abs(np.log(asked / expected)), kind="stable")]
