"""Makes and models that the vocabulary does not know and that accepted listings name in their columns."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from carprice.listings.folding import words_of
from carprice.listings.title_words import phrases, words_in
from carprice.listings.vocabulary import MOST_WORDS, shipped_vocabulary

FEWEST_LISTINGS = 5
"""A name that fewer listings have may be a typing error."""

_SHORTEST_MAKE = 3
_SHORTEST_NUMBER = 3
_NO_NAMES = ("opening", "filler", "model year", "other year", "unit")
_OTHER_FACTS = ("fuel", "gearbox", "equipment", "city", "trim")


def learned_names(listings: pd.DataFrame) -> list[tuple[str, str]]:
    """Makes and models of distinct `listings` (canonical columns) that titles may be read by later, in order.

    Titles are read by names that are known, so all others stand in columns. At least `FEWEST_LISTINGS`
    listings have each. Words of another use in titles are no makes.
    """
    shipped = shipped_vocabulary()
    counts = listings.groupby(["make", "model"], sort=True).size()
    often = list(counts[counts >= FEWEST_LISTINGS].index)
    return [
        (make, model)
        for make, model in often
        if shipped.model_named(make, model) is None and _is_make(make) and _is_model(model)
    ]


def _is_make(make: str) -> bool:
    words = words_of(make)
    letters = sum(c.isalpha() for c in make)
    return letters >= _SHORTEST_MAKE and _is_short(words) and not any(_is_common(word) for word in words)


def _is_model(model: str) -> bool:
    words = words_of(model)
    says = any(c.isalpha() for c in model) or len(model.strip()) >= _SHORTEST_NUMBER
    return says and _is_short(words) and not all(map(_is_common, words)) and not _says_else(words)


def _says_else(words: Sequence[str]) -> bool:
    """Whether the words say something else of a car than its model."""
    return any(
        found.end - found.start == len(words)
        for section in _OTHER_FACTS
        for found in phrases(section).all(words)
    )


def _is_short(words: Sequence[str]) -> bool:
    return 0 < len(words) <= MOST_WORDS


def _is_common(word: str) -> bool:
    return any(word in words_in(section) for section in _NO_NAMES)
