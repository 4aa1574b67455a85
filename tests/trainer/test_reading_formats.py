"""Excel, JSON, JSON Lines and gzip archives are read as the CSV file with the same listings."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import datetime
from typing import Any

import openpyxl
import pytest

from carprice.errors import DataRefused
from carprice.listings.problems import RowProblem
from carprice.listings.reading import RawFile, TooManyRows, read_raw, sources, workbook

HEADER = ["Marque", "Modèle", "Année-Modèle", "Kilométrage", "Carburant", "Prix"]
ROWS = [["Dacia", "Logan", 2000 + n, 90_000 + n, "Diesel", 50_000 + n] for n in range(8)]
RECORDS = [dict(zip(HEADER, row, strict=True)) for row in ROWS]
TEXT = [[str(value) for value in row] for row in ROWS]
CSV = "\n".join(";".join(map(str, row)) for row in [HEADER, *ROWS]).encode()


def book(rows: list[list[Any]], **more: list[list[Any]]) -> bytes:
    made = openpyxl.Workbook()
    sheet = made.active
    for row in rows:
        sheet.append(row)
    for title, others in more.items():
        other = made.create_sheet(title)
        for row in others:
            other.append(row)
    output = io.BytesIO()
    made.save(output)
    return output.getvalue()


def lines(records: list[Any]) -> bytes:
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records).encode()


CONTENTS = {
    "csv": CSV,
    "xlsx": book([HEADER, *ROWS]),
    "json": json.dumps(RECORDS).encode(),
    "json in an object": json.dumps(
        {"page": 1, "more": [1, 2], "annonces": RECORDS, "ok": True}, indent=1
    ).encode(),
    "json in utf-16": json.dumps(RECORDS).encode("utf-16"),
    "json in utf-16 without a mark": json.dumps(RECORDS).encode("utf-16-be"),
    "jsonl": lines(RECORDS),
    "json with a name for each record": json.dumps({"edges": [{"node": each} for each in RECORDS]}).encode(),
    "jsonl with a name for each record": lines([{"listing": {"ad": each}} for each in RECORDS]),
    "jsonl in utf-16": lines(RECORDS).decode().encode("utf-16"),
    "jsonl in utf-16 without a mark": lines(RECORDS).decode().encode("utf-16-le"),
    "jsonl with a mark": lines(RECORDS).decode().encode("utf-8-sig"),
}


def values(raw: RawFile) -> list[list[str]]:
    table: list[list[str]] = raw.table.to_numpy().tolist()
    return table


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("kind", CONTENTS)
def test_every_format_gives_the_same_table(kind: str, packed: bool) -> None:
    content = CONTENTS[kind]
    raw = read_raw(gzip.compress(content) if packed else content)
    assert raw.header == tuple(HEADER)
    assert values(raw) == TEXT
    assert raw.faults == {}
    assert raw.notes == []
    assert raw.format == kind.split()[0]
    assert raw.lines.tolist() == list(range(1, 9)) if "json" in kind else list(range(2, 10))


# --- Excel


def test_titles_totals_and_odd_cells_of_a_workbook_are_read_as_in_a_text_file() -> None:
    rows = [
        ["Export du 5 janvier"],
        [],
        [*HEADER, "Description", "Date"],
        *([*row, 'jantes 17"\nABS', datetime(2023, 1, 5)] for row in ROWS),
        ["Total", 8],
    ]
    raw = read_raw(book(rows))
    assert {note.code: note.lines.tolist() for note in raw.notes} == {
        "title_line": [1],
        "blank_line": [2],
        "total_line": [12],
    }
    assert values(raw)[0] == [*TEXT[0], 'jantes 17" ABS', "2023-01-05"]
    assert raw.faults == {}


def test_the_currency_of_a_cell_is_kept() -> None:
    made = openpyxl.load_workbook(io.BytesIO(book([HEADER, *ROWS])))
    formats = ["#,##0 €", "[$€-40C]#,##0", '"$"#,##0', "[$-409]#,##0", '#,##0 "DH"']
    for n, shown in enumerate(formats):
        made.active.cell(n + 2, 6).number_format = shown
    output = io.BytesIO()
    made.save(output)
    prices = read_raw(output.getvalue()).table["Prix"].tolist()
    assert prices[:5] == ["50000 €", "50001 €", "50002 $", "50003", "50004"]


def test_the_sheet_with_listings_is_read_and_several_are_refused() -> None:
    raw = read_raw(book([["Notes", "de", "lecture"], ["a", "b", "c"]], annonces=[HEADER, *ROWS]))
    assert values(raw) == TEXT
    with pytest.raises(DataRefused, match="several sheets") as refused:
        read_raw(book([HEADER, *ROWS], more=[HEADER, *ROWS]))
    assert refused.value.code == "several_sheets"


def test_a_workbook_that_unpacks_to_too_much_is_refused_before_it_is_read(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workbook, "MOST_WORKBOOK_BYTES", 1_000)
    with pytest.raises(DataRefused, match=r"holds too much: at most 1.000 bytes were expected") as refused:
        read_raw(CONTENTS["xlsx"])
    assert refused.value.code == "too_large_file"


def test_a_damaged_workbook_is_refused_with_a_sentence() -> None:
    content = CONTENTS["xlsx"]
    output = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as archive, zipfile.ZipFile(output, "w") as damaged:
        for name in archive.namelist():
            part = archive.read(name)
            damaged.writestr(name, part[: len(part) // 2] if "sheet1" in name else part)
    with pytest.raises(DataRefused, match="damaged Excel workbook") as refused:
        read_raw(output.getvalue())
    assert refused.value.code == "damaged_workbook"


# --- JSON


def test_values_are_as_written_and_records_may_have_different_keys() -> None:
    text = '[{"Prix": 85000.50, "Modèle": "208", "ok": true, "e": ["ABS", "é"]},'
    text += '{"Modèle": null, "Ville": "Salé"}]'
    raw = read_raw(text.encode())
    assert raw.header == ("Prix", "Modèle", "ok", "e", "Ville")
    assert values(raw) == [["85000.50", "208", "true", '["ABS", "é"]', ""], ["", "", "", "", "Salé"]]


def test_records_and_rows_that_say_nothing_are_blank_lines() -> None:
    lines = ['{"Marque": "Dacia", "Prix": 5}', "{}", '{"Marque": null, "Prix": " "}', '{"Prix": 6}']
    for content in ("\n".join(lines), f"[{','.join(lines)}]"):
        raw = read_raw(content.encode())
        assert raw.lines.tolist() == [1, 4]
        assert raw.faults == {}
        assert [(note.code, note.lines.tolist()) for note in raw.notes] == [("blank_line", [2, 3])]


def test_a_damaged_line_of_json_lines_costs_that_line() -> None:
    content = lines(RECORDS).split(b"\n")
    content[2] = content[2][:30]
    content[4:4] = [b"", b'{"Prix": 1, "Prix": 2}', b"[1, 2]"]
    raw = read_raw(b"\n".join(content))
    assert raw.faults == {
        2: RowProblem("not_a_record"),
        4: RowProblem("repeated_key", {"key": "Prix"}),
        5: RowProblem("not_a_record"),
    }
    assert raw.lines.tolist() == [1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    assert [note.lines.tolist() for note in raw.notes] == [[5]]


@pytest.mark.parametrize(
    ("content", "code"),
    [
        (CONTENTS["json"][:-30], "not_json"),
        (CONTENTS["json"] + b"]", "not_json"),
        (json.dumps({"a": RECORDS, "b": RECORDS}).encode(), "no_list_of_records"),
        (json.dumps({"a": [1, 2]}, indent=1).encode(), "no_list_of_records"),
        (b"[]", "no_list_of_records"),
        (b"[[1, 2], [3]]", "no_list_of_records"),
        (b'[{"a": ' + b"[" * 100_000, "not_json"),
    ],
)
def test_json_without_whole_records_is_refused_with_a_sentence(content: bytes, code: str) -> None:
    with pytest.raises(DataRefused, match="expected") as refused:
        read_raw(content, "cars.json")
    assert refused.value.code == code


def test_more_records_than_are_taken_are_refused() -> None:
    assert len(read_raw(CONTENTS["jsonl"], most_rows=8).table) == 8
    with pytest.raises(TooManyRows):
        read_raw(CONTENTS["jsonl"], most_rows=7)


# --- archives


def test_a_cut_archive_is_refused_with_a_sentence() -> None:
    with pytest.raises(DataRefused, match="damaged gzip archive") as refused:
        read_raw(gzip.compress(CSV * 50)[:-20])
    assert refused.value.code == "damaged_archive"


def test_an_archive_of_too_much_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sources, "MOST_UNPACKED_BYTES", 100_000)
    with pytest.raises(DataRefused, match="holds too much") as refused:
        read_raw(gzip.compress(CSV + b"\n" * 200_000))
    assert refused.value.code == "too_large_file"


# --- tables in JSON


def table_as(shape: str, rows: list[list[Any]]) -> Any:
    """A table as pandas writes it, by the shape."""
    records = [dict(zip(HEADER, row, strict=True)) for row in rows]
    columns = {name: [record[name] for record in records] for name in HEADER}
    return {
        "names and rows": {"columns": HEADER, "index": [0], "data": rows},
        "rows below their names": [HEADER, *rows],
        "columns as lists": columns,
        "columns by the number of the row": {name: dict(enumerate(each)) for name, each in columns.items()},
        "rows by their number": dict(enumerate(records)),
    }[shape]


SHAPES = [
    "names and rows",
    "rows below their names",
    "columns as lists",
    "columns by the number of the row",
    "rows by their number",
]


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_tables_in_json_are_read_as_records(shape: str, indent: int | None) -> None:
    raw = read_raw(json.dumps(table_as(shape, ROWS), indent=indent).encode())
    assert (raw.format, raw.header) == ("json", tuple(HEADER))
    assert values(raw) == TEXT
    assert raw.faults == {}
    assert raw.lines.tolist() == list(range(1, 9))


@pytest.mark.parametrize("shape", SHAPES)
def test_a_large_table_in_one_line_is_read(shape: str) -> None:
    content = json.dumps(table_as(shape, ROWS * 1000)).encode()
    assert len(content) > 200_000
    assert len(read_raw(content).table) == 8_000


def test_a_row_of_a_table_with_too_few_values_costs_itself_alone() -> None:
    raw = read_raw(
        json.dumps({"columns": HEADER, "data": [list(ROWS[0]), ["Dacia"], list(ROWS[1])]}).encode()
    )
    assert raw.faults == {1: RowProblem("not_a_record")}
    assert values(raw)[0] == TEXT[0]
    assert values(raw)[2] == TEXT[1]


@pytest.mark.parametrize(
    "found",
    [
        {"a": {"0": 1}, "b": {"0": 2}},
        {name: list(range(n)) for n, name in enumerate(HEADER)},
        {"columns": HEADER, "data": {"0": 1}},
        [["Dacia", "Logan"], ["Dacia", "Duster"]],
        {"props": {"pageProps": {"ads": 3}}, "page": {"n": 1}},
    ],
)
def test_other_json_is_no_table(found: Any) -> None:
    with pytest.raises(DataRefused) as refused:
        read_raw(json.dumps(found, indent=1).encode())
    assert refused.value.code == "no_list_of_records"


WRAPPINGS: dict[str, Any] = {
    "a search's hits": lambda: {
        "took": 5,
        "hits": {"total": 8, "hits": [{"_id": n, "_source": r} for n, r in enumerate(RECORDS)]},
    },
    "a page's data": lambda: {"props": {"pageProps": {"ads": RECORDS, "tags": [{"id": 1}]}}, "page": "/x"},
    "beside another list": lambda: {"annonces": RECORDS, "pages": [{"url": "x"}]},
    "pages": lambda: [RECORDS[:1], [], RECORDS[1:]],
    "pages by their number": lambda: {"1": RECORDS[:1], "2": RECORDS[1:]},
    "pages with their number": lambda: [{"page": 1, "ads": RECORDS[:1]}, {"page": 2, "ads": RECORDS[1:]}],
    "a search": lambda: {
        "meta": {"title": "x", "url": "/x", "location": "Fès"},
        "result": {"items": RECORDS},
    },
    "a search in one line": lambda: {"ville": "Fès", "date": "2024-05-01", "page": 1, "annonces": RECORDS},
    "filters": lambda: {"filters": {"marque": "x", "prix": "1", "annee": "2"}, "found": {"ads": RECORDS}},
    "facets": lambda: {"facets": [{"name": "Dacia", "count": 3}], "data": {"ads": RECORDS}},
    "edges": lambda: {"data": {"ads": {"edges": [{"node": record} for record in RECORDS], "pageInfo": {}}}},
    "a banner": lambda: {"ads": [{"banner": "x"}, *RECORDS], "total": 9},
}


@pytest.mark.parametrize("indent", [None, 1])
@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_the_list_of_listings_is_found_within_other_json(wrapping: str, indent: int | None) -> None:
    raw = read_raw(json.dumps(WRAPPINGS[wrapping](), indent=indent).encode())
    assert set(raw.header) - {"banner"} == set(RECORDS[0])
    assert raw.table["Prix"].iloc[-len(RECORDS) :].tolist() == [str(record["Prix"]) for record in RECORDS]
    assert raw.faults == {}


def test_values_of_a_car_within_an_object_of_its_record_are_columns() -> None:
    raw = read_raw(lines([{"id": n, "@type": "Ad", "car": {"@type": "Car", **RECORDS[0]}} for n in range(3)]))
    assert set(raw.header) == {"id", "@type", *RECORDS[0]}


@pytest.mark.parametrize("key", ["reprise", "similar", "seller", "trade_in"])
def test_another_car_within_a_record_is_not_that_of_the_ad(key: str) -> None:
    other = {"marque": "Fiat", "modele": "Uno", "annee": 1999, "prix": 5}
    raw = read_raw(lines([{key: other, "titre": "Dacia Logan 2015", "prix": 60000} for _ in range(3)]))
    assert raw.header == (key, "titre", "prix")
    beside = [{key: other, "ad": RECORDS[0]} for _ in range(3)]
    assert set(read_raw(lines(beside)).header) == {key, *RECORDS[0]}


def test_a_list_that_was_appended_to_a_file_is_read_too() -> None:
    raw = read_raw(json.dumps(RECORDS).encode() + b"\n" + json.dumps(RECORDS[:1], indent=1).encode())
    assert len(raw.table) == len(RECORDS) + 1
    assert raw.table["Prix"].iloc[-1] == raw.table["Prix"].iloc[0]


def test_similar_cars_within_the_only_record_are_no_listings() -> None:
    record = RECORDS[0] | {"similar": RECORDS}
    assert len(read_raw(json.dumps(record).encode()).table) == 1


def test_labels_in_lists_within_a_record_are_columns() -> None:
    told = {
        "primary": [
            {"name": "Marque", "key": "brand", "value": "Fiat"},
            {"name": "Modèle", "value": "Punto"},
        ],
        "secondary": [{"name": "Kilométrage", "value": "90 000"}],
    }
    raw = read_raw(lines([{"id": n, "params": told} for n in range(3)]))
    assert raw.header == ("id", "Marque", "Modèle", "Kilométrage")
    assert raw.table.iloc[2].tolist() == ["2", "Fiat", "Punto", "90 000"]
    twice = {"primary": told["primary"], "secondary": told["primary"]}
    assert read_raw(lines([{"id": n, "params": twice} for n in range(2)])).header == ("id", "params")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"value": 60000, "currency": "MAD"}, "60000 MAD"),
        ({"amount": "60 000", "currencyCode": "EUR"}, "60 000 EUR"),
        ({"min": 100000, "max": 149999}, "100000 - 149999"),
        ({"value": 60000, "currency": None}, '{"value": "60000", "currency": null}'),
        ({"old": 70000, "new": 60000}, '{"old": "70000", "new": "60000"}'),
        ([{"label": "ABS", "value": 1}, {"label": "ESP", "value": 0}], '{"ABS": "1", "ESP": "0"}'),
        (
            [{"label": "ABS", "value": 1}] * 2,
            '[{"label": "ABS", "value": "1"}, {"label": "ABS", "value": "1"}]',
        ),
        ([], "[]"),
        ({"@type": "Offer", "price": 60000, "priceCurrency": "MAD", "url": "/x"}, "60000 MAD"),
        ([{"price": 60000, "priceCurrency": "MAD"}], "60000 MAD"),
        ({"price": 300, "priceCurrency": "MAD", "unitCode": "DAY"}, "300 MAD / day"),
        ({"price": 1200, "priceCurrency": "MAD", "unitText": "MONTH"}, "1200 MAD / month"),
        (
            {"price": 60000, "priceCurrency": "MAD", "availability": "https://schema.org/SoldOut"},
            "60000 MAD (sold)",
        ),
        ({"price": None, "priceCurrency": "MAD"}, '{"price": null, "priceCurrency": "MAD"}'),
        ({"@type": "Brand", "name": "Fiat"}, "Fiat"),
        ({"@type": "QuantitativeValue", "value": 90000, "unitCode": "KMT"}, "90000 km"),
        ({"value": 90000, "unitCode": "SMI"}, "90000 miles"),
        ({"$numberInt": "2015"}, "2015"),
        ({"$date": {"$numberLong": "5"}}, "5"),
        ({"withCurrency": "60 000 DH", "withoutCurrency": 60000}, "60 000 DH"),
        ({"city": {"id": 5, "name": "Fès"}}, "Fès"),
    ],
)
def test_values_within_a_record_are_written_as_people_would(value: Any, text: str) -> None:
    raw = read_raw(lines([*RECORDS, RECORDS[0] | {"Prix": value}]))
    assert raw.table["Prix"].iloc[-1] == text
