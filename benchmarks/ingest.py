"""What checking a large file costs, compared with reading it by pandas alone.

    make bench-ingest [ROWS="1000000 5000000"]

Synthetic files with the 32 columns of a scraper are checked as `carprice check` does it, and read with
`pandas.read_csv`, with its default arguments and with `dtype=str`. Each is done in a process of its own, in
turn, three times for files up to a million rows; the best time counts. Times are those of a clock, because
the check uses a second core: let nothing else run. `CPU s` are those of all processes of the check together.
`MiB` is the most that they hold at one time, shared pages counted once; it is looked at ten times a second in
a run of its own. Exits 1 if a check takes more than three times what pandas takes by default, or needs more
memory than its limit.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]

from carprice.formats import thousands
from carprice.listings import sample

MOST_TIMES, MOST_MIB, MOST_GROWTH = 3.0, 1024.0, 1.25
_ROWS_AT_ONCE = 200_000
_FEW_ROWS = 1_000_000
_SECONDS_BETWEEN_LOOKS = 0.1


def main() -> int:
    """Print the table; returns 1 where a figure is worse than its limit, else 0."""
    if len(sys.argv) == 3:
        print(json.dumps(_measured(*sys.argv[1:])))
        return 0
    rows = [int(word) for word in (os.environ.get("ROWS") or "1000000 5000000").split()]
    failed = False
    memory: list[float] = []
    heads = ("rows", "MB", "read_csv s", "as text s", "check s", "times", "CPU s", "MiB")
    print(" ".join(f"{head:>10}" for head in heads))
    with tempfile.TemporaryDirectory() as folder:
        for number in rows:
            file = Path(folder) / "listings.csv"
            _write(file, number)
            default, text, check = _best(file, 3 if number <= _FEW_ROWS else 1)
            if (check["rows"], text["rows"], default["rows"]) != (number,) * 3:
                raise AssertionError(f"{number} rows were expected, found {check}, {text}, {default}")
            times = check["seconds"] / default["seconds"]
            memory.append(_memory_of_check(file))
            failed = failed or times > MOST_TIMES or memory[-1] > MOST_MIB
            seconds = [f"{each['seconds']:.1f}" for each in (default, text, check)]
            figures = [thousands(number), f"{file.stat().st_size / 1e6:.0f}", *seconds, f"{times:.2f}"]
            figures += [f"{check['cpu']:.1f}", f"{memory[-1]:.0f}"]
            print(" ".join(f"{figure:>10}" for figure in figures), flush=True)
    failed = failed or max(memory) > MOST_GROWTH * min(memory)
    print(f"limits: {MOST_TIMES} times, {MOST_MIB:.0f} MiB, memory of all sizes within {MOST_GROWTH - 1:.0%}")
    return int(failed)


def _write(file: Path, rows: int) -> None:
    """A file of so many rows, made in parts that differ, so that its size is not in memory."""
    with file.open("w", encoding="utf-8") as output:
        for part, first in enumerate(range(0, rows, _ROWS_AT_ONCE)):
            text = sample.to_csv(sample.generate(min(_ROWS_AT_ONCE, rows - first), seed=part))
            output.write(text if part == 0 else text.partition("\n")[2])


def _best(file: Path, times: int) -> list[dict[str, Any]]:
    """The fastest of some runs of each kind, which take turns."""
    runs = [[_in_a_process(kind, file) for kind in ("default", "text", "check")] for _ in range(times)]
    return [min(of_kind, key=lambda run: float(run["seconds"])) for of_kind in zip(*runs, strict=True)]


def _in_a_process(kind: str, file: Path) -> dict[str, Any]:
    run = subprocess.run(_command(kind, file), check=True, capture_output=True)
    found: dict[str, Any] = json.loads(run.stdout)
    return found


def _memory_of_check(file: Path) -> float:
    """The most that the processes of a check hold at one time, MiB."""
    most = 0
    with subprocess.Popen(_command("check", file), stdout=subprocess.DEVNULL) as run:
        while run.poll() is None:
            most = max(most, _held(run.pid))
            time.sleep(_SECONDS_BETWEEN_LOOKS)
    if run.returncode:
        raise subprocess.CalledProcessError(run.returncode, run.args)
    return most / 2**20


def _held(pid: int) -> int:
    """What a process and its children hold, bytes; a page that some of them share counts once."""
    held = 0
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for each in (process, *process.children(recursive=True)):
            held += each.memory_full_info().pss
    return held


def _command(kind: str, file: Path) -> list[str]:
    return [sys.executable, "-m", "benchmarks.ingest", kind, str(file)]


def _measured(kind: str, file: str) -> dict[str, Any]:
    run = {"default": _by_pandas, "text": _by_pandas_as_text, "check": _by_check}[kind]
    importlib.import_module("carprice.quality.check")
    begun = time.perf_counter()
    rows = run(file)
    seconds = time.perf_counter() - begun
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return {
        "rows": rows,
        "seconds": seconds,
        "cpu": sum(each.ru_utime + each.ru_stime for each in used),
    }


def _by_pandas(file: str) -> int:
    import pandas as pd

    return len(pd.read_csv(file))


def _by_pandas_as_text(file: str) -> int:
    import pandas as pd

    return len(pd.read_csv(file, dtype=str))


def _by_check(file: str) -> int:
    from carprice.params import Params
    from carprice.quality.check import try_file

    rows: int = try_file(file, Params().quality)["rows_in"]
    return rows


if __name__ == "__main__":
    sys.exit(main())
