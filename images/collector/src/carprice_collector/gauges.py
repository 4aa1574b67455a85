"""Figures of the newest run of each source for Prometheus; the price API adds them to its own `/metrics`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from carprice.store import DataRoot
from carprice_contract.data_root import COLLECTOR_GAUGES

HELP = {
    "carprice_collect_pages": "Pages that the newest run of a source read.",
    "carprice_collect_pages_lost": "Pages that it could not read or may not read.",
    "carprice_collect_ads": "Ads that it found.",
    "carprice_collect_unpriced": "Ads among them without a price.",
    "carprice_collect_refusals": "Answers with which the site asked it to wait or to stop.",
    "carprice_collect_seconds": "Seconds that it took, the waits between requests included.",
    "carprice_collect_complete": "1 if it read everything that it was asked for, else 0.",
    "carprice_collect_held": "1 if it is held because the site changed, else 0.",
    "carprice_collect_ended_timestamp_seconds": "When it ended.",
}

_SAMPLE = re.compile(r'(\w+)\{source="([^"]*)"\} (\S+)')


def write(root: DataRoot, manifest: Mapping[str, Any]) -> None:
    """Put the figures of a run that has ended in the place of those of its source's last one."""
    old = root.read_bytes(COLLECTOR_GAUGES).decode() if root.exists(COLLECTOR_GAUGES) else ""
    root.write_text(COLLECTOR_GAUGES, text_of(manifest, old))


def text_of(manifest: Mapping[str, Any], old: str = "") -> str:
    """The figures in Prometheus' text format; `old` has those of the other sources."""
    source = re.sub(r"[^\w.-]", "_", str(manifest["source"]))
    samples = {(name, of): value for name, of, value in _SAMPLE.findall(old) if of != source}
    samples |= {(name, source): f"{value:.12g}" for name, value in _values(manifest).items()}
    lines = []
    for name, words in HELP.items():
        lines += [f"# HELP {name} {words}", f"# TYPE {name} gauge"]
        lines += [
            f'{name}{{source="{of}"}} {value}' for (its, of), value in sorted(samples.items()) if its == name
        ]
    return "\n".join(lines) + "\n"


def _values(manifest: Mapping[str, Any]) -> dict[str, float]:
    started, ended = (datetime.fromisoformat(manifest[key]) for key in ("started_at", "ended_at"))
    found = (
        manifest["pages_read"],
        sum(manifest["pages_lost"].values()),
        manifest["ads"],
        manifest["unpriced"],
        manifest["refusals"],
        (ended - started).total_seconds(),
        manifest["complete"],
        bool(manifest.get("findings")),
    )
    values = dict(zip(HELP, map(float, found), strict=False))
    return values | {"carprice_collect_ended_timestamp_seconds": ended.timestamp()}
