"""The endpoints of the Docker API that a step needs; the proxy refuses all others.

They are recorded from real steps: `airflow/include/container_step.py` sends them through the Docker SDK,
from the question for the engine's version to the removal of the container. Each endpoint writes the
request to the engine anew from the client's request.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from carprice_contract.containers import PROXY_LABEL, RESULT_PATH
from docker_proxy.container_policy import ContainerPolicy
from docker_proxy.engine import EngineRequest
from docker_proxy.http_request import Request
from docker_proxy.refusal import Refusal, quoted
from docker_proxy.settings import Settings

OLDEST_VERSION = 41
"""The API of Docker 20.10 is 1.41. Older versions accept a HostConfig at a container's start, unchecked."""

_VERSIONED = re.compile(r"(?:/v1\.([0-9]{1,3}))?(/.*)", re.DOTALL)
_NAME = re.compile(r"carprice-[a-zA-Z0-9_.-]{1,200}-[0-9]{1,6}-[0-9a-f]{8}")
"""The names that container_step gives; no service of a compose project has such a name."""
_YES = frozenset({"1", "true", "True"})
_NO = frozenset({"0", "false", "False"})


@dataclass(frozen=True)
class Endpoint:
    """A method and a path; `{id}` in it stands for a container's full id."""

    method: str
    path: str
    engine_request: Callable[[Request, str], EngineRequest]
    """The request to the engine for the client's request and the checked path; raises `Refusal`."""
    has_body: bool = False
    needs_version: bool = True

    def match(self, method: str, path: str) -> re.Match[str] | None:
        """A match if this is the endpoint; its group `id`, if there is one, is the container's id."""
        pattern = re.escape(self.path).replace(r"\{id\}", "(?P<id>[0-9a-f]{64})")
        return re.fullmatch(pattern, path) if method == self.method else None


@dataclass(frozen=True)
class Call:
    """A checked request: what to send to the engine, and the container it is about, if there is one."""

    request: EngineRequest
    version: str
    container: str | None


class Endpoints:
    """The allowed part of the Docker API."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._containers = ContainerPolicy(settings)
        self.all = (
            Endpoint("GET", "/_ping", _plain, needs_version=False),
            Endpoint("HEAD", "/_ping", _plain, needs_version=False),
            Endpoint("GET", "/version", _plain, needs_version=False),
            Endpoint("GET", "/images/json", self._list_images),
            Endpoint("GET", "/containers/json", self._list_containers),
            Endpoint("POST", "/containers/create", self._create, has_body=True),
            Endpoint("GET", "/containers/{id}/json", _plain),
            Endpoint("POST", "/containers/{id}/attach", _attach),
            Endpoint("POST", "/containers/{id}/start", _plain),
            Endpoint("POST", "/containers/{id}/wait", _plain),
            Endpoint("GET", "/containers/{id}/archive", _archive),
            Endpoint("DELETE", "/containers/{id}", _remove),
        )

    def call(self, request: Request) -> Call:
        """The checked call for `request`. Raises `Refusal` if a step does not need it."""
        versioned = _VERSIONED.fullmatch(request.path)
        number, path = versioned.groups() if versioned else (None, request.path)
        version = "" if number is None else f"/v1.{int(number)}"
        for endpoint in self.all:
            found = endpoint.match(request.method, path)
            if not found:
                continue
            if endpoint.needs_version if number is None else int(number) < OLDEST_VERSION:
                raise Refusal(
                    f"The path must begin with the API's version, /v1.{OLDEST_VERSION} or newer, "
                    f"found {quoted(request.path)}."
                )
            if request.body and not endpoint.has_body:
                raise Refusal(f"{request.method} {path} must have no body, found {len(request.body)} bytes.")
            return Call(
                endpoint.engine_request(request, version + path), version, found.groupdict().get("id")
            )
        raise Refusal(
            f"A step does not need {request.method} {request.path} of the Docker API: the proxy refuses it."
        )

    def _list_images(self, request: Request, path: str) -> EngineRequest:
        _check_arguments(request, {"only_ids": _NO, "all": _NO, "filters": None})
        filters = _filters(request)
        wanted = filters.get("reference")
        images = self._settings.all_images
        if set(filters) != {"reference"} or not wanted or any(image not in images for image in wanted):
            raise Refusal(
                f"A list of images may be filtered for {' and '.join(images)} only, found {quoted(filters)}: "
                "set CARPRICE_TRAINER_IMAGE, CARPRICE_SERVING_IMAGE and CARPRICE_COLLECTOR_IMAGE to the same "
                "here as in Airflow."
            )
        return EngineRequest("GET", path, (("filters", json.dumps({"reference": wanted})),))

    def _list_containers(self, request: Request, path: str) -> EngineRequest:
        _check_arguments(
            request,
            {"limit": frozenset({"-1"}), "all": _YES | _NO, "size": _NO, "trunc_cmd": _NO, "filters": None},
        )
        filters = _filters(request)
        if set(filters) - {"label"}:
            raise Refusal(f"A list of containers may be filtered by label only, found {quoted(filters)}.")
        labels = [*filters.get("label", []), f"{PROXY_LABEL}={self._settings.system}"]
        include_stopped = "1" if request.arguments.get("all") in _YES else "0"
        filters_text = json.dumps({"label": labels})
        return EngineRequest("GET", path, (("all", include_stopped), ("filters", filters_text)))

    def _create(self, request: Request, path: str) -> EngineRequest:
        _check_arguments(request, {"name": None})
        name = request.arguments.get("name", "")
        if not _NAME.fullmatch(name):
            raise Refusal(f"name must be carprice-TASK-TRY-8 hexadecimal digits, found {quoted(name)}.")
        content_type = request.headers.get("content-type", "")
        if content_type != "application/json":  # which a form in a browser can't send
            raise Refusal(f"Content-Type must be application/json, found {quoted(content_type)}.")
        body = self._containers.body_for_engine(request.body)
        return EngineRequest("POST", path, (("name", name),), body)


def _plain(request: Request, path: str) -> EngineRequest:
    _check_arguments(request, {})
    return EngineRequest(request.method, path)


def _attach(request: Request, path: str) -> EngineRequest:
    _check_arguments(request, {"logs": _NO, "stream": _YES, "stdout": _YES | _NO, "stderr": _YES | _NO})
    upgrade = request.headers.get("upgrade", "")
    if upgrade != "tcp" or request.headers.get("connection", "").lower() != "upgrade":
        raise Refusal(
            "A request for the output must have the headers Connection: Upgrade and Upgrade: tcp, "
            f"found {quoted(upgrade)}."
        )
    streams = tuple((name, "1") for name in ("stdout", "stderr") if request.arguments.get(name) in _YES)
    return EngineRequest("POST", path, (("stream", "1"), *streams), becomes_stream=True)


def _archive(request: Request, path: str) -> EngineRequest:
    # A step can put a symbolic link at any other path, and the engine would follow it.
    _check_arguments(request, {"path": frozenset({RESULT_PATH})}, required=("path",))
    return EngineRequest("GET", path, (("path", RESULT_PATH),))


def _remove(request: Request, path: str) -> EngineRequest:
    _check_arguments(request, {"v": _YES | _NO, "link": _NO, "force": _YES | _NO})
    force = "1" if request.arguments.get("force") in _YES else "0"
    # With its scratch volume, or each step would leave one behind. The engine keeps volumes with a name.
    return EngineRequest("DELETE", path, (("v", "1"), ("force", force)))


def _check_arguments(
    request: Request, allowed: Mapping[str, frozenset[str] | None], required: tuple[str, ...] = ()
) -> None:
    """Allows only these arguments with these values; None allows any value, and the caller checks it."""
    for name, value in request.arguments.items():
        if name not in allowed:
            raise Refusal(
                f"{request.method} {request.path} may not have the argument {name}, found {quoted(value)}: "
                "leave it out."
            )
        values = allowed[name]
        if values is not None and value not in values:
            raise Refusal(f"{name} must be {' or '.join(sorted(values))}, found {quoted(value)}.")
    for name in required:
        if name not in request.arguments:
            raise Refusal(f"{request.method} {request.path} must have the argument {name}, found none.")


def _filters(request: Request) -> dict[str, list[str]]:
    text = request.arguments.get("filters", "{}")
    try:
        filters = json.loads(text)
    except (ValueError, RecursionError):
        filters = None
    if not isinstance(filters, dict) or not all(
        isinstance(values, list) and all(isinstance(value, str) for value in values)
        for values in filters.values()
    ):
        raise Refusal(f"filters must be a JSON object of lists of texts, found {quoted(text)}.")
    return filters
