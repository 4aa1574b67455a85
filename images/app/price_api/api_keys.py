"""API keys: commands make, list and revoke them, every request checks one, and only hashes are stored."""

from __future__ import annotations

import hashlib
import hmac
import logging
import secrets
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from carprice.errors import UsageProblem
from price_api.database import api_keys, engine_of, migrate_engine, reading, writing

log = logging.getLogger(__name__)

PREFIX = "cp_"
LONGEST_NAME = 60
# Together with the two seconds of `access.py`, a revocation takes effect within five seconds.
_FRESH_SECONDS = 2.0
_NEWER_SECONDS = 0.2
_WAIT_SECONDS = 1.0


class KeyRefused(UsageProblem):
    """A key that can't be made or revoked."""


@dataclass(frozen=True)
class ApiKey:
    """A key in the database, without the key itself."""

    id: int
    name: str
    last_characters: str
    created_at: datetime
    revoked_at: datetime | None


@dataclass(frozen=True)
class KeyState:
    """Whether a key is valid, and its name if it has one.

    `unavailable`: the database does not answer, and this process has not seen the key before.
    """

    state: Literal["ok", "unknown", "revoked", "unavailable"]
    name: str | None = None


@dataclass(frozen=True)
class _Known:
    """The keys of the database at one moment, by their hash."""

    keys: Mapping[str, tuple[str, bool]]  # SHA-256 -> name, revoked
    read_at: float


class ApiKeys:
    """The keys in the database of `url`, which is brought up to date at first use.

    All but `check` raise `DatabaseAway` when the database does not answer.
    """

    def __init__(self, url: str) -> None:
        self._engine = engine_of(url)
        self._migrated = False
        self._known: _Known | None = None
        self._reading = threading.Lock()
        self._failed_at: float | None = None

    def create(self, name: str) -> str:
        """Make a key and return it, this once. Raises `KeyRefused` for a name that is taken."""
        name = name.strip()
        if not 0 < len(name) <= LONGEST_NAME or not name.isprintable() or name.isdigit():
            raise KeyRefused(
                f"a key's name must be 1 to {LONGEST_NAME} visible characters and not only digits, "
                f"found {name[: LONGEST_NAME + 1]!r}; name what will use it"
            )
        key = PREFIX + secrets.token_urlsafe(32)
        self._migrate()
        try:
            with writing(self._engine) as connection:
                connection.execute(
                    sa.insert(api_keys).values(
                        name=name,
                        key_sha256=hash_of(key),
                        last_characters=key[-4:],
                        created_at=datetime.now(UTC),
                    )
                )
        except sa.exc.IntegrityError:
            raise KeyRefused(
                f"expected a name without a key in force, found {name!r}, which has one; choose another "
                "or revoke that key first"
            ) from None
        self._known = None
        return key

    def revoke(self, name_or_id: str) -> ApiKey:
        """Revoke the key of this name, or of this number.

        Raises `KeyRefused` when no such key is in force.
        """
        self._migrate()
        if name_or_id.isascii() and name_or_id.isdigit() and len(name_or_id) < 10:
            which = api_keys.c.id == int(name_or_id)
        else:
            which = api_keys.c.name == name_or_id.strip().replace("\0", "")
        with writing(self._engine) as connection:
            row = connection.execute(
                sa.update(api_keys)
                .where(which, api_keys.c.revoked_at.is_(None))
                .values(revoked_at=datetime.now(UTC))
                .returning(*_SHOWN)
            ).one_or_none()
        if row is None:
            names = ", ".join(key.name for key in self.list() if key.revoked_at is None) or "none"
            raise KeyRefused(
                f"expected the name or number of a key in force, found {name_or_id!r}; in force: {names}"
            )
        self._known = None
        return _shown(row)

    def list(self) -> tuple[ApiKey, ...]:
        """All keys ever made, oldest first."""
        self._migrate()
        with reading(self._engine) as connection:
            rows = connection.execute(sa.select(*_SHOWN).order_by(api_keys.c.id)).all()
        return tuple(_shown(row) for row in rows)

    def check(self, plain: str) -> KeyState:
        """Whether the key `plain` is valid. Never raises.

        One query reads all keys, and they count for two seconds, so that a check mostly costs a hash.
        While the database is away, the keys of the last query count.
        """
        digest = hash_of(plain)
        # a text of another shape is no key: no need to ask the database
        ours = len(plain) == _KEY_LENGTH and plain.startswith(PREFIX)
        known = self._read(_FRESH_SECONDS) if ours else self._known
        found = _among(known, digest)
        if found is None and ours and known is not None:
            # It may be a new key. The least age keeps a guesser from asking the database each time.
            known = self._read(_NEWER_SECONDS)
            found = _among(known, digest)
        if found is not None:
            name, revoked = found
            return KeyState("revoked" if revoked else "ok", name)
        current = known is not None and time.monotonic() - known.read_at < _FRESH_SECONDS
        return KeyState("unknown" if current or not ours else "unavailable")

    def close(self) -> None:
        """Close the connections to the database."""
        self._engine.dispose()

    def _migrate(self) -> None:
        if not self._migrated:
            migrate_engine(self._engine)
            self._migrated = True

    def _read(self, oldest: float) -> _Known | None:
        """The keys, at most `oldest` seconds old if the database answers; None before its first answer."""
        known = self._known
        if known is not None and time.monotonic() - known.read_at < oldest:
            return known
        # One thread reads for all. While the database is away or slow, the others use the keys they know.
        if self._recently_failed() or not self._reading.acquire(timeout=_WAIT_SECONDS):
            return known
        try:
            known = self._known
            if self._recently_failed() or (known is not None and time.monotonic() - known.read_at < oldest):
                return known
            self._known = known = self._read_all()
            self._failed_at = None
        except Exception as error:  # noqa: BLE001 - whatever it is, the known keys stay valid
            if self._failed_at is None:
                log.warning("the API keys can't be read, the known keys stay valid: %s", error)
            self._failed_at = time.monotonic()
        finally:
            self._reading.release()
        return known

    def _recently_failed(self) -> bool:
        return self._failed_at is not None and time.monotonic() - self._failed_at < _WAIT_SECONDS

    def _read_all(self) -> _Known:
        self._migrate()
        read_at = time.monotonic()
        with reading(self._engine) as connection:
            rows = connection.execute(
                sa.select(api_keys.c.key_sha256, api_keys.c.name, api_keys.c.revoked_at)
            ).all()
        return _Known({row.key_sha256: (row.name, row.revoked_at is not None) for row in rows}, read_at)


_KEY_LENGTH = len(PREFIX) + 43  # 32 bytes in base 64
_SHOWN = (
    api_keys.c.id,
    api_keys.c.name,
    api_keys.c.last_characters,
    api_keys.c.created_at,
    api_keys.c.revoked_at,
)


def hash_of(key: str) -> str:
    """The hash of a key in the database.

    A plain SHA-256 is enough: a key is 256 random bits, which nobody can guess, however fast the hash is.
    Slow salted hashes protect passwords, which people choose.
    """
    return hashlib.sha256(key.encode("utf-8", "replace")).hexdigest()


def _among(known: _Known | None, digest: str) -> tuple[str, bool] | None:
    """The name of the key with this hash, and whether it is revoked.

    It compares every hash in constant time, so that the duration says nothing about the hashes.
    """
    found = None
    for each, name_and_state in known.keys.items() if known is not None else ():
        if hmac.compare_digest(each, digest):
            found = name_and_state
    return found


def _shown(row: sa.Row[*tuple[Any, ...]]) -> ApiKey:
    return ApiKey(**row._asdict())
