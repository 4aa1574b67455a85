"""How much a pair of listings speaks for being one ad: the model of Fellegi and Sunter, learned from files.

Each column of a pair has a level: both say the same, both say something else, or one of them says nothing. A
level speaks for a copy by the ratio of how often copies have it and how often other cars have it. The latter
is counted in the known listings, for each value: an odd price says more than a round one, and a rare engine
more than the usual one. The former is learned from the pairs themselves (expectation maximisation).

Source: Fellegi and Sunter, A Theory for Record Linkage, 1969; Winkler, Frequency-based matching in
Fellegi-Sunter model of record linkage, 2000.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from carprice.history.candidates import Candidates
from carprice.history.comparing import (
    COMPARED,
    Codes,
    Floats,
    ShortCodes,
    Side,
    agreement_by_chance,
    counts_of,
)

SAME, OTHER, OTHER_STILL, ONLY_KNOWN, ONLY_NEW, NEITHER = range(6)
Levels = npt.NDArray[np.int8]
Shares = dict[str, Floats]
COLUMNS: tuple[str, ...] = ("price", "mileage", "equipment", *COMPARED)

# How often copies have the levels same, other and other still, where both say something: the first guess.
_PRIOR = {"price": (0.85, 0.09, 0.06), "mileage": (0.93, 0.06, 0.01), "equipment": (0.9, 0.06, 0.04)}
_PRIOR_VALUE = (0.97, 0.03, 0.0)
_PRIOR_PAIRS = 30.0
# How likely another car of the same make, model and year says the same, where hardly any listing is known.
_BY_CHANCE = {"price": 0.1, "mileage": 0.1, "equipment": 0.2, "city": 0.2}
_MOST_CHANCE_PAIRS = 200_000


def levels_of(known: Side, new: Side, pairs: Candidates) -> dict[str, Levels]:
    """The level of each pair in each of `COLUMNS`, arrays of shape (pairs,).

    A price is `OTHER` within 5 % and `OTHER_STILL` beyond, a mileage `OTHER` on the next step, equipment
    `OTHER` if at most two pieces differ.
    """
    k, n = pairs.known, pairs.new
    change = np.abs(np.log(new.price[n] / known.price[k]))
    overlap = (known.low[k] <= new.high[n]) & (new.low[n] <= known.high[k])
    near = np.abs(new.step[n] - known.step[k]) <= 1
    both = known.said[k] & new.said[n]
    differences = np.bitwise_count((known.ticked[k] ^ new.ticked[n]) & both)
    levels = {
        "price": _level(change < 1e-9, change <= 0.05),
        "mileage": _with_unknown(_level(overlap, near), known.step[k] >= 0, new.step[n] >= 0),
        "equipment": _with_unknown(
            _level(differences == 0, differences <= 2),
            (known.said[k] > 0) & ((new.said[n] == 0) | (both > 0)),
            (new.said[n] > 0) & ((known.said[k] == 0) | (both > 0)),
        ),
    }
    for name in COMPARED:
        one, other = known.values[name][k], new.values[name][n]
        levels[name] = _with_unknown(_level(one == other, True), one >= 0, other >= 0)
    return levels


@dataclass(frozen=True)
class Rarity:
    """How likely another car has what a known listing has.

    `lookalikes` (shape (known,)) is how many known listings have its make, model and model year, itself
    included. `same` has for each of `COLUMNS` how likely another one of them says the same (shape (known,)).
    `exact` is that of exactly the same kilometres. `shares` has the shares of the six levels among pairs of
    different cars of one make, model and year.
    """

    lookalikes: Floats
    same: dict[str, Floats]
    exact: Floats
    shares: Shares


def rarity_of(known: Side, new: Side) -> Rarity:
    """Count what the known listings say, and how much both sides leave out."""

    def chance(values: Codes | ShortCodes, before: float) -> Floats:
        everywhere = agreement_by_chance(values, None, before)
        return agreement_by_chance(values, known.car, agreement_by_chance(values, known.family, everywhere))

    step = agreement_by_chance(known.step, known.year, _BY_CHANCE["mileage"])
    step = agreement_by_chance(known.step, known.car, step)
    exact = known.low == known.high
    kilometres = np.unique(np.where(exact, known.low, -1.0), return_inverse=True)[1]
    with_step = counts_of(known.step)
    pattern = np.where(known.said > 0, known.ticked.astype(np.int64) << 16 | known.said, -1)
    patterns = np.unique(pattern, return_inverse=True)[1] - int(pattern.min(initial=0) < 0)
    shares = {}
    levels = levels_of(known, known, _different_cars(known))
    for name in COLUMNS:
        counts = np.bincount(levels[name], minlength=6)[:3] + 3.0
        said = [_said(side, name) for side in (known, new)]
        both = said[0] * said[1]
        unknown = [said[0] - both, said[1] - both, (1 - said[0]) * (1 - said[1])]
        shares[name] = np.concatenate([counts / counts.sum() * both, unknown])
    return Rarity(
        lookalikes=counts_of(known.car),
        same={
            "price": _price_chance(known),
            "mileage": step,
            "equipment": chance(patterns.astype(np.int64), _BY_CHANCE["equipment"]),
            **{name: chance(known.values[name], _BY_CHANCE.get(name, 0.5)) for name in COMPARED},
        },
        exact=step * np.minimum(counts_of(kilometres.astype(np.int64)) / with_step, 1),
        shares=shares,
    )


def first_guess(rarity: Rarity) -> Shares:
    """The shares of the levels among copies, before any pair is seen."""
    shares = {}
    for name in COLUMNS:
        chance = rarity.shares[name]
        both = np.array(_PRIOR.get(name, _PRIOR_VALUE)) * chance[:3].sum()
        shares[name] = np.concatenate([both, chance[3:]])
    return shares


def learned(levels: dict[str, Levels], probability: Floats, guess: Shares) -> Shares:
    """The shares of the levels among copies; `probability` (shape (pairs,)) is that each pair is one."""
    shares = {}
    for name in COLUMNS:
        counts = np.bincount(levels[name], probability, minlength=6) + _PRIOR_PAIRS * guess[name]
        shares[name] = counts / counts.sum()
    return shares


def ratios(
    known: Side, new: Side, pairs: Candidates, levels: dict[str, Levels], rarity: Rarity, copies: Shares
) -> Floats:
    """How many times likelier each pair is a copy than another car of its kind, shape (pairs,).

    The number of cars of its kind is counted: 2 says that the pair is twice as likely a copy as the known
    listing is to have a look-alike by chance.
    """
    k, n = pairs.known, pairs.new
    log = -np.log(rarity.lookalikes[k])
    for name in COLUMNS:
        level, chance = levels[name], rarity.shares[name]
        said = chance[:3].sum()
        same = np.clip(rarity.same[name][k], 1e-6, 1)
        if name == "mileage":
            exact = (
                (known.low[k] == new.low[n])
                & (known.high[k] == new.high[n])
                & (known.low[k] == known.high[k])
            )
            same = np.where(exact, np.clip(rarity.exact[k], 1e-6, 1), same)
        by_chance = chance[level]
        by_chance = np.where(level == SAME, same * said, by_chance)
        if name in COMPARED:
            by_chance = np.where(level == OTHER, np.maximum(1 - same, 0.01) * said, by_chance)
        log += np.log(np.maximum(copies[name][level], 1e-6)) - np.log(np.maximum(by_chance, 1e-9))
    found: Floats = np.exp(np.clip(log, -50, 50))
    return found


def _different_cars(known: Side) -> Candidates:
    """Pairs of known listings with the same make, model and year, drawn at random."""
    order = np.random.default_rng(0).permutation(len(known))[:_MOST_CHANCE_PAIRS]
    order = order[np.argsort(known.car[order], kind="stable")]
    pairs = Candidates(order[:-1], order[1:])
    return pairs.take(known.car[pairs.known] == known.car[pairs.new])


def _price_chance(known: Side) -> Floats:
    """How likely another car of the same kind has exactly the price of each listing."""
    prices, inverse, counts = np.unique(known.price, return_inverse=True, return_counts=True)
    codes = inverse.astype(np.int64)
    # A small group leans on how popular the price is among the prices near it.
    below = np.append(0, np.cumsum(counts))
    high, low = np.searchsorted(prices, prices * 1.15, "right"), np.searchsorted(prices, prices / 1.15)
    near = (below[high] - below[low])[codes]
    popular = (counts[codes] - 1 + 10 * _BY_CHANCE["price"]) / (near - 1 + 10)
    return agreement_by_chance(codes, known.car, popular)


def _said(side: Side, name: str) -> float:
    if name == "price":
        return 1.0
    said = {"mileage": side.step >= 0, "equipment": side.said > 0}.get(name)
    if said is None:
        said = side.values[name] >= 0
    return float(said.mean()) if len(said) else 0.0


def _level(same: npt.NDArray[np.bool_], other: npt.NDArray[np.bool_] | bool) -> Levels:
    return np.where(same, SAME, np.where(other, OTHER, OTHER_STILL)).astype(np.int8)


def _with_unknown(level: Levels, known: npt.NDArray[np.bool_], new: npt.NDArray[np.bool_]) -> Levels:
    unknown = np.where(known, ONLY_KNOWN, np.where(new, ONLY_NEW, NEITHER))
    return np.where(known & new, level, unknown).astype(np.int8)
