"""A column that a file does not have at all is no drift; what a file has is compared."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from carprice.listings import sample, tables
from carprice.monitoring.said_columns import said_columns
from carprice.monitoring.verdict import compare
from carprice.params import DriftParams
from carprice.store import DataRoot

NARROW, WIDE = "a" * 64, "b" * 64


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    root = DataRoot(str(tmp_path))
    fields = {"Marque": "make", "Boite": "gearbox", "Kilométrage": "mileage"}
    root.write_json(f"receipts/{NARROW}.json", {"columns": fields, "sha256": NARROW})
    return root


@pytest.fixture(scope="module")
def listings() -> pd.DataFrame:
    raw = sample.generate(1_200, seed=4).drop(columns="")
    parsed = tables.parse(raw, require_price=True)
    return parsed.listings[parsed.good].reset_index(drop=True)


def test_a_file_says_what_its_receipt_names_and_what_any_of_its_rows_has(
    root: DataRoot, listings: pd.DataFrame
) -> None:
    table = listings.head(4).assign(
        source_sha256=[NARROW, NARROW, WIDE, WIDE],
        gearbox=None,
        city=[None, "Rabat", None, None],
        abs=[np.nan, np.nan, np.nan, 1.0],
        doors=np.nan,
    )
    said = said_columns(root, table)
    assert said["gearbox"].tolist() == [True, True, False, False]
    assert said["city"].tolist() == [True, True, False, False]
    assert said["abs"].tolist() == [False, False, True, True]
    assert not said["doors"].any()


def test_a_column_that_one_side_does_not_have_is_no_drift(root: DataRoot, listings: pd.DataFrame) -> None:
    half = len(listings) // 2
    reference = listings.head(half).assign(source_sha256=NARROW, city=None, abs=np.nan)
    current = listings.tail(half).reset_index(drop=True).assign(source_sha256=WIDE)
    params = DriftParams()
    assert {"city", "abs"} <= set(compare(reference, current, params).drifted)
    said = said_columns(root, reference), said_columns(root, current)
    comparison = compare(reference, current, params, said=said)
    assert not {"city", "abs"} & set(comparison.drifted)
    assert {"city", "abs"} <= set(comparison.not_said)
    assert "fuel" in {finding.column for finding in comparison.findings}


def test_a_column_is_compared_with_the_files_that_have_it(root: DataRoot, listings: pd.DataFrame) -> None:
    half = len(listings) // 2
    narrow = listings.head(half // 2).assign(source_sha256=NARROW, city=None)
    wide = listings.iloc[half // 2 : half].assign(source_sha256=WIDE)
    reference = pd.concat([narrow, wide], ignore_index=True)
    current = listings.tail(half).reset_index(drop=True).assign(source_sha256=WIDE)
    said = said_columns(root, reference), said_columns(root, current)
    params = DriftParams()
    assert "city" not in compare(reference, current, params, said=said).drifted
    moved = current.assign(city="Nador")
    assert "city" in compare(reference, moved, params, said=(said[0], said_columns(root, moved))).drifted


def test_a_file_that_stops_filling_a_column_drifts(root: DataRoot, listings: pd.DataFrame) -> None:
    half = len(listings) // 2
    reference = listings.head(half).assign(source_sha256=WIDE)
    current = listings.tail(half).reset_index(drop=True).assign(source_sha256=NARROW, gearbox=None)
    said = said_columns(root, reference), said_columns(root, current)
    assert "gearbox" in compare(reference, current, DriftParams(), said=said).drifted
