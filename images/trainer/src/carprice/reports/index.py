"""The index of all reports: the state of the system at the top, then every report, newest first."""

from __future__ import annotations

from datetime import UTC, datetime

from carprice.reports.html import templates
from carprice.reports.index_rows import KINDS, rows_by_kind
from carprice.reports.index_summary import attention, tiles
from carprice.reports.state import SystemState
from carprice.store import DataRoot
from carprice_contract.data_root import REPORT_INDEX


def write_index(root: DataRoot, state: SystemState) -> None:
    """Write `reports/index.html` with the newest reports of each kind, newest first."""
    found = rows_by_kind(root, state)
    listed = [row for of_kind in found.values() for row in of_kind.rows]
    page = (
        templates()
        .get_template("index.html")
        .render(
            rows=sorted(listed, key=lambda row: row.at, reverse=True),
            kinds={kind: (title, found[kind].total) for kind, title in KINDS.items()},
            left_off={kind: of.total - len(of.rows) for kind, of in found.items() if of.total > len(of.rows)},
            tiles=tiles(state),
            attention=attention(state),
            written_at=datetime.now(UTC),
        )
    )
    root.write_text(REPORT_INDEX, page)
