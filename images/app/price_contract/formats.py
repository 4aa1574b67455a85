"""Numbers, amounts and moments as people write them in the language that is on."""

from __future__ import annotations

import datetime
import math
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_date
from babel.numbers import format_decimal, format_percent

from price_contract.language import _, composed, current, direction, left_to_right

NBSP = "\u00a0"
MINUS = "\u2212"
# Arabic as Morocco writes it: its own names of the months, and the digits and separators of its French.
_MONTHS_OF, _NUMBERS_OF = {"ar": "ar_MA"}, {"ar": "fr"}
# An estimate is shown in steps of at most this part of its range, and of at least so many MAD.
_STEPS_OF_A_RANGE, _SMALLEST_STEP_MAD = 20, 100


def number(value: float, decimals: int = 0) -> str:
    """`120 000` or `120,000`."""
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return left_to_right(format_decimal(value, pattern, locale=_numbers()))


def money(mad: float) -> str:
    """`95 300 MAD`, `95,300 MAD` or `95 300 درهم`."""
    return composed(f"{number(round(mad))}{NBSP}{currency()}")


def currency() -> str:
    """The name of the dirham beside an amount."""
    return _("MAD")


def money_range(low_mad: float, high_mad: float) -> str:
    """`56 834 – 80 546 MAD`."""
    return composed(f"{number(round(low_mad))} – {money(high_mad)}")


def step_of(price_mad: float, low_mad: float | None, high_mad: float | None) -> int:
    """The power of ten, in MAD, that an estimate is rounded to: more digits say more than its range knows.

    Without a range it is an order of magnitude, of two digits.
    """
    if low_mad is None or high_mad is None:
        power = math.floor(math.log10(max(price_mad, 1.0))) - 1
    else:
        power = math.floor(math.log10(max(high_mad - low_mad, 1.0) / _STEPS_OF_A_RANGE))
    return int(max(10 ** max(power, 0), _SMALLEST_STEP_MAD))


def rounded(mad: float, step: int) -> int:
    """An amount in whole steps of an estimate (`step_of`)."""
    return round(mad / step) * step


def signed_money(mad: float) -> str:
    """`+12 000 MAD`, `−3 500 MAD`."""
    return composed(f"{signed_number(mad)}{NBSP}{currency()}")


def signed_number(value: float) -> str:
    """`+12 000`, `−3 500`, without decimals."""
    return _signed(round(value), number(abs(round(value))))


def kilometres(km: float) -> str:
    """`120 000 km`, `120,000 km` or `120 000 كلم`."""
    unit = _("km")
    return composed(f"{number(km)}{NBSP}{unit}")


def mileage(low: float | None, high: float | None) -> str:
    """A mileage that is known as a bracket: `120 000 – 129 999 km`, or exactly: `120 000 km`."""
    if low is None:
        return ""
    if high is None:
        return composed(_("> {mileage}", mileage=kilometres(low)))
    return kilometres(low) if low == high else composed(f"{number(low)} – {kilometres(high)}")


def share(value: float, decimals: int = 0) -> str:
    """`6,5 %` or `6.5%`."""
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "") + ("\u202f%" if current() == "fr" else "%")
    return left_to_right(format_percent(value, pattern, locale=_numbers()))


def signed_share(value: float, decimals: int = 0) -> str:
    """`+4 %`, `−12 %`."""
    return _signed(round(value, decimals + 2), share(abs(value), decimals))


def moment(iso: str | None) -> str:
    """A moment (ISO 8601) on Morocco's clock: `24 nov. 2026, 14:05`."""
    at = parse_moment(iso)
    if at is None:
        return ""
    comma = "," if direction() == "ltr" else "،"
    return composed(f"{short_day(iso)}{comma} {at:%H:%M}")


def short_day(iso: str | None) -> str:
    """The day of a moment (ISO 8601) on Morocco's clock: `24 nov. 2026`; "" where it is none."""
    at = parse_moment(iso)
    return "" if at is None else composed(_date(at, "d MMM y" if current() == "ar" else "medium"))


def day(value: datetime.date) -> str:
    """`24 novembre 2026`, `November 24, 2026` or `24 نونبر 2026`."""
    return composed(_date(value, "long"))


def parse_moment(iso: str | None) -> datetime.datetime | None:
    """An ISO 8601 moment on Morocco's clock; UTC where it names no zone, None where it is none."""
    try:
        at = datetime.datetime.fromisoformat(iso or "")
    except ValueError:
        return None
    return (at if at.tzinfo else at.replace(tzinfo=datetime.UTC)).astimezone(zone())


def zone() -> datetime.tzinfo:
    """Morocco's time zone; UTC on a system that knows no zones."""
    try:
        return ZoneInfo("Africa/Casablanca")
    except ZoneInfoNotFoundError:
        return datetime.UTC


def _date(value: datetime.date, style: str) -> str:
    return str(format_date(value, style, locale=_MONTHS_OF.get(current(), current())))


def _numbers() -> str:
    return _NUMBERS_OF.get(current(), current())


def _signed(value: float, amount: str) -> str:
    return left_to_right(f"{'+' if value > 0 else MINUS if value < 0 else ''}{amount}")
