"""What of the Docker API a step needs, endpoint by endpoint; there is nothing else.

Recorded from real steps: what `airflow/include/container_step.py` sends through the Docker SDK, from
the first look at the engine's version to the removal of the container. Each endpoint makes of the
client's request the one that the engine gets.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from docker_proxy.container_policy import PROXY_LABEL, RESULT_PATH, ContainerPolicy
from docker_proxy.engine import EngineRequest
from docker_proxy.http_request import Request
from docker_proxy.refusal import Refusal, quoted
from docker_proxy.settings import Settings

OLDEST_VERSION = 41
"""Docker 20.10's API is 1.41. Older versions take a HostConfig at a container's start, unchecked."""

_VERSIONED = re.compile(r"(?:/v1\.([0-9]{1,3}))?(/.*)", re.DOTALL)
_NAME = re.compile(r"carprice-[a-zA-Z0-9_.-]{1,200}-[0-9]{1,6}-[0-9a-f]{8}")
"""As container_step makes them; no service of a compose project has a name of this form."""
_YES = frozenset({"1", "true", "True"})
_NO = frozenset({"0", "false", "False"})


@dataclass(frozen=True)
class Endpoint:
    """A method and a path; `{id}` in it stands for a container's full id."""

    method: str
    path: str
    make: Callable[[Request, str], EngineRequest]
    """Makes the engine's request of the client's and the path; raises `Refusal`."""
    has_body: bool = False
    needs_version: bool = True

    def match(self, method: str, path: str) -> re.Match[str] | None:
        """Whether this is the endpoint; the match's group `id` is the container's, where there is one."""
        pattern = re.escape(self.path).replace(r"\{id\}", "(?P<id>[0-9a-f]{64})")
        return re.fullmatch(pattern, path) if method == self.method else None


@dataclass(frozen=True)
class Call:
    """What a request comes to: the engine's request, and the container it is about, if there is one."""

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
        """What `request` comes to. Raises `Refusal` when it is none that a step needs."""
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
                raise Refusal(f"{request.method} {path} has no body, found {len(request.body)} bytes.")
            return Call(endpoint.make(request, version + path), version, found.groupdict().get("id"))
        raise Refusal(f"{request.method} {request.path} is not among what a step needs of the Docker API.")

    def _list_images(self, request: Request, path: str) -> EngineRequest:
        _arguments(request, {"only_ids": _NO, "all": _NO, "filters": None})
        filters = _filters(request)
        wanted = filters.get("reference")
        images = self._settings.images
        if set(filters) != {"reference"} or not wanted or any(image not in images for image in wanted):
            raise Refusal(
                f"Only {' and '.join(images)} may be asked for, found the filters {quoted(filters)}: "
                "set CARPRICE_TRAINER_IMAGE and CARPRICE_SERVING_IMAGE to the same here as in Airflow."
            )
        return EngineRequest("GET", path, (("filters", json.dumps({"reference": wanted})),))

    def _list_containers(self, request: Request, path: str) -> EngineRequest:
        _arguments(
            request,
            {"limit": frozenset({"-1"}), "all": _YES | _NO, "size": _NO, "trunc_cmd": _NO, "filters": None},
        )
        filters = _filters(request)
        if set(filters) - {"label"}:
            raise Refusal(f"Containers may be looked for by label, found the filters {quoted(filters)}.")
        labels = [*filters.get("label", []), f"{PROXY_LABEL}={self._settings.system}"]
        every = "1" if request.arguments.get("all") in _YES else "0"
        return EngineRequest("GET", path, (("all", every), ("filters", json.dumps({"label": labels}))))

    def _create(self, request: Request, path: str) -> EngineRequest:
        _arguments(request, {"name": None})
        name = request.arguments.get("name", "")
        if not _NAME.fullmatch(name):
            raise Refusal(f"name must be carprice-TASK-TRY-8 hexadecimal digits, found {quoted(name)}.")
        kind = request.headers.get("content-type", "")
        if kind != "application/json":  # what a form in a browser can't send
            raise Refusal(f"Content-Type must be application/json, found {quoted(kind)}.")
        return EngineRequest("POST", path, (("name", name),), self._containers.checked(request.body))


def _plain(request: Request, path: str) -> EngineRequest:
    _arguments(request, {})
    return EngineRequest(request.method, path)


def _attach(request: Request, path: str) -> EngineRequest:
    _arguments(request, {"logs": _NO, "stream": _YES, "stdout": _YES | _NO, "stderr": _YES | _NO})
    upgrade = request.headers.get("upgrade", "")
    if upgrade != "tcp" or request.headers.get("connection", "").lower() != "upgrade":
        raise Refusal(
            f"Output is followed with Connection: Upgrade and Upgrade: tcp, found {quoted(upgrade)}."
        )
    streams = tuple((name, "1") for name in ("stdout", "stderr") if request.arguments.get(name) in _YES)
    return EngineRequest("POST", path, (("stream", "1"), *streams), becomes_stream=True)


def _archive(request: Request, path: str) -> EngineRequest:
    # Any other could be a way to have the engine follow a link that the step has laid.
    _arguments(request, {"path": frozenset({RESULT_PATH})}, required=("path",))
    return EngineRequest("GET", path, (("path", RESULT_PATH),))


def _remove(request: Request, path: str) -> EngineRequest:
    _arguments(request, {"v": _YES | _NO, "link": _NO, "force": _YES | _NO})
    force = "1" if request.arguments.get("force") in _YES else "0"
    # With its scratch volume, or each step would leave one behind. Volumes with a name stay.
    return EngineRequest("DELETE", path, (("v", "1"), ("force", force)))


def _arguments(
    request: Request, allowed: Mapping[str, frozenset[str] | None], required: tuple[str, ...] = ()
) -> None:
    """Only these arguments, with these values; None stands for any, which the caller looks at."""
    for name, value in request.arguments.items():
        if name not in allowed:
            raise Refusal(
                f"{request.method} {request.path} has no argument {name} here, found {quoted(value)}."
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
        raise Refusal(f"filters must be JSON, an object of lists of words, found {quoted(text)}.")
    return filters
