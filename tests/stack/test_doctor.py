"""What `make doctor` finds. The tests make each fault for real where they can."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import yaml
from conftest import require
from running_doctor import doctor
from team_stack import docker

REPOSITORY = Path(__file__).resolve().parents[2]


def fake_docker(folder: Path, script: str) -> str:
    """A PATH whose `docker` runs `script` and then the real client."""
    folder.mkdir()
    (folder / "docker").write_text(f'#!/bin/sh\n{script}\nexec {shutil.which("docker") or "false"} "$@"\n')
    (folder / "docker").chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.fixture
def free_ports() -> dict[str, str]:
    """Settings with a free port for each port that the stack publishes."""
    services = yaml.safe_load((REPOSITORY / "docker-compose.yml").read_text())["services"].values()
    ports = [port for each in services if "profiles" not in each for port in each.get("ports", [])]
    names = [re.findall(r"CARPRICE_\w+_PORT", port)[0] for port in ports]
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    found = {name: str(each.getsockname()[1]) for name, each in zip(names, sockets, strict=True)}
    for each in sockets:
        each.close()
    return found


def make_env(folder: Path, **environment: str) -> None:
    subprocess.run(
        [sys.executable, REPOSITORY / "stack/make_env.py", "--folder", folder],
        env={"PATH": os.environ["PATH"], "COMPOSE_PROJECT_NAME": f"doctor-{os.getpid()}", **environment},
        check=True,
    )


@pytest.fixture
def folder(tmp_path: Path, free_ports: dict[str, str]) -> Path:
    """A folder after `make env`."""
    here = tmp_path / "here"
    here.mkdir()
    make_env(here, **free_ports)
    return here


@pytest.fixture
def no_engine(tmp_path: Path) -> dict[str, str]:
    """An environment without an engine."""
    return {"DOCKER_HOST": f"unix://{tmp_path}/no.sock"}


def test_an_engine_that_is_away_is_found(folder: Path, no_engine: dict[str, str]) -> None:
    require("DOCKER", shutil.which("docker") is not None, "There is no docker client.")

    status, wrong = doctor(folder, **no_engine)

    assert status == 1
    assert len(wrong) == 1
    assert wrong[0].startswith("engine")
    assert "systemctl start docker" in wrong[0]


def test_a_docker_client_that_is_not_there_is_found(folder: Path, tmp_path: Path) -> None:
    status, wrong = doctor(folder, PATH=str(tmp_path))

    assert status == 1
    assert len(wrong) == 1
    assert "make docker-engine" in wrong[0]


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ('echo "permission denied while trying to connect" >&2; exit 1', "usermod -aG docker"),
        ('[ "$1" != compose ] || exit 1; echo 1.41; exit', "make compose-plugin"),
    ],
)
def test_an_engine_that_is_not_for_us_and_a_missing_compose_are_found(
    folder: Path, tmp_path: Path, answer: str, said: str
) -> None:
    _, wrong = doctor(folder, PATH=fake_docker(tmp_path / "bin", answer))

    assert len(wrong) == 1
    assert said in wrong[0]


def test_make_env_and_make_doctor_are_about_the_folder_they_are_called_in(
    tmp_path: Path, free_ports: dict[str, str], no_engine: dict[str, str]
) -> None:
    here = tmp_path / "clone"
    for part in ("stack", "images/contract"):
        shutil.copytree(REPOSITORY / part, here / part, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Makefile", "docker-compose.yml"):
        shutil.copy(REPOSITORY / name, here)

    def make(*words: str) -> str:
        environment = {"PATH": os.environ["PATH"], **no_engine}
        done = subprocess.run(["make", *words], cwd=here, env=environment, capture_output=True, text=True)
        return done.stdout

    make("env", *[f"{name}={port}" for name, port in free_ports.items()])
    wrong = [line for line in make("doctor").splitlines() if line.startswith("WRONG")]

    settings = (here / ".env").read_text().splitlines()
    assert {f"{name}={port}" for name, port in free_ports.items()} <= set(settings)
    assert f"CARPRICE_HOST_DATA_DIR={here / 'data'}" in settings
    assert (here / ".secrets/admin_password").stat().st_size > 20
    assert [line.split()[1] for line in wrong] == ["engine"]


def test_without_make_env_it_says_so(tmp_path: Path, no_engine: dict[str, str]) -> None:
    _, wrong = doctor(tmp_path, **no_engine)

    assert any("run 'make env' first" in line for line in wrong)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("missing", "redis_password is missing: "),
        ("empty", "redis_password is empty: "),
        ("open", "mode 644: 'sudo chown"),
    ],
)
def test_a_secret_that_is_missing_empty_or_readable_by_others_is_found(
    folder: Path, no_engine: dict[str, str], fault: str, said: str
) -> None:
    secret = folder / ".secrets/redis_password"
    match fault:
        case "missing":
            secret.unlink()
        case "empty":
            secret.write_text("")
        case "open":
            secret.chmod(0o644)

    _, wrong = doctor(folder, **no_engine)

    (line,) = [line for line in wrong if line.startswith("secrets")]
    assert said in line


def test_a_missing_key_of_the_object_store_is_found(folder: Path, no_engine: dict[str, str]) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "an id", "AWS_SECRET_ACCESS_KEY": "a key"}
    make_env(folder, CARPRICE_DATA_URL="s3://prices/data", **keys)
    (folder / ".secrets/store_key").unlink()

    _, wrong = doctor(folder, **no_engine)

    (line,) = [line for line in wrong if line.startswith("secrets")]
    assert "store_key is missing: " in line


def test_a_proxy_that_is_not_of_the_sockets_group_is_found(
    folder: Path, no_engine: dict[str, str], tmp_path: Path
) -> None:
    path = tmp_path / "docker.sock"
    path.touch()
    group = path.stat().st_gid
    at = {"CARPRICE_ENGINE_SOCKET": str(path), **no_engine}

    _, right = doctor(folder, CARPRICE_DOCKER_GID=str(group), **at)
    _, wrong = doctor(folder, CARPRICE_DOCKER_GID=str(group + 1), **at)

    assert [line for line in right if line.startswith("socket")] == []
    (line,) = [line for line in wrong if line.startswith("socket")]
    assert f"must be {group}, the group of {path}, found {group + 1}" in line


def test_each_port_that_is_taken_is_found(
    folder: Path, no_engine: dict[str, str], free_ports: dict[str, str]
) -> None:
    with ExitStack() as taken:
        for port in free_ports.values():
            taken.enter_context(socket.create_server(("127.0.0.1", int(port))))
        _, wrong = doctor(folder, **no_engine)

    lines = [line for line in wrong if line.startswith("ports")]
    assert len(lines) == len(free_ports) > 4
    for name, port in free_ports.items():
        (line,) = [line for line in lines if f"127.0.0.1:{port} can't be had" in line]
        assert f"{name} in .env" in line


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 1 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("Only root may mount a disk.")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_nearly_full_is_found(
    folder: Path, no_engine: dict[str, str], small_disk: Path
) -> None:
    _, wrong = doctor(folder, CARPRICE_HOST_DATA_DIR=str(small_disk / "data"), **no_engine)

    (line,) = [line for line in wrong if line.startswith("data root")]
    assert f"{small_disk} must have 2 GiB of room, found 0.0" in line


@pytest.fixture
def late_server() -> Iterator[str]:
    """The address of a web server whose clock is an hour behind."""

    class Late(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_error(403)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return formatdate(time.time() - 3600, usegmt=True)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Late) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.docker
def test_a_clock_that_is_off_is_found(
    new_stack: object, folder: Path, tmp_path: Path, late_server: str
) -> None:
    late = time.strftime("%Y-%m-%dT%H:%M:%S.123456789Z", time.gmtime(time.time() - 3600))
    fake = fake_docker(tmp_path / "bin", f'case "$*" in *SystemTime*) echo {late}; exit ;; esac')

    _, right = doctor(folder)
    _, wrong = doctor(folder, PATH=fake, CARPRICE_CLOCK_URL=late_server)

    assert [line for line in right if line.startswith("clock")] == []
    engine, server = [line for line in wrong if line.startswith("clock")]
    assert "the engine's clock is -36" in engine
    assert f"the clock of {late_server} is -36" in server
    assert "NTP" in server


@pytest.mark.docker
def test_a_way_out_of_steps_that_is_too_wide_or_too_narrow_is_found(folder: Path, tmp_path: Path) -> None:
    def wrong() -> list[str]:
        return [line for line in doctor(folder)[1] if line.startswith("way out")]

    name = f"doctor-{os.getpid()}-steps"
    require("DOCKER", bool(docker("version", check=False)), "No Docker engine answers.")
    try:
        docker("network", "create", name)
        open_network = wrong()
        docker("network", "rm", name)
        docker("network", "create", "--internal", name)
        well = wrong()
        (folder / ".secrets/webhook_url").write_text("https://hooks.example/x")
        not_led_to = wrong()
        make_env(folder)
        led_to = wrong()
    finally:
        docker("network", "rm", name, check=False)

    assert [f"{name} must be internal" in line and "make stack-down" in line for line in open_network] == [
        True
    ]
    assert well == []
    assert [str(folder / "egress.json") in line and "'make stack'" in line for line in not_led_to] == [True]
    assert led_to == []


@pytest.mark.docker
def test_a_missing_and_a_stale_image_are_found_and_a_current_one_is_not(
    new_stack: object, folder: Path, tmp_path: Path
) -> None:
    stale, missing = f"carprice-redis:doctor-{os.getpid()}", "carprice-mlflow:there-is-none"
    (tmp_path / "Dockerfile").write_text("FROM carprice-redis:latest\nLABEL carprice.inputs=another\n")
    docker("build", "--quiet", "--tag", stale, str(tmp_path))
    try:
        _, before = doctor(folder)
        _, wrong = doctor(folder, CARPRICE_REDIS_IMAGE=stale, CARPRICE_MLFLOW_IMAGE=missing)
    finally:
        docker("rmi", stale)

    assert not any("carprice-redis" in line for line in before)
    assert any(f"the engine has no {missing}: 'make images'" in line for line in wrong)
    assert any(f"{stale} is not of the files" in line and "images/build redis" in line for line in wrong)
