"""The quality page, which tells a data owner what became of a file."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from carprice.formats import thousands
from carprice.listings.columns import REQUIRED
from carprice.listings.headers import HEADERS
from carprice.listings.schema import COLUMNS
from carprice.listings.text import shorten
from carprice.listings.values import is_unknown
from carprice.params import QualityParams
from carprice.quality.identities import identity_words
from carprice.quality.outcome import Outcome
from carprice.reports.html import templates

# the values of a refused row that help its owner to find it
_KEY_FIELDS = ("make", "model", "model_year", "mileage", "price_mad")
_DELIMITER_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}


def quality_page(receipt: dict[str, Any], outcome: Outcome, params: QualityParams) -> str:
    """The HTML page that tells a data owner what became of a file, complete in itself."""
    return (
        templates()
        .get_template("quality.html")
        .render(
            receipt=receipt,
            params=params,
            delimiter=_DELIMITER_NAMES.get(receipt["delimiter"] or "", ""),
            checked_at=datetime.fromisoformat(receipt["checked_at"]).strftime("%d %B %Y, %H:%M UTC"),
            identity=identity_words(receipt["identity"]),
            columns=_columns(outcome),
            absent=_absent(outcome),
            required=[HEADERS[name][0] for name in REQUIRED],
            examples=_examples(outcome),
            key_headers=_key_headers(outcome),
            whole_sample=outcome.sample.is_whole,
        )
    )


def _columns(outcome: Outcome) -> list[dict[str, Any]]:
    """One entry per column of the file: its name, its use, its share of filled rows, its content in words."""
    raw, found = outcome.raw, outcome.found
    if raw is None or found is None or not outcome.rows:
        return []
    rows, listings = outcome.sample.raw(), outcome.sample.listings()
    words = {
        "index": "row number, not used",
        "second": "not used: another column says the same",
        "unknown": "not known, kept aside",
    }
    entries = []
    for column, use in outcome.columns().items():
        counts = rows[column].value_counts()
        known = counts[[not is_unknown(str(value)) for value in counts.index]]
        name = use if use in HEADERS else None
        entries.append(
            {
                "name": column or "(no name)",
                "use": HEADERS[name][0] if name else words[use],
                "known": name is not None,
                "required": name in REQUIRED,
                "filled": float(known.sum() / max(len(rows), 1)),
                "content": _content(name, known, listings),
            }
        )
    return entries


def _content(name: str | None, known: pd.Series[int], listings: pd.DataFrame) -> str:
    """The content of a column in a few words."""
    canonical = {"mileage": "mileage_km_min"}.get(name or "", name or "")
    column = COLUMNS.get(canonical)
    if column is not None and column.kind in {"number", "flag"} and len(listings):
        values = listings[canonical].dropna()
        if values.empty:
            return "no usable value"
        if column.kind == "flag":
            return f"yes in {values.mean():.0%} of the rows that say so"
        shown = str if canonical == "model_year" else thousands
        low, middle, high = (shown(round(v)) for v in (values.min(), values.median(), values.max()))
        return f"{low} to {high}, half below {middle}"
    if known.empty:
        return "always empty"
    if len(known) > 1 and known.iloc[0] == 1:
        return f"{thousands(len(known))} different values"
    top = ", ".join(f"{_shown(value)} ({thousands(times)})" for value, times in known.head(3).items())
    more = f" and {thousands(len(known) - 3)} other values" if len(known) > 3 else ""
    return top + more


def _absent(outcome: Outcome) -> list[str]:
    """Optional columns that the file does not have, by their usual header."""
    if outcome.found is None:
        return []
    ours = {"listing_id", "mileage_km_min", "mileage_km_max", "scraped_at", "source_sha256"}
    return [
        headers[0]
        for name, headers in HEADERS.items()
        if name not in outcome.found.columns and name not in ours and name not in REQUIRED
    ]


def _key_headers(outcome: Outcome) -> list[str]:
    return (
        [outcome.found.columns[f] for f in _KEY_FIELDS if f in outcome.found.columns] if outcome.found else []
    )


def _examples(outcome: Outcome) -> list[dict[str, Any]]:
    """Quarantined rows to look at: some of each reason, in the order of the file."""
    if outcome.examples is None:
        return []
    headers = _key_headers(outcome)
    return [
        {
            "line": example.line,
            "reason": example.reason,
            "values": [_shown(example.values[header]) for header in headers],
        }
        for example in outcome.examples.chosen()
    ]


def _shown(value: object) -> str:
    return shorten(str(value), 40)
