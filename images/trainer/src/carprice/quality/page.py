"""The quality page, which tells a data owner what became of a file."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import pandas as pd

from carprice.formats import thousands
from carprice.listings.column_uses import ColumnUse
from carprice.listings.columns import REQUIRED
from carprice.listings.headers import HEADERS
from carprice.listings.schema import COLUMNS, EQUIPMENT
from carprice.listings.text import shorten
from carprice.listings.title_facts import TOLD
from carprice.listings.values import is_unknown
from carprice.params import QualityParams
from carprice.quality.identities import identity_words
from carprice.quality.outcome import Outcome
from carprice.reports.html import templates

_ROLE_WORDS: dict[str, str] = {
    "title": "title of the ad",
    "make_and_model": "make and model",
    "equipment": "list of equipment",
    "category": "category of the ad",
    "current_price": "current price",
    "availability": "whether the car is on sale",
    "place": "place of the ad",
    "currency": "currency or unit of the price",
    "index": "row number",
    "second": "not used",
    "other_unit": "not used",
    "unknown": "not used",
}
_NOT_USED = ("index", "second", "other_unit", "unknown")
_DELIMITER_NAMES = {
    ",": "comma",
    ";": "semicolon",
    "\t": "tab",
    "|": "vertical bar",
    "^": "caret",
    "~": "tilde",
}


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
            contradictions=_contradictions(receipt),
            examples=_examples(outcome),
            key_headers=outcome.key_columns(),
            whole_sample=outcome.sample.is_whole,
        )
    )


def _columns(outcome: Outcome) -> list[dict[str, Any]]:
    """One entry per column of the file: its name, its use, its share of filled rows, its content in words."""
    raw, found = outcome.raw, outcome.found
    if raw is None or found is None or not outcome.rows:
        return []
    rows, listings = outcome.sample.raw(), outcome.sample.listings()
    entries = []
    for use in found.uses:
        counts = rows[use.column].value_counts()
        known = counts[[not is_unknown(str(value)) for value in counts.index]]
        name = use.field if use.role == "field" else None
        entries.append(
            {
                "name": use.column or "(no name)",
                "use": _taken_for(use),
                "why": "" if use.code in ("header", "not_known") else use.reason(),
                "known": use.role not in _NOT_USED,
                "required": name in REQUIRED,
                "filled": float(known.sum() / max(len(rows), 1)),
                "content": _content(name, known, listings),
            }
        )
    return entries


def _taken_for(use: ColumnUse) -> str:
    """What a column is used for, in words: the usual header of a field where there is one."""
    if use.role == "field" and use.field is not None:
        return HEADERS[use.field][0]
    if use.role == "mixed":
        return f"several: {', '.join(HEADERS[name][0] for name in use.params['fields'])}"
    return _ROLE_WORDS[use.role]


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
    held = {"listing_id", "mileage_km_min", "mileage_km_max", "scraped_at", "source_sha256", *REQUIRED}
    held |= set(outcome.found.columns)
    for use in outcome.found.uses:
        told = {"equipment": EQUIPMENT, "title": TOLD, "place": ("city", "district")}.get(use.role, ())
        held |= {*told, *use.params.get("fields", ())}
    return [headers[0] for name, headers in HEADERS.items() if name not in held]


def _contradictions(receipt: dict[str, Any]) -> list[dict[str, Any]]:
    """Where titles say something else than a column, with the column's usual header."""
    return [told | {"header": HEADERS[told["field"]][0]} for told in receipt["contradictions"]]


def _examples(outcome: Outcome) -> list[dict[str, Any]]:
    """Quarantined rows to look at: some of each reason, in the order of the file."""
    if outcome.examples is None:
        return []
    headers = outcome.key_columns()
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
