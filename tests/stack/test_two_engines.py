"""Two workers, each with a Docker engine of its own, and the data root in an object store.

The second engine runs in its own network namespace, as if on another machine. It reaches the first at the
addresses that stack/more-machines.yml publishes, and its worker runs from the folder that
stack/make_worker.py made.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import NO_SCHEDULE, STARTED_BY, require
from s3_server import S3Server, s3_server
from second_engine import SecondEngine, can_be_started, second_engine
from team_stack import REPOSITORY, TeamStack, docker, wait_for

from carprice.listings import sample
from carprice.store import DataRoot

pytestmark = [pytest.mark.soak, pytest.mark.docker, pytest.mark.e2e, pytest.mark.timeout(1800)]

FILES = 16
CUT_SECONDS = 300
SERVICES = ("scheduler", "triggerer", "dag-processor", "worker", "reports", "api", "mlflow-port")
ENDED = " ".join(
    f'{{{{index .Actor.Attributes "{name}"}}}}'
    for name in ("carprice.run", "carprice.task", "carprice.map_index", "exitCode")
)


@dataclass
class Team:
    """A stack with a worker on each engine, and the logs of how each engine's steps ended."""

    stack: TeamStack
    engine: SecondEngine
    server: S3Server
    root: DataRoot
    kit: Path
    logs: list[Path] = field(default_factory=list)
    shown: list[Path] = field(default_factory=list)

    def land(self, seeds: range) -> set[str]:
        """Put a small file for each seed into the store, all at once, and return their SHA-256."""
        texts = [sample.to_csv(sample.generate(80, seed=seed)).encode() for seed in seeds]
        for seed, text in zip(seeds, texts, strict=True):
            self.root.write_bytes(f"raw/listings-{seed}.csv", text)
        return {hashlib.sha256(text).hexdigest() for text in texts}

    def in_snapshot(self) -> list[str]:
        """The contents of the newest snapshot."""
        if not self.root.exists("snapshots/latest.json"):
            return []
        newest = self.root.read_json("snapshots/latest.json")["id"]
        return [file["sha256"] for file in self.root.read_json(f"snapshots/{newest}/manifest.json")["files"]]

    def settled(self) -> bool:
        """Whether no run is open and none is queued."""
        running = "SELECT count(*) FROM dag_run WHERE state IN ('queued', 'running')"
        waiting = "SELECT count(*) FROM asset_dag_run_queue"
        return self.stack.sql("airflow", running) == ["0"] == self.stack.sql("airflow", waiting)

    def ended_well(self, engine: int, task: str) -> Counter[str]:
        """The count of exits with status 0 on an engine, for each run and file of a task."""
        lines = [line.split() for line in self.logs[engine].read_text().splitlines()]
        return Counter(
            f"{run} {index}" for run, name, index, status in lines if (name, status) == (task, "0")
        )

    def checked_there(self) -> list[str]:
        """The containers on the second engine that check a file now."""
        of_task = ("--filter", "label=carprice.task=check_data_quality")
        return self.engine.docker("ps", "--quiet", *of_task).split()

    def worker_there_is_healthy(self) -> bool:
        """Whether the worker on the second engine runs and answers."""
        state = self.worker_there()["State"]
        return bool(state["Status"] == "running" and state["Health"]["Status"] == "healthy")

    def worker_there(self) -> dict[str, Any]:
        """`docker inspect` of the worker on the second engine."""
        found = self.engine.docker("compose", "ps", "--all", "--quiet", "worker", cwd=self.kit).strip()
        described: list[dict[str, Any]] = json.loads(self.engine.docker("inspect", found))
        return described[0]


@pytest.fixture(scope="module")
def team(compose_plugin: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Team]:
    require("DOCKER", can_be_started(), "A second engine takes root, dockerd, ip and nsenter.")
    for variable, default in STARTED_BY.items():
        image = os.environ.get(variable) or default
        there = subprocess.run(["docker", "image", "inspect", image], capture_output=True, check=False)
        require("DOCKER", there.returncode == 0, f"There is no image {image}; `make images` builds it.")
    folder = tmp_path_factory.mktemp("two-engines")
    (folder / "buckets").mkdir()
    with ExitStack() as made, pytest.MonkeyPatch.context() as patch:
        engine = made.enter_context(second_engine())
        server = made.enter_context(s3_server(folder / "buckets", engine.main_address))
        server.make_bucket("cars")
        for name, value in server.environment().items():
            patch.setenv(name, value)
        stack = TeamStack(folder / "main")
        stack.name += "-two"
        made.callback(stack.down)
        with ThreadPoolExecutor(1) as copying:
            copied = copying.submit(copy_images, engine)
            start_stack(stack, engine, server)
            copied.result()
        kit = start_worker(stack, engine, folder / "kit")
        running = Team(stack, engine, server, DataRoot("s3://cars/data"), kit)
        for name, host in (("here", ()), ("there", ("--host", f"unix://{engine.socket}"))):
            running.logs.append(folder / f"{name}.events")
            watch(made, running.logs[-1], *host)
            running.shown.append(folder / f"{name}.inspected")
            inspect_steps(made, running.shown[-1], *host)
        yield running


def start_stack(stack: TeamStack, engine: SecondEngine, server: S3Server) -> None:
    """Set up the main machine as docs/more-machines.md describes."""
    stack.folder.mkdir()
    port = server.url.rpartition(":")[2]
    stack.make_env(
        CARPRICE_DATA_URL="s3://cars/data",
        CARPRICE_S3_ENDPOINT=f"http://store.test:{port}",
        CARPRICE_STEP_HOSTS=f"store.test:{port}={engine.main_address}",
    )
    with (stack.folder / ".env").open("a") as settings:
        settings.write(f"CARPRICE_PRIVATE_ADDRESS={engine.main_address}\n")
    stack.use("stack/object-store.yml", "stack/more-machines.yml")
    airflow = ("api-server", "scheduler", "dag-processor", "triggerer", "worker")
    stack.change({name: {"environment": dict(NO_SCHEDULE)} for name in airflow}, {})
    stack.up(*SERVICES)


def copy_images(engine: SecondEngine) -> None:
    names = (f"CARPRICE_{name}_IMAGE" for name in ("AIRFLOW", "TRAINER", "SERVING", "DOCKER_PROXY"))
    engine.take_images(*[os.environ.get(name) or STARTED_BY[name] for name in names])


def start_worker(stack: TeamStack, engine: SecondEngine, kit: Path) -> Path:
    """Set up the second machine; return the folder that was copied there."""
    script = [sys.executable, REPOSITORY / "stack/make_worker.py", "--stack", stack.folder, kit]
    addresses = ["--main", engine.main_address, "--worker", engine.address]
    subprocess.run([*script, *addresses], check=True)
    with (kit / ".env").open("a") as settings:
        settings.write(f"CARPRICE_DOCKER_GID={engine.socket.stat().st_gid}\n")
        settings.write(f"CARPRICE_ENGINE_SOCKET={engine.socket}\n")
        settings.write(f"CARPRICE_SECRETS_DIR={kit}/.secrets\n")
    try:
        engine.docker("compose", "up", "--detach", "--wait", cwd=kit)
    except AssertionError as problem:
        logs = engine.docker("compose", "logs", "--tail", "60", cwd=kit, check=False)
        raise AssertionError(f"{problem}\n{logs[-4000:]}") from problem
    return kit


def watch(made: ExitStack, log: Path, *host: str) -> None:
    """Write a line to `log` for each step that ends on an engine, until `made` is closed."""
    command = ["docker", *host, "events", "--filter", "event=die", "--filter", "label=carprice.task"]
    file = made.enter_context(log.open("wb"))
    process = subprocess.Popen([*command, "--format", ENDED], stdout=file)
    made.callback(process.wait)
    made.callback(process.kill)


def inspect_steps(made: ExitStack, shown: Path, *host: str) -> None:
    """Write what `docker inspect` shows of each step that starts on an engine, until `made` is closed."""
    docker = f"docker {' '.join(host)}"
    started = f"{docker} events --filter event=start --filter label=carprice.task --format '{{{{.ID}}}}'"
    script = f"{started} | while read -r step; do {docker} inspect $step; done"
    file = made.enter_context(shown.open("wb"))
    process = subprocess.Popen(["sh", "-c", script], stdout=file, start_new_session=True)
    made.callback(process.wait)
    made.callback(os.killpg, process.pid, signal.SIGKILL)


def test_sixteen_files_landed_at_once_are_ingested_by_both_and_none_twice(team: Team) -> None:
    shas = team.land(range(100, 100 + FILES))

    wait_for(lambda: set(team.in_snapshot()) == shas, "all files to be in the snapshot")
    wait_for(team.settled, "the runs to end")

    here, there = (team.ended_well(engine, "check_data_quality") for engine in (0, 1))
    assert here
    assert there
    assert len(here) + len(there) == FILES
    assert set((here + there).values()) == {1}
    assert sorted(team.in_snapshot()) == sorted(shas)
    receipts = [team.root.read_json(f"receipts/{sha}.json") for sha in shas]
    assert {receipt["status"] for receipt in receipts} == {"accepted"}
    assert len({receipt["file"] for receipt in receipts}) == FILES
    # A run that found no file has no host for its check.
    of_files = "task_id = 'check_data_quality' AND map_index >= 0"
    by_host = f"SELECT DISTINCT hostname FROM task_instance WHERE {of_files}"  # noqa: S608
    hosts = team.stack.sql("airflow", by_host)
    assert team.engine.address in hosts
    assert len(hosts) == 2
    # The reports are where the team looks for them.
    assert team.stack.ask_price("GET", "/v1/reports").json()["reports"]
    index = f"{team.stack.url('REPORTS')}/"
    login = ("reviewer", team.stack.secret("reports_password"))
    assert requests.get(index, timeout=30).status_code == 401
    assert requests.get(index, auth=login, timeout=30).content == team.root.read_bytes("reports/index.html")
    page = f"quality/{min(shas)}.html"
    assert "listings-" in requests.get(index + page, auth=login, timeout=30).text
    for nothing in ("quality/", "none.html", "../receipts/", f"..%2freceipts%2f{min(shas)}.json"):
        assert requests.get(index + nothing, auth=login, timeout=30).status_code == 404


def test_the_log_of_a_task_on_the_other_machine_is_read_in_airflow(team: Team) -> None:
    columns = "hostname, run_id, map_index, try_number"
    found = team.stack.sql("airflow", f"SELECT {columns} FROM task_instance WHERE map_index >= 0")  # noqa: S608
    there = [line.split("|")[1:] for line in found if line.startswith(f"{team.engine.address}|")]
    run, index, turn = there[0]
    path = f"dags/ingest_listings/dagRuns/{run}/taskInstances/check_data_quality/logs/{turn}"

    told = team.stack.airflow(f"{path}?map_index={index}").text

    assert "rows in" in told, told[:2000]


def test_no_key_is_shown_by_docker_inspect_of_a_service_or_a_step(team: Team) -> None:
    steps = [shown.read_text() for shown in team.shown]
    for each in steps:
        assert "AWS_SECRET_ACCESS_KEY_FILE=/run/secrets/store_key" in each
    shown = json.dumps([*steps, team.worker_there(), *team.stack.containers().values()])
    for name in ("store_key", "store_key_id", "airflow_broker_url", "mlflow_password"):
        assert team.stack.secret(name) not in shown, name


def test_an_engine_that_is_cut_off_for_five_minutes_loses_no_file_and_none_is_ingested_twice(
    team: Team,
) -> None:
    before = team.in_snapshot()
    shas = team.land(range(300, 300 + FILES))
    wait_for(lambda: team.checked_there(), "a step on the other engine", every=0.1)

    with team.engine.cut_off():  # from the store, the broker, the API server and MLflow
        time.sleep(CUT_SECONDS)
    all_are_ingested_once(team, before, shas)
    wait_for(team.worker_there_is_healthy, "the worker there to be healthy again", 300)


def test_an_engine_that_restarts_loses_no_file_and_none_is_ingested_twice(team: Team) -> None:
    before = team.in_snapshot()
    shas = team.land(range(400, 400 + FILES))
    wait_for(lambda: team.checked_there(), "a step on the other engine", every=0.1)

    team.engine.restart()
    all_are_ingested_once(team, before, shas)
    wait_for(team.worker_there_is_healthy, "the worker there to be healthy again", 300)


def all_are_ingested_once(team: Team, before: list[str], shas: set[str]) -> None:
    """Wait until the files that landed are in the snapshot; assert that each is there whole, and once."""
    wait_for(lambda: set(team.in_snapshot()) == shas | set(before), "all files to be in the snapshot", 1200)
    wait_for(team.settled, "the runs to end")
    assert sorted(team.in_snapshot()) == sorted([*before, *shas])
    receipts = [team.root.read_json(f"receipts/{sha}.json") for sha in shas]
    assert {receipt["status"] for receipt in receipts} == {"accepted"}
    for sha in shas:
        rows = team.root.read_parquet(f"listings/{sha}.parquet")
        assert set(rows["source_sha256"]) == {sha}
        assert not rows.duplicated().any()


def test_a_worker_that_is_killed_loses_no_file_and_none_is_ingested_twice(team: Team) -> None:
    before = team.in_snapshot()
    (last_run,) = team.stack.sql("airflow", "SELECT max(id) FROM dag_run")
    shas = team.land(range(200, 200 + FILES))
    wait_for(lambda: team.checked_there(), "a step on the other engine", every=0.1)

    # No restart: the worker of that machine never comes back.
    worker = team.worker_there()
    team.engine.docker("update", "--restart", "no", worker["Id"])
    os.kill(worker["State"]["Pid"], signal.SIGKILL)
    all_are_ingested_once(team, before, shas)
    assert team.worker_there()["State"]["Status"] == "exited"
    # The tasks of the dead worker ran again on the other engine.
    tried = team.stack.sql(
        "airflow",
        "SELECT t.state, hostname, try_number > 1 FROM task_instance t "  # noqa: S608
        "JOIN dag_run r USING (dag_id, run_id) "
        f"WHERE task_id = 'check_data_quality' AND map_index >= 0 AND r.id > {last_run}",
    )
    assert len(tried) == FILES
    assert {line.split("|")[0] for line in tried} == {"success"}
    again = {line.split("|")[1] for line in tried if line.endswith("|t")}
    assert len(again) == 1
    assert team.engine.address not in again


def test_a_second_worker_on_the_same_engine_is_one_argument(team: Team) -> None:
    team.stack.compose("up", "--detach", "--wait", "--no-recreate", "--scale", "worker=2", "worker")

    found = team.stack.compose("ps", "--quiet", "--status", "running", "worker").split()
    health = docker("inspect", "--format", "{{.State.Health.Status}}", *found).split()
    assert health == ["healthy", "healthy"]


def test_nothing_is_left_where_the_worker_was(team: Team) -> None:
    left = team.engine.docker("ps", "--all", "--quiet", "--filter", "label=carprice.task").split()
    team.engine.docker("compose", "down", "--volumes", cwd=team.kit)
    shutil.rmtree(team.kit)
    if left:
        team.engine.docker("rm", "--force", *left)
    assert team.engine.docker("ps", "--all", "--quiet").split() == []
