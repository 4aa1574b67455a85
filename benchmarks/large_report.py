"""What drift and its reports cost on a large landing.

    make bench-report [ROWS=300000]

A model is trained on a synthetic file and promoted. Then a synthetic file of `ROWS` rows lands, all columns
filled, and `detect-drift` compares it with what production learned: its seconds, its peak memory, and the
size of each page it wrote.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from demo.settings import REPOSITORY

from carprice import sample

LEARNED_ROWS = 2_000


def main() -> int:
    """Print the table; returns the exit status."""
    rows = int(os.environ.get("ROWS") or 300_000)
    with tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder:
        bench = Bench(Path(folder))
        bench.carprice("run", bench.file("learned.csv", LEARNED_ROWS, seed=1))
        large = bench.file("large.csv", rows, seed=2)
        sha256 = hashlib.sha256(large.read_bytes()).hexdigest()
        bench.carprice("land", large)
        bench.step("check-data-quality", "--file", large.name, "--sha256", sha256)
        bench.step("assemble-listings", "--sha256", sha256)
        before = set(bench.pages())
        bench.step("detect-drift")
        print(f"{'rows landed':<44} {rows:>12,}")
        print(f"{'detect-drift, seconds':<44} {bench.seconds:>12.1f}")
        print(f"{'detect-drift, peak MiB':<44} {bench.peak_mib:>12,.0f}")
        for page in sorted(set(bench.pages()) - before):
            print(f"{page.name[-40:] + ', MB':<44} {page.stat().st_size / 1e6:>12.2f}")
    return 0


class Bench:
    """A data root of its own, and `carprice` commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.seconds = 0.0
        self.peak_mib = 0.0

    def file(self, name: str, rows: int, seed: int) -> Path:
        """The path of a new synthetic file."""
        file = self.folder / name
        file.write_text(sample.to_csv(sample.generate(rows, seed=seed)), "utf-8")
        return file

    def step(self, *arguments: str) -> Any:
        """The result of a step."""
        result = self.folder / "result.json"
        self.carprice(*arguments, "--result", str(result))
        return json.loads(result.read_text())

    def carprice(self, *arguments: str | Path) -> None:
        """Run a command; its seconds and peak memory are kept. Ends the benchmark if it fails."""
        environment = {
            k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "CARPRICE_PARAMS")
        }
        begun = time.perf_counter()
        process = subprocess.Popen(
            [str(REPOSITORY / "bin" / "carprice"), *arguments],
            env=environment | {"DATA_DIR": str(self.data)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        self.seconds = time.perf_counter() - begun
        self.peak_mib = usage.ru_maxrss / 1024
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, arguments))} ended with status {process.returncode}")

    def pages(self) -> list[Path]:
        """The drift reports there are."""
        return list((self.data / "reports" / "drift").rglob("*.html"))


if __name__ == "__main__":
    sys.exit(main())
