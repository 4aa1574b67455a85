"""Making a snapshot: the listings of the last one and of the files that were accepted since."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from carprice.errors import NothingToDo
from carprice.history import snapshots
from carprice.history.cuts import all_cuts
from carprice.landing.receipts import read_receipt
from carprice.landing.summaries import summaries
from carprice.params import Params
from carprice.store import DataRoot
from carprice_contract.data_root import (
    LATEST_SNAPSHOT,
    SNAPSHOTS,
    snapshot_manifest,
)
from carprice_contract.formats import FORMAT, SNAPSHOT

if TYPE_CHECKING:
    import pandas as pd

    from carprice.history.state import State

log = logging.getLogger(__name__)

Document = dict[str, Any]


def assemble(root: DataRoot, params: Params, shas: Sequence[str]) -> Document:
    """Make the snapshot of all accepted files after those of `shas` were checked; the step's result.

    It is made from the latest snapshot and the files that this does not hold. All files are taken again only
    where the rules, the split or the links that people cut have changed, and where a file of the latest
    snapshot was checked again and other rows of it are accepted now, or none. A snapshot that exists is not
    written again.

    The counts `rows_*` are of the accepted files among `shas`; `rows_total` and `listings_total` (distinct
    listings) are of the whole snapshot. `ads` says how many ads of these files were new, and how many were
    known before (`working_set.Added.counts`). Raises `NothingToDo` when none of `shas` was accepted, unless
    the latest snapshot holds one of them and other files: the next one does without it.
    """
    given = {sha: _receipt(root, sha) for sha in dict.fromkeys(shas)}
    for sha, receipt in given.items():
        if receipt is None:
            log.warning("%s has no receipt: its file was not checked, and the next claim takes it", sha)
    checked = [receipt for receipt in given.values() if receipt is not None]
    accepted = [receipt for receipt in checked if receipt["status"] == "accepted"]
    if not accepted and not _can_do_without(root, checked):
        found_as = Counter("without a receipt" if r is None else str(r["status"]) for r in given.values())
        found = ", ".join(f"{number} {status}" for status, number in sorted(found_as.items()))
        raise NothingToDo(
            f"At least one accepted file was expected, found none among {len(given)} ({found}); "
            "the quality page of a refused or held file says why."
        )
    manifest = _next(root, params)
    now = datetime.now(UTC).isoformat(timespec="seconds")
    root.write_json(
        LATEST_SNAPSHOT,
        {"id": manifest["id"], "assembled_at": now, "sha256": [f["sha256"] for f in manifest["files"]]},
    )
    log.info(
        "snapshot %s: %d files, %d distinct listings",
        manifest["id"],
        len(manifest["files"]),
        manifest["listings"],
    )
    shas_used = {r["sha256"] for r in accepted}
    counts = [entry["ads"] for entry in manifest["files"] if entry["sha256"] in shas_used and "ads" in entry]
    return {
        "snapshot_id": manifest["id"],
        "files": [r["file"] for r in accepted],
        "sha256": [r["sha256"] for r in accepted],
        **{
            key: sum(r[key] for r in accepted)
            for key in ("rows_in", "rows_accepted", "rows_refused", "rows_repeated")
        },
        "rows_total": manifest["rows"],
        "listings_total": manifest["listings"],
        "ads": {key: sum(count[key] for count in counts) for key in (counts[0] if counts else ())},
    }


def terms_of(root: DataRoot, params: Params) -> Document:
    """What beside the files decides about the next snapshot, as its manifest holds it."""
    from carprice.history.state import RULES

    return {
        "rules": RULES,
        "split": {"test_share": params.evaluation.test_share, "seed": params.evaluation.split_seed},
        "cuts": [record["ids"] for record in all_cuts(root)],
        "reference": {"rows": params.snapshots.reference_rows, "seed": params.snapshots.reference_seed},
    }


def keep(root: DataRoot, state: State, files: Sequence[Document], terms: Document) -> Document:
    """Write the snapshot of a state, unless it exists; its manifest."""
    from carprice.history.columnar import frame_of
    from carprice.history.copies import SURE
    from carprice.history.parts import length_of, some_columns
    from carprice.history.snapshot_tables import content_hashes, snapshot_id_of, write_hashes, write_state
    from carprice.listings.learned_names import learned_names

    hashes = content_hashes(state)
    snapshot_id = snapshot_id_of(state, terms | {"files": [entry["sha256"] for entry in files]}, hashes)
    name = snapshot_manifest(snapshot_id)
    if root.exists(name):
        return root.read_record(name, SNAPSHOT)
    names = learned_names(frame_of(some_columns(state.tables, "listings", ["make", "model"])))
    pairs = frame_of(state.tables["pairs"], ["new", "confidence"])
    sure = pairs["confidence"] >= SURE
    manifest = {
        FORMAT: SNAPSHOT,
        "id": snapshot_id,
        "created_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": list(files),
        "rows": sum(entry["rows"] for entry in files),
        "listings": len(state),
        "names": names,
        "copies_linked": int(sure.sum()),
        "copies_ambiguous": int(pairs["new"][~sure].nunique()),
        "contradictions": length_of(state.tables, "contradictions"),
        **terms,
    }
    write_state(root, snapshot_id, state, terms)
    write_hashes(root, snapshot_id, hashes)
    # last: a snapshot without a manifest is none, and is written again
    root.write_json(name, manifest)
    return manifest


def entry_of(receipt: Document) -> Document:
    """What a manifest says of an accepted file, given its receipt.

    `names_from` is the snapshot whose names its titles were read by, beside the names that ship; "3 hours
    ago" in the file counts from `written_at`. `read_at` is when it was last read.
    """
    learned = receipt.get("learned_names") or {}
    return {
        "sha256": receipt["sha256"],
        "file": receipt["file"],
        "rows": receipt["rows_accepted"],
        "received_at": receipt["checked_at"],
        "read_at": receipt["checked_at"],
        "written_at": receipt.get("written_at"),
        "names_from": learned["snapshot_id"] if learned.get("names") else None,
    }


def accepted_since(root: DataRoot, known: set[str]) -> list[Document]:
    """The entries of accepted files that are not `known` (by SHA-256), in order of receipt."""
    found = summaries(root)
    accepted = [sha for sha, short in found.items() if short["status"] == "accepted" and sha not in known]
    receipts = [read_receipt(root, sha) for sha in accepted]
    return [entry_of(r) for r in sorted(receipts, key=lambda r: (r["checked_at"], r["sha256"]))]


def _can_do_without(root: DataRoot, refused: Sequence[Document]) -> bool:
    """Whether the latest snapshot holds one of the files with these receipts, and files that stay."""
    latest = _latest(root)
    if latest is None:
        return False
    held = {entry["sha256"] for entry in latest["files"]}
    gone = held & {receipt["sha256"] for receipt in refused}
    return bool(gone) and len(_checked_again(root, latest["files"])) > 0


def _next(root: DataRoot, params: Params) -> Document:
    """The manifest of the snapshot after the latest one."""
    from carprice.history.known_ads import publish
    from carprice.history.numberings import WITH_CAR
    from carprice.history.replaying import batches, landed, rows_in
    from carprice.history.replaying import terms_of as own_terms_of
    from carprice.history.snapshot_tables import read_tables
    from carprice.history.state import State, empty_state, working_set

    def after(
        state: State, files: Sequence[Document], sides: pd.Series[Any] | None
    ) -> tuple[State, list[Document]]:
        """The state after the files, and their entries with the numbers of ads that were known before."""
        told = []
        entries = [{key: value for key, value in entry.items() if key != "ids"} for entry in files]
        for batch in batches((entry, rows_in(root, entry)) for entry in entries):
            found = working_set(state, [landed(*file) for file in batch], own_terms_of(terms), sides)
            for number, (entry, _) in enumerate(batch):
                first = not found.knows()
                added = found.add(number)
                if added.with_car:
                    log.warning(
                        "the ids of %s stand for other cars in earlier files: each counts with its car",
                        entry["file"],
                    )
                ids = WITH_CAR if added.with_car else {}
                told.append(entry | ids | {"content": added.content, "ads": added.counts()})
                if not first and entry["sha256"] in tell:
                    publish(root, entry["sha256"], found, number, added, cut)
            state = State(found.tables())
        return state, told

    terms, cut = terms_of(root, params), all_cuts(root)
    latest = _latest(root)
    if latest is None:
        files = accepted_since(root, set())
        tell = {entry["sha256"] for entry in files}
        return keep(root, *after(empty_state(), files, None), terms | {"sides_from": None})
    new = accepted_since(root, {entry["sha256"] for entry in latest["files"]})
    known, tell = _checked_again(root, latest["files"]), {entry["sha256"] for entry in new}
    same_terms = all(latest.get(key) == terms[key] for key in ("rules", "split", "cuts"))
    if same_terms and known == latest["files"]:
        terms |= {"sides_from": latest["sides_from"]}
        if not new and latest["reference"] == terms["reference"]:
            return latest
        sides = sides_before(root, terms)
        state, told = after(read_tables(root, latest), new, sides)
        return keep(root, state, [*latest["files"], *told], terms)
    log.info(
        "the rules, the split, the links that people cut or the accepted rows have changed: all files are "
        "taken again"
    )
    files = [*known, *new]
    # a group that was a test group stays one, unless other test rows are wanted
    same_draw = latest.get("split", terms["split"]) == terms["split"]
    terms |= {"sides_from": latest["id"] if same_draw else None}
    return keep(root, *after(empty_state(), files, sides_before(root, terms)), terms)


def _checked_again(root: DataRoot, files: Sequence[Document]) -> list[Document]:
    """The entries of a manifest after some of its files were checked again, by whichever run.

    A file of which other rows are accepted now has another entry in the same place; a refused or held one
    has none. A file whose receipt was deleted keeps its entry.
    """
    from carprice.history.contents import content_of
    from carprice.history.replaying import rows_in, with_ids

    found, receipts = [], summaries(root)
    for entry in files:
        receipt = receipts.get(entry["sha256"])
        if receipt is None:
            found.append(entry)
        elif receipt["status"] != "accepted":
            log.warning("%s is %s now: the next snapshot does without it", entry["file"], receipt["status"])
        elif receipt["checked_at"] == entry.get("read_at"):
            found.append(entry)
        else:
            same = content_of(with_ids(rows_in(root, entry), entry)) == entry.get("content")
            again = entry_of(read_receipt(root, entry["sha256"])) | {"received_at": entry["received_at"]}
            found.append(entry if same else again)
    return found


def sides_before(root: DataRoot, terms: Document) -> pd.Series[Any] | None:
    """The sides of the snapshot that `terms` name in `sides_from`, by id."""
    before = terms["sides_from"]
    if before is None:
        return None
    return snapshots.sides(root, snapshots.manifest_of(root, before), **terms["split"])


def _latest(root: DataRoot) -> Document | None:
    """The manifest of the latest snapshot, or of the newest that is left where it was deleted; None without.

    A snapshot is made from it, so that a test listing stays one.
    """
    try:
        snapshot_id = root.read_json(LATEST_SNAPSHOT)["id"]
        if root.exists(snapshot_manifest(snapshot_id)):
            return snapshots.manifest_of(root, snapshot_id)
    except FileNotFoundError:
        snapshot_id = "latest"
    there = [name for name in root.folders(SNAPSHOTS) if root.exists(snapshot_manifest(name))]
    if not there:
        return None
    left = [snapshots.manifest_of(root, name) for name in there]
    newest = max(left, key=lambda manifest: (str(manifest.get("created_at")), manifest["id"]))
    log.warning("snapshot %s is gone: the next one is made from %s", snapshot_id, newest["id"])
    return newest


def _receipt(root: DataRoot, sha: str) -> Document | None:
    try:
        return read_receipt(root, sha)
    except FileNotFoundError:
        return None
