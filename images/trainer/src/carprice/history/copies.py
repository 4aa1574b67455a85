"""Which new listings are copies of known ads: in another file, in another layout or from another site."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.history.candidates import Candidates, Rows, candidates, crowds
from carprice.history.comparing import Codes, Floats, Side, sides_of
from carprice.history.evidence import (
    SAME,
    Levels,
    Rarity,
    Shares,
    first_guess,
    learned,
    levels_of,
    rarity_of,
    ratios,
)

log = logging.getLogger(__name__)

Cuts = Collection[tuple[int, int]]

SURE, POSSIBLE = 0.8, 0.05
_ROUNDS_TO_LEARN = 8
_ROWS_TO_LEARN = 20_000
_ROWS_AT_ONCE = 100_000
_COLUMNS = ["new", "known", "rule", "confidence"]
_TYPES = {"new": object, "known": object, "rule": object, "confidence": float}
_NO_PAIRS = pd.DataFrame(
    {
        "new": np.zeros(0, dtype=np.int64),
        "known": np.zeros(0, dtype=np.int64),
        "rule": np.zeros(0, dtype=object),
        "confidence": np.zeros(0),
    }
)


@dataclass(frozen=True)
class Copies:
    """What is known of each new listing.

    `links` has one row for each new listing that is a copy of a known one: `new` and `known` (listing ids),
    `rule` (`same_id`, `same_price` or `changed_price`) and `confidence` (0.8 to 1). A known listing stands in
    two rows only if it had two prices. `ambiguous` has, in the same columns, the pairs that may be copies:
    more than one car looks like the ad, or what both say is too common. They are neither merged nor new.
    `new` has the ids of the listings that are new.
    """

    links: pd.DataFrame
    ambiguous: pd.DataFrame
    new: pd.Series


class _Compared(NamedTuple):
    """Pairs, and the level of each in each column."""

    pairs: Candidates
    levels: dict[str, Levels]


@dataclass(frozen=True)
class _Model:
    """What the pairs of two files teach: the share of new listings that are copies, and how copies look."""

    share: float
    copies: Shares
    rarity: Rarity


def find_copies(known: pd.DataFrame, new: pd.DataFrame, cuts: Collection[tuple[str, str]] = ()) -> Copies:
    """Link the listings of `new` with those of `known` (canonical columns, one row per listing and price).

    Each table may hold several rows of one `listing_id`, one for each price that it had. Different listings
    of one table are different ads and are never linked with each other. `cuts` are pairs of ids, in order,
    that are two ads.
    """
    sides = sides_of(known, new)
    names = sides[0].names
    found = copies_of(*sides, numbered_cuts(cuts, names))
    links, ambiguous = (
        table.assign(new=names[table["new"]], known=names[table["known"]]).astype(_TYPES)
        for table in (found.links, found.ambiguous)
    )
    return Copies(links, ambiguous, pd.Series(names[found.new], dtype=object))


def numbered_cuts(cuts: Collection[tuple[str, str]], names: npt.NDArray[np.object_]) -> list[tuple[int, int]]:
    """The cuts as places of their ids in `names`, as far as both are there."""
    if not cuts:
        return []
    places = pd.Index(names).get_indexer(pd.Index([name for cut in cuts for name in cut], dtype=object))
    return [(int(one), int(other)) for one, other in places.reshape(-1, 2) if one >= 0 and other >= 0]


def copies_of(known: Side, new: Side, cuts: Cuts = ()) -> Copies:
    """The same for two sides; ids, those of the cuts too, are their numbers."""
    ids = pd.unique(new.ids)
    known_before = np.isin(known.ids, ids)
    there = np.isin(new.ids, known.ids[known_before])
    same = pd.unique(new.ids[there])
    links = [pd.DataFrame({"new": same, "known": same, "rule": "same_id", "confidence": 1.0})]
    ambiguous = []
    if there.any():
        # under their names: a million listings take 300 MB, and the caller has them once already
        known, new = known.take(~known_before), new.take(~there)
    if len(known) and len(new):
        learned_from = next(_parts(new, _ROWS_TO_LEARN))
        model, compared = _learn(known, new, learned_from, cuts)
        for rows in _parts(new, _ROWS_AT_ONCE):
            if len(learned_from) < len(new):
                compared = _compared(known, new, rows, cuts)
            sure, possible = _decided(known, new, rows, compared, model, cuts)
            links.append(sure)
            ambiguous.append(possible)
    linked, unsure = _in_order(links, ids), _in_order(ambiguous, ids)
    told = np.isin(ids, np.concatenate([linked["new"], unsure["new"]]))
    return Copies(linked, unsure, pd.Series(ids[~told]))


def _in_order(tables: list[pd.DataFrame], ids: Codes) -> pd.DataFrame:
    """The pairs of all parts, in the order of the new listings, the surest first."""
    found = [table[_COLUMNS] for table in tables if len(table)]
    if not found:
        return _NO_PAIRS
    pairs = pd.concat(found, ignore_index=True).astype({"rule": object, "confidence": float})
    place = pd.Series(np.arange(len(ids)), index=ids).reindex(pairs["new"]).to_numpy()
    return pairs.iloc[np.lexsort((-pairs["confidence"].to_numpy(), place))].reset_index(drop=True)


def _parts(new: Side, size: int) -> Iterator[Rows]:
    """The rows of the new listings in parts of about `size`; one make, model and year is in one part.

    The cars come in the order of their hashes, which is none.
    """
    order = np.argsort(new.hashed, kind="stable")
    ordered = new.hashed[order]
    starts = np.flatnonzero(np.append(True, ordered[1:] != ordered[:-1]))
    wanted = np.arange(0, len(order), size)
    cuts = np.unique(starts[np.searchsorted(starts, wanted, side="right") - 1])
    yield from np.split(order, cuts[1:])


def _learn(known: Side, new: Side, rows: Rows, cuts: Cuts) -> tuple[_Model, _Compared]:
    """Learn from the pairs of those rows of the new listings: expectation maximisation."""
    rarity = rarity_of(known, new)
    compared = _compared(known, new, rows, cuts)
    guess = copies = first_guess(rarity)
    share = 0.5
    for _ in range(_ROUNDS_TO_LEARN):
        odds = ratios(known, new, *compared, rarity, copies)
        confidence = _confidence(share * odds, compared.pairs, share)
        share = (confidence.sum() + 1) / (len(rows) + 2)
        copies = learned(compared.levels, confidence, guess)
    log.debug("about %.0f %% of %d listings are copies of known ones", 100 * share, len(rows))
    return _Model(share, copies, rarity), compared


def _compared(known: Side, new: Side, rows: Rows, cuts: Cuts) -> _Compared:
    pairs = _uncut(known, new, candidates(known, new, rows), cuts)
    return _Compared(pairs, levels_of(known, new, pairs))


def _decided(
    known: Side, new: Side, rows: Rows, compared: _Compared, model: _Model, cuts: Cuts
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The sure links and the possible ones of those rows of the new listings, which were compared."""
    pairs, levels = compared
    weight = model.share * ratios(known, new, pairs, levels, model.rarity, model.copies)
    of_new = np.bincount(pairs.new, weight) if len(pairs) else np.zeros(1)
    if not (of_new / (of_new + 1 - model.share) >= POSSIBLE).any():
        return _NO_PAIRS, _crowded(known, new, rows, cuts)
    left = pd.DataFrame(
        {
            "new_row": pairs.new,
            "known_row": pairs.known,
            "new": new.ids[pairs.new],
            "known": known.ids[pairs.known],
            "rule": np.where(levels["price"] == SAME, "same_price", "changed_price"),
            "weight": weight,
        }
    )
    # Several prices of one listing do not compete with each other: the one that agrees best counts.
    left = left.sort_values("weight", ascending=False, kind="stable")
    left = left.drop_duplicates(["new_row", "known"]).drop_duplicates(["known_row", "new"])
    sure = []
    while True:
        rows_left = Candidates(left["known_row"].to_numpy(), left["new_row"].to_numpy())
        left["confidence"] = _confidence(left["weight"].to_numpy(), rows_left, model.share)
        found = left[left["confidence"] >= SURE]
        if not len(found):
            break
        sure.append(found)
        # what is linked competes no longer
        left = left[
            ~left["new_row"].isin(found["new_row"]) & ~left["known_row"].isin(found["known_row"])
        ].copy()
    linked = pd.concat([left.iloc[:0], *sure]).sort_values("confidence", ascending=False, kind="stable")
    linked = linked.drop_duplicates("new")
    left = left[~left["new"].isin(linked["new"])]
    total = left.groupby("new_row")["weight"].transform("sum")
    may_be = total / (total + 1 - model.share) >= POSSIBLE
    # where many look like the ad, no pair is likely; the best one says that the ad is not new
    worth = (left["confidence"] >= POSSIBLE / 5) | ~left["new_row"].duplicated()
    possible = left[may_be & worth].drop_duplicates(["new", "known"])
    possible = pd.concat([possible[_COLUMNS], _crowded(known, new, rows, cuts)])
    told = possible["new"].isin(linked["new"]) | possible.duplicated(["new", "known"])
    return linked[_COLUMNS], possible[~told]


def _crowded(known: Side, new: Side, rows: Rows, cuts: Cuts) -> pd.DataFrame:
    """The possible links of those rows of the new listings that look like a crowd of known ones."""
    pairs = _uncut(known, new, crowds(known, new, rows), cuts)
    return pd.DataFrame(
        {
            "new": new.ids[pairs.new],
            "known": known.ids[pairs.known],
            "rule": "same_price",
            "confidence": POSSIBLE,
        }
    )


def _uncut(known: Side, new: Side, pairs: Candidates, cuts: Cuts) -> Candidates:
    """The pairs that no person cut."""
    if not cuts:
        return pairs
    ids = (known.ids[pairs.known], new.ids[pairs.new])
    most = int(max(len(known.names), 1))
    cut = [min(pair) * most + max(pair) for pair in cuts]
    return pairs.take(~np.isin(np.minimum(*ids) * most + np.maximum(*ids), cut))


def _confidence(weight: Floats, pairs: Candidates, share: float) -> Floats:
    """The probability of each pair, shape (pairs,), against its being new and the other pairs."""
    of_new = np.bincount(pairs.new, weight)[pairs.new] if len(weight) else weight
    of_known = np.bincount(pairs.known, weight)[pairs.known] if len(weight) else weight
    found: Floats = weight / (1 - share + of_new + of_known - weight)
    return found
