"""The endpoints of the Docker API that a step needs; anything else is refused."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from urllib.parse import quote

import pytest
from running_proxy import (
    API,
    IMAGE,
    NETWORK,
    NOBODY,
    SYSTEM,
    RunningProxy,
    container_name,
    docker,
    id_of,
    state,
)

pytestmark = [pytest.mark.docker]


FILTERS = quote('{"reference": ["carprice-trainer:latest"]}')
ALLOWED_REQUESTS = [
    ("GET", "/_ping"),
    ("HEAD", "/_ping"),
    ("GET", "/version"),
    ("GET", f"{API}/_ping"),
    ("GET", f"{API}/version"),
    ("GET", f"{API}/images/json?only_ids=0&all=0&filters={FILTERS}"),
    ("GET", f"{API}/containers/json?limit=-1&all=1&size=0&trunc_cmd=0"),
]


@pytest.mark.parametrize(("method", "target"), ALLOWED_REQUESTS, ids=id_of)
def test_what_a_step_asks_is_answered(proxy: RunningProxy, method: str, target: str) -> None:
    answer = proxy.ask(method, target)

    assert answer.status == 200
    assert len(answer.reached_engine) == 1


REFUSED_REQUESTS = [
    # the engine and its other parts
    ("GET", "/info"),
    ("GET", "/events"),
    ("GET", "/system/df"),
    ("POST", "/auth"),
    ("POST", "/session"),
    ("POST", "/grpc"),
    ("GET", "/swarm"),
    ("POST", "/swarm/init"),
    ("GET", "/secrets"),
    ("POST", "/services/create"),
    ("GET", "/plugins"),
    ("POST", "/plugins/pull"),
    ("GET", "/volumes"),
    ("POST", "/volumes/create"),
    ("POST", "/volumes/prune"),
    ("GET", "/networks"),
    ("POST", "/networks/create"),
    ("POST", f"/networks/{NETWORK}/connect"),
    # images
    ("POST", "/build"),
    ("POST", "/images/create?fromImage=busybox&tag=latest"),
    ("POST", "/images/load"),
    ("GET", "/images/json"),
    ("GET", "/images/json?filters=" + quote('{"reference": ["*"]}')),
    ("GET", "/images/json?filters=" + quote('{"reference": ["carprice-trainer:latest", "postgres"]}')),
    ("GET", "/images/json?filters=" + quote('{"reference": {"carprice-trainer:latest": true}}')),
    ("GET", "/images/json?filters=" + quote('{"dangling": ["true"]}')),
    ("GET", "/images/carprice-trainer:latest/json"),
    ("GET", "/images/carprice-trainer/json"),
    ("DELETE", "/images/carprice-trainer"),
    ("POST", "/images/carprice-trainer/tag?repo=x"),
    ("POST", "/commit?container=x"),
    # containers that are not named by their full id
    ("GET", "/containers/json?filters=" + quote('{"name": ["x"]}')),
    ("GET", "/containers/json?filters=" + quote('{"label": {"x": true}}')),
    ("GET", "/containers/json?size=1"),
    ("GET", "/containers/json?before=x"),
    ("GET", "/containers/carprice-postgres-1/json"),
    ("GET", "/containers/0123456789ab/json"),
    ("POST", "/containers/prune"),
    ("POST", "/containers/create"),
    ("POST", "/containers/create?name=carprice-x-1-0123abcd&platform=linux/arm64"),
]
REFUSED_OPERATIONS = [
    ("POST", "/exec"),
    ("GET", "/top"),
    ("GET", "/stats"),
    ("GET", "/logs?stdout=1"),
    ("GET", "/changes"),
    ("GET", "/export"),
    ("POST", "/stop"),
    ("POST", "/kill"),
    ("POST", "/restart"),
    ("POST", "/pause"),
    ("POST", "/update"),
    ("POST", "/rename?name=x"),
    ("POST", "/resize?h=1&w=1"),
    ("POST", "/copy"),
    ("PUT", "/archive?path=/tmp"),
    ("HEAD", "/archive?path=/tmp/result.json"),
    ("GET", "/archive"),
    ("GET", "/archive?path=/etc/passwd"),
    ("GET", "/archive?path=/tmp/../etc/passwd"),
    ("GET", "/archive?path=/tmp/result.json/"),
    ("POST", "/attach?stdin=1&stream=1"),
    ("POST", "/attach?stdout=1&stream=1"),  # without an upgrade
    ("POST", "/attach?stdout=1&stream=1&detachKeys=x"),
    ("GET", "/attach/ws"),
    ("GET", "/json?size=1"),
    ("POST", "/start?detachKeys=x"),
    ("POST", "/start?checkpoint=x"),
    ("POST", "/wait?condition=removed"),
    ("DELETE", "?link=True"),
    ("DELETE", "?other=1"),
]


@pytest.mark.parametrize(("method", "target"), REFUSED_REQUESTS, ids=id_of)
def test_anything_else_is_refused(proxy: RunningProxy, method: str, target: str) -> None:
    answer = proxy.ask(method, API + target)

    assert answer.status == 403
    assert answer.message.endswith(".")
    assert answer.reached_engine == []


@pytest.mark.parametrize(("method", "rest"), REFUSED_OPERATIONS, ids=id_of)
def test_anything_else_is_refused_with_a_step_too(
    proxy: RunningProxy, created: str, method: str, rest: str
) -> None:
    before = state(created)

    answer = proxy.ask(method, f"{API}/containers/{created}{rest}")

    assert answer.status == 403
    assert method == "HEAD" or answer.message
    assert answer.reached_engine == []
    assert state(created) == before


def test_a_start_brings_no_settings_of_its_own(proxy: RunningProxy, created: str) -> None:
    answer = proxy.ask("POST", f"{API}/containers/{created}/start", {"Privileged": True})

    assert (answer.status, answer.reached_engine) == (403, [])
    assert "must have no body, found 20 bytes" in answer.message


@pytest.mark.parametrize("version", ["", "/v1.40", "/v1.12", "/v1.0"])
def test_an_older_api_is_refused(proxy: RunningProxy, created: str, version: str) -> None:
    answer = proxy.ask("POST", f"{version}/containers/{created}/start")

    assert (answer.status, answer.reached_engine) == (403, [])
    assert f"/v1.41 or newer, found {json.dumps(f'{version}/containers/{created}/start')}" in answer.message


OPERATIONS = [
    ("GET", "/json"),
    ("POST", "/start"),
    ("POST", "/wait"),
    ("POST", "/attach?logs=0&stdout=1&stderr=1&stream=1"),
    ("GET", "/archive?path=%2Ftmp%2Fresult.json"),
    ("DELETE", "?v=False&link=False&force=True"),
]


@pytest.fixture(scope="module", params=["", "another-system"], ids=["no label", "another system's label"])
def foreign(engine: None, request: pytest.FixtureRequest) -> Iterator[str]:
    """A container that somebody else made."""
    labels = ["--label", f"carprice.proxy={request.param}"] if request.param else []
    container = docker(
        "create",
        "--network",
        "none",
        "--name",
        container_name(),
        *labels,
        "--entrypoint",
        "sleep",
        IMAGE,
        "60",
    )
    yield container
    docker("rm", "-fv", container)


@pytest.mark.parametrize(("method", "rest"), OPERATIONS, ids=id_of)
def test_containers_of_others_are_out_of_reach(
    proxy: RunningProxy, foreign: str, method: str, rest: str
) -> None:
    before = state(foreign)

    answer = proxy.ask(method, f"{API}/containers/{foreign}{rest}", Connection="Upgrade", Upgrade="tcp")

    assert answer.status == 403
    assert f'carprice.proxy must be "{SYSTEM}", found ' in answer.message
    assert answer.reached_engine == [
        f"GET {API}/containers/{foreign}/json HTTP/1.1"
    ]  # the proxy's own question
    assert state(foreign) == before


def test_only_containers_made_through_the_proxy_are_listed(
    proxy: RunningProxy, foreign: str, created: str
) -> None:
    for filters in ("", '{"label": []}', '{"label": ["carprice.task=some_step"]}'):
        answer = proxy.ask("GET", f"{API}/containers/json?all=1&filters={quote(filters or '{}')}")
        assert [found["Id"] for found in answer.json] == [created]


def test_a_container_that_is_gone_is_not_found(proxy: RunningProxy) -> None:
    answer = proxy.ask("DELETE", f"{API}/containers/{NOBODY}?force=True")

    assert (answer.status, answer.message) == (404, f"No such container: {NOBODY}")


def test_a_name_that_looks_like_an_id_is_no_id(proxy: RunningProxy) -> None:
    name = uuid.uuid4().hex * 2
    labels = ("--label", f"carprice.proxy={SYSTEM}")
    docker("create", "--network", "none", "--name", name, *labels, "--entrypoint", "sleep", IMAGE, "60")
    try:
        answer = proxy.ask("POST", f"{API}/containers/{name}/start")
        assert (answer.status, answer.message) == (404, f"No such container: {name}")
    finally:
        docker("rm", "-fv", name)


def test_a_restarted_proxy_still_knows_its_containers(
    start: Callable[..., RunningProxy], created: str
) -> None:
    assert start().ask("GET", f"{API}/containers/{created}/json").status == 200
