"""When an ad was posted, in the words of a site: `il y a 2 heures`, `hier`, `12/11/2026 10:30`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

MOROCCO = ZoneInfo("Africa/Casablanca")

_ONE = {"un": 1, "une": 1, "an": 1, "a": 1}
_AGO = re.compile(
    r"(?:il y a|منذ|قبل)?\s*(\d+|une?)\s*"
    r"(secondes?|s|minutes?|mins?|mn|heures?|hours?|h|jours?|days?|j|d|ثانية|دقيقة|دقائق|ساعة|ساعات|يوم|أيام)\b(?:\s*ago)?",
    re.IGNORECASE,
)
_SECONDS = {"s": 1, "m": 60, "h": 3600, "ث": 1, "د": 60, "س": 3600}
_NOW = ("à l'instant", "a l'instant", "maintenant", "الآن", "just now")
_TODAY = ("aujourd'hui", "aujourd’hui", "today", "اليوم")
_YESTERDAY = ("hier", "yesterday", "أمس", "البارحة")
_DAY_FIRST = re.compile(r"(\d{1,2})[/.-](\d{1,2})[/.-](\d{4})(?:\D+(\d{1,2}):(\d{2}))?")


def posted_at(told: object, read_at: datetime) -> str | None:
    """The ISO date that the words mean on a page read at `read_at` (with its time zone).

    The time of day is there only where the words tell it. Words that are less exact than a day (weeks,
    months) give None. Numbers are seconds or milliseconds since the epoch.
    """
    if isinstance(told, bool) or told is None:
        return None
    if isinstance(told, int | float) or (isinstance(told, str) and re.fullmatch(r"\d{10}|\d{13}", told)):
        return _since_epoch(float(told), read_at)
    text = " ".join(str(told).split()).lower()
    here = read_at.astimezone(MOROCCO)
    if text.startswith(_NOW):
        return _minute(here)
    for words, days in ((_TODAY, 0), (_YESTERDAY, 1)):
        if text.startswith(words):
            return _day_and_time(here.date() - timedelta(days=days), text)
    if ago := _AGO.match(text):
        count = _ONE.get(ago[1].lower()) or int(ago[1])
        seconds = _SECONDS.get(ago[2][0].lower())
        if seconds is None:
            return (here.date() - timedelta(days=count)).isoformat()
        return _minute((read_at - timedelta(seconds=count * seconds)).astimezone(MOROCCO))
    if found := _DAY_FIRST.match(text):
        try:
            day = date(int(found[3]), int(found[2]), int(found[1]))
        except ValueError:
            return None
        return _day_and_time(day, text)
    return _iso(str(told).strip())


def _iso(text: str) -> str | None:
    try:
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", text):
            return date.fromisoformat(text).isoformat()
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return _minute(found if found.tzinfo else found.replace(tzinfo=MOROCCO))


def _day_and_time(day: date, text: str) -> str:
    time = re.search(r"\b(\d{1,2})[:h](\d{2})\b", text)
    if time and int(time[1]) < 24 and int(time[2]) < 60:
        return _minute(datetime(day.year, day.month, day.day, int(time[1]), int(time[2]), tzinfo=MOROCCO))
    return day.isoformat()


def _since_epoch(number: float, read_at: datetime) -> str | None:
    seconds = number / 1000 if number > 1e11 else number
    if not 1e9 < seconds <= read_at.timestamp() + 86_400:
        return None
    return _minute(datetime.fromtimestamp(seconds, UTC).astimezone(MOROCCO))


def _minute(moment: datetime) -> str:
    return moment.isoformat(timespec="minutes")
