"""Numbers, amounts and moments as people write them in the language that is on."""

from __future__ import annotations

import datetime
import math
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from babel.dates import format_date
from babel.numbers import format_decimal, format_percent

from price_contract.language import current

NBSP = "\u00a0"
MINUS = "\u2212"
# An estimate is shown in steps of at most this part of its range, and of at least so many MAD.
_STEPS_OF_A_RANGE, _SMALLEST_STEP_MAD = 20, 100


def number(value: float, decimals: int = 0) -> str:
    """`120 000` or `120,000`."""
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "")
    return str(format_decimal(value, pattern, locale=current()))


def money(mad: float) -> str:
    """`95 300 MAD` or `95,300 MAD`."""
    return f"{number(round(mad))}{NBSP}MAD"


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
    return f"{signed_number(mad)}{NBSP}MAD"


def signed_number(value: float) -> str:
    """`+12 000`, `−3 500`, without decimals."""
    return f"{_sign(round(value))}{number(abs(round(value)))}"


def kilometres(km: float) -> str:
    """`120 000 km` or `120,000 km`."""
    return f"{number(km)}{NBSP}km"


def mileage(low: float | None, high: float | None) -> str:
    """A mileage that is known as a bracket: `120 000 – 129 999 km`, or exactly: `120 000 km`."""
    if low is None:
        return ""
    if high is None:
        return f"> {kilometres(low)}"
    return kilometres(low) if low == high else f"{number(low)} – {kilometres(high)}"


def share(value: float, decimals: int = 0) -> str:
    """`6,5 %` or `6.5%`."""
    pattern = "#,##0" + ("." + "0" * decimals if decimals else "") + ("\u202f%" if current() == "fr" else "%")
    return str(format_percent(value, pattern, locale=current()))


def signed_share(value: float, decimals: int = 0) -> str:
    """`+4 %`, `−12 %`."""
    return f"{_sign(round(value, decimals + 2))}{share(abs(value), decimals)}"


def moment(iso: str | None) -> str:
    """A moment (ISO 8601) on Morocco's clock: `24 nov. 2026, 14:05`."""
    at = parse_moment(iso)
    return "" if at is None else f"{format_date(at, 'medium', locale=current())}, {at:%H:%M}"


def short_day(iso: str | None) -> str:
    """The day of a moment (ISO 8601) on Morocco's clock: `24 nov. 2026`; "" where it is none."""
    at = parse_moment(iso)
    return "" if at is None else str(format_date(at, "medium", locale=current()))


def day(value: datetime.date) -> str:
    """`24 novembre 2026` or `November 24, 2026`."""
    return str(format_date(value, "long", locale=current()))


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


def _sign(value: float) -> str:
    return "+" if value > 0 else MINUS if value < 0 else ""
