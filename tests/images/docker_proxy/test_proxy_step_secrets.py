"""The secrets of a step: files that the proxy mounts, each under its one name and place."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow_step import run_step
from running_proxy import API, RunningProxy, changed, docker

pytestmark = [pytest.mark.docker]


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two secrets that only the steps' user may read."""
    folder = tmp_path_factory.mktemp("secrets")
    # Nobody listens there.
    texts = {"webhook_url": "http://127.0.0.1:9/hidden-token", "mlflow_password": "hidden-password"}
    for name, text in texts.items():
        (folder / name).touch(mode=0o600)
        (folder / name).write_text(text)
        if os.getuid() == 0:
            os.chown(folder / name, 50000, 0)
    folder.chmod(0o700)
    return folder


@pytest.fixture(scope="module")
def with_secrets(start: Callable[..., RunningProxy], secrets: Path) -> RunningProxy:
    return start(CARPRICE_PROXY_STEP_SECRETS_DIR=str(secrets))


def test_a_step_of_airflows_reads_its_secret_from_the_file(
    with_secrets: RunningProxy, data: Path, tmp_path: Path
) -> None:
    named = {"CARPRICE_WEBHOOK_URL_FILE": "/run/secrets/webhook_url"}

    done = run_step(with_secrets, data, tmp_path, "alert", "--test", **named)

    assert "webhook: " in done.stdout + done.stderr
    assert "hidden" not in done.stdout + done.stderr + with_secrets.log.read_text()


def test_a_step_has_its_secrets_as_files_and_docker_inspect_shows_none(
    with_secrets: RunningProxy, step: dict[str, Any], secrets: Path
) -> None:
    step["Env"][3:] = ["MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/mlflow_password"]

    answer = with_secrets.create(step)

    assert answer.status == 201, answer.content
    (found,) = json.loads(docker("inspect", answer.json["Id"]))
    assert with_secrets.ask("DELETE", f"{API}/containers/{answer.json['Id']}").status == 204
    assert "hidden" not in json.dumps(found)
    files = [mount for mount in found["HostConfig"]["Mounts"] if "secrets" in mount.get("Source", "")]
    assert files == [
        {
            "Type": "bind",
            "Source": str(secrets / "mlflow_password"),
            "Target": "/run/secrets/mlflow_password",
            "ReadOnly": True,
        }
    ]


@pytest.mark.parametrize(
    "variable",
    [
        "MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/webhook_url",
        "MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/../mlflow_password",
        "MLFLOW_TRACKING_PASSWORD_FILE=mlflow_password",
        "MLFLOW_TRACKING_PASSWORD_FILE=",
        "MLFLOW_TRACKING_PASSWORD_FILE",
        "CARPRICE_WEBHOOK_URL_FILE=/run/secrets/admin_password",
        "MLFLOW_TRACKING_USERNAME_FILE=/run/secrets/admin_password",
        "AWS_CONFIG_FILE=/run/secrets/store_key",
    ],
)
def test_a_secret_of_another_name_or_place_is_refused(
    with_secrets: RunningProxy, step: dict[str, Any], variable: str
) -> None:
    answer = with_secrets.create(changed(step, "Env/3", variable))

    assert (answer.status, answer.reached_engine) == (403, [])
    assert f"Env must have {json.dumps(variable.partition('=')[0])} as " in answer.message or (
        f"found {json.dumps(variable.partition('=')[0])}: leave it out" in answer.message
    )


@pytest.mark.parametrize(
    ("target", "source"),
    [
        ("/run/secrets/mlflow_password", "mlflow_password"),
        ("/run/secrets/mlflow_password", "admin_password"),
        ("/run/secrets", ""),
        ("/run/secrets/../x", "mlflow_password"),
    ],
)
def test_a_secret_that_the_request_mounts_itself_is_refused(
    with_secrets: RunningProxy, step: dict[str, Any], secrets: Path, target: str, source: str
) -> None:
    step["Env"][3:] = ["MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/mlflow_password"]
    mount = {"Target": target, "Source": str(secrets / source), "Type": "bind", "ReadOnly": True}

    answer = with_secrets.create(changed(step, "HostConfig/Mounts/1", mount))

    assert (answer.status, answer.reached_engine) == (403, [])
    assert "HostConfig.Mounts[1].Source must be " in answer.message


def test_a_proxy_without_a_folder_of_secrets_gives_none(proxy: RunningProxy, step: dict[str, Any]) -> None:
    named = "MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/mlflow_password"

    answer = proxy.create(changed(step, "Env/4", named))

    assert (answer.status, answer.reached_engine) == (403, [])
    assert "name the folder of the steps' secrets in CARPRICE_PROXY_STEP_SECRETS_DIR" in answer.message
