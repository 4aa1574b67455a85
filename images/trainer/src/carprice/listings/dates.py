"""Moments and model years as people and sites write them."""

from __future__ import annotations

import calendar
import datetime
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from carprice.listings.amounts import UnusableValue, plain_text
from carprice.listings.folding import words_of

Order = Literal["day_first", "month_first"]

_EARLIEST, _LATEST = 1990, 2200
_SHORT_YEAR = 2000
# A site in another time zone, or a clock that is a little ahead, is no future.
_TOLERANCE = datetime.timedelta(days=1)

_NUMERIC = re.compile(
    r"(?P<first>\d{1,2})[/.-](?P<second>\d{1,2})[/.-](?P<year>\d{4}|\d{2})"
    r"(?:(?:,| a|t)?\s*(?P<hour>\d{1,2})[:h](?P<minute>\d{2})?(?::(?P<second_of>\d{2}))?)?"
)
_TWO_DIGITS = re.compile(r"'?(\d{2})(?:\.0)?")
_OLDEST_OF_TWO_DIGITS = 1970
_CLOCK = re.compile(r"(\d{1,2})\s*[:h]\s*(\d{2})?")
_AGO = re.compile(r"(?:il y a|ya|depuis|منذ|قبل|since)? ?(?:environ |plus de )?(.+?)(?: ago)?")
_EPOCH = re.compile(r"1\d{9}(?:\d{3})?(?:\.0)?")
_MONTHS: dict[str, int] = {
    word: number
    for number, words in enumerate(
        (
            "janvier janv jan january يناير",
            "fevrier fevr fev feb february فبراير",
            "mars mar march مارس",
            "avril avr apr april ابريل",
            "mai may ماي",
            "juin jun june يونيو",
            "juillet juil jul july يوليوز",
            "aout aug august غشت",
            "septembre sept sep september شتنبر",
            "octobre oct october اكتوبر",
            "novembre nov november نونبر",
            "decembre dec december دجنبر",
        ),
        1,
    )
    for word in words.split()
}
_UNITS: dict[str, datetime.timedelta] = {
    word: span
    for span, words in (
        (datetime.timedelta(seconds=1), "seconde secondes second seconds sec s ثانيه ثواني"),
        (datetime.timedelta(minutes=1), "minute minutes min mn دقيقه دقائق دقيقتين"),
        (datetime.timedelta(hours=1), "heure heures h hour hours hr hrs ساعه ساعات ساعتين"),
        (datetime.timedelta(days=1), "jour jours j day days d يوم ايام يومين"),
        (datetime.timedelta(weeks=1), "semaine semaines sem week weeks اسبوع اسابيع اسبوعين"),
        (datetime.timedelta(days=30), "mois month months شهر اشهر شهور شهرين"),
        (datetime.timedelta(days=365), "an ans annee annees year years سنه سنوات سنتين عام عامين"),
    )
    for word in words.split()
}
_ONE = {"un", "une", "a", "an", "one", "quelques", "dernier", "last"}
_DAYS_AGO = {
    "aujourd hui": 0,
    "today": 0,
    "اليوم": 0,
    "hier": 1,
    "yesterday": 1,
    "امس": 1,
    "البارحه": 1,
    "avant hier": 2,
    "اول امس": 2,
}
_NOW = {"a l instant", "maintenant", "just now", "now", "الان", "il y a un instant", "a few seconds ago"}


@dataclass(frozen=True)
class DateReading:
    """How the dates of a file are read.

    `order` tells whether the day or the month of `03/04/2024` is written first; None where the file does not
    tell. `written_at` is the moment that "3 hours ago" counts from; None where it is not known.
    """

    order: Order | None = None
    written_at: datetime.datetime | None = None


def read_time(text: str, reading: DateReading) -> datetime.datetime | None:
    """A moment from clean text, taken as UTC where it names no zone; None where the file does not tell it.

    ISO 8601, `31/12/2023 [23:59]`, `12 janvier 2023`, seconds since 1970, `il y a 3 heures`, `hier`.
    Raises `UnusableValue` (`in_the_future`) for a moment that lies ahead and ValueError for other text.
    """
    plain = " ".join(words_of(text))
    moment = _iso(text) or _numeric(plain_text(text), reading.order) or _named(plain) or _epoch(text)
    if moment is None:
        return _relative(plain, reading.written_at)
    if moment is _UNTOLD:
        return None
    if not _EARLIEST <= moment.year <= _LATEST:
        raise ValueError
    moment = moment.replace(tzinfo=datetime.UTC) if moment.tzinfo is None else moment.astimezone(datetime.UTC)
    if moment > datetime.datetime.now(datetime.UTC) + _TOLERANCE:
        raise UnusableValue("in_the_future", text)
    return moment


def read_day(text: str) -> datetime.date:
    """A day from clean text: ISO 8601, `31/12/2026`, `12 janvier 2026`; it may lie in the future.

    Raises ValueError for other text, and for one that does not tell day and month apart (`03/04/2026`).
    """
    moment = _iso(text) or _numeric(plain_text(text), None) or _named(" ".join(words_of(text)))
    if moment is None or moment is _UNTOLD or not _EARLIEST <= moment.year <= _LATEST:
        raise ValueError
    return moment.date()


def order_of(texts: Iterable[str]) -> Order | None:
    """Whether the day or the month comes first in the dates of a file; None where the file does not tell."""
    found: set[Order] = set()
    for text in texts:
        match = _NUMERIC.match(plain_text(text).strip())
        if match:
            first, second = int(match["first"]), int(match["second"])
            if first > 12 >= second:
                found.add("day_first")
            if second > 12 >= first:
                found.add("month_first")
    return found.pop() if len(found) == 1 else None


def read_year(text: str) -> float | None:
    """A model year from clean text: `2015`, `2015.0`, `2 015`, `07.2011`, `juillet 2011`, `01/07/2011`,
    `MY2018`, `Mod. 2018`, `1980 ou plus ancien`. Raises ValueError for other text, and `UnusableValue`
    (`two_years`) for `2015/2016`: some sites mean the model year and the one of the registration by it, and
    others a car of either year.
    """
    plain = plain_text(text)
    plain = re.sub(r"^(?:my|m)(?=(?:19|20)\d\d$)", "", plain)
    plain = re.sub(r"\s+(?:ou plus ancien|ou avant|or older|et moins|and older)$", "", plain)
    if found := re.fullmatch(r"([+-]?\d{1,9})(?:[.,](\d+))?", plain):
        fraction = found[2] or ""
        if fraction.strip("0"):
            # "07.2011" is a month; "2.018" is how a spreadsheet groups 2018
            return float(_joined_year(found[1], fraction))
        return float(found[1])
    if re.fullmatch(r"[12] \d{3}", plain):
        return float(plain.replace(" ", ""))
    moment = _iso(text)
    if moment is not None:
        return float(moment.year)
    years = set(re.findall(r"(?<!\d)(?:19|20)\d{2}(?!\d)", plain))
    rest = re.sub(r"(?<!\d)(?:19|20)\d{2}(?!\d)", " ", plain)
    if len(years) == 2 and _is_part_of_a_date(rest):
        raise UnusableValue("two_years", text)
    if len(years) != 1 or not _is_part_of_a_date(rest):
        raise ValueError
    return float(years.pop())


def year_of_two_digits(text: str, newest: int) -> float | None:
    """The year of two digits (`18`, `'05`, `98`), at most `newest` and from 1970 on; None for other text."""
    found = _TWO_DIGITS.fullmatch(plain_text(text))
    if found is None:
        return None
    year = 2000 + int(found[1])
    year = year if year <= newest else year - 100
    return float(year) if year >= _OLDEST_OF_TWO_DIGITS else None


def _joined_year(number: str, fraction: str) -> int:
    if len(fraction) == 4 and len(number) <= 2 and 1 <= int(number) <= 12:
        return int(fraction)
    if len(fraction) == 3 and number in ("1", "2"):
        return int(number + fraction)
    raise ValueError


def _is_part_of_a_date(rest: str) -> bool:
    """Whether a text holds no more than months, days and the words of a year."""
    words = words_of(rest)
    known = {
        "my", "annee", "year", "modele", "model", "mod", "mise", "en", "circulation", "mec", "le", "de", "du",
        "neuf", "debut", "mi", "fin", "depuis", "since", "sortie", "immatriculee", "immatriculation",
    }  # fmt: skip
    return all(word in _MONTHS or word in known or (word.isdigit() and int(word) <= 31) for word in words)


_UNTOLD = datetime.datetime.min


def _iso(text: str) -> datetime.datetime | None:
    if not re.match(r"\d{4}-?\d{2}-?\d{2}(?!\d)", text):
        return None
    try:
        return datetime.datetime.fromisoformat(text)
    except ValueError:
        return None


def _numeric(plain: str, order: Order | None) -> datetime.datetime | None:
    year_first = re.fullmatch(r"(\d{4})[/.](\d{1,2})[/.](\d{1,2})(?:\s.*)?", plain)
    if year_first:
        return datetime.datetime(int(year_first[1]), int(year_first[2]), int(year_first[3]))
    match = _NUMERIC.fullmatch(plain)
    if match is None:
        return None
    first, second, year = int(match["first"]), int(match["second"]), int(match["year"])
    if len(match["year"]) == 2:
        year += _SHORT_YEAR
    if first > 12:
        day, month = first, second
    elif second > 12:
        day, month = second, first
    elif order is None and first != second:
        return _UNTOLD
    else:
        day, month = (second, first) if order == "month_first" else (first, second)
    hour, minute, seconds = (int(match[name] or 0) for name in ("hour", "minute", "second_of"))
    return datetime.datetime(year, month, day, hour, minute, seconds)


def _named(plain: str) -> datetime.datetime | None:
    """A date whose month is a word: `12 janvier 2023`, `jan 12 2023`."""
    words = plain.split()
    months = [_MONTHS[word] for word in words if word in _MONTHS]
    years = [int(word) for word in words if re.fullmatch(r"(?:19|20)\d\d", word)]
    days = [int(word) for word in words if re.fullmatch(r"\d{1,2}", word)]
    if len(months) != 1 or len(years) != 1 or not days or days[0] > 31:
        return None
    if not 1 <= days[0] <= calendar.monthrange(years[0], months[0])[1]:
        raise ValueError
    return datetime.datetime(years[0], months[0], days[0])


def _epoch(text: str) -> datetime.datetime | None:
    if not _EPOCH.fullmatch(text):
        return None
    seconds = float(text)
    return datetime.datetime.fromtimestamp(seconds / 1000 if seconds > 1e12 else seconds, datetime.UTC)


def _relative(plain: str, written_at: datetime.datetime | None) -> datetime.datetime | None:
    """A moment told from when the file was written. Raises ValueError for text that tells none."""
    ago: datetime.timedelta | None = None
    day = re.sub(r"(?: (?:a|at|vers))?(?: \d{1,2} ?(?:h|\d{2})?(?: ?\d{2})?)?$", "", plain)
    if plain in _NOW:
        ago = datetime.timedelta()
    elif day in _DAYS_AGO:
        ago = datetime.timedelta(days=_DAYS_AGO[day])
    elif match := re.fullmatch(
        r"(?:il y a|ya|depuis|منذ|قبل|since)? ?(?:environ |plus de )?(.+?)(?: ago)?", plain
    ):
        ago = _span(match[1].split())
    if ago is None:
        raise ValueError
    return None if written_at is None else written_at - ago


def _span(words: list[str]) -> datetime.timedelta | None:
    """How long some words say: `3 heures`, `une semaine`, `3h`, `ساعتين`."""
    if len(words) == 1:
        if match := re.fullmatch(r"(\d+)([a-z]+)", words[0]):
            words = [match[1], match[2]]
        elif words[0] in _UNITS and not words[0].isascii():
            return _UNITS[words[0]] * (2 if words[0].endswith("ين") else 1)
    if len(words) == 2 and words[1] in _UNITS and (words[0].isdigit() or words[0] in _ONE):
        number = int(words[0]) if words[0].isdigit() else 1
        return _UNITS[words[1]] * number if number < 10_000 else None
    return None
