"""What checking a large file costs, compared with reading it by pandas alone.

    make bench-ingest [ROWS="1000000 5000000"]

Synthetic files with the 32 columns of a scraper are checked as `carprice check` does it, and read with
`pandas.read_csv(dtype=str)`, each in a process of its own, one after the other. Times are CPU seconds of the
process, which other work on the machine changes little. Of the parts, `reading` is done once more alone.
Exits 1 if a check costs more than three times what pandas costs, or needs more memory than its limit.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from carprice.formats import thousands
from carprice.listings import sample

MOST_TIMES, MOST_MIB, MOST_GROWTH = 3.0, 1024.0, 1.25
_ROWS_AT_ONCE = 200_000


def main() -> int:
    """Print the table; returns 1 where a figure is worse than its limit, else 0."""
    if len(sys.argv) == 3:
        print(json.dumps(_measured(*sys.argv[1:])))
        return 0
    rows = [int(word) for word in (os.environ.get("ROWS") or "1000000 5000000").split()]
    failed = False
    memory: list[float] = []
    heads = ("rows", "MB", "pandas s", "reading s", "check s", "times", "check MiB")
    print(" ".join(f"{head:>10}" for head in heads))
    with tempfile.TemporaryDirectory() as folder:
        for number in rows:
            file = Path(folder) / "listings.csv"
            _write(file, number)
            pandas, reading, check = (_in_a_process(kind, file) for kind in ("pandas", "reading", "check"))
            if (check["rows"], reading["rows"], pandas["rows"]) != (number,) * 3:
                raise AssertionError(f"{number} rows were expected, found {check}, {reading}, {pandas}")
            times = check["seconds"] / pandas["seconds"]
            memory.append(check["mib"])
            failed = failed or times > MOST_TIMES or check["mib"] > MOST_MIB
            seconds = [f"{each['seconds']:.1f}" for each in (pandas, reading, check)]
            figures = [thousands(number), f"{file.stat().st_size / 1e6:.0f}", *seconds, f"{times:.2f}"]
            print(" ".join(f"{figure:>10}" for figure in [*figures, f"{check['mib']:.0f}"]), flush=True)
    failed = failed or max(memory) > MOST_GROWTH * min(memory)
    print(f"limits: {MOST_TIMES} times, {MOST_MIB:.0f} MiB, memory of all sizes within {MOST_GROWTH - 1:.0%}")
    return int(failed)


def _write(file: Path, rows: int) -> None:
    """A file of so many rows, made in parts that differ, so that its size is not in memory."""
    with file.open("w", encoding="utf-8") as output:
        for part, first in enumerate(range(0, rows, _ROWS_AT_ONCE)):
            text = sample.to_csv(sample.generate(min(_ROWS_AT_ONCE, rows - first), seed=part))
            output.write(text if part == 0 else text.partition("\n")[2])


def _in_a_process(kind: str, file: Path) -> dict[str, Any]:
    command = [sys.executable, "-m", "benchmarks.ingest", kind, str(file)]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return found


def _measured(kind: str, file: str) -> dict[str, Any]:
    begun = time.process_time()
    rows = {"pandas": _by_pandas, "reading": _by_reading, "check": _by_check}[kind](file)
    seconds = time.process_time() - begun
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"rows": rows, "seconds": seconds, "mib": mib}


def _by_pandas(file: str) -> int:
    import pandas as pd

    return len(pd.read_csv(file, dtype=str))


def _by_reading(file: str) -> int:
    from carprice.listings.reading import open_raw

    return sum(len(chunk.table) for chunk in open_raw(file).chunks())


def _by_check(file: str) -> int:
    from carprice.params import Params
    from carprice.quality.check import try_file

    rows: int = try_file(file, Params().quality)["rows_in"]
    return rows


if __name__ == "__main__":
    sys.exit(main())
