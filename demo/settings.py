"""Every setting of `make demo`, read from the environment once, at the start."""

from __future__ import annotations

import hashlib
import socket
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Self

from carprice_settings import ServiceSettings, SettingError, setting

REPOSITORY = Path(__file__).resolve().parent.parent

AIRFLOW_METRICS = "CARPRICE_AIRFLOW_METRICS"

PORT: dict[str, Any] = {"ge": 1, "le": 65535}


class DemoProblem(Exception):
    """The demo can't go on. The message says what was expected, what was found and what to do."""


class Settings(ServiceSettings):
    """The settings of `make demo`."""

    data: Path = setting("DATA_DIR", REPOSITORY / "data", "The data root: a folder; default: `data` here.")
    file: Path | None = setting("FILE", None, "The CSV file to land; empty: a synthetic sample.")
    collect: bool = setting(
        "COLLECT",
        False,
        "1: a collector visits a market of invented cars on five simulated days, instead of landing a file.",
    )
    past: bool = setting(
        "PAST",
        False,
        "1: land the past weeks of a market of invented cars, instead of a sample, so that the cars on offer "
        "have a history.",
    )
    runtime: Literal["auto", "docker", "process"] = setting(
        "RUNTIME",
        "auto",
        "How steps run. docker: in containers; process: as processes; auto: in containers where a Docker "
        "engine answers, otherwise as processes.",
    )
    once: bool = setting("ONCE", False, "1: stop after the summary.")
    airflow_port: int = setting("AIRFLOW_PORT", 8080, "Where Airflow listens.", **PORT)
    mlflow_port: int = setting("MLFLOW_PORT", 5000, "Where MLflow listens.", **PORT)
    api_port: int = setting("API_PORT", 8000, "Where the price API listens.", **PORT)
    app_port: int = setting("APP_PORT", 8501, "Where the price app listens.", **PORT)
    evidently_port: int = setting(
        "EVIDENTLY_PORT", 8002, "Where Evidently shows drift, live error and refused rows.", **PORT
    )
    airflow_database: str = setting(
        "AIRFLOW_DATABASE", "", "SQLAlchemy URL of Airflow's own database; empty: SQLite.", secret=True
    )
    airflow_metrics: bool = setting(
        AIRFLOW_METRICS, False, "True: Airflow sends its metrics by StatsD to port 8125 of this machine."
    )
    state: Path = setting(
        "DEMO_STATE",
        Path(),
        "Airflow's home, logs and secrets, which only their owner can read; empty: a folder under `.demo`.",
    )
    timeout_seconds: float = setting(
        "DEMO_TIMEOUT", 1800.0, "Seconds to follow a file before giving up.", gt=0
    )

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str] | None = None, *, ports_must_be_free: bool = True
    ) -> Self:
        """The settings in `environment` (default: the process's own).

        Paths are absolute, and `runtime` is `docker` or `process`. Raises `DemoProblem` for a value that
        can't be used.
        """
        try:
            given = super().from_environment(environment)
        except SettingError as problem:
            raise DemoProblem(str(problem)) from problem
        data = given.data.resolve()
        default_state = REPOSITORY / ".demo" / hashlib.sha256(str(data).encode()).hexdigest()[:8]
        file = given.file.resolve() if given.file else None
        if file is not None and not file.is_file():
            raise DemoProblem(f"FILE must name a CSV file of listings, found nothing at {file}")
        named = {f"FILE={file}": file is not None, "COLLECT=1": given.collect, "PAST=1": given.past}
        chosen = [name for name, is_given in named.items() if is_given]
        if len(chosen) > 1:
            raise DemoProblem(
                f"FILE, COLLECT or PAST was expected, found {' and '.join(chosen)}; leave out one of them"
            )
        if ports_must_be_free:
            for name, field in cls.model_fields.items():
                if name.endswith("_port"):
                    _check_free(str(field.validation_alias), getattr(given, name))
        return given.model_copy(
            update={
                "data": data,
                "file": file,
                "runtime": _usable(given.runtime),
                "state": default_state if given.state == Path() else given.state.resolve(),
            }
        )

    @property
    def mlflow_url(self) -> str:
        """Where the MLflow server answers."""
        return f"http://127.0.0.1:{self.mlflow_port}"

    @property
    def airflow_url(self) -> str:
        """Where the Airflow UI and API answer."""
        return f"http://127.0.0.1:{self.airflow_port}"

    @property
    def api_url(self) -> str:
        """Where the price API answers."""
        return f"http://127.0.0.1:{self.api_port}"

    @property
    def app_url(self) -> str:
        """Where the price app answers."""
        return f"http://127.0.0.1:{self.app_port}"

    @property
    def evidently_url(self) -> str:
        """Where Evidently shows the history of drift and live error."""
        return f"http://127.0.0.1:{self.evidently_port}"


def python_of(environment: str) -> str:
    """The Python of one of the repository's virtual environments."""
    return str(REPOSITORY / ".venv" / environment / "bin" / "python")


def engine_answers() -> bool:
    """Whether a Docker engine (not only a client) answers."""
    try:
        answer = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return answer.returncode == 0 and bool(answer.stdout.strip())


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _usable(runtime: str) -> str:
    """How steps run here. Raises `DemoProblem` when they are to run in containers and no engine answers."""
    if runtime == "process" or engine_answers():
        return "process" if runtime == "process" else "docker"
    if runtime == "docker":
        raise DemoProblem(
            "RUNTIME=docker needs a Docker engine that answers `docker version`, found none; "
            "start it, run `make docker-engine`, or use RUNTIME=process"
        )
    return "process"


def _check_free(variable: str, port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise DemoProblem(
                f"port {port} must be free, found it taken ({error.strerror}); "
                f"end what uses it or choose another with {variable}=…"
            ) from error
