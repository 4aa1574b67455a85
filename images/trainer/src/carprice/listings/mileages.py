"""Mileages as people write them: exact, rounded, or a bracket."""

from __future__ import annotations

import math
import re

from carprice.listings.amounts import UnusableValue, plain_text, read_number

_KILOMETRES = re.compile(
    r"(?:kms?|klm|kilom[eè]tres?|kilometers?|kilom[eé]trage|كلم|كم|كيلومتر(?:ات)?)(?![^\W\d])\.?(?:/h(?![^\W\d]))?"
)
_MILES = re.compile(r"(?<![a-z])(?:miles?|mi|mls)(?![a-z])")
_THOUSAND = r"(?:mille|milles|k|alf|ألف|الف|آلاف|الاف)(?![^\W\d])"
_AROUND = re.compile(r"^(?:environ|env\.?|approx\.?|about|~|±|≈|autour de|compteur|kilometrage)\s*:?\s*")
_AFTER = re.compile(
    r"\s*(?:environ|compteur|au compteur|réels?|reels?|certifi[ée]e?s?|garanti[es]?|d'origine|originaux|"
    r"seulement|only|vrai|parcourus?|max|maximum)\s*$"
)
_AT_LEAST = re.compile(r"(?:plus de|more than|over|>=?|≥|\+)\s*(.+)|(.+?)\s*(?:\+|et plus|ou plus|and more)")
_AT_MOST = re.compile(r"(?:moins de|less than|under|<=?|≤|jusqu'a|jusqu'à|up to)\s*(.+)")
_BETWEEN = re.compile(r"^(?:entre|between|de|from)\s+")
_BOUNDS = re.compile(r"(?<=[\dk])\s*(?:-|/|(?<![^\W\d])(?:à|a|to|et|and|إلى|الى)(?![^\W\d]))\s*(?=\d)")
_PAST_ANY_CAR = 1000


def read_mileage(text: str, in_thousands: bool = False) -> tuple[float, float] | None:
    """Least and largest kilometres from clean text: a bracket (`200 000 - 249 999`) or one value for both.

    `173.000 km`, `120 mille`, `120k`, `50-60 000 km` (50,000 to 60,000), `120/130 000 km`. An open bracket
    (`Plus de 500 000`) has NaN as its largest. `in_thousands` says that the column counts thousands of
    kilometres, as its header tells. Raises `UnusableValue` for miles, and ValueError for other text.
    """
    plain = plain_text(text)
    if _MILES.search(plain):
        raise UnusableValue("other_distance", text)
    plain, units = _KILOMETRES.subn(" ", plain)
    plain = " ".join(plain.replace("(", " ").replace(")", " ").split())
    plain = plain.removeprefix(": ").removesuffix(" :")
    plain = _AFTER.sub("", _AROUND.sub("", plain))
    if not plain:
        return None
    factor = 1000 if in_thousands else 1
    if at_least := _AT_LEAST.fullmatch(plain):
        return _number(at_least[1] or at_least[2]) * factor, math.nan
    if at_most := _AT_MOST.fullmatch(plain):
        return 0.0, _number(at_most[1]) * factor
    bounds = _BOUNDS.split(_BETWEEN.sub("", plain))
    if len(bounds) == 1:
        exact = _number(plain) * factor
        return exact, exact
    if len(bounds) != 2:
        raise ValueError
    low, high = _bracket(bounds[0], bounds[1], units > 0)
    return low * factor, high * factor


def _bracket(first: str, second: str, unit_written: bool) -> tuple[float, float]:
    low, high = _number(first), _number(second)
    # "50-60 000": the thousands are written once; "1 - 4 999" is the first bracket of a site
    if 1 < low < _PAST_ANY_CAR <= high and high % 1000 in (0, 999) and low * 1000 <= high:
        low *= 1000
    # without a unit, "50-60" may be kilometres or thousands of them
    if low > high or (high < _PAST_ANY_CAR and not unit_written):
        raise ValueError
    return low, high


def _number(text: str) -> float:
    thousands = re.fullmatch(rf"(.+?)\s*{_THOUSAND}", text.strip())
    number = read_number((thousands[1] if thousands else text).strip())
    return number * 1000 if thousands else number
