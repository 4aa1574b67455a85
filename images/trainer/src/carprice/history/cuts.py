"""Links that a person cut: pairs of ads that are two, whatever they say."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import Any

from carprice.errors import NothingToDo, UsageProblem
from carprice.store import DataRoot
from carprice_contract.data_root import LINK_CUTS


def cut(root: DataRoot, one: str, other: str, by: str, reason: str) -> dict[str, Any]:
    """Record that the ads with these ids are two; the next snapshot does not link them.

    Returns the record. Raises `UsageProblem` when both ids are the same, or when the latest snapshot has no
    ad with one of them, and `NothingToDo` when the link was cut before.
    """
    ids = sorted((one.strip(), other.strip()))
    if ids[0] == ids[1] or not ids[0]:
        raise UsageProblem(f"The ids of two ads were expected, found {one!r} and {other!r}.")
    name = _record_of(ids)
    unknown = _unknown(root, ids)
    if unknown:
        raise UsageProblem(
            f"Ids of ads in the latest snapshot were expected, found none there with {' or '.join(unknown)}; "
            "the quality page of the file shows the ids of each link."
        )
    if root.exists(name):
        raise NothingToDo(f"The link between {ids[0]} and {ids[1]} was cut before; nothing was changed.")
    record = {
        "ids": ids,
        "by": by,
        "reason": reason,
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    root.write_json(name, record)
    return record


def restore(root: DataRoot, one: str, other: str) -> dict[str, Any]:
    """Forget that a link was cut; returns its record. Raises `NothingToDo` when it was not cut."""
    name = _record_of(sorted((one.strip(), other.strip())))
    try:
        record: dict[str, Any] = root.read_json(name)
    except FileNotFoundError as error:
        raise NothingToDo(f"The link between {one} and {other} was not cut; nothing was changed.") from error
    root.remove(name)
    return record


def all_cuts(root: DataRoot) -> list[dict[str, Any]]:
    """The records of all cuts, in order of their ids."""
    records = [root.read_json(f"{LINK_CUTS}/{name}") for name in root.names(LINK_CUTS, ".json")]
    return sorted(records, key=lambda record: tuple(record["ids"]))


def _unknown(root: DataRoot, ids: list[str]) -> list[str]:
    """Those of the ids that no ad of the latest snapshot has, nor a copy of one."""
    from carprice.history import snapshots
    from carprice.history.linking import names_of

    manifest, listings = snapshots.load(root, "latest")
    known = set(names_of(listings["listing_id"], snapshots.pairs(root, manifest))["name"])
    return [repr(listing_id) for listing_id in ids if listing_id not in known]


def _record_of(ids: list[str]) -> str:
    return f"{LINK_CUTS}/{hashlib.sha256(chr(10).join(ids).encode()).hexdigest()[:16]}.json"
