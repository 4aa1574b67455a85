"""JSON and JSON Lines as a table: one row for each record, one column for each key."""

from __future__ import annotations

import codecs
import itertools
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any

from carprice.errors import DataRefused
from carprice.listings.problems import RowProblem
from carprice.listings.reading.chunking import ChunkBuilder
from carprice.listings.reading.encodings import HEAD_BYTES, wide_encoding
from carprice.listings.reading.json_tables import (
    are_listings,
    are_pages,
    begins_like_a_table,
    is_listing,
    records_of,
)
from carprice.listings.reading.json_values import spread, written
from carprice.listings.reading.lines import Block, blocks
from carprice.listings.reading.notes import NoteBook
from carprice.listings.reading.raw_table import Note, RawChunk, no_rows, too_many_rows, unique
from carprice.listings.reading.sources import Source

MOST_JSON_BYTES = 256 << 20
"""The most bytes of a JSON document, which is in memory as a whole; JSON Lines may be larger."""

_ROWS_PER_CHUNK = 20_000
_FIRST = 10
_SPACE = re.compile(r"[ \t\r\n]*")
_BEGINS_LIKE_JSON = re.compile(r'\s*(?:\[\s*[\[{\]]|\{\s*["}])')


class _RepeatedKey(dict[str, Any]):
    """A record in which a key stands twice."""

    def __init__(self, key: str) -> None:
        super().__init__()
        self.key = key


@dataclass(frozen=True)
class _Item:
    """What should be a record, and its line or, in a document, its number, from 1; None is a blank line."""

    number: int
    found: Any
    fault: RowProblem | None = None


def json_format(head: bytes) -> str | None:
    """`json` or `jsonl` if the beginning of a file looks like that, else None."""
    text = _text(head)
    if not _BEGINS_LIKE_JSON.match(text):
        return None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines[0].lstrip().startswith("{"):
        return "json"
    try:
        first = json.loads(lines[0])
    except ValueError:
        # a record over several lines, or one that is longer than the beginning
        return "json" if len(lines) > 1 else _of_one_line(lines[0])
    whole = len(lines) == 1 and (_lists_records(first) or records_of(first) is not None or _wraps(first))
    return "json" if whole else "jsonl"


def _wraps(found: Any) -> bool:
    """Whether an object is no listing, and an object anywhere within it lists records."""
    if not isinstance(found, dict) or is_listing(found):
        return False
    return any(_lists_records(value) or _wraps(value) for value in found.values())


def _of_one_line(line: str) -> str:
    lists_records = re.match(r'\s*\{\s*"[^"]*"\s*:\s*\[\s*\{', line)
    return "json" if lists_records or begins_like_a_table(line) else "jsonl"


def _lists_records(found: Any) -> bool:
    """Whether an object is the wrapping of a list of records, and no listing with a list of similar ones."""
    if not isinstance(found, dict) or is_listing(found):
        return False
    return any(
        isinstance(value, list) and any(isinstance(each, dict) for each in value) for value in found.values()
    )


class JsonTable:
    """A JSON document or JSON Lines as a `RawTable`.

    Numbers are as written, lists and objects within a record as `json_values.written` says, `null` is empty.
    """

    encoding = "utf-8"
    delimiter = ","

    def __init__(self, source: Source, kind: str, most_rows: int | None = None) -> None:
        self.format = kind
        self._name = source.name
        self._most_rows = most_rows
        self._source = source
        items: Callable[[], Iterator[_Item]] = self._lines
        if kind == "json":
            text = _text(source.read(MOST_JSON_BYTES))
            place = _place_of_records(text, self._name)
            if place is None:
                table = _table(text, self._name)
                items = lambda: map(_element, count(1), table)  # noqa: E731
            else:
                items = lambda: _elements(text, place, self._name)  # noqa: E731
        self._items = items
        keys: dict[str, None] = {}
        for item in self._items():
            if isinstance(item.found, dict):
                keys.update(dict.fromkeys(item.found))
        if not keys:
            raise no_records(self._name)
        self.header = tuple(keys)
        self.columns = unique(self.header)
        self.size = 0
        self.notes: list[Note] = []

    def _lines(self) -> Iterator[_Item]:
        number = 0
        wide = wide_encoding(self._source.head(HEAD_BYTES))
        with self._source.open() as stream:
            for content in blocks(stream, wide):
                block = Block(
                    content.removeprefix(codecs.BOM_UTF8) if number == 0 else content, number, False
                )
                for line in range(len(block)):
                    yield _line_item(number + line + 1, block.line(line))
                number += len(block)

    def chunks(self) -> Iterator[RawChunk]:
        """The rows of the file, as `RawTable` says."""
        notes = NoteBook()
        builder = ChunkBuilder(self.columns)
        places = range(len(self.columns))
        rows = 0
        for item in self._items():
            if _is_blank(item):
                notes.add("blank_line", item.number - 1)
                continue
            if rows == self._most_rows:
                raise too_many_rows(self._name, rows)
            values, fault = self._values(item)
            builder.add_row(item.number - 1, values, places, fault)
            rows += 1
            if len(builder) == _ROWS_PER_CHUNK:
                yield builder.chunk()
                builder = ChunkBuilder(self.columns)
        if not rows:
            raise no_rows(self._name, len(self.header))
        if len(builder):
            yield builder.chunk()
        self.notes[:] = notes.notes()

    def _values(self, item: _Item) -> tuple[list[str], RowProblem | None]:
        found, fault = item.found, item.fault
        if isinstance(found, _RepeatedKey):
            return [], RowProblem("repeated_key", {"key": found.key})
        if not isinstance(found, dict):
            return [written(found)], fault or RowProblem("not_a_record")
        values = [written(found.get(key)) for key in self.header]
        return values, None


def no_records(name: str) -> DataRefused:
    """The refusal of JSON without a list of records."""
    return DataRefused(
        f"{name} holds no list of listings, or several: JSON with one list of objects, or one object in each "
        "line, was expected; export it again and land the new file",
        code="no_list_of_records",
        params={},
    )


def _is_blank(item: _Item) -> bool:
    """Whether a line is blank, or a record says nothing: `{}`, or `null` and blank text alone."""
    if item.fault is not None or isinstance(item.found, _RepeatedKey):
        return False
    if isinstance(item.found, dict):
        return not any(written(value).strip() for value in item.found.values())
    return item.found is None


def _line_item(number: int, text: str) -> _Item:
    if not text.strip():
        return _Item(number, None)
    try:
        return _Item(number, _unwrapped(_DECODER.decode(text.strip())))
    except (ValueError, RecursionError):
        return _Item(number, text, RowProblem("not_a_record"))


def _unwrapped(found: Any) -> Any:
    """The record in an object that holds nothing else, such as `{"node": {…}}`, or in a hit of a search."""
    if isinstance(found, dict) and isinstance(found.get("_source"), dict):
        found = found["_source"]
    while (
        isinstance(found, dict) and len(found) == 1 and isinstance(inner := next(iter(found.values())), dict)
    ):
        found = inner
    return spread(found) if isinstance(found, dict) and not isinstance(found, _RepeatedKey) else found


def _record(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    seen: set[str] = set()
    return _RepeatedKey(next(key for key, _ in pairs if key in seen or seen.add(key)))  # type: ignore[func-returns-value]


_DECODER = json.JSONDecoder(
    object_pairs_hook=_record, parse_int=str, parse_float=str, parse_constant=lambda name: "", strict=False
)


def _text(content: bytes) -> str:
    return content.decode(wide_encoding(content[:HEAD_BYTES]) or "utf-8-sig", "replace")


# --- a document


def _elements(text: str, place: int, name: str) -> Iterator[_Item]:
    """The elements of the list that begins at `place`, and of lists right behind it, each with its number."""
    number = 0
    while text.startswith("[", place):
        end = _after_space(text, place + 1)
        for found, end in _walk(text, place, name):  # noqa: B007
            number += 1
            yield _element(number, found)
        place = _after_space(text, end + 1)


def _element(number: int, found: Any) -> _Item:
    found = _unwrapped(found)
    return _Item(number, found, None if isinstance(found, dict) else RowProblem("not_a_record"))


def _table(text: str, name: str) -> list[Any]:
    """The records of a document without a list of them. Raises `DataRefused` where it is no table."""
    found = records_of(_decoded(text, _after_space(text, 0), name)[0])
    if found is None:
        raise no_records(name)
    return found


def _walk(text: str, place: int, name: str) -> Iterator[tuple[Any, int]]:
    """The elements of a list, each with the place after it."""
    place = _after_space(text, place + 1)
    if text[place : place + 1] == "]":
        return
    while True:
        found, place = _decoded(text, place, name)
        place = _after_space(text, place)
        yield found, place
        sign = text[place : place + 1]
        if sign == "]":
            return
        if sign != ",":
            raise _not_json(text, place, name)
        place = _after_space(text, place + 1)


def _place_of_records(text: str, name: str) -> int | None:
    """Where the list of records begins: the document itself, or the only one in it; None where none does."""
    place = _after_space(text, 0)
    if text[place] == "[":
        records, end = _end_of_list(text, place, name)
        if records and _begins_with(text, place, name, are_pages):
            return None
        # Scrapy appends a list of its own to a file that is there.
        while records and text.startswith("[", _after_space(text, end)):
            _, end = _end_of_list(text, _after_space(text, end), name)
        _require_end(text, end, name)
        return place if records or not _lists_lists(text, place) else None
    lists: list[int] = []
    place = _after_space(text, place + 1)
    while text[place : place + 1] != "}":
        _, place = _decoded(text, place, name)
        place = _after_space(text, place)
        if text[place : place + 1] != ":":
            raise _not_json(text, place, name)
        place = _after_space(text, place + 1)
        if text[place : place + 1] == "[":
            records, end = _end_of_list(text, place, name)
            lists += [place] if records and _begins_with(text, place, name, are_listings) else []
        else:
            _, end = _decoded(text, place, name)
        place = _after_space(text, end)
        if text[place : place + 1] == ",":
            place = _after_space(text, place + 1)
        elif text[place : place + 1] != "}":
            raise _not_json(text, place, name)
    _require_end(text, place + 1, name)
    return lists[0] if len(lists) == 1 else None


def _begins_with(text: str, place: int, name: str, test: Callable[[list[Any]], bool]) -> bool:
    """What a test says of the first elements of a list."""
    return test([found for found, _ in itertools.islice(_walk(text, place, name), _FIRST)])


def _lists_lists(text: str, place: int) -> bool:
    return text.startswith("[", _after_space(text, place + 1))


def _end_of_list(text: str, place: int, name: str) -> tuple[bool, int]:
    """Whether a list holds records, and the place after it."""
    records = False
    end = _after_space(text, place + 1)
    for found, end in _walk(text, place, name):  # noqa: B007
        records = records or isinstance(found, dict)
    return records, end + 1


def _require_end(text: str, place: int, name: str) -> None:
    if _after_space(text, place) != len(text):
        raise _not_json(text, place, name)


def _decoded(text: str, place: int, name: str) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, place)
    except json.JSONDecodeError as error:
        raise _not_json(text, error.pos, name) from error
    except RecursionError as error:
        raise _not_json(text, place, name) from error


def _after_space(text: str, place: int) -> int:
    found = _SPACE.match(text, place)
    return place if found is None else found.end()


def _not_json(text: str, place: int, name: str) -> DataRefused:
    line = text.count("\n", 0, place) + 1
    return DataRefused(
        f"{name} is damaged in line {line}: whole JSON was expected, but it can't be read from there on; "
        "export it again and land the new file",
        code="not_json",
        params={"line": line},
    )
