"""A state after a file is what all listings together give, although only some of them are looked at."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carprice.history import parts
from carprice.history import working_set as working
from carprice.history.car_groups import NEITHER, TEST, TRAINING, group_cars
from carprice.history.columnar import arrow_of, frame_of, mixed, plain, typed
from carprice.history.comparing import Side
from carprice.history.parts import Joined
from carprice.history.snapshot_tables import (
    KEPT_HASHES,
    content_hashes,
    read_tables,
    reference_of,
    snapshot_id_of,
    write_hashes,
    write_state,
    write_tables,
)
from carprice.history.state import TABLES, TIMES, State, Terms, empty_state, with_file, working_set
from carprice.history.working_set import Landed
from carprice.listings import sample, tables
from carprice.store import DataRoot

START = datetime(2026, 1, 1, tzinfo=UTC)
TERMS = Terms(0.3, 0)


@pytest.fixture(scope="module")
def market() -> pd.DataFrame:
    raw = sample.generate(700, seed=9).drop(columns=["", "Lien"]).drop_duplicates()
    parsed = tables.parse(raw, require_price=True)
    good = parsed.listings[parsed.good].drop_duplicates("listing_id")
    return good.assign(source_sha256="a" * 64).astype({"source_sha256": object}).reset_index(drop=True)


def files(market: pd.DataFrame, seed: int) -> list[pd.DataFrame]:
    """Files of random rows: new ads, known ones with another price or model, and copies without an id."""
    random = np.random.default_rng(seed)
    found = []
    for number in range(5):
        rows = market.sample(int(random.integers(1, 200)), random_state=seed * 10 + number)
        price = rows["price_mad"] * random.choice([1.0, 0.95], len(rows))
        copies = random.random(len(rows)) < 0.3
        named = [f"copy-{seed}-{number}-{n}" for n in range(len(rows))]
        other = random.random(len(rows)) < 0.05
        found.append(
            rows.assign(
                listing_id=np.where(copies, named, rows["listing_id"]),
                price_mad=price.round(-2),
                model=np.where(other, "Autre", rows["model"]),
                city=np.where(copies, None, rows["city"]),
            ).reset_index(drop=True)
        )
    return found


def written_and_read(state: State) -> State:
    """The state as the next process finds it."""
    return State({name: typed(plain(table)) for name, table in state.tables.items()})


@pytest.mark.parametrize("seed", range(4))
def test_groups_are_those_of_all_listings_together(market: pd.DataFrame, seed: int) -> None:
    state = empty_state()
    for number, rows in enumerate(files(market, seed)):
        state = with_file(state, rows, START + timedelta(days=number), TERMS)
        together = pd.Series(group_cars(state.listings, state.pairs))
        cars = state.cars
        assert cars["listing_id"].tolist() == state.listings["listing_id"].tolist()
        firsts = cars["listing_id"].groupby(together).transform("first")
        assert cars["group"].tolist() == firsts.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_a_group_that_was_a_test_group_stays_one(market: pd.DataFrame, seed: int) -> None:
    state, was_test, was_learned = empty_state(), set(), set()
    for number, rows in enumerate(files(market, seed)):
        state = with_file(state, rows, START + timedelta(days=number), TERMS)
        side = state.cars.set_index("listing_id")["side"]
        assert (side.reindex(list(was_test)) == TEST).all()
        assert side.reindex(list(was_learned)).isin([TRAINING, NEITHER]).all()
        by_group = state.cars.assign(test=state.cars["side"] != TRAINING).groupby("group")["test"]
        assert by_group.nunique().max() == 1
        was_test = set(side.index[side == TEST])
        was_learned = set(side.index[side != TEST])
    assert was_test
    assert was_learned


@pytest.mark.parametrize("seed", range(4))
def test_it_makes_no_difference_whether_a_state_was_written_between_two_files(
    market: pd.DataFrame, seed: int
) -> None:
    one, other = empty_state(), empty_state()
    for number, rows in enumerate(files(market, seed)):
        one = with_file(one, rows, START + timedelta(days=number), TERMS)
        other = written_and_read(with_file(other, rows, START + timedelta(days=number), TERMS))
        assert snapshot_id_of(one, {}) == snapshot_id_of(other, {})


@pytest.mark.parametrize("where", ["local", "store"])
def test_a_stored_state_is_read_and_written_in_parts_and_comes_out_the_same(
    market: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    monkeypatch.setattr(parts, "ROWS_AT_ONCE", 64)
    root = DataRoot(str(tmp_path) if where == "local" else f"memory://parts-{tmp_path.name}")
    one, other = empty_state(), empty_state()
    for number, rows in enumerate(files(market, 1)):
        one = with_file(one, rows, START + timedelta(days=number), TERMS)
        other = with_file(other, rows, START + timedelta(days=number), TERMS)
        assert isinstance(other.tables, Joined) == (number > 0), "not held in memory as a whole"
        made = f"{number}"
        assert snapshot_id_of(one, {}) == snapshot_id_of(other, {})
        assert len(one) == len(other)
        write_tables(root, made, other.tables)
        for name in TABLES:
            pd.testing.assert_frame_equal(getattr(other, name), getattr(one, name))
            groups = [len(part) for part in root.table_parts(f"snapshots/{made}/{name}.parquet")]
            assert set(groups[:-1]) <= {64}
            assert groups[-1] <= 64
        terms = {"reference": {"rows": 30, "seed": 0}}
        pd.testing.assert_frame_equal(
            frame_of(reference_of(other, terms)), frame_of(reference_of(one, terms))
        )
        other = read_tables(root, {"id": made, "rules": 1})


def test_a_table_in_an_object_store_is_fetched_once_for_all_its_columns(
    market: pd.DataFrame, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = DataRoot(f"memory://parts-{tmp_path.name}")
    state = with_file(empty_state(), files(market, 1)[0], START, TERMS)
    write_tables(root, "a", state.tables)
    fetched: list[str] = []
    read_bytes = DataRoot.read_bytes
    monkeypatch.setattr(
        DataRoot, "read_bytes", lambda self, name: (fetched.append(name), read_bytes(self, name))[1]
    )

    assert snapshot_id_of(read_tables(root, {"id": "a", "rules": 1}), {}) == snapshot_id_of(state, {})
    for name in TABLES:
        assert fetched.count(f"snapshots/a/{name}.parquet") == 1


@pytest.mark.parametrize("seed", range(2))
def test_it_makes_no_difference_how_many_files_are_added_at_once(market: pd.DataFrame, seed: int) -> None:
    random = np.random.default_rng(seed)
    days = random.integers(0, 12, (5, len(market)))
    landed = []
    for number, rows in enumerate(files(market, seed)):
        seen = [START + timedelta(days=int(day)) if day < 8 else None for day in days[number][: len(rows)]]
        gps = rows["gps"].mask(random.random(len(rows)) < 0.2)
        rows = tables.as_canonical(rows.assign(scraped_at=seen, gps=gps))
        landed.append(Landed(arrow_of(rows), START + timedelta(days=number)))
    # a listing that was a test listing on other terms stays one
    sides = random.choice([TRAINING, TEST, NEITHER], len(market))
    before = pd.Series(sides, index=market["listing_id"], dtype=object) if seed else None

    def state_after(*cuts: int) -> State:
        state = empty_state()
        for part in np.split(np.arange(len(landed)), cuts):
            found = working_set(state, [landed[number] for number in part], TERMS, before)
            for number in range(len(found)):
                found.add(number)
            state = State(found.tables())
        return state

    one_by_one = state_after(1, 2, 3, 4)
    for cuts in ((), (3,), (1, 4)):
        together = state_after(*cuts)
        assert snapshot_id_of(together, {}) == snapshot_id_of(one_by_one, {})
        for name in TABLES:
            pd.testing.assert_frame_equal(getattr(together, name), getattr(one_by_one, name))


def test_a_file_looks_only_at_the_makes_and_models_that_it_has(
    market: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = with_file(empty_state(), market, START, TERMS)
    looked_at = []
    copies_of = working.copies_of

    def watched(known: Side, new: Side, cuts: list[tuple[int, int]]) -> object:
        looked_at.append(set(known.names[known.ids]))
        return copies_of(known, new, cuts)

    monkeypatch.setattr(working, "copies_of", watched)
    same_model = market[market["model"] == market["model"].iloc[0]]
    some = same_model.head(2)
    with_file(state, some.assign(listing_id=["new-1", "new-2"][: len(some)]), START, TERMS)
    assert looked_at == [set(same_model["listing_id"])]


def test_a_table_comes_back_from_arrow_as_it_was(market: pd.DataFrame) -> None:
    pd.testing.assert_frame_equal(frame_of(arrow_of(market)), market)
    pd.testing.assert_frame_equal(frame_of(typed(plain(arrow_of(market)))), market)
    pd.testing.assert_frame_equal(frame_of(arrow_of(market.head(0))), market.head(0))


def test_the_id_of_a_snapshot_is_that_of_its_rows_by_the_hashes_of_pandas(market: pd.DataFrame) -> None:
    state = with_file(empty_state(), market.assign(city=None), START, TERMS)
    digest = hashlib.sha256(b"{}")
    for name in TABLES:
        table = frame_of(state.tables[name])
        digest.update(f"{name} {len(table)} {' '.join(table.columns)}\n".encode())
        columns = [np.zeros(len(table), dtype=np.uint64)]
        for column in table.columns.drop(TIMES, errors="ignore"):
            columns.append(pd.util.hash_pandas_object(table[column], index=False).to_numpy())
        digest.update(mixed(columns).tobytes())
    assert snapshot_id_of(state, {}) == digest.hexdigest()[:12]


@pytest.mark.parametrize("change", ["none", "gone", "broken", "of other rows"])
def test_the_hashes_of_rows_are_kept_for_the_next_snapshot_and_made_again_where_they_are_lost(
    market: pd.DataFrame, tmp_path: Path, change: str
) -> None:
    root = DataRoot(str(tmp_path))
    first, second = files(market, 1)[:2]
    terms = {"reference": {"rows": 30, "seed": 0}}
    state = with_file(empty_state(), first, START, TERMS)
    write_state(root, "a", state, terms)
    write_hashes(root, "a", content_hashes(state))
    for name in KEPT_HASHES:
        file = tmp_path / f"snapshots/a/{name}.hashes.parquet"
        if change == "gone":
            file.unlink()
        elif change == "broken":
            file.write_bytes(file.read_bytes()[:100])
        elif change == "of other rows":
            write_hashes(root, "a", {each: np.zeros(1, dtype=np.uint64) for each in KEPT_HASHES})
    stored = read_tables(root, {"id": "a", "rules": 1})
    after = with_file(stored, second.head(3), START + timedelta(days=1), TERMS)
    expected = with_file(state, second.head(3), START + timedelta(days=1), TERMS)
    found = content_hashes(after)
    for name, hashes in content_hashes(expected).items():
        assert found[name].tolist() == hashes.tolist()
    reference = frame_of(root.read_table("snapshots/a/reference.parquet"))
    pd.testing.assert_frame_equal(reference, frame_of(plain(reference_of(state, terms))))
