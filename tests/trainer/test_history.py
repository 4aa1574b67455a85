"""A snapshot never changes; the next one is made from it and the new files; raw files give it again."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carprice.errors import DataRefused, NothingToDo, UsageProblem
from carprice.history import assembling, cuts, rebuilding, snapshots
from carprice.history.car_groups import TEST
from carprice.history.snapshot_tables import read_tables
from carprice.history.state import State
from carprice.landing.content import sha256_of
from carprice.listings import sample
from carprice.params import EvaluationParams, Params, QualityParams, SnapshotParams
from carprice.quality.check import check_data_quality
from carprice.store import DataRoot

PARAMS = Params(quality=QualityParams(min_rows=1), snapshots=SnapshotParams(reference_rows=100))

NARROW = ["Marque", "Modèle", "Année-Modèle", "Kilométrage", "Type de carburant", "Puissance fiscale", "Prix"]


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(str(tmp_path / "data"))


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    raw = sample.generate(250, seed=3).drop(columns=["", "Lien"]).drop_duplicates(ignore_index=True)
    # so that each ad has something that is rare
    return raw.assign(Prix=[str(40_000 + 137 * n) for n in range(len(raw))])


def receive(root: DataRoot, name: str, table: pd.DataFrame) -> str:
    """Check a file of ads; returns its SHA-256."""
    root.write_text(f"raw/{name}", table.to_csv(index=False))
    sha = sha256_of(root, f"raw/{name}")
    check_data_quality(root, PARAMS, name, sha)
    return sha


def assembled(root: DataRoot, name: str, table: pd.DataFrame) -> str:
    """The id of the snapshot after one more file."""
    return str(assembling.assemble(root, PARAMS, [receive(root, name, table)])["snapshot_id"])


def content(root: DataRoot, snapshot_id: str) -> dict[str, bytes]:
    """The bytes of every file of a snapshot."""
    folder = f"snapshots/{snapshot_id}"
    return {name: root.read_bytes(f"{folder}/{name}") for name in root.names(folder)}


def tables_of(root: DataRoot, snapshot_id: str) -> State:
    """The tables of a snapshot."""
    return read_tables(root, snapshots.manifest_of(root, snapshot_id))


def test_the_next_snapshot_needs_only_the_last_one_and_the_new_file(
    root: DataRoot, market: pd.DataFrame, tmp_path: Path
) -> None:
    first = assembled(root, "a.csv", market.head(150))
    for name in root.names("listings"):
        root.remove(f"listings/{name}")
    second = assembled(root, "b.csv", market.tail(150))
    manifest, listings = snapshots.load(root, second)
    assert [entry["file"] for entry in manifest["files"]] == ["a.csv", "b.csv"]
    assert len(listings) > len(snapshots.load(root, first)[1])
    # one after the other or both at once: the same
    again = DataRoot(str(tmp_path / "again"))
    tables = {"a.csv": market.head(150), "b.csv": market.tail(150)}
    shas = [receive(again, name, table) for name, table in tables.items()]
    assembling.assemble(again, PARAMS, shas)
    pd.testing.assert_frame_equal(
        snapshots.load(again, "latest")[1].drop(columns="scraped_at"), listings.drop(columns="scraped_at")
    )
    cars = [tables_of(r, "latest").cars for r in (root, again)]
    pd.testing.assert_frame_equal(*cars)


def test_deleting_a_receipt_and_checking_again_changes_no_snapshot(
    root: DataRoot, market: pd.DataFrame
) -> None:
    made = assembled(root, "a.csv", market)
    before = content(root, made)
    for name in root.names("receipts"):
        root.remove(f"receipts/{name}")
    assert assembled(root, "a.csv", market) == made
    assert content(root, made) == before
    later = assembled(root, "b.csv", market.head(60))
    assert later != made
    assert content(root, made) == before


def test_a_file_that_is_checked_again_by_other_rules_is_in_the_next_snapshot_with_its_new_rows(
    root: DataRoot, market: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    assembled(root, "a.csv", market.head(150))
    made = assembled(root, "b.csv", market.tail(60))
    before, sides = content(root, made), tables_of(root, made).cars.set_index("listing_id")["side"]
    sha = snapshots.manifest_of(root, made)["files"][0]["sha256"]
    # as another check would: it accepts ten rows less
    rows = root.read_parquet(f"listings/{sha}.parquet")
    root.write_parquet(f"listings/{sha}.parquet", rows.iloc[10:].reset_index(drop=True))
    receipt = root.read_json(f"receipts/{sha}.json")
    again = receipt | {"checked_at": "2030-01-01T00:00:00+00:00", "rows_accepted": len(rows) - 10}
    root.write_json(f"receipts/{sha}.json", again)
    later = str(assembling.assemble(root, PARAMS, [sha])["snapshot_id"])
    assert later != made
    assert content(root, made) == before
    manifest, listings = snapshots.load(root, later)
    assert [entry["file"] for entry in manifest["files"]] == ["a.csv", "b.csv"]
    assert manifest["files"][0]["rows"] == len(rows) - 10
    gone = set(rows["listing_id"].head(10)) - set(rows["listing_id"].iloc[10:])
    assert not gone & set(listings["listing_id"])
    after = tables_of(root, later).cars.set_index("listing_id")["side"]
    assert (after == sides.reindex(after.index)).all()
    assert assembling.assemble(root, PARAMS, [sha])["snapshot_id"] == later


def checked_again_with(root: DataRoot, sha: str, params: Params) -> None:
    """Delete a file's receipt and check it by other settings, which refuse it."""
    name = root.read_json(f"receipts/{sha}.json")["file"]
    root.remove(f"receipts/{sha}.json")
    with pytest.raises(DataRefused):
        check_data_quality(root, params, name, sha)


def test_a_file_that_is_refused_after_it_was_accepted_is_in_no_later_snapshot(
    root: DataRoot, market: pd.DataFrame
) -> None:
    assembled(root, "a.csv", market.head(100))
    made = assembled(root, "b.csv", market.tail(100))
    before, files = content(root, made), snapshots.manifest_of(root, made)["files"]
    strict = Params(quality=QualityParams(min_rows=1000))
    checked_again_with(root, files[0]["sha256"], strict)
    # alone in its step
    alone = assembling.assemble(root, PARAMS, [files[0]["sha256"]])
    assert (alone["rows_in"], alone["files"]) == (0, [])
    names = [entry["file"] for entry in snapshots.manifest_of(root, alone["snapshot_id"])["files"]]
    assert names == ["b.csv"]
    assert content(root, made) == before
    # no file would be left
    checked_again_with(root, files[1]["sha256"], strict)
    with pytest.raises(NothingToDo, match=r"none among 1 \(1 refused\)"):
        assembling.assemble(root, PARAMS, [files[1]["sha256"]])


def test_a_file_that_another_run_refused_is_in_no_later_snapshot_either(
    root: DataRoot, market: pd.DataFrame
) -> None:
    made = assembled(root, "a.csv", market.head(100))
    sha = snapshots.manifest_of(root, made)["files"][0]["sha256"]
    checked_again_with(root, sha, Params(quality=QualityParams(min_rows=1000)))
    cuts.cut(root, *snapshots.load(root, made)[1]["listing_id"].head(2), "Sara", "all files are taken again")
    later = assembled(root, "b.csv", market.tail(100))
    assert [entry["file"] for entry in snapshots.manifest_of(root, later)["files"]] == ["b.csv"]


def test_a_snapshot_whose_writing_was_cut_short_is_written_again(
    root: DataRoot, market: pd.DataFrame
) -> None:
    made = assembled(root, "a.csv", market)
    before = content(root, made)
    sha = snapshots.manifest_of(root, made)["files"][0]["sha256"]
    root.remove("snapshots/latest.json")
    root.remove(f"snapshots/{made}/manifest.json")
    root.remove(f"snapshots/{made}/cars.parquet")
    assert assembling.assemble(root, PARAMS, [sha])["snapshot_id"] == made
    assert set(content(root, made)) == set(before)


def read_all(root: DataRoot, snapshot_id: str) -> None:
    """Read a snapshot as later steps do."""
    manifest, listings = snapshots.load(root, snapshot_id)
    snapshots.split(root, manifest, listings, **manifest["split"])
    snapshots.pairs(root, manifest)
    snapshots.reference(root, snapshot_id)


@pytest.mark.parametrize("table", ["cars", "listings", "pairs", "reference", "sightings"])
def test_a_snapshot_of_which_a_table_was_deleted_is_named_and_a_rebuild_writes_the_table(
    root: DataRoot, market: pd.DataFrame, table: str
) -> None:
    made = assembled(root, "a.csv", market.head(100))
    before = content(root, made)
    root.remove(f"snapshots/{made}/{table}.parquet")
    sentence = f"The table {table} of snapshot {made} was expected, found none; `bin/carprice rebuild {made}`"
    if table != "reference":
        with pytest.raises(UsageProblem, match=sentence):
            assembled(root, "b.csv", market.tail(100))
    if table != "sightings":
        # never other test rows than those that the snapshot has
        with pytest.raises(UsageProblem, match=sentence):
            read_all(root, made)
    rebuilding.rebuild(root, PARAMS, made)
    assert content(root, made) == before


def three_files(root: DataRoot, market: pd.DataFrame) -> list[str]:
    """Snapshots after a file, a file that repeats a part of it in another layout, and a third one."""
    narrow = market.loc[100:, [name for name in NARROW if name in market]]
    tables = {"a.csv": market.head(150), "b.csv": narrow.head(100), "c.csv": market.tail(80)}
    return [assembled(root, name, table) for name, table in tables.items()]


def test_raw_files_give_every_snapshot_again_bit_for_bit(root: DataRoot, market: pd.DataFrame) -> None:
    made = three_files(root, market)
    before = {snapshot_id: content(root, snapshot_id) for snapshot_id in made}
    for folder in ("listings", "quarantine"):
        shutil.rmtree(f"{root.location}/{folder}", ignore_errors=True)
    for snapshot_id in made:
        for table in ("listings", "cars", "pairs", "sightings", "contradictions"):
            root.remove(f"snapshots/{snapshot_id}/{table}.parquet")
        result = rebuilding.rebuild(root, PARAMS, snapshot_id)
        assert (result["snapshot_id"], result["identical"]) == (snapshot_id, True)
        assert content(root, snapshot_id) == before[snapshot_id]


def test_a_copy_of_a_raw_file_gives_the_same_dates_as_the_file_that_landed(
    root: DataRoot, market: pd.DataFrame
) -> None:
    made = assembled(root, "a.csv", market.assign(Date="il y a 3 heures"))
    os.utime(root.path("raw/a.csv"), (0, 0))
    assert rebuilding.rebuild(root, PARAMS, made)["identical"]


def test_where_no_snapshot_is_left_raw_files_and_receipts_give_the_latest_one(
    root: DataRoot, market: pd.DataFrame
) -> None:
    latest = three_files(root, market)[-1]
    before = content(root, latest)
    shutil.rmtree(f"{root.location}/snapshots")
    result = rebuilding.rebuild(root, PARAMS)
    assert (result["snapshot_id"], result["identical"]) == (latest, None)
    assert snapshots.manifest_of(root, "latest")["id"] == latest
    again = content(root, latest)
    assert {name: again[name] for name in again if name != "manifest.json"} == {
        name: before[name] for name in before if name != "manifest.json"
    }


def test_a_rebuild_says_when_another_snapshot_comes_out(
    root: DataRoot, market: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = assembled(root, "a.csv", market)
    before = content(root, made)
    monkeypatch.setattr(rebuilding, "RULES", 0)
    with pytest.raises(DataRefused, match=f"expected to give snapshot {made}, found .* this release has 0"):
        rebuilding.rebuild(root, PARAMS)
    assert snapshots.manifest_of(root, "latest")["id"] == made
    assert content(root, made) == before


def test_a_rebuild_without_its_raw_file_names_the_file(root: DataRoot, market: pd.DataFrame) -> None:
    assembled(root, "a.csv", market)
    (Path(root.location) / "raw" / "a.csv").rename(Path(root.location) / "raw" / "moved.csv")
    assert rebuilding.rebuild(root, PARAMS)["identical"]
    root.remove("raw/moved.csv")
    with pytest.raises(UsageProblem, match=r"The bytes of a\.csv .* were expected in raw/"):
        rebuilding.rebuild(root, PARAMS)


def numbered(table: pd.DataFrame) -> pd.DataFrame:
    """The ads with the ids of a dealer, in an order of its own."""
    ids = [str(7000 + 7 * n % len(table)) for n in range(len(table))]
    return table.assign(id=ids)


@pytest.mark.parametrize("known", [False, True])
def test_two_dealers_with_the_same_numbers_have_different_ads(
    root: DataRoot, market: pd.DataFrame, known: bool
) -> None:
    cars = market.drop_duplicates(["Marque", "Modèle", "Année-Modèle", "Kilométrage"], ignore_index=True)
    # two cars of the second dealer are alike
    alike = cars.iloc[60:120].reset_index(drop=True)
    alike.iloc[59] = alike.iloc[58]
    one, other = numbered(cars.iloc[:60]), numbered(alike)
    # the ads of the first dealer may be known by other ids
    before = [assembled(root, "zero.csv", one.drop(columns="id"))] if known else []
    assembled(root, "one.csv", one)
    made = assembled(root, "other.csv", other)
    manifest, listings = snapshots.load(root, made)
    assert len(listings) == 120
    assert manifest["files"][-1]["ads"] == {"ads": 60, "same_id": 0, "linked": 0, "unsure": 0, "new": 60}
    page = root.read_bytes(f"reports/quality/{manifest['files'][-1]['sha256']}.html").decode()
    assert "stand for other cars in earlier files" in page
    # both again, with new prices
    dearer = {"one": one, "other": other}
    for name, table in dearer.items():
        prices = [str(int(price) + 500) for price in table["Prix"]]
        made = assembled(root, f"{name}-again.csv", table.assign(Prix=prices))
    manifest, listings = snapshots.load(root, made)
    assert len(listings) == 120
    assert [entry["ads"]["same_id"] for entry in manifest["files"][-2:]] == [60, 60]
    again = snapshots.listings_of(root, manifest, manifest["files"][-1:])
    assert set(again["listing_id"]) <= set(listings["listing_id"])
    assert rebuilding.rebuild(root, PARAMS)["identical"]
    # all files are taken again
    cuts.cut(root, "7000", "7001", "Sara", "they are two")
    later = assembled(root, "c.csv", market.tail(20))
    said = [entry.get("ids") for entry in snapshots.manifest_of(root, later)["files"]]
    assert said[len(before) :] == [None, "with car", None, "with car", None]


def test_a_listing_keeps_when_it_was_seen_and_every_price(root: DataRoot, market: pd.DataFrame) -> None:
    ad = market.head(20)
    days = ("2024-01-01", "2024-03-01", "2024-02-01")
    for number, (day, factor) in enumerate(zip(days, (1.0, 0.9, 1.0), strict=True)):
        price = (pd.to_numeric(ad["Prix"]) * factor).round().astype(int).astype(str)
        made = assembled(root, f"{number}.csv", ad.assign(Prix=price, scraped_at=day))
    state = tables_of(root, made)
    assert len(state.listings) == len(ad)
    one = state.sightings[state.sightings["listing_id"] == state.listings["listing_id"].iloc[0]]
    seen: list[Any] = [
        (row.price_mad, f"{row.first_seen_at:%m}", f"{row.last_seen_at:%m}") for row in one.itertuples()
    ]
    dear, cheap = sorted({price for price, *_ in seen}, reverse=True)
    assert seen == [(dear, "01", "02"), (cheap, "03", "03")]
    assert state.listings["price_mad"].iloc[0] == cheap


def linked(root: DataRoot) -> pd.DataFrame:
    """The sure pairs of the latest snapshot."""
    pairs = snapshots.pairs(root, snapshots.manifest_of(root, "latest"))
    return pairs[pairs["confidence"] >= 0.8]


def test_a_link_that_a_person_cuts_is_in_no_later_snapshot(root: DataRoot, market: pd.DataFrame) -> None:
    _, second, _ = three_files(root, market)
    pair = linked(root).iloc[0]
    listings = len(snapshots.load(root, "latest")[1])
    record = cuts.cut(root, pair["new"], pair["known"], "Nadia", "another car")
    with pytest.raises(NothingToDo, match="was cut before"):
        cuts.cut(root, pair["known"], pair["new"], "Nadia", "")
    before = content(root, second)
    made = assembled(root, "d.csv", market.tail(20))
    assert not (linked(root)["new"] == pair["new"]).any()
    assert len(snapshots.load(root, made)[1]) >= listings + 1
    assert pair["new"] in set(snapshots.load(root, made)[1]["listing_id"])
    assert snapshots.manifest_of(root, made)["cuts"] == [record["ids"]]
    assert content(root, second) == before
    assert rebuilding.rebuild(root, PARAMS)["identical"]
    cuts.restore(root, pair["new"], pair["known"])
    assembled(root, "e.csv", market.tail(25))
    assert (linked(root)["new"] == pair["new"]).any()


def test_a_cut_of_ids_that_no_ad_has_is_refused(root: DataRoot, market: pd.DataFrame) -> None:
    with pytest.raises(UsageProblem, match="An existing snapshot was expected"):
        cuts.cut(root, "one", "other", "Sara", "")
    one = str(snapshots.load(root, assembled(root, "a.csv", market.head(60)))[1]["listing_id"].iloc[0])
    for wrong in ("no\nsuch", "row-1 "):
        with pytest.raises(UsageProblem, match="found none there with"):
            cuts.cut(root, one, wrong, "Sara", "")
    assert not cuts.all_cuts(root)


def test_a_snapshot_is_made_from_the_newest_that_is_left_where_the_latest_was_deleted(
    root: DataRoot, market: pd.DataFrame
) -> None:
    first, second = (
        assembled(root, name, part)
        for name, part in (("a.csv", market.head(150)), ("b.csv", market.tail(100)))
    )
    root.remove(f"snapshots/{second}")
    before = content(root, first)
    sha = snapshots.manifest_of(root, first)["files"][0]["sha256"]
    assert assembling.assemble(root, PARAMS, [sha])["snapshot_id"] == second
    assert content(root, first) == before
    root.remove(f"snapshots/{second}")
    root.remove("snapshots/latest.json")
    assert assembling.assemble(root, PARAMS, [sha])["snapshot_id"] == second


def test_a_record_that_is_no_json_is_named(root: DataRoot, market: pd.DataFrame) -> None:
    made = assembled(root, "a.csv", market.head(60))
    root.write_text("snapshots/latest.json", '{"id": ')
    with pytest.raises(UsageProblem, match=r"snapshots/latest\.json was expected to hold JSON"):
        snapshots.load(root, "latest")
    assert rebuilding.rebuild(root, PARAMS, made)["identical"]


def test_what_was_a_test_listing_stays_one_when_a_link_is_cut(root: DataRoot, market: pd.DataFrame) -> None:
    three_files(root, market)
    before = snapshots.sides(root, snapshots.manifest_of(root, "latest"), 0.2, 0)
    pair = linked(root).iloc[0]
    cuts.cut(root, pair["new"], pair["known"], "Nadia", "another car")
    assembled(root, "d.csv", market.tail(20))
    after = snapshots.sides(root, snapshots.manifest_of(root, "latest"), 0.2, 0)
    was_test = before.index[before == TEST]
    assert (after[was_test] == TEST).all()
    assert after[pair["new"]] == before[pair["new"]]


def test_another_split_is_another_snapshot(root: DataRoot, market: pd.DataFrame) -> None:
    made = assembled(root, "a.csv", market)
    other = PARAMS.model_copy(update={"evaluation": EvaluationParams(test_share=0.4)})
    sha = snapshots.manifest_of(root, made)["files"][0]["sha256"]
    again = assembling.assemble(root, other, [sha])["snapshot_id"]
    assert again != made
    shares = [(tables_of(root, found).cars["side"] == TEST).mean() for found in (made, again)]
    assert shares == pytest.approx([0.2, 0.4], abs=0.08)
