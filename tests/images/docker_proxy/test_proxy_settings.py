"""The settings of the proxy, and what it shares with Airflow. Needs no engine."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
from running_proxy import REPOSITORY, SOURCE, step_body

from carprice_contract import variables
from carprice_settings import ServiceSettings
from carprice_settings import variables as variables_of

sys.path[:0] = [str(SOURCE), str(REPOSITORY / "airflow")]
from docker_proxy import container_policy, endpoints
from docker_proxy import settings as proxy_settings

from include import settings as airflow_settings

FINE = {"CARPRICE_DOCKER_NETWORK": "carprice_steps", "DATA_DIR": "/srv/carprice/data"}
WRONG_SETTINGS = [
    ("CARPRICE_PROXY_PROT", "2375", "did you mean CARPRICE_PROXY_PORT?"),
    ("CARPRICE_PROXY_PORT", "http", "must be a whole number from 1 to 65535"),
    ("CARPRICE_PROXY_PORT", "65536", "from 1 to 65535"),
    ("CARPRICE_PROXY_REQUEST_SECONDS", "0", "above 0"),
    ("CARPRICE_PROXY_REQUEST_SECONDS", "nan", "above 0"),
    ("CARPRICE_PROXY_ID", "a b", "letters, digits"),
    ("CARPRICE_TRAINER_IMAGE", "a,b", "one image"),
    ("CARPRICE_DOCKER_NETWORK", "", "made for the steps"),
    ("CARPRICE_DOCKER_NETWORK", "host", "made for the steps"),
    ("CARPRICE_DOCKER_NETWORK", "bridge", "made for the steps"),
    ("CARPRICE_DOCKER_NETWORK", "container:x", "made for the steps"),
    ("CARPRICE_COLLECTOR_NETWORK", "host", "for the collector alone"),
    ("CARPRICE_COLLECTOR_NETWORK", "carprice_steps", "for the collector alone"),
    ("CARPRICE_COLLECTOR_IMAGE", "a,b", "one image"),
    ("CARPRICE_STEP_USER", "0:0", "a uid above 0"),
    ("CARPRICE_STEP_USER", "root", "a uid above 0"),
    ("CARPRICE_STEP_MEMORY", "lots", "a size such as"),
    ("CARPRICE_STEP_MEMORY", "0", "a size such as"),
    ("DATA_DIR", "", "must be set"),
    ("DATA_DIR", "data", "an absolute path"),
    ("DATA_DIR", "/srv/../etc", "an absolute path"),
    ("DATA_DIR", "/srv/data/", "an absolute path"),
    ("CARPRICE_DOCKER_HOST_DATA_DIR", "/", "the engine's socket is in it"),
    ("CARPRICE_DOCKER_HOST_DATA_DIR", "/var/run", "the engine's socket is in it"),
    ("CARPRICE_DOCKER_HOST_DATA_DIR", "../data", "the name of a volume"),
    ("CARPRICE_PROXY_STEP_SECRETS_DIR", ".secrets", "an absolute path"),
    ("CARPRICE_PROXY_STEP_SECRETS_DIR", "/run", "the engine's socket is in it"),
    ("CARPRICE_PROXY_STEP_SECRETS_DIR", "/srv/carprice/data", "it is in the data root"),
    ("CARPRICE_PROXY_STEP_SECRETS_DIR", "/srv/carprice/data/.secrets", "it is in the data root"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG_SETTINGS)
def test_a_setting_that_would_open_the_filter_stops_the_start(name: str, value: str, expected: str) -> None:
    with pytest.raises(proxy_settings.SettingError, match=re.escape(expected)) as error:
        proxy_settings.Settings.from_environment({**FINE, name: value})

    assert name in str(error.value)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("CARPRICE_COLLECTOR_IMAGE", "carprice-trainer:latest", "another image than the steps'"),
        ("CARPRICE_COLLECTOR_SOURCES", "avito=ftp://elsewhere", "must be sources like"),
    ],
)
def test_a_collector_that_would_open_the_filter_stops_the_start(name: str, value: str, expected: str) -> None:
    switched_on = {**FINE, "CARPRICE_COLLECTOR_NETWORK": "carprice_collect"}
    with pytest.raises(proxy_settings.SettingError, match=expected):
        proxy_settings.Settings.from_environment({**switched_on, name: value})


def test_every_variable_that_airflow_gives_the_collector_is_allowed() -> None:
    told = {
        **dict.fromkeys(variables.COLLECT_VARIABLES, "1"),
        "CARPRICE_COLLECTOR_SOURCES": "avito",
        "CARPRICE_COLLECTOR_NETWORK": "carprice_collect",
        "DATA_DIR": FINE["DATA_DIR"],
    }
    airflow = airflow_settings.Settings.from_environment(told)
    proxy = proxy_settings.Settings.from_environment({**FINE, **told})
    assert {**airflow.collector_environment(), "HOME": "/tmp"} == proxy.collector_variables  # noqa: S108
    assert airflow.sources == proxy.collected


SENT = {
    "MLFLOW_TRACKING_USERNAME": "pipeline",
    "MLFLOW_S3_ENDPOINT_URL": "http://store",
    "AWS_ENDPOINT_URL": "http://store",
    "AWS_DEFAULT_REGION": "us-east-1",
    "CARPRICE_SMTP_TO": "ops@example.invalid",
    "CARPRICE_SMTP_FROM": "cars@example.invalid",
}
"""Where the secrets and words of a step go, as Airflow and the proxy are both told."""


def settings_of(settings: type[ServiceSettings]) -> dict[str, tuple[Any, Any]]:
    """Default and type of each setting, by the name of its variable."""
    return {name: (found.default, found.annotation) for name, found in variables_of(settings).items()}


def test_what_the_proxy_shares_with_airflow_means_the_same_to_both() -> None:
    proxys, airflows = settings_of(proxy_settings.Settings), settings_of(airflow_settings.Settings)
    shared = set(proxys) & set(airflows)
    # Those without a default here have none that would be safe.
    assert {name for name in shared if proxys[name] != airflows[name]} == {
        "CARPRICE_DOCKER_NETWORK",
        "DATA_DIR",
    }
    assert (
        proxy_settings.Settings.from_environment({**FINE, "CARPRICE_STEP_MEMORY": "512MB"}).memory_bytes
        == 2**29
    )


def test_every_variable_that_airflow_gives_a_step_is_allowed(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("landing: {settle_seconds: 10}\n")
    airflow = airflow_settings.Settings(
        data_dir=FINE["DATA_DIR"],
        mlflow_tracking_uri="http://mlflow:5000",
        reports_url="http://reports",
        params_file=str(tmp_path / "params.yaml"),
    )
    secrets = airflow.step_secrets(
        {
            **dict.fromkeys(variables.PRIVATE_VARIABLES - set(variables.SECRET_FILES), "hidden"),
            **SENT,
            **variables.SECRET_FILE_VARIABLES,
            "AIRFLOW__CORE__FERNET_KEY": "hidden",
        }
    )
    given = {**airflow.step_environment(), **secrets, "HOME": "/tmp"}  # noqa: S108 - a container's own
    assert "AIRFLOW__CORE__FERNET_KEY" not in given
    assert {*variables.PINNED_VARIABLES, *variables.SECRET_FILE_VARIABLES, variables.PARAMS} <= set(given)
    proxy = proxy_settings.Settings.from_environment(
        {
            **FINE,
            **SENT,
            "CARPRICE_PROXY_STEP_SECRETS_DIR": "/srv/secrets",
            "MLFLOW_TRACKING_URI": "http://mlflow:5000",
            "CARPRICE_REPORTS_URL": "http://reports",
        }
    )
    body = step_body(Path(FINE["DATA_DIR"]))
    body["Env"] = [f"{name}={value}" for name, value in given.items()]
    body["HostConfig"]["NetworkMode"] = FINE["CARPRICE_DOCKER_NETWORK"]

    allowed = json.loads(container_policy.ContainerPolicy(proxy).body_for_engine(json.dumps(body).encode()))

    assert allowed["Env"] == body["Env"]
    mounted = {mount["Target"] for mount in allowed["HostConfig"]["Mounts"] if mount["Type"] == "bind"}
    assert mounted == {FINE["DATA_DIR"], *variables.SECRET_FILE_VARIABLES.values()}


def test_the_security_document_names_every_endpoint() -> None:
    document = (REPOSITORY / "docs/security.md").read_text()
    settings = proxy_settings.Settings(network="steps", data_dir="/srv/data")
    every = [f"`{found.method} {found.path}`" for found in endpoints.Endpoints(settings).all]

    assert [endpoint for endpoint in every if endpoint not in document] == []
