"""Snapshots: which accepted files a training used, their listings, and a sample to explain prices against."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from carprice.errors import NothingToDo, UsageProblem
from carprice.landing.receipts import all_receipts, read_receipt
from carprice.params import Params
from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_SNAPSHOT, LISTINGS, SNAPSHOTS, snapshot_manifest
from carprice_contract.formats import FORMAT, SNAPSHOT

if TYPE_CHECKING:
    import pandas as pd

log = logging.getLogger(__name__)


class KnownNames(NamedTuple):
    """Makes and models that titles may be read by beside those that ship, and the snapshot that has them."""

    snapshot_id: str | None
    names: tuple[tuple[str, str], ...]


NO_NAMES = KnownNames(None, ())


def assemble(root: DataRoot, params: Params, shas: Sequence[str]) -> dict[str, Any]:
    """Make the snapshot of all accepted files after those of `shas` were checked; the step's result.

    The counts `rows_*` are of the accepted files among `shas`; `rows_total` and `listings_total` (distinct
    listings) are of the whole snapshot. Raises `NothingToDo` when none of `shas` was
    accepted.
    """
    given = {sha: _receipt(root, sha) for sha in dict.fromkeys(shas)}
    for sha, receipt in given.items():
        if receipt is None:
            log.warning("%s has no receipt: its file was not checked, and the next claim takes it", sha)
    accepted = [r for r in given.values() if r is not None and r["status"] == "accepted"]
    if not accepted:
        raise NothingToDo(
            f"At least one accepted file was expected, found none among {len(given)}; "
            "the quality pages say why each was refused."
        )
    files = _accepted_files(root)
    from carprice.listings.learned_names import learned_names

    listings = distinct(root, files)
    snapshot_id = hashlib.sha256("\n".join(sorted(f["sha256"] for f in files)).encode()).hexdigest()[:12]
    now = datetime.now(UTC).isoformat(timespec="seconds")
    manifest = {
        FORMAT: SNAPSHOT,
        "id": snapshot_id,
        "created_at": now,
        "files": files,
        "rows": sum(f["rows"] for f in files),
        "listings": len(listings),
        "names": learned_names(listings),
    }
    folder = f"{SNAPSHOTS}/{snapshot_id}"
    if root.exists(f"{folder}/manifest.json"):
        before = root.read_record(f"{folder}/manifest.json", SNAPSHOT)
        manifest["created_at"] = before["created_at"]
    sample = listings.sample(
        min(len(listings), params.snapshots.reference_rows), random_state=params.snapshots.reference_seed
    )
    root.write_parquet(f"{folder}/reference.parquet", sample.sort_index())
    root.write_json(f"{folder}/manifest.json", manifest)
    root.write_json(
        LATEST_SNAPSHOT, {"id": snapshot_id, "assembled_at": now, "sha256": [f["sha256"] for f in files]}
    )
    log.info("snapshot %s: %d files, %d distinct listings", snapshot_id, len(files), len(listings))
    return {
        "snapshot_id": snapshot_id,
        "files": [r["file"] for r in accepted],
        "sha256": [r["sha256"] for r in accepted],
        **{
            key: sum(r[key] for r in accepted)
            for key in ("rows_in", "rows_accepted", "rows_refused", "rows_repeated")
        },
        "rows_total": manifest["rows"],
        "listings_total": manifest["listings"],
    }


def manifest_of(root: DataRoot, snapshot_id: str) -> dict[str, Any]:
    """The manifest of a snapshot, or of the `latest`; its files stand in order of receipt.

    Raises `UsageProblem` when there is no such snapshot, and when a newer release wrote its manifest.
    """
    try:
        if snapshot_id == "latest":
            snapshot_id = root.read_json(LATEST_SNAPSHOT)["id"]
        return root.read_record(snapshot_manifest(snapshot_id), SNAPSHOT)
    except FileNotFoundError as error:
        there = ", ".join(root.folders(SNAPSHOTS)[:20]) or "none"
        raise UsageProblem(
            f"An existing snapshot was expected, found none with the name {snapshot_id!r}. The "
            f"snapshots are: {there}. Name one of them, or land a file."
        ) from error


def names(root: DataRoot) -> KnownNames:
    """The makes and models that the listings of the latest snapshot add to the vocabulary."""
    try:
        snapshot_id = root.read_json(LATEST_SNAPSHOT)["id"]
        manifest = root.read_json(snapshot_manifest(snapshot_id))
    except FileNotFoundError:
        return KnownNames(None, ())
    # a manifest of an earlier release has none
    return KnownNames(snapshot_id, tuple((make, model) for make, model in manifest.get("names", ())))


def load(root: DataRoot, snapshot_id: str) -> tuple[dict[str, Any], pd.DataFrame]:
    """A snapshot's manifest and its listings: canonical columns, one row per `listing_id`.

    Of several rows of one listing the newest counts: by `scraped_at` (where a file does not say, the
    time it was received), then by order of receipt, then by place in the file. Raises `UsageProblem`
    when there is no such snapshot.
    """
    manifest = manifest_of(root, snapshot_id)
    return manifest, distinct(root, manifest["files"])


def reference(root: DataRoot, snapshot_id: str) -> pd.DataFrame:
    """The reference sample of a snapshot: canonical columns, at most `snapshots.reference_rows` rows."""
    from carprice.listings.tables import as_canonical

    manifest = manifest_of(root, snapshot_id)
    return as_canonical(root.read_parquet(f"{SNAPSHOTS}/{manifest['id']}/reference.parquet"))


def distinct(root: DataRoot, files: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The listings of `files` (in order of receipt), the newest row of each, in order of appearance.

    The same ad in files of different layouts is one listing, as far as `with_linked_ids` can tell.
    """
    import pandas as pd

    from carprice.history.linking import with_linked_ids
    from carprice.listings.tables import as_canonical

    tables, times = [], []
    for entry in files:
        table = as_canonical(root.read_parquet(f"{LISTINGS}/{entry['sha256']}.parquet"))
        received = pd.Timestamp(entry["received_at"]).tz_convert("UTC").as_unit("us")
        tables.append(table)
        times.append(table["scraped_at"].fillna(received))
    together = pd.concat(with_linked_ids(tables), ignore_index=True)
    newest_last = pd.concat(times, ignore_index=True).sort_values(kind="stable").index
    kept = together.loc[newest_last].drop_duplicates("listing_id", keep="last").index
    return together.loc[kept.sort_values()].reset_index(drop=True)


def _receipt(root: DataRoot, sha: str) -> dict[str, Any] | None:
    try:
        return read_receipt(root, sha)
    except FileNotFoundError:
        return None


def _accepted_files(root: DataRoot) -> list[dict[str, Any]]:
    """Every accepted file, in order of receipt."""
    receipts = all_receipts(root).values()
    accepted = sorted(
        (r for r in receipts if r["status"] == "accepted"), key=lambda r: (r["checked_at"], r["sha256"])
    )
    return [
        {
            "sha256": r["sha256"],
            "file": r["file"],
            "rows": r["rows_accepted"],
            "received_at": r["checked_at"],
        }
        for r in accepted
    ]
