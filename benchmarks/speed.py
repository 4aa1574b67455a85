"""The cost of a training and of a prediction.

    make bench-speed DATA=listings.csv

Trains as the pipeline does, with `train-model` and `evaluate-model` in their own processes, and measures the
seconds and the peak memory of each, with pictures and model card. Predicts in this process, from a DataFrame
of listings to prices with intervals.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
from demo.settings import REPOSITORY

from benchmarks.accuracy import distinct_listings
from carprice.history import assembling
from carprice.landing.land import land
from carprice.lifecycle import training
from carprice.model.features import features_of
from carprice.params_file import load_params
from carprice.quality.check import check_data_quality
from carprice.store import DataRoot

SINGLE, BATCH = 300, 10_000


def main() -> int:
    """Print the table; returns the exit status."""
    path = os.environ.get("DATA")
    if not path:
        print("bench-speed: DATA must name a CSV file of listings, found nothing", file=sys.stderr)
        return 2
    print(f"{'':<44} {'seconds':>9} {'peak MiB':>9}")
    with tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder:
        train(Path(folder), path)
    predict(path)
    return 0


def train(folder: Path, path: str) -> None:
    """Time the two steps of training on a new data root."""
    root, params = DataRoot(str(folder / "data")), load_params()
    landed = land(root, path)
    check_data_quality(root, params, landed["file"], landed["sha256"])
    snapshot = assembling.assemble(root, params, [landed["sha256"]])
    environment = {k: v for k, v in os.environ.items() if k != "MLFLOW_TRACKING_URI"}
    environment["DATA_DIR"] = str(folder / "data")
    result = folder / "result.json"
    total = 0.0
    for step in ("train-model", "evaluate-model"):
        arguments = (
            ["--snapshot", snapshot["snapshot_id"]]
            if step == "train-model"
            else ["--run-id", json.loads(result.read_text())["run_id"]]
        )
        begun = time.perf_counter()
        command = [str(REPOSITORY / "bin" / "carprice"), step, *arguments, "--result", str(result)]
        process = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"{step} ended with status {process.returncode}")
        seconds = time.perf_counter() - begun
        total += seconds
        print(f"{step:<44} {seconds:9.1f} {usage.ru_maxrss / 1024:9.0f}")
    print(f"{'training, pictures and card included':<44} {total:9.1f}")


def predict(path: str) -> None:
    """Time single rows and a batch of distinct rows."""
    listings = distinct_listings(path)
    pipeline = training.fit(listings, load_params())
    taken = []
    for row in range(SINGLE):
        one = listings.iloc[[row % len(listings)]]
        begun = time.perf_counter()
        pipeline.predict(features_of(one), return_interval=True)
        taken.append(time.perf_counter() - begun)
    median, p99 = np.quantile(taken, (0.5, 0.99))
    print(f"{'one prediction with interval, median':<44} {median:9.4f}")
    print(f"{'one prediction with interval, 99th percentile':<44} {p99:9.4f}")
    random = np.random.default_rng(0)
    batch = pd.concat([listings] * (BATCH // len(listings) + 1)).head(BATCH).reset_index(drop=True)
    mileage = batch["mileage_km_min"].to_numpy() + random.integers(0, 10_000, BATCH)
    batch = batch.assign(mileage_km_min=mileage, mileage_km_max=mileage)  # no two rows alike
    begun = time.perf_counter()
    pipeline.predict(features_of(batch), return_interval=True)
    print(f"{f'a batch of {BATCH:,} distinct rows':<44} {time.perf_counter() - begun:9.2f}")


if __name__ == "__main__":
    sys.exit(main())
