"""Snapshots, as later steps read them: listings, car groups and sides, and a sample for explanations."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from carprice.errors import UsageProblem
from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_SNAPSHOT, SNAPSHOTS, snapshot_manifest
from carprice_contract.formats import SNAPSHOT

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    import pandas as pd
    import pyarrow as pa

    from carprice.history.state import State


class KnownNames(NamedTuple):
    """Makes and models that titles may be read by beside those that ship, and the snapshot that has them."""

    snapshot_id: str | None
    names: tuple[tuple[str, str], ...]


NO_NAMES = KnownNames(None, ())


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


def names(root: DataRoot, snapshot_id: str | None = None) -> KnownNames:
    """The makes and models that the listings of a snapshot, by default the latest, add to the vocabulary."""
    try:
        snapshot_id = snapshot_id or root.read_json(LATEST_SNAPSHOT)["id"]
        manifest = root.read_json(snapshot_manifest(snapshot_id))
    except FileNotFoundError:
        return NO_NAMES
    return names_in(manifest)


def names_in(manifest: dict[str, Any]) -> KnownNames:
    """The makes and models that a manifest adds to the vocabulary; that of an earlier release has none."""
    return KnownNames(manifest["id"], tuple((make, model) for make, model in manifest.get("names", ())))


def load(
    root: DataRoot, snapshot_id: str, columns: Sequence[str] | None = None
) -> tuple[dict[str, Any], pd.DataFrame]:
    """A snapshot's manifest and its listings: canonical columns, or some of them, one row per `listing_id`.

    A listing has the newest value of each column that one of its copies says: by `scraped_at` (where a file
    does not say, the time it was received), then by order of receipt, then by place in the file. All columns
    of a million listings take a GiB: whoever needs a few rows chooses by some columns, and reads `rows`.
    Raises `UsageProblem` when there is no such snapshot, or a part of it is gone.
    """
    from carprice.history.snapshot_tables import canonical, read_table

    manifest = manifest_of(root, snapshot_id)
    try:
        listings = canonical(read_table(root, manifest, "listings", columns), columns)
    except FileNotFoundError:
        listings = _made_again(root, manifest).listings
    return manifest, listings if columns is None else listings[list(columns)]


def length(root: DataRoot, manifest: dict[str, Any]) -> int:
    """The number of a snapshot's listings. Raises what `load` raises."""
    if "rules" in manifest:
        return int(manifest["listings"])
    # an earlier release made it, and this one may merge other listings
    return len(load(root, manifest["id"], ["listing_id"])[1])


def rows(
    root: DataRoot,
    manifest: dict[str, Any],
    chosen: npt.NDArray[np.bool_],
    columns: Sequence[str] | None = None,
) -> pd.DataFrame:
    """The chosen ones of a snapshot's n listings, in their order, numbered from 0; see `load`.

    `chosen` is of shape (n,). Raises what `load` raises.
    """
    from carprice.history.snapshot_tables import canonical, read_rows

    try:
        listings = canonical(read_rows(root, manifest, "listings", chosen, columns), columns)
    except FileNotFoundError:
        listings = _made_again(root, manifest).listings[chosen].reset_index(drop=True)
    return listings if columns is None else listings[list(columns)]


def listing_parts(root: DataRoot, manifest: dict[str, Any], columns: Sequence[str]) -> Iterator[pd.DataFrame]:
    """All listings of a snapshot in parts, in their order: some of the canonical columns.

    Raises what `load` raises.
    """
    from carprice.history.snapshot_tables import canonical, read_parts

    try:
        for part in read_parts(root, manifest, "listings", columns):
            yield canonical(part, columns)[list(columns)]
    except FileNotFoundError:
        yield _made_again(root, manifest).listings[list(columns)]


def table(root: DataRoot, manifest: dict[str, Any], name: str, columns: Sequence[str]) -> pa.Table:
    """Some columns of a table of a snapshot (`carprice.history.state.TABLES`), as Arrow.

    Raises what `load` raises.
    """
    from carprice.history.snapshot_tables import read_table

    try:
        return read_table(root, manifest, name, columns)
    except FileNotFoundError:
        return _made_again(root, manifest).tables[name].select(list(columns))


def reference(root: DataRoot, snapshot_id: str) -> pd.DataFrame:
    """The reference sample of a snapshot: canonical columns, at most `snapshots.reference_rows` rows."""
    from carprice.history.snapshot_tables import canonical, read_table

    return canonical(read_table(root, manifest_of(root, snapshot_id), "reference"))


def pairs(root: DataRoot, manifest: dict[str, Any]) -> pd.DataFrame:
    """The copies that a snapshot knows (`linking.PAIR_COLUMNS`); none where an earlier release made it."""
    return _table(root, manifest, "pairs")


def may_be_copies(root: DataRoot, manifest: dict[str, Any]) -> pd.Series[Any]:
    """The ids of listings that may be copies of another listing of the snapshot; they are not merged."""
    from carprice.history.copies import SURE

    found = pairs(root, manifest)
    doubtful: pd.Series[Any] = found.loc[found["confidence"] < SURE, "new"].drop_duplicates()
    return doubtful


def split(
    root: DataRoot, manifest: dict[str, Any], listings: pd.DataFrame, test_share: float, seed: int
) -> pd.DataFrame:
    """The car group and the side of each listing of a snapshot: `listing_id`, `group`, `side`, n rows.

    The sides are those that the snapshot has, if it was drawn with this share and seed. Otherwise they are
    drawn anew for its groups, or for its listings where it was made before there were groups.
    """
    import pandas as pd

    from carprice.history.car_groups import assign_sides

    cars = _table(root, manifest, "cars")
    if len(cars) != len(listings) or not (cars["listing_id"].array == listings["listing_id"].array).all():
        cars = cars.set_index("listing_id").reindex(listings["listing_id"]).reset_index()
    if manifest.get("split") == {"test_share": test_share, "seed": seed} and cars["side"].notna().all():
        return cars
    groups = pd.factorize(cars["group"].fillna(cars["listing_id"]))[0]
    return assign_sides(listings, groups, None, test_share, seed)


def sides(root: DataRoot, manifest: dict[str, Any], test_share: float, seed: int) -> pd.Series[Any]:
    """The side of each id of a snapshot, those of copies included, drawn with this share and seed."""
    import pandas as pd

    from carprice.history.car_groups import TEST, TRAINING
    from carprice.history.linking import names_of
    from carprice.history.replaying import accepted_rows
    from carprice.history.splitting import is_test

    cars = _table(root, manifest, "cars")
    if len(cars):
        ids = names_of(cars["listing_id"], pairs(root, manifest)).drop_duplicates("name")
        return ids["listing_id"].map(cars.set_index("listing_id")["side"]).set_axis(ids["name"])
    # an earlier release drew each listing by its id
    named = [accepted_rows(root, entry)["listing_id"] for entry in manifest["files"]]
    own = pd.concat(named).drop_duplicates()
    drawn = is_test(own, test_share, seed)
    return pd.Series([TEST if test else TRAINING for test in drawn], index=own, dtype=object)


def listings_of(root: DataRoot, manifest: dict[str, Any], files: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """The listings of `files`, entries of the manifest, as these files say them: canonical columns.

    Their ids are those of the snapshot.
    """
    import pandas as pd

    from carprice.history.linking import aliases
    from carprice.history.merging import merge_rows
    from carprice.history.replaying import accepted_rows, seen_at

    kept = aliases(pairs(root, manifest))
    tables = [accepted_rows(root, entry) for entry in files]
    times = [seen_at(table, entry) for table, entry in zip(tables, files, strict=True)]
    said = pd.concat(tables, ignore_index=True)
    said["listing_id"] = said["listing_id"].map(kept).fillna(said["listing_id"])
    return merge_rows(said, pd.concat(times, ignore_index=True))[0]


def ids_in(
    root: DataRoot, manifest: dict[str, Any], other: dict[str, Any], listing_ids: pd.Series[Any]
) -> pd.Series[Any]:
    """The ids that listings of an `other` snapshot, and their copies there, have in the one of `manifest`."""
    from carprice.history.linking import aliases, names_of

    ids = names_of(listing_ids, pairs(root, other))["name"]
    return ids.map(aliases(pairs(root, manifest))).fillna(ids)


def _table(
    root: DataRoot, manifest: dict[str, Any], table: str, columns: Sequence[str] | None = None
) -> pd.DataFrame:
    """A table of a snapshot, or some of its columns, without rows where an earlier release made it."""
    from carprice.history.columnar import frame_of
    from carprice.history.snapshot_tables import read_table
    from carprice.history.state import empty_state

    try:
        return frame_of(read_table(root, manifest, table, columns))
    except FileNotFoundError:
        return frame_of(empty_state().tables[table], columns)


def _made_again(root: DataRoot, manifest: dict[str, Any]) -> State:
    """The state of a snapshot that an earlier release made: it kept no listings."""
    from carprice.history.replaying import replay, rows_in
    from carprice.history.state import empty_state

    # any split will do: what is read from this state are its listings
    terms = {"split": {"test_share": 0.5, "seed": 0}, "cuts": []} | manifest
    files = ((entry, rows_in(root, entry)) for entry in manifest["files"])
    return replay(empty_state(), files, terms, None)
