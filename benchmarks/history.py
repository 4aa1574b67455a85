"""What a new file costs on a history: the step that makes a snapshot, for one new file of 3,000 rows.

    make bench-history [ROWS="3000 100000 1000000"] [NEW=3000]

The histories are synthetic and seeded. Half of the new file is copies of known ads without their links, in
another layout. Each step runs in a process of its own; its seconds are those of a core, its memory the peak.
Exits 1 if the step takes more than `MOST_MIB`.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.linking import write_synthetic
from carprice.history import assembling
from carprice.listings.schema import COLUMNS
from carprice.listings.tables import as_canonical
from carprice.params import Params
from carprice.store import DataRoot
from carprice_contract.data_root import LISTINGS
from carprice_contract.formats import FORMAT, RECEIPT

MOST_MIB = 2048.0
DAYS = ("2026-01-01T00:00:00+00:00", "2026-02-01T00:00:00+00:00")


def main() -> int:
    """Print one line for each size; returns 1 where a limit is missed, else 0."""
    sizes = [int(rows) for rows in (os.environ.get("ROWS") or "3000 100000 1000000").split()]
    new = int(os.environ.get("NEW") or 3000)
    problems = 0
    print(
        f"{'listings before':>15} {'':<22} {'s of a core':>12} {'seconds':>8} {'MiB':>7} {'folder, MB':>11}"
    )
    with tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder:
        for rows in sizes:
            path = Path(folder) / f"{rows}.parquet"
            write_synthetic(str(path), rows + new)
            root = DataRoot(str(Path(folder) / f"root-{rows}"))
            write_files(root, as_canonical(pd.read_parquet(path)), rows, new)
            for what in ("first", "next"):
                command = [sys.executable, "-m", "benchmarks.history", root.location, what]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
                core, seconds, mib = (float(figure) for figure in done.stdout.split()[-3:])
                latest = root.read_json("snapshots/latest.json")["id"]
                written = Path(root.location, "snapshots", latest).iterdir()
                size = sum(file.stat().st_size for file in written) / 1e6
                words = {"first": "all of them at once", "next": f"{new:,} rows after them"}[what]
                print(
                    f"{rows:>15,} {words:<22} {core:>12.1f} {seconds:>8.1f} {mib:>7,.0f} {size:>11.1f}",
                    flush=True,
                )
                problems += mib > MOST_MIB
    return 1 if problems else 0


def write_files(root: DataRoot, listings: pd.DataFrame, rows: int, new: int) -> None:
    """Write two accepted files: `rows` listings, and `new` others of which half are copies of these."""
    random = np.random.default_rng(0)
    first = listings.head(rows)
    again = first.sample(min(new // 2, rows), random_state=1)
    city = pd.Series(random.choice(["Rabat", "Fès", "Agadir"], len(again)), index=again.index)
    copies = again.assign(
        listing_id=[f"copy-{number}" for number in range(len(again))], url=None, city=city.astype(object)
    )
    second = pd.concat([copies, listings.iloc[rows : rows + new - len(again)]], ignore_index=True)
    for name, table, day in zip(("first", "second"), (first, second), DAYS, strict=True):
        sha256 = hashlib.sha256(name.encode()).hexdigest()
        table = table.assign(source_sha256=sha256, scraped_at=None)[list(COLUMNS)]
        root.write_parquet(f"{LISTINGS}/{sha256}.parquet", as_canonical(table))
        receipt = {
            FORMAT: RECEIPT,
            "sha256": sha256,
            "file": f"{name}.csv",
            "names": [f"{name}.csv"],
            "status": "accepted",
            "checked_at": day,
        }
        counts = {key: len(table) for key in ("rows_in", "rows_accepted", "rows_refused", "rows_repeated")}
        root.write_json(f"receipts-{name}/{sha256}.json", receipt | counts)


def assemble(root: DataRoot, what: str) -> None:
    """Make the first or the next snapshot and print what it cost."""
    name = {"first": "first", "next": "second"}[what]
    sha256 = hashlib.sha256(name.encode()).hexdigest()
    root.write_json(f"receipts/{sha256}.json", root.read_json(f"receipts-{name}/{sha256}.json"))
    core, started = time.process_time(), time.monotonic()
    assembling.assemble(root, Params(), [sha256])
    print(time.process_time() - core, time.monotonic() - started, peak_mib())


def peak_mib() -> float:
    """The most memory that this process held. `ru_maxrss` would count what its parent held when it began."""
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"^VmHWM:\s+(\d+) kB$", status, re.MULTILINE)[1]) / 1024  # type: ignore[index]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        assemble(DataRoot(sys.argv[1]), sys.argv[2])
    else:
        sys.exit(main())
