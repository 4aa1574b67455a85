"""Writes what people and machines watch: the index of all reports and the gauges for Prometheus."""

from __future__ import annotations

from typing import Any

from carprice.monitoring import gauges
from carprice.reports.index import write_index
from carprice.reports.state import read_state, save_production_history
from carprice.store import DataRoot


def publish(root: DataRoot, history: list[dict[str, Any]] | None = None) -> None:
    """Bring the index and the gauges up to date.

    `history` is the registry's history of production; None means that the registry was not asked, and the
    history of the last time counts.
    """
    if history is not None:
        save_production_history(root, history)
    state = read_state(root)
    write_index(root, state)
    gauges.write(root, state)
