"""Where a car is, as sites write it."""

from __future__ import annotations

import re
from typing import NamedTuple

from carprice.listings.folding import words_of
from carprice.listings.other_ads import kind_of_category
from carprice.listings.title_words import phrases

_IN = re.compile(r"\s+(?:dans|in|à|a|في)\s+", re.IGNORECASE)


class Place(NamedTuple):
    """A city and, where it is told, a district of it."""

    city: str
    district: str | None


def place_in_category(text: str) -> Place | None:
    """The place behind a category of ads: `Voitures d'occasion dans Casablanca, 2 Mars`; otherwise None."""
    match = _IN.search(text)
    if match is None or not text[: match.start()].strip():
        return None
    category, where = text[: match.start()], text[match.end() :].strip()
    if kind_of_category(category) is None or "vendre" in where.casefold():
        return None
    return place_of(where)


def place_of(text: str) -> Place | None:
    """The city and the district of `Casablanca, 2 Mars`; None for an empty text."""
    city, _, district = (part.strip() for part in text.partition(","))
    return Place(city_named(city), district or None) if city else None


def is_city(text: str) -> bool:
    """Whether a text is the name of a known city."""
    words = words_of(text)
    found = phrases("city").at(words, 0) if words else None
    return found is not None and found.end == len(words)


def city_named(text: str) -> str:
    """The usual spelling of a city (`FES` and `فاس` are Fès); any other place as it is written."""
    words = words_of(text)
    found = phrases("city").at(words, 0) if words else None
    return found.value if found is not None and found.end == len(words) else text
