"""The step contract, kept by both operators: as a child process and in a container."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import tarfile
import threading
import time
import uuid
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from docker import APIClient as DockerClient

from include import settings as settings_module
from include.base_step import LineLog
from include.conventions import alert_about_a_run_without_report
from include.step import step_operator

TEST_IMAGE = f"carprice-step-test-{uuid.uuid4().hex[:8]}"
MODEL = Asset(name="a_model", uri="carprice://test/model")


class TaskInstanceStub:
    # Its own in each session: a step removes what an earlier try of the same task left.
    run_id = f"manual__{uuid.uuid4()}"
    dag_id, task_id, map_index = "some_dag", "some_step", -1

    def __init__(self) -> None:
        self.try_number = 1
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


OF_THE_RUN = {"label": f"carprice.run={TaskInstanceStub.run_id}"}


@pytest.fixture(scope="session")
def docker() -> Any:
    """The engine, with an image whose `carprice` is the stand-in."""
    import docker

    try:
        engine = docker.from_env()
        engine.ping()
    except docker.errors.DockerException as problem:
        no_docker(f"no Docker engine answers: {problem}")
    wanted = (
        os.environ.get("PYTHON_IMAGE"),
        "carprice-python:3.13",
        "python:3.13-slim",
        "carprice-trainer:latest",
    )
    there = {tag for image in engine.images.list() for tag in image.tags}
    base = next((image for image in wanted if image in there), None)
    if base is None:
        no_docker("the engine has no image with a Python in it: run `make base-image`")
    files = {
        "Dockerfile": f"FROM {base}\nUSER root\nCOPY carprice /usr/local/bin/carprice\n"
        "RUN cd /usr/local/bin && chmod 755 carprice && ln -s carprice carprice-collect\n"
        "ENV PATH=/usr/local/bin:/usr/bin:/bin\n",
        "carprice": Path(__file__).with_name("fake_carprice.py").read_text(),
    }
    context = io.BytesIO()
    with tarfile.open(fileobj=context, mode="w") as tar:
        for name, text in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(text.encode())
            tar.addfile(entry, io.BytesIO(text.encode()))
    engine.images.build(
        fileobj=io.BytesIO(context.getvalue()),
        custom_context=True,
        tag=TEST_IMAGE,
        rm=True,
        network_mode="none",
    )
    yield engine
    engine.images.remove(TEST_IMAGE, force=True)


def no_docker(reason: str) -> None:
    if os.environ.get("REQUIRE_DOCKER") == "1":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield from with_settings(monkeypatch, CARPRICE_RUNTIME="process")


@pytest.fixture
def in_container(monkeypatch: pytest.MonkeyPatch, docker: Any, trainer: Any) -> Iterator[Any]:
    for folder in (trainer.data.parent, trainer.data):
        folder.chmod(0o777)
    for _ in with_settings(monkeypatch, CARPRICE_RUNTIME="docker", CARPRICE_TRAINER_IMAGE=TEST_IMAGE):
        yield docker
    assert docker.containers.list(all=True, filters=OF_THE_RUN) == []


def with_settings(monkeypatch: pytest.MonkeyPatch, **environment: str) -> Iterator[None]:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    settings_module.settings.cache_clear()
    yield
    settings_module.settings.cache_clear()


@pytest.fixture(params=["in_process", pytest.param("in_container", marks=pytest.mark.docker)])
def execute(request: pytest.FixtureRequest, trainer: Any) -> Callable[..., SimpleNamespace]:
    """Runs a step that emits an asset event, and tells its result, XComs and the event's extra."""
    request.getfixturevalue(request.param)
    return execute_step


def execute_step(arguments: Any = ("train-model",), try_number: int = 1, **kwargs: Any) -> SimpleNamespace:
    operator = step_operator()(
        python_callable=lambda: list(arguments) if isinstance(arguments, tuple) else arguments,
        task_id="some_step",
        outlets=[MODEL],
        **kwargs,
    )
    ti = TaskInstanceStub()
    ti.try_number = try_number
    events: Any = defaultdict(lambda: SimpleNamespace(extra=None))
    done = SimpleNamespace(ti=ti, result=None, error=None, operator=operator)
    try:
        done.result = operator.execute({"ti": ti, "outlet_events": events})
    except AirflowException as error:
        done.error = error
    done.extra = events[MODEL].extra
    return done


def test_the_result_file_is_the_result_and_the_extra_of_the_event(execute: Any, trainer: Any) -> None:
    trainer.plan(train_model={"result": {"run_id": "r1", "note": "größer"}, "stderr": "a late warning"})

    done = execute(("train-model", "--snapshot", "s p a c e; $HOME"))

    assert done.error is None
    assert done.result == done.extra == {"run_id": "r1", "note": "größer"}
    assert trainer.args("train-model") == [["--snapshot", "s p a c e; $HOME"]]
    assert done.operator.command[:3] == ["train-model", "--snapshot", "s p a c e; $HOME"]


def test_exit_99_skips_and_keeps_the_result(execute: Any, trainer: Any) -> None:
    trainer.plan(train_model={"exit": 99, "result": {"passed": False}, "stderr": "Gate mape said no."})

    done = execute()

    assert isinstance(done.error, AirflowSkipException)
    assert str(done.error) == "Gate mape said no."
    assert done.ti.xcoms == {"return_value": {"passed": False}}
    assert done.extra is None


def test_exit_65_fails_for_good_with_the_refusal_of_the_result(execute: Any, trainer: Any) -> None:
    trainer.plan(
        train_model={"exit": 65, "result": {"refusal": "No column Prix."}, "stderr": "a late warning"}
    )

    done = execute()

    assert isinstance(done.error, AirflowFailException)
    assert "No column Prix." in str(done.error)
    assert done.ti.xcoms["return_value"]["refusal"] == "No column Prix."


def test_exit_2_fails_for_good_with_the_last_words(execute: Any, trainer: Any) -> None:
    trainer.plan(train_model={"exit": 2, "no_result": True, "stderr": "No option --snapshto."})

    done = execute()

    assert isinstance(done.error, AirflowFailException)
    assert "No option --snapshto." in str(done.error)


@pytest.mark.parametrize("status", [75, 1])
def test_any_other_exit_is_tried_again(execute: Any, trainer: Any, status: int) -> None:
    trainer.plan(train_model={"exit": status, "no_result": True, "stderr": "MLflow is away."})

    done = execute()

    assert isinstance(done.error, AirflowException)
    assert not isinstance(done.error, AirflowFailException)
    assert f"exit status {status}" in str(done.error)
    assert "MLflow is away." in str(done.error)


def test_a_step_that_finds_a_service_away_is_tried_more_often_than_one_that_fails(
    execute: Any, trainer: Any
) -> None:
    trainer.plan(train_model={"exit": 1, "no_result": True, "stderr": "KeyError: 'km'"})
    failed = execute(try_number=2)
    trainer.plan(train_model={"exit": 75, "no_result": True, "stderr": "MLflow is away."})
    away = execute(try_number=3)

    assert isinstance(failed.error, AirflowFailException)
    assert "exit status 1: KeyError: 'km'" in str(failed.error)
    assert not isinstance(away.error, AirflowFailException)


@pytest.mark.parametrize("plan", [{"no_result": True}, {"raw_result": "not json"}])
def test_success_without_a_readable_result_is_a_failure(execute: Any, trainer: Any, plan: Any) -> None:
    trainer.plan(train_model=plan)

    assert "wrote no result" in str(execute().error)


def test_a_function_that_returns_no_list_is_refused(execute: Any) -> None:
    assert "as a list of strings, not 'train-model'" in str(execute("train-model").error)


def test_a_step_knows_data_and_params_and_no_secret_of_airflow(execute: Any, trainer: Any) -> None:
    execute()

    environment = trainer.calls[0]["env"]
    assert environment["DATA_DIR"] == str(trainer.data)
    assert "settle_seconds: 10" in environment["CARPRICE_PARAMS"]
    assert environment["MLFLOW_TRACKING_PASSWORD"] == "hidden-password"
    assert environment["AIRFLOW_HOME"] is environment["PYTHONPATH"] is None


def test_an_edit_of_the_params_file_reaches_the_next_step(execute: Any, trainer: Any) -> None:
    file = Path(os.environ["CARPRICE_PARAMS_FILE"])
    before = file.read_text()
    try:
        execute()
        file.write_text(before + "# edited\n")
        execute()
    finally:
        file.write_text(before)

    assert [call["env"]["CARPRICE_PARAMS"].endswith("# edited\n") for call in trainer.calls] == [False, True]


def test_a_step_that_failed_leaves_its_last_words(execute: Any, trainer: Any) -> None:
    trainer.plan(train_model={"exit": 75, "no_result": True, "stderr": "MLflow is away."})

    assert execute().ti.xcoms == {"problem": "MLflow is away."}


@pytest.mark.usefixtures("execute")
def test_a_run_that_timed_out_is_told_without_any_task_of_it(trainer: Any) -> None:
    failed = {"dag": SimpleNamespace(dag_id="some_dag"), "run_id": "some run", "reason": "timed_out"}
    alert_about_a_run_without_report(failed)  # type: ignore[arg-type]

    (arguments,) = trainer.args("alert")
    assert arguments[:3] == ["--run-failed", "some_dag, run some run", "send_pipeline_report"]
    assert arguments[-1].endswith("/dags/some_dag/runs/some%20run")


def test_whole_lines_of_both_streams_are_logged_and_the_last_of_stderr_remembered() -> None:
    logged: list[str] = []
    lines = LineLog(lambda template, *args: logged.append(template % args))

    for stream, content in [
        ("stderr", b"one\ntw"),
        ("stdout", "100 % größ".encode()[:-1]),
        ("stderr", b"o\r\n\n"),
        ("stdout", "größ".encode()[-1:]),
        ("stdout", None),
    ]:
        lines.add(stream, content)
    lines.close()

    assert logged == ["one", "two", "", "100 % größ"]
    assert lines.last_words == "two"


def test_a_killed_task_takes_its_step_along(execute: Any, trainer: Any) -> None:
    trainer.plan(train_model={"sleep": 60, "child": 61})
    done: list[Any] = []
    operators: list[Any] = []
    original = step_operator()

    def run() -> None:
        operator = original(python_callable=lambda: ["train-model"], task_id="some_step")
        operators.append(operator)
        try:
            operator.execute({"ti": TaskInstanceStub(), "outlet_events": {}})
        except AirflowException as error:
            done.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: trainer.calls)
    operators[0].on_kill()
    thread.join(timeout=20)

    assert not thread.is_alive()
    assert "exit status" in str(done[0])
    wait_for(lambda: not [p for p in psutil.process_iter() if command_of(p) == ["sleep", "61"]])


def test_a_retry_ends_what_an_earlier_try_left_running(
    request: pytest.FixtureRequest, execute: Any, trainer: Any
) -> None:
    trainer.plan(train_model=[{"sleep": 60}, {}])
    errors: list[Any] = []
    thread = threading.Thread(target=lambda: errors.append(execute().error))
    thread.start()
    wait_for(lambda: trainer.calls)

    assert execute(try_number=2).error is None
    thread.join(timeout=20)
    assert "exit status" in str(errors[0])


@pytest.mark.usefixtures("in_process")
def test_a_process_step_dies_with_a_task_that_was_killed_outright(trainer: Any) -> None:
    trainer.plan(train_model={"sleep": 60})
    script = "import test_steps; test_steps.execute_step()"
    task = subprocess.Popen(
        [sys.executable, "-c", script],
        cwd=Path(__file__).parent,
        env={**os.environ, "PYTHONPATH": f"{os.environ['PYTHONPATH']}:{Path(__file__).parent}"},
        stdout=subprocess.DEVNULL,
    )
    wait_for(lambda: trainer.calls)
    task.kill()
    task.wait()

    wait_for(lambda: not psutil.pid_exists(trainer.calls[0]["pid"]))


@pytest.mark.usefixtures("in_process")
def test_a_trainer_python_that_is_not_there_is_named(trainer: Any, monkeypatch: Any) -> None:
    for _ in with_settings(monkeypatch, CARPRICE_TRAINER_PYTHON="/nowhere/python"):
        error = execute_step().error

    assert isinstance(error, AirflowFailException)
    assert "CARPRICE_TRAINER_PYTHON=/nowhere/python can't be started" in str(error)


@pytest.mark.usefixtures("in_process")
def test_a_serving_step_runs_in_the_environment_of_the_app(trainer: Any, monkeypatch: Any) -> None:
    for _ in with_settings(monkeypatch, CARPRICE_TRAINER_PYTHON="/nowhere/python"):
        outcome = execute_step(serving=True)

    assert outcome.error is None
    assert len(trainer.calls) == 1


@pytest.mark.docker
def test_a_serving_container_is_made_of_the_image_of_the_app(in_container: Any, monkeypatch: Any) -> None:
    images = {"CARPRICE_TRAINER_IMAGE": "localhost:1/no-such-image:1", "CARPRICE_SERVING_IMAGE": TEST_IMAGE}
    for _ in with_settings(monkeypatch, **images):
        assert execute_step(serving=True).error is None


@pytest.mark.docker
def test_a_collecting_container_has_a_network_and_a_program_of_its_own_and_no_secret(
    in_container: Any, trainer: Any, monkeypatch: Any
) -> None:
    network = f"carprice-collect-{uuid.uuid4().hex[:8]}"
    monkeypatch.setenv("CARPRICE_COLLECTOR_IMAGE", TEST_IMAGE)
    monkeypatch.setenv("CARPRICE_COLLECTOR_NETWORK", network)
    in_container.networks.create(network, internal=True)
    try:
        for _ in with_settings(monkeypatch):
            done = execute_step(("collect-listings", "--source", "avito"), collecting=True)
    finally:
        in_container.networks.get(network).remove()
    assert done.error is None
    assert done.result["ads"] == 35
    (call,) = trainer.calls
    assert call["program"] == "carprice-collect"
    assert call["env"]["CARPRICE_COLLECT_CONTACT"] == "ops@example.ma"
    assert call["env"]["MLFLOW_TRACKING_PASSWORD"] is None
    assert done.operator.network_mode == network


def test_without_a_network_for_it_no_collector_starts(in_container: Any, monkeypatch: Any) -> None:
    for _ in with_settings(monkeypatch, CARPRICE_COLLECTOR_NETWORK=""):
        done = execute_step(("collect-listings", "--source", "avito"), collecting=True)
    assert "CARPRICE_COLLECTOR_NETWORK must name" in str(done.error)


def test_a_container_has_its_labels_and_limits_and_is_no_root(in_container: Any, trainer: Any) -> None:
    trainer.plan(train_model={"sleep": 4})
    thread = threading.Thread(target=execute_step)
    thread.start()
    (container,) = wait_for(lambda: in_container.containers.list(filters=OF_THE_RUN))
    host = container.attrs["HostConfig"]
    thread.join()

    assert container.labels["carprice.run"] == TaskInstanceStub.run_id
    assert container.labels["carprice.try"] == "1"
    assert container.name.startswith("carprice-some_step-1-")
    assert host["Memory"] == 2 * 1024**3
    assert host["CapDrop"] == ["ALL"]
    assert "no-new-privileges" in host["SecurityOpt"]
    assert host["ReadonlyRootfs"] is True
    (scratch,) = (mount for mount in container.attrs["Mounts"] if mount["Type"] == "volume")
    assert scratch["Name"] not in {volume.name for volume in in_container.volumes.list()}
    assert trainer.calls[0]["uid"] != 0


@pytest.mark.docker
def test_docker_inspect_shows_the_name_of_a_secrets_file_and_no_secret(
    in_container: Any, trainer: Any, monkeypatch: Any
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_PASSWORD")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD_FILE", "/run/secrets/mlflow_password")
    trainer.plan(train_model={"sleep": 4})
    thread = threading.Thread(target=execute_step)
    thread.start()
    (container,) = wait_for(lambda: in_container.containers.list(filters=OF_THE_RUN))
    thread.join()

    told = dict(entry.split("=", 1) for entry in container.attrs["Config"]["Env"])
    assert told["MLFLOW_TRACKING_PASSWORD_FILE"] == "/run/secrets/mlflow_password"
    assert "MLFLOW_TRACKING_PASSWORD" not in told


@pytest.mark.docker
def test_a_container_that_needs_too_much_memory_fails_with_the_setting_to_raise(
    in_container: Any, trainer: Any, monkeypatch: Any
) -> None:
    trainer.plan(train_model={"eat": 300})
    for _ in with_settings(monkeypatch, CARPRICE_STEP_MEMORY="64m"):
        error = execute_step().error

    assert "it needed more than 64m of memory: raise CARPRICE_STEP_MEMORY" in str(error)


@pytest.mark.docker
def test_a_container_removed_while_it_runs_was_killed_even_if_the_engine_no_longer_knows_how(
    in_container: Any, trainer: Any, monkeypatch: Any
) -> None:
    wait = DockerClient.wait

    def too_late(client: DockerClient, container: str, *args: Any) -> Any:
        client.remove_container(container, force=True, v=True)
        wait_for(lambda: client.containers(all=True, filters={"id": container}) == [])
        return wait(client, container, *args)

    monkeypatch.setattr(DockerClient, "wait", too_late)
    error = execute_step().error

    assert isinstance(error, AirflowException)
    assert not isinstance(error, AirflowFailException), "it is tried again"
    assert "exit status 137 (its container was removed while it ran)" in str(error)


@pytest.mark.docker
@pytest.mark.usefixtures("in_container")
def test_an_image_that_is_not_there_is_named(monkeypatch: Any) -> None:
    for _ in with_settings(monkeypatch, CARPRICE_TRAINER_IMAGE="localhost:1/no-such-image:1"):
        error = execute_step().error

    assert "localhost:1/no-such-image:1" in str(error)
    assert "make images" in str(error)


def command_of(process: psutil.Process) -> list[str]:
    try:
        return [] if process.status() == psutil.STATUS_ZOMBIE else list(process.cmdline())
    except psutil.Error:
        return []


def wait_for(condition: Callable[[], Any], seconds: float = 60) -> Any:
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.05)
    return found
