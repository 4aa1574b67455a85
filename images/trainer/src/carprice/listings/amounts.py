"""Numbers as people write them, and the errors of values that can't be used."""

from __future__ import annotations

import math
import re

_DASHES = re.compile(r"[‐‑‒–—―−]")
_GROUPED = re.compile(r"([+-]?)(\d{1,3}(?:([ .,'])\d{3})(?:\3\d{3})*)(?:([.,])(\d{1,2}))?")
_PLAIN = re.compile(r"([+-]?\d+)(?:[.,](\d+))?")
_SCIENTIFIC = re.compile(r"\d(?:[.,]\d+)?e[+]?\d{1,2}")
_LARGEST = 1e15

NUMBER = r"\d{1,3}(?:[ .,']\d{3})+(?:[.,]\d{1,2})?(?!\d)|\d+(?:[.,]\d+)?(?:e[+]?\d{1,2})?"
"""A number inside a longer text."""


class UnusableValue(ValueError):
    """A value that can't be used, for a reason of its own: one of the codes of `problems`."""

    def __init__(self, code: str, found: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.found = found


def plain_text(text: str) -> str:
    """A clean text in lower case with one kind of dash and of apostrophe."""
    return _DASHES.sub("-", text.casefold()).replace("’", "'")


def read_number(text: str) -> float:
    """A number: `60000`, `60 000`, `60.000`, `60,000`, `60 000,50`, `6e4`.

    A point or comma before exactly three digits groups thousands; before one or two it is a decimal
    mark. Raises ValueError for anything else.
    """
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
    if not math.isfinite(number) or abs(number) >= _LARGEST:
        raise ValueError
    return number


def in_range(number: float | None, low: float, high: float) -> bool:
    """Whether a number that is known lies between two others, both included."""
    return number is not None and low <= number <= high


def whole(number: float | None) -> float | None:
    """A number without a fraction. Raises ValueError where it has one."""
    if number is not None and number != int(number):
        raise ValueError
    return number
