"""A task that is killed is told: with the real scheduler, executor, api-server and dag-processor."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

EMBEDDED = Path(__file__).parents[2] / "airflow" / "embedded.env"
PATIENCE_SECONDS = 300  # a busy machine is slow, not wrong


@pytest.fixture(scope="module")
def airflow(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an Airflow whose services run, with a database of its own."""
    home = tmp_path_factory.mktemp("running-airflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    lines = [line for line in EMBEDDED.read_text().splitlines() if line and not line.startswith("#")]
    environment = os.environ | dict(line.split("=", 1) for line in lines)
    environment |= {
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": f"{home}/logs",
        "AIRFLOW__LOGGING__LOGGING_LEVEL": "INFO",
        "AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT": "0",
        "AIRFLOW__API__PORT": str(port),
        "AIRFLOW__API__BASE_URL": f"http://127.0.0.1:{port}",
        "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"http://127.0.0.1:{port}/execution/",
        "AIRFLOW__API__SECRET_KEY": secrets.token_hex(16),
        "AIRFLOW__API_AUTH__JWT_SECRET": secrets.token_hex(32),
        "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": f"{home}/passwords.json",
        # Nothing runs but what the test starts.
        "CARPRICE_CATCHUP_SCHEDULE": "0 0 29 2 *",
        "CARPRICE_DRIFT_SCHEDULE": "0 0 29 2 *",
        # A killed worker is noticed in seconds.
        "AIRFLOW__SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": "15",
    }
    done = subprocess.run(
        [sys.executable, "-m", "airflow", "db", "migrate"], env=environment, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    services = []
    with contextlib.ExitStack() as stack:
        for name in ("api-server", "scheduler", "dag-processor"):
            output = stack.enter_context(open(home / f"{name}.log", "wb"))
            command = [sys.executable, "-m", "airflow", name]
            services.append(subprocess.Popen(command, env=environment, stdout=output, stderr=output))
        try:
            yield environment
        finally:
            everything = [
                child
                for s in services
                for child in [*psutil.Process(s.pid).children(True), psutil.Process(s.pid)]
            ]
            for process in everything:
                with contextlib.suppress(psutil.Error):
                    process.kill()
            for service in services:
                service.wait()


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    end = time.monotonic() + PATIENCE_SECONDS
    while not (found := condition()):
        assert time.monotonic() < end, f"waited in vain for {what}"
        time.sleep(0.3)
    return found


def trigger_rollback(environment: dict[str, str]) -> None:
    def is_read() -> bool:
        with contextlib.closing(sqlite3.connect(f"{environment['AIRFLOW_HOME']}/airflow.db")) as database:
            return bool(database.execute("SELECT 1 FROM serialized_dag WHERE dag_id = 'rollback'").fetchall())

    # Each call of `airflow` costs seconds, so only one is made.
    wait_for(is_read, "the dag-processor to have read the DAG")
    command = [sys.executable, "-m", "airflow", "dags", "trigger", "rollback", "--conf"]
    done = subprocess.run(
        [*command, json.dumps({"reason": "prices look wrong"})],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def kill_task(trainer: Any) -> None:
    """Kill the task and the supervisor above it, as a machine that is out of memory may."""
    call = wait_for(lambda: [c for c in trainer.calls if c["args"][0] == "rollback"], "the step to start")[-1]
    runner = psutil.Process(call["pid"]).parent()
    for process in (runner.parent(), runner):
        process.kill()


def test_a_killed_task_is_told_by_the_last_task_and_else_by_the_dag_processor(
    airflow: dict[str, str], trainer: Any
) -> None:
    trainer.plan(rollback={"sleep": 600})
    trigger_rollback(airflow)
    kill_task(trainer)
    (arguments,) = wait_for(lambda: trainer.args("send-pipeline-report"), "the report of the failed run")
    assert json.loads(arguments[arguments.index("--state") + 1]) == {"rollback": "failed"}
    assert json.loads(arguments[arguments.index("--problems") + 1]) == {}, "it left no word"

    (trainer.data / "calls.jsonl").unlink()
    trainer.plan(rollback={"sleep": 600}, send_pipeline_report={"exit": 65, "no_result": True})
    trigger_rollback(airflow)
    kill_task(trainer)
    (arguments,) = wait_for(lambda: trainer.args("alert"), "the dag-processor to tell it")
    assert arguments[0] == "--run-failed"
    assert arguments[1].startswith("rollback, run manual__")
    assert arguments[2] == "send_pipeline_report"
