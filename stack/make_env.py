"""`make env`: writes the settings of this machine for `docker compose`, and random secrets.

It writes `.env` (settings, nothing secret) and `.secrets/` (one file for each secret). Git tracks neither. It
never overwrites what is there: run it again after an upgrade to get new settings and secrets.

    python3 stack/make_env.py [--folder FOLDER]    FOLDER defaults to the repository

For a data root in an object store, set CARPRICE_DATA_URL=s3://bucket/prefix in the environment (and
CARPRICE_S3_ENDPOINT and CARPRICE_S3_REGION, unless it is Amazon's). The keys in AWS_ACCESS_KEY_ID and
AWS_SECRET_ACCESS_KEY become secrets.

Steps reach only hosts that the settings and the channels of alerts name; `egress.json` is the compose file of
what leads there. Run it again when a channel changes.
"""

from __future__ import annotations

import argparse
import base64
import contextlib
import os
import re
import secrets
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
# No package is installed here; the contract needs none.
sys.path.insert(0, str(REPOSITORY / "images" / "contract" / "src"))
import egress  # noqa: E402

from carprice_contract import data_root, variables  # noqa: E402

ENGINE_SOCKET = Path("/var/run/docker.sock")
OBJECT_STORE = "stack/object-store.yml"
STORE_KEYS = {variables.SECRET_FILES[name]: name for name in variables.STORE_KEYS}
"""The secrets that open the object store, and the variables they are taken from."""
TO_BE_FILLED = tuple(variables.SECRET_FILES[name] for name in variables.ALERT_CHANNELS)
"""Secrets that only the people who run the stack know: where alerts go. Empty until they fill them in."""
HEAD = "# Made by `make env`; edit what you like. No secrets here.\n"
UNPRIVILEGED = 50000
"""The user of the containers when root sets the stack up: they never run as root."""


class SetupProblem(Exception):
    """The stack can't be set up here, in one sentence."""


def main(argv: list[str] | None = None) -> int:
    """Set up, print what was done, and return the exit status."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--folder", type=Path, default=REPOSITORY, help="where docker-compose.yml is")
    folder = parser.parse_args(argv).folder.resolve()
    try:
        settings = write_settings(folder / ".env", settings_of(folder, os.environ))
        keys = store_keys(settings, folder / ".secrets", os.environ)
        made = write_secrets(folder / ".secrets", int(settings["CARPRICE_UID"]), keys)
        make_data_folders(Path(settings["CARPRICE_HOST_DATA_DIR"]))
        reached = lead_steps_out(folder, settings)
    except (SetupProblem, egress.HostProblem, OSError) as problem:
        sys.stderr.write(f"make-env: {problem}\n")
        return 1
    sys.stderr.write(
        f"make-env: {len(made)} new secrets in {folder / '.secrets'}, the settings in {folder / '.env'}.\n"
        "make-env: log in to Airflow and MLflow as 'admin' with the password in .secrets/admin_password, to "
        "the reports as 'reviewer' with the one in .secrets/reports_password.\n"
        f"make-env: steps reach {', '.join(reached) or 'no host'} outside the stack.\n"
    )
    if schemes := egress.unknown_channels(Path(settings["CARPRICE_SECRETS_DIR"])):
        sys.stderr.write(
            f"make-env: alert_urls has {', '.join(schemes)}, whose hosts only Apprise knows: name them in "
            f"{egress.MORE_HOSTS}, such as api.telegram.org:443, unless they are in the list above.\n"
        )
    return 0


def settings_of(folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The settings of this machine; a variable of `environment` with the same name wins."""
    found = {
        "COMPOSE_PROJECT_NAME": "carprice",
        # The containers' user, who owns the files in the data folder and in .secrets.
        "CARPRICE_UID": str(os.getuid() or UNPRIVILEGED),
        # The group that may use the Docker engine; only the proxy in front of the engine gets it.
        "CARPRICE_DOCKER_GID": str(ENGINE_SOCKET.stat().st_gid if ENGINE_SOCKET.exists() else 0),
        "CARPRICE_HOST_DATA_DIR": str(folder / "data"),
        "CARPRICE_SECRETS_DIR": str(folder / ".secrets"),
        # Where the published ports listen. Use another address than loopback only behind a TLS proxy.
        "CARPRICE_BIND": "127.0.0.1",
        "CARPRICE_AIRFLOW_PORT": "8080",
        "CARPRICE_MLFLOW_PORT": "5000",
        "CARPRICE_PRICE_API_PORT": "8000",
        "CARPRICE_PRICE_APP_PORT": "8501",
        "CARPRICE_REPORTS_PORT": "8502",
        "CARPRICE_EVIDENTLY_PORT": "8002",
    }
    settings = {name: environment.get(name) or value for name, value in found.items()}
    settings["CARPRICE_HOST_DATA_DIR"] = os.path.abspath(settings["CARPRICE_HOST_DATA_DIR"])
    if settings["CARPRICE_UID"] == "0":
        raise SetupProblem("CARPRICE_UID must be a user above 0, found 0: the containers never run as root.")
    if url := environment.get("CARPRICE_DATA_URL"):
        if not url.startswith("s3://") or not url.removeprefix("s3://").strip("/"):
            raise SetupProblem(
                f"CARPRICE_DATA_URL must be an address like s3://bucket/prefix, found {url!r}."
            )
        settings |= {
            "CARPRICE_DATA_URL": url.rstrip("/"),
            "COMPOSE_FILE": f"docker-compose.yml:{OBJECT_STORE}:{_egress_file(folder)}",
        }
        for name in ("CARPRICE_S3_ENDPOINT", "CARPRICE_S3_REGION"):
            if environment.get(name):
                settings[name] = environment[name]
    if environment.get(egress.MORE_HOSTS):
        settings[egress.MORE_HOSTS] = environment[egress.MORE_HOSTS]
    return settings


def store_keys(settings: Mapping[str, str], folder: Path, environment: Mapping[str, str]) -> dict[str, str]:
    """The object store's keys that `folder` lacks, by the names of their secrets; none without a store.

    Raises `SetupProblem` when there is a store and a key is neither in `folder` nor in `environment`, and
    when COMPOSE_FILE lacks the file for the store.
    """
    if not settings.get("CARPRICE_DATA_URL"):
        return {}
    if OBJECT_STORE not in settings.get("COMPOSE_FILE", "").split(":"):
        raise SetupProblem(
            f"COMPOSE_FILE in .env must have {OBJECT_STORE} in it, as CARPRICE_DATA_URL is set, "
            f"found {settings.get('COMPOSE_FILE')!r}: add ':{OBJECT_STORE}' behind docker-compose.yml."
        )
    missing = {name: variable for name, variable in STORE_KEYS.items() if not (folder / name).exists()}
    for name, variable in missing.items():
        if not environment.get(variable):
            raise SetupProblem(
                f"{variable} must be set to a key for {settings['CARPRICE_DATA_URL']}, found none: set it "
                f"and run this again; it is kept in {folder / name}."
            )
    return {name: environment[variable] for name, variable in missing.items()}


def lead_steps_out(folder: Path, settings: Mapping[str, str]) -> list[str]:
    """Write the compose file for the hosts that steps reach, name it in `.env`; returns the hosts.

    Raises `SetupProblem` when COMPOSE_FILE in `.env` is set and lacks it.
    """
    hosts = egress.hosts_of_steps(settings, Path(settings["CARPRICE_SECRETS_DIR"]))
    path = folder / egress.FILE
    if hosts or path.exists():
        egress.write(path, hosts)
    if hosts:
        # Compose takes an override by itself only where COMPOSE_FILE is not set.
        own = "docker-compose.override.yml"
        files = ["docker-compose.yml", *([own] if (folder / own).exists() else []), _egress_file(folder)]
        named = write_settings(folder / ".env", {"COMPOSE_FILE": ":".join(files)})["COMPOSE_FILE"]
        if not {egress.FILE, str(path)} & set(named.split(":")):
            raise SetupProblem(
                f"COMPOSE_FILE in .env must have {_egress_file(folder)} in it, or steps reach no host "
                f"outside the stack, found {named!r}: add ':{_egress_file(folder)}' at its end."
            )
    return [f"{host.name}:{host.port}" for host in hosts]


def write_settings(path: Path, wanted: Mapping[str, str]) -> dict[str, str]:
    """Add the missing settings to `path`; returns all that it then holds."""
    present = settings_in(path)
    missing = {name: value for name, value in wanted.items() if name not in present}
    if missing:
        text = path.read_text() if path.exists() else HEAD
        if not text.endswith("\n"):
            text += "\n"
        descriptor = os.open(path.with_suffix(".new"), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(text + "".join(f"{name}={_quoted(value)}\n" for name, value in missing.items()))
        path.with_suffix(".new").replace(path)
    return present | missing


def write_secrets(folder: Path, uid: int, given: Mapping[str, str]) -> list[str]:
    """Write the missing secrets, random or `given`, readable by the user `uid` alone; returns their names."""
    folder.mkdir(mode=0o700, exist_ok=True)
    give(folder, uid)
    (folder / ".gitignore").write_text("*\n")
    made: list[str] = []
    wanted = _makers(folder)
    wanted += [(name, (), partial(str, text)) for name, text in given.items()]
    for name, parts, make in wanted:
        path = folder / name
        # A secret that contains a lost one is made again with it.
        if path.exists() and not set(parts) & set(made):
            continue
        # Under another name first: a half-written secret would stay.
        unfinished = folder / f".{name}.new"
        unfinished.unlink(missing_ok=True)
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            file.write(make())
        give(unfinished, uid)
        unfinished.replace(path)
        made.append(name)
    return made


def make_data_folders(root: Path) -> None:
    """Make the data root's folders; the containers write to them as members of their group."""
    for folder in (root, *(root / name for name in data_root.FOLDERS)):
        folder.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(PermissionError):  # another user's, who set it up already
            folder.chmod(0o2775)


def _egress_file(folder: Path) -> str:
    """The path of `egress.json` as COMPOSE_FILE names it, from the repository's folder."""
    return egress.FILE if folder == REPOSITORY else str(folder / egress.FILE)


def _makers(folder: Path) -> list[tuple[str, tuple[str, ...], Callable[[], str]]]:
    """Each secret: its name, the secrets that it contains, which come before it, and what makes it."""

    def password() -> str:
        return secrets.token_urlsafe(24)

    def address(template: str, part: str) -> Callable[[], str]:
        return lambda: template.format((folder / part).read_text())

    made: list[tuple[str, Callable[[], str]]] = [
        ("admin_password", password),
        ("airflow_database_password", password),
        ("mlflow_database_password", password),
        ("mlflow_password", password),
        ("mlflow_serving_password", password),
        ("predictions_database_password", password),
        ("redis_password", password),
        ("reports_password", password),
        ("airflow_fernet_key", lambda: base64.urlsafe_b64encode(secrets.token_bytes(32)).decode()),
        ("airflow_secret_key", password),
        ("airflow_jwt_secret", lambda: secrets.token_urlsafe(48)),
        ("app_api_key", lambda: "cp_" + secrets.token_urlsafe(32)),
        *((name, str) for name in TO_BE_FILLED),
    ]
    airflow, mlflow, predictions = (
        f"{name}_database_password" for name in ("airflow", "mlflow", "predictions")
    )
    composed = [
        ("airflow_database_url", airflow, "postgresql+psycopg2://airflow:{}@postgres:5432/airflow"),
        ("airflow_result_backend", airflow, "db+postgresql+psycopg2://airflow:{}@postgres:5432/airflow"),
        ("airflow_broker_url", "redis_password", "redis://:{}@redis:6379/0"),
        ("mlflow_database_url", mlflow, "postgresql+psycopg://mlflow:{}@postgres:5432/mlflow"),
        ("predictions_database_url", predictions, "postgresql+psycopg://predictions:{}@postgres/predictions"),
    ]
    return [(name, (), make) for name, make in made] + [
        (name, (part,), address(template, part)) for name, part, template in composed
    ]


def settings_in(path: Path) -> dict[str, str]:
    """The settings in an env file; none without the file."""
    if not path.exists():
        return {}
    lines = (line.strip() for line in path.read_text().splitlines())
    pairs = (line.partition("=") for line in lines if line and not line.startswith("#"))
    return {name.strip(): _unquoted(value.strip()) for name, _, value in pairs}


def _quoted(value: str) -> str:
    """A value as Compose reads it unchanged: in single quotes where a character would mean something."""
    if re.fullmatch(r"[\w./:@%+,=-]*", value, re.ASCII):
        return value
    if "'" in value or "\n" in value:
        raise SetupProblem(
            f"A value without apostrophes and line breaks was expected in .env, found {value!r}."
        )
    return f"'{value}'"


def _unquoted(value: str) -> str:
    quote = value[:1]
    return value[1:-1] if len(value) > 1 and quote in ("'", '"') and value.endswith(quote) else value


def give(path: Path, uid: int) -> None:
    """Give `path` to the containers' user. Only root needs to: anybody else is that user."""
    if os.getuid() == 0:
        os.chown(path, uid, 0)


if __name__ == "__main__":
    sys.exit(main())
