"""The services of the embedded default, and the environment of each."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path

import requests

from carprice_contract import data_root
from carprice_contract.containers import DATA_LABEL
from demo.airflow_api import AirflowApi
from demo.settings import AIRFLOW_METRICS, REPOSITORY, Settings, python_of
from demo.supervisor import Service, Supervisor

USER = "admin"
START_SECONDS = 240
AIRFLOW_COMPONENTS = (
    ("api-server",),
    # Task logs are files on this machine, which the API server reads itself.
    ("scheduler", "--skip-serve-logs"),
    ("dag-processor",),
    ("triggerer", "--skip-serve-logs"),
)


def secret(state: Path, name: str) -> str:
    """A random secret in a file that only its owner can read; made at the first call."""
    path = state / "secrets" / name
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(secrets.token_urlsafe(24))
    return path.read_text()


def base_environment(settings: Settings) -> dict[str, str]:
    """The environment of every service and command."""
    # Not the demo's own settings: Airflow's side refuses a CARPRICE_ variable that is none of its settings.
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("AIRFLOW_", "CARPRICE_DEMO")) and key != AIRFLOW_METRICS
    }
    return inherited | {
        "DATA_DIR": str(settings.data),
        "MLFLOW_TRACKING_URI": settings.mlflow_url,
        "CARPRICE_PARAMS_FILE": os.path.abspath(
            os.environ.get("CARPRICE_PARAMS_FILE") or REPOSITORY / "params.yaml"
        ),
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        "PYTHONDONTWRITEBYTECODE": "",
    }


def airflow_environment(settings: Settings) -> dict[str, str]:
    """The environment of Airflow's processes: `airflow/embedded.env`, with paths, ports and secrets."""
    home = settings.state / "airflow"
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    passwords = home / "passwords.json"
    if not passwords.exists():
        descriptor = os.open(passwords, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump({USER: secret(settings.state, "admin-password")}, file)
    tuned = {}
    for line in (REPOSITORY / "airflow" / "embedded.env").read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            key, _, value = line.partition("=")
            tuned[key.strip()] = value.strip()
    return (
        base_environment(settings)
        | tuned
        | {
            "AIRFLOW_HOME": str(home),
            "AIRFLOW__CORE__DAGS_FOLDER": str(REPOSITORY / "airflow" / "dags"),
            "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": settings.airflow_database
            or data_root.sqlite_url(str(home / "airflow.db")),
            "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS": f"{USER}:admin",
            "AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": str(passwords),
            "AIRFLOW__CORE__EXECUTION_API_SERVER_URL": f"{settings.airflow_url}/execution/",
            "AIRFLOW__API__BASE_URL": settings.airflow_url,
            "AIRFLOW__API__HOST": "127.0.0.1",
            "AIRFLOW__API__PORT": str(settings.airflow_port),
            "AIRFLOW__API__SECRET_KEY": secret(settings.state, "api-secret"),
            "AIRFLOW__API_AUTH__JWT_SECRET": secret(settings.state, "jwt-secret"),
            "AIRFLOW__CORE__FERNET_KEY": _fernet_key(settings),
            "AIRFLOW__METRICS__STATSD_ON": str(settings.airflow_metrics),
            "PYTHONPATH": str(REPOSITORY / "airflow"),
            "CARPRICE_RUNTIME": settings.runtime,
            "CARPRICE_TRAINER_PYTHON": python_of("trainer"),
            "CARPRICE_SERVING_PYTHON": python_of("app"),
            "CARPRICE_COLLECTOR_PYTHON": python_of("collector"),
        }
    )


def airflow_command(*arguments: str) -> list[str]:
    """A command line of Airflow's own environment."""
    return [python_of("airflow"), "-m", "airflow", *arguments]


def airflow_services(settings: Settings, api: AirflowApi) -> list[Service]:
    """Airflow's four components."""
    environment = airflow_environment(settings)

    def ready() -> bool:
        # The API for tasks builds its routes at the first call, which takes seconds.
        return answers(f"{settings.airflow_url}/execution/health") and api.healthy()

    return [Service(words[0], airflow_command(*words), environment, ready) for words in AIRFLOW_COMPONENTS]


def mlflow_service(settings: Settings) -> Service:
    """The MLflow server, on the database that `bin/carprice` uses when no server is named."""
    folder = settings.data / data_root.MLFLOW
    folder.mkdir(parents=True, exist_ok=True)
    command = [
        python_of("mlflow"), "-m", "mlflow", "server",
        "--backend-store-uri", data_root.sqlite_url(str(folder / "mlflow.db")),
        "--artifacts-destination", (folder / "artifacts").as_uri(),
        "--serve-artifacts",
        "--host", "127.0.0.1",
        "--port", str(settings.mlflow_port),
        # Each worker grows to several hundred MiB, and one is enough for one machine.
        "--workers", "1",
        "--allowed-hosts", f"127.0.0.1:{settings.mlflow_port},localhost:{settings.mlflow_port}",
    ]  # fmt: skip
    environment = {k: v for k, v in base_environment(settings).items() if k != "MLFLOW_TRACKING_URI"}
    # Otherwise seven more processes of a quarter GiB each, for language models that are not used here.
    environment["MLFLOW_SERVER_ENABLE_JOB_EXECUTION"] = "false"
    return Service("mlflow", command, environment, lambda: answers(f"{settings.mlflow_url}/health"))


def api_service(settings: Settings) -> Service:
    """The price API, which follows whatever is in production."""
    environment = _serving_environment(settings) | {"CARPRICE_API_PORT": str(settings.api_port)}
    command = [python_of("app"), "-m", "price_api", "serve"]
    # Ready when it listens; it serves a model after the first promotion.
    return Service("api", command, environment, lambda: answers(f"{settings.api_url}/healthz"))


def app_service(settings: Settings) -> Service:
    """The Streamlit app, which asks the API."""
    environment = _serving_environment(settings) | {"CARPRICE_APP_API_URL": settings.api_url}
    command = [python_of("app"), "-m", "price_app", "--server.port", str(settings.app_port)]
    return Service("app", command, environment, lambda: answers(f"{settings.app_url}/_stcore/health"))


def evidently_service(settings: Settings) -> Service:
    """Evidently's UI on the workspace under the data root."""
    command = [python_of("trainer"), "-m", "carprice", "evidently-ui", "--port", str(settings.evidently_port)]
    environment = base_environment(settings) | {"DO_NOT_TRACK": "1"}
    return Service(
        "evidently", command, environment, lambda: answers(f"{settings.evidently_url}/api/version")
    )


def _serving_environment(settings: Settings) -> dict[str, str]:
    return base_environment(settings) | {"PYTHONPATH": str(REPOSITORY / "images" / "app")}


def make_folders(settings: Settings) -> None:
    """Make the data root's folders; the containers' user writes to them as a member of their group."""
    for name in data_root.FOLDERS:
        path = settings.data / name
        path.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):  # another user's, who set it up already
            path.chmod(0o2775)
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)


def start_all(
    settings: Settings, supervisor: Supervisor, api: AirflowApi, say: Callable[[str], None]
) -> None:
    """Start every service and wait until all answer. Raises `DemoProblem` when one does not."""
    supervisor.start(mlflow_service(settings))
    environment = airflow_environment(settings)
    supervisor.run("airflow-db", airflow_command("db", "migrate"), environment)
    for service in airflow_services(settings, api):
        supervisor.start(service)
    supervisor.start(api_service(settings))
    supervisor.start(app_service(settings))
    supervisor.start(evidently_service(settings))
    for name in ("mlflow", "api-server", "api", "app", "evidently"):
        supervisor.wait_until_ready(name, START_SECONDS)
        say(f"{name} answers")


def remove_step_containers(settings: Settings) -> None:
    """Remove the containers of steps that were running when Airflow was stopped."""
    mine = ["--filter", f"label={DATA_LABEL}={settings.data}"]
    found = subprocess.run(["docker", "ps", "-aq", *mine], capture_output=True, text=True, check=False)
    if found.stdout.split():
        subprocess.run(["docker", "rm", "-f", *found.stdout.split()], capture_output=True, check=False)


def _fernet_key(settings: Settings) -> str:
    import base64
    import hashlib

    digest = hashlib.sha256(secret(settings.state, "fernet-seed").encode()).digest()
    return base64.urlsafe_b64encode(digest).decode()


def answers(url: str) -> bool:
    """Whether a GET of a local address is answered with 200. Raises what `requests` raises."""
    with requests.Session() as session:
        session.trust_env = False
        return session.get(url, timeout=5).status_code == 200
