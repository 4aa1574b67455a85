"""Reads the market that the step `rate-listings` wrote, and refuses one that is broken or half there."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from carprice.errors import CarpriceError
from carprice.store import DataRoot
from carprice_contract import formats
from carprice_contract.data_root import LATEST_MARKET, market_manifest, market_table
from price_api.market.offers import Offers, read_offers
from price_contract.offer_answers import MarketLevel

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")
_LEVEL = ("scope", "day", "level", "low", "high")


class MarketRefused(CarpriceError):
    """A market that can't be served; the message is one sentence."""


@dataclass(frozen=True)
class Newest:
    """What names the newest market. Listings that are rated again have the same id at another time."""

    id: str
    made_at: str


@dataclass(frozen=True)
class Market:
    """A rated market in memory. `levels` are those of each make, and of the whole market by "".

    No two markets have the same `key`.
    """

    id: str
    made_at: str
    newest_seen_at: str | None
    model_version: str
    offers: Offers
    levels: Mapping[str, list[MarketLevel]]

    @property
    def key(self) -> str:
        """What the answers about this market, and about no other, belong to."""
        return f"{self.id}@{self.made_at}".replace(" ", "T")


def newest_of(root: DataRoot) -> Newest | None:
    """The newest market, None where there is none. Raises `MarketRefused` where the file names none."""
    try:
        found = root.read_json(LATEST_MARKET)
    except FileNotFoundError:
        return None
    market_id = found.get("id") if isinstance(found, dict) else None
    if not isinstance(market_id, str) or not _ID.fullmatch(market_id):
        raise MarketRefused(
            f"{LATEST_MARKET} was expected to name a market, found something else; rate the listings again"
        )
    return Newest(market_id, str(found.get("made_at")))


def load_market(root: DataRoot, market_id: str) -> Market:
    """The market of this id.

    Raises `MarketRefused` with what is wrong with it, and `StoreAway` while an object store does not answer.
    """
    try:
        manifest = root.read_record(market_manifest(market_id), formats.MARKET)
        offers = read_offers(root.read_bytes(market_table(market_id, "offers")))
        levels = _levels(root.read_bytes(market_table(market_id, "level")))
        counted = manifest["offers"]
        if manifest["id"] != market_id or counted != offers.count:
            raise ValueError(
                f"a manifest of {counted} listings of the market {manifest['id']} beside {offers.count} rows"
            )
        newest = manifest.get("newest_seen_at")
        return Market(
            market_id,
            str(manifest["made_at"]),
            None if newest is None else str(newest),
            str(manifest["model_version"]),
            offers,
            levels,
        )
    # whatever is broken in a file: what is in memory stays
    except (OSError, KeyError, TypeError, ValueError, OverflowError, pa.ArrowException) as problem:
        raise MarketRefused(
            f"the market {market_id} was expected to be whole in the data root, found it broken "
            f"({_reason(problem)}); rate the listings again"
        ) from problem


def _levels(content: bytes) -> dict[str, list[MarketLevel]]:
    table = pq.read_table(io.BytesIO(content), columns=list(_LEVEL))
    found: dict[str, list[MarketLevel]] = {}
    columns: list[list[Any]] = [table[name].to_pylist() for name in _LEVEL]
    for scope, day, level, low, high in sorted(zip(*columns, strict=True)):
        found.setdefault(str(scope), []).append(
            MarketLevel(
                day=str(day)[:10],
                level=round(float(level), 4),
                low=round(float(low), 4),
                high=round(float(high), 4),
            )
        )
    return found


def _reason(problem: Exception) -> str:
    text = str(problem.args[0]) if isinstance(problem, KeyError) and problem.args else str(problem)
    return (text.splitlines() or [type(problem).__name__])[0][:300] or type(problem).__name__
