"""What one more file costs after very many small files landed, step by step.

    make bench-files [FILES=10000] [ROWS=5] [NEW=200]

So many files of `ROWS` rows are accepted, and one more of `NEW` rows lands: in an empty data root, and after
them. Each step is the command that Airflow runs, in a process of its own: `s` are those of a core with the
start of Python, `MiB` the peak. The landing trigger's look after a restart runs in Airflow's environment.
Then as many small files as share a step of the check land at once. Exits 1 if the steps take more than twice
as long, the index page is larger than 2 MB, or the look takes more than 5 seconds.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd

from benchmarks.scale import Figures, measured_step, promote, without_server
from carprice.history import assembling
from carprice.landing.content import fingerprint
from carprice.listings import sample
from carprice.listings.tables import as_canonical, parse
from carprice.params import Params
from carprice.store import DataRoot
from carprice_contract.data_root import LISTINGS, REPORT_INDEX
from carprice_contract.formats import FORMAT, RECEIPT

MOST_TIMES, MOST_INDEX_MB, MOST_RESTART_SECONDS = 2.0, 2.0, 5.0
_LOOK = """
import sys, time
from include.landing import Landing, LocalFolder
started = time.monotonic()
waiting = Landing(LocalFolder(sys.argv[1]), lambda: (0, 0)).look()
print(len(waiting), time.monotonic() - started)
"""


def main() -> int:
    """Print the table; returns 1 where a figure is worse than its limit, else 0."""
    defaults = {"FILES": 10_000, "ROWS": 5, "NEW": 200}
    files, rows, new = (int(os.environ.get(name) or default) for name, default in defaults.items())
    os.environ["CARPRICE_PARAMS"] = "{training: {max_rows: 2000}, quality: {min_rows: 1}}"
    with tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder:
        alone, after = Path(folder) / "alone", Path(folder) / "after"
        # what a training needs at least
        prepare(alone, 1, 600, new)
        seconds = prepare(after, files, rows, new)
        print(f"{files:,} files of {rows} rows were assembled in {seconds:.0f} s of a core", flush=True)
        found = [_figures(data) for data in (alone, after)]
        waiting, restart = _look(after)
        index = (after / REPORT_INDEX).stat().st_size / 1e6
        together, shared = _shared(after, rows)
    print(f"{'':<28}{'alone':>22}{f'after {files:,} files':>22}")
    print(f"{'':<28}" + f"{'s':>12}{'MiB':>10}" * 2)
    for name in found[0]:
        cells = "".join(f"{figures[name][0]:>12.1f}{figures[name][1]:>10,.0f}" for figures in found)
        print(f"{name:<28}{cells}")
    total = [sum(seconds for seconds, _ in figures.values()) for figures in found]
    print(f"{'all':<28}{total[0]:>12.1f}{'':>10}{total[1]:>12.1f}")
    print(f"index page {index:.2f} MB; look after a restart {restart:.1f} s, {waiting} files wait")
    print(
        f"{together} files of {rows} rows in one step: {shared:.1f} s of a core, {shared / together:.2f} s "
        f"each; {files:,} files: {files / together:.0f} steps, {files * shared / together:,.0f} s of a core"
    )
    good = total[1] <= MOST_TIMES * total[0] and index <= MOST_INDEX_MB and restart <= MOST_RESTART_SECONDS
    return 0 if good else 1


def prepare(data: Path, files: int, rows: int, new: int) -> float:
    """Make a data root with a snapshot of accepted files, and one more in raw/; a core's seconds for it."""
    root = DataRoot(str(data))
    raw = sample.generate(round((files * rows + new) * 1.3), seed=3).drop(columns="")
    parsed = parse(raw.drop_duplicates(ignore_index=True), require_price=True)
    listings = parsed.listings[parsed.good].drop_duplicates("listing_id").reset_index(drop=True)
    shas = [
        _accepted(root, number, listings.iloc[number * rows : (number + 1) * rows]) for number in range(files)
    ]
    content = raw.tail(new).to_csv(index=False).encode()
    root.write_bytes("raw/new.csv", content)
    os.utime(root.path("raw/new.csv"), (1, 1))
    root.write_text("sha256", hashlib.sha256(content).hexdigest())
    started = time.process_time()
    assembling.assemble(root, Params(), shas)
    return time.process_time() - started


def _accepted(root: DataRoot, number: int, listings: pd.DataFrame) -> str:
    """A file as its check leaves it; its SHA-256."""
    name = f"{number:06d}.csv"
    content = listings.to_csv(index=False).encode()
    sha256 = hashlib.sha256(content).hexdigest()
    root.write_bytes(f"raw/{name}", content)
    root.write_parquet(
        f"{LISTINGS}/{sha256}.parquet", as_canonical(listings.assign(source_sha256=sha256, scraped_at=None))
    )
    page = f"reports/quality/{sha256}.html"
    root.write_text(page, "<p>quality</p>" * 2000)
    at = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
    receipt = {
        FORMAT: RECEIPT, "sha256": sha256, "file": name, "names": [name], "status": "accepted",
        "fingerprints": {name: fingerprint(root, name)}, "checked_at": at.isoformat(), "quality_page": page,
        "columns": {column: column for column in listings},
    }  # fmt: skip
    counts = dict.fromkeys(("rows_in", "rows_accepted"), len(listings))
    none = dict.fromkeys(("rows_refused", "rows_repeated", "rows_unpriced", "rows_not_used_cars"), 0)
    root.write_json(f"receipts/{sha256}.json", receipt | counts | none)
    return sha256


def _figures(data: Path) -> Figures:
    sha, figures = (data / "sha256").read_text(), {}
    first = measured_step(data, "train-model")[0]["run_id"]
    promote(str(data), first)

    def step(name: str, *arguments: str, fails: bool = False) -> dict[str, str]:
        result, figures[name] = measured_step(data, name, *arguments, fails=fails)
        return result or {}

    step("claim-files")
    step("check-data-quality", "--file=new.csv", "--sha256", sha)
    step("assemble-listings", "--sha256", sha)
    step("score-new-listings", fails=True)
    step("detect-drift", fails=True)
    run = step("train-model")["run_id"]
    step("evaluate-model", "--run-id", run)
    step("promote-to-staging", "--run-id", run, fails=True)
    report = step("send-pipeline-report", "--run-id", run)["report"]
    step("publish-report", "--report", report)
    step("check-freshness", fails=True)
    return figures


def _shared(data: Path, rows: int) -> tuple[int, float]:
    """How many new small files a step of the check has, and the seconds of a core that it takes."""
    files = Params().landing.files_per_step
    raw = sample.generate(round(files * rows * 1.3), seed=4).drop(columns="").drop_duplicates()
    for number in range(files):
        content = raw.iloc[number * rows : (number + 1) * rows].to_csv(index=False).encode()
        path = data / "raw" / f"shared-{number:03d}.csv"
        path.write_bytes(content)
        os.utime(path, (1, 1))
    os.environ["CARPRICE_PARAMS"] = "{landing: {settle_seconds_renamed: 0}, quality: {min_rows: 1}}"
    (claimed,), _ = measured_step(data, "claim-files")
    words = [word for file in claimed for word in (f"--file={file['file']}", "--sha256", file["sha256"])]
    result, (seconds, _) = measured_step(data, "check-data-quality", *words)
    if {file["status"] for file in result} != {"accepted"}:
        raise RuntimeError(f"all files were expected to be accepted, found {result}")
    return len(result), seconds


def _look(data: Path) -> tuple[int, float]:
    """How many files the trigger announces after a restart, and the seconds of its first look."""
    command = [".venv/airflow/bin/python", "-c", _LOOK, str(data)]
    environment = without_server() | {"PYTHONPATH": "airflow"}
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    waiting, seconds = done.stdout.split()[-2:]
    return int(waiting), float(seconds)


if __name__ == "__main__":
    sys.exit(main())
