"""One throw-away Airflow (SQLite) for all tests of this folder, and a stand-in for the trainer."""

from __future__ import annotations

import base64
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FAKE = Path(__file__).with_name("fake_carprice.py")

# Airflow reads these when it is first imported, and the tests import it on collection.
_home = tempfile.TemporaryDirectory(prefix="carprice-airflow-tests-")
for _name in [
    n for n in os.environ if n.startswith(("AIRFLOW__", "CARPRICE_")) and n != "CARPRICE_REAL_DATA"
]:
    del os.environ[_name]
os.environ.update(
    AIRFLOW_HOME=_home.name,
    AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "airflow/dags"),
    AIRFLOW__CORE__LOAD_EXAMPLES="False",
    # The same for this process and the commands it starts: a trigger's arguments are stored encrypted.
    AIRFLOW__CORE__FERNET_KEY=base64.urlsafe_b64encode(os.urandom(32)).decode(),
    AIRFLOW__LOGGING__LOGGING_LEVEL="WARNING",
    PYTHONPATH=str(ROOT / "airflow"),
    CARPRICE_RUNTIME="process",
    CARPRICE_RETRIES="1",
    CARPRICE_AWAY_RETRIES="3",
    CARPRICE_RETRY_DELAY_SECONDS="0.1",
    CARPRICE_PARAMS_FILE=f"{_home.name}/params.yaml",
    DATA_DIR=f"{_home.name}/data",
    CARPRICE_TRAINER_PYTHON=f"{_home.name}/trainer-python",
    CARPRICE_SERVING_PYTHON=f"{_home.name}/trainer-python",
    CARPRICE_COLLECTOR_PYTHON=f"{_home.name}/trainer-python",
    CARPRICE_COLLECTOR_SOURCES="avito jsonld=https://cars.example/all?page=1",
    CARPRICE_COLLECT_CONTACT="ops@example.ma",
    MLFLOW_TRACKING_PASSWORD="hidden-password",
)
sys.path.insert(0, str(ROOT / "airflow"))
(Path(_home.name) / "params.yaml").write_text("landing: {settle_seconds: 10, settle_seconds_renamed: 1}\n")


@pytest.fixture(scope="session", autouse=True)
def airflow_home() -> Iterator[Path]:
    """An Airflow home with an empty metadata database and a fake trainer."""
    home = Path(_home.name)
    python = home / "trainer-python"
    python.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}" "$@"\n')
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    (home / "data").mkdir()
    yield home
    _home.cleanup()


@pytest.fixture(scope="session")
def airflow_database(airflow_home: Path) -> Path:
    """The metadata database, with all DAGs in it; only what runs DAGs needs it."""
    for command in (["db", "migrate"], ["dags", "reserialize"]):
        done = subprocess.run([sys.executable, "-m", "airflow", *command], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return airflow_home


@pytest.fixture
def trainer(airflow_home: Path) -> Trainer:
    """The fake trainer, with nothing planned and nothing called yet."""
    return Trainer(airflow_home / "data")


class Trainer:
    """Plans what the fake `carprice` does and tells what it was called with."""

    def __init__(self, data: Path) -> None:
        self.data = data
        (data / "calls.jsonl").unlink(missing_ok=True)
        self.plan()

    def plan(self, **steps: Any) -> None:
        """What each step (with `_` for `-`) does, see fake_carprice.py."""
        (self.data / "plan.json").write_text(json.dumps({k.replace("_", "-"): v for k, v in steps.items()}))

    @property
    def calls(self) -> list[dict[str, Any]]:
        """All calls so far."""
        file = self.data / "calls.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def args(self, step: str) -> list[list[str]]:
        """The arguments of every call of a step, without those for the result."""
        return [c["args"][1:-2] for c in self.calls if c["args"][0] == step]


@pytest.fixture(scope="session")
def load_dag() -> Callable[[str], Any]:
    """Loads a DAG anew from its file."""

    def load(dag_id: str) -> Any:
        from airflow.dag_processing.dagbag import DagBag

        bag = DagBag(str(ROOT / "airflow/dags" / f"{dag_id}.py"), bundle_name="dags-folder")
        assert bag.import_errors == {}
        return bag.dags[dag_id]

    return load
