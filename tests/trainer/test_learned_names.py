"""Titles are read by the makes and models that accepted listings name in their columns, too."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from systems import FAST

from carprice import cli
from carprice.history import assembling, snapshots
from carprice.listings.learned_names import FEWEST_LISTINGS, learned_names
from carprice.params_file import parse_params
from carprice.quality.check import check_data_quality
from carprice.store import DataRoot


def listings(*cars: tuple[str, str, int]) -> pd.DataFrame:
    return pd.DataFrame(
        [(make, model) for make, model, times in cars for _ in range(times)], columns=["make", "model"]
    )


def test_names_that_several_listings_have_are_learned_in_order() -> None:
    cars = (("Dongfu", "Panther X9", 5), ("Dongfu", "Ant", 5), ("Fiat", "Zebra", 7), ("Ford", "Ka", 9))
    assert learned_names(listings(*cars)) == [("Dongfu", "Ant"), ("Dongfu", "Panther X9"), ("Fiat", "Zebra")]
    assert learned_names(listings(("Dongfu", "Panther X9", FEWEST_LISTINGS - 1))) == []


@pytest.mark.parametrize(
    ("make", "model"),
    [
        ("à vendre", "Panther"),
        ("73", "Panther"),
        ("Fiat", "2"),
        ("Fiat", "km"),
        ("Fiat", "Diesel"),
        ("Fiat", "Casablanca"),
        ("", "-"),
    ],
)
def test_what_is_no_name_is_not_learned(make: str, model: str) -> None:
    assert learned_names(listings((make, model, 9))) == []


HEADER = "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Prix\n"


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DataRoot:
    """A data root whose one accepted file names the model Panther X9 of the make Dongfu."""
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    found = DataRoot(str(tmp_path / "data"))
    (tmp_path / "data/raw").mkdir(parents=True)
    rows = [f"Dongfu;Panther X9;{1990 + n % 30};{90 + n} 000 km;Diesel;{50_000 + n}\n" for n in range(60)]
    (tmp_path / "data/raw/cars.csv").write_text(HEADER + "".join(rows))
    params = parse_params(FAST)
    receipt = check_data_quality(found, params, "cars.csv")
    assert receipt["learned_names"] == {"snapshot_id": None, "names": 0}
    assembling.assemble(found, params, [receipt["sha256"]])
    return found


def check(path: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    cli.main(["check", "--json", str(path)])
    said: dict[str, Any] = json.loads(capsys.readouterr().out)
    return said


def test_a_title_is_read_by_a_name_that_was_accepted(
    root: DataRoot, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cars = ("Renault Clio", "Dongfu Panther X9")
    titles = [f"{cars[n % 2]} Diesel {1990 + n % 30} à Fès" for n in range(120)]
    rows = "".join(f"{title};{50_000 + 500 * n} DH\n" for n, title in enumerate(titles))
    path = tmp_path / "titles.csv"
    path.write_text("Titre;Prix\n" + rows)
    said = check(path, capsys)
    snapshot_id = snapshots.manifest_of(root, "latest")["id"]
    assert said["learned_names"] == {"snapshot_id": snapshot_id, "names": 1}
    assert said["rows_accepted"] == 120
    # without what was accepted nothing is known of the car
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "empty"))
    assert check(path, capsys)["rows_accepted"] == 60


def test_names_of_a_snapshot_are_in_its_manifest_and_an_older_one_has_none(root: DataRoot) -> None:
    manifest = snapshots.manifest_of(root, "latest")
    assert manifest["names"] == [["Dongfu", "Panther X9"]]
    del manifest["names"]
    root.write_json(f"snapshots/{manifest['id']}/manifest.json", manifest)
    assert snapshots.names(root) == (manifest["id"], ())
