"""The day that a price is asked on or for: `2026-05-04`, beside the columns of a listing.

The model takes it as the input `asked_on`. Of a listing to learn from it is the day on which the listing was
seen; of a price asked for it is today, or a day that the caller names under that word.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from carprice.listings import words
from carprice.listings.cleaning import clean
from carprice.listings.dates import read_day
from carprice.listings.problems import RowProblem

if TYPE_CHECKING:
    import pandas as pd

ASKED_ON = "asked_on"
_FIRST = datetime.date(1970, 1, 1)


def is_asked_on(header: str) -> bool:
    """Whether a key or the header of a column names the day that a price is asked for."""
    return header.strip().casefold().replace(" ", "_") == ASKED_ON


def read_asked_on(value: Any) -> str | None:
    """The day that a cell or a JSON scalar names, None where it names none. Raises ValueError."""
    if value is None:
        return None
    if not isinstance(value, str):
        raise ValueError
    text = clean(value)
    return None if words.is_unknown(text) else read_day(text).isoformat()


def asked_days(table: pd.DataFrame) -> tuple[list[str | None], dict[int, RowProblem]]:
    """The day that each row of a raw table names under `asked_on`, and by position the rows that name none.

    Such a row gets no price: that of another day than its caller means would be wrong.
    """
    header = next((str(name) for name in table.columns if is_asked_on(str(name))), None)
    if header is None:
        return [None] * len(table), {}
    days: list[str | None] = []
    faults: dict[int, RowProblem] = {}
    for row, value in enumerate(table[header]):
        try:
            days.append(read_asked_on(str(value)))
        except ValueError:
            days.append(None)
            faults[row] = RowProblem("not_a_date", {"expected": "date"}, header)
    return days, faults


def days_of(times: pd.Series[Any]) -> npt.NDArray[np.object_]:
    """The day of each of n moments (UTC, NaT unknown) as text, None where unknown: of shape (n,)."""
    import pandas as pd

    codes, values = pd.factorize(times.dt.floor("D"))
    texts = np.array([*(f"{value:%Y-%m-%d}" for value in values), None], dtype=object)
    days: npt.NDArray[np.object_] = texts[codes]  # a code of -1, the last, is an unknown moment
    return days


def day_numbers(days: Iterable[Any]) -> npt.NDArray[np.float64]:
    """Days since 1970-01-01 of days as text, NaN for anything else: of shape (n,)."""
    return np.array([_number_of(day) if isinstance(day, str) else np.nan for day in days], dtype=np.float64)


def day_of_number(number: float) -> str:
    """The text of a number that `day_numbers` gave."""
    return (_FIRST + datetime.timedelta(days=int(number))).isoformat()


# Strangers choose the days, so only so many are kept.
@lru_cache(maxsize=4096)
def _number_of(day: str) -> float:
    try:
        return float((datetime.date.fromisoformat(day) - _FIRST).days)
    except ValueError:
        return float("nan")
