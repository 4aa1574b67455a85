"""A trained system, an MLflow server and a running API, shared by the tests that only ask."""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests

REPOSITORY = Path(__file__).resolve().parents[2]
for _folder in (REPOSITORY, REPOSITORY / "images" / "app"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from benchmarks.market_files import synthetic_offers, write_market
from demo.services import mlflow_service
from demo.settings import Settings as DemoSettings
from demo.settings import free_port
from forked_api import ForkedApi

from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_MARKET

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page
    from running_app import RunningApp

SECONDS = 120
LOGAN: dict[str, Any] = {
    "make": "Dacia",
    "model": "Logan",
    "model_year": 2015,
    "mileage": "120 000 - 129 999",
    "fuel": "Diesel",
    "fiscal_power_cv": 6,
    "gearbox": "Manuelle",
    "air_conditioning": True,
}


def clean_environment(**more: str) -> dict[str, str]:
    """This process's environment without the settings of whoever runs the tests, and `more`."""
    kept = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("CARPRICE_", "MLFLOW_", "DATA_DIR"))
    }
    return kept | {"NO_PROXY": "127.0.0.1,localhost", "MLFLOW_DISABLE_TELEMETRY": "true"} | more


def wait_until(condition: Any, what: str, seconds: float = SECONDS) -> Any:
    """Ask until the answer is true; the answer."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(requests.RequestException):
            if found := condition():
                return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s: {what}")


@dataclass
class Api:
    """A running API process and how to ask it."""

    address: str
    process: subprocess.Popen[bytes] | ForkedApi
    log: Path
    state: Path
    session: requests.Session = field(default_factory=requests.Session)

    def __post_init__(self) -> None:
        self.session.trust_env = False

    def get(self, path: str, **more: Any) -> requests.Response:
        """GET `path`."""
        return self.session.get(f"{self.address}{path}", timeout=60, **more)

    def post(self, path: str, document: Any = None, **more: Any) -> requests.Response:
        """POST a JSON document (or, with `data`, anything else)."""
        if document is not None:
            more["json"] = document
        return self.session.post(f"{self.address}{path}", timeout=60, **more)

    def version(self) -> str | None:
        """The version that serves."""
        return self.get("/readyz").json().get("version")

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=60)


@contextmanager
def running_api(
    folder: Path,
    data: Path | str,
    mlflow: str,
    wait: bool = True,
    state: Path | None = None,
    command: bool = False,
    **settings: str,
) -> Iterator[Api]:
    """A real API process on a free port, ended afterwards. With `wait`, it has a model.

    With `command`, it is started by the command that a service manager uses, else by a quicker fork.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    state = state or folder / "state"
    log = folder / "api.log"
    environment = clean_environment(
        DATA_DIR=str(data),
        MLFLOW_TRACKING_URI=mlflow,
        PYTHONPATH=str(REPOSITORY / "images" / "app"),
        CARPRICE_API_PORT=str(port),
        CARPRICE_API_STATE_DIR=str(state),
        CARPRICE_API_POLL_SECONDS="0.3",
        CARPRICE_API_REQUESTS_PER_SECOND="100000",
        CARPRICE_API_BURST="100000",
    )
    process: subprocess.Popen[bytes] | ForkedApi
    if command:
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "price_api", "serve"],
                env=environment | settings, stdout=output, stderr=output, cwd=folder,
            )  # fmt: skip
    else:
        process = ForkedApi(environment | settings, log, folder)
    api = Api(f"http://127.0.0.1:{port}", process, log, state)
    try:

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return api.get("/readyz" if wait else "/healthz").status_code == 200

        wait_until(up, f"the API is up; its log: {log}")
        yield api
    finally:
        if process.poll() is None:
            process.terminate()
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def running_mlflow(data: Path, port: int | None = None) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """A real MLflow server on the data root; its address and process (a group of its own)."""
    address, process = started_mlflow(data, port)
    try:
        yield address, process
    finally:
        end_group(process.pid)
        process.wait()


def started_mlflow(data: Path, port: int | None = None) -> tuple[str, subprocess.Popen[bytes]]:
    """As `running_mlflow`, left running once it answers."""
    settings = DemoSettings(
        data=data, state=data.parent / "demo", runtime="process", mlflow_port=port or free_port()
    )
    service = mlflow_service(settings)
    with open(data.parent / "mlflow.log", "ab") as output:
        process = subprocess.Popen(
            service.command, env=service.environment, stdout=output, stderr=output, start_new_session=True
        )
    try:
        wait_until(service.ready, "MLflow answers")
    except BaseException:
        end_group(process.pid)
        raise
    return settings.mlflow_url, process


def end_group(process_id: int) -> None:
    """Kill a process group."""
    with suppress(ProcessLookupError):
        os.killpg(process_id, signal.SIGKILL)


def carprice(data: Path, *arguments: str, statuses: Sequence[int] = (0,)) -> str:
    """Run `bin/carprice` on a data root; what it printed."""
    done = subprocess.run(
        [str(REPOSITORY / "bin" / "carprice"), *arguments],
        env=clean_environment(DATA_DIR=str(data)),
        capture_output=True,
        text=True,
    )
    assert done.returncode in statuses, done.stderr
    return done.stdout


@contextmanager
def shared(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[Path]:
    """A folder of all the processes that run this session's tests (pytest-xdist); one at a time is inside."""
    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    (folder / name).mkdir(exist_ok=True)
    with open(folder / f"{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder / name


@pytest.fixture(scope="session")
def trained_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root with version 1 in production, made by the trainer's own command line. Do not change."""
    with shared(tmp_path_factory, "system") as folder:
        if not (folder / "trained").exists():
            carprice(folder / "data", "sample", "-o", str(folder / "sample.csv"), "--rows", "900")
            carprice(folder / "data", "run", str(folder / "sample.csv"))
            if not (folder / "data" / LATEST_MARKET).exists():
                write_market(DataRoot(str(folder / "data")), "m1", synthetic_offers(500))
            (folder / "trained").touch()
        return folder / "data"


@pytest.fixture(scope="session")
def mlflow_address(trained_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An MLflow server on `trained_data`. Do not change what it holds. The last process to use it ends it."""
    with shared(tmp_path_factory, "mlflow") as folder:
        users = folder / "users"
        if not users.exists():
            address, process = started_mlflow(trained_data)
            (folder / "address").write_text(address)
            (folder / "pid").write_text(str(process.pid))
            users.write_text("")
        users.write_text(users.read_text() + "|")
        address = (folder / "address").read_text()
    yield address
    with shared(tmp_path_factory, "mlflow") as folder:
        users = folder / "users"
        users.write_text(users.read_text()[1:])
        if not users.read_text():
            users.unlink()
            end_group(int((folder / "pid").read_text()))


@pytest.fixture(scope="session")
def api(trained_data: Path, mlflow_address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A running API that serves version 1, without keys."""
    with running_api(tmp_path_factory.mktemp("api"), trained_data, mlflow_address, command=True) as running:
        yield running


@pytest.fixture
def own_data(trained_data: Path, tmp_path: Path) -> Path:
    """A copy of `trained_data` for this test alone."""
    shutil.copytree(trained_data, tmp_path / "data")
    return tmp_path / "data"


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    from browsing import a_browser

    yield from a_browser()


@pytest.fixture(scope="module")
def served(
    trained_data: Path, mlflow_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API of this module's own: its history is empty at first."""
    with running_api(tmp_path_factory.mktemp("served"), trained_data, mlflow_address) as api:
        yield api


@pytest.fixture(scope="module")
def app(served: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    """The app that asks `served`."""
    from running_app import running_app

    with running_app(tmp_path_factory.mktemp("app"), served.address) as app:
        yield app


@pytest.fixture
def page(browser: Browser, app: RunningApp) -> Iterator[Page]:
    """A page of the app."""
    from browsing import opened

    yield from opened(browser, app)


@pytest.fixture
def phone(browser: Browser, app: RunningApp) -> Iterator[Page]:
    """A page of the app on a phone."""
    from browsing import opened

    yield from opened(browser, app, viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True)
