"""A real step through the proxy, from start to result, and what the proxy does around it."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow_step import run_step
from running_proxy import (
    API,
    MARK,
    NETWORK,
    REPOSITORY,
    SYSTEM,
    TMP,
    RunningProxy,
    changed,
    docker,
)

from carprice.listings import sample

pytestmark = [pytest.mark.docker]


def test_a_real_step_runs_from_start_to_result(proxy: RunningProxy, data: Path, tmp_path: Path) -> None:
    sample.write_sample(str(data / "raw/sample.csv"), 200, 1)
    digest = hashlib.sha256((data / "raw/sample.csv").read_bytes()).hexdigest()

    done = run_step(proxy, data, tmp_path, "check-data-quality", "--file", "sample.csv", "--sha256", digest)

    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    result = json.loads(done.stdout.partition("RESULT ")[2].splitlines()[0])
    assert (result["file"], result["status"]) == ("sample.csv", "accepted")
    assert (data / f"listings/{digest}.parquet").stat().st_uid != 0
    assert docker("ps", "-aq", "--filter", f"label=carprice.run=run-{MARK}") == ""


def test_a_step_follows_its_output_and_is_told_its_exit_status(
    proxy: RunningProxy, data: Path, tmp_path: Path
) -> None:
    done = run_step(proxy, data, tmp_path, "check-data-quality")

    assert done.returncode == 1
    assert "The step was called wrongly: " in done.stderr
    assert "--sha256" in done.stderr


def test_a_step_that_is_refused_says_why(proxy: RunningProxy, data: Path, tmp_path: Path) -> None:
    done = run_step(proxy, data, tmp_path, "claim-files", CARPRICE_STEP_MEMORY="3g")

    assert done.returncode == 1
    assert f"HostConfig.Memory must be a whole number from 6291456 to {2 * 1024**3}, found {3 * 1024**3}" in (
        done.stderr
    )


def test_a_container_has_the_hardening_that_was_left_out(proxy: RunningProxy, step: dict[str, Any]) -> None:
    for key in ("CapDrop", "SecurityOpt"):
        del step["HostConfig"][key]

    answer = proxy.create(step)

    assert answer.status == 201, answer.content
    container = answer.json["Id"]
    found = json.loads(docker("inspect", container))[0]
    host = found["HostConfig"]
    assert host["CapDrop"] == ["ALL"]
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert host["Dns"] == ["127.0.0.1"]
    assert host["ReadonlyRootfs"] is True
    assert host["Privileged"] is False
    assert found["Config"]["Labels"]["carprice.proxy"] == SYSTEM
    (scratch,) = (mount for mount in found["Mounts"] if mount["Type"] == "volume")
    assert scratch["Destination"] == TMP
    assert proxy.ask("DELETE", f"{API}/containers/{container}?force=True").status == 204
    gone = subprocess.run(["docker", "volume", "inspect", scratch["Name"]], capture_output=True, check=False)
    assert gone.returncode == 1


def test_an_engine_that_is_away_is_named(start: Callable[..., RunningProxy], tmp_path: Path) -> None:
    proxy = start(CARPRICE_PROXY_ENGINE_SOCKET=str(tmp_path / "nobody.sock"))

    answer = proxy.ask("GET", "/_ping")
    assert answer.status == 502
    assert f"can't reach the Docker engine at {tmp_path}/nobody.sock" in answer.message
    assert proxy.ping().returncode == 1


def test_the_health_check_asks_the_engine_through_the_proxy(proxy: RunningProxy) -> None:
    before = len(proxy.relay.received)

    assert proxy.ping().returncode == 0
    assert proxy.relay.received[before:] == ["GET /_ping HTTP/1.1"]


def test_the_health_check_loads_neither_the_server_nor_its_settings(proxy: RunningProxy) -> None:
    code = "import sys, docker_proxy.__main__; print(sorted({'asyncio', 'pydantic'} & set(sys.modules)))"
    loaded = subprocess.run(
        [sys.executable, "-c", code], env=proxy.environment, capture_output=True, text=True, check=True
    )

    assert loaded.stdout.strip() == "[]"


def test_no_secret_of_a_step_is_logged(proxy: RunningProxy, step: dict[str, Any]) -> None:
    refused = [
        changed(step, "Env/4", "AWS_PROFILE=topsecret"),
        changed(step, "Env", {"A": "topsecret"}),
        changed(step, "env", ["A=topsecret"]),
    ]
    for body in refused:
        assert "topsecret" not in proxy.create(body).message

    assert "topsecret" not in proxy.log.read_text()


@pytest.fixture(scope="module")
def image(engine: None) -> str:
    """The proxy's image, built from this tree."""
    done = subprocess.run(
        [REPOSITORY / "images/build", "docker-proxy"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return "carprice-docker-proxy:latest"


def test_the_image_runs_locked_down_and_answers_for_the_engine(image: str, data: Path) -> None:
    name = f"docker-proxy-{MARK}"
    group = os.stat("/var/run/docker.sock").st_gid
    locked = ["--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--memory", "64m"]
    settings = {"CARPRICE_DOCKER_NETWORK": NETWORK, "DATA_DIR": str(data), "CARPRICE_PROXY_ID": SYSTEM}
    variables = [word for each in settings.items() for word in ("--env", "=".join(each))]
    docker(
        *("run", "-d", "--name", name, "--network", NETWORK, *locked, *variables),
        *("--group-add", str(group), "--volume", "/var/run/docker.sock:/var/run/docker.sock", image),
    )
    end = time.monotonic() + 30
    while "listening" not in subprocess.run(["docker", "logs", name], capture_output=True, text=True).stderr:
        assert time.monotonic() < end, "the proxy does not listen"
        time.sleep(0.1)

    assert docker("exec", name, "python3", "-m", "docker_proxy", "ping") == ""
    assert docker("exec", name, "id", "-u") == "50000"
    docker("stop", "--time", "30", name)
    assert docker("inspect", "--format", "{{.State.ExitCode}}", name) == "0"  # it heard the signal
