"""The receipt of a file: what became of it and how many rows had which fate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from carprice.listings.headers import HEADERS
from carprice.quality.outcome import Outcome


def receipt_of(file: str, sha256: str, size: int, outcome: Outcome) -> dict[str, Any]:
    """The receipt as JSON; `size` is the number of bytes of the file.

    Raises `AssertionError` when the rows of the file and the rows of all fates differ: a row that is counted
    twice or not at all is a bug, and no receipt is written over it.
    """
    found, refusal = outcome.found, outcome.refusal
    rows = outcome.counts()
    counted = sum(rows.values())
    if counted != len(outcome.problems):
        raise AssertionError(
            f"{file} has {len(outcome.problems)} rows, but {counted} rows have a fate ({rows}); this is a bug"
        )
    return {
        "file": file,
        "names": [file],
        "sha256": sha256,
        "bytes": size,
        "status": "refused" if refusal else "accepted",
        "rows_in": len(outcome.problems),
        "rows_repeated": rows["repeated"],
        "rows_accepted": rows["accepted"],
        "rows_partial": int(outcome.partial.sum()),
        "rows_unpriced": rows["unpriced"],
        "rows_not_used_cars": rows["not_used_car"],
        "rows_quarantined": rows["quarantined"],
        "rows_refused": rows["quarantined"],
        "distinct_listings": outcome.distinct_listings,
        "refusal": None if refusal is None else str(refusal),
        "refusal_code": None if refusal is None else refusal.code,
        "refusal_params": None if refusal is None else refusal.params,
        "hold": [],
        "price_check": None,
        "decision": None,
        "reasons": outcome.reasons,
        "columns": outcome.columns(),
        "unknown_columns": [*found.unknown, *found.second] if found else [],
        "missing_columns": [HEADERS[name][0] for name in found.missing] if found else [],
        "encoding": outcome.raw.encoding if outcome.raw else None,
        "delimiter": outcome.raw.delimiter if outcome.raw else None,
        "quality_page": f"reports/quality/{sha256}.html",
        "checked_at": datetime.now(UTC).isoformat(timespec="microseconds"),
    }
