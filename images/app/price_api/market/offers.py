"""All listings of a market in memory, column by column: which ones fit, in which order, and their JSON."""

from __future__ import annotations

import io
import logging
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
import orjson
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from carprice.listings.folding import fold
from carprice.listings.schema import COLUMNS, FEATURES
from price_api.market.filters import LABELS, OfferFilters
from price_api.market.filters import TEXTS as FILTERED_WORDS
from price_contract.offer_answers import Label, Offer, PastEstimate

log = logging.getLogger(__name__)

Sort = Literal["below_estimate", "newest", "price", "mileage"]
SORTS: tuple[Sort, ...] = get_args(Sort)
Rows = npt.NDArray[np.int64]
"""Places of listings among all of a market, shape (n,)."""
Mask = npt.NDArray[np.bool_]

NUMBERS = (
    "model_year", "mileage_km_min", "mileage_km_max", "fiscal_power_cv", "price_mad", "estimate_mad",
    "low_mad", "high_mad", "position", "comparables", "days_listed", "first_price_mad", "price_changes",
    "below_share",
)  # fmt: skip
WORDS = (
    "source", "make", "model", "fuel", "gearbox", "city", "condition", "label", "not_rated", "suspicions",
    "status",
)  # fmt: skip
TEXTS = ("listing_id", "url", "prices")
TIMES = ("gone_since", "first_seen_at", "last_seen_at")
ASIDE = "estimates"
"""A long column that only the answer about one listing needs: it is read from the file."""
_MONEY = {"price_mad", "estimate_mad", "low_mad", "high_mad", "first_price_mad"}
_UNRELIABLE_PRICE = {"far_below", "far_above", "mistyped"}


class Category:
    """A text column of few values: for each row the place of its value among `names`, or -1 for unknown."""

    def __init__(self, column: pa.ChunkedArray) -> None:
        encoded = pc.dictionary_encode(pc.cast(column, pa.string())).combine_chunks()
        self.names: list[str] = encoded.dictionary.to_pylist()
        self.codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        self._folded: dict[str, list[int]] = {}
        for code, name in enumerate(self.names):
            self._folded.setdefault(_folded(name), []).append(code)

    def is_any(self, text: str) -> Mask:
        """The rows whose value is `text`, whatever its case and accents."""
        found = self._folded.get(_folded(text), [])
        if len(found) == 1:
            mask: Mask = np.equal(self.codes, found[0])
            return mask
        return np.isin(self.codes, np.array(found, dtype=np.int32))

    def spelling(self, text: str) -> str | None:
        """`text` as the column has it; None where no row has it."""
        found = self._folded.get(_folded(text))
        return self.names[found[0]] if found else None

    def values(self, rows: Rows) -> list[str | None]:
        """The values of some rows."""
        return [self.names[code] if code >= 0 else None for code in self.codes[rows].tolist()]


class Offers:
    """The listings of a market, `content` being its `offers.parquet`, and `table` what was read of it.

    Raises `pa.ArrowException`, `KeyError`, `TypeError` or `ValueError` where the table is not what it is
    meant to be.
    """

    def __init__(self, content: bytes, table: pa.Table) -> None:
        self._content = content
        self.count = len(table)
        self.numbers = {name: _numbers(table[name]) for name in NUMBERS}
        self.words = {name: Category(table[name]) for name in WORDS}
        self._texts = {name: pc.cast(table[name], pa.string()).combine_chunks() for name in TEXTS}
        self._times = {name: _times(table[name]) for name in TIMES}
        self.learned = table["learned"].to_numpy().astype(bool)
        self._more = _more_features(table)
        self.on_offer: Mask = self.words["status"].is_any("on_offer")
        suspicions = self.words["suspicions"]
        doubtful = [code for code, name in enumerate(suspicions.names) if name]
        unreliable = [code for code in doubtful if _UNRELIABLE_PRICE & set(suspicions.names[code].split(","))]
        self.suspicious: Mask = np.isin(suspicions.codes, np.array(doubtful, dtype=np.int32))
        self.priced: Mask = ~np.isin(suspicions.codes, np.array(unreliable, dtype=np.int32))
        label_words = self.words["label"]
        places = np.array([LABELS.index(name) for name in label_words.names], dtype=np.int64)
        self._labels = places[label_words.codes] if self.count else np.zeros(0, dtype=np.int64)
        self._orders = self._sorted()

    def fitting(self, filters: OfferFilters) -> Mask:
        """The rows that fit, on offer or not."""
        mask = np.ones(self.count, dtype=bool)
        for name in FILTERED_WORDS:
            text = getattr(filters, name)
            if text is not None:
                mask &= self.words[name].is_any(text)
        year, price = self.numbers["model_year"], self.numbers["price_mad"]
        for low, high, values in (
            (filters.year_from, filters.year_to, year),
            (filters.price_from, filters.price_to, price),
            (None, filters.mileage_to, self._largest_mileage),
        ):
            # an unknown value is NaN, and no comparison with it holds
            if low is not None:
                mask &= values >= low
            if high is not None:
                mask &= values <= high
        if filters.labels:
            mask &= np.isin(self._labels, [LABELS.index(label) for label in filters.labels])
        return mask

    def as_offered(self, filters: OfferFilters) -> OfferFilters:
        """The filters with their texts in the spelling of the listings, where any listing has them."""
        texts: dict[str, Any] = {name: getattr(filters, name) for name in FILTERED_WORDS}
        spelled: dict[str, Any] = {
            name: text and (self.words[name].spelling(text) or text) for name, text in texts.items()
        }
        return replace(filters, **spelled)

    def ordered(self, mask: Mask, sort: Sort) -> Rows:
        """The rows of a mask, sorted."""
        order = self._orders[sort]
        return order[mask[order]]

    def labels(self, mask: Mask) -> dict[Label, int]:
        """How many rows of a mask have each label."""
        counts = np.bincount(self._labels[mask], minlength=len(LABELS)).tolist()
        return dict(zip(LABELS, counts, strict=True))

    def row_of(self, listing_id: str) -> int | None:
        """The row of a listing; None where there is none of this id."""
        try:
            found = pc.index(self._texts["listing_id"], value=pa.scalar(listing_id, pa.string())).as_py()
        except (pa.ArrowException, UnicodeEncodeError):  # half of a surrogate pair is no text
            return None
        return None if found < 0 else int(found)

    def records(self, rows: Rows) -> list[Offer]:
        """The JSON of some rows."""
        columns: dict[str, Any] = {name: self._said(name, rows) for name in Offer.__annotations__}
        names = tuple(columns)
        return [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]  # type: ignore[misc]

    def features(self, row: int) -> dict[str, Any]:
        """The car of a row over FEATURES, None where unknown."""
        found: dict[str, Any] = dict.fromkeys(FEATURES)
        rows = np.array([row])
        for name in FEATURES:
            if name in self.words:
                found[name] = self.words[name].values(rows)[0]
            elif name in self.numbers:
                value = float(self.numbers[name][row])
                found[name] = value if value == value else None
            elif name in self._more:
                found[name] = self._more[name][row].as_py()
        return found

    def estimates(self, row: int) -> list[PastEstimate]:
        """What the versions of the model estimated for a row, oldest first; none where that is broken.

        Reads the file in memory.
        """
        with pq.ParquetFile(io.BytesIO(self._content)) as file:
            ids = 0
            for group in range(file.num_row_groups):
                rows = file.metadata.row_group(group).num_rows
                if row < ids + rows:
                    text = file.read_row_group(group, [ASIDE])[ASIDE][row - ids].as_py()
                    try:
                        return [_past_estimate(*each) for each in orjson.loads(text or "[]")]
                    except (TypeError, ValueError) as problem:
                        log.warning("the earlier estimates of a listing can't be read: %s", problem)
                        return []
                ids += rows
        return []

    @property
    def _largest_mileage(self) -> npt.NDArray[np.float64]:
        largest, least = self.numbers["mileage_km_max"], self.numbers["mileage_km_min"]
        return np.where(np.isnan(largest), least, largest)

    def _sorted(self) -> dict[Sort, Rows]:
        """All rows in each order. Equal ones stand by their ids, unknown values at the end."""
        rated = self._labels != LABELS.index("not_rated")
        below = np.where(np.isnan(self.numbers["below_share"]), -np.inf, self.numbers["below_share"])
        seen = self._times["first_seen_at"]
        return {
            # what has no label may be cheap for a reason that nobody knows: it is no bargain
            "below_estimate": np.lexsort((-below, ~rated)),
            "newest": np.lexsort((-seen.astype(np.int64), np.isnat(seen))),
            "price": np.argsort(self.numbers["price_mad"], kind="stable"),
            "mileage": np.argsort(self.numbers["mileage_km_min"], kind="stable"),
        }

    def _said(self, name: str, rows: Rows) -> list[Any]:
        """A column of some rows as JSON."""
        if name in self.words:
            values: list[Any] = self.words[name].values(rows)
            return [v.split(",") if v else [] for v in values] if name == "suspicions" else values
        if name in self.numbers:
            return [_number(value, name in _MONEY) for value in self.numbers[name][rows].tolist()]
        if name in self._times:
            return [_moment(value) for value in self._times[name][rows].astype(np.int64).tolist()]
        texts = self._texts[name].take(pa.array(rows)).to_pylist()
        return [_price_changes(text) for text in texts] if name == "prices" else texts


def read_offers(content: bytes) -> Offers:
    """The listings of an `offers.parquet`, sorted by their ids.

    Raises what `Offers` raises, and `ValueError` for ids that come twice and for prices that are no JSON.
    """
    there = pq.read_schema(io.BytesIO(content)).names
    wanted = [*TEXTS, *NUMBERS, *WORDS, *TIMES, "learned"]
    missing = [name for name in (*wanted, ASIDE) if name not in there]
    if missing:
        raise KeyError(f"the columns {', '.join(missing)}")
    more = [name for name in FEATURES if name in there and name not in wanted]
    table = pq.read_table(io.BytesIO(content), columns=[*wanted, *more])
    for name in ("listing_id", "make", "model", "price_mad", "label", "status", "suspicions", "learned"):
        if table[name].null_count:
            raise ValueError(f"rows without {name}")
    ids = pc.cast(table["listing_id"], pa.string()).combine_chunks()
    if len(ids) > 1 and not pc.all(pc.greater(ids[1:], ids[:-1])).as_py():
        raise ValueError("listing ids that come twice or are not sorted")
    for text in table["prices"].to_pylist():
        _price_changes(text)
    return Offers(content, table)


@lru_cache(maxsize=4096)
def _folded(text: str) -> str:
    return " ".join(fold(text).split())


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.float64]:
    """A column as numbers, NaN where unknown."""
    values = np.asarray(pc.cast(column, pa.float64()).to_numpy(), dtype=np.float64)
    if np.isinf(values).any():
        raise ValueError("a number that is not finite")
    return values


def _times(column: pa.ChunkedArray) -> npt.NDArray[np.datetime64]:
    """A column of moments in UTC, in microseconds."""
    if not pa.types.is_timestamp(column.type) or column.type.tz is None:
        raise TypeError(f"a column of type {column.type}, which is no moment in UTC")
    values = np.asarray(pc.cast(column, pa.timestamp("us")).to_numpy(), dtype="datetime64[us]")
    known = values[~np.isnat(values)]
    if len(known) and not (known.min() >= _EARLIEST and known.max() < _LATEST):
        raise ValueError("a moment that is none of these times")
    return values


def _more_features(table: pa.Table) -> dict[str, pa.Array]:
    """Features that an `offers.parquet` may have or lack."""
    kinds = {"text": pa.string(), "number": pa.float64(), "flag": pa.float64()}
    return {
        name: pc.cast(table[name], kinds[COLUMNS[name].kind]).combine_chunks()
        for name in FEATURES
        if name in table.column_names and name not in (*NUMBERS, *WORDS)
    }


def _number(value: float, money: bool) -> float | int | None:
    if value != value:
        return None
    return round(value) if money or value.is_integer() else value


_EARLIEST, _LATEST = np.datetime64("1970-01-01", "us"), np.datetime64("2200-01-01", "us")
_NAT = np.datetime64("NaT").astype(np.int64)


def _moment(microseconds: int) -> str | None:
    if microseconds == _NAT:
        return None
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).isoformat()


def _price_changes(text: str | None) -> list[dict[str, Any]]:
    return [{"at": at, "price_mad": round(price)} for at, price in orjson.loads(text or "[]")]


def _past_estimate(at: str, estimate: Any, low: Any, high: Any, version: Any) -> PastEstimate:
    estimate, low, high = (None if each is None else round(each) for each in (estimate, low, high))
    return PastEstimate(at=at, estimate_mad=estimate, low_mad=low, high_mad=high, model_version=str(version))


def as_rows(places: Sequence[int]) -> Rows:
    """Places of listings as an array."""
    return np.array(places, dtype=np.int64)
