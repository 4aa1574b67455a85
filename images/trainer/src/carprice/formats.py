"""How numbers are written for people, on every page, picture and sentence."""

from __future__ import annotations

import math

NO_NUMBER = "–"
"""Stands where there is no number, or one that is not finite."""

THOUSANDS_SEPARATOR = "\N{NARROW NO-BREAK SPACE}"
"""Stands between groups of three digits, as in French; a line never breaks at it."""


def thousands(number: float) -> str:
    """A whole number with a separator between thousands: 12 345."""
    if not math.isfinite(number):
        return NO_NUMBER
    digits = f"{number:,}" if isinstance(number, int) else f"{number:,.0f}"  # .0f overflows at 10**309
    return digits.replace(",", THOUSANDS_SEPARATOR)


def percent(share: float) -> str:
    """A share in percent with one decimal: 12.3 %."""
    return f"{100 * share:.1f} %" if math.isfinite(share) else NO_NUMBER


def decimals(number: float, places: int) -> str:
    """A number with so many decimal places: 1.234."""
    return f"{number:.{places}f}" if math.isfinite(number) else NO_NUMBER


def figure(number: float | None) -> str:
    """A number with four significant digits: 0.1235. None stands for one that is not finite, as in JSON."""
    return f"{number:.4g}" if number is not None and math.isfinite(number) else NO_NUMBER
