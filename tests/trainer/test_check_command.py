"""`carprice check FILE`: what would become of a file, without landing it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from carprice import cli
from carprice.listings.schema import COLUMNS
from carprice.store import DataRoot

HEADER = "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Couleur;Prix\n"


def car(n: int, price: str = "85 000 DH") -> str:
    return f"Dacia;Prototype {n};2015;90 000 - 94 999;Diesel;Rouge;{price}\n"


@pytest.fixture
def nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A data root that is not there."""
    root = tmp_path / "data"
    monkeypatch.setenv("DATA_DIR", str(root))
    return root


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "cars.csv"
    path.write_text(HEADER + "".join(car(n) for n in range(60)) + car(3) + car(99, "selon état"))
    return path


def check(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    """The exit status and the JSON object."""
    status = cli.main(["check", "--json", *arguments])
    return status, json.loads(capsys.readouterr().out)


def test_a_good_file_is_accepted_with_its_counts_and_columns(
    nothing: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status, said = check(capsys, str(file))
    assert status == 0
    counts = ("rows_in", "rows_accepted", "rows_partial", "rows_repeated", "rows_unpriced")
    assert [said[key] for key in counts] == [62, 60, 0, 1, 0]
    assert [said[key] for key in ("rows_not_used_cars", "rows_quarantined", "distinct_listings")] == [
        0,
        1,
        60,
    ]
    assert (said["status"], said["refusal"]) == ("accepted", None)
    assert list(said["columns"]) == HEADER.strip().split(";")
    assert (said["columns"]["Prix"], said["columns"]["Couleur"]) == ("price_mad", "unknown")


def test_nothing_is_written_into_the_data_root(
    nothing: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(capsys, str(file))
    assert not nothing.exists()


def test_a_refused_file_ends_with_65_and_says_why_in_both_ways(
    nothing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "few.csv"
    path.write_text(HEADER + car(1) + car(2))
    status, said = check(capsys, str(path))
    assert (status, said["status"], said["distinct_listings"]) == (65, "refused", 2)
    assert said["refusal"].startswith("few.csv holds 2 usable rows")
    assert cli.main(["check", str(path)]) == 65
    assert said["refusal"] in capsys.readouterr().out


def test_the_summary_names_the_fates_the_reasons_and_the_columns(
    nothing: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["check", str(file)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for line in (
        "cars.csv: accepted",
        "62 rows in the file",
        "60 accepted",
        "1 repeated, counted once",
        "1 quarantined",
        "1 Prix: not an amount in dirhams such as 60000 or '60 000 DH'",
        "Modèle model",
        "Couleur unknown",
    ):
        assert line in lines


def test_every_row_is_listed_in_the_order_of_the_file(
    nothing: Path, file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check(capsys, str(file), "--rows", str(tmp_path / "rows.csv"))
    rows = pd.read_csv(tmp_path / "rows.csv", dtype=str, keep_default_na=False)
    assert list(rows.columns) == ["line", "outcome", "reason", *COLUMNS]
    assert rows["line"].tolist() == [str(line) for line in range(2, 64)]
    assert rows["outcome"].tolist() == ["accepted"] * 60 + ["repeated", "quarantined"]
    assert rows["reason"].tolist()[59:] == [
        "",
        "the same as line 5",
        "Prix: not an amount in dirhams such as 60000 or '60 000 DH'",
    ]
    # a repeated row holds what the first one holds
    assert rows.loc[60, "model":].tolist() == rows.loc[3, "model":].tolist()
    assert rows.loc[0, ["make", "model_year", "mileage_km_max", "price_mad"]].tolist() == [
        "Dacia",
        "2015",
        "94999",
        "85000",
    ]


def test_the_rows_of_a_file_without_the_required_columns_are_listed_too(
    nothing: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "other.csv"
    path.write_text("a;b\n1;2\n3;4\n")
    assert check(capsys, str(path), "--rows", str(tmp_path / "rows.csv"))[0] == 65
    rows = pd.read_csv(tmp_path / "rows.csv", dtype=str, keep_default_na=False)
    assert rows["outcome"].tolist() == ["quarantined"] * 2
    assert list(rows.columns) == ["line", "outcome", "reason", *COLUMNS]


def test_the_step_says_the_same_as_the_check(
    nothing: Path, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = check(capsys, str(file))[1]
    assert cli.main(["land", str(file)]) == 0
    capsys.readouterr()
    assert cli.main(["check-data-quality", "--file", "cars.csv", "--sha256", said["sha256"]]) == 0
    receipt = DataRoot(str(nothing)).read_json(f"receipts/{said['sha256']}.json")
    assert {key: receipt[key] for key in said if key != "checked_at"} == {
        key: said[key] for key in said if key != "checked_at"
    }


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["absent.csv"], "A readable file was expected, found absent.csv"),
        (["cars.csv", "--rows", "no/such/rows.csv"], "a folder for 'rows.csv' was expected at 'no/such'"),
        (["cars.csv", "--rows", "."], "a file name was expected, found the folder '.'"),
    ],
)
def test_what_can_not_be_read_or_written_is_one_sentence_and_exit_2(
    nothing: Path,
    file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["check", *arguments]) == 2
    told = capsys.readouterr()
    assert words in told.err
    assert told.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cars.csv"]
