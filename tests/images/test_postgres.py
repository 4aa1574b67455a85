"""PostgreSQL's image on an engine."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.docker
IMAGE = "carprice-postgres:latest"


def docker(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    """The passwords that the image reads, as whichever user it is."""
    if docker("image", "inspect", IMAGE).returncode != 0:
        sentence = f"There is no engine, or no image {IMAGE}; `make images` builds it."
        (pytest.fail if os.environ.get("REQUIRE_DOCKER") == "1" else pytest.skip)(sentence)
    for user in ("airflow", "mlflow", "predictions"):
        (tmp_path / f"{user}_database_password").write_text("a password")
    tmp_path.chmod(0o755)
    return tmp_path


def test_postgresql_has_the_time_it_takes_to_start_and_to_stop(secrets: Path) -> None:
    # What pg_ctl waits where it is not told: no time at all, as a long recovery is to its minute.
    mount = ("--volume", f"{secrets}:/run/secrets:ro")
    started = docker("run", "--detach", "--network", "none", "--env", "PGCTLTIMEOUT=0", *mount, IMAGE)
    assert started.returncode == 0, started.stderr
    container = started.stdout.strip()
    try:
        # Through TCP: until its databases are there it answers on its socket only.
        ready = ("exec", container, "pg_isready", "--quiet", "--host", "127.0.0.1")
        running = ("inspect", "--format", "{{.State.Running}}", container)
        while docker(*ready).returncode != 0:
            assert docker(*running).stdout.strip() == "true", docker("logs", container).stderr[-2000:]
            time.sleep(0.5)
        listed = docker(
            "exec", container, "psql", "--tuples-only", "--command", "SELECT datname FROM pg_database"
        )
    finally:
        docker("rm", "--force", "--volumes", container)

    assert {"airflow", "mlflow", "predictions"} <= set(listed.stdout.split())
