"""A throw-away PostgreSQL server."""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import subprocess
import tempfile
from pathlib import Path

from demo.settings import free_port

USER = "airflow"
# The stack runs this version. If it is not installed, the newest one is used.
PREFERRED = 15


def find_server() -> Path | None:
    """The folder of `initdb` and `postgres`, or None if they are not installed."""
    debian = {
        int(folder.name): folder / "bin"
        for folder in Path("/usr/lib/postgresql").glob("[0-9]*")
        if (folder / "bin" / "initdb").exists()
    }
    if debian:
        return debian.get(PREFERRED) or debian[max(debian)]
    on_path = shutil.which("initdb")
    return Path(on_path).resolve().parent if on_path else None


class PostgreSQL:
    """A server on a free port of the loopback address; leaving the context stops and removes it."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._folder = Path(tempfile.mkdtemp(prefix="carprice-postgresql-"))
        self._password = secrets.token_urlsafe(16)
        self._port = free_port()
        self._user: str | None = None
        if os.getuid() == 0:  # PostgreSQL refuses to run as root
            self._user = next((e.pw_name for e in pwd.getpwall() if e.pw_name == "postgres"), "nobody")
            shutil.chown(self._folder, self._user)

    @property
    def url(self) -> str:
        """The SQLAlchemy URL of its one database."""
        return f"postgresql+psycopg2://{USER}:{self._password}@127.0.0.1:{self._port}/postgres"

    def __enter__(self) -> PostgreSQL:
        password_file = self._folder / "password"
        password_file.write_text(self._password)
        password_file.chmod(0o644)  # only its owner can enter the folder
        self._run(
            "initdb", "-D", str(self._folder / "data"), "-U", USER, "--pwfile", str(password_file),
            "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync",
        )  # fmt: skip
        options = f"-h 127.0.0.1 -p {self._port} -k {self._folder} -c fsync=off"
        self._run(
            "pg_ctl", "start", "-w", "-D", str(self._folder / "data"), "-l", str(self._folder / "log"),
            "-o", options,
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        self._run("pg_ctl", "stop", "-w", "-m", "immediate", "-D", str(self._folder / "data"), check=False)
        shutil.rmtree(self._folder, ignore_errors=True)

    def _run(self, program: str, *arguments: str, check: bool = True) -> None:
        # Output goes to a file because the server keeps its output open after `pg_ctl` ends.
        with open(self._folder / "setup.log", "ab") as log:
            done = subprocess.run(
                [str(self._programs / program), *arguments],
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
                **({"user": self._user, "extra_groups": []} if self._user else {}),
            )
        if check and done.returncode:
            raise RuntimeError(f"{program} failed:\n{(self._folder / 'setup.log').read_text()[-2000:]}")
