"""The values that scrapers write, and how each one is read."""

from __future__ import annotations

import datetime
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, NamedTuple

from carprice.listings import words
from carprice.listings.amounts import UnusableValue, plain_text, read_number, whole
from carprice.listings.cleaning import clean
from carprice.listings.dates import DateReading, read_time, read_year, year_of_two_digits
from carprice.listings.identity import is_link, read_id
from carprice.listings.labels import NEVER_LABELLED, without_label
from carprice.listings.mileages import read_mileage
from carprice.listings.places import city_named
from carprice.listings.prices import read_price
from carprice.listings.schema import COLUMNS, EQUIPMENT, LONGEST_TEXT, LONGEST_URL, limits_of, newest_year

_POWER = re.compile(
    r"(?:cv fisca(?:ux|l)|chevaux fiscaux|cheval fiscal|cv|chevaux|ch|hp fisca(?:ux|l))(?![^\W\d])\.?"
    "|حصان|احصنه|أحصنة|احصنة|خيول"
)
_ENGINE_POWER = re.compile(r"\d\s*(?:hp|kw|bhp|ps|din)(?![^\W\d])")
_FISCAL_BESIDE_ENGINE = re.compile(r"(\d{1,2})\s*cv\s*[/,(|-]\s*\d{2,4}\s*(?:ch|hp|bhp|kw)")
_LARGEST_FISCAL_IN_CH = 40
_LONGEST_CACHED = 40
_DOORS = re.compile(r"\b(?:portes?|doors?|p|pt|pts)(?![^\W\d])\.?|أبواب|ابواب")
_PLAIN_LINK = re.compile(rf"https?://[!-~]{{1,{LONGEST_URL - 8}}}")
_INVISIBLE = re.compile("[\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff\u00ad]")


@dataclass(frozen=True)
class FileReading:
    """What a file as a whole tells about its values.

    `dates` tells how its dates are read, `mileage_in_thousands` whether its mileages count thousands of
    kilometres, `years_of_two_digits` whether `18` is the model year 2018.
    """

    dates: DateReading = field(default_factory=DateReading)
    mileage_in_thousands: bool = False
    years_of_two_digits: bool = False


def is_unknown(value: str) -> bool:
    """Whether a value means that nothing is known: empty, `--`, `N/A`, `\\N`, ..."""
    return words.is_unknown(clean(value))


def parse_text(value: str) -> str | None:
    """A category in the site's own spelling. Raises ValueError when it is too long to be one."""
    text = clean(value)
    if words.is_unknown(text):
        return None
    if len(text) > LONGEST_TEXT:
        raise ValueError
    return text


def parse_city(value: str) -> str | None:
    """A city in its usual spelling. Raises ValueError when the text is too long to be one."""
    text = parse_text(value)
    return text and city_named(text)


def parse_model(value: str) -> str | None:
    """The name of a model; a program that took it for a number wrote `208.0`. Raises ValueError."""
    text = parse_text(value)
    return text[:-2] if text and re.fullmatch(r"\d+\.0", text) else text


def parse_id(value: str) -> str | None:
    """The id of an ad. Raises ValueError, also for a number in scientific notation: its digits are lost."""
    text = parse_text(value)
    return text and read_id(text)


def parse_url(value: str) -> str | None:
    """A link. Raises ValueError when it is too long or no link."""
    if _PLAIN_LINK.fullmatch(value):
        return value
    text = value.strip() if value.isascii() else _INVISIBLE.sub("", value).strip()
    if words.is_unknown(text):
        return None
    if len(text) > LONGEST_URL:
        raise ValueError
    if not is_link(text):
        raise UnusableValue("not_a_link", text)
    return text


def parse_price(value: str) -> float | None:
    """An amount in dirhams: `60000`, `60 000`, `60,000 DH`, `60.000 Dhs`. Raises ValueError."""
    # the parts of a file hold the same prices
    return _price(value) if len(value) <= _LONGEST_CACHED else _price.__wrapped__(value)


@lru_cache(maxsize=50_000)
def _price(value: str) -> float | None:
    text = clean(value)
    return None if words.is_unknown(text) else read_price(text)


def parse_mileage(value: str, in_thousands: bool = False) -> tuple[float, float] | None:
    """Least and largest kilometres: a bracket (`200 000 - 249 999`) or an exact value for both.

    An open bracket (`Plus de 500 000`) has NaN as its largest. Raises ValueError.
    """
    text = clean(value)
    return None if words.is_unknown(text) else read_mileage(text, in_thousands)


def parse_power(value: str) -> float | None:
    """Fiscal horsepower: `6`, `6.0`, `6 CV`, `Plus de 41 CV`, `8 CV / 110 ch`.

    Raises ValueError, also for a power of the engine (`110 hp`, `110 ch`) and for a range (`08-10 chevaux`).
    """
    text = clean(value)
    if words.is_unknown(text):
        return None
    plain = re.sub(r"^plus de\s+", "", plain_text(text))
    if beside := _FISCAL_BESIDE_ENGINE.match(plain):
        return float(beside[1])
    if _ENGINE_POWER.search(plain):
        raise UnusableValue("other_meaning", text)
    number = " ".join(_POWER.sub(" ", plain).split())
    if not number:
        return None
    power = read_number(number)
    if power > _LARGEST_FISCAL_IN_CH and re.search(r"\d\s*ch\b", plain):
        raise UnusableValue("other_meaning", text)
    return power


def parse_doors(value: str) -> float | None:
    """A number of doors: `5`, `5.0`, `5 portes`; of `4/5`, which counts the tailgate or not, the larger.

    Raises ValueError.
    """
    text = clean(value)
    if words.is_unknown(text):
        return None
    plain = " ".join(_DOORS.sub(" ", plain_text(text)).split())
    if with_tailgate := re.fullmatch(r"([2-6])\s*(?:/|-|ou|or)\s*([2-7])", plain):
        fewer, more = int(with_tailgate[1]), int(with_tailgate[2])
        if more == fewer + 1:
            return float(more)
    return whole(read_number(plain))


def parse_year(value: str) -> float | None:
    """A model year: `2015`, `2015.0`, `07.2011`, `1980 ou plus ancien`. Raises ValueError."""
    text = clean(value)
    return None if words.is_unknown(text) else whole(read_year(text))


def parse_short_year(value: str) -> float | None:
    """A model year in a column that writes years with two digits: `18`, `'05`, `2015`. Raises ValueError."""
    year = year_of_two_digits(clean(value), newest_year())
    return parse_year(value) if year is None else year


def parse_flag(value: str) -> float | None:
    """Yes (1.0) or no (0.0) in French, English, Arabic or as a program writes it. Raises ValueError."""
    return _flag(value, words.yes_or_no)


def parse_first_owner(value: str) -> float | None:
    """Whether the seller is the first owner: `Oui`, `1ère main`, `2ème main`. Raises ValueError."""
    return _flag(value, words.first_owner)


def parse_equipment(value: str) -> float | None:
    """Whether a car has a piece of equipment: `Oui`, `Automatique`, `6` airbags. Raises ValueError."""
    return _flag(value, words.equipped)


def parse_time(value: str, reading: DateReading | None = None) -> datetime.datetime | None:
    """A moment, taken as UTC where it names no zone: ISO 8601 or `31/12/2023 [23:59]`. Raises ValueError."""
    text = clean(value)
    return None if words.is_unknown(text) else read_time(text, reading or DateReading())


def parse_fuel(value: str) -> str | None:
    """A fuel by Avito's name for it, or in the file's own word. Raises ValueError."""
    return _named(value, words.fuel)


def parse_gearbox(value: str) -> str | None:
    """A gearbox by Avito's name for it, or in the file's own word. Raises ValueError."""
    text = _named(value, words.gearbox)
    if text is not None and words.is_driven_wheels(text):
        raise UnusableValue("other_meaning", text)
    return text


def parse_condition(value: str) -> str | None:
    """A condition by Avito's name for it, or in the file's own word. Raises ValueError."""
    text = _named(value, words.condition)
    return None if text is not None and words.says_nothing(text) else text


def parse_origin(value: str) -> str | None:
    """An origin by Avito's name for it, or in the file's own word. Raises ValueError."""
    return _named(value, words.origin)


def _flag(value: str, read: Callable[[str], bool | None]) -> float | None:
    text = clean(value)
    said = read(text)
    if said is not None:
        return float(said)
    if words.is_unknown(text):
        return None
    raise ValueError


def _named(value: str, name_of: Callable[[str], str | None]) -> str | None:
    text = parse_text(value)
    if text is None:
        return None
    named = name_of(text)
    if named is None and any(c.isdigit() for c in text):
        raise UnusableValue("other_meaning", text)
    return named or text


class Reader(NamedTuple):
    """How the values of a raw field are read, and what they are expected to be: a key of `EXPECTED`.

    `read` returns None for an unknown value and raises ValueError or OverflowError for an unreadable one.
    """

    read: Callable[[str], Any]
    expected: str


_READERS: dict[str, Reader] = {
    "listing_id": Reader(parse_id, "text"),
    "url": Reader(parse_url, "link"),
    "city": Reader(parse_city, "text"),
    "model": Reader(parse_model, "text"),
    "model_year": Reader(parse_year, "year"),
    "mileage": Reader(parse_mileage, "mileage"),
    "mileage_km_min": Reader(parse_mileage, "kilometres"),
    "mileage_km_max": Reader(parse_mileage, "kilometres"),
    "fuel": Reader(parse_fuel, "text"),
    "gearbox": Reader(parse_gearbox, "text"),
    "condition": Reader(parse_condition, "text"),
    "origin": Reader(parse_origin, "text"),
    "first_owner": Reader(parse_first_owner, "yes_or_no"),
    "fiscal_power_cv": Reader(parse_power, "fiscal_power"),
    "doors": Reader(parse_doors, "number_of_doors"),
    "price_mad": Reader(parse_price, "amount"),
    "scraped_at": Reader(parse_time, "date"),
    **dict.fromkeys(EQUIPMENT, Reader(parse_equipment, "yes_or_no")),
}
_READERS_BY_KIND = {"text": Reader(parse_text, "text"), "flag": Reader(parse_flag, "yes_or_no")}


def reader_of(raw_field: str, reading: FileReading | None = None) -> Reader:
    """The reader of a raw field; `reading` is what the file as a whole tells.

    A value may repeat the name of its field: `Carburant : Diesel`, `Année-Modèle 2018`.
    """
    read, expected = reader = _reader_of(raw_field, reading)
    if raw_field in NEVER_LABELLED:
        return reader
    return Reader(lambda value: read(without_label(value, raw_field)), expected)


def _reader_of(raw_field: str, reading: FileReading | None = None) -> Reader:
    reader = _READERS.get(raw_field) or _READERS_BY_KIND[COLUMNS[raw_field].kind]
    if reading is None:
        return reader
    if raw_field == "scraped_at":
        return Reader(lambda value: parse_time(value, reading.dates), reader.expected)
    if reader.read is parse_year and reading.years_of_two_digits:
        return Reader(parse_short_year, reader.expected)
    if reader.read is parse_mileage and reading.mileage_in_thousands:
        return Reader(lambda value: parse_mileage(value, in_thousands=True), reader.expected)
    return reader


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
