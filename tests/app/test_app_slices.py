"""A file cut into slices gets the prices and problems that the whole file would get."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from conftest import Api, carprice

from carprice.listings import reading
from price_app import slices
from price_app.api_client import ApiClient
from price_app.settings import Settings
from price_contract import messages
from price_contract.answers import BatchRow
from price_contract.language import speaking
from price_contract.priced_csv import priced_csv

HEADER = "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Note\n"
ROWS = [
    "Dacia;Logan;2015;120 000 - 129 999;Diesel;\n",
    "Renault;Clio;2014;90000;Essence;\"two\nlines; and a ';'\"\n",
    "Dacia;Logan;inconnu;90000;Diesel;\n",
    "Dacia;Duster\n",
    "Dacia;Duster;2018;80000;Diesel;;;;one too many\n",
    "\n",
    'Peugeot;208;2017;90000;Diesel;"never closed\n',
    "Ford;Fiesta;3000;90000;Diesel;\n",
    "Ford;Fiesta;2012;90000;Diesel;\n",
]


def in_slices(api: Api, content: bytes, rows: int) -> tuple[slices.PricedRows, int]:
    raw = reading.read_raw(content)
    client, priced, pieces = ApiClient(Settings(api_url=api.address)), slices.PricedRows(), 0
    for piece in slices.slices_of(raw, rows=rows):
        priced.add(piece, client.predict_csv(piece.content) if piece.content else None)
        pieces += 1
    return priced, pieces


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_slices_give_what_the_command_line_gives(
    api: Api, trained_data: Path, tmp_path: Path, encoding: str
) -> None:
    content = (HEADER + "".join(ROWS)).encode(encoding)
    source, target = tmp_path / "cars.csv", tmp_path / "priced.csv"
    source.write_bytes(content)
    carprice(trained_data, "predict", str(source), "-o", str(target))
    expected = table(target.read_text("utf-8"))
    for rows in (1, 3, 2_000):
        priced, pieces = in_slices(api, content, rows)
        assert pieces == -(-len(priced.rows) // rows)
        raw = reading.read_raw(content)
        with speaking("en"):
            found = table(priced_csv(raw.table, priced.rows, raw.delimiter, priced.coverage, priced.version))
        assert [row[: len(expected[0])] for row in found] == expected


@pytest.mark.parametrize("delimiter", [";", ","])
def test_no_cell_of_a_priced_file_is_a_formula(delimiter: str) -> None:
    raw = reading.read_raw((HEADER + "@Dacia;=1+1;2015;90000;Diesel;-7.58\n").encode())
    row: BatchRow = {"row": 1, "errors": [], "problem": "=none", "code": "unknown", "params": {}}
    with speaking("en"):
        text = priced_csv(raw.table, [row], delimiter, 0.9, "1")
    _, cells = list(csv.reader(io.StringIO(text), delimiter=delimiter))
    assert cells[:6] == ["'@Dacia", "'=1+1", "2015", "90000", "Diesel", "-7.58"]
    assert [cell for cell in cells[6:] if cell] == ["'=none"]


def table(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=";"))


def test_rows_without_a_price_are_told_by_their_place_in_the_file(api: Api) -> None:
    priced, _ = in_slices(api, (HEADER + "".join(ROWS[:3] * 2)).encode(), 2)
    assert (len(priced.rows), priced.priced) == (6, 4)
    assert [row["row"] for row in priced.unpriced] == [3, 6]
    for row in priced.unpriced:
        assert "empty or unknown" in row["problem"]
        assert messages.unpriced_row(row) == "Année-Modèle\u00a0: vide ou inconnu"


def test_a_slice_is_small_enough_for_one_request() -> None:
    raw = reading.read_raw((HEADER + ROWS[0] * 50).encode())
    pieces = list(slices.slices_of(raw, size=200))
    assert len(pieces) > 10
    assert sum(piece.rows for piece in pieces) == 50
    for piece in pieces:
        assert piece.content is not None
        assert len(piece.content) < 200 + 2 * len(HEADER.encode())
        assert reading.read_raw(piece.content).header[:-1] == raw.header


def test_rows_of_which_little_is_left_are_answered_in_their_slice(api: Api) -> None:
    content = (
        HEADER + ROWS[0] + "Dacia Logan bien entretenue;;;;;\n" + ROWS[0] + "Total;;;;;\n" + ROWS[0]
    ).encode()
    priced, _ = in_slices(api, content, 2)
    assert [row["row"] for row in priced.unpriced] == [2]
    assert len(priced.rows) == 4
