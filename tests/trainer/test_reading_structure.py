"""Files of odd structure are read right; a damaged row is quarantined with its line, and no other."""

from __future__ import annotations

import pytest

from carprice.listings.problems import RowProblem
from carprice.listings.reading import RawFile, read_raw

HEADER = "Marque;Modèle;Année-Modèle;Kilométrage;Carburant;Description;Prix\n"
COLUMNS = ["Marque", "Modèle", "Année-Modèle", "Kilométrage", "Carburant", "Description", "Prix"]


def row(n: int, description: str = "très propre") -> str:
    return f"Dacia;Logan {n};{2000 + n % 20};{90_000 + n} km;Diesel;{description};{50_000 + 1_000 * n}\n"


def read(text: str, encoding: str = "utf-8") -> RawFile:
    return read_raw(text.encode(encoding))


def notes(raw: RawFile) -> dict[str, list[int]]:
    return {note.code: note.lines.tolist() for note in raw.notes}


def prices_of(raw: RawFile) -> dict[str, str]:
    """Model and price of the rows without a fault."""
    good = raw.table[[position not in raw.faults for position in range(len(raw.table))]]
    return dict(zip(good["Modèle"], good["Prix"], strict=True))


ALL = {f"Logan {n}": str(50_000 + 1_000 * n) for n in range(12)}


# --- quotation marks


@pytest.mark.parametrize("inches", ['"Jantes alu 17""', '"Jantes alu 17\\""', 'Jantes alu 17"'])
@pytest.mark.parametrize("places", [(3,), (3, 4), (3, 7)])
def test_inches_in_quotes_that_are_not_escaped_cost_no_row(inches: str, places: tuple[int, ...]) -> None:
    lines = [row(n, inches if n in places else f'"propre {n}"') for n in range(12)]
    raw = read(HEADER + "".join(lines))
    assert raw.faults == {}
    assert prices_of(raw) == ALL
    assert all(raw.table["Description"][n] == 'Jantes alu 17"' for n in places)


def test_two_odd_marks_that_enclose_other_rows_join_no_rows() -> None:
    lines = [row(n) for n in range(12)]
    lines[3] = row(3, '"alu')
    lines[5] = row(5, 'alu"')
    raw = read(HEADER + "".join(lines))
    assert raw.lines.tolist() == list(range(2, 14))
    assert set(raw.faults) == {3, 5}
    assert prices_of(raw) == {
        name: price for name, price in ALL.items() if name not in ("Logan 3", "Logan 5")
    }


def test_values_over_several_lines_are_read_also_with_delimiters_in_them() -> None:
    lines = [row(n, f'"ABS; ESP; GPS\nclim; {n} airbags\n\nà voir"') for n in range(12)]
    raw = read(HEADER + "".join(lines))
    assert raw.faults == {}
    assert prices_of(raw) == ALL
    assert raw.lines.tolist() == [2 + 4 * n for n in range(12)]


def test_a_quote_lost_within_a_value_of_several_lines_costs_its_lines_and_the_next_record() -> None:
    lines = [row(n, f'"ABS\nclim {n}\nà voir"') for n in range(12)]
    lines[4] = lines[4].replace('voir"', "voir")
    raw = read(HEADER + "".join(lines))
    # whether the record below begins where it seems to can't be told
    assert prices_of(raw) == {
        name: price for name, price in ALL.items() if name not in ("Logan 4", "Logan 5")
    }
    assert {int(raw.lines[position]) for position in raw.faults} == {14, 15, 16, 17}


def test_html_entities_are_not_cut_by_the_semicolon() -> None:
    raw = read(HEADER + "".join(row(n, "Citro&euml;n &amp; co") for n in range(12)))
    assert raw.faults == {}
    assert prices_of(raw) == ALL
    assert set(raw.table["Description"]) == {"Citro&euml;n &amp; co"}


@pytest.mark.parametrize("header", [HEADER, f'"{HEADER.strip()}"\n'])
def test_lines_that_are_quoted_as_a_whole_are_split(header: str) -> None:
    lines = [row(n, '""alu; clim""').strip() for n in range(12)]
    raw = read(header + "".join(f'"{line}"\n' for line in lines))
    assert raw.header == tuple(COLUMNS)
    assert raw.faults == {}
    assert prices_of(raw) == ALL


# --- lines that are no rows


def test_titles_above_the_header_and_totals_below_the_rows_are_notes() -> None:
    raw = read(
        "Export du 05/01/2023;;;;;;\n;;;;;;\n\n"
        + HEADER
        + "".join(row(n) for n in range(12))
        + "Total;12;;;;;1266000\n"
        "\nSource : export de la base\n"
    )
    assert raw.header == tuple(COLUMNS)
    assert prices_of(raw) == ALL
    assert raw.faults == {}
    assert notes(raw) == {
        "title_line": [1],
        "blank_line": [2, 3, 18],
        "total_line": [17],
        "footer_line": [19],
    }


def test_a_header_that_comes_again_is_a_note() -> None:
    raw = read(
        HEADER + "".join(row(n) for n in range(6)) + HEADER.upper() + "".join(row(n) for n in range(6, 12))
    )
    assert prices_of(raw) == ALL
    assert notes(raw) == {"repeated_header": [8]}


def test_rows_below_another_header_are_read_by_it() -> None:
    other = "Prix;Année-Modèle;Modèle;Marque;Ville;Kilométrage\n"
    below = "".join(f"{50_000 + 1_000 * n};2015;Logan {n};Dacia;Rabat;90000 km\n" for n in range(6, 12))
    raw = read(HEADER + "".join(row(n) for n in range(6)) + other + below)
    assert raw.faults == {}
    assert prices_of(raw) == ALL
    assert notes(raw) == {"other_header": [8]}
    assert raw.table.iloc[-1].tolist() == ["Dacia", "Logan 11", "2015", "90000 km", "", "", "61000"]


def test_another_header_with_a_lost_delimiter_costs_the_rows_below_it() -> None:
    other = "Prix;Année-ModèleModèle;Marque;Ville;Kilométrage\n"
    below = "".join(f"{50_000 + 1_000 * n};2015;Logan {n};Dacia;Rabat;90000 km\n" for n in range(6, 12))
    raw = read(HEADER + "".join(row(n) for n in range(6)) + other + below)
    assert set(raw.faults) == set(range(6, 12))


# --- headers and rows of different lengths


@pytest.mark.parametrize(
    ("header", "end"),
    [(HEADER.strip() + ";\n", ""), (HEADER.strip() + ";;;\n", ""), (HEADER, ";"), (HEADER, ";;")],
)
def test_delimiters_too_many_at_the_end_of_the_header_or_of_all_rows_are_no_fault(
    header: str, end: str
) -> None:
    raw = read(header + "".join(row(n).strip() + end + "\n" for n in range(12)))
    assert raw.faults == {}
    assert prices_of(raw) == ALL


def test_numbers_of_rows_without_a_header_are_a_column() -> None:
    raw = read(HEADER + "".join(f"{n};{row(n)}" for n in range(12)))
    assert raw.header == ("", *COLUMNS)
    assert raw.index_column == ""
    assert prices_of(raw) == ALL


def test_a_delimiter_lost_in_the_header_shifts_no_column() -> None:
    header = HEADER.replace("Modèle;Année", "ModèleAnnée").strip() + ";Note\n"
    raw = read(header + "".join(row(n).strip() + ";\n" for n in range(12)))
    assert len(raw.faults) in (0, 12)
    if not raw.faults:
        assert raw.table["Prix"].tolist() == list(ALL.values())


def test_a_row_with_a_blank_value_too_many_among_others_is_quarantined() -> None:
    lines = [row(n).replace("50000", "").strip() + "\n" for n in range(12)]
    lines[4] = lines[4].replace("Diesel", ";Diesel").replace(";54000", ";")
    raw = read(HEADER + "".join(lines))
    assert raw.faults == {4: RowProblem("wrong_number_of_values", {"values": 8, "columns": 7})}


# --- bytes and encodings


def test_a_nul_byte_costs_its_row() -> None:
    lines = [row(n) for n in range(12)]
    lines[4] = lines[4].replace("propre", "pro\0pre")
    raw = read(HEADER + "".join(lines))
    assert raw.faults == {4: RowProblem("nul_byte")}
    assert int(raw.lines[4]) == 6


@pytest.mark.parametrize(
    "encoding",
    ["cp1252", "cp850", "mac-roman", "utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-8-sig"],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r"])
def test_encodings_and_line_ends_are_recognised(encoding: str, newline: str) -> None:
    text = HEADER + "".join(
        row(n, "état impeccable, première main, à voir, Citroën, Salé") for n in range(12)
    )
    raw = read_raw(text.replace("\n", newline).encode(encoding))
    assert raw.header == tuple(COLUMNS)
    assert prices_of(raw) == ALL
    assert set(raw.table["Description"]) == {"état impeccable, première main, à voir, Citroën, Salé"}
    assert raw.encoding == encoding


def test_arabic_of_windows_is_recognised() -> None:
    text = HEADER.replace("Modèle", "Modele") + "".join(row(n, "سيارة نظيفة جدا") for n in range(12))
    raw = read(text, "cp1256")
    assert raw.encoding == "cp1256"
    assert set(raw.table["Description"]) == {"سيارة نظيفة جدا"}


@pytest.mark.parametrize("second", ["cp1252", "cp850", "mac-roman"])
def test_a_header_in_one_encoding_and_rows_in_another_are_read(second: str) -> None:
    rows = "".join(row(n, "état impeccable, première main, à voir, Citroën") for n in range(12))
    raw = read_raw(HEADER.encode() + rows.encode(second) + row(12, "très soignée").encode())
    assert raw.encoding == f"utf-8 and {second}"
    assert raw.header == tuple(COLUMNS)
    assert set(raw.table["Description"]) == {
        "état impeccable, première main, à voir, Citroën",
        "très soignée",
    }
