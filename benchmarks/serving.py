"""The price API compared with `mlflow models serve`: the same model and rows, one worker process each.

    make bench-serving [DATA=listings.csv] [DURATION=10]

Sends single-row requests for price and interval over eight connections to the two services in turn, then
fifty requests a second at even intervals to the API alone. Ratios are comparable; milliseconds depend on the
machine, which also runs the client. Exits 1 if a limit is missed.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from demo import services
from demo.settings import REPOSITORY, Settings, free_port, python_of
from demo.supervisor import Service, Supervisor

from benchmarks.http_load import Load, load
from carprice.history import snapshots
from carprice.listings import sample
from carprice.model.features import features_of
from carprice.store import DataRoot

LEAST_THROUGHPUT, MOST_P99 = 5.0, 1 / 3  # of what `mlflow models serve` does
STEADY_P50_MS, STEADY_P99_MS = 8.0, 25.0
ROUNDS, CONNECTIONS, ROWS, STEADY = 3, 8, 500, 50.0
WAIT_SECONDS = 240


def main() -> int:
    """Print the comparison; returns the exit status."""
    seconds = float(os.environ.get("DURATION") or 10)
    with tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder:
        file = Path(os.environ.get("DATA") or Path(folder) / "synthetic_listings.csv")
        if not file.exists():
            sample.write_sample(str(file), 3000, seed=0)
        settings = settings_in(Path(folder))
        services.make_folders(settings)
        train(settings, file)
        with Supervisor(settings.state / "logs") as supervisor:
            scoring = _scoring_server(settings)
            for service in (services.mlflow_service(settings), scoring, price_api(settings)):
                supervisor.start(service)
                supervisor.wait_until_ready(service.name, WAIT_SECONDS)
            kept = _compare(settings, listings_of(settings), seconds)
    return 0 if kept else 1


def _compare(settings: Settings, rows: list[dict[str, Any]], seconds: float) -> bool:
    """Print the figures and the limits, and return whether all limits are kept."""
    targets: dict[str, tuple[str, list[Any]]] = {
        "mlflow models serve": (
            f"http://127.0.0.1:{settings.app_port}/invocations",
            [{"dataframe_records": [row], "params": {"return_interval": True}} for row in rows],
        ),
        "POST /v1/predict": (f"{settings.api_url}/v1/predict", [asked(row) for row in rows]),
    }
    for url, bodies in targets.values():  # the first calls build what later ones find
        asyncio.run(load(url, bodies, 2, CONNECTIONS))
    found: dict[str, list[Load]] = {name: [] for name in targets}
    for _ in range(ROUNDS):
        for name, (url, bodies) in targets.items():
            found[name].append(asyncio.run(load(url, bodies, seconds, CONNECTIONS)))
    print(f"\n{CONNECTIONS} connections, {ROUNDS} rounds of {seconds:g} s, medians over the rounds")
    print(f"{'':<24}{'requests/s':>12}{'p50 ms':>10}{'p99 ms':>10}{'failed':>8}")
    figures = {name: _print(name, loads) for name, loads in found.items()}
    (slow, _, slow_p99), (fast, _, fast_p99) = figures.values()
    url, bodies = targets["POST /v1/predict"]
    steady = asyncio.run(load(url, bodies, 2 * seconds, CONNECTIONS, per_second=STEADY))
    print(f"\n{STEADY:g} requests a second, evenly, for {2 * seconds:g} s")
    _, p50, p99 = _print("POST /v1/predict", [steady])
    failed = sum(len(each.failures) for each in (*found["POST /v1/predict"], steady))
    print()
    return limits_kept(fast / slow, fast_p99 / slow_p99, p50, p99, failed)


def limits_kept(throughput: float, p99_ratio: float, p50: float, p99: float, failed: int) -> bool:
    """Print each limit and whether it is kept, and return whether all are.

    `throughput` and `p99_ratio` are relative to `mlflow models serve`, `p50` and `p99` are ms at
    STEADY requests a second, `failed` counts the API's requests.
    """
    steady = f"at {STEADY:g} requests a second"
    limits = [
        (f"throughput >= {LEAST_THROUGHPUT:g} times", f"{throughput:.1f}", throughput >= LEAST_THROUGHPUT),
        (f"p99 <= {MOST_P99:.2f} of it", f"{p99_ratio:.2f}", p99_ratio <= MOST_P99),
        (f"p50 <= {STEADY_P50_MS:g} ms {steady}", f"{p50:.1f}", p50 <= STEADY_P50_MS),
        (f"p99 <= {STEADY_P99_MS:g} ms {steady}", f"{p99:.1f}", p99 <= STEADY_P99_MS),
        ("no failed request", f"{failed}", failed == 0),
    ]
    for limit, value, kept in limits:
        print(f"{limit:<40}{value:>8}  {'yes' if kept else 'no'}")
    return all(kept for _, _, kept in limits)


def _print(name: str, loads: list[Load]) -> tuple[float, float, float]:
    """Print and return the medians over `loads`: requests a second, p50 and p99 in ms."""
    per_second = float(np.median([each.per_second for each in loads]))
    p50, p99 = (float(np.median([each.milliseconds(p) for each in loads])) for p in (50, 99))
    failures = [failure for each in loads for failure in each.failures]
    print(f"{name:<24}{per_second:12.0f}{p50:10.1f}{p99:10.1f}{len(failures):8}", flush=True)
    for failure in sorted(set(failures))[:5]:
        print(f"  {failure}")
    return per_second, p50, p99


def train(settings: Settings, file: Path) -> None:
    """Bring a model into production that learned the listings of `file`."""
    print(f"training on {file.name}", flush=True)
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    subprocess.run(
        [str(REPOSITORY / "bin" / "carprice"), "run", str(file)],
        env=environment | {"DATA_DIR": str(settings.data)},
        check=True,
        capture_output=True,
    )


def settings_in(folder: Path) -> Settings:
    """A data root in `folder`, and free ports."""
    return Settings(
        data=folder / "data",
        state=folder / "state",
        file=None,
        runtime="process",
        once=True,
        airflow_port=free_port(),
        mlflow_port=free_port(),
        api_port=free_port(),
        evidently_port=free_port(),
        app_port=free_port(),
        airflow_database="",
    )


def price_api(settings: Settings) -> Service:
    """The API as `make demo` runs it, without the rate limit, which this load would exceed."""
    service = services.api_service(settings)
    service.environment |= {
        "CARPRICE_API_REQUESTS_PER_SECOND": "1000000",
        "CARPRICE_API_BURST": "1000000",
    }
    service.ready = lambda: services.answers(f"{settings.api_url}/readyz")
    return service


def _scoring_server(settings: Settings) -> Service:
    """MLflow's own server with the same model and one worker."""
    command = [
        python_of("mlflow"), "-m", "mlflow", "models", "serve",
        "--model-uri", "models:/CarPricePredictor@production",
        "--env-manager", "local",
        "--host", "127.0.0.1",
        "--port", str(settings.app_port),
        "--workers", "1",
    ]  # fmt: skip
    environment = services.base_environment(settings) | {
        "PYTHONPATH": os.pathsep.join(
            str(REPOSITORY / "images" / name / "src") for name in ("trainer", "contract")
        ),
        # It starts its server by name.
        "PATH": f"{Path(python_of('mlflow')).parent}:{os.environ['PATH']}",
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
    }
    url = f"http://127.0.0.1:{settings.app_port}/ping"
    return Service("scoring", command, environment, lambda: services.answers(url))


def listings_of(settings: Settings) -> list[dict[str, Any]]:
    """The listings of the snapshot as features, with None for unknown values."""
    _, listings = snapshots.load(DataRoot(str(settings.data)), "latest")
    chosen = features_of(listings.sample(min(len(listings), ROWS), random_state=0))
    known = chosen.astype(object).where(chosen.notna(), None)
    return [{str(name): value for name, value in row.items()} for row in known.to_dict("records")]


def asked(row: dict[str, Any]) -> dict[str, Any]:
    """The body of a request for the price of a listing."""
    return {name: value for name, value in row.items() if value is not None}


if __name__ == "__main__":
    sys.exit(main())
