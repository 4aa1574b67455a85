"""The columns of a listing: the one place for their types, limits and nullability.

`COLUMNS` is the table. `listing_schema` makes the Pandera schema from it, which checks files. `limits_of`
takes the limits of one JSON record and of a form from it. Pandera is slow to import, so it is loaded only
where a table is checked.
"""

from __future__ import annotations

import datetime
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from carprice.listings.problems import complaint

if TYPE_CHECKING:
    import pandas as pd
    import pandera.pandas as pa

Kind = Literal["text", "number", "flag", "time"]


@dataclass(frozen=True)
class Column:
    """One canonical column.

    In memory `text` is object (str or None), `number` float64 (NaN unknown), `flag` float64 (1 yes,
    0 no, NaN unknown: a form that Parquet and scikit-learn both keep) and `time` datetime64[us, UTC].
    A value lies between `low` and `high`, both included; `up_to_next_year` says that the largest value
    moves with the calendar. `longest` is the most characters of a text. A required column is never empty.
    `raw` is the raw field that the values are read from, where it has another name.
    """

    name: str
    kind: Kind
    low: float | None = None
    high: float | None = None
    up_to_next_year: bool = False
    longest: int | None = None
    required: bool = False
    raw: str = ""

    @property
    def field(self) -> str:
        """The raw field the values come from."""
        return self.raw or self.name


EQUIPMENT: tuple[str, ...] = (
    "alloy_wheels",
    "airbags",
    "air_conditioning",
    "gps",
    "sunroof",
    "leather_seats",
    "parking_sensors",
    "rear_camera",
    "electric_windows",
    "abs",
    "esp",
    "cruise_control",
    "speed_limiter",
    "cd_mp3_bluetooth",
    "onboard_computer",
    "remote_central_locking",
)

FIRST_YEAR = 1950
LONGEST_TEXT = 200
LONGEST_URL = 2000
LEAST_PRICE = 1_000
"""No car costs less, in MAD. Sellers who tell no price write 1 or 185; the cheapest real cars ask 9,000."""
_ABOVE_ZERO = math.nextafter(0, 1)

_COLUMNS: tuple[Column, ...] = (
    Column("listing_id", "text", longest=LONGEST_TEXT, required=True),
    Column("url", "text", longest=LONGEST_URL),
    Column("city", "text", longest=LONGEST_TEXT),
    Column("district", "text", longest=LONGEST_TEXT),
    Column("make", "text", longest=LONGEST_TEXT, required=True),
    Column("model", "text", longest=LONGEST_TEXT, required=True),
    # words such as "GT Line" or "Allure"; the model does not learn them
    Column("trim", "text", longest=LONGEST_TEXT),
    Column("model_year", "number", FIRST_YEAR, up_to_next_year=True, required=True),
    Column("mileage_km_min", "number", 0, 2_000_000, raw="mileage"),
    # empty for an open bracket ("Plus de 500 000")
    Column("mileage_km_max", "number", 0, 2_000_000, raw="mileage"),
    Column("fuel", "text", longest=LONGEST_TEXT),
    Column("fiscal_power_cv", "number", 1, 200),
    Column("gearbox", "text", longest=LONGEST_TEXT),
    Column("doors", "number", 1, 9),
    Column("origin", "text", longest=LONGEST_TEXT),
    Column("first_owner", "flag", 0, 1),
    Column("condition", "text", longest=LONGEST_TEXT),
    *(Column(name, "flag", 0, 1) for name in EQUIPMENT),
    # Prices with a zero too many are real listings: training flags them, ingestion keeps them.
    Column("price_mad", "number", _ABOVE_ZERO, math.inf, required=True),
    Column("scraped_at", "time"),
    Column("source_sha256", "text", longest=LONGEST_TEXT),
)

COLUMNS: dict[str, Column] = {column.name: column for column in _COLUMNS}

PARTIAL_WITHOUT: tuple[str, ...] = ("mileage_km_min", "fuel")
"""A listing is partial when one of these is unknown."""

_NOT_FEATURES = {"listing_id", "url", "trim", "price_mad", "scraped_at", "source_sha256"}
FEATURES: tuple[str, ...] = tuple(name for name in COLUMNS if name not in _NOT_FEATURES)
TEXT_FEATURES: tuple[str, ...] = tuple(name for name in FEATURES if COLUMNS[name].kind == "text")
NUMBER_FEATURES: tuple[str, ...] = tuple(name for name in FEATURES if COLUMNS[name].kind == "number")
FLAG_FEATURES: tuple[str, ...] = tuple(name for name in FEATURES if COLUMNS[name].kind == "flag")


class Limits(NamedTuple):
    """The least and the largest value of a column; `code` says that a value is beyond them."""

    low: float
    high: float
    code: str

    def params(self) -> dict[str, int]:
        """Those of the limits that are numbers, as the parameters of a problem."""
        return {} if math.isinf(self.high) else {"low": int(self.low), "high": int(self.high)}


def newest_year(today: datetime.date | None = None) -> int:
    """The newest plausible model year: that of `today` (by default the current day, UTC) plus one."""
    return (today or datetime.datetime.now(datetime.UTC).date()).year + 1


@lru_cache(maxsize=256)
def limits_of(name: str, newest: int) -> Limits | None:
    """The limits of a canonical column, or None where it has none; `newest` is the newest model year."""
    column = COLUMNS[name]
    high = newest if column.up_to_next_year else column.high
    if column.low is None or high is None:
        return None
    return Limits(column.low, high, "not_positive" if math.isinf(high) else "out_of_range")


def listing_schema(require_price: bool = True, today: datetime.date | None = None) -> pa.DataFrameSchema:
    """The Pandera schema of the canonical table; validate lazily to get every failure.

    Without `require_price` only the columns a model uses are checked. `today` is by default the
    current day, UTC. The message of a failed check begins with the code of the problem and a colon.
    """
    import pandas as pd
    import pandera.pandas as pa

    newest = newest_year(today)
    columns: dict[str, pa.Column] = {}
    for name, column in COLUMNS.items():
        checked = name in FEATURES or require_price
        checks = []
        limits = limits_of(name, newest)
        if column.longest is not None and checked:
            error = _error("too_long", {"longest": column.longest})
            checks.append(pa.Check(_no_longer_than(column.longest), error=error, ignore_na=False))
        if limits is not None and checked:
            error = _error(limits.code, limits.params())
            checks.append(pa.Check.in_range(limits.low, limits.high, error=error))
        dtype: Any = {"text": object, "time": pd.DatetimeTZDtype("us", "UTC")}.get(column.kind, float)
        columns[name] = pa.Column(dtype, checks, nullable=not (column.required and checked))
    return pa.DataFrameSchema(columns, strict=True, ordered=True, name="listings")


def _error(code: str, params: Mapping[str, Any]) -> str:
    return f"{code}: {complaint(code, params)}"


def _no_longer_than(longest: int) -> Callable[[pd.Series[Any]], pd.Series[bool] | bool]:
    """A check that each text of a series (None: unknown) has at most `longest` characters."""

    def check(values: pd.Series[Any]) -> pd.Series[bool] | bool:
        # One answer for all of them, the usual one, costs a tenth of an answer for each.
        return max(map(len, filter(None, values)), default=0) <= longest or ~(values.str.len() > longest)

    return check
