"""The values of one record of delimited text, whatever its quotation marks look like.

A record is read strictly (RFC 4180) where it can be, also over several lines. Programs that quote without
escaping, and damage, leave records that can't. Such a line is read as it stands, if exactly one reading has
as many values as the header; otherwise it has none.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from functools import cache, lru_cache

MOST_LINES = 500
"""The most lines that one record can have."""

_LONGEST_RECORD = 1_000_000
_MOST_TOKENS = 400
_INCHES = re.compile(r"(?<=\d)\"")
_ENTITY_START = re.compile(r"&(?:#\d{2,6}|#x[0-9a-f]{2,6}|[a-z]{2,8}\d?)$", re.IGNORECASE)


def strict_values(text: str, delimiter: str, width: int) -> list[str] | None:
    """The values of a whole record if its quotation marks are in order, else None.

    Of two dialects (`""` and `\\"` for a mark) the one that gives `width` values is preferred.
    """
    if '"' not in text:
        return text.split(delimiter)
    values = _scanned(text, *_strict(delimiter))
    if '\\"' in text and (values is None or len(values) != width):
        escaped = _scanned(text, *_with_backslashes(delimiter))
        if values is None or (escaped is not None and len(escaped) == width):
            return escaped
    return values


def strict_record(
    line: Callable[[int], str | None], first: int, delimiter: str, width: int
) -> tuple[list[str], int] | None:
    """The values of the record that begins with line `first`, and its number of lines, if it is in order.

    `line` gives the text of a line with its line end, None after the last one. The record ends with the first
    line after which the number of quotation marks is even: only there it can be in order. With backslashes
    before marks it can end elsewhere; then the number of values decides.
    """
    texts: list[str] = []
    size = 0
    escaped = False
    marks = plain_marks = 0
    other: tuple[list[str], int] | None = None
    for number in range(first, first + MOST_LINES):
        text = line(number)
        if text is None or size > _LONGEST_RECORD:
            return other
        texts.append(text)
        size += len(text)
        marks += text.count('"')
        escaped = escaped or '\\"' in text
        plain_marks = marks if not escaped else marks - "".join(texts).count('\\"')
        if marks % 2 == 0 or (escaped and plain_marks % 2 == 0):
            values = strict_values("".join(texts).rstrip("\r\n"), delimiter, width)
            if values is not None and (len(values) == width or not escaped):
                return values, len(texts)
            # where marks may be escaped in either way, the record may go on
            other = other or (values and (values, len(texts))) or None
            if not escaped:
                return None
    return other


def lenient_values(text: str, delimiter: str, width: int) -> list[str] | None:
    """The `width` values of a line whose marks are not in order, if there is exactly one reading, else None.

    Where the line has as many delimiters as the header, each separates: a mark within a value
    (`"alu 17"";`, `17" alu`) stands for itself, unless its other half is missing. Where the line has more,
    values between marks hold them.
    """
    tokens = text.split(delimiter)
    if len(tokens) == width:
        return list(map(_unquoted, tokens)) if all(map(_stands_alone, tokens)) else None
    if len(tokens) < width:
        return None
    groups = _only_grouping(tokens, width)
    return None if groups is None else [_unquoted(delimiter.join(group)) for group in groups]


def with_entities_joined(values: list[str], width: int) -> list[str] | None:
    """The `width` values of a line by `;` whose HTML entities (`Citro&euml;n`) were cut, else None."""
    joined: list[str] = []
    entity = False
    for value in values:
        if entity:
            joined[-1] += f";{value}"
        else:
            joined.append(value)
        entity = _begins_entity(joined[-1])
    return joined if len(joined) == width and len(joined) < len(values) else None


def unwrapped(values: list[str], delimiter: str, width: int) -> list[str]:
    """The values of a line that was quoted as a whole, as spreadsheets do with lines they do not split.

    Other values as they are. Where `width` is negative, any number of values will do.
    """
    if len(values) != 1 or delimiter not in values[0]:
        return values
    within = strict_values(values[0], delimiter, width)
    return within if within is not None and (len(within) == width or width < 0) else values


def has_cut_entity(values: list[str]) -> bool:
    """Whether a value ends where an HTML entity was cut."""
    return any(map(_begins_entity, values[:-1]))


def _begins_entity(value: str) -> bool:
    found = _ENTITY_START.search(value)
    return found is not None and html.unescape(f"{found[0]};") != f"{found[0]};"


@lru_cache
def _strict(delimiter: str) -> tuple[re.Pattern[str], str]:
    d = re.escape(delimiter)
    quoted = r'[^\S\r\n\t]*"([^"]*(?:""[^"]*)*)"[^\S\r\n\t]*'
    return re.compile(rf'(?:{quoted}|([^"{d}\r\n]*))(?={d}|$)'), '""'


@lru_cache
def _with_backslashes(delimiter: str) -> tuple[re.Pattern[str], str]:
    d = re.escape(delimiter)
    quoted = r'[^\S\r\n\t]*"([^"\\]*(?:(?:\\.|"")[^"\\]*)*)"[^\S\r\n\t]*'
    return re.compile(rf'(?:{quoted}|([^"{d}\r\n]*))(?={d}|$)', re.DOTALL), '\\"'


def _scanned(text: str, pattern: re.Pattern[str], escape: str) -> list[str] | None:
    values: list[str] = []
    place = 0
    while True:
        found = pattern.match(text, place)
        # `$` also matches before a line end at the end, which a whole record has not
        if found is None:
            return None
        quoted, plain = found.groups()
        values.append(plain if quoted is None else _unescaped(quoted, escape))
        place = found.end() + 1
        if found.end() == len(text):
            return values


def _unescaped(text: str, escape: str) -> str:
    text = text.replace('""', '"')
    return text if escape == '""' else text.replace('\\"', '"')


def _stands_alone(token: str) -> bool:
    """Whether the marks of a value show no sign of one that is missing: pairs of them, or inches (`17"`)."""
    text = token.strip(" ")
    if _is_whole(text):
        text = text[1:-1].replace('\\"', '""').replace('""', "")
    return text.count('"') % 2 == 0 or (not text.startswith('"') and _INCHES.sub("", text).count('"') == 0)


def _only_grouping(tokens: list[str], width: int) -> list[list[str]] | None:
    """The only way to make `width` values of more tokens, None if there is none or another one.

    A value of several tokens begins and ends with a mark; one of a single token has marks around it or none.
    """

    @cache
    def ends(place: int, left: int) -> tuple[int, tuple[int, ...]]:
        """The number of ways (at most 2) to group the tokens from `place` on, and where values of one end."""
        if place == len(tokens):
            return (1, ()) if left == 0 else (0, ())
        ways = 0
        found: tuple[int, ...] = ()
        last = min(place + left, len(tokens) - 1) if _opens(tokens[place]) else place
        for end in range(place, last + 1):
            whole = end == place and _is_whole(tokens[place]) and _stands_alone(tokens[place])
            if whole or (end > place and _closes(tokens[end])):
                more, rest = ends(end + 1, left - (end - place))
                if more:
                    ways, found = min(ways + more, 2), (end, *rest)
        return ways, found

    if len(tokens) > _MOST_TOKENS:
        return None
    ways, found = ends(0, len(tokens) - width)
    if ways != 1:
        return None
    starts = [0, *(end + 1 for end in found)]
    return [tokens[start : end + 1] for start, end in zip(starts, found, strict=False)]


def _is_whole(token: str) -> bool:
    text = token.strip(" ")
    return '"' not in text or (len(text) > 1 and text.startswith('"') and text.endswith('"'))


def _opens(token: str) -> bool:
    return token.lstrip(" ").startswith('"')


def _closes(token: str) -> bool:
    return token.rstrip(" ").endswith('"')


def _unquoted(token: str) -> str:
    text = token.strip(" ")
    if len(text) < 2 or not (text.startswith('"') and text.endswith('"')):
        return token
    inner = text[1:-1]
    return inner.replace('\\"', '"').replace('""', '"')
