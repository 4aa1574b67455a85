"""A snapshot is all that was accepted; of one listing its newest price counts."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pandas as pd
import pytest

from carprice.errors import DataRefused, NothingToDo, UsageProblem
from carprice.history import assembling, snapshots
from carprice.landing.content import sha256_of
from carprice.listings import schema
from carprice.params import Params, QualityParams, SnapshotParams
from carprice.quality.check import check_data_quality
from carprice.store import DataRoot

PARAMS = Params(quality=QualityParams(min_rows=1), snapshots=SnapshotParams(reference_rows=100))


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(str(tmp_path / "data"))


def receive(root: DataRoot, name: str, *ads: tuple[int, int, str]) -> str:
    """Check a file of ads (number, price, date scraped); returns its sha256."""
    lines = ["Lien;Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Prix;scraped_at"]
    lines += [
        f"https://www.example.invalid/a_{number + 100000}.htm;Kia;Rio;2015;1000;Diesel;{price};{date}"
        for number, price, date in ads
    ]
    root.write_text(f"raw/{name}", "\n".join(lines) + "\n")
    sha = sha256_of(root, f"raw/{name}")
    check_data_quality(root, PARAMS, name, sha)
    return sha


def prices(root: DataRoot) -> list[float]:
    return [float(price) for price in snapshots.load(root, "latest")[1]["price_mad"]]


def test_a_snapshot_counts_the_given_files_and_the_whole(root: DataRoot) -> None:
    first = receive(root, "a.csv", (1, 10_000, ""), (2, 20_000, ""), (2, 20_000, ""))
    second = receive(root, "b.csv", (2, 21_000, ""), (3, 30_000, ""))
    result = assembling.assemble(root, PARAMS, [second])
    assert result["files"] == ["b.csv"]
    assert result["sha256"] == [second]
    assert (result["rows_in"], result["rows_accepted"], result["rows_total"], result["listings_total"]) == (
        2,
        2,
        4,
        3,
    )
    manifest, listings = snapshots.load(root, result["snapshot_id"])
    assert [entry["sha256"] for entry in manifest["files"]] == [first, second]
    assert (manifest["rows"], manifest["listings"], len(listings)) == (4, 3, 3)
    assert listings["listing_id"].is_unique


def test_the_newest_price_is_the_one_scraped_last_whichever_file_came_last(root: DataRoot) -> None:
    new = receive(root, "new.csv", (1, 9_000, "2023-06-01"))
    old = receive(root, "old.csv", (1, 10_000, "2023-01-01"))
    assembling.assemble(root, PARAMS, [new, old])
    assert prices(root) == [9_000]


def test_where_no_date_is_known_the_file_received_last_counts_then_the_later_row(root: DataRoot) -> None:
    first = receive(root, "a.csv", (1, 10_000, ""))
    second = receive(root, "b.csv", (1, 11_000, ""), (1, 12_000, ""))
    assembling.assemble(root, PARAMS, [first, second])
    assert prices(root) == [12_000]


def test_a_file_without_dates_is_as_new_as_the_day_it_was_received(root: DataRoot) -> None:
    undated = receive(root, "a.csv", (1, 10_000, ""))
    dated = receive(root, "b.csv", (1, 11_000, "2001-01-01"))
    assembling.assemble(root, PARAMS, [undated, dated])
    assert prices(root) == [10_000]


def test_the_same_files_give_the_same_snapshot_and_the_same_reference(root: DataRoot) -> None:
    sha = receive(root, "a.csv", *((n, 10_000 + n, "") for n in range(300)))
    first = assembling.assemble(root, PARAMS, [sha])
    manifest = snapshots.manifest_of(root, "latest")
    sample = snapshots.reference(root, "latest")
    assert assembling.assemble(root, PARAMS, [sha]) == first
    assert snapshots.manifest_of(root, "latest") == manifest
    pd.testing.assert_frame_equal(snapshots.reference(root, "latest"), sample)
    assert len(sample) == 100


class Killed(BaseException):
    """The process is gone: nothing catches it."""


def test_a_step_that_is_killed_at_any_write_leaves_the_snapshot_before_it_or_the_new_one(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = assembling.assemble(root, PARAMS, [receive(root, "a.csv", (1, 10_000, ""), (2, 20_000, ""))])
    second = receive(root, "b.csv", (2, 19_000, ""), (3, 30_000, ""))
    writing, written = DataRoot.writing, 0

    @contextlib.contextmanager
    def killed(root: DataRoot, name: str, new: bool = False) -> Iterator[IO[bytes]]:
        nonlocal written
        with writing(root, name, new) as file:
            yield file
            written += 1
            if written > last:  # the content is there, and the file has not its name yet
                raise Killed

    monkeypatch.setattr(DataRoot, "writing", killed)
    last = -1
    while True:
        last, written = last + 1, 0
        try:
            after = assembling.assemble(root, PARAMS, [second])
            break
        except Killed:
            manifest, listings = snapshots.load(root, "latest")
            assert manifest["id"] == before["snapshot_id"]
            assert len(listings) == len(snapshots.reference(root, "latest")) == 2
    assert last >= 3, "tables, their manifest and the name of the latest snapshot were written"
    assert sorted(prices(root)) == [10_000, 19_000, 30_000]
    assert snapshots.load(root, before["snapshot_id"])[0]["id"] != after["snapshot_id"]
    assert len(snapshots.reference(root, "latest")) == 3


def test_loaded_listings_are_canonical(root: DataRoot) -> None:
    assembling.assemble(root, PARAMS, [receive(root, "a.csv", (1, 10_000, "2023-01-01"), (2, 1, ""))])
    schema.listing_schema().validate(snapshots.load(root, "latest")[1], lazy=True)
    schema.listing_schema().validate(snapshots.reference(root, "latest"), lazy=True)


def test_a_refused_or_unknown_file_makes_no_snapshot(root: DataRoot) -> None:
    root.write_text("raw/bad.csv", "x")
    sha = sha256_of(root, "raw/bad.csv")
    with pytest.raises(DataRefused):
        check_data_quality(root, PARAMS, "bad.csv", sha)
    with pytest.raises(NothingToDo, match="At least one accepted file was expected"):
        assembling.assemble(root, PARAMS, [sha, "0" * 64])
    good = receive(root, "a.csv", (1, 10_000, ""))
    assert assembling.assemble(root, PARAMS, [sha, good, "0" * 64])["files"] == ["a.csv"]


def test_a_snapshot_that_does_not_exist_is_named_with_those_that_do(root: DataRoot) -> None:
    with pytest.raises(UsageProblem, match="latest"):
        snapshots.load(root, "latest")
    made = assembling.assemble(root, PARAMS, [receive(root, "a.csv", (1, 10_000, ""))])["snapshot_id"]
    with pytest.raises(UsageProblem, match=f"'nosuch'. The snapshots are: {made}"):
        snapshots.load(root, "nosuch")


def test_a_manifest_of_a_newer_release_is_refused(root: DataRoot) -> None:
    snapshot_id = assembling.assemble(root, PARAMS, [receive(root, "a.csv", (1, 10_000, ""))])["snapshot_id"]
    name = f"snapshots/{snapshot_id}/manifest.json"
    manifest = root.read_json(name)
    assert manifest["format_version"] == 3
    root.write_json(name, manifest | {"format_version": 4})
    with pytest.raises(UsageProblem, match="expected to have a format up to 3, found format_version 4"):
        snapshots.load(root, snapshot_id)
    del manifest["format_version"]
    root.write_json(name, manifest)
    assert len(snapshots.load(root, snapshot_id)[1]) == 1
