"""A data root with everything a run leaves in it, for tests to look at and change."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from carprice.lifecycle.registry import Registry
from carprice.listings import sample
from carprice.params import Params
from carprice.store import DataRoot

FAST = """
promotion: {production_confidence: 0.8, max_mape: 0.35, max_median_ape: 0.3, min_r2_log: 0.3}
"""


@dataclass
class System:
    """A data root with its embedded registry."""

    root: DataRoot
    params: Params
    registry: Registry
    report: dict[str, Any]

    @property
    def folder(self) -> Path:
        return Path(self.root.location)

    def version(self, alias: str) -> str | None:
        """The number of the version that an alias names."""
        found = self.registry.version_of(alias)
        return None if found is None else str(found.version)

    def land(self, name: str, rows: int, seed: int) -> Path:
        """A synthetic file outside the data root, ready to be landed."""
        path = self.folder / name
        sample.write_sample(str(path), rows, seed)
        return path
