"""The values that scrapers write, and how each one is read."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from carprice.listings.schema import COLUMNS, LONGEST_TEXT, LONGEST_URL, limits_of
from carprice.listings.text import tidy

_UNKNOWN = {
    "",
    "n/a",
    "na",
    "n.a.",
    "n.a",
    "#n/a",
    "nan",
    "nat",
    "null",
    "none",
    "nc",
    "n.c.",
    "n/c",
    "inconnu",
    "inconnue",
    "unknown",
    "non spécifié",
    "non spécifiée",
    "non renseigné",
    "non renseignée",
    "non communiqué",
    "prix non spécifié",
    "prix à débattre",
    "autre / inconnu",
}
_YES = {"true", "oui", "yes", "vrai", "1", "1.0", "y", "o", "x", "✓", "✔", "نعم"}
_NO = {"false", "non", "no", "faux", "0", "0.0", "n", "لا"}
_DASHES = re.compile(r"[‐‑‒–—―−]")
_GROUPED = re.compile(r"([+-]?)(\d{1,3}(?:([ .,'])\d{3})(?:\3\d{3})*)(?:([.,])(\d{1,2}))?")
_PLAIN = re.compile(r"([+-]?\d+)(?:[.,](\d+))?")
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?e[+]?\d{1,2}")
_MONEY = re.compile(r"\b(?:mad|dirhams?|dhs?)\b\.?")
_KILOMETRES = re.compile(r"\b(?:kms?|kilom[eè]tres?|kilometers?)\b\.?")
_POWER = re.compile(r"\b(?:cv|chevaux|ch)\b\.?")
_DOORS = re.compile(r"\b(?:portes?|doors?)\b\.?")
# a unit written against its number ("60000DH", "6CV")
_GLUED = re.compile(r"(?<=\d)(?=[^\W\d_])")


def is_unknown(value: str) -> bool:
    """Whether a value means that nothing is known: empty, `--`, `N/A`, ..."""
    plain = tidy(value).casefold()
    return plain in _UNKNOWN or not plain.strip("-–—_?. ")


def parse_text(value: str) -> str | None:
    """A category in the site's own spelling. Raises ValueError when it is too long to be one."""
    if is_unknown(value):
        return None
    text = tidy(value)
    if len(text) > LONGEST_TEXT:
        raise ValueError
    return text


def parse_url(value: str) -> str | None:
    """A link. Raises ValueError when it is too long."""
    if is_unknown(value):
        return None
    text = value.strip()
    if len(text) > LONGEST_URL:
        raise ValueError
    return text


def parse_amount(value: str, unit: re.Pattern[str] | None = None) -> float | None:
    """A number as people write it: `60000`, `60 000`, `60.000`, `60,000`, `60 000,50`, `6e4`.

    A point or comma before exactly three digits groups thousands; before one or two it is a decimal
    mark. Raises ValueError for anything else.
    """
    if is_unknown(value):
        return None
    text = _DASHES.sub("-", tidy(value).casefold())
    if unit is not None:
        text = " ".join(unit.sub(" ", _GLUED.sub(" ", text)).split())
        # the split above separates "6e4"
        text = re.sub(r"(?<=\d) (?=e[+]?\d)", "", text)
    # groups split by typewriter or typographic apostrophes
    text = text.replace("’", "'")
    grouped = _GROUPED.fullmatch(text)
    if grouped and (grouped[4] is None or grouped[4] != grouped[3]):
        whole = re.sub(r"\D", "", grouped[2])
        number = float(f"{grouped[1]}{whole}.{grouped[5] or 0}")
    elif plain := _PLAIN.fullmatch(text):
        number = float(f"{plain[1]}.{plain[2] or 0}")
    elif _SCIENTIFIC.fullmatch(text):
        number = float(text.replace(",", "."))
    else:
        raise ValueError
    if not math.isfinite(number) or abs(number) >= 1e15:
        raise ValueError
    return number


def parse_price(value: str) -> float | None:
    """An amount in dirhams: `60000`, `60 000`, `60,000 DH`, `60.000 Dhs`. Raises ValueError."""
    return parse_amount(value, _MONEY)


def parse_mileage(value: str) -> tuple[float, float] | None:
    """Least and largest kilometres: a bracket (`200 000 - 249 999`) or an exact value for both.

    An open bracket (`Plus de 500 000`) has NaN as its largest. Raises ValueError.
    """
    if is_unknown(value):
        return None
    text = _DASHES.sub("-", tidy(value).casefold())
    text = " ".join(_KILOMETRES.sub(" ", _GLUED.sub(" ", text)).split())
    text = re.sub(r"(?<=\d) (?=e[+]?\d)", "", text)
    if at_least := re.fullmatch(r"(?:plus de|more than|over|>=?)\s*(.+)|(.+?)\s*\+", text):
        return _known(at_least[1] or at_least[2]), math.nan
    if at_most := re.fullmatch(r"(?:moins de|less than|under|<=?)\s*(.+)", text):
        return 0.0, _known(at_most[1])
    bounds = re.split(r"(?<=\d)\s*(?:-|\bà\b|\bto\b)\s*(?=\d)", text)
    if len(bounds) == 1:
        exact = _known(text)
        return exact, exact
    if len(bounds) != 2:
        raise ValueError
    low, high = _known(bounds[0]), _known(bounds[1])
    if low > high:
        raise ValueError
    return low, high


def _known(value: str) -> float:
    number = parse_amount(value)
    if number is None:
        raise ValueError
    return number


def parse_power(value: str) -> float | None:
    """Fiscal horsepower: `6`, `6.0`, `6 CV`, `Plus de 41 CV`. Raises ValueError."""
    return parse_amount(re.sub(r"^\s*plus de\s+", "", value, flags=re.IGNORECASE), _POWER)


def parse_doors(value: str) -> float | None:
    """A number of doors: `5`, `5.0`, `5 portes`. Raises ValueError."""
    return _whole(parse_amount(value, _DOORS))


def parse_year(value: str) -> float | None:
    """A model year: `2015`, `2015.0`, `1980 ou plus ancien`. Raises ValueError."""
    if is_unknown(value):
        return None
    text = re.sub(r"\s+(?:ou plus ancien|ou avant|or older)$", "", tidy(value).casefold())
    plain = _PLAIN.fullmatch(text)
    if plain is None or len(plain[1].lstrip("+-")) > 9:
        raise ValueError
    return _whole(float(f"{plain[1]}.{plain[2] or 0}"))


def _whole(number: float | None) -> float | None:
    if number is not None and number != int(number):
        raise ValueError
    return number


def parse_flag(value: str) -> float | None:
    """Yes (1.0) or no (0.0) in French, English or as a program writes it. Raises ValueError."""
    if is_unknown(value):
        return None
    text = tidy(value).casefold()
    if text in _YES:
        return 1.0
    if text in _NO:
        return 0.0
    raise ValueError


def parse_time(value: str) -> datetime.datetime | None:
    """A moment, taken as UTC where it names no zone: ISO 8601 or `31/12/2023 [23:59]`. Raises ValueError."""
    if is_unknown(value):
        return None
    text = tidy(value)
    try:
        moment = datetime.datetime.fromisoformat(text)
    except ValueError:
        day, _, clock = text.partition(" ")
        shape = "%d/%m/%Y" + {0: "", 1: " %H:%M", 2: " %H:%M:%S"}.get(clock.count(":") if clock else 0, "")
        moment = datetime.datetime.strptime(f"{day} {clock}".strip(), shape)
    if not 1990 <= moment.year <= 2200:
        raise ValueError
    if moment.tzinfo is None:
        return moment.replace(tzinfo=datetime.UTC)
    return moment.astimezone(datetime.UTC)


class Reader(NamedTuple):
    """How the values of a raw field are read, and what they are expected to be: a key of `EXPECTED`.

    `read` returns None for an unknown value and raises ValueError or OverflowError for an unreadable one.
    """

    read: Callable[[str], Any]
    expected: str


_READERS: dict[str, Reader] = {
    "url": Reader(parse_url, "link"),
    "model_year": Reader(parse_year, "year"),
    "mileage": Reader(parse_mileage, "mileage"),
    "mileage_km_min": Reader(parse_mileage, "kilometres"),
    "mileage_km_max": Reader(parse_mileage, "kilometres"),
    "fiscal_power_cv": Reader(parse_power, "fiscal_power"),
    "doors": Reader(parse_doors, "number_of_doors"),
    "price_mad": Reader(parse_price, "amount"),
    "scraped_at": Reader(parse_time, "date"),
}
_READERS_BY_KIND = {"text": Reader(parse_text, "text"), "flag": Reader(parse_flag, "yes_or_no")}


def reader_of(raw_field: str) -> Reader:
    """The reader of a raw field."""
    return _READERS.get(raw_field) or _READERS_BY_KIND[COLUMNS[raw_field].kind]


@lru_cache(maxsize=256)
def expectation(raw_field: str, newest: int) -> Mapping[str, Any]:
    """What a raw field takes when `newest` is the newest model year: the parameters of its problems.

    `expected`, a key of `EXPECTED`, and `low` and `high`, or `longest`, where the column has them.
    """
    expected = reader_of(raw_field).expected
    name = "mileage_km_min" if raw_field == "mileage" else raw_field
    limits = limits_of(name, newest)
    if limits is not None and expected != "yes_or_no":
        return {"expected": expected, **limits.params()}
    longest = COLUMNS[name].longest
    return {"expected": expected} if longest is None else {"expected": expected, "longest": longest}
