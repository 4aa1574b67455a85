"""The cost of drift, live accuracy and their reports, for a large new file and for a large learned one.

    make bench-report [ROWS=300000]

Trains and promotes a model on a synthetic file. Then lands another synthetic file with all columns filled,
and measures `score-new-listings` and `detect-drift`: seconds, peak memory and the size of each page. First
the new file has `ROWS` rows, then the learned one. Exits 1 if a figure exceeds its limit.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from demo.settings import REPOSITORY

from carprice.listings import sample

SMALL_ROWS = 2_000
# Limits of a background step on a small machine, and of a page that a browser opens from a mail.
MOST_SECONDS, MOST_MIB, MOST_MB = 60.0, 1536.0, 5.0


def main() -> int:
    """Print the table; returns the exit status."""
    rows = int(os.environ.get("ROWS") or 300_000)
    problems = []
    print(f"{'learned':>10} {'landed':>10}  {'':<44} {'found':>10} {'limit':>10}")
    for learned, landed in ((SMALL_ROWS, rows), (rows, SMALL_ROWS)):
        with tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder:
            for name, found, limit in figures(Bench(Path(folder)), learned, landed):
                print(f"{learned:>10,} {landed:>10,}  {name:<44} {found:>10,.2f} {limit:>10,.0f}", flush=True)
                if found >= limit:
                    problems.append(f"{name}: less than {limit:,.0f} was expected, found {found:,.2f}")
    for problem in problems:
        print(f"bench-report: {problem}", file=sys.stderr)
    return 1 if problems else 0


def figures(bench: Bench, learned: int, landed: int) -> Iterator[tuple[str, float, float]]:
    """The cost of each step and of each of its pages, with the limit."""
    bench.carprice("run", bench.file("learned.csv", learned, seed=1))
    file = bench.file("landed.csv", landed, seed=2)
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    bench.carprice("land", file)
    bench.step("check-data-quality", "--file", file.name, "--sha256", sha256)
    bench.step("assemble-listings", "--sha256", sha256)
    for step in ("score-new-listings", "detect-drift"):
        before = set(bench.pages())
        bench.step(step)
        yield f"{step}, seconds of a core", bench.seconds, MOST_SECONDS
        yield f"{step}, peak MiB", bench.peak_mib, MOST_MIB
        for page in sorted(set(bench.pages()) - before):
            yield f"{page.parent.name}/{page.name[-36:]}, MB", page.stat().st_size / 1e6, MOST_MB


class Bench:
    """A new data root, and `carprice` commands on it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.seconds = 0.0
        self.peak_mib = 0.0

    def file(self, name: str, rows: int, seed: int) -> Path:
        """Write a new synthetic file, and return its path."""
        file = self.folder / name
        file.write_text(sample.to_csv(sample.generate(rows, seed=seed)), "utf-8")
        return file

    def step(self, *arguments: str) -> Any:
        """The result of a step."""
        result = self.folder / "result.json"
        self.carprice(*arguments, "--result", str(result))
        return json.loads(result.read_text())

    def carprice(self, *arguments: str | Path) -> None:
        """Run a command, and keep its CPU seconds and peak memory. Exits if it fails."""
        environment = {
            k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "CARPRICE_PARAMS")
        }
        process = subprocess.Popen(
            [str(REPOSITORY / "bin" / "carprice"), *arguments],
            env=environment | {"DATA_DIR": str(self.data)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        _, status, usage = os.wait4(process.pid, 0)
        # CPU seconds do not depend on what else the machine does.
        self.seconds = usage.ru_utime + usage.ru_stime
        self.peak_mib = usage.ru_maxrss / 1024
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{' '.join(map(str, arguments))} ended with status {process.returncode}")

    def pages(self) -> list[Path]:
        """The pages that exist."""
        return list((self.data / "reports").rglob("*.html"))


if __name__ == "__main__":
    sys.exit(main())
