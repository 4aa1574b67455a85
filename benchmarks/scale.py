"""What a new file costs on histories of several sizes, step by step: time and memory of every step.

    make bench-scale [ROWS="3000 100000 1000000"] [NEW=3000] [LEARNED=2000]

The histories are synthetic and seeded; half of the new file is copies of known ads without their links. Each
step is the command that Airflow runs, in a process of its own: `s` are those of a core with the start of
Python, `MiB` the peak. The models learn `LEARNED` listings, so that a training costs the same everywhere.
Evaluating scores all test listings, which are a fifth of the history. Below the steps stand what the model
does not do: reading what training and evaluation need. The last lines are the price API's part. Exits 1 where
a figure is worse than its limit.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from carprice.listings import sample
from carprice.listings.tables import as_canonical, parse
from carprice.store import DataRoot
from carprice_contract.data_root import LISTINGS
from carprice_contract.formats import FORMAT, RECEIPT

MOST_MIB, MOST_API_MIB, MOST_TIMES, MOST_MILLISECONDS = 2048.0, 1024.0, 1.5, 20.0
_FIRST = "f" * 64
_WITH_THE_MODEL = ("train-model", "evaluate-model", "promote-to-staging")
_REPEATS = 50

Figures = dict[str, tuple[float, float]]


def main() -> int:
    """Print the table; returns 1 where a figure is worse than its limit, else 0."""
    sizes = [int(rows) for rows in (os.environ.get("ROWS") or "3000 100000 1000000").split()]
    new, learned = int(os.environ.get("NEW") or 3000), int(os.environ.get("LEARNED") or 2000)
    found: dict[int, Figures] = {}
    with tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder:
        for rows in sizes:
            data = Path(folder) / str(rows)
            _python("prepare", str(data), str(rows), str(new))
            os.environ["CARPRICE_PARAMS"] = f"training: {{max_rows: {learned}}}"
            found[rows] = _figures(data)
            # the largest history takes longest: what was measured before it is not lost with it
            _print(found)
            shutil.rmtree(data)
    problems = list(_worse(found))
    for problem in problems:
        print(f"bench-scale: worse than the limit: {problem}", file=sys.stderr)
    return 1 if problems else 0


def _figures(data: Path) -> Figures:
    """The seconds and MiB of each step, and of reading, after a model of the history is in production."""
    sha = (data / "sha256").read_text()
    run = measured_step(data, "train-model")[0]["run_id"]
    _python("promote", str(data), run)
    figures: Figures = {}

    def step(name: str, *arguments: str, fails: bool = False) -> Any:
        result, figures[name] = measured_step(data, name, *arguments, fails=fails)
        return result

    step("claim-files")
    step("check-data-quality", "--file=new.csv", "--sha256", sha)
    step("assemble-listings", "--sha256", sha)
    step("score-new-listings")
    step("detect-drift")
    run = step("train-model")["run_id"]
    step("evaluate-model", "--run-id", run)
    step("promote-to-staging", "--run-id", run, fails=True)
    report = step("send-pipeline-report", "--run-id", run)["report"]
    step("publish-report", "--report", report)
    step("check-freshness", fails=True)
    for what in _READING:
        figures[what] = _python("read", str(data), what, run)
    figures["API: tables and comparables, start"], milliseconds = _api(data, run)
    figures["API: one /v1/comparables, in ms"] = (milliseconds, 0)
    return figures


def measured_step(
    data: Path, name: str, *arguments: str, fails: bool = False
) -> tuple[Any, tuple[float, float]]:
    """The result of a step, and its seconds of a core and MiB."""
    result = data / "result.json"
    command = [sys.executable, "-m", "carprice", name, *arguments, "--result", str(result)]
    status, figures = _measured(command, without_server() | {"DATA_DIR": str(data)}, data / "log")
    if status and not fails:
        raise RuntimeError(f"{name} was expected to end well, found {status}: {(data / 'log').read_text()}")
    return (json.loads(result.read_text()) if result.exists() else None), figures


def _python(what: str, *arguments: str) -> tuple[float, float]:
    """The seconds and MiB that a part of this program prints, in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.scale", what, *arguments]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=without_server())
    seconds, mib = (float(word) for word in done.stdout.split()[-2:])
    return seconds, mib


def _api(data: Path, run: str) -> tuple[tuple[float, float], float]:
    command = [sys.executable, "-m", "benchmarks.scale", "api", str(data), run]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=without_server())
    milliseconds, seconds, mib = (float(word) for word in done.stdout.split()[-3:])
    return (seconds, mib), milliseconds


def without_server() -> dict[str, str]:
    """The environment of a step on one core, whose models are in a registry in its data root."""
    kept = {key: value for key, value in os.environ.items() if key != "MLFLOW_TRACKING_URI"}
    return kept | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": "."}


def _measured(command: list[str], environment: dict[str, str], log: Path) -> tuple[int, tuple[float, float]]:
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return process.returncode, (usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024)


def _print(found: dict[int, Figures]) -> None:
    sizes = list(found)
    print(f"{'':<36}" + "".join(f"{f'{rows:,} listings':>22}" for rows in sizes) + f"{'times':>8}")
    print(f"{'':<36}" + f"{'s':>12}{'MiB':>10}" * len(sizes))
    for name in found[sizes[0]]:
        figures = [found[rows][name] for rows in sizes]
        times = figures[-1][0] / max(figures[0][0], 1e-9)
        cells = "".join(f"{seconds:>12.1f}{mib:>10,.0f}" for seconds, mib in figures)
        print(f"{name:<36}{cells}{times:>8.1f}", flush=True)


def _worse(found: dict[int, Figures]) -> list[str]:
    """What is worse than its limit, in words."""
    sizes = list(found)
    problems = []
    for rows, figures in found.items():
        for name, (value, mib) in figures.items():
            most = MOST_API_MIB if name.startswith("API") else MOST_MIB
            if mib > most:
                problems.append(f"{name} takes {mib:,.0f} MiB on {rows:,} listings, the limit is {most:,.0f}")
            if name.endswith("in ms") and value > MOST_MILLISECONDS:
                problems.append(f"{name}: {value:.0f} on {rows:,} listings, limit {MOST_MILLISECONDS:.0f}")
    steps = [name for name in found[sizes[0]] if not name.startswith(("API", "reading"))]
    alone = [name for name in steps if name not in _WITH_THE_MODEL]
    first, last = (sum(found[rows][name][0] for name in alone) for rows in (sizes[0], sizes[-1]))
    print(f"all steps without {', '.join(_WITH_THE_MODEL)}: {first:.1f} s and {last:.1f} s of a core")
    if last > MOST_TIMES * first:
        problems.append(f"the steps take {last / first:.1f} times as long, the limit is {MOST_TIMES:g}")
    return problems


# --- what runs in a process of its own


def prepare(folder: str, rows: int, new: int) -> None:
    """Make a data root with a snapshot of `rows` listings, and a file of `new` rows in raw/."""
    import hashlib

    from carprice.history import assembling
    from carprice.params import Params

    root, random = DataRoot(folder), np.random.default_rng(0)
    raw = sample.generate(round((rows + new) * 1.2), seed=7).drop(columns="")
    raw = raw.drop_duplicates(ignore_index=True)
    parsed = parse(raw, require_price=True)
    usable = parsed.good.to_numpy() & ~parsed.listings["listing_id"].duplicated().to_numpy()
    raw, listings = raw[usable], parsed.listings[usable]
    known, others = listings.head(rows), raw.iloc[rows : rows + new - new // 2]
    copies = raw.head(rows).sample(min(new // 2, rows), random_state=1)
    city = pd.Series(random.choice(["Rabat", "Fès", "Agadir"], len(copies)), index=copies.index)
    copies = copies.assign(Ville=city) if "Ville" in copies else copies
    content = pd.concat([copies.assign(Lien=""), others]).to_csv(index=False).encode()
    root.write_bytes("raw/new.csv", content)
    root.write_text("sha256", hashlib.sha256(content).hexdigest())
    os.utime(root.path("raw/new.csv"), (1, 1))
    known = as_canonical(known.assign(source_sha256=_FIRST))
    root.write_parquet(f"{LISTINGS}/{_FIRST}.parquet", known)
    receipt = {
        FORMAT: RECEIPT, "sha256": _FIRST, "file": "first.csv", "names": ["first.csv"], "status": "accepted",
        "checked_at": "2026-01-01T00:00:00+00:00", "quality_page": f"reports/quality/{_FIRST}.html",
    }  # fmt: skip
    counts = dict.fromkeys(("rows_in", "rows_accepted"), len(known))
    none = dict.fromkeys(("rows_refused", "rows_repeated", "rows_unpriced", "rows_not_used_cars"), 0)
    root.write_json(f"receipts/{_FIRST}.json", receipt | counts | none)
    assembling.assemble(root, Params(), [_FIRST])


def promote(folder: str, run_id: str) -> None:
    """Put the model of a run into production, without gates."""
    registry = _registry(folder)
    run = registry.get_run(run_id)
    version = registry.register(run_id, run.data.tags["model_uri"])
    registry.put_in_production(str(version.version), "promotion", "bench", "to measure with")


def _registry(folder: str) -> Any:
    from carprice.lifecycle.registry import Registry

    return Registry(DataRoot(folder))


def _read_to_learn(root: DataRoot, registry: Any, run: Any) -> None:
    from carprice.lifecycle.training import learned_listings

    learned_listings(root, run)


def _read_to_test(root: DataRoot, registry: Any, run: Any) -> None:
    from carprice.lifecycle.evaluation import test_listings

    test_listings(root, run)


def _read_to_compare(root: DataRoot, registry: Any, run: Any) -> None:
    from carprice.lifecycle.evaluation import test_listings
    from carprice.lifecycle.registry import PRODUCTION

    test_listings(root, run, registry.get_run(str(registry.require(PRODUCTION).run_id)))


_READING: dict[str, Callable[[DataRoot, Any, Any], None]] = {
    "reading: what is learned": _read_to_learn,
    "reading: test listings": _read_to_test,
    "reading: listings to compare on": _read_to_compare,
}


def read(folder: str, what: str, run_id: str) -> None:
    """Read as a step does."""
    registry = _registry(folder)
    _READING[what](DataRoot(folder), registry, registry.get_run(run_id))


def api(folder: str, run_id: str) -> None:
    """Make what the price API keeps for comparables, and print the milliseconds of one look."""
    from carprice.model.comparables import Comparables, most_comparable
    from carprice.model.features import features_of

    registry, root = _registry(folder), DataRoot(folder)
    run = registry.get_run(run_id)
    pipeline = registry.load(run.data.tags["model_uri"])
    listings = most_comparable(root, run.data.tags["snapshot_id"])
    comparables = Comparables(pipeline, listings)
    cars = features_of(listings.sample(_REPEATS, random_state=0)).to_dict("records")
    took = []
    for car in cars:
        started = time.perf_counter()
        comparables.nearest({str(name): value for name, value in car.items()}, 10)
        took.append(1000 * (time.perf_counter() - started))
    print(float(np.median(took)))


def _rest(started: float) -> None:
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(time.process_time() - started, mib)


if __name__ == "__main__":
    if len(sys.argv) == 1:
        sys.exit(main())
    _what, _arguments = sys.argv[1], sys.argv[2:]
    _begin = 0.0
    if _what == "prepare":
        prepare(_arguments[0], int(_arguments[1]), int(_arguments[2]))
    else:
        {"promote": promote, "read": read, "api": api}[_what](*_arguments)  # type: ignore[operator]
    _rest(_begin)
