"""The receipt of a file: what became of it and how many rows had which fate."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from carprice.listings.column_uses import ColumnUse
from carprice.listings.headers import HEADERS
from carprice.listings.parsed import Unreadable
from carprice.listings.problems import RowProblem, note_sentence
from carprice.listings.reading import Note
from carprice.listings.title_facts import Contradiction
from carprice.params import QualityParams
from carprice.quality.hold import HoldReason, PriceSource, no_prices
from carprice.quality.outcome import Outcome
from carprice_contract.formats import FORMAT, RECEIPT

_MOST_LINES = 100


def receipt_of(
    file: str,
    sha256: str,
    size: int,
    outcome: Outcome,
    params: QualityParams,
    prices: PriceSource | None = no_prices,
) -> dict[str, Any]:
    """The receipt as JSON; `size` is the number of bytes of the file.

    A file that could be used is held if there is a reason. Without `prices` it is not.

    Raises `AssertionError` when the rows of the file and the rows of all fates differ: a row that is counted
    twice or not at all is a bug, and no receipt is written over it.
    """
    raw, found, refusal = outcome.raw, outcome.found, outcome.refusal
    rows = outcome.counts()
    if sum(rows.values()) != outcome.rows or outcome.fates.total() != outcome.rows:
        raise AssertionError(
            f"{file} has {outcome.rows} rows, but other numbers have a fate ({dict(outcome.fates)}): "
            "this is a bug of carprice"
        )
    reasons: list[HoldReason] = []
    price_check = None
    if refusal is None and outcome.evidence is not None and prices is not None:
        reasons, price_check = outcome.evidence.reasons(params, prices)
    return {
        FORMAT: RECEIPT,
        "file": file,
        "names": [file],
        "sha256": sha256,
        "bytes": size,
        "status": "refused" if refusal else "held" if reasons else "accepted",
        "rows_in": outcome.rows,
        "rows_repeated": rows["repeated"],
        "rows_accepted": rows["accepted"],
        "rows_partial": outcome.partial,
        "rows_unpriced": rows["unpriced"],
        "rows_not_used_cars": rows["not_used_car"],
        "rows_quarantined": rows["quarantined"],
        "rows_refused": rows["quarantined"],
        "distinct_listings": outcome.distinct_listings,
        "identity": outcome.identity(),
        "refusal": None if refusal is None else str(refusal),
        "refusal_code": None if refusal is None else refusal.code,
        "refusal_params": None if refusal is None else refusal.params,
        "hold": [reason.record() for reason in reasons],
        "price_check": price_check,
        "decision": None,
        "reasons": _counted(outcome.reasons),
        "reasons_aside": _counted(outcome.aside),
        "unreadable_values": [_unreadable(found) for found in outcome.unreadable.values()],
        "notes": [_note(note) for note in outcome.notes],
        "contradictions": [_contradiction(told) for told in outcome.contradictions.values()],
        "columns": outcome.columns(),
        "column_uses": [_use(use) for use in found.uses] if found else [],
        "learned_names": {"snapshot_id": outcome.known.snapshot_id, "names": len(outcome.known.names)},
        "unknown_columns": found.unused if found else [],
        "missing_columns": [HEADERS[name][0] for name in found.missing] if found else [],
        "format": raw.format if raw else None,
        "encoding": raw.encoding if raw else None,
        "delimiter": raw.delimiter if raw else None,
        "quality_page": f"reports/quality/{sha256}.html",
        "written_at": None if outcome.written_at is None else outcome.written_at.isoformat(),
        "checked_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }


def _counted(reasons: Mapping[RowProblem, int]) -> list[dict[str, Any]]:
    """The reasons in their order, each with its rows."""
    return [_problem(problem) | {"rows": rows} for problem, rows in reasons.items()]


def _unreadable(found: Unreadable) -> dict[str, Any]:
    return _problem(found.problem) | {"rows": found.rows, "examples": list(found.examples)}


def _problem(problem: RowProblem) -> dict[str, Any]:
    return {
        "column": problem.column,
        "code": problem.code,
        "params": dict(problem.params),
        "sentence": problem.sentence(),
    }


def _contradiction(told: Contradiction) -> dict[str, Any]:
    return {
        "field": told.column,
        "rows": told.rows,
        "examples": [{"column": value, "title": title} for value, title in told.examples],
    }


def _use(use: ColumnUse) -> dict[str, Any]:
    return {
        "column": use.column,
        "taken_for": use.taken_for,
        "field": use.field,
        "code": use.code,
        "params": dict(use.params),
        "sentence": use.reason(),
    }


def _note(note: Note) -> dict[str, Any]:
    return {
        "code": note.code,
        "params": dict(note.params),
        "sentence": note_sentence(note.code, note.params),
        "lines": len(note.lines),
        "first_lines": note.lines[:_MOST_LINES].tolist(),
    }
