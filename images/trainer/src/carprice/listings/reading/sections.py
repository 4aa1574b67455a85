"""A header and what the rows below it look like: how many values they have and where each of them goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from carprice.listings.header_names import field_of
from carprice.listings.reading.layout import folded, row_numbers

_LEAST_SHARE = 0.6
"""The share of rows with another number of values than the header from which on that one is expected."""


@dataclass(frozen=True)
class Section:
    """The rows below one header.

    `places` are the columns of the table that the first values go to. A row has `values` values; those
    without a place are blank.
    """

    words: tuple[str, ...]
    places: tuple[int, ...]
    values: int

    @property
    def width(self) -> int:
        """How many values of a row have a place."""
        return len(self.places)


def header_and_values(header: Sequence[str], rows: Sequence[Sequence[str]]) -> tuple[list[str], int]:
    """The words of a header, one for each column, and how many values a row below it has.

    `rows` are the first rows. A header with blank words too many at its end loses them. One without a word
    for the numbers of the rows gets a blank one. Rows with blank values too many at their ends all have them.
    Where the numbers differ otherwise, the header counts, and such rows are damaged.
    """
    words = list(header)
    width = len(words)
    if not rows:
        return words, width
    values, times = Counter(map(len, rows)).most_common(1)[0]
    typical = [row for row in rows if len(row) == values]
    if values == width or times < _LEAST_SHARE * len(rows):
        return words, width
    if values < width:
        blank = not any(word.strip() for word in words[values:])
        return (words[:values], values) if blank else (words, width)
    if _joined(words):
        return words, width
    if values == width + 1 and field_of(words[0]) and row_numbers(words, [row[0] for row in typical]):
        return ["", *words], values
    if not any(value.strip() for row in typical for value in row[width:]):
        return words, values
    return words, width


def _joined(words: Sequence[str]) -> bool:
    """Whether a word is two known headers whose delimiter is lost, so that all words after it are shifted."""
    return any(
        field_of(word[:cut]) and field_of(word[cut:])
        for word in map(str.strip, words)
        if folded(word) and not field_of(word)
        for cut in range(2, len(word) - 1)
    )
