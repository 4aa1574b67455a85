"""The MLflow server behind a login: reads its secrets from files, and becomes `mlflow server`.

Before that it brings the database of an earlier MLflow, or of another password, up to date.

MLFLOW_DATABASE_URL_FILE names a file with the database's address, MLFLOW_ADMIN_PASSWORD_FILE one with the
password of the user MLFLOW_ADMIN_USERNAME (default: admin), MLFLOW_ARTIFACTS the folder or object-store URL
of the artifacts (default: /var/lib/mlflow). Further arguments are handed on to `mlflow server`.
"""

from __future__ import annotations

import configparser
import os
import secrets
import sys

AUTH_FILE = "/tmp/basic_auth.ini"  # noqa: S108 - the container's own


def main(arguments: list[str]) -> None:
    """Start the server in this process, which it ends."""
    database = _secret("MLFLOW_DATABASE_URL_FILE")
    user = os.environ.get("MLFLOW_ADMIN_USERNAME") or "admin"
    password = _secret("MLFLOW_ADMIN_PASSWORD_FILE")
    _write_auth_file(AUTH_FILE, database, user, password)
    _update(database, user, password)
    environment = os.environ | {
        "MLFLOW_AUTH_CONFIG_PATH": AUTH_FILE,
        # In the environment of this process only: a command line is for all to see.
        "MLFLOW_BACKEND_STORE_URI": database,
        "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        # Signs the forms of the login's own pages; new with each start, as one server alone answers.
        "MLFLOW_FLASK_SERVER_SECRET_KEY": secrets.token_urlsafe(32),
    }
    command = [
        "mlflow", "server",
        "--app-name", "basic-auth",
        "--artifacts-destination", os.environ.get("MLFLOW_ARTIFACTS") or "/var/lib/mlflow",
        "--serve-artifacts",
        "--host", "0.0.0.0",  # noqa: S104 - what may reach it is the network's affair
        "--port", "5000",
        # Each worker grows to several hundred MiB.
        "--workers", "1",
        *arguments,
    ]  # fmt: skip
    os.execvpe(command[0], command, environment)  # noqa: S606 - a list, no shell


def _secret(variable: str) -> str:
    path = os.environ.get(variable, "")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read().strip()
    except OSError as problem:
        sys.exit(f"mlflow: {variable}={path!r} can't be read ({problem.strerror}): name a secret's file.")
    if not text:
        sys.exit(f"mlflow: the file {path} of {variable} is empty: run `make env` and mount what it makes.")
    return text


def _update(database: str, user: str, password: str) -> None:
    """Migrate the schema and take a changed password; an empty database is the server's to set up."""
    import sqlalchemy
    from alembic.util import CommandError
    from mlflow import db
    from mlflow.store.db.utils import create_sqlalchemy_engine_with_retry
    from werkzeug.security import generate_password_hash

    engine = create_sqlalchemy_engine_with_retry(database)
    tables = sqlalchemy.inspect(engine).get_table_names()
    if "experiments" in tables:
        # In this process: its command line would show the database's password.
        try:
            db.upgrade.callback(database)
        except CommandError as problem:
            sys.exit(
                f"mlflow: the database must be of this MLflow or an earlier one, found another ({problem}): "
                "start the newer image, or restore the backup that was made before the upgrade."
            )
    if "users" in tables:
        change = sqlalchemy.text("UPDATE users SET password_hash = :hash WHERE username = :user")
        with engine.begin() as connection:
            connection.execute(change, {"hash": generate_password_hash(password), "user": user})
    engine.dispose()


def _write_auth_file(path: str, database: str, user: str, password: str) -> None:
    settings = configparser.ConfigParser(interpolation=None)
    settings["mlflow"] = {
        # Whoever has a login may read; writing is for whom an administrator lets.
        "default_permission": "READ",
        "database_uri": database,
        "admin_username": user,
        "authorization_function": "mlflow.server.auth:authenticate_request_basic_auth",
        # A check is a slow hash by intention, and every call of a step is one.
        "auth_cache_ttl_seconds": "60",
    }
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        settings.write(file)


if __name__ == "__main__":
    main(sys.argv[1:])
