"""Numbers in the words of a page. What can't be told for sure is None: nothing is guessed."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime

MOST_MAD = 100_000_000
"""No price is higher; telephone numbers in the place of a price are."""

MOST_KM = 2_000_000
FIRST_YEAR = 1920

_OTHER_CURRENCY = re.compile(r"€|\$|£|\b(?:eur|euros?|usd|gbp|dollars?)\b", re.IGNORECASE)
_PERIOD = re.compile(r"/\s*(?:j|jour|mois|semaine|day|month)\b|\bpar (?:jour|mois|semaine)\b", re.IGNORECASE)
_MILES = re.compile(r"\bmi(?:les?)?\b", re.IGNORECASE)
_NUMBER = re.compile(r"\d{1,3}(?:[ .,'’]\d{3})+(?!\d)|\d+")


def price_mad(told: object) -> int | None:
    """A price in dirhams: `117,000 MAD`, `60 000 DH`, `60000`. None for another currency or a rent."""
    text = _text(told)
    if _OTHER_CURRENCY.search(text) or _PERIOD.search(text):
        return None
    number = _only_number(text)
    return number if number is not None and 0 < number < MOST_MAD else None


def mileage_km(told: object) -> tuple[int | None, int | None]:
    """The least and the most kilometres: `173.000 km` gives a number twice, `200 000 - 249 999` a bracket."""
    text = _text(told)
    if _MILES.search(text):
        return None, None
    numbers = [_number(found) for found in _NUMBER.findall(text)]
    if not 1 <= len(numbers) <= 2 or max(numbers) > MOST_KM or numbers != sorted(numbers):
        return None, None
    if len(numbers) == 1 and re.search(r"plus|\+|more|moins|less|أكثر|أقل", text, re.IGNORECASE):
        return None, None
    return numbers[0], numbers[-1]


def model_year(told: object) -> int | None:
    """A year of four digits that a car can have; also the year of a date such as `2015-03-01`."""
    found = re.match(r"\s*(\d{4})(?:\s*$|-\d{2}\b)", _text(told))
    if not found:
        return None
    year = int(found[1])
    return year if FIRST_YEAR <= year <= datetime.now(UTC).year + 1 else None


def small_number(told: object, most: int) -> int | None:
    """The one whole number of a text such as `6 CV`, where it is between 1 and `most`."""
    number = _only_number(_text(told))
    return number if number is not None and 1 <= number <= most else None


def _text(told: object) -> str:
    if told is None or isinstance(told, bool | dict | list):
        return ""
    if isinstance(told, float) and told.is_integer():
        told = int(told)
    return " ".join(unicodedata.normalize("NFKC", str(told)).replace("\u202f", " ").split())


def _only_number(text: str) -> int | None:
    # a fraction of centimes is no part of the number
    text = re.sub(r"(?<=\d)[.,]\d{1,2}(?!\d)", "", text)
    numbers = _NUMBER.findall(text)
    return _number(numbers[0]) if len(numbers) == 1 else None


def _number(text: str) -> int:
    return int(re.sub(r"\D", "", text))
