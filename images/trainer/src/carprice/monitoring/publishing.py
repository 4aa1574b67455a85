"""What is made of the records: the index that reviewers open and the gauges that ops watch."""

from __future__ import annotations

from typing import Any

from carprice.monitoring import gauges
from carprice.reports.report_index import write_index
from carprice.reports.report_records import state_of
from carprice.store import DataRoot


def publish(root: DataRoot, history: list[dict[str, Any]] | None = None) -> None:
    """Bring index and gauges up to date. `history` is the registry's, None where it was not asked."""
    state = state_of(root, history)
    write_index(root, state)
    gauges.write(root, state)
