"""What the titles of ads add to the columns of a file, and where they contradict them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.engine_names import NAMED_BY_ENGINE
from carprice.listings.folding import words_of
from carprice.listings.text import shorten
from carprice.listings.titles import TitleFacts, are_sisters, read_title
from carprice.listings.vocabulary import Vocabulary

Mask = npt.NDArray[np.bool_]

TOLD = ("make", "model", "model_year", "fuel", "gearbox", "city", "trim")
"""The canonical columns that a title can fill."""

_OLDEST_BRACKET = 1980
_MOST_EXAMPLES = 3
_LONGEST_SHOWN = 60


@dataclass(frozen=True)
class Contradiction:
    """A canonical column whose value differs from what the titles say: in how many rows, and some of them.

    The value of the column is the one that counts. Each example is what the column says and the title.
    """

    column: str
    rows: int
    examples: tuple[tuple[str, str], ...]


@dataclass(frozen=True)
class TitlesRead:
    """What the titles of n rows say beside the columns.

    `values` holds a column of n values for each of `TOLD` that was given or that a title tells: text columns
    as objects (None unknown), the year as float64 (NaN unknown). `untold` says by canonical column and code
    in which rows neither the column nor the title tells it. `others` (object, n rows) is an `OtherAd` where
    the title is about something else than a used car on sale, else None.
    """

    values: dict[str, npt.NDArray[Any]]
    untold: dict[tuple[str, str], Mask]
    others: npt.NDArray[Any]
    contradictions: list[Contradiction]


class _Ad(NamedTuple):
    """A title with what the columns say beside it."""

    title: str | None
    make: str | None
    model: str | None
    model_year: float | None


def merge_titles(
    titles: pd.Series[Any], columns: Mapping[str, npt.NDArray[Any]], vocabulary: Vocabulary, newest_year: int
) -> TitlesRead:
    """Fill from titles what the columns do not say; a value of a column always wins.

    `titles` are n texts (None or empty where there is none). `columns` holds those of `TOLD` that the file
    has, n values each; makes and models are spelled as `canonical_make_and_model` gives them. Each distinct
    combination of title, make, model and year is read once.
    """
    rows = len(titles)
    given = {name: _objects(columns.get(name), rows) for name in TOLD}
    places, ads = _distinct(titles, given)
    facts = [_facts(ad, vocabulary, newest_year) for ad in ads]
    values: dict[str, npt.NDArray[Any]] = {}
    for name in TOLD:
        told = np.empty(len(ads), dtype=object)
        told[:] = [_told(name, ad, found) for ad, found in zip(ads, facts, strict=True)]
        filled = np.where(pd.isna(given[name]), told[places], given[name])
        values[name] = filled.astype(np.float64) if name == "model_year" else filled
    return TitlesRead(
        values,
        _untold(values, [_why(ad, found) for ad, found in zip(ads, facts, strict=True)], places),
        _others(ads, facts)[places],
        _contradictions(ads, facts, places),
    )


def _objects(values: npt.NDArray[Any] | None, rows: int) -> npt.NDArray[Any]:
    if values is None:
        return np.full(rows, None, dtype=object)
    objects = np.array(values, dtype=object)
    objects[pd.isna(objects)] = None
    return objects


def _distinct(
    titles: pd.Series[Any], given: Mapping[str, npt.NDArray[Any]]
) -> tuple[npt.NDArray[np.int64], list[_Ad]]:
    """Each row's place among the distinct ads, and these."""
    parts = [titles.to_numpy(dtype=object), given["make"], given["model"], given["model_year"]]
    factors = [pd.factorize(part, use_na_sentinel=True) for part in parts]
    keys = np.zeros(len(titles), dtype=np.int64)
    for codes, uniques in factors:
        keys = pd.factorize(keys * (len(uniques) + 1) + codes + 1)[0].astype(np.int64)
    first = pd.Series(np.arange(len(keys))).groupby(keys).first().to_numpy()
    ads = [_Ad(*(None if pd.isna(part[row]) else part[row] for part in parts)) for row in first]
    return keys, ads


def _facts(ad: _Ad, vocabulary: Vocabulary, newest_year: int) -> TitleFacts:
    if not ad.title:
        return TitleFacts()
    year = None if ad.model_year is None else int(ad.model_year)
    return read_title(ad.title, vocabulary, newest_year, ad.make, year)


def _told(name: str, ad: _Ad, found: TitleFacts) -> Any:
    """What the title tells of a column, None where it can't be taken over."""
    if name in ("model", "trim") and ad.make is not None and found.make not in (None, ad.make):
        return None
    return getattr(found, name)


def _why(ad: _Ad, found: TitleFacts) -> dict[str, str]:
    """The code for each needed column that the title does not tell, should the row lack it."""
    if not ad.title:
        return {}
    if found.several:
        return dict.fromkeys(("make", "model", "model_year"), "title_names_several_cars")
    other = ad.make is not None and found.make not in (None, ad.make)
    return {
        "make": "title_names_no_make",
        "model": "title_names_another_make" if other else "title_names_no_model",
        "model_year": "title_says_no_year",
    }


def _untold(
    values: Mapping[str, npt.NDArray[Any]], why: list[dict[str, str]], places: npt.NDArray[np.int64]
) -> dict[tuple[str, str], Mask]:
    untold: dict[tuple[str, str], Mask] = {}
    for name in ("make", "model", "model_year"):
        codes = np.empty(len(why), dtype=object)
        codes[:] = [each.get(name) for each in why]
        lacking = codes[places]
        lacking[~pd.isna(values[name])] = None
        for code in sorted(set(lacking[lacking != None])):  # noqa: E711 compared element by element
            untold[name, str(code)] = lacking == code
    return untold


def _others(ads: list[_Ad], facts: list[TitleFacts]) -> npt.NDArray[Any]:
    others = np.full(len(ads), None, dtype=object)
    for place, (ad, found) in enumerate(zip(ads, facts, strict=True)):
        if found.other is not None and (found.other.sure or ad.make is None or ad.model is None):
            others[place] = found.other
    return others


def _contradictions(
    ads: list[_Ad], facts: list[TitleFacts], places: npt.NDArray[np.int64]
) -> list[Contradiction]:
    rows_of = np.bincount(places, minlength=len(ads))
    found: dict[str, list[tuple[int, str, str]]] = {}
    for place, (ad, said) in enumerate(zip(ads, facts, strict=True)):
        for name in ("make", "model", "model_year"):
            value = getattr(ad, name)
            if value is not None and _contradicts(name, ad, said):
                shown = str(int(value)) if name == "model_year" else str(value)
                found.setdefault(name, []).append((place, shown, shorten(str(ad.title), _LONGEST_SHOWN)))
    return [
        Contradiction(
            name,
            int(sum(rows_of[place] for place, _, _ in cases)),
            tuple((shown, title) for _, shown, title in cases[:_MOST_EXAMPLES]),
        )
        for name, cases in found.items()
    ]


def _contradicts(name: str, ad: _Ad, said: TitleFacts) -> bool:
    """Whether the title says something else than a column; a longer name of the same car is not else."""
    if name == "make":
        return said.make not in (None, ad.make) and not are_sisters(said.make, ad.make)
    if name == "model_year":
        year = said.model_year
        # the site's oldest bracket is "1980 and before"
        old = year is not None and year < _OLDEST_BRACKET and ad.model_year == _OLDEST_BRACKET
        return year is not None and year != ad.model_year and not old
    if said.model is None or said.make not in (None, ad.make):
        return False
    one, other = words_of(said.model), words_of(ad.model or "")
    by_engine = ad.make in NAMED_BY_ENGINE and all(word.isdigit() for word in other)
    return one[: len(other)] != other[: len(one)] and not by_engine
