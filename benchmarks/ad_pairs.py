"""Pairs of the same ad in two files, made from real listings with the changes that real files have.

A part of the listings is known, a part of these is copied into the new file, and a part of the new file is
no copy of anything known. Both kinds come from the same real listings, so the look-alikes among them are as
frequent as in real life.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd

from carprice.history.mileage_steps import step_of
from carprice.listings.reading import read_raw
from carprice.listings.sample import bracket
from carprice.listings.schema import EQUIPMENT, FEATURES
from carprice.listings.tables import parse
from carprice.listings.values import parse_mileage

KNOWN_SHARE, COPIED_SHARE = 2 / 3, 1 / 2
DROPPED_PRICE, NEXT_BRACKET, BLANK, TYPING_ERROR = 0.10, 0.05, 0.03, 0.01
_OPTIONAL = ("gearbox", "doors", "origin", "first_owner", "condition", "city")
_CITIES = ("Casablanca", "Rabat", "Tanger", "Marrakech", "Fès", "Agadir", "Meknès", "Salé", "Oujda", "Safi")


@dataclass(frozen=True)
class Pairs:
    """Two files in canonical columns, and which listing of `new` is a copy of which of `known`.

    `copies` has the ids of `known` by the ids of `new`; `changed` says for each id of `new` whether its price
    or its bracket changed.
    """

    known: pd.DataFrame
    new: pd.DataFrame
    copies: pd.Series
    changed: pd.Series


def read_rows(path: str) -> pd.DataFrame:
    """The accepted rows of a file without repetitions, in canonical columns."""
    with open(path, "rb") as file:
        table = read_raw(file.read(), path).table.drop_duplicates()
    parsed = parse(table, require_price=True)
    return parsed.listings[parsed.good].reset_index(drop=True)


def distinct(listings: pd.DataFrame) -> pd.DataFrame:
    """The last row of each `listing_id`."""
    return listings.drop_duplicates("listing_id", keep="last").reset_index(drop=True)


def pairs_of(listings: pd.DataFrame, layout: str, seed: int) -> Pairs:
    """Pairs made of real listings; `layout` is a key of `LAYOUTS` and says how the new file is laid out."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(listings))
    known_rows, others = np.split(order, [round(len(order) * KNOWN_SHARE)])
    copied = random.choice(known_rows, round(len(known_rows) * COPIED_SHARE), replace=False)
    known = listings.iloc[known_rows].reset_index(drop=True)
    new = listings.iloc[np.concatenate([copied, others])].reset_index(drop=True)
    originals = new["listing_id"].where(np.arange(len(new)) < len(copied), None)
    return changed_pairs(known, new, originals, layout, random)


def changed_pairs(
    known: pd.DataFrame, new: pd.DataFrame, originals: pd.Series, layout: str, random: np.random.Generator
) -> Pairs:
    """`new` as sellers change it and in another layout; `originals` are the ids of `known` or None."""
    before = new[["price_mad", "mileage_km_min", "mileage_km_max"]].copy()
    new = LAYOUTS[layout](_edited(new, random), random)
    edited = (new["price_mad"] != before["price_mad"]) | (new["mileage_km_min"] > before["mileage_km_max"])
    # as from a site with links of its own, so that nothing but the content can tell
    new["listing_id"] = [f"other.invalid-{number}" for number in range(len(new))]
    new["url"] = [f"https://other.invalid/ad/{number}" for number in range(len(new))]
    originals = pd.Series(originals.to_numpy(), index=new["listing_id"])
    return Pairs(known, new, originals.dropna(), pd.Series(edited.to_numpy(), index=new["listing_id"]))


def plain_copies(known: pd.DataFrame, new: pd.DataFrame) -> pd.Series:
    """The ids of `known` by the ids of `new`: the one listing that says the same in all columns of both."""
    shared = [name for name in FEATURES if known[name].notna().any() and new[name].notna().any()]
    columns = [*(name for name in shared if not name.startswith("mileage")), "price_mad"]
    one, other = (
        ads[["listing_id", *columns]].assign(
            step=step_of(ads["mileage_km_min"].to_numpy(), ads["mileage_km_max"].to_numpy())
        )
        for ads in (known, new)
    )
    both = one.merge(other, on=[*columns, "step"], suffixes=("_known", "_new"))
    once = ~both["listing_id_known"].duplicated(keep=False) & ~both["listing_id_new"].duplicated(keep=False)
    return both[once].set_index("listing_id_new")["listing_id_known"]


def _edited(ads: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    """What a seller changes: a lower price, more kilometres, a value left out or mistyped."""
    ads = ads.reset_index(drop=True)
    n = len(ads)
    lower = np.round(ads["price_mad"] * random.uniform(0.85, 0.98, n) / 500) * 500
    ads["price_mad"] = ads["price_mad"].where(random.random(n) >= DROPPED_PRICE, lower)
    driven = (random.random(n) < NEXT_BRACKET) & ads["mileage_km_max"].notna().to_numpy()
    ends = ads["mileage_km_max"][driven]
    for end in ends.unique():
        bounds = parse_mileage(bracket(float(end) + 1))
        ads.loc[ends.index[ends == end], ["mileage_km_min", "mileage_km_max"]] = bounds
    for name in _OPTIONAL:
        ads[name] = ads[name].where(random.random(n) >= BLANK, np.nan if ads[name].dtype == float else None)
        if ads[name].dtype == object:
            wrong = (random.random(n) < TYPING_ERROR) & ads[name].notna().to_numpy()
            ads.loc[wrong, name] = [str(text)[:1] + str(text)[2:] for text in ads.loc[wrong, name]]
    return ads


def _as_it_is(ads: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return ads


def _exact(ads: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    high = ads["mileage_km_max"].fillna(ads["mileage_km_min"] * 1.2)
    exact = np.floor(ads["mileage_km_min"] + random.random(len(ads)) * (high - ads["mileage_km_min"]))
    return ads.assign(mileage_km_min=exact, mileage_km_max=exact)


def _middle(ads: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    middle = (ads["mileage_km_min"] + ads["mileage_km_max"]) / 2
    middle = middle.fillna(ads["mileage_km_min"])
    return ads.assign(mileage_km_min=middle, mileage_km_max=middle)


def _richer(ads: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    n = len(ads)
    equipped = random.random((n, len(EQUIPMENT))) < random.random(n)[:, None]
    flags = dict(zip(EQUIPMENT, equipped.T.astype(float), strict=True))
    city = pd.Series(random.choice(_CITIES, n).astype(object), index=ads.index)
    return ads.assign(city=city, **{name: ads[name].fillna(pd.Series(v)) for name, v in flags.items()})


def _poorer(ads: pd.DataFrame, random: np.random.Generator) -> pd.DataFrame:
    return ads.assign(condition=None, first_owner=np.nan)


LAYOUTS: dict[str, Callable[[pd.DataFrame, np.random.Generator], pd.DataFrame]] = {
    "as it is": _as_it_is,
    "exact mileage": _exact,
    "middle of the bracket": _middle,
    "city and equipment added": _richer,
    "no condition, no first owner": _poorer,
}
