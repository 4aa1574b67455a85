"""What can be wrong with a value, a row or a file: a stable code, its parameters and the English sentence.

Programs and translations use the code and the parameters. The sentences may be reworded at any time.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from carprice.formats import thousands

EXPECTED: dict[str, str] = {
    "text": "text of at most {longest} characters",
    "link": "a link of at most {longest} characters",
    "year": "a year such as 2015 (from {low} to {high})",
    "mileage": "a mileage such as '200 000 - 249 999' or '173 000 km' (from {low} to {high})",
    "kilometres": "a number of kilometres such as 200000 (from {low} to {high})",
    "fiscal_power": "a fiscal power such as '6 CV' (from {low} to {high})",
    "number_of_doors": "a number of doors such as 5 (from {low} to {high})",
    "amount": "an amount in dirhams such as 60000 or '60 000 DH' (more than 0 dirhams)",
    "date": "a date such as 2023-12-31 or 31/12/2023",
    "yes_or_no": "a yes or no",
}
"""What a field takes. The parameter `expected` of a problem is one of these keys; `low` and `high`, or
`longest`, stand beside it."""

VALUE_CODES: dict[str, str] = {
    "unknown_or_empty": "empty or unknown",
    "out_of_range": "must be from {low} to {high}",
    "not_positive": "must be more than 0 dirhams",
    "too_long": "longer than {longest} characters",
    "not_text": "not text",
    "not_a_year": "not a year such as 2015",
    "not_a_mileage": "not a mileage such as '200 000 - 249 999' or '173 000 km'",
    "not_kilometres": "not a number of kilometres such as 200000",
    "not_a_fiscal_power": "not a fiscal power such as '6 CV'",
    "not_a_number_of_doors": "not a number of doors such as 5",
    "not_an_amount": "not an amount in dirhams such as 60000 or '60 000 DH'",
    "not_a_date": "not a date such as 2023-12-31 or 31/12/2023",
    "not_a_yes_or_no": "not a yes or no",
    "mileage_bounds_reversed": "the least mileage is larger than the largest",
    "other_currency": "an amount in another currency; dirhams are expected",
    "price_per_period": "a rate per month or day; the price of the car is expected",
    "two_amounts": "two amounts, and nothing tells which one is asked",
    "two_years": "two years, and nothing tells which one is the model year",
    "other_distance": "a distance in miles; kilometres are expected",
    "in_the_future": "lies in the future",
    "other_meaning": "says something else than this column",
    "rounded_number": "a number in scientific notation, whose last digits are lost",
    "not_a_link": "not the address of a page",
    "no_known_make": "names no make that is known",
    "no_known_model": "names no model that is known",
    "given_twice": "another value than {other}, which stands for the same",
}
"""What is wrong with one value of a row or of a record. Every problem of these codes has `expected`."""

ROW_CODES: dict[str, str] = {
    "empty_row": "the row is empty",
    "unclosed_quote": "a quotation mark in the row is not closed",
    "joined_rows": "a quotation mark joins the row with the next ones",
    "doubtful_row": "the row stands below a damaged one and may be a part of it",
    "nul_byte": "the row holds a NUL byte",
    "not_a_record": "the row is no JSON object",
    "repeated_key": "the key {key} stands twice in the row",
    "wrong_number_of_values": "the row has {values} values, the header has {columns} columns",
    "moved_cells": "holds what looks like a value of {belongs}; the cells of the row have moved",
    "moved_value": "may be the value of another column, because the cells of the row have moved",
    "whole_file_refused": "nothing is wrong with the row itself: the whole file was refused",
}
"""What is wrong with the shape of a row."""

TITLE_CODES: dict[str, str] = {
    "title_names_no_make": "does not name a known make",
    "title_names_no_model": "does not name a known model",
    "title_names_another_make": "names another make than the column of makes",
    "title_names_several_cars": "names several cars",
    "title_says_no_year": "does not say the model year",
}
"""Why the title of an ad does not tell what its columns lack."""

ASIDE_CODES: dict[str, str] = {
    "no_asking_price": "no asking price",
    "sold": "the car is sold or no longer on sale: nobody asks this price any more",
    "no_price_of_a_car": "less than {least} MAD, which no car costs: no asking price",
    "not_a_used_car": "not a used car on sale: {found}",
}
"""Why a row without a fault is no listing. `found` is what the row itself says."""

NOTE_CODES: dict[str, str] = {
    "delimiter_line": "names the delimiter",
    "title_line": "stands above the header",
    "blank_line": "is blank",
    "total_line": "sums up other lines",
    "footer_line": "stands below the rows",
    "repeated_header": "is the header again",
    "other_header": "is another header; the rows below are read by it",
}
"""Why lines of a file are no rows."""

FILE_CODES: dict[str, tuple[str, ...]] = {
    "empty_file": ("bytes",),
    "other_format": ("format",),  # one of OTHER_FORMATS
    "not_text_file": ("nul_bytes", "control_bytes", "bytes"),
    "too_long_line": ("most",),
    "too_large_file": ("most",),
    "damaged_archive": (),
    "damaged_workbook": (),
    "several_sheets": ("sheets",),
    "not_json": ("line",),
    "no_list_of_records": (),
    "no_header": ("line",),
    "no_rows": ("columns",),
    "too_many_rows": ("most",),
    "missing_columns": ("missing", "found", "found_more"),  # usual headers; headers of the file; a count
    "other_unit": ("column", "expected", "found"),  # `expected` is a kind of unit: currency, distance, ...
    "too_many_refused_rows": ("refused", "rows", "share", "most_share", "reason", "times"),
    "too_few_rows": ("usable", "least"),
    "too_few_listings": ("distinct", "usable", "least"),
    "file_removed": ("file",),
    "rejected": ("by", "reason"),
}
"""Why a whole file is refused, with the parameters of each code."""

HOLD_CODES: dict[str, str] = {
    "prices_off": "the prices are {factor} times what model version {version} says of the same cars "
    "(the median of {rows} cars)",
    "prices_scattered": "{far} of {rows} prices are more than {times} times higher or lower than "
    "model version {version} says of the same cars",
    "no_usual_price": "the usual price is {amount} MAD (the median of {rows} cars), expected between {least} "
    "and {most}: are the prices in another currency or unit?",
    "one_price": "{times} of {rows} rows ask the same price, {amount} MAD",
    "ads_merged": "{merged} of {rows} rows are of different cars, but count as only {ads} ads: "
    "their links or ids are the same",
    "ads_alike": "{merged} of {rows} rows differ from another row only in the price and count as its ad "
    "({ads} ads in all)",
}
"""Why a file is held until a person releases or rejects it."""

OTHER_FORMATS: dict[str, str] = {
    "excel_or_zip": "an Excel workbook or a ZIP archive",
    "old_excel": "an old Excel workbook",
    "gzip": "a gzip archive",
    "pdf": "a PDF document",
    "parquet": "a Parquet file",
}

UNREADABLE: dict[str, str] = {
    "text": "too_long",
    "link": "too_long",
    "year": "not_a_year",
    "mileage": "not_a_mileage",
    "kilometres": "not_kilometres",
    "fiscal_power": "not_a_fiscal_power",
    "number_of_doors": "not_a_number_of_doors",
    "amount": "not_an_amount",
    "date": "not_a_date",
    "yes_or_no": "not_a_yes_or_no",
}
"""The code of a value that is not what its field expects."""


@dataclass(frozen=True)
class Problem:
    """One value of one record that can't be used.

    `field` is the caller's own word for it (the canonical name where it is missing), `value` what was
    found, shortened, or None, `accepted` what would be taken. `code` is one of `VALUE_CODES`, or
    `not_accepted` for what only one program checks; `params` are its parameters, as JSON holds them.
    """

    field: str
    value: str | None
    accepted: str
    code: str = "not_accepted"
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)

    def sentence(self) -> str:
        """What was expected of the field and what was found."""
        found = "nothing" if self.value is None else f"'{self.value}'"
        return f"{self.field}: {self.accepted} was expected, found {found}"


@dataclass(frozen=True)
class RowProblem:
    """One reason why a row of a file can't be used, or why one of its values is not.

    `code` is one of `VALUE_CODES`, `ROW_CODES`, `TITLE_CODES` and `ASIDE_CODES`, `params` are its parameters,
    as JSON holds them. `column` is the file's own word for the column at fault, None where it is the row as a
    whole.
    """

    code: str
    params: Mapping[str, Any] = dataclasses.field(default_factory=dict, hash=False)
    column: str | None = None

    def sentence(self) -> str:
        """The column at fault and what is wrong."""
        what = complaint(self.code, self.params)
        return what if self.column is None else f"{self.column}: {what}"


def complaint(code: str, params: Mapping[str, Any]) -> str:
    """What is wrong with a value or a row, in English."""
    return _written((VALUE_CODES | ROW_CODES | TITLE_CODES | ASIDE_CODES)[code], params)


def note_sentence(code: str, params: Mapping[str, Any]) -> str:
    """Why lines of a file are no rows, in English."""
    return _written(NOTE_CODES[code], params)


def hold_sentence(code: str, params: Mapping[str, Any]) -> str:
    """Why a file is held, in English."""
    return _written(HOLD_CODES[code], params)


def accepted(params: Mapping[str, Any]) -> str:
    """What a field takes, in English; `params` are those of a problem of `VALUE_CODES`."""
    return _written(EXPECTED[params["expected"]], params)


def _written(template: str, params: Mapping[str, Any]) -> str:
    return template.format(**{name: _number(value) for name, value in params.items()})


def _number(value: Any) -> str:
    # years have no separator
    return thousands(value) if isinstance(value, int) and value >= 10_000 else str(value)
