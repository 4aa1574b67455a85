"""What `make demo` can be told, read once from the environment."""

from __future__ import annotations

import hashlib
import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent

RUNTIMES = ("auto", "docker", "process")


class DemoProblem(Exception):
    """The demo can't go on; the message says what was expected, what was found and what to do."""


@dataclass(frozen=True)
class Settings:
    """Where things are and listen. `state` holds Airflow's home, logs and secrets, never data."""

    data: Path
    state: Path
    file: Path | None
    runtime: str
    once: bool
    airflow_port: int
    mlflow_port: int
    api_port: int
    app_port: int
    evidently_port: int
    airflow_database: str
    timeout_seconds: float

    @classmethod
    def from_environment(cls, ports_must_be_free: bool = True) -> Settings:
        """Settings from `DATA_DIR`, `FILE`, `RUNTIME`, `ONCE`, `*_PORT`, `AIRFLOW_DATABASE`,
        `DEMO_STATE`, `DEMO_TIMEOUT`.

        Raises `DemoProblem` for a value that can't be used.
        """
        data = Path(os.environ.get("DATA_DIR") or REPOSITORY / "data").resolve()
        default_state = REPOSITORY / ".demo" / hashlib.sha256(str(data).encode()).hexdigest()[:8]
        file = Path(os.environ["FILE"]).resolve() if os.environ.get("FILE") else None
        if file is not None and not file.is_file():
            raise DemoProblem(f"FILE must name a CSV file of listings, found nothing at {file}")
        runtime = os.environ.get("RUNTIME") or "auto"
        if runtime not in RUNTIMES:
            raise DemoProblem(f"RUNTIME must be one of {', '.join(RUNTIMES)}, found '{runtime}'")
        if runtime != "process" and not engine_answers():
            if runtime == "docker":
                raise DemoProblem(
                    "RUNTIME=docker needs a Docker engine that answers `docker version`, found none; "
                    "start it, run `make docker-engine`, or use RUNTIME=process"
                )
            runtime = "process"
        return cls(
            data=data,
            state=Path(os.environ.get("DEMO_STATE") or default_state).resolve(),
            file=file,
            runtime="docker" if runtime == "auto" else runtime,
            once=os.environ.get("ONCE", "") not in ("", "0"),
            airflow_port=_port("AIRFLOW_PORT", 8080, ports_must_be_free),
            mlflow_port=_port("MLFLOW_PORT", 5000, ports_must_be_free),
            api_port=_port("API_PORT", 8000, ports_must_be_free),
            app_port=_port("APP_PORT", 8501, ports_must_be_free),
            evidently_port=_port("EVIDENTLY_PORT", 8002, ports_must_be_free),
            airflow_database=os.environ.get("AIRFLOW_DATABASE") or "",
            timeout_seconds=float(os.environ.get("DEMO_TIMEOUT") or 1800),
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
        asked = subprocess.run(
            ["docker", "version", "--format", "{{.Server.Version}}"],
            capture_output=True,
            timeout=20,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0 and bool(asked.stdout.strip())


def free_port() -> int:
    """A port of the loopback address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _port(variable: str, default: int, must_be_free: bool) -> int:
    text = os.environ.get(variable) or str(default)
    if not text.isdigit() or not 0 < int(text) < 65536:
        raise DemoProblem(f"{variable} must be a port number between 1 and 65535, found '{text}'")
    if not must_be_free:
        return int(text)
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", int(text)))
        except OSError as error:
            raise DemoProblem(
                f"port {text} must be free, found it taken ({error.strerror}); "
                f"end what uses it or choose another with {variable}=…"
            ) from error
    return int(text)
