"""Which line of a file is its header, and which lines are no rows: titles, totals, the header once more."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Sequence

from carprice.listings.cleaning import clean
from carprice.listings.header_names import REPEATED, is_index_header, name_of
from carprice.listings.text import ascii_words

_LEAST_KNOWN = 2
_LEAST_KNOWN_SHARE = 0.25
_LEAST_KNOWN_BELOW = 3
_LEAST_KNOWN_SHARE_BELOW = 0.5
_MOST_TITLE_VALUES = 3
_LEAST_FOOTER_WORDS = 4
_NUMBER = re.compile(r"[^\w]*\d[\d\s.,'\-–/:]*(?:dhs?|mad|kms?|cv|ch|€|eur|\$|%)?\W*", re.IGNORECASE)
_TOTALS = re.compile(
    r"(?:sous[- ])?(?:total|totaux)|total g[ée]n[ée]ral|grand total|somme|sum|moyennes?|average|mean"
    r"|m[ée]diane|nombre(?: d['’ ]annonces| de lignes)?|count|المجموع|مجموع",
    re.IGNORECASE,
)
_FOOTER = re.compile(
    r"\(?\d+ (?:rows?|lignes?|annonces?|records?|résultats?)\b"
    r"|(?:source|export|généré|generated|copyright|©|fin\b|end\b|--)",
    re.IGNORECASE,
)


def known_words(words: Sequence[str]) -> int:
    """How many different things the words of a line are headers of."""
    names = [name_of(word) for word in words if word.strip()]
    return len({name.field or name.hint for name in names} - {None})


def is_number(value: str) -> bool:
    """Whether a value is a number with or without a unit, as no header is."""
    return _NUMBER.fullmatch(value) is not None


def filled(values: Sequence[str]) -> list[str]:
    """The values that are not blank."""
    return [value.strip() for value in values if value.strip()]


def find_header(records: Sequence[Sequence[str]]) -> int | None:
    """Which of the first records of a file is its header; None where all are blank.

    That is the one with most known header words, if only title lines stand above it, otherwise the first one
    that is not blank.
    """
    written = [place for place, record in enumerate(records) if filled(record)]
    if not written:
        return None
    best = max(written, key=lambda place: (_rank(records[place]), -place))
    first, known = written[0], _rank(records[best])
    if known < max(_LEAST_KNOWN, _LEAST_KNOWN_SHARE * len(filled(records[best]))):
        return first
    above = [records[place] for place in written if place < best]
    most = max(1, min(_MOST_TITLE_VALUES, len(filled(records[best])) // 2))
    titles = all(len(filled(record)) <= most for record in above)
    return best if titles or _numbers(records[first]) > 1 else first


def is_header(words: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a line below the header of a file is one, too: the same, in another order, or another one."""
    found = filled(words)
    if len(found) < 2:
        return False
    if _numbers(found) > _numbers(header):
        return False
    if found == filled(header) or Counter(map(folded, found)) == Counter(map(folded, filled(header))):
        return True
    if len(found) < _LEAST_KNOWN_BELOW or _numbers(found):
        return False
    # a row can have a header's word as a value, but not in most of its columns
    return known_words(found) >= max(_LEAST_KNOWN_BELOW, _LEAST_KNOWN_SHARE_BELOW * len(found))


def same_words(words: Sequence[str], header: Sequence[str]) -> bool:
    """Whether a line is a header again, word for word and in its order."""
    return list(map(folded, words)) == list(map(folded, header))


def folded(word: str) -> str:
    """A header without case, accents and signs; one without Latin letters as it is."""
    text = clean(word)
    return ascii_words(text) or text


def is_total(values: Sequence[str]) -> bool:
    """Whether a line sums up others: a word such as `Total` before at most half of its values."""
    found = filled(values)
    if not found or len(found) > max(2, len(values) / 2):
        return False
    word, _, _ = clean(found[0]).partition(":")
    return _TOTALS.fullmatch(word.strip()) is not None


def is_footer(values: Sequence[str]) -> bool:
    """Whether a line below the rows says something about the file: one text of several words."""
    found = filled(values)
    if len(found) != 1:
        return False
    return _FOOTER.match(found[0]) is not None or len(found[0].split()) >= _LEAST_FOOTER_WORDS


def places_in(columns: list[str], words: Sequence[str]) -> tuple[int, ...]:
    """The column of each word of a further header. Words without one are added to `columns`."""
    places: list[int] = []
    for word in words:
        name = name_of(word).field
        free = [place for place in range(len(columns)) if place not in places]
        same = [p for p in free if folded(columns[p]) == folded(word)]
        same = same or [p for p in free if name is not None and name_of(columns[p]).field == name]
        if not same:
            columns.append(_new_name(columns, word))
            same = [len(columns) - 1]
        places.append(same[0])
    return tuple(places)


def _new_name(columns: Sequence[str], word: str) -> str:
    label = word.strip() or f"column {len(columns) + 1}"
    while label in columns:
        label = f"{label} {REPEATED}"
    return label


def _rank(record: Sequence[str]) -> int:
    return 0 if _numbers(record) > 1 else known_words(record)


def _numbers(record: Sequence[str]) -> int:
    return sum(map(is_number, filled(record)))


def row_numbers(header: Sequence[str], values: Sequence[str]) -> bool:
    """Whether the first values of rows, which have no word in the header, number the rows."""
    if any(map(is_index_header, header[:1])):
        return False
    numbers = [int(value) for value in values if re.fullmatch(r"\d{1,9}", value.strip().strip('"'))]
    steps = [after - before for before, after in itertools.pairwise(numbers)]
    # amounts may rise, too, but not mostly by one
    return len(numbers) == len(values) > 1 and min(steps) > 0 and 2 * steps.count(1) >= len(steps)
