"""One table, however a scraper writes it down, is read as the same rows."""

from __future__ import annotations

import csv
import io
import tracemalloc
import unicodedata
from collections.abc import Callable

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carprice.errors import DataRefused
from carprice.listings import headers, tables
from carprice.listings.problems import RowProblem
from carprice.listings.reading import RawFile, TooManyRows, read_raw

HEADER = "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Prix\n"
ROW = "Dacia;Logan;2015;90 000 - 94 999;Diesel;85000\n"


def read(text: str, encoding: str = "utf-8") -> RawFile:
    return read_raw(text.encode(encoding))


# --- any layout, the same listings

CARS = st.fixed_dictionaries(
    {
        "make": st.sampled_from(["Citroen", "Dacia", "Mercedes-Benz"]),
        "model": st.sampled_from(["Mégane", "C-Elysée", "GOLF 4", "i 10", 'Golf "7"', "Classe C; AMG, noir"]),
        "model_year": st.integers(1980, 2023),
        "mileage": st.tuples(st.integers(0, 400_000), st.integers(0, 50_000)),
        "fuel": st.sampled_from(["Diesel", "Essence", "Hydrogène"]),
        "fiscal_power_cv": st.one_of(st.none(), st.integers(4, 40)),
        "gearbox": st.one_of(st.none(), st.sampled_from(["Manuelle", "Automatique"])),
        "first_owner": st.one_of(st.none(), st.booleans()),
        "sunroof": st.one_of(st.none(), st.booleans()),
        "price_mad": st.integers(1_000, 9_999_999),
    }
)

HEADER_SPELLINGS: dict[str, Callable[[str], str]] = {
    "as the site": str,
    "upper": str.upper,
    "lower": str.lower,
    "no accents": lambda h: unicodedata.normalize("NFKD", h).encode("ascii", "ignore").decode(),
    "underscores": lambda h: h.replace(" ", "_").replace("-", "_"),
    "spaces around": lambda h: f"  {h} ",
}
NUMBERS: dict[str, Callable[[int], str]] = {
    "plain": str,
    "spaces": lambda n: f"{n:,}".replace(",", " "),
    "hard spaces": lambda n: f"{n:,}".replace(",", "\N{NO-BREAK SPACE}"),
    "points": lambda n: f"{n:,}".replace(",", "."),
    "commas": lambda n: f"{n:,}",
    "float": lambda n: f"{n}.0",
}


@st.composite
def layouts(draw: st.DrawFn) -> dict[str, str]:
    return {
        "encoding": draw(st.sampled_from(["utf-8", "utf-8-sig", "cp1252", "latin-1", "utf-16"])),
        "delimiter": draw(st.sampled_from([",", ";", "\t"])),
        "newline": draw(st.sampled_from(["\n", "\r\n"])),
        "header": draw(st.sampled_from(sorted(HEADER_SPELLINGS))),
        "language": draw(st.sampled_from(["french", "english"])),
        "number": draw(st.sampled_from(sorted(NUMBERS))),
        "unknown": draw(st.sampled_from(["", "--", "N/A", " - ", "nan"])),
        "currency": draw(st.sampled_from(["", " DH", " Dhs", " MAD"])),
        "power": draw(st.sampled_from(["", " CV", "cv"])),
        "yes": draw(st.sampled_from(["Oui/Non", "True/False", "1/0", "yes/no"])),
        "index": draw(st.sampled_from(["", "with"])),
        "quoting": draw(st.sampled_from(["needed", "all"])),
    }


def _pair(value: object) -> tuple[int, int]:
    assert isinstance(value, tuple)
    return value


def write(cars: list[dict[str, object]], layout: dict[str, str]) -> bytes:
    """The cars as a file of the layout."""
    number, unknown = NUMBERS[layout["number"]], layout["unknown"]
    yes, no = layout["yes"].split("/")
    spell = HEADER_SPELLINGS[layout["header"]]

    def written(field: str, value: object) -> str:
        if value is None:
            return unknown
        if field == "mileage":
            low, width = _pair(value)
            return number(low) if width == 0 else f"{number(low)} - {number(low + width)} km"
        if field == "price_mad":
            return number(value) + layout["currency"]  # type: ignore[arg-type]
        if field == "fiscal_power_cv":
            return f"{value}{layout['power']}"
        if isinstance(value, bool):
            return yes if value else no
        return str(value)

    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=layout["delimiter"],
        lineterminator=layout["newline"],
        quoting=csv.QUOTE_ALL if layout["quoting"] == "all" else csv.QUOTE_MINIMAL,
    )
    fields = list(cars[0])
    place = 0 if layout["language"] == "french" else 1
    index = [""] if layout["index"] else []
    writer.writerow(
        [*index, *(spell(headers.HEADERS[f][min(place, len(headers.HEADERS[f]) - 1)]) for f in fields)]
    )
    for n, car in enumerate(cars):
        writer.writerow([*([str(n)] if index else []), *(written(f, car[f]) for f in fields)])
    return text.getvalue().encode(layout["encoding"])


@settings(max_examples=150, deadline=None)
@given(st.lists(CARS, min_size=1, max_size=6), layouts())
def test_a_table_written_in_any_layout_gives_the_same_listings(
    cars: list[dict[str, object]], layout: dict[str, str]
) -> None:
    raw = read_raw(write(cars, layout))
    assert raw.faults == {}
    assert raw.delimiter == layout["delimiter"]
    parsed = tables.parse(raw.table, require_price=True, faults=raw.faults)
    assert parsed.problems.tolist() == [None] * len(cars)

    def number(value: object) -> float:
        return float("nan") if value is None else float(value)  # type: ignore[arg-type]

    for n, car in enumerate(cars):
        row = parsed.listings.iloc[n]
        low, width = _pair(car["mileage"])
        for field in ("make", "model", "fuel", "gearbox"):
            assert row[field] == car[field], field
        assert (row["mileage_km_min"], row["mileage_km_max"]) == (low, low + width)
        numbers = ("model_year", "price_mad", "fiscal_power_cv", "first_owner", "sunroof")
        expected = pd.Series([number(car[f]) for f in numbers], index=numbers)
        pd.testing.assert_series_equal(row[list(numbers)].astype(float), expected, check_names=False)
        assert row["city"] is None


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused_with_a_sentence(content: bytes) -> None:
    try:
        raw = read_raw(content)
    except DataRefused as refused:
        sentence = str(refused)
    else:
        assert len(raw.table) == len(raw.lines) > 0
        return
    assert "expected" in sentence


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="ab;,\"\n\r 'é", max_size=300))
def test_every_line_of_a_ragged_file_is_accounted_for(body: str) -> None:
    try:
        raw = read("Marque;Modèle;Prix\n" + body)
    except DataRefused:
        return
    assert len(raw.lines) == len(raw.table)
    assert (raw.lines[1:] > raw.lines[:-1]).all()
    assert set(raw.faults) <= set(range(len(raw.table)))
    raw.repeated()


# --- encodings and shapes, one by one


@pytest.mark.parametrize(
    ("encoding", "named"),
    [("utf-8", "utf-8"), ("utf-8-sig", "utf-8-sig"), ("cp1252", "cp1252"), ("utf-16", "utf-16")],
)
def test_the_encoding_is_recognised_and_named(encoding: str, named: str) -> None:
    raw = read(HEADER + ROW, encoding)
    assert raw.encoding == named
    assert raw.header[1] == "Modèle"


def test_bytes_that_windows_does_not_know_are_read_as_latin_1() -> None:
    assert read_raw((HEADER + ROW).encode("latin-1") + b"\x81;x\n").encoding == "latin-1"


def test_one_broken_byte_does_not_turn_a_utf_8_file_into_another_encoding() -> None:
    raw = read_raw((HEADER + ROW * 30 + "Citroën;C3;é;é;é;é\n" * 10).encode() + b"Fiat;\xe9;2;3;4;5\n")
    assert raw.encoding == "utf-8 and cp1252"
    assert raw.header[1] == "Modèle"
    assert raw.table.iloc[-1, 1] == "é"


def test_values_stand_as_in_the_file() -> None:
    table = read(HEADER + "NA; Logan ;007;nan;None;1e3\n").table
    assert table.iloc[0].tolist() == ["NA", " Logan ", "007", "nan", "None", "1e3"]


def test_line_numbers_are_those_of_the_file_also_after_values_over_several_lines() -> None:
    raw = read(HEADER + '"Da\ncia";Logan;2015;1;Diesel;5\n\n' + ROW + ROW)
    assert raw.lines.tolist() == [2, 5, 6]
    assert raw.table.iloc[0, 0] == "Da\ncia"


def test_rows_of_the_wrong_shape_are_faults_of_those_rows_alone() -> None:
    raw = read(HEADER + ROW + "Dacia;Logan\n" + "a;b;c;d;e;f;g;h\n" + ROW)
    assert raw.faults == {
        1: RowProblem("wrong_number_of_values", {"values": 2, "columns": 6}),
        2: RowProblem("wrong_number_of_values", {"values": 8, "columns": 6}),
    }
    assert raw.faults[1].sentence() == "the row has 2 values, the header has 6 columns"
    assert raw.table.iloc[1].tolist() == ["Dacia", "Logan", "", "", "", ""]
    assert raw.table.iloc[2, 5] == "f;g;h"


def test_surplus_delimiters_at_the_end_of_a_row_are_no_fault() -> None:
    assert read(HEADER + ROW.strip() + ";;\n").faults == {}


def test_a_quote_that_is_never_closed_costs_one_row_and_not_the_rest_of_the_file() -> None:
    raw = read(HEADER + '"Dacia;Logan;2015;1;Diesel;5\n' + ROW * 5000)
    assert len(raw.table) == 5001
    assert raw.faults == {0: RowProblem("unclosed_quote")}


@pytest.mark.parametrize("nothing", [";;;;;", "", " ; ;;;;", ';"";;;;', ";;", ";;;;;;;;"])
def test_a_line_without_any_value_is_blank_wherever_it_stands(nothing: str) -> None:
    raw = read(HEADER + f"{nothing}\n" + ROW + f"{nothing}\n" + ROW + f"{nothing}\n" * 2)
    assert raw.lines.tolist() == [3, 5]
    assert raw.faults == {}
    assert [(note.code, note.lines.tolist()) for note in raw.notes] == [("blank_line", [2, 4, 6, 7])]


@pytest.mark.parametrize("header", ["", "Unnamed: 0"])
def test_an_unnamed_row_number_does_not_make_repeated_rows_different(header: str) -> None:
    raw = read(f"{header};{HEADER}" + "".join(f"{n};{ROW}" for n in range(4)))
    assert raw.index_column == header
    assert raw.repeated().tolist() == [False, True, True, True]


def test_a_header_word_that_comes_twice_is_kept_apart() -> None:
    raw = read("Prix;Prix;;\n1;2;3;4\n")
    assert raw.header == ("Prix", "Prix", "", "")
    assert list(raw.table.columns) == ["Prix", "Prix (again)", "column 3", "column 4"]


def test_a_line_that_tells_excel_the_separator_is_not_the_header() -> None:
    raw = read("sep=;\n" + HEADER + ROW)
    assert raw.header[0] == "Marque"
    assert raw.lines.tolist() == [3]


def test_the_delimiter_is_the_one_that_makes_sense_of_the_header() -> None:
    assert read("Marque,Modèle,Note; libre; et longue; vraiment\na,b,c\n").delimiter == ","


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty (0 bytes)"),
        (b"\xef\xbb\xbf\r\n \n", "is empty"),
        (HEADER.encode(), "has a header of 6 columns and no rows"),
        (b"\x00\x01\x02" * 50, "is not text"),
        (bytes(range(1, 256)) * 4, "is not text"),
        (b"PK\x03\x04rest", "is an Excel workbook or a ZIP archive"),
        (b";;;;\n;;;\n", "has no readable header"),
    ],
)
def test_what_is_no_table_is_refused_with_one_sentence(content: bytes, words: str) -> None:
    with pytest.raises(DataRefused) as refused:
        read_raw(content, "cars.csv")
    sentence = str(refused.value)
    assert sentence.startswith("cars.csv ")
    assert words in sentence
    assert "expected" in sentence
    assert "land" in sentence


def test_more_rows_than_are_taken_are_refused_before_they_are_read() -> None:
    assert len(read_raw((HEADER + ROW * 3).encode(), most_rows=3).table) == 3
    with pytest.raises(TooManyRows, match=r"at most 3 were expected, found more; send them in several files"):
        read_raw((HEADER + ROW * 4).encode(), most_rows=3)
    content = b"x\n" * 1_000_000
    tracemalloc.start()
    try:
        with pytest.raises(TooManyRows):
            read_raw(content, most_rows=10_000)
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10 * len(content)
