"""How numbers are written for people, on every page, picture and sentence."""

from __future__ import annotations

THOUSANDS_SEPARATOR = "\N{NARROW NO-BREAK SPACE}"
"""Stands between groups of three digits, as in French; a line never breaks at it."""


def thousands(number: float) -> str:
    """A whole number with a separator between thousands: 12 345."""
    digits = f"{number:,}" if isinstance(number, int) else f"{number:,.0f}"  # .0f overflows at 10**309
    return digits.replace(",", THOUSANDS_SEPARATOR)


def percent(share: float) -> str:
    """A share in percent with one decimal: 12.3 %."""
    return f"{100 * share:.1f} %"
