"""The time that Airflow adds to the steps, where it goes, and the idle memory of all components.

    make bench [DATA=listings.csv] [RUNTIME=process|docker]

Runs the bare steps, one `bin/carprice STEP` after the other, then lands the same file in a new data root of
Airflow, on the same machine. Ratios are comparable; seconds depend on the machine.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from demo import services
from demo.airflow_api import AirflowApi
from demo.follow import now
from demo.settings import REPOSITORY, Settings, engine_answers, free_port, python_of
from demo.supervisor import Supervisor

from carprice.landing.land import land
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.listings import sample
from carprice.store import DataRoot

# The imports of each step, measured in a new process that imports only them.
Runtime = Literal["process", "docker"]
STEPS = {
    "claim_files": "carprice.landing.claim",
    "check_data_quality": "carprice.quality.check",
    "assemble_listings": "carprice.history.snapshots, pandas",
    "train_model": "carprice.lifecycle.training, mlflow.sklearn, matplotlib.figure",
    "evaluate_model": "carprice.lifecycle.evaluation, mlflow.sklearn, matplotlib.figure",
    "promote_to_staging": "carprice.lifecycle.promotion, mlflow.sklearn",
    "validate_staging_model": "carprice.lifecycle.promotion, mlflow.sklearn",
    "promote_to_production": "carprice.lifecycle.decisions, mlflow",
}
REST_SECONDS = 45


def main() -> int:
    """Run both, print the comparison, and return the exit status."""
    with tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder:
        file = Path(os.environ.get("DATA") or Path(folder) / "synthetic_listings.csv")
        if not file.exists():
            sample.write_sample(str(file), 3000, seed=0)
        runtimes: list[Runtime] = ["process", "docker"]
        if os.environ.get("RUNTIME"):
            runtimes = [name for name in runtimes if name == os.environ["RUNTIME"]]
        if not engine_answers() and "docker" in runtimes:
            runtimes.remove("docker")
            _print("no Docker engine answers: process mode only")
        bare = _bare(Path(folder) / "bare", file)
        total = sum(bare.values())
        for runtime in runtimes:
            _print(f"\n== {runtime} mode ==")
            took, tasks, landed, memory = _under_airflow(Path(folder) / runtime, file, runtime)
            _table(bare, tasks, landed)
            _print(f"file landed -> alias production set   {took:6.1f} s")
            _print(f"the same steps bare                   {total:6.1f} s")
            _print(f"ratio                                 {took / total:6.2f}")
            _print(f"memory of all components at rest      {memory / 2**30:6.2f} GiB (PSS)")
    return 0


def _settings(folder: Path, runtime: Runtime) -> Settings:
    return Settings(
        data=folder / "data",
        state=folder / "state",
        file=None,
        runtime=runtime,
        once=True,
        airflow_port=free_port(),
        mlflow_port=free_port(),
        api_port=free_port(),
        evidently_port=free_port(),
        app_port=free_port(),
        airflow_database="",
        timeout_seconds=900,
    )


def _bare(folder: Path, file: Path) -> dict[str, float]:
    """The seconds of each step, run one after the other with an MLflow server."""
    settings = _settings(folder, "process")
    root = _root(settings)
    landed = land(root, str(file))
    time.sleep(2)  # until the file counts as complete
    environment = services.base_environment(settings)
    taken: dict[str, float] = {}

    def step(name: str, *arguments: str) -> Any:
        target = folder / f"{name}.json"
        begun = time.perf_counter()
        subprocess.run(
            [
                str(REPOSITORY / "bin" / "carprice"),
                name.replace("_", "-"),
                *arguments,
                "--result",
                str(target),
            ],
            env=environment,
            stderr=subprocess.DEVNULL,
            check=True,
        )
        taken[name] = time.perf_counter() - begun
        return json.loads(target.read_text())

    with Supervisor(settings.state / "logs") as supervisor:
        supervisor.start(services.mlflow_service(settings))
        supervisor.wait_until_ready("mlflow", 240)
        step("claim_files")
        step("check_data_quality", "--file", landed["file"], "--sha256", landed["sha256"])
        snapshot = step("assemble_listings", "--sha256", landed["sha256"])
        run_id = step("train_model", "--snapshot", snapshot["snapshot_id"])["run_id"]
        step("evaluate_model", "--run-id", run_id)
        version = str(step("promote_to_staging", "--run-id", run_id)["version"])
        step("validate_staging_model", "--version", version)
        step("promote_to_production", "--version", version)
    return taken


def _under_airflow(
    folder: Path, file: Path, runtime: Runtime
) -> tuple[float, dict[str, dict[str, Any]], str, int]:
    """Seconds from landing to the alias, task instances by name, time of landing, idle memory in bytes."""
    settings = _settings(folder, runtime)
    root = _root(settings)
    api = AirflowApi(settings.airflow_url, services.USER, services.secret(settings.state, "admin-password"))
    with Supervisor(settings.state / "logs") as supervisor:
        services.start_all(settings, supervisor, api, _print)
        time.sleep(REST_SECONDS)
        memory = sum(_pss(pid) for pid in supervisor.pids())
        os.environ["MLFLOW_TRACKING_URI"] = settings.mlflow_url
        registry = Registry(root)
        since = now()
        begun = time.perf_counter()
        land(root, str(file))
        while registry.version_of(PRODUCTION) is None:
            if time.perf_counter() - begun > settings.timeout_seconds:
                raise SystemExit("no model came into production; run `make demo` to see why")
            time.sleep(0.1)
        took = time.perf_counter() - begun
        time.sleep(5)
        tasks = {
            task["task_id"]: task | {"run_queued_at": run["queued_at"]}
            for run in api.runs_since(since)
            for task in api.tasks(run["dag_id"], run["dag_run_id"])
            if task["task_id"] in STEPS
        }
    return took, tasks, since, memory


def _table(bare: dict[str, float], tasks: dict[str, dict[str, Any]], landed: str) -> None:
    """Print where the time went, one line per step: wait, start, imports, compute."""
    _print(f"{'step':<24} {'waiting':>8} {'start':>8} {'imports':>8} {'compute':>8}   seconds")
    before = _moment(landed)
    sums = [0.0, 0.0, 0.0, 0.0]
    for name, modules in STEPS.items():
        task = tasks[name]
        imports = min(_import_seconds(modules), bare[name])
        waiting = _moment(task["start_date"]) - before
        around = max(0.0, task["duration"] - bare[name])
        row = [waiting, around, imports, bare[name] - imports]
        sums = [a + b for a, b in zip(sums, row, strict=True)]
        _print(f"{name:<24} " + " ".join(f"{value:8.2f}" for value in row))
        before = _moment(task["end_date"])
    _print(f"{'sum':<24} " + " ".join(f"{value:8.2f}" for value in sums))
    _print("waiting: the watcher (first line) and the scheduler; start: task process and container")


def _import_seconds(modules: str) -> float:
    begun = time.perf_counter()
    subprocess.run(
        [python_of("trainer"), "-c", f"import {modules}"],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        check=True,
    )
    return time.perf_counter() - begun


def _root(settings: Settings) -> DataRoot:
    os.umask(0o002)
    services.make_folders(settings)
    settings.data.parent.parent.chmod(0o755)
    return DataRoot(str(settings.data))


def _pss(pid: int) -> int:
    """Bytes of memory of a process, shared pages divided among those that share them."""
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def _moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
