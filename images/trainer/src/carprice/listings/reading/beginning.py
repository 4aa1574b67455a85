"""The beginning of delimited text: its delimiter, the lines above the header, the header."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from carprice.errors import DataRefused
from carprice.listings.reading.layout import (
    find_header,
    is_header,
    known_words,
)
from carprice.listings.reading.quotes import strict_record, unwrapped
from carprice.listings.reading.sections import header_and_values

DELIMITERS = (";", ",", "\t", "|", "^", "~")
_MOST_LINES_ABOVE = 40
_MOST_HEADER_LINES = 10
_MOST_SAMPLED_ROWS = 300
_DECLARED = re.compile(r'\s*"?sep=(.)"?[;,\s]*')


@dataclass(frozen=True)
class Beginning:
    """Where the header stands (0-based lines) and what it says.

    `known` counts the words that are known headers. `words` has one for each column. A row has `values`
    values. `declarations`, `titles` and `blank` are the lines above the header.
    """

    delimiter: str
    words: tuple[str, ...]
    known: int
    values: int
    line: int
    lines: int
    declarations: tuple[int, ...]
    titles: tuple[int, ...]
    blank: tuple[int, ...]


def beginning_of(texts: Sequence[str], name: str, delimiters: Sequence[str] = DELIMITERS) -> Beginning:
    """The beginning of a file from its first lines with their line ends. Raises `DataRefused`."""
    written = [number for number, text in enumerate(texts) if text.strip('\ufeff\r\n\t ;,|^~"')]
    if not written:
        raise DataRefused(
            f"{name} has no readable header: column names separated by ',' or ';' were expected in "
            "line 1; export it again and land the new file",
            code="no_header",
            params={"line": 1},
        )
    declared = _DECLARED.fullmatch(texts[written[0]])
    if declared and len(written) > 1:
        found = _best(texts, list(written[1:]), [declared[1]])
    else:
        declared = None
        found = _best(texts, written, delimiters)
    delimiter, line, words, lines = found
    rows = sampled_rows(texts.__getitem__, line + lines, len(texts), delimiter, words)
    header, values = header_and_values(words, rows)
    above = set(range(line)) - ({written[0]} if declared else set())
    return Beginning(
        delimiter,
        tuple(header),
        known_words(header),
        values,
        line,
        lines,
        (written[0],) if declared else (),
        tuple(sorted(above & set(written))),
        tuple(sorted(above - set(written))),
    )


def header_record(
    line: Callable[[int], str | None], first: int, delimiter: str, width: int = -1
) -> tuple[list[str], int]:
    """The values of a line that may be a header, and its number of lines; an odd mark means nothing."""
    text = (line(first) or "").rstrip("\r\n")
    if '"' in text:
        found = strict_record(line, first, delimiter, width)
        if found is not None and found[1] <= _MOST_HEADER_LINES:
            return unwrapped(found[0], delimiter, -1), found[1]
        return [word.strip().strip('"') for word in text.split(delimiter)], 1
    return text.split(delimiter), 1


def sampled_rows(
    line: Callable[[int], str | None], first: int, after: int, delimiter: str, header: Sequence[str]
) -> list[list[str]]:
    """The values of the lines from `first` on that are in order, up to another header."""
    rows: list[list[str]] = []
    number = first
    while number < after and len(rows) < _MOST_SAMPLED_ROWS:
        text = (line(number) or "").rstrip("\r\n")
        found: tuple[list[str], int] | None = (text.split(delimiter), 1)
        if '"' in text:
            found = strict_record(lambda n: line(n) if n < after else None, number, delimiter, len(header))
        if found is None:
            number += 1
            continue
        values, lines = found
        if any(map(str.strip, values)):
            if is_header(values, header):
                break
            rows.append(values)
        number += lines
    return rows


def _best(
    texts: Sequence[str], written: Sequence[int], delimiters: Iterable[str]
) -> tuple[str, int, list[str], int]:
    """The delimiter that makes most header words known ones, the header's line, its words and its lines."""
    best: tuple[tuple[int, int], tuple[str, int, list[str], int]] | None = None

    def line(number: int) -> str | None:
        return texts[number] if number < len(texts) else None

    for delimiter in delimiters:
        numbers: list[int] = []
        records: list[tuple[list[str], int]] = []
        number = written[0]
        while number < len(texts) and len(records) < _MOST_LINES_ABOVE:
            numbers.append(number)
            records.append(header_record(line, number, delimiter))
            number += records[-1][1]
        place = find_header([words for words, _ in records]) or 0
        words, lines = records[place]
        words = [words[0].removeprefix("\ufeff"), *words[1:]]
        rank = (known_words(words), len(words))
        if best is None or rank > best[0]:
            best = rank, (delimiter, numbers[place], words, lines)
    if best is None:
        raise AssertionError("no delimiter was tried; this is a bug")
    return best[1]
