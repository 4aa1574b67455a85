"""JSON documents that hold a table otherwise than as one list of objects, as pandas writes it on request."""

from __future__ import annotations

import re
from typing import Any

from carprice.listings.header_names import name_of
from carprice.listings.reading.json_values import things_of_a_car
from carprice.listings.reading.layout import known_words

_LEAST_KNOWN = 3
_SOME = 5
_BEGINS_LIKE_A_TABLE = re.compile(
    r"""\s*\{\s*(?:
        "(?:columns|index|data)"\s*:\s*\[     # the names and the rows apart
      | "[^"]*"\s*:\s*\{\s*"\d+"\s*:          # columns, their values by the number of the row
      | "\d+"\s*:\s*\{                        # rows by their number
      | "[^"]*"\s*:\s*\[\s*[^\[{\s\]]         # columns of values
    )""",
    re.VERBOSE,
)


def begins_like_a_table(text: str) -> bool:
    """Whether the beginning of a JSON object looks like one that `records_of` takes."""
    return _BEGINS_LIKE_A_TABLE.match(text) is not None


def records_of(document: Any) -> list[Any] | None:
    """The rows of a table as records; None where the document is no table with known headers.

    Takes `{"columns": […], "data": [[…], …]}`, a list of rows with the header as its first, columns as lists
    of one length, columns as objects with one key for each row, rows as the values of an object, a list of
    pages of records, and the one list of records with known keys anywhere within objects. A row with fewer or
    more values than the header is left as it is.
    """
    if isinstance(document, list):
        return _pages(document) or (_with_header(document[0], document[1:]) if document else None)
    if not isinstance(document, dict) or not document:
        return None
    return _the_list_within(document) or _of_object(document)


def _of_object(document: dict[str, Any]) -> list[Any] | None:
    if isinstance(document.get("data"), list) and "columns" in document:
        return _with_header(document["columns"], document["data"])
    values = list(document.values())
    if all(isinstance(value, list) for value in values):
        same = len({len(value) for value in values}) == 1
        return _rows(list(document), list(zip(*values, strict=True))) if same else None
    if all(isinstance(value, dict) for value in values):
        return _by_key(document)
    return None


def _pages(document: list[Any]) -> list[Any] | None:
    pages = [_the_list_within(page) if isinstance(page, dict) else page for page in document if page != []]
    if not pages or not all(isinstance(page, list) and are_listings(page) for page in pages):
        return None
    return [record for page in pages for record in page or ()]


def are_pages(found: list[Any]) -> bool:
    """Whether the first object of a list is no listing, and holds the list of them."""
    first = next((each for each in found if isinstance(each, dict)), None)
    return first is not None and not is_listing(first) and _the_list_within(first) is not None


def are_listings(found: list[Any]) -> bool:
    """Whether one of the first records of a list is of a car."""
    some = [each for each in found if isinstance(each, dict)][:_SOME]  # the first may be an advertisement
    return any(is_listing(part) for each in some for part in (each, *each.values()) if isinstance(part, dict))


def is_listing(found: dict[str, Any]) -> bool:
    """Whether an object has the keys of a listing: two things about a car, or one beside a title."""
    hints = {name_of(key).hint for key in found}
    return things_of_a_car(found) >= (1 if "title" in hints else 2)


def _the_list_within(document: dict[str, Any]) -> list[Any] | None:
    if is_listing(document):
        return None  # a record, and the list within is of something else
    if document and all(key.isdigit() and isinstance(page, list) for key, page in document.items()):
        return _pages(list(document.values()))
    found: list[list[Any]] = []
    objects = [document]
    while objects:
        for value in objects.pop().values():
            if isinstance(value, dict) and not is_listing(value):
                objects.append(value)
            elif isinstance(value, list) and are_listings(value):
                found.append(value)
    return found[0] if len(found) == 1 else None


def _with_header(header: Any, rows: list[Any]) -> list[Any] | None:
    if not isinstance(header, list) or not all(isinstance(word, str) for word in header):
        return None
    if not all(isinstance(row, list) for row in rows):
        return None
    return _rows(header, rows)


def _rows(header: list[str], rows: list[Any]) -> list[Any] | None:
    if known_words(header) < _LEAST_KNOWN or len(set(header)) < len(header):
        return None
    width = len(header)
    return [dict(zip(header, row, strict=True)) if len(row) == width else row for row in rows]


def _by_key(document: dict[str, dict[str, Any]]) -> list[Any] | None:
    columns = known_words(list(document))
    inner = dict.fromkeys(key for value in document.values() for key in value)
    if max(columns, known_words(list(inner))) < _LEAST_KNOWN:
        return None
    if columns >= known_words(list(inner)):
        return [{name: value.get(key) for name, value in document.items()} for key in inner]
    return list(document.values())
