"""The data owner's list of prices that look like typing errors, on the quality page of their file."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from carprice.reports.html import templates
from carprice.spreadsheets import csv_text
from carprice.store import DataRoot

MOST_SHOWN = 50


def publish(root: DataRoot, found: pd.DataFrame, files: Iterable[str]) -> None:
    """Put the findings in each of `files` (SHA-256) on its quality page.

    The rows of `found` (see `model.typing_errors`) go to a CSV file beside the page too. Publishing again
    replaces what was there.
    """
    begin, end = "<!-- typing errors -->", "<!-- end of typing errors -->"
    # a list without rows that was read from a file has no types
    asked, expected = (found[name].to_numpy(dtype=np.float64) for name in ("price_mad", "expected_mad"))
    far = np.abs(np.log(asked / expected))
    furthest_first = found.iloc[np.argsort(-far)]
    for sha256 in files:
        page = f"reports/quality/{sha256}.html"
        rows = furthest_first[furthest_first["source_sha256"] == sha256]
        csv = f"{sha256}-typing-errors.csv"
        if not root.exists(page):
            continue
        if len(rows):
            root.write_text(f"reports/quality/{csv}", csv_text(rows.drop(columns="source_sha256")))
        section = (
            templates()
            .get_template("typing_errors.html")
            .render(rows=rows.to_dict("records"), csv=csv, most=MOST_SHOWN)
        )
        before, _, rest = root.read_bytes(page).decode().partition(begin)
        _, _, after = rest.partition(end)
        root.write_text(page, f"{before}{begin}{section}{end}{after}")
