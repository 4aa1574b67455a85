"""Reading one listing that comes as a JSON record."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from carprice.listings.amounts import UnusableValue
from carprice.listings.asked_days import ASKED_ON, is_asked_on, read_asked_on
from carprice.listings.car_names import canonical_make_and_model
from carprice.listings.header_names import field_of, is_index_header
from carprice.listings.problems import UNREADABLE, Problem, accepted
from carprice.listings.schema import COLUMNS, FEATURES, limits_of, newest_year
from carprice.listings.text import shorten
from carprice.listings.values import expectation, reader_of
from carprice.listings.vocabulary import shipped_vocabulary

LONGEST_SHOWN = 80
_REMEMBERED_VALUES = 8192


@dataclass(frozen=True)
class OneRead:
    """One listing, read.

    `values` holds every one of FEATURES and `price_mad`: str for text, float for the rest, None where
    unknown or unreadable. `asked_on` is the day that the price is asked for, where the record names one. Use
    them only when there are no `problems`.

    Of the caller's fields, `unknown_fields` are those that nobody knows, `unused_fields` those of a listing
    that no price rests on (its link, its id), and `repeated_fields` those that say again what another field
    says, each with that field.
    """

    values: dict[str, str | float | None]
    problems: list[Problem]
    unknown_fields: list[str]
    unused_fields: list[str] = field(default_factory=list)
    repeated_fields: list[tuple[str, str]] = field(default_factory=list)
    asked_on: str | None = None


def read_one(record: Mapping[str, Any]) -> OneRead:
    """Read one listing of JSON scalars under any known headers, as `parse(require_price=False)` reads a row.

    A null counts as not given. The price is optional, but a price that is given must be readable. Two fields
    for one thing that say the same count once; where they say different things, nothing tells which one is
    meant, and that is a problem. No record makes this raise; the problems name what can't be used.
    """
    keys: dict[str, str] = {}  # raw field -> the caller's key
    given: dict[str, Any] = {}  # raw field -> the value, where it is not null
    found = _Record(keys, given)
    for key, value in record.items():
        raw_field = _field_of_key(key)
        if raw_field is None:
            if not is_index_header(key):
                found.unknown.append(shown(key))
        elif value is None:
            keys.setdefault(raw_field, key)
        elif raw_field not in _USED:
            found.unused.append(shown(key))
        elif raw_field in given:
            found.second(raw_field, key, value)
        else:
            keys[raw_field] = key
            given[raw_field] = value
    return found.read()


_USED = {COLUMNS[name].field for name in (*FEATURES, "price_mad")} | {
    "mileage_km_min", "mileage_km_max", ASKED_ON,
}  # fmt: skip


class _Record:
    """Collects the values and problems of one listing; the first problem of a field counts."""

    def __init__(self, keys: Mapping[str, str], given: Mapping[str, Any]) -> None:
        self.keys = keys
        self.given = given
        self.unknown: list[str] = []
        self.unused: list[str] = []
        self.repeated: list[tuple[str, str]] = []
        self.newest = newest_year()
        self.problems: dict[str, Problem] = {}

    def second(self, raw_field: str, key: str, value: Any) -> None:
        """A second field for what another field gives already."""
        other = self.keys[raw_field]
        if _same(raw_field, self.given[raw_field], value):
            self.repeated.append((shown(key), shown(other)))
            return
        params = {**_expectation(raw_field, self.newest), "other": shown(other)}
        takes = f"nothing beside {shown(other)}, which gives another value,"
        self.problems.setdefault(
            f"{raw_field}, again", Problem(shown(key), shown(value), takes, "given_twice", params)
        )

    def read(self) -> OneRead:
        values: dict[str, str | float | None] = dict.fromkeys((*FEATURES, "price_mad"))
        for name in values:
            if COLUMNS[name].raw != "mileage":
                values[name] = self.within(name, name, self.value(name))
                self.require(name, name, values[name])
        values["mileage_km_min"], values["mileage_km_max"] = self.mileage()
        self.give_names_one_spelling(values)
        day = self.day()
        return OneRead(values, list(self.problems.values()), self.unknown, self.unused, self.repeated, day)

    def day(self) -> str | None:
        """The day that the price is asked for; None where the record names none, or no day."""
        try:
            return read_asked_on(self.given.get(ASKED_ON))
        except ValueError:
            self.refuse(ASKED_ON, UNREADABLE["date"])
            return None

    def give_names_one_spelling(self, values: dict[str, str | float | None]) -> None:
        """The make and model in the spelling of the vocabulary, as the rows of a table get it."""
        make, model = (None if values[name] is None else str(values[name]) for name in ("make", "model"))
        car = canonical_make_and_model(make, model, shipped_vocabulary())
        for name, code in (("make", car.make_code), ("model", car.model_code)):
            if code is not None:
                self.refuse(name, code)
        values["make"], values["model"] = car.make, car.model

    def refuse(self, raw_field: str, code: str, takes: str = "") -> None:
        found = self.given.get(raw_field)
        params = _expectation(raw_field, self.newest)
        problem = Problem(
            shown(self.keys.get(raw_field, raw_field)),
            None if found is None else shown(found),
            takes or accepted(params),
            code,
            params,
        )
        self.problems.setdefault(raw_field, problem)

    def value(self, raw_field: str) -> Any:
        """What the reader of the field makes of its value; None where unknown or unreadable."""
        if raw_field not in self.given:
            return None
        try:
            return _read_value(raw_field, self.given[raw_field])
        except UnusableValue as error:
            self.refuse(raw_field, error.code)
        except (ValueError, OverflowError):
            self.refuse(raw_field, UNREADABLE[reader_of(raw_field).expected])
        return None

    def within(self, name: str, raw_field: str, value: Any) -> Any:
        """The value, None where it is beyond the limits of its column."""
        limits = limits_of(name, self.newest)
        if limits is None or value is None or limits.low <= value <= limits.high:
            return value
        self.refuse(raw_field, limits.code)
        return None

    def require(self, name: str, raw_field: str, value: Any) -> None:
        if value is None and COLUMNS[name].required and name in FEATURES:
            self.refuse(raw_field, "unknown_or_empty")

    def mileage(self) -> tuple[float | None, float | None]:
        """Least and largest kilometres: from a bracket, or from a field for each, as `RowReader.mileage`."""
        low_field = high_field = "mileage"
        if "mileage" not in self.given and "mileage_km_min" in self.keys:
            low_field = "mileage_km_min"
            high_field = "mileage_km_max" if "mileage_km_max" in self.keys else low_field
        for other in ("mileage_km_min", "mileage_km_max"):
            if other in self.given and other not in (low_field, high_field):
                if low_field in self.given:
                    self.repeated.append((shown(self.keys[other]), shown(self.keys[low_field])))
                else:  # a largest mileage alone says nothing about the least
                    self.unused.append(shown(self.keys[other]))
        lowest, highest = self.value(low_field), self.value(high_field)
        low = None if lowest is None else lowest[0]
        # without a field of its own, the largest is the least, or the end of the bracket
        end = 0 if high_field == "mileage_km_min" else 1
        # an open bracket has no largest
        high = None if highest is None or math.isnan(highest[end]) else highest[end]
        low = self.within("mileage_km_min", low_field, low)
        high = self.within("mileage_km_max", high_field, high)
        if low is not None and high is not None and low > high:
            self.refuse(low_field, "mileage_bounds_reversed", "no more than the largest mileage")
            low = high = None
        self.require("mileage_km_min", low_field, low)
        return low, high


@lru_cache(maxsize=1024)
def _field_of_short_key(key: str) -> str | None:
    return field_of(key) or (ASKED_ON if is_asked_on(key) else None)


def _field_of_key(key: str) -> str | None:
    # callers choose the keys, and a cache of long ones would fill the memory
    return _field_of_short_key(key) if len(key) <= LONGEST_SHOWN else None


def _read_value(raw_field: str, value: Any) -> Any:
    """What the reader of a field makes of a JSON value. Raises ValueError or OverflowError."""
    if isinstance(value, int | float) or (isinstance(value, str) and len(value) <= LONGEST_SHOWN):
        return _read_short(raw_field, value)
    return _read(raw_field, value)


def _read(raw_field: str, value: Any) -> Any:
    reader = reader_of(raw_field)
    try:
        written = _as_written(value, raw_field)
    except (ValueError, OverflowError):
        code = UNREADABLE[reader.expected]
        raise UnusableValue("not_text" if code == "too_long" else code, shown(value)) from None
    return reader.read(written)


# Listings repeat fuels, years and yes or no: remembered, a listing is read in a third of the time.
_read_short = lru_cache(maxsize=_REMEMBERED_VALUES, typed=True)(_read)


def _expectation(raw_field: str, newest: int) -> Mapping[str, Any]:
    return {"expected": "date"} if raw_field == ASKED_ON else expectation(raw_field, newest)


def _same(raw_field: str, one: Any, other: Any) -> bool:
    """Whether two values of a field say the same: `2017`, `2017.0` and `"2017"` do."""
    try:
        if raw_field == ASKED_ON:
            return read_asked_on(one) == read_asked_on(other)
        first, second = _read_value(raw_field, one), _read_value(raw_field, other)
    except (ValueError, OverflowError):
        return False
    if isinstance(first, str) and isinstance(second, str):
        return first.casefold() == second.casefold()
    return bool(first == second)


def _as_written(value: Any, raw_field: str) -> str:
    """A JSON scalar as the readers take it. Raises ValueError or OverflowError for any other value."""
    if isinstance(value, str):
        value.encode()  # half of a surrogate pair is not text; UnicodeEncodeError is a ValueError
        return value
    kind = COLUMNS[raw_field].kind if raw_field in COLUMNS else "number"
    if isinstance(value, bool):
        if kind != "flag":
            raise ValueError
        return "yes" if value else "no"
    if not isinstance(value, int | float) or not math.isfinite(value) or abs(value) >= 1e15:
        raise ValueError
    if value == int(value):
        return str(int(value))
    # six decimals, because three would be read as a group of thousands
    return repr(value) if kind == "text" else f"{value:.6f}"


def shown(value: Any) -> str:
    """A value that a caller sent, short and printable."""
    if isinstance(value, str):
        short = shorten(value[: LONGEST_SHOWN + 1], LONGEST_SHOWN)
        return short.encode(errors="replace").decode()
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**LONGEST_SHOWN else "a number of more than 80 digits"
    if isinstance(value, float):
        return repr(value)
    return "a list" if isinstance(value, list | tuple) else "an object"
