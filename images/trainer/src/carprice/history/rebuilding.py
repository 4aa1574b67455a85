"""A snapshot made again from the files in `raw/`: the same files give the same snapshot."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pyarrow as pa

from carprice.errors import DataRefused, UsageProblem
from carprice.history import snapshots
from carprice.history.assembling import accepted_since, keep, sides_before, terms_of
from carprice.history.columnar import arrow_of, frame_of
from carprice.history.replaying import replay
from carprice.history.snapshot_tables import reference_of, snapshot_id_of, write_tables
from carprice.history.snapshots import NO_NAMES, KnownNames
from carprice.history.state import RULES, State, empty_state
from carprice.landing.content import raw_file, sha256_of
from carprice.landing.receipts import read_receipt
from carprice.listings.learned_names import learned_names
from carprice.listings.tables import as_canonical
from carprice.params import Params
from carprice.quality import rereading
from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_SNAPSHOT, RAW, snapshot_table

log = logging.getLogger(__name__)

Document = dict[str, Any]


def rebuild(root: DataRoot, params: Params, snapshot_id: str = "latest") -> Document:
    """Make a snapshot again from the files in `raw/`, on its own terms; the result says if it is the same.

    What is missing of the snapshot is written, what exists is not written again. Where no snapshot is left,
    one is made of all accepted files, on today's terms, and becomes the latest. Raises `DataRefused`, with
    the result, when the snapshot that comes out is another one, and `UsageProblem` when a file is gone.
    """
    manifest = _wanted(root, snapshot_id)
    if manifest is None:
        files, terms = accepted_since(root, set()), terms_of(root, params) | {"sides_from": None}
    else:
        files, terms = manifest["files"], {key: manifest[key] for key in _TERMS}
    if not files:
        raise UsageProblem("Accepted files or a snapshot were expected, found none; land a file first.")
    state = _from_raw(root, params, files, terms)
    made = keep(root, state, files, terms | {"rules": RULES})
    for name, table in (dict(state.tables) | {"reference": reference_of(state, made)}).items():
        if not root.exists(snapshot_table(made["id"], name)):
            log.info("the table %s of snapshot %s was missing and is written", name, made["id"])
            write_tables(root, made["id"], {name: table})
    result = {
        "snapshot_id": made["id"],
        "identical": None if manifest is None else made["id"] == manifest["id"],
        "files": len(files),
        "rows_total": made["rows"],
        "listings_total": made["listings"],
    }
    if manifest is None:
        sha256 = [entry["sha256"] for entry in files]
        root.write_json(
            LATEST_SNAPSHOT, {"id": made["id"], "assembled_at": made["created_at"], "sha256": sha256}
        )
    elif made["id"] != manifest["id"]:
        rules = manifest["rules"]
        reason = "" if rules == RULES else f"; it was made by the rules {rules}, this release has {RULES}"
        raise DataRefused(
            f"The files in {RAW}/ were expected to give snapshot {manifest['id']}, found {made['id']} "
            f"({made['listings']} listings instead of {manifest['listings']}){reason}. Both are kept.",
            result,
        )
    return result


_TERMS = ("rules", "split", "cuts", "reference", "sides_from")


def _wanted(root: DataRoot, snapshot_id: str) -> Document | None:
    """The manifest of the snapshot; None where the latest is wanted and there is none."""
    try:
        manifest = snapshots.manifest_of(root, snapshot_id)
    except UsageProblem:
        if snapshot_id != "latest":
            raise
        return None
    if "rules" not in manifest:
        raise UsageProblem(
            f"A snapshot that holds its listings was expected, found {manifest['id']} of an earlier release; "
            "the next file that lands makes a snapshot of all files."
        )
    return manifest


def _from_raw(root: DataRoot, params: Params, files: Sequence[Document], terms: Document) -> State:
    """The state after files that are read from `raw/`."""
    state, sides = empty_state(), sides_before(root, terms)
    named_by = {name: _names(root, name) for name in {entry["names_from"] for entry in files}}
    missing = {name for name, names in named_by.items() if names is None}
    if not missing:
        read = ((entry, _rows(root, params, entry, named_by[entry["names_from"]])) for entry in files)
        return replay(state, read, terms, sides)
    known: dict[str, KnownNames] = {}
    for place, entry in enumerate(files):
        names = named_by[entry["names_from"]] or known.get(entry["names_from"])
        if names is None:
            raise UsageProblem(
                f"Snapshot {entry['names_from']}, by whose names the titles of {entry['file']} were read, "
                "was expected, found neither it nor the files that it was made of. Restore it from a backup."
            )
        state = replay(state, [(entry, _rows(root, params, entry, names))], terms, sides)
        if missing - set(known):
            done = {"files": [earlier["sha256"] for earlier in files[: place + 1]]}
            snapshot_id = snapshot_id_of(state, terms | done)
            if snapshot_id in missing:
                named = frame_of(state.tables["listings"], ["make", "model"])
                known[snapshot_id] = KnownNames(snapshot_id, tuple(learned_names(named)))
    return state


def _names(root: DataRoot, snapshot_id: str | None) -> KnownNames | None:
    """The names of a snapshot; None where it is gone."""
    if snapshot_id is None:
        return NO_NAMES
    found = snapshots.names(root, snapshot_id)
    return found if found.snapshot_id == snapshot_id else None


def _rows(root: DataRoot, params: Params, entry: Document, names: KnownNames | None) -> pa.Table:
    """The accepted rows of a file, read anew."""
    written = entry.get("written_at")
    written_at = None if written is None else datetime.fromisoformat(written)
    name = _raw_file(root, entry)
    log.info("reading %s", name)
    known = names or NO_NAMES
    rows = rereading.accepted_rows(root, params.quality, name, entry["sha256"], known, written_at)
    return arrow_of(as_canonical(rows))


def _raw_file(root: DataRoot, entry: Document) -> str:
    """The file in `raw/` with the content of an entry: of its own name, of another known name, or of any."""
    try:
        written = [entry["file"], *read_receipt(root, entry["sha256"])["names"]]
    except FileNotFoundError:
        written = [entry["file"]]
    named = [raw_file(name) for name in dict.fromkeys(written)]
    others = [f"{RAW}/{found['name'].rsplit('/', 1)[-1]}" for found in root.entries(RAW)]
    for name in dict.fromkeys([*named, *others]):
        try:
            if sha256_of(root, name) == entry["sha256"]:
                return name
        except OSError:
            continue
    raise UsageProblem(
        f"The bytes of {entry['file']} (SHA-256 {entry['sha256'][:12]}) were expected in {RAW}/, found "
        "no such file; put it back under any name."
    )
