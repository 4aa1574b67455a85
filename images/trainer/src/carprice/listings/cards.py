"""Texts that say several things of a car: `2018 | Diesel | 120 000 km`, `{'Année': '2018', ...}`."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator

from carprice.listings import words
from carprice.listings.cleaning import clean
from carprice.listings.header_names import name_of
from carprice.listings.labels import parted
from carprice.listings.schema import COLUMNS
from carprice.listings.value_kinds import FIELD_OF, kind_of_value

_LONGEST = 5000
_MOST_PARTS = 60
_SEPARATORS = (re.compile(r"\s*[|•·\n;]\s*"), re.compile(r",\s+"), re.compile(r"\s+[-–/]\s+"))
# What tells one ad from others stands in a column of its own.
_NOT_ON_CARDS = {"listing_id", "url", "scraped_at", "source_sha256"}
_FIELDS = {column.field for column in COLUMNS.values()} - _NOT_ON_CARDS


def card_of(text: str) -> dict[str, str] | None:
    """The raw fields that a clean text tells, each with its value; None where it is no card.

    At least half of the parts of a card say what they are, by a label or by what they look like. A field that
    it tells twice, in different words, is not told.
    """
    kind = kind_of_value(text)
    if kind is not None:
        return {FIELD_OF[kind]: text}
    parts = list(_parts(text[:_LONGEST]))
    known = [(name, value) for name, value in parts if name is not None]
    if not known or len(parts) > _MOST_PARTS or 2 * len(known) < len(parts):
        return None
    told: dict[str, str] = {}
    doubtful = set()
    for name, value in known:
        if told.setdefault(name, value) != value:
            doubtful.add(name)
    return {name: value for name, value in told.items() if name not in doubtful}


def tells_several_fields(text: str) -> bool:
    """Whether a text is a card with more than one field."""
    told = card_of(text)
    return told is not None and len(told) > 1


def _parts(text: str) -> Iterator[tuple[str | None, str]]:
    """Each part of a text with the raw field that it tells, if it tells one."""
    if text[:1] in ("{", "["):
        yield from _written_by_a_program(text)
        return
    for separator in _SEPARATORS:
        parts = [part for part in separator.split(text) if part.strip()]
        if len(parts) > 1:
            for part in parts:
                yield _told(part)
            return
    named, value = parted(text)
    if named in _FIELDS:
        yield named, value


def _written_by_a_program(text: str) -> Iterator[tuple[str | None, str]]:
    """The parts of a table or list as Python or JSON writes it; nothing where it is neither."""
    try:
        found = json.loads(text)
    except ValueError:
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return
    if isinstance(found, dict):
        for label, value in found.items():
            if isinstance(value, str | int | float) and not words.is_unknown(clean(str(value))):
                named = name_of(str(label))
                name = named.field if named.field in _FIELDS and named.foreign is None else None
                yield name, clean(str(value))
    elif isinstance(found, list | tuple):
        for value in found:
            if isinstance(value, str | int | float):
                yield _told(str(value))


def _told(part: str) -> tuple[str | None, str]:
    part = clean(part)
    named, value = parted(part)
    if named in _FIELDS:
        return named, value
    kind = kind_of_value(part)
    return (None if kind is None else FIELD_OF[kind]), part
