"""What is usual among the training listings: it stands in for what a listing does not say.

Words and numbers of n listings come as `carprice.model.features` reads them: lists of plain words by
column ("" unknown), and arrays of shape (n,) by column (NaN unknown).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float64]
Words = Mapping[str, Sequence[str]]
Numbers = Mapping[str, Floats]

_LEVELS = ("model", "make")
# Listings whose median is the mileage of a model year; where a year has fewer, those around it count too.
_LISTINGS_OF_A_YEAR = 50
_YEARS_OF_A_GENERATION = 5


def usual_words(found: Sequence[str], words: Words) -> dict[str, str]:
    """The most common word per model, per make and ("") of all."""
    filled = [i for i, word in enumerate(found) if word]
    series = pd.Series([found[i] for i in filled], dtype=object)
    usual: dict[str, str] = {"": str(series.mode().iloc[0]) if filled else ""}
    for level in _LEVELS:
        groups = series.groupby(np.array([words[level][i] for i in filled], dtype=object))
        usual |= {str(name): str(group.mode().iloc[0]) for name, group in groups}
    return usual


def usual_numbers(found: Floats, words: Words) -> dict[str, float]:
    """The median number per model, per make and ("") of all."""
    series = pd.Series(found)
    usual: dict[str, float] = {"": float(series.median()) if series.notna().any() else 0.0}
    for level in _LEVELS:
        medians = series.groupby(np.array(words[level], dtype=object)).median().dropna()
        usual |= {str(name): float(value) for name, value in medians.items()}
    return usual


def usual(table: Mapping[str, Any], words: Words, row: int) -> Any:
    """What `table`, made by one of the two above, says of a listing."""
    for level in _LEVELS:
        if words[level][row] in table:
            return table[words[level][row]]
    return table[""]


def mileages_by_year(year: Floats, km: Floats) -> dict[str, list[float]]:
    """The median mileage of each model year: two lists, `year` in order and `km`, one number for each."""
    known = np.isfinite(year) & np.isfinite(km)
    year, km = year[known], km[known]
    years = np.unique(year)
    medians = []
    for each in years:
        distance = np.abs(year - each)
        width = np.partition(distance, min(_LISTINGS_OF_A_YEAR, len(year)) - 1)
        near = distance <= width[min(_LISTINGS_OF_A_YEAR, len(year)) - 1]
        medians.append(float(np.median(km[near])))
    return {"year": years.tolist() or [0.0], "km": medians or [0.0]}


def mileage_of_year(table: Mapping[str, Sequence[float]], year: Floats) -> Floats:
    """The usual mileage in km of cars of each model year, of shape (n,); `year` has no NaN."""
    return np.interp(year, table["year"], table["km"])


def likely_fuels(words: Words, numbers: Numbers) -> dict[str, str]:
    """The most common fuel of each kind of car, kinds as `_kinds` names them."""
    return {kind: _most_common(counts) for kind, counts in _fuels_by_kind(words, numbers).items()}


def likely_fuel(table: Mapping[str, str], words: Words, numbers: Numbers) -> list[str]:
    """The most common fuel of the nearest kind that `table` knows, for each listing."""
    return [next((table[kind] for kind in kinds if kind in table), "") for kinds in _kinds(words, numbers)]


def likely_fuel_without_own(words: Words, numbers: Numbers) -> list[str]:
    """The same for the training listings themselves, each without the fuel that it says itself."""
    found = _fuels_by_kind(words, numbers)
    likely = []
    for own, kinds in zip(words["fuel"], _kinds(words, numbers), strict=True):
        fuels = ""
        for kind in kinds:
            others = found.get(kind, Counter()) - Counter([own])
            if others:
                fuels = _most_common(others)
                break
        likely.append(fuels)
    return likely


def _fuels_by_kind(words: Words, numbers: Numbers) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for fuel, kinds in zip(words["fuel"], _kinds(words, numbers), strict=True):
        if fuel:
            for kind in dict.fromkeys(kinds):
                found.setdefault(kind, Counter())[fuel] += 1
    return found


def _most_common(counts: Counter[str]) -> str:
    return min(counts, key=lambda word: (-counts[word], word))


def _kinds(words: Words, numbers: Numbers) -> Iterator[list[str]]:
    """The kinds of car that each listing is of, the nearest first, the last ("") all cars.

    Fiscal power follows from the engine, so that with the model it nearly tells the fuel.
    """
    for make, model, power, year in zip(
        words["make"], words["model"], numbers["power"].tolist(), numbers["year"].tolist(), strict=True
    ):
        engine = f"{model}|{power:g}"
        yield [f"{engine}|{year // _YEARS_OF_A_GENERATION:g}", engine, model, make, ""]
