"""The values that a form offers when a person describes a car: those that the listings hold."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable
from typing import Any

import pandas as pd

from carprice.listings.schema import EQUIPMENT
from carprice.model.plain_values import plain

_LISTS = {
    "fuels": "fuel",
    "gearboxes": "gearbox",
    "conditions": "condition",
    "origins": "origin",
    "cities": "city",
}


OPTIONS_OF = (
    "make", "model", "model_year", "fiscal_power_cv", "doors", "mileage_km_min", "mileage_km_max",
    *_LISTS.values(),
)  # fmt: skip
"""The columns that a form's values come from, beside those of equipment."""


def form_options_of(listings: pd.DataFrame) -> dict[str, Any]:
    """The values of canonical listings, most frequent first, as JSON holds them.

    `makes` maps each make to its `count` and its `models`, each with its `count`, the first and the last
    of its `years`, its `fuels`, `gearboxes` and `fiscal_powers` (ascending). Beside it the `fuels`,
    `gearboxes`, `conditions`, `origins`, `cities` and `doors` of all listings, `mileage_brackets`
    (least and largest kilometres, null for an open one; ascending) and whether any `has_equipment`.
    Spellings that are one word to the model are one choice, in the most common spelling.
    """
    spelled = pd.DataFrame({column: _one_spelling(listings[column]) for column in ("make", *_LISTS.values())})
    spelled = spelled.assign(
        model=_one_spelling(listings["model"], within=spelled["make"]),
        model_year=listings["model_year"],
        fiscal_power_cv=listings["fiscal_power_cv"],
    )
    makes = {}
    for make in _frequent(spelled["make"]):
        of_make = spelled[spelled["make"] == make]
        by_model = dict(iter(of_make.groupby("model", sort=False)))
        makes[make] = {
            "count": len(of_make),
            "models": {model: _of_model(by_model[model]) for model in _frequent(of_make["model"])},
        }
    return {
        "makes": makes,
        **{name: _frequent(spelled[column]) for name, column in _LISTS.items()},
        "doors": [int(doors) for doors in _frequent(listings["doors"])],
        "has_equipment": any(listings[name].notna().any() for name in EQUIPMENT if name in listings),
        "mileage_brackets": _brackets(listings),
    }


def _of_model(listings: pd.DataFrame) -> dict[str, Any]:
    years = listings["model_year"].dropna()
    return {
        "count": len(listings),
        "years": [int(years.min()), int(years.max())] if len(years) else [],
        "fuels": _frequent(listings["fuel"]),
        "gearboxes": _frequent(listings["gearbox"]),
        "fiscal_powers": sorted(int(power) for power in listings["fiscal_power_cv"].dropna().unique()),
    }


def _frequent(values: Iterable[Any]) -> list[Any]:
    """The distinct known values, the most frequent first, then in their own order."""
    counts = Counter(value for value in values if not pd.isna(value))
    return sorted(counts, key=lambda value: (-counts[value], value))


def _one_spelling(values: pd.Series[Any], within: pd.Series[Any] | None = None) -> pd.Series[Any]:
    """Each text in the most common spelling of what is the same word to the model (in its make)."""
    around = [None] * len(values) if within is None else within.tolist()
    folded: dict[str, str] = {}
    keys: list[Hashable] = []
    spellings: defaultdict[Hashable, Counter[str]] = defaultdict(Counter)
    for value, place in zip(values.tolist(), around, strict=True):
        if pd.isna(value):
            keys.append(None)
            continue
        if value not in folded:
            # letters that the model can't read leave nothing of a word
            folded[value] = plain(value) or value.casefold()
        key = (place, folded[value])
        keys.append(key)
        spellings[key][value] += 1
    common = {key: min(counts, key=lambda word: (-counts[word], word)) for key, counts in spellings.items()}
    return pd.Series([common.get(key) for key in keys], index=values.index, dtype=object)


def _brackets(listings: pd.DataFrame) -> list[list[int | None]]:
    """The distinct mileage brackets; exact values are none."""
    ends = ["mileage_km_min", "mileage_km_max"]
    pairs = listings[ends].dropna(subset="mileage_km_min").drop_duplicates().sort_values(ends)
    return [[int(low), None if pd.isna(high) else int(high)] for low, high in pairs.to_numpy() if low != high]
