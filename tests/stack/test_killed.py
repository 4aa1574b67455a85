"""Each service of the stack is killed while a file is on its way; the file still ends in production, once.

One file's way is long enough for several kills. `pytest -s tests/stack/test_killed.py` prints a table of what
happened.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from one_file import (
    Before,
    Requests,
    Try,
    asking,
    in_production_once,
    open_runs,
    report_on,
    started_at,
    tries,
)
from team_stack import Mailbox, TeamStack, wait_for

from carprice.listings import sample

pytestmark = [pytest.mark.soak, pytest.mark.docker, pytest.mark.e2e, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Kill:
    """A service to kill, and the step during which to kill it; "" is before the file is seen."""

    service: str
    step: str


FILES = [
    (Kill("triggerer", ""), Kill("api", "promote_to_production")),
    (Kill("scheduler", "assemble_listings"), Kill("mlflow", "train_model")),
    (Kill("postgres", "check_data_quality"), Kill("redis", "train_model")),
    (
        Kill("worker", "train_model"),
        Kill("docker-proxy", "evaluate_model"),
        Kill("api-server", "promote_to_staging"),
    ),
]

# The API logs a price at most this long after its answer.
LOGGED_AFTER_SECONDS = 2.0


@dataclass
class Death:
    """A kill and its recovery; times are `time.time()` seconds."""

    kill: Kill
    at: float
    dead_at: float
    """When the engine had killed the service that it was asked to kill `at`."""
    well_at: float = 0.0

    @classmethod
    def of(cls, stack: TeamStack, kill: Kill) -> Death:
        """Wait until the step runs, kill the service, and return at once."""
        if kill.step:
            wait_for(lambda: stack.steps(kill.step), f"a container of {kill.step}", 300, every=0.1)
        at = time.time()
        stack.kill(kill.service)
        return cls(kill, at, time.time())

    def wait_until_well(self, stack: TeamStack) -> None:
        """Wait until the engine has restarted the service and it is healthy; the API has a model then."""

        def well() -> bool:
            container = stack.containers()[self.kill.service]
            if started_at(container) <= self.at or container["State"]["Health"]["Status"] != "healthy":
                return False
            # the API is alive, and healthy, before it has loaded the model
            return self.kill.service != "api" or stack.ask_price("GET", "/readyz").status_code == 200

        wait_for(well, f"{self.kill.service} to be well again", 300)
        self.well_at = time.time()


@pytest.fixture(scope="module")
def table() -> Iterator[list[str]]:
    """The rows of the table, printed after the last test."""
    rows = [
        "| killed | while | healthy after | died with it | tried again | prices refused | landed to served |",
        "|---|---|---|---|---|---|---|",
    ]
    yield rows
    print("\n" + "\n".join(rows))  # noqa: T201


def rows_of(
    deaths: list[Death], stack: TeamStack, done: list[Try], asked: Requests, seconds: float
) -> Iterator[str]:
    """The rows of the table for the kills during one file."""
    started = {name: started_at(container) for name, container in stack.containers().items()}
    for death, next_one in zip(deaths, [*deaths[1:], None], strict=True):
        until = next_one.at if next_one else float("inf")
        too = {name for name, at in started.items() if death.at <= at < until} - {death.kill.service}
        failed = (each for each in done if each.state not in ("success", "skipped"))
        again = Counter(each.task for each in failed if death.at <= each.ended < until)
        cells = [
            f"`{death.kill.service}`",
            f"`{death.kill.step}`" if death.kill.step else "before the file is seen",
            f"{death.well_at - death.at:.0f} s",
            ", ".join(f"`{name}`" for name in sorted(too)),
            ", ".join(f"`{task}`" + (f" x {n}" if n > 1 else "") for task, n in again.items()),
            str(sum(death.at - 1 <= put < death.well_at for put, _ in asked.refused) or ""),
            f"{seconds:.0f} s",
        ]
        yield f"| {' | '.join(cell or '-' for cell in cells)} |"


@pytest.mark.parametrize("kills", FILES, ids=lambda kills: "-".join(kill.service for kill in kills))
def test_a_file_ends_in_production_once_though_services_are_killed_on_its_way(
    stack: TeamStack, in_production: str, mailbox: Mailbox, table: list[str], kills: tuple[Kill, ...]
) -> None:
    wait_for(lambda: not open_runs(stack), "the runs before to end")
    before = Before.of(stack, mailbox)
    text = sample.to_csv(sample.generate(120, seed=100 + FILES.index(kills))).encode()
    sha256 = hashlib.sha256(text).hexdigest()

    with asking(stack) as asked, ThreadPoolExecutor() as watching:
        landed = time.time()
        stack.land(text, f"seen-{'-'.join(kill.service for kill in kills)}-die.csv")
        try:
            deaths, watched = [], []
            for kill in kills:
                deaths.append(Death.of(stack, kill))
                watched.append(watching.submit(deaths[-1].wait_until_well, stack))
            report = wait_for(lambda: report_on(stack, sha256), "the report on a model of this file", 420)
            wait_for(lambda: stack.production_version() == report["version"], "its price to be served", 60)
            served = time.time()
            wait_for(lambda: not open_runs(stack), "all runs to end", 120)
            for each in watched:
                each.result()
        except AssertionError:
            print(*tries(stack, before.last_run), sep="\n")  # noqa: T201
            services = [kill.service for kill in kills]
            print(stack.compose("logs", "--tail", "60", "scheduler", "worker", *services))  # noqa: T201
            raise

    done = tries(stack, before.last_run)
    table += rows_of(deaths, stack, done, asked, served - landed)

    in_production_once(stack, mailbox, before, sha256, report)
    prices_were_given_and_logged(stack, asked, deaths)


def prices_were_given_and_logged(stack: TeamStack, asked: Requests, deaths: list[Death]) -> None:
    """Each request got a price and the price is logged, except while the API itself was down."""
    api = [death for death in deaths if death.kill.service == "api"]
    refused = [put for put, _ in asked.refused if not any(d.at - 1 <= put < d.well_at for d in api)]
    assert refused == []
    lost = [(death.at - LOGGED_AFTER_SECONDS, death.dead_at) for death in api]
    safe = {each for each, at in asked.answered.items() if not any(a < at < b for a, b in lost)}
    assert len(safe) > 20
    log = "SELECT prediction_id FROM predictions"
    wait_for(lambda: safe <= set(stack.sql("predictions", log)), "the answered prices in the log", 15)
