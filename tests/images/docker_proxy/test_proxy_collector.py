"""What the collector's container may be: it reads the sites of the setting alone. Needs no engine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from running_proxy import SOURCE, step_body

sys.path[:0] = [str(SOURCE)]
from docker_proxy.container_policy import ContainerPolicy
from docker_proxy.refusal import Refusal
from docker_proxy.settings import Settings

DATA = Path("/srv/carprice/data")
ON = {
    "CARPRICE_DOCKER_NETWORK": "carprice_steps",
    "DATA_DIR": str(DATA),
    "CARPRICE_PROXY_STEP_SECRETS_DIR": "/srv/secrets",
    "CARPRICE_COLLECTOR_NETWORK": "carprice_collect",
    "CARPRICE_COLLECTOR_SOURCES": "avito jsonld=https://cars.example/all",
    "CARPRICE_COLLECT_CONTACT": "ops@example.ma",
    "CARPRICE_COLLECT_PAGES_PER_DAY": "50",
}
AVITO = ["collect-listings", "--source", "avito"]
RESULT = ["--result", "/tmp/result.json"]  # noqa: S108 - a container's own


def collector(**changes: Any) -> dict[str, Any]:
    """The body of the collector's create request; `network` stands for HostConfig.NetworkMode."""
    body = step_body(DATA)
    body["HostConfig"]["NetworkMode"] = changes.pop("network", "carprice_collect")
    return body | {
        "Image": "carprice-collector:latest",
        "Entrypoint": ["carprice-collect"],
        "Cmd": [*AVITO, *RESULT],
        "Env": [f"DATA_DIR={DATA}", "HOME=/tmp", "CARPRICE_COLLECT_CONTACT=ops@example.ma"],
        **changes,
    }


def asked(body: dict[str, Any], **environment: str) -> dict[str, Any]:
    """Ask for a container as a worker does. Raises `Refusal`."""
    policy = ContainerPolicy(Settings.from_environment({**ON, **environment}))
    found: dict[str, Any] = json.loads(policy.body_for_engine(json.dumps(body).encode()))
    return found


def test_the_collector_of_a_source_in_the_setting_is_allowed_and_gets_no_secret() -> None:
    allowed = asked(collector())
    assert allowed["HostConfig"]["NetworkMode"] == "carprice_collect"
    assert allowed["HostConfig"]["CapDrop"] == ["ALL"]
    assert {mount["Target"] for mount in allowed["HostConfig"]["Mounts"]} == {str(DATA), "/tmp"}  # noqa: S108
    start = ["--start", "https://cars.example/all", "--pages", "20"]
    asked(collector(Cmd=["collect-listings", "--source", "jsonld", *start, *RESULT]))


@pytest.mark.parametrize(
    "changes",
    [
        {"network": "carprice_steps"},
        {"network": "host"},
        {"Entrypoint": ["carprice"]},
        {"Image": "carprice-trainer:latest"},
        {"Cmd": ["train-model", "--snapshot", "latest", *RESULT]},
        {"Cmd": ["collect-listings", "--source", "moteur", *RESULT]},
        {"Cmd": ["collect-listings", *RESULT]},
        {"Cmd": [*AVITO, "--start", "http://mlflow:5000/", *RESULT]},
        {"Cmd": ["collect-listings", "--source", "jsonld", "--start", "https://elsewhere.example/", *RESULT]},
        {
            "Cmd": [
                "collect-listings",
                "--start=http://mlflow:5000/",
                "--pages=1",
                "--source",
                "avito",
                *RESULT,
            ]
        },
        {"Cmd": [*AVITO, "--source=jsonld", *RESULT]},
        {"Cmd": [*AVITO, "--sitemap", "http://mlflow:5000/", *RESULT]},
        {"Cmd": [*AVITO, "--discard", "x", *RESULT]},
        {"Env": ["CARPRICE_COLLECT_PAGES_PER_DAY=100000"]},
        {"Env": ["CARPRICE_COLLECT_DELAY_SECONDS=2"]},
        {"Env": ["CARPRICE_COLLECT_CONTACT=somebody@else.example"]},
        {"Env": ["CARPRICE_COLLECT_STATE_DIR=/tmp"]},
        {"Env": ["MLFLOW_TRACKING_PASSWORD_FILE=/run/secrets/mlflow_password"]},
        {"Env": ["CARPRICE_PARAMS=a: 1"]},
        {"Env": ["HTTPS_PROXY=http://elsewhere"]},
        {"Env": "CARPRICE_COLLECT_CONTACT=ops@example.ma"},
    ],
    ids=str,
)
def test_a_collector_that_would_do_anything_else_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(Refusal):
        asked(collector(**changes))


def test_there_is_no_collector_until_it_has_a_network() -> None:
    with pytest.raises(Refusal, match=r"CARPRICE_COLLECT_CONTACT|carprice-collector"):
        asked(collector(), CARPRICE_COLLECTOR_NETWORK="")


def test_no_other_step_reaches_the_network_of_the_collector() -> None:
    body = step_body(DATA)
    body["Env"] = body["Env"][:3]
    body["HostConfig"]["NetworkMode"] = "carprice_collect"
    with pytest.raises(Refusal, match="NetworkMode must be"):
        asked(body)
