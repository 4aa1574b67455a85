"""What the values of each column look like, which tells a row from a shifted or a swallowed one."""

from __future__ import annotations

from collections.abc import Sequence

from carprice.listings.reading.layout import is_number

_LEAST_VALUES = 5
_LEAST_SHARE = 0.9


class ColumnShapes:
    """Which columns of a file hold numbers, and which hold none, told from well-formed rows.

    The values of a row stand in the columns `places`; those without a place are not looked at.
    """

    def __init__(self, columns: int) -> None:
        self._filled = [0] * columns
        self._numbers = [0] * columns

    def add(self, values: Sequence[str], places: Sequence[int]) -> None:
        """Look at a well-formed row."""
        for value, place in zip(values, places, strict=False):
            if place < len(self._filled) and value.strip():
                self._filled[place] += 1
                self._numbers[place] += is_number(value.strip())

    def fit(self, values: Sequence[str], places: Sequence[int]) -> bool:
        """Whether no value contradicts its column: text where numbers stand, or a number where none does."""
        for value, place in zip(values, places, strict=False):
            if place < len(self._filled) and self._filled[place] >= _LEAST_VALUES and value.strip():
                number = is_number(value.strip())
                if (self._holds_numbers(place) and not number) or (number and not self._numbers[place]):
                    return False
        return True

    def tell(self, values: Sequence[str], places: Sequence[int]) -> bool:
        """Whether a value stands in a column of numbers, so that `fit` says something."""
        return any(
            place < len(self._filled) and value.strip() != "" and self._holds_numbers(place)
            for value, place in zip(values, places, strict=False)
        )

    def _holds_numbers(self, place: int) -> bool:
        rows = self._filled[place]
        return rows >= _LEAST_VALUES and self._numbers[place] >= _LEAST_SHARE * rows
