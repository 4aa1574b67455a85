"""Prices asked for at an even rate while a file lands every five minutes; SOAK_MINUTES says how long.

`pytest -s tests/stack/test_load.py` prints the memory of each service at the beginning and at the end.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import threading
import time
from typing import Any

import pytest
from one_file import open_runs
from team_stack import LOGAN, REPOSITORY, TeamStack, wait_for

from carprice.listings import sample

sys.path.insert(0, str(REPOSITORY))

from benchmarks.http_load import Load, load

MINUTES = float(os.environ.get("SOAK_MINUTES", "15"))
PER_SECOND, LANDING_SECONDS = 100, 300
# The limit that monitoring/rules.yml sets.
MOST_MILLISECONDS = 250
# Memory that grows by this share and so many MiB is not flat. The first quarter is left out: caches fill.
GROWTH, MARGIN = 0.15, 48

pytestmark = [
    pytest.mark.soak, pytest.mark.docker, pytest.mark.e2e, pytest.mark.timeout(int(60 * MINUTES) + 1800),
]  # fmt: skip


class Traffic(threading.Thread):
    """Requests for a price from a thread of their own, for the whole time."""

    def __init__(self, stack: TeamStack) -> None:
        super().__init__(daemon=True)
        self._url, self._key = f"{stack.url('PRICE_API')}/v1/predict", stack.secret("app_api_key")
        self.answered: set[str] = set()
        self.result: Load | None = None

    def run(self) -> None:
        bodies = [LOGAN | {"model_year": year} for year in range(2008, 2022)]
        self.result = asyncio.run(
            load(
                self._url, bodies, 60 * MINUTES, connections=16, per_second=PER_SECOND,
                headers={"X-API-Key": self._key},
                on_answer=lambda answer: self.answered.add(answer["prediction_id"]),
            )
        )  # fmt: skip


def test_prices_are_given_and_logged_and_memory_stays_flat_while_files_land(
    stack: TeamStack, in_production: str
) -> None:
    wait_for(lambda: not open_runs(stack), "the runs before to end")
    counted = "SELECT count(*) FROM predictions"
    logged_before = int(stack.sql("predictions", counted)[0])
    traffic, used = Traffic(stack), []
    begun, landed = time.monotonic(), 0
    traffic.start()
    while traffic.is_alive():
        if time.monotonic() - begun >= landed * LANDING_SECONDS:
            stack.land(sample.to_csv(sample.generate(120, seed=500 + landed)).encode(), f"load-{landed}.csv")
            landed += 1
        used.append(stack.memory())
        traffic.join(20)
    result = traffic.result
    assert result is not None
    p50, p99 = result.milliseconds(50), result.milliseconds(99)
    print(f"\n{len(result.seconds)} prices, p50 {p50:.1f} ms, p99 {p99:.1f} ms, {landed} files landed")  # noqa: T201
    grown = growth(used)

    assert result.failures == []
    assert len(traffic.answered) == int(60 * MINUTES * PER_SECOND)
    assert p99 <= MOST_MILLISECONDS
    wait_for(lambda: not open_runs(stack), "the files to be through")
    files = stack.sql("airflow", "SELECT state FROM dag_run WHERE dag_id = 'train_car_price'")
    assert set(files) == {"success"}
    expected = logged_before + len(traffic.answered)
    wait_for(lambda: int(stack.sql("predictions", counted)[0]) >= expected, "every price in the log", 60)
    assert grown == {}


def growth(used: list[dict[str, float]]) -> dict[str, Any]:
    """The services whose memory grew, with MiB before and after; prints all of them."""
    part = max(len(used) // 4, 1)
    grown = {}
    for service in sorted(used[-1]):
        before, after = (
            statistics.median(each[service] for each in some if service in each)
            for some in (used[part : 2 * part] or used, used[-part:])
        )
        print(f"{service:<20} {before:>6.0f} MiB {after:>6.0f} MiB")  # noqa: T201
        if after > (1 + GROWTH) * before + MARGIN:
            grown[service] = (round(before), round(after))
    return grown
