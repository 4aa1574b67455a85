"""The merged compose files of a stack on an object store and with workers on other machines."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]
KEYS = {"AWS_ACCESS_KEY_ID": "the-id-of-a-key", "AWS_SECRET_ACCESS_KEY": "the-key-itself"}
STORE = {"CARPRICE_DATA_URL": "s3://cars/data", "CARPRICE_S3_ENDPOINT": "https://store.example"}
OVERLAYS = ("stack/object-store.yml", "stack/more-machines.yml")


def run(folder: Path, *words: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env={"PATH": os.environ["PATH"], "HOME": str(folder), **environment},
        capture_output=True,
        text=True,
        check=False,
        cwd=folder,
    )


def make_env(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(folder, sys.executable, REPOSITORY / "stack/make_env.py", "--folder", folder, **environment)


def make_worker(folder: Path, kit: Path, **addresses: str) -> subprocess.CompletedProcess[str]:
    wanted = {"main": "10.0.0.1", "worker": "10.0.0.2"} | addresses
    words = [word for name, address in wanted.items() for word in (f"--{name}", address)]
    script = REPOSITORY / "stack/make_worker.py"
    return run(folder, sys.executable, script, "--stack", folder, *words, kit)


def described(folder: Path, *files: Path | str, **environment: str) -> dict[str, Any]:
    """The configuration that Compose makes of `files` and the settings in `folder`."""
    named = [word for file in files for word in ("--file", str(file))]
    words = ["docker", "compose", "--env-file", str(folder / ".env"), *named, "config", "--format", "json"]
    done = run(folder, *words, **environment)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    """The folder of a stack on an object store."""
    folder = tmp_path / "stack"
    folder.mkdir()
    assert make_env(folder, **STORE, **KEYS).returncode == 0
    return folder


@pytest.fixture
def services(compose_plugin: None, stored: Path) -> dict[str, Any]:
    """The services of a stack on an object store that has workers on other machines."""
    files = [REPOSITORY / name for name in ("docker-compose.yml", *OVERLAYS)]
    found: dict[str, Any] = described(stored, *files, CARPRICE_PRIVATE_ADDRESS="10.0.0.1")["services"]
    return found


def test_a_store_is_set_up_with_its_keys_as_secrets_and_nowhere_else(stored: Path) -> None:
    settings = (stored / ".env").read_text()

    assert "CARPRICE_DATA_URL=s3://cars/data\n" in settings
    files = f"docker-compose.yml:stack/object-store.yml:{stored}/egress.json"
    assert f"COMPOSE_FILE={files}\n" in settings
    assert (stored / ".secrets/store_key_id").read_text() == KEYS["AWS_ACCESS_KEY_ID"]
    assert (stored / ".secrets/store_key").read_text() == KEYS["AWS_SECRET_ACCESS_KEY"]
    assert (stored / ".secrets/store_key").stat().st_mode & 0o777 == 0o600
    assert not any(key in settings for key in KEYS.values())
    assert make_env(stored).returncode == 0, "once they are kept, the keys need not be told again"


def test_without_a_store_there_is_no_trace_of_one(tmp_path: Path) -> None:
    assert make_env(tmp_path, **KEYS).returncode == 0

    assert "S3" not in (tmp_path / ".env").read_text()
    assert "COMPOSE_FILE" not in (tmp_path / ".env").read_text()
    assert not list((tmp_path / ".secrets").glob("store*"))


@pytest.mark.parametrize(
    ("environment", "sentence"),
    [
        (STORE, "AWS_ACCESS_KEY_ID must be set to a key for s3://cars/data, found none"),
        ({"CARPRICE_DATA_URL": "/data"} | KEYS, "must be an address like s3://bucket/prefix, found '/data'"),
        ({"CARPRICE_DATA_URL": "s3://"} | KEYS, "must be an address like s3://bucket/prefix, found 's3://'"),
    ],
)
def test_half_a_store_is_refused_with_what_is_missing(
    tmp_path: Path, environment: dict[str, str], sentence: str
) -> None:
    refused = make_env(tmp_path, **environment)

    assert refused.returncode == 1
    assert sentence in refused.stderr


def test_a_compose_file_setting_without_the_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("COMPOSE_FILE=docker-compose.yml:mine.yml\n")

    refused = make_env(tmp_path, **STORE, **KEYS)

    assert refused.returncode == 1
    assert "add ':stack/object-store.yml' behind docker-compose.yml" in refused.stderr


def test_every_service_that_knows_the_data_root_knows_the_store(services: dict[str, Any]) -> None:
    told = {name: service["environment"]["DATA_DIR"] for name, service in services.items()
            if "DATA_DIR" in (service.get("environment") or {})}  # fmt: skip

    assert set(told.values()) == {STORE["CARPRICE_DATA_URL"]}
    assert set(told) >= {"triggerer", "worker", "docker-proxy", "api", "reports"}


def test_those_who_open_the_store_have_its_keys_as_files_and_the_others_have_none(
    services: dict[str, Any],
) -> None:
    with_keys = {
        name for name, service in services.items()
        if "store_key" in {secret["source"] for secret in service.get("secrets") or []}
    }  # fmt: skip

    assert with_keys == {"triggerer", "api", "reports"}
    for name in with_keys:
        assert "AWS_SECRET_ACCESS_KEY=/run/secrets/store_key" in services[name]["entrypoint"]
    for service in services.values():
        assert not {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} & set(service.get("environment") or {})
    for name in ("worker", "dag-processor"):
        assert services[name]["environment"]["AWS_SECRET_ACCESS_KEY_FILE"] == "/run/secrets/store_key"


def test_evidently_which_reads_a_folder_alone_is_not_started(services: dict[str, Any]) -> None:
    assert "evidently" not in services


def test_no_folder_of_this_machine_is_mounted_but_the_apis_own(services: dict[str, Any]) -> None:
    mounted = {
        (name, volume["target"])
        for name, service in services.items()
        for volume in service.get("volumes") or []
        if volume["target"].startswith(("/data", "/reports"))
    }

    assert mounted == {("api", "/data/serving")}


def test_only_what_a_worker_needs_is_published_on_the_private_address(services: dict[str, Any]) -> None:
    private = {
        (name, port["published"])
        for name, service in services.items()
        for port in service.get("ports") or []
        if port["host_ip"] == "10.0.0.1"
    }

    assert private == {
        ("postgres", "5432"),
        ("redis", "6379"),
        ("api-server", "8080"),
        ("mlflow-port", "5000"),
    }


def test_a_worker_elsewhere_gets_what_the_one_here_has_and_no_other_secret(
    compose_plugin: None, stored: Path, services: dict[str, Any], tmp_path: Path
) -> None:
    kit = tmp_path / "kit"
    assert make_worker(stored, kit).returncode == 0
    own = {"CARPRICE_DOCKER_GID": "999", "CARPRICE_SECRETS_DIR": f"{kit}/.secrets"}
    there = described(kit, kit / "docker-compose.yml", **own)["services"]

    differing = {
        # No exporter runs there.
        "AIRFLOW__METRICS__STATSD_HOST",
        "AIRFLOW__METRICS__STATSD_ON",
        "AIRFLOW__CELERY__WORKER_CONCURRENCY",
        "CARPRICE_DOCKER_HOST_DATA_DIR",
        "CARPRICE_DOCKER_NETWORK",
        "CARPRICE_PROXY_ID",
        "CARPRICE_PROXY_STEP_SECRETS_DIR",
    }
    for name in ("worker", "docker-proxy"):
        here, other = services[name], there[name]
        alike = [{k: v for k, v in each["environment"].items() if k not in differing and v}
                 for each in (here, other)]  # fmt: skip
        # The proxy does not open the store.
        assert alike[0] | alike[1] == alike[0]
        assert set(alike[0]) - set(alike[1]) <= {"AWS_ENDPOINT_URL", "AWS_DEFAULT_REGION"}
        for promise in ("read_only", "cap_drop", "security_opt", "restart", "image", "mem_limit", "init"):
            assert other[promise] == here[promise], promise
        assert other["user"].startswith(here["user"].partition(":")[0])
    assert there["worker"]["command"] == services["worker"]["command"]
    assert there["worker"]["entrypoint"] == services["worker"]["entrypoint"]
    secrets = {path.name for path in (kit / ".secrets").iterdir()}
    of_steps = {"mlflow_password", "smtp_url", "webhook_url", "alert_urls", "store_key_id", "store_key"}
    assert secrets == {secret["source"] for secret in there["worker"]["secrets"]} | of_steps
    assert there["docker-proxy"]["environment"]["CARPRICE_PROXY_STEP_SECRETS_DIR"] == f"{kit}/.secrets"
    assert not {"admin_password", "airflow_jwt_secret", "mlflow_database_url"} & secrets
    # Airflow needs a key; that of the main machine would open the secrets in its database.
    key = "airflow_fernet_key"
    assert (kit / ".secrets" / key).read_text() != (stored / ".secrets" / key).read_text()


@pytest.mark.parametrize(
    ("addresses", "sentence"),
    [
        ({"worker": "worker.example"}, "an IP address was expected, found 'worker.example'"),
        ({"main": "127.0.0.1"}, "an address that another machine can reach was expected, found 127.0.0.1"),
    ],
)
def test_an_address_that_cannot_work_is_refused(
    stored: Path, tmp_path: Path, addresses: dict[str, str], sentence: str
) -> None:
    refused = make_worker(stored, tmp_path / "kit", **addresses)

    assert refused.returncode == 1
    assert sentence in refused.stderr
    assert not (tmp_path / "kit").exists()


def test_a_stack_on_a_folder_can_have_no_worker_elsewhere(tmp_path: Path) -> None:
    make_env(tmp_path)

    refused = make_worker(tmp_path, tmp_path / "kit")

    assert refused.returncode == 1
    assert "other machines see no folder of this one" in refused.stderr
