"""One network, one relay and one proxy for all tests of this folder; other proxies where settings differ."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from running_proxy import IMAGE, MARK, NETWORK, REPOSITORY, SYSTEM, Relay, RunningProxy, docker, step_body


@pytest.fixture(scope="session")
def engine() -> Iterator[None]:
    """An engine with a step's image and a network for the steps; in the end nothing of ours is left."""
    if (
        shutil.which("docker") is None
        or subprocess.run(["docker", "version"], capture_output=True).returncode
    ):
        sentence = "No Docker engine answers: `make docker-engine` starts one."
        if os.environ.get("REQUIRE_DOCKER") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    if not docker("image", "ls", "-q", IMAGE):
        subprocess.run([REPOSITORY / "images/build", "trainer"], check=True)
    docker("network", "create", NETWORK)
    yield
    ours = docker("ps", "-aq", "--filter", f"name={MARK}").split()
    if ours:
        docker("rm", "-fv", *ours)
    docker("network", "rm", NETWORK)


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data root that the steps' user may write to."""
    folder = tmp_path_factory.mktemp("root") / "data"
    (folder / "raw").mkdir(parents=True)
    for each in (folder, folder / "raw"):
        each.chmod(0o777)
    return folder


@pytest.fixture(scope="session")
def start(
    engine: None, data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., RunningProxy]]:
    """Starts a proxy, with other settings if the test gives some."""
    folder = tmp_path_factory.mktemp("proxy")
    relay = Relay(folder / "engine.sock")
    running: list[RunningProxy] = []

    def start_proxy(**environment: str) -> RunningProxy:
        usual = {
            "CARPRICE_PROXY_ID": SYSTEM,
            "CARPRICE_DOCKER_NETWORK": NETWORK,
            "DATA_DIR": str(data),
        }
        running.append(RunningProxy(folder, relay, **{**usual, **environment}))
        return running[-1]

    yield start_proxy
    assert [proxy.stop() for proxy in running] == [0] * len(running)
    for proxy in running:
        assert "Traceback" not in proxy.log.read_text()


@pytest.fixture(scope="session")
def proxy(start: Callable[..., RunningProxy]) -> RunningProxy:
    return start()


@pytest.fixture
def step(data: Path) -> dict[str, Any]:
    return step_body(data)


@pytest.fixture(scope="module")
def created(proxy: RunningProxy, data: Path) -> Iterator[str]:
    """The id of a container created through the proxy and not started."""
    answer = proxy.create({**step_body(data), "Cmd": ["claim-files"]})
    assert answer.status == 201, answer.content
    yield answer.json["Id"]
    subprocess.run(["docker", "rm", "-fv", answer.json["Id"]], capture_output=True, check=False)
