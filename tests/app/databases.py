"""The databases that the prediction log is tested on: a SQLite file, and a real PostgreSQL server."""

from __future__ import annotations

import os
import sqlite3
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
APP = REPOSITORY / "images" / "app"
for folder in (REPOSITORY, REPOSITORY / "tests" / "e2e", APP):
    if str(folder) not in sys.path:
        sys.path.insert(0, str(folder))

from postgresql import PostgreSQL, find_server

KINDS = ["sqlite", "postgresql"]


class Server(PostgreSQL):
    """A server that can be stopped and started again, with as many databases as are asked for."""

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"log_{uuid.uuid4().hex}"
        with psycopg.connect(self.plain_url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.plain_url.rpartition("/")[0] + f"/{name}"

    @property
    def plain_url(self) -> str:
        """The URL as libpq understands it."""
        return self.url.replace("+psycopg2", "")

    def stop(self) -> None:
        """End it and every connection to it."""
        self._run("pg_ctl", "stop", "-w", "-m", "fast", "-D", str(self._folder / "data"))

    def resume(self) -> None:
        """Start it again on the same port."""
        self._run(
            "pg_ctl", "start", "-w", "-D", str(self._folder / "data"), "-l", str(self._folder / "log"),
            "-o", f"-h 127.0.0.1 -p {self._port} -k {self._folder} -c fsync=off",
        )  # fmt: skip


@contextmanager
def running_server() -> Iterator[Server]:
    """A server of its own; skips where PostgreSQL is not installed, fails where it is required."""
    programs = find_server()
    if programs is None:
        say = pytest.fail if os.environ.get("REQUIRE_POSTGRES") == "1" else pytest.skip
        say("PostgreSQL is not installed (Debian's package `postgresql`).")
    assert programs is not None
    with Server(programs) as server:
        yield server


def database_of_kind(kind: str, request: pytest.FixtureRequest, folder: Path) -> str:
    """The URL of an empty database; for PostgreSQL on the server of the fixture `server`."""
    if kind == "sqlite":
        return f"sqlite:///{folder / 'state' / 'predictions.db'}"
    server: Server = request.getfixturevalue("server")
    return server.new_database()


@contextmanager
def locked(url: str) -> Iterator[None]:
    """The SQLite file cannot be written to by anyone else."""
    other = sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        other.execute("ROLLBACK")
        other.close()
