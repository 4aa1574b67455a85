"""What the values of a column are, whatever its header says."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Literal

from carprice.listings import words
from carprice.listings.cleaning import clean
from carprice.listings.equipment import equipment_of
from carprice.listings.folding import words_of
from carprice.listings.labels import parted
from carprice.listings.other_ads import kind_of_category
from carprice.listings.places import is_city, place_in_category
from carprice.listings.schema import EQUIPMENT, LEAST_PRICE, limits_of, newest_year
from carprice.listings.titles import read_title
from carprice.listings.values import reader_of
from carprice.listings.vocabulary import shipped_vocabulary

ValueKind = Literal[
    "year", "power", "mileage", "price", "fuel", "gearbox", "condition", "origin", "doors",
    "driven_wheels", "link", "equipment", "category", "place", "city", "currency", "make", "make_and_model",
    "title", "day", "moment", "consumption", "distance_unit",
]  # fmt: skip

FIELD_OF: dict[ValueKind, str] = {
    "year": "model_year",
    "power": "fiscal_power_cv",
    "mileage": "mileage",
    "price": "price_mad",
    "fuel": "fuel",
    "gearbox": "gearbox",
    "condition": "condition",
    "origin": "origin",
    "doors": "doors",
    "link": "url",
    "make": "make",
    "city": "city",
}
"""The raw field that values of a kind belong to, for kinds that can be told by what they look like."""

MIXED: tuple[ValueKind, ...] = ("year", "power", "mileage", "fuel", "gearbox", "doors", "condition", "origin")
"""The kinds that stand in one column where a scraper took whatever a card showed, in order of the tests."""

_READ = {"model_year", "mileage", "mileage_km_min", "mileage_km_max", "fiscal_power_cv", "doors", "price_mad"}
_NAMED = {"fuel", "gearbox", "condition", "origin"}
_NEARLY_ALL = 0.9
_MANY, _FEWEST_DAYS = 0.5, 15
_MOST_YEARS_OF_ADS = 3
_MOST_VALUES, _MOST_TITLES = 400, 150
_LONGEST_CATEGORY = 60
_FEWEST_TITLE_WORDS, _MOST_TITLE_WORDS = 5, 25

_YEAR = re.compile(r"(?:19[5-9]|20\d)\d(?:\.0)?")
_POWER = re.compile(r"(?:plus de )?\d{0,3}\s*(?:cv|chevaux)\.?")
_KILOMETRES = re.compile(r"[\d .,]+\s*(?:kms?|kilom[eè]tres|كم|كلم)\.?")
_BRACKET = re.compile(r"\d{1,3}(?:[ .,]?\d{3})? ?- ?\d{1,3}[ .,]?\d{3}(?: ?km)?|plus de \d{3}[ .,]?000")
_DIRHAMS = re.compile(r".*\d[\s.,-]*(?:dhs?|mad|dirhams?|درهم)\b.*", re.DOTALL)
_DOORS = re.compile(r"[2-7] (?:portes?|doors?)")
_DAY = re.compile(r"(?:\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})(?:\D.*)?")
_CLOCK = re.compile(r".*\d{4}.*?(?!00:00)\d{1,2}[:h]\d{2}.*|.*\d[T ](?!00:00)\d{2}:\d{2}.*")
_CONSUMPTION = re.compile(
    r"\d{1,2}[.,](?!0+$)\d{1,2}|\d{1,2}(?:[.,]\d{1,2})?\s*(?:km ?/ ?l|kmpl|km/kg|mpg|l ?/ ?100 ?(?:kms?)?)"
)
_LINK = re.compile(r"https?://\S+|www\.\S+|/[\w-]+/\S+")


class ColumnValues:
    """The values of a column in a sample of the rows; `counts` has the rows of each value as written."""

    def __init__(self, counts: Mapping[str, int]) -> None:
        rows = sum(counts.values())
        known = [
            (parted(text)[1], n)
            for value, n in counts.items()
            if not words.is_unknown(text := clean(str(value)))
        ]
        self.distinct = len(known)
        self.label = _label([parted(clean(str(value)))[0] for value in counts])
        """The raw field that almost all values name before them: `Modèle : Clio`; None where they do not."""
        self.some = _some(known, _MOST_VALUES)
        self.filled = sum(n for _, n in known) / rows if rows else 0.0
        """The share of the rows that say anything."""
        self._shares: dict[str, float] = {}

    def share(self, kind: ValueKind) -> float:
        """The share of the known values of a kind, 0 to 1; a value can be of several kinds."""
        if kind not in self._shares:
            # reading titles takes longest
            some = _some(self.some, _MOST_TITLES) if kind in ("title", "make_and_model") else self.some
            self._shares[kind] = _share(some, _TESTS[kind])
        return self._shares[kind]

    def share_where(self, test: Callable[[str], bool]) -> float:
        """The share of the known values for which a test says yes, 0 to 1."""
        return _share(self.some, test)

    def are_days_of_ads(self) -> bool:
        """Whether the values are the days on which ads were published, and not those of first registrations.

        They tell a time of day, or lie within two years though they are many.
        """
        if self.share("moment") >= _MANY:
            return True
        if self.share("day") < _MANY or self.distinct < _FEWEST_DAYS:
            return False
        return len({year for text, _ in self.some for year in re.findall(r"\d{4}", text)[:1]}) <= 2

    def are_prices(self) -> bool:
        """Whether half of the known values are amounts that a car may cost."""
        return self.share_where(_is_price) >= _MANY

    def are_years_of_ads(self) -> bool:
        """Whether the values may be the years in which ads were published: the last ones alone."""
        years = {int(text) for text, _ in self.some if _YEAR.fullmatch(text) and text.isdigit()}
        return 0 < len(years) == self.distinct <= _MOST_YEARS_OF_ADS and min(years) >= newest_year() - 4

    def fit(self, raw_field: str) -> float:
        """The share of the known values that a raw field can hold, 0 to 1."""
        key = f"fit {raw_field}"
        if key not in self._shares:
            self._shares[key] = _share(self.some, _fits(raw_field))
        return self._shares[key]


def kind_of_value(text: str) -> ValueKind | None:
    """Which of the kinds in `MIXED` a clean value is, or None."""
    return next((kind for kind in MIXED if _TESTS[kind](text)), None)


def is_of_kind(text: str, kind: ValueKind) -> bool:
    """Whether a clean value looks like one of a kind."""
    return _TESTS[kind](text)


def reads(raw_field: str, text: str) -> bool:
    """Whether a raw field can hold a clean value: it is unknown, or readable and within the limits."""
    try:
        value = reader_of(raw_field).read(text)
    except (ValueError, OverflowError):
        return False
    limits = limits_of("mileage_km_min" if raw_field == "mileage" else raw_field, newest_year())
    if value is None or limits is None:
        return True
    ends: Iterable[float] = value if isinstance(value, tuple) else (value,)
    return all(end != end or limits.low <= end <= limits.high for end in ends)


def _begins_with_make(text: str) -> bool:
    vocabulary = shipped_vocabulary()
    parts = text.split()
    return any(
        vocabulary.make_named(" ".join(parts[:count])) is not None
        for count in (3, 2, 1)
        if len(parts) > count
    )


def _is_title(text: str) -> bool:
    """Whether a text reads like the title of an ad: a car, and more than its make and model."""
    count = len(words_of(text))
    if not 2 <= count <= _MOST_TITLE_WORDS:
        return False
    facts = read_title(text, shipped_vocabulary(), newest_year())
    if facts.make is None:
        return False
    more = (facts.model_year, facts.fuel, facts.gearbox, facts.city)
    return count >= _FEWEST_TITLE_WORDS or any(fact is not None for fact in more)


def _is_year(text: str) -> bool:
    return bool(_YEAR.fullmatch(text)) and float(text) <= newest_year()


def _is_price(text: str) -> bool:
    try:
        price = reader_of("price_mad").read(text)
    except (ValueError, OverflowError):
        return False
    return price is not None and float(price) >= LEAST_PRICE


def _is_mileage(text: str) -> bool:
    plain = text.casefold()
    return bool(_KILOMETRES.fullmatch(plain) or _BRACKET.fullmatch(plain))


_TESTS: dict[ValueKind, Callable[[str], bool]] = {
    "year": _is_year,
    "power": lambda text: bool(_POWER.fullmatch(text.casefold())),
    "mileage": _is_mileage,
    "price": lambda text: bool(_DIRHAMS.fullmatch(text.casefold())),
    "fuel": lambda text: words.fuel(text) is not None,
    "gearbox": lambda text: words.gearbox(text) is not None,
    "condition": lambda text: words.condition(text) is not None,
    "origin": lambda text: words.origin(text) is not None,
    "doors": lambda text: bool(_DOORS.fullmatch(text.casefold())),
    "driven_wheels": words.is_driven_wheels,
    "link": lambda text: bool(_LINK.fullmatch(text)),
    "equipment": lambda text: equipment_of(text) is not None,
    "category": lambda text: len(text) <= _LONGEST_CATEGORY and kind_of_category(text) is not None,
    "place": lambda text: place_in_category(text) is not None,
    "city": is_city,
    "currency": lambda text: words.price_unit(text) is not None,
    "make": lambda text: shipped_vocabulary().make_named(text) is not None,
    "make_and_model": _begins_with_make,
    "title": _is_title,
    "day": lambda text: bool(_DAY.fullmatch(text)),
    "moment": lambda text: bool(_DAY.fullmatch(text) and _CLOCK.fullmatch(text)),
    "consumption": lambda text: bool(_CONSUMPTION.fullmatch(text.casefold())),
    "distance_unit": words.is_distance_unit,
}


@lru_cache(maxsize=256)
def _fits(raw_field: str) -> Callable[[str], bool]:
    if raw_field in _READ:
        return lambda text: reads(raw_field, text)
    if raw_field in _NAMED:
        return next(_TESTS[kind] for kind, field in FIELD_OF.items() if field == raw_field)
    if raw_field == "first_owner":
        return lambda text: words.first_owner(text) is not None
    if raw_field in EQUIPMENT:
        return lambda text: words.equipped(text) is not None
    if raw_field == "url":
        return lambda text: reads(raw_field, text)
    return lambda text: True


def _label(fields: Sequence[str | None]) -> str | None:
    """The one field among those of the labels of distinct values that nearly all have."""
    found, times = Counter(fields).most_common(1)[0] if fields else (None, 0)
    return found if times >= _NEARLY_ALL * len(fields) and len(fields) > 1 else None


def _some(values: Sequence[tuple[str, int]], most: int) -> list[tuple[str, int]]:
    """Some of the values: the most frequent, and others from everywhere in the column."""
    if len(values) <= most:
        return list(values)
    by_rows = sorted(values, key=lambda value: -value[1])
    rest = by_rows[most // 2 :]
    return by_rows[: most // 2] + rest[:: max(len(rest) // (most // 2), 1)][: most // 2]


def _share(values: Sequence[tuple[str, int]], test: Callable[[str], bool]) -> float:
    rows = sum(n for _, n in values)
    return sum(n for text, n in values if test(text)) / rows if rows else 0.0
