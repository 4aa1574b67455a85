"""The quarantine file: the refused rows of a raw file, each with its reason."""

from __future__ import annotations

import csv
import io

import numpy as np

from carprice.listings.reading import RawFile
from carprice.quality.outcome import Outcome


def quarantine_csv(raw: RawFile, outcome: Outcome) -> bytes:
    """The refused rows in the file's own columns and words, then `line` and `reason`.

    In UTF-8 with a byte order mark, which spreadsheets recognise, and with the file's delimiter.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=raw.delimiter)
    writer.writerow([*raw.header, "line", "reason"])
    chosen = np.flatnonzero(outcome.refused)
    rows = raw.table.iloc[chosen].itertuples(index=False, name=None)
    writer.writerows(
        [*row, line, problem]
        for row, line, problem in zip(rows, raw.lines[chosen], outcome.problems[chosen], strict=True)
    )
    return text.getvalue().encode("utf-8-sig")
