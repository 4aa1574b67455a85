"""The data owner's list of prices that look like typing errors, on the quality page of their file.

A finding belongs to its file and to the model that found it. It stays when later models learn other listings
and say nothing about it.
"""

from __future__ import annotations

import io
from collections.abc import Collection
from datetime import UTC, datetime
from typing import IO

import numpy as np
import pandas as pd

from carprice.reports.html import templates
from carprice.spreadsheets import csv_text
from carprice.store import DataRoot
from carprice_contract.data_root import REPORTS

FOLDER = f"{REPORTS}/quality"
MOST_SHOWN = 50
_CSV = "-typing-errors.csv"
_NUMBERS = ("model_year", "price_mad", "expected_mad")


def publish(root: DataRoot, found: pd.DataFrame, files: Collection[str], run_id: str) -> None:
    """Put what a run found in each of `files` (SHA-256) on its quality page, with what earlier runs found.

    The findings of a file (see `model.typing_errors`), with the run and the day of each, are in a CSV file
    beside the page. A finding stays with the run that was the first to find it; one about another price of
    the listing replaces it. Only the pages of files that have findings are looked at, and a page is written
    again only if it lacks one.
    """
    found = found.assign(found_by=run_id, found_on=f"{datetime.now(UTC):%Y-%m-%d}")
    now = {str(sha256): rows for sha256, rows in found.groupby("source_sha256", sort=False)}
    had = {name.removesuffix(_CSV) for name in root.names(FOLDER, _CSV)}
    for sha256 in sorted((now.keys() | had) & set(files)):
        rows = now.get(sha256, found.head(0)).drop(columns="source_sha256")
        _publish(root, sha256, rows, had=sha256 in had)


def read(source: str | IO[bytes]) -> pd.DataFrame:
    """Findings from a CSV file; a text that is missing is "", a number NaN."""
    table = pd.read_csv(source, dtype=str, keep_default_na=False)
    for name in _NUMBERS:
        table[name] = pd.to_numeric(table[name], errors="coerce")
    return table.assign(**{name: "" for name in ("found_by", "found_on") if name not in table})


def _publish(root: DataRoot, sha256: str, rows: pd.DataFrame, had: bool) -> None:
    begin, end = "<!-- typing errors -->", "<!-- end of typing errors -->"
    page, csv = f"{FOLDER}/{sha256}.html", f"{FOLDER}/{sha256}{_CSV}"
    if not root.exists(page):
        return
    before, there, rest = root.read_bytes(page).decode().partition(begin)
    if had:
        earlier = read(io.BytesIO(root.read_bytes(csv)))
        known = set(zip(earlier["listing_id"], earlier["price_mad"], strict=True))
        new = [key not in known for key in zip(rows["listing_id"], rows["price_mad"], strict=True)]
        rows = rows[new]
        if there and not len(rows):
            return
        rows = pd.concat([rows, earlier[~earlier["listing_id"].isin(rows["listing_id"])]])
    rows = _furthest_first(rows)
    root.write_text(csv, csv_text(rows))
    section = (
        templates()
        .get_template("typing_errors.html")
        .render(rows=rows.to_dict("records"), csv=csv.rsplit("/", 1)[-1], most=MOST_SHOWN)
    )
    _, _, after = rest.partition(end)
    root.write_text(page, f"{before}{begin}{section}{end}{after}")


def _furthest_first(rows: pd.DataFrame) -> pd.DataFrame:
    asked, expected = (rows[name].to_numpy(dtype=np.float64) for name in ("price_mad", "expected_mad"))
    return rows.iloc[np.argsort(-np.abs(np.log(asked / expected)), kind="stable")]
