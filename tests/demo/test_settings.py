"""What `make demo` accepts, and the sentence for what it does not."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from demo.settings import DemoProblem, Settings, free_port


@pytest.fixture(autouse=True)
def _free_ports(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in (
        "FILE",
        "COLLECT",
        "PAST",
        "RUNTIME",
        "ONCE",
        "AIRFLOW_DATABASE",
        "DEMO_STATE",
        "DEMO_TIMEOUT",
    ):
        monkeypatch.delenv(name, raising=False)
    for name in ("AIRFLOW_PORT", "MLFLOW_PORT", "API_PORT", "APP_PORT", "EVIDENTLY_PORT"):
        monkeypatch.setenv(name, str(free_port()))
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))
    monkeypatch.setattr("demo.settings.engine_answers", lambda: False)


def test_without_an_engine_the_runtime_is_process() -> None:
    assert Settings.from_environment().runtime == "process"


def test_with_an_engine_the_runtime_is_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("demo.settings.engine_answers", lambda: True)
    assert Settings.from_environment().runtime == "docker"


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("RUNTIME", "podman", "RUNTIME must be one of auto, docker, process, not 'podman'"),
        ("RUNTIME", "docker", "RUNTIME=docker needs a Docker engine"),
        ("AIRFLOW_PORT", "eighty", "AIRFLOW_PORT must be a whole number from 1 to 65535, not 'eighty'"),
        ("APP_PORT", "70000", "APP_PORT must be a whole number from 1 to 65535"),
        ("FILE", "missing.csv", "FILE must name a CSV file"),
        ("ONCE", "sometimes", "ONCE must be true or false, not 'sometimes'"),
        ("DEMO_TIMEOUT", "long", "DEMO_TIMEOUT must be a number above 0, not 'long'"),
    ],
)
def test_an_unusable_value_is_refused_with_its_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(DemoProblem) as problem:
        Settings.from_environment()
    assert sentence in str(problem.value)


def test_one_thing_is_landed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAST", "1")
    assert Settings.from_environment().past
    monkeypatch.setenv("COLLECT", "1")
    with pytest.raises(DemoProblem, match="found COLLECT=1 and PAST=1; leave out one of them"):
        Settings.from_environment()


def test_a_taken_port_is_named_with_the_way_out(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("MLFLOW_PORT", str(port))
        with pytest.raises(DemoProblem, match=rf"port {port} must be free.*MLFLOW_PORT="):
            Settings.from_environment()


def test_two_data_roots_have_two_states(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    first = Settings.from_environment().state
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "other"))
    assert Settings.from_environment().state != first
