"""The saved searches as files of the data root, each under its id and with the hash of its secret."""

from __future__ import annotations

import hashlib
import hmac
import logging
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from carprice.errors import UsageProblem
from carprice.store import DataRoot
from carprice_contract import data_root, formats
from carprice_contract.data_root import MOST_WATCHES
from price_contract.offer_answers import Label, WatchFilters

log = logging.getLogger(__name__)

_LOCK = f"{data_root.WATCHES}/.lock"
_ENDING = ".json"
_ID = re.compile(r"[0-9a-f]{16}")
_SECRET = re.compile(r"([0-9a-f]{16})-[A-Za-z0-9_-]{43}")


class TooManyWatches(Exception):
    """There are as many watches as there may be."""


@dataclass(frozen=True)
class SavedSearch:
    """A watch as its file holds it. Of its secret there is only the SHA-256."""

    id: str
    secret_sha256: str
    created_at: str
    filters: WatchFilters
    key_name: str | None
    language: str


@dataclass(frozen=True)
class Told:
    """An offer that a watch told of, and what was said then."""

    listing_id: str
    at: str
    price_mad: float
    estimate_mad: float | None
    label: Label


class WatchFiles:
    """Makes, finds and removes watches. Several processes may share the files.

    Everything here raises `StoreAway` or `StoreRefused` while an object store can't be used.
    """

    def __init__(self, root: DataRoot) -> None:
        self._root = root
        # A watch never changes, so each file is read once for the list.
        self._read: dict[str, SavedSearch] = {}

    def create(self, filters: WatchFilters, key_name: str | None, language: str) -> tuple[SavedSearch, str]:
        """Save a search; the watch and its secret, this once. Raises `TooManyWatches`.

        The secret begins with the id, so that a look at one file tells whether it is right.
        """
        watch_id = secrets.token_hex(8)
        secret = f"{watch_id}-{secrets.token_urlsafe(32)}"
        created_at = datetime.now(UTC).isoformat(timespec="seconds")
        made = SavedSearch(watch_id, _hash_of(secret), created_at, filters, key_name, language)
        # An object store has no locks: there, processes that save at the same moment may exceed the limit.
        with self._root.locked(_LOCK):
            if len(self._names()) >= MOST_WATCHES:
                raise TooManyWatches
            document = {
                formats.FORMAT: formats.WATCH,
                "id": made.id,
                "secret_sha256": made.secret_sha256,
                "created_at": made.created_at,
                "filters": made.filters,
                "key_name": made.key_name,
                "language": made.language,
            }
            self._root.write_json(data_root.watch(watch_id), document)
        return made, secret

    def find(self, secret: str) -> SavedSearch | None:
        """The watch of this secret, None where there is none."""
        match = _SECRET.fullmatch(secret)
        found = self._of(match[1]) if match else None
        if found is None or not hmac.compare_digest(_hash_of(secret), found.secret_sha256):
            return None
        return found

    def of_key(self, key_name: str) -> list[SavedSearch]:
        """The watches that were made with a key, newest first."""
        names = self._names()
        read = {name: self._read.get(name) or self._of(name) for name in names}
        self._read = {name: found for name, found in read.items() if found is not None}
        mine = [found for found in self._read.values() if found.key_name == key_name]
        return sorted(mine, key=lambda each: (each.created_at, each.id), reverse=True)

    def told(self, watch: SavedSearch) -> list[Told]:
        """The offers that a watch told of, newest first."""
        try:
            found = self._root.read_json(data_root.told(watch.id))
        except FileNotFoundError:
            return []
        except ValueError as problem:
            log.warning("what the watch %s told can't be read: %s", watch.id, problem)
            return []
        told = [each for listing_id, said in _items(found) if (each := _told(listing_id, said)) is not None]
        return sorted(told, key=lambda each: (each.at, each.listing_id), reverse=True)

    def remove(self, watch: SavedSearch) -> None:
        """Remove a watch and what it told."""
        self._root.remove(data_root.watch(watch.id))
        self._root.remove(data_root.told(watch.id))

    def _names(self) -> list[str]:
        """The ids of all watches."""
        names = self._root.names(data_root.WATCHES, _ENDING)
        return [name for each in names if _ID.fullmatch(name := each.removesuffix(_ENDING))]

    def _of(self, watch_id: str) -> SavedSearch | None:
        """The watch of an id; None where there is none that can be read."""
        try:
            found = self._root.read_record(data_root.watch(watch_id), formats.WATCH)
            return SavedSearch(
                watch_id,
                str(found["secret_sha256"]),
                str(found["created_at"]),
                cast(WatchFilters, dict(found["filters"])),
                found["key_name"],
                str(found["language"]),
            )
        except FileNotFoundError:
            return None
        except (UsageProblem, AttributeError, KeyError, TypeError, ValueError) as problem:
            log.warning("the watch %s can't be read: %s", watch_id, problem)
            return None


def _hash_of(secret: str) -> str:
    """A plain SHA-256 is enough for 256 random bits (see `price_api.api_keys`)."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _items(found: Any) -> list[tuple[str, Any]]:
    return list(found.items()) if isinstance(found, dict) else []


def _told(listing_id: str, said: Any) -> Told | None:
    """What was told of one offer; None where the file says something else."""
    if not isinstance(said, Mapping):
        return None
    estimate = said.get("estimate_mad")
    try:
        at = datetime.fromisoformat(str(said["at"])).astimezone(UTC).isoformat(timespec="seconds")
        return Told(
            listing_id,
            at,
            float(said["price_mad"]),
            None if estimate is None else float(estimate),
            cast(Label, str(said["label"])),
        )
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
