"""Saved searches: each is told once of each new good offer that fits it."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from carprice.alerts.record import Alert, open_alert
from carprice.errors import UsageProblem
from carprice.history.columnar import places_of
from carprice.listings.folding import words_of
from carprice.market.before import Before
from carprice.market.labels import LABELS
from carprice.market.offers import ON_OFFER
from carprice.market.watch_message import message
from carprice.store import DataRoot
from carprice_contract import formats
from carprice_contract.data_root import MOST_WATCHES, TOLD, WATCHES, told, watch

log = logging.getLogger(__name__)

GOOD = LABELS[:2]

_WORDS = ("make", "model", "city", "fuel")
_NUMBERS: Mapping[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "year_from": ("model_year", np.greater_equal),
    "year_to": ("model_year", np.less_equal),
    "mileage_to": ("mileage_km", np.less_equal),
    "price_from": ("price_mad", np.greater_equal),
    "price_to": ("price_mad", np.less_equal),
}

Mask = npt.NDArray[np.bool_]


def tell(root: DataRoot, offers: pa.Table, before: Before, now: datetime) -> int:
    """Tell each watch of the new offers that fit it: a message for each watch; returns how many.

    An offer is new for a watch when it was first seen, or first had one of the labels that the watch asks
    for, after the watch was saved. `before` is the market that these `offers` follow. Called before the
    market is written, so that a run that dies tells in its next try what it has not told.
    """
    names = root.names(WATCHES, ".json")[:MOST_WATCHES]
    watches = [name.removesuffix(".json") for name in names]
    for name in root.names(TOLD, ".json"):
        if name not in names:
            root.remove(f"{TOLD}/{name}")
    if not watches:
        return 0
    candidates = _Candidates(offers, before)
    return sum(_tell_one(root, candidates, document, now) for document in _documents(root, watches))


class _Candidates:
    """The offers that a watch may be told of: on offer, labelled, and nothing suspicious about them."""

    def __init__(self, offers: pa.Table, before: Before) -> None:
        good = pc.and_(
            pc.equal(offers.column("status"), ON_OFFER),
            pc.and_(
                pc.equal(offers.column("suspicions"), ""),
                pc.is_in(offers.column("label"), value_set=pa.array(LABELS)),
            ),
        )
        self.offers = offers.filter(good)
        ids = self.offers.column("listing_id").to_numpy().astype(object)
        self.label = places_of(self.offers.column("label"), np.array(LABELS, dtype=object))
        places = before.places(ids)
        self.had_market = len(before.listing_ids) > 0
        self.label_before = np.append(before.label, -1)[places]
        times = self.offers.column("first_seen_at").cast(pa.int64()).fill_null(0)
        self.first_seen = times.to_numpy() / 1e6
        low, high = (self._number(f"mileage_km_{end}") for end in ("min", "max"))
        self.numbers = {
            "model_year": self._number("model_year"),
            "price_mad": self._number("price_mad"),
            "mileage_km": np.where(np.isnan(high), low, high),
        }
        self._codes: dict[str, tuple[npt.NDArray[np.int64], dict[str, list[int]]]] = {}

    def fitting(self, filters: Mapping[str, Any], since: float) -> Mask:
        """Which offers fit the filters and are new since a moment; an unknown value fits no condition."""
        wanted = [LABELS.index(label) for label in filters.get("labels") or GOOD if label in LABELS]
        found: Mask = np.isin(self.label, wanted)
        newly_labelled = (
            ~np.isin(self.label_before, wanted) if self.had_market else np.zeros(len(found), bool)
        )
        found &= (self.first_seen > since) | newly_labelled
        for name, (column, compare) in _NUMBERS.items():
            if filters.get(name) is not None:
                found &= compare(self.numbers[column], float(filters[name]))
        for name in _WORDS:
            if filters.get(name) is not None:
                found &= self._is(name, str(filters[name]))
        return found

    def _is(self, column: str, word: str) -> Mask:
        """Which offers have a word in a column, however it is spelled."""
        if column not in self._codes:
            values = self.offers.column(column).combine_chunks().dictionary_encode()
            by_word: dict[str, list[int]] = {}
            for code, text in enumerate(values.dictionary.to_pylist()):
                by_word.setdefault(_folded(text), []).append(code)
            self._codes[column] = (
                values.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64),
                by_word,
            )
        codes, by_word = self._codes[column]
        return np.isin(codes, by_word.get(_folded(word), []))

    def _number(self, column: str) -> npt.NDArray[np.float64]:
        values: npt.NDArray[np.float64] = self.offers.column(column).to_numpy().astype(np.float64)
        return values


def _tell_one(root: DataRoot, candidates: _Candidates, saved: Mapping[str, Any], now: datetime) -> int:
    """Tell one watch; returns 1 where there was something to tell."""
    watch_id = str(saved["id"])
    since = datetime.fromisoformat(str(saved["created_at"])).timestamp()
    fitting = candidates.fitting(saved["filters"], since)
    if not fitting.any():
        return 0
    try:
        known = _told_before(root, watch_id)
    except (UsageProblem, TypeError) as problem:  # to tell it again would tell twice
        log.warning("what the watch %s told can't be read, so it is told nothing: %s", watch_id, problem)
        return 0
    rows = [
        row
        for row in candidates.offers.filter(pa.array(fitting)).to_pylist()
        if row["listing_id"] not in known
    ]
    if not rows:
        return 0
    rows.sort(key=lambda row: -(row["below_share"] or 0))
    ids = sorted(row["listing_id"] for row in rows)
    digest = hashlib.sha256("\n".join(ids).encode()).hexdigest()[:16]
    subject, text = message(rows, str(saved.get("language") or "fr"))
    # The message first: a run that dies between the two meets the same cause again, which is sent once.
    open_alert(root, Alert(f"watch:{watch_id}:{digest}", "watch", subject, text))
    at = now.astimezone(UTC).isoformat(timespec="seconds")
    for row in rows:
        said = {name: row[name] for name in ("price_mad", "estimate_mad", "label")}
        known[row["listing_id"]] = {"at": at, **said}
    root.write_json(told(watch_id), known)
    return 1


def _documents(root: DataRoot, watch_ids: list[str]) -> Iterator[dict[str, Any]]:
    """The watches that can be read; another one must not keep these from being told."""
    for watch_id in watch_ids:
        try:
            found = root.read_record(watch(watch_id), formats.WATCH)
            datetime.fromisoformat(str(found["created_at"])).astimezone(UTC)
            if str(found["id"]) == watch_id and isinstance(found["filters"], dict):
                yield found
                continue
            log.warning("the watch %s is not what its name says and is left out", watch_id)
        except FileNotFoundError:
            continue  # removed meanwhile
        except (UsageProblem, KeyError, TypeError, ValueError) as problem:
            log.warning("the watch %s can't be read and is left out: %s", watch_id, problem)


def _told_before(root: DataRoot, watch_id: str) -> dict[str, Any]:
    """What the watch told of, by listing. Raises `UsageProblem` or `TypeError` where the file is broken."""
    try:
        found = root.read_json(told(watch_id))
    except FileNotFoundError:
        return {}
    if not isinstance(found, dict):
        raise TypeError(f"an object was expected, found {type(found).__name__}")
    return found


def _folded(text: str | None) -> str:
    return " ".join(words_of(text or ""))
