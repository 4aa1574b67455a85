"""The stack that the tests share: the first test that needs it starts it; it goes down after the last."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from team_stack import Mailbox, TeamStack, wait_for

from carprice.listings import sample

STARTED_BY = {
    "CARPRICE_AIRFLOW_IMAGE": "carprice-airflow:latest",
    "CARPRICE_MLFLOW_IMAGE": "carprice-mlflow:latest",
    "CARPRICE_POSTGRES_IMAGE": "carprice-postgres:latest",
    "CARPRICE_REDIS_IMAGE": "carprice-redis:latest",
    "CARPRICE_DOCKER_PROXY_IMAGE": "carprice-docker-proxy:latest",
    "CARPRICE_SERVING_IMAGE": "carprice-app:latest",
    "CARPRICE_TRAINER_IMAGE": "carprice-trainer:latest",
}

# No schedule runs, so that none can hide a file that the landing trigger lost.
NO_SCHEDULE = {"CARPRICE_CATCHUP_SCHEDULE": "0 0 29 2 *", "CARPRICE_DRIFT_SCHEDULE": "0 0 29 2 *"}
AIRFLOW = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")

# A model of a few more synthetic listings passes these gates, on a busy machine too.
PARAMS = {"promotion": {"production_confidence": 0.0, "max_slice_loss": 100.0, "max_prediction_ms": 10_000.0}}


def require(what: str, is_there: bool, sentence: str) -> None:
    """Skip the test with `sentence` if something is missing; fail it if REQUIRE_<what> is 1."""
    if not is_there:
        (pytest.fail if os.environ.get(f"REQUIRE_{what}") == "1" else pytest.skip)(sentence)


def _succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="session")
def compose_plugin() -> None:
    """A Docker client with Compose v2."""
    require(
        "DOCKER",
        _succeeds("docker", "compose", "version"),
        "`docker compose` does not answer; images/base/compose-plugin gets it from Debian's packages.",
    )


@pytest.fixture(scope="session")
def new_stack(
    compose_plugin: None, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], TeamStack]]:
    """A function that makes a stack and does not start it; the engine has the images."""
    require("DOCKER", _succeeds("docker", "version"), "No Docker engine answers; see `make docker-engine`.")
    for variable, default in STARTED_BY.items():
        image = os.environ.get(variable) or default
        there = _succeeds("docker", "image", "inspect", image)
        require("DOCKER", there, f"There is no image {image}; `make images` builds it.")
    made: list[TeamStack] = []

    def new() -> TeamStack:
        stack = TeamStack(tmp_path_factory.mktemp("stack"))
        made.append(stack)
        stack.make_env()
        return stack

    yield new
    for stack in made:
        stack.down()


@pytest.fixture(scope="session")
def stack(new_stack: Callable[[], TeamStack]) -> TeamStack:
    """A running stack whose services are all healthy."""
    stack = new_stack()
    services = {name: {"environment": dict(NO_SCHEDULE)} for name in AIRFLOW}
    (stack.secrets / "webhook_url").write_text(f"{Mailbox.url_in(stack)}\n")
    stack.make_env()
    stack.change(services, PARAMS)
    stack.up()
    return stack


@pytest.fixture(scope="module")
def mailbox(stack: TeamStack) -> Iterator[Mailbox]:
    """The receiver of the stack's webhook."""
    mailbox = Mailbox(stack)
    yield mailbox
    mailbox.remove()


@pytest.fixture(scope="session")
def in_production(stack: TeamStack) -> str:
    """Put a file into data/raw, and return the version that it brings into production."""
    stack.land(sample.to_csv(sample.generate(900, seed=3)).encode(), "first.csv")
    return str(wait_for(stack.production_version, "the landed file to become a production model"))
