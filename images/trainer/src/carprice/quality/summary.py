"""What became of a file in a few lines, for a data owner at a keyboard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from carprice.formats import thousands
from carprice.quality.identities import identity_words

MOST_REASONS = 10

_FATES = (
    ("rows_accepted", "accepted"),
    ("rows_repeated", "repeated, counted once"),
    ("rows_unpriced", "without an asking price"),
    ("rows_not_used_cars", "not a used car for sale"),
    ("rows_quarantined", "quarantined"),
)


def summary(receipt: Mapping[str, Any]) -> str:
    """The receipt of a file as plain text."""
    lines = [f"{receipt['file']}: {receipt['status']}"]
    if receipt["refusal"]:
        lines.append(f"  {receipt['refusal']}")
    lines += [f"  {reason['sentence']}" for reason in receipt["hold"]]
    lines += ["", _count(receipt["rows_in"], "rows in the file")]
    lines += [
        _count(receipt[key], words)
        for key, words in _FATES
        if receipt[key] or key in ("rows_accepted", "rows_quarantined")
    ]
    lines.append(_count(receipt["distinct_listings"], "distinct listings among the rows that can be used"))
    lines += [_count(ads, f"  {words}") for ads, words in identity_words(receipt["identity"])]
    if receipt["rows_partial"]:
        lines.append(_count(receipt["rows_partial"], "accepted rows without mileage or fuel"))
    if receipt["reasons"]:
        lines += ["", "Why rows were quarantined", *_reasons(receipt["reasons"])]
    if receipt["unreadable_values"]:
        lines += ["", "Values that were not used, in rows of any kind"]
        lines += _reasons(receipt["unreadable_values"])
    if receipt["columns"]:
        width = min(max(map(len, receipt["columns"])), 40)
        lines += ["", "What each column was taken for"]
        lines += [f"  {name or '(no name)':<{width}}  {use}" for name, use in receipt["columns"].items()]
    if receipt["missing_columns"]:
        lines += ["", f"Missing, and required: {', '.join(receipt['missing_columns'])}"]
    return "\n".join(lines)


def _count(rows: int, words: str) -> str:
    return f"{thousands(rows):>12}  {words}"


def _reasons(reasons: Sequence[Mapping[str, Any]]) -> list[str]:
    shown = [_count(reason["rows"], reason["sentence"]) for reason in reasons[:MOST_REASONS]]
    left = len(reasons) - MOST_REASONS
    return [*shown, f"{'':>12}  and {left} more reasons"] if left > 0 else shown
