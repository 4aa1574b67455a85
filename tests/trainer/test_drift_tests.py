"""Drift between two tables: what alarms, what does not, and when there is too little data to say."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carprice.listings import reading, sample, schema, tables
from carprice.monitoring.compared_columns import MILEAGE, PRICE_LEVEL
from carprice.monitoring.verdict import DRIFTED, STABLE, TOO_LITTLE, Comparison, compare
from carprice.params import DriftParams

REAL_DATA = Path(
    os.environ.get("CARPRICE_REAL_DATA") or Path(__file__).resolve().parents[3] / "shared/data/avito_cars.csv"
)
PARAMS = DriftParams()
HALF = 1000


def distinct(content: bytes) -> pd.DataFrame:
    raw = reading.read_raw(content)
    parsed = tables.parse(raw.table, require_price=True, faults=raw.faults)
    good = parsed.listings[parsed.problems.isna()]
    return good.drop_duplicates("listing_id", keep="last").reset_index(drop=True)


@pytest.fixture(scope="module")
def listings(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    path = tmp_path_factory.mktemp("sample") / "synthetic.csv"
    sample.write_sample(str(path), 2600, 3)
    return distinct(path.read_bytes())


def halves(listings: pd.DataFrame, rows: int = HALF, seed: int = 0) -> tuple[pd.DataFrame, pd.DataFrame]:
    order = np.random.default_rng(seed).permutation(len(listings))
    first, second = (listings.iloc[order[i * rows : (i + 1) * rows]].reset_index(drop=True) for i in (0, 1))
    assert len(second) == rows
    return first, second


def found(comparison: Comparison, column: str) -> list[str]:
    return [c.kind for f in comparison.findings if f.column == column for c in f.changes]


def test_random_halves_do_not_alarm(listings: pd.DataFrame) -> None:
    verdicts = [compare(*halves(listings, seed=seed), PARAMS).verdict for seed in range(40)]
    assert verdicts.count(DRIFTED) <= 3


def test_more_rows_make_no_small_difference_an_alarm() -> None:
    random = np.random.default_rng(0)
    table = pd.DataFrame({c: np.full(40_000, None, dtype=object) for c in schema.FEATURES})
    table = tables.as_canonical(table)
    table["fiscal_power_cv"] = random.normal(8, 2, len(table))
    table["fuel"] = np.where(random.random(len(table)) < 0.5, "Diesel", "Essence")
    moved = table.assign(fiscal_power_cv=table["fiscal_power_cv"] + 0.2)
    moved["fuel"] = np.where(random.random(len(table)) < 0.52, "Diesel", "Essence")
    result = compare(table, moved, PARAMS)
    assert all(f.strongest is not None and f.strongest.p_value < 0.001 for f in result.findings)
    assert result.verdict == STABLE


def test_the_same_shift_is_stable_or_drifted_by_its_size_alone() -> None:
    random = np.random.default_rng(0)
    error = random.standard_t(4, 3000) * 0.12
    table = tables.as_canonical(pd.DataFrame({"make": ["a", "b"] * 500}))
    for shift, verdict in ((0.02, STABLE), (0.08, DRIFTED), (-0.08, DRIFTED)):
        result = compare(table, table, PARAMS, (error[:1500], error[1500:] + shift))
        assert {f.column: f.verdict for f in result.findings}[PRICE_LEVEL] == verdict


def test_a_column_that_empties_alarms_with_both_shares(listings: pd.DataFrame) -> None:
    before, after = halves(listings)
    after.loc[after.sample(frac=0.3, random_state=0).index, "fuel"] = None
    result = compare(before, after, PARAMS)
    change = next(f for f in result.findings if f.column == "fuel").changes[0]
    assert change.kind == "empty"
    assert change.after == pytest.approx(0.3, abs=0.02)
    assert result.drifted == ["fuel"]


def test_a_number_that_empties_alarms_too(listings: pd.DataFrame) -> None:
    before, after = halves(listings)
    after.loc[after.sample(frac=0.3, random_state=0).index, "model_year"] = np.nan
    assert found(compare(before, after, PARAMS), "model_year") == ["empty"]


def test_empty_values_do_not_count_where_a_form_was_filled_in(listings: pd.DataFrame) -> None:
    before, after = halves(listings)
    after.loc[after.sample(frac=0.3, random_state=0).index, "fuel"] = None
    assert compare(before, after, PARAMS, count_empty=False).verdict != DRIFTED


def test_a_column_that_is_empty_altogether_on_one_side_is_drift_and_no_crash(listings: pd.DataFrame) -> None:
    before, after = halves(listings)
    after["condition"] = None
    before["doors"] = np.nan
    result = compare(before, after, PARAMS)
    assert {"condition", "doors"} <= set(result.drifted)


def test_a_value_never_seen_is_named(listings: pd.DataFrame) -> None:
    before, after = halves(listings)
    after.loc[after.sample(30, random_state=0).index, "make"] = "Zeekr"
    change = next(f for f in compare(before, after, PARAMS).findings if f.column == "make").changes[0]
    assert (change.kind, change.value, change.before) == ("new value", "Zeekr", 0.0)


def test_many_values_seen_once_are_no_drift(listings: pd.DataFrame) -> None:
    before, after = halves(listings)
    for table, name in ((before, "a"), (after, "b")):
        table["district"] = [f"{name}{i}" for i in range(len(table))]
    column = next(f for f in compare(before, after, PARAMS).findings if f.column == "district")
    assert column.changes == []


def test_rare_values_keep_false_alarms_at_the_level_that_was_asked_for() -> None:
    lenient = PARAMS.model_copy(update={"false_alarms": 0.4})
    table = tables.as_canonical(pd.DataFrame({"make": [f"make{i}" for i in range(30)] * 10}))
    results = [compare(*halves(table, 150, seed), lenient) for seed in range(40)]
    alarms = sum(any(kind != "shares" for kind in found(result, "make")) for result in results)
    # Without the correction for the number of values most draws would alarm.
    assert alarms <= 0.2 * len(results)


def test_values_that_moved_one_step_are_distinguished_from_values_that_spread() -> None:
    random = np.random.default_rng(0)
    uneven = np.array([1, 6, 2, 9, 3, 12, 4, 8, 2, 5]) / 52
    table = tables.as_canonical(pd.DataFrame({"make": ["a", "b"] * 1000}))
    steps = random.choice(10, (2, len(table)), p=uneven)
    for direction in (1, -1):
        moved = np.clip(steps[1] + direction * (random.random(len(table)) < 0.4), 0, 9)
        result = compare(table.assign(doors=steps[0]), table.assign(doors=moved), PARAMS)
        change = next(f for f in result.findings if f.column == "doors").changes[0]
        assert change.kind == "steps"
        assert change.after == pytest.approx(0.4 * direction, abs=0.15)


def test_few_rows_are_too_few_to_call_anything_stable(listings: pd.DataFrame) -> None:
    result = compare(*halves(listings, rows=80), PARAMS)
    assert result.verdict == TOO_LITTLE
    assert compare(*halves(listings, rows=20), PARAMS).verdict == TOO_LITTLE


def test_few_rows_are_enough_for_a_large_change(listings: pd.DataFrame) -> None:
    before, after = halves(listings, rows=80)
    assert compare(before, after.assign(fuel="GPL"), PARAMS).drifted == ["fuel"]


def test_a_comparison_is_strict_json(listings: pd.DataFrame) -> None:
    for rows in (20, HALF):
        record = compare(*halves(listings, rows=rows), PARAMS).record()
        assert json.loads(json.dumps(record, allow_nan=False))["rows_current"] == rows


@pytest.fixture(scope="module")
def real_listings() -> pd.DataFrame:
    if not REAL_DATA.exists():
        pytest.skip(f"real listings are not at {REAL_DATA}; CARPRICE_REAL_DATA names another place")
    return distinct(REAL_DATA.read_bytes())


def test_on_real_listings_random_halves_do_not_alarm(real_listings: pd.DataFrame) -> None:
    for rows in (500, 2000):
        verdicts = [compare(*halves(real_listings, rows, seed), PARAMS).verdict for seed in range(20)]
        assert verdicts.count(DRIFTED) <= 2


def test_on_real_listings_half_of_the_mileages_one_bracket_up_alarm(real_listings: pd.DataFrame) -> None:
    brackets = real_listings[["mileage_km_min", "mileage_km_max"]].drop_duplicates()
    low, high = (np.sort(brackets[c].to_numpy()) for c in ("mileage_km_min", "mileage_km_max"))
    for seed in range(5):
        before, after = halves(real_listings, 2000, seed)
        place = np.searchsorted(low, after["mileage_km_min"])
        place[::2] = np.minimum(place[::2] + 1, len(low) - 1)
        after["mileage_km_min"], after["mileage_km_max"] = low[place], high[place]
        finding = next(f for f in compare(before, after, PARAMS).findings if f.column == MILEAGE)
        assert [c.kind for c in finding.changes] == ["steps"]
        assert finding.changes[0].after == pytest.approx(0.5, abs=0.25)
