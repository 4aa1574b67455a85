"""A table written in any way we read comes back cell by cell; no damage moves a price to another row."""

from __future__ import annotations

import csv
import io

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from carprice.errors import DataRefused
from carprice.listings.reading import RawFile, read_raw

HEADER = [
    "Annonce",
    "Marque",
    "Modèle",
    "Année-Modèle",
    "Description",
    "Ville",
    "Kilométrage",
    "Prix",
    "Note",
]
DELIMITERS = [";", ",", "\t", "|", "^", "~"]
ENCODINGS = ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-32", "cp1252", "latin-1", "cp850", "mac-roman"]
LINE_ENDS = ["\n", "\r\n", "\r"]
QUOTINGS = {
    "needed": {"quoting": csv.QUOTE_MINIMAL},
    "all": {"quoting": csv.QUOTE_ALL},
    "texts": {"quoting": csv.QUOTE_NONNUMERIC},
    "backslash": {"quoting": csv.QUOTE_ALL, "doublequote": False, "escapechar": "\\"},
}

Table = list[list[str]]


def listing(n: int, description: str, city: str, note: str) -> list[str]:
    """A row whose id, mileage and price tell its number."""
    return [
        f"AD{1000 + n}",
        "Dacia",
        "Logan",
        str(2000 + n % 20),
        description,
        city,
        str(90_000 + n),
        str(10_000 + 10 * n),
        note,
    ]


def tables(text: st.SearchStrategy[str], least: int = 6) -> st.SearchStrategy[Table]:
    cells = st.tuples(
        text, st.sampled_from(["Rabat", "Salé", "Casablanca", ""]), st.sampled_from(["", "première main"])
    )
    return st.lists(cells, min_size=least, max_size=14).map(
        lambda rows: [listing(n, *cell) for n, cell in enumerate(rows)]
    )


def written(table: Table, delimiter: str, newline: str, quoting: str) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=newline, **QUOTINGS[quoting])  # type: ignore[arg-type]
    writer.writerows([HEADER, *table])
    return text.getvalue()


FRENCH = st.text(alphabet="abcd éèàç'17", max_size=12)
TEXTS = st.one_of(
    FRENCH,
    st.text(alphabet="ab é1\"',;|^~\t\n\r\\", max_size=12),
    st.sampled_from(
        [
            '17"',
            '"',
            '""',
            '"alu" 17"',
            "ABS, ESP; GPS\nclim",
            "a\r\nb",
            " a ",
            "&amp;",
            "Citro&euml;n",
            "=1+2",
        ]
    ),
)


@settings(max_examples=150, deadline=None)
@given(
    tables(TEXTS),
    st.sampled_from(DELIMITERS),
    st.sampled_from(LINE_ENDS),
    st.sampled_from(sorted(QUOTINGS)),
    st.sampled_from(ENCODINGS),
)
def test_a_table_comes_back_cell_by_cell(
    table: Table, delimiter: str, newline: str, quoting: str, encoding: str
) -> None:
    assume(not (quoting == "backslash" and any("\\" in cell for row in table for cell in row)))
    # csv puts no quotation marks around the line ends that are not its own
    foreign = {"\r", "\n"} - set(newline)
    assume(quoting != "needed" or not any(foreign & set(cell) for row in table for cell in row))
    raw = read_raw(written(table, delimiter, newline, quoting).encode(encoding))
    assert raw.header == tuple(HEADER)
    assert raw.delimiter == delimiter
    assert raw.faults == {}
    assert raw.table.to_numpy().tolist() == table
    assert raw.notes == []


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.text(alphabet="abc é", max_size=6), min_size=3, max_size=3), min_size=1, max_size=8),
    st.sampled_from(DELIMITERS),
    st.sampled_from(LINE_ENDS),
    st.booleans(),
)
def test_small_tables_of_any_text_come_back(
    rows: Table, delimiter: str, newline: str, last_line_end: bool
) -> None:
    table = [["x", *row] for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator=newline).writerows(
        [["Marque", "Modèle", "Ville", "Note"], *table]
    )
    content = text.getvalue() if last_line_end else text.getvalue().removesuffix(newline)
    raw = read_raw(content.encode())
    assert raw.faults == {}
    assert raw.table.to_numpy().tolist() == table


# --- damage


@st.composite
def damaged(draw: st.DrawFn, text: str, newline: str) -> str:
    """The text with one piece of damage."""
    kind = draw(
        st.sampled_from(
            [
                "quote lost",
                "quote added",
                "cut",
                "line added",
                "line lost",
                "part of a line",
                "character lost",
                "character added",
            ]
        )
    )
    place = draw(st.integers(0, len(text) - 1))
    if kind == "quote lost":
        places = [n for n, char in enumerate(text) if char == '"']
        assume(places)
        place = draw(st.sampled_from(places))
        return text[:place] + text[place + 1 :]
    if kind == "quote added":
        return text[:place] + '"' + text[place:]
    if kind == "cut":
        return text[:place]
    if kind == "character lost":
        return text[:place] + text[place + 1 :]
    if kind == "character added":
        return text[:place] + draw(st.sampled_from(list('a ";,\t|\n\r\\1é'))) + text[place:]
    lines = text.split(newline)
    at = draw(st.integers(0, len(lines) - 1))
    if kind == "line lost":
        return newline.join(lines[:at] + lines[at + 1 :])
    if kind == "part of a line":
        cut = draw(st.integers(0, len(lines[at])))
        return newline.join([*lines[:at], lines[at][:cut], *lines[at + 1 :]])
    added = draw(st.one_of(st.sampled_from(lines), st.text(alphabet='ab;,"1', max_size=20)))
    return newline.join([*lines[:at], added, *lines[at:]])


def rows_are_right(raw: RawFile, table: Table) -> None:
    """Each row without a fault has the id, the mileage and the price of one and the same row."""
    columns = list(raw.table.columns)
    if not {"Annonce", "Kilométrage", "Prix"} <= set(columns):
        return  # a damaged word of the header: the column is missing, or its values are unknown
    known = {row[0]: row for row in table}
    for position, row in enumerate(raw.table.to_dict("records")):
        if position in raw.faults:
            continue
        found = known.get(row["Annonce"])
        if found is None:
            # the damage is in the id itself: the price says which row it is
            found = next((each for each in table if each[7] == row["Prix"]), None)
            if found is None:
                continue
            assert row["Kilométrage"] in found[6] or close(row["Kilométrage"], found[6]), row
            continue
        assert close(row["Prix"], found[7]), row
        assert close(row["Kilométrage"], found[6]), row
        assert row["Prix"] == found[7] or row["Prix"] not in {each[7] for each in table}, row


def close(value: str, original: str) -> bool:
    """Whether a value is the original but for a lost or an added character, or its beginning."""
    value = value.replace('"', "")
    if value == original or original.startswith(value):
        return True
    longer, shorter = (value, original) if len(value) > len(original) else (original, value)
    return any(longer[:n] + longer[n + 1 :] == shorter for n in range(len(longer)))


@settings(max_examples=250, deadline=None)
@given(
    st.data(),
    tables(TEXTS),
    st.sampled_from(DELIMITERS),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from(["needed", "all", "texts"]),
)
def test_no_damage_moves_a_price_to_another_row(
    data: st.DataObject, table: Table, delimiter: str, newline: str, quoting: str
) -> None:
    text = written(table, delimiter, newline, quoting)
    content = data.draw(damaged(text, newline))
    try:
        raw = read_raw(content.encode())
    except DataRefused:
        return
    rows_are_right(raw, table)
    lines_are_accounted_for(raw, content)


def lines_are_accounted_for(raw: RawFile, content: str) -> None:
    """Each line is of the header, of a row or of a note; a line of two kinds is wrong."""
    noted = [int(line) for note in raw.notes for line in note.lines]
    starts = [int(line) for line in raw.lines]
    assert len(set(noted + starts)) == len(noted) + len(starts)
    lines = io.StringIO(content, newline=None).read().split("\n")
    assert max(noted + starts) <= len(lines)
