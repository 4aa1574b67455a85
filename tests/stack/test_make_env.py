"""What `make env` writes; without it the stack refuses to start."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
TO_BE_FILLED = {"smtp_url", "webhook_url", "alert_urls"}
"""Secrets that only the operator of the stack knows."""


def make_env(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, REPOSITORY / "stack/make_env.py", "--folder", folder],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def contents(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): p.read_text() for p in folder.rglob("*") if p.is_file()}


def test_secrets_are_random_and_readable_by_the_containers_user_only(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        assert make_env(folder).returncode == 0
    owner = 50000 if os.getuid() == 0 else os.getuid()

    made = [path for path in (first / ".secrets").iterdir() if path.name != ".gitignore"]

    assert (first / ".secrets").stat().st_mode & 0o777 == 0o700
    for path in made:
        status = path.stat()
        assert (status.st_mode & 0o777, status.st_uid) == (0o600, owner)
        if path.name in TO_BE_FILLED:
            continue
        assert len(path.read_text()) >= 32
        assert path.read_text() != (second / ".secrets" / path.name).read_text()


def test_where_alerts_go_is_empty_until_somebody_fills_it_and_then_stays(tmp_path: Path) -> None:
    make_env(tmp_path)
    empty = {name for name, text in contents(tmp_path / ".secrets").items() if not text}
    (tmp_path / ".secrets/webhook_url").write_text("https://chat.example/hook")

    make_env(tmp_path)

    assert empty == TO_BE_FILLED
    assert (tmp_path / ".secrets/webhook_url").read_text() == "https://chat.example/hook"


def test_every_folder_that_a_service_mounts_is_made_before_it_starts(tmp_path: Path) -> None:
    make_env(tmp_path)
    mounted = re.findall(
        r"\$\{CARPRICE_HOST_DATA_DIR\}/([a-z]+)", (REPOSITORY / "docker-compose.yml").read_text()
    )

    assert {"serving", "asked", "watches", "monitoring", "reports"} <= set(mounted)
    for name in mounted:
        assert (tmp_path / "data" / name).stat().st_mode & 0o7777 == 0o2775


def test_no_secret_is_in_the_settings_or_in_what_is_said(tmp_path: Path) -> None:
    said = make_env(tmp_path)
    settings = (tmp_path / ".env").read_text()

    for path in (tmp_path / ".secrets").iterdir():
        if path.name not in {".gitignore"} | TO_BE_FILLED:
            assert path.read_text() not in settings + said.stdout + said.stderr


def test_git_sees_no_secret(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    make_env(tmp_path)

    seen = subprocess.run(
        ["git", "-C", tmp_path, "status", "--porcelain", "--untracked-files=all"],
        capture_output=True,
        text=True,
        check=True,
    )

    assert ".secrets" not in seen.stdout


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    make_env(tmp_path)
    before = contents(tmp_path)

    again = make_env(tmp_path, CARPRICE_AIRFLOW_PORT="9999")

    assert again.returncode == 0
    assert contents(tmp_path) == before


def test_what_was_edited_stays_and_what_is_missing_is_added(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("# mine\nCARPRICE_AIRFLOW_PORT=9999")
    make_env(tmp_path)

    lines = (tmp_path / ".env").read_text().splitlines()

    assert lines[:2] == ["# mine", "CARPRICE_AIRFLOW_PORT=9999"]
    assert sum(line.startswith("CARPRICE_AIRFLOW_PORT=") for line in lines) == 1
    assert f"CARPRICE_HOST_DATA_DIR={tmp_path / 'data'}" in lines


@pytest.mark.parametrize("name", ["a b", "a #b", "a?b", "a$HOME"])
@pytest.mark.usefixtures("compose_plugin")
def test_compose_mounts_a_data_root_of_any_name(tmp_path: Path, name: str) -> None:
    data = tmp_path / name
    make_env(tmp_path, CARPRICE_HOST_DATA_DIR=str(data))
    assert (data / "raw").is_dir()
    assert make_env(tmp_path).returncode == 0
    assert [path.name for path in tmp_path.iterdir() if path.is_dir() and path.name != ".secrets"] == [name]

    files = ["--file", REPOSITORY / "docker-compose.yml", "--env-file", tmp_path / ".env"]
    done = subprocess.run(
        ["docker", "compose", *files, "config", "--format", "json"], capture_output=True, text=True
    )

    services = json.loads(done.stdout)["services"]
    # Compose writes a dollar sign twice, so that its own output can be read again.
    mounted = {mount["source"].replace("$$", "$") for mount in services["api"]["volumes"]}
    assert {f"{data}/serving", f"{data}/asked", f"{data}/watches"} <= mounted
    worker = services["worker"]["environment"]["CARPRICE_DOCKER_HOST_DATA_DIR"]
    assert worker.replace("$$", "$") == str(data)


def test_a_secret_that_was_lost_is_made_anew_and_the_others_stay(tmp_path: Path) -> None:
    make_env(tmp_path)
    before = contents(tmp_path / ".secrets")
    (tmp_path / ".secrets/redis_password").unlink()

    make_env(tmp_path)

    after = contents(tmp_path / ".secrets")
    assert {name for name in before if before[name] != after[name]} == {
        "redis_password",
        "airflow_broker_url",
    }
    assert after["redis_password"] in after["airflow_broker_url"]


def test_root_as_the_containers_user_is_refused_with_a_sentence(tmp_path: Path) -> None:
    refused = make_env(tmp_path, CARPRICE_UID="0")

    assert refused.returncode == 1
    assert refused.stderr == (
        "make-env: CARPRICE_UID must be a user above 0, found 0: the containers never run as root.\n"
    )


@pytest.mark.usefixtures("compose_plugin")
def test_without_make_env_the_stack_refuses_with_a_sentence(tmp_path: Path) -> None:
    empty = tmp_path / "empty.env"
    empty.touch()

    refused = subprocess.run(
        ["docker", "compose", "--env-file", empty, "--file", REPOSITORY / "docker-compose.yml", "config"],
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )

    assert refused.returncode != 0
    assert "run 'make env' first" in refused.stderr
