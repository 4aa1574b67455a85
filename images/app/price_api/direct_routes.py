"""Routes that read their own bodies, and how /openapi.json describes their requests and answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]

_REFUSALS: dict[int, str] = {
    400: "The body can't be read.",
    401: "No key, or an unknown one.",
    403: "A revoked key.",
    404: "Nothing has this name.",
    408: "The body came too slowly.",
    409: "What the answer needs is missing or is not as expected; `code` says what.",
    413: "The body is too large.",
    414: "The query is too long.",
    415: "Another content type or encoding.",
    422: "Values that can't be used; `errors` names them.",
    429: "Too many requests.",
    500: "The service failed; the request is not the reason.",
    503: "The answer needs something that is missing; `code` says what: no-model, database-away, …",
}
# Of every path under /v1, and of every one of them that takes a body.
_ALWAYS = (401, 403, 414, 429, 500, 503)
_WITH_BODY = (400, 408, 413, 415)

_TEXT, _NUMBER = {"type": "string"}, {"type": "integer", "minimum": 0}
REQUEST_ID = {"X-Request-ID": {"description": "The id of the request, as in the log.", "schema": _TEXT}}
_RATE = {
    "RateLimit-Limit": {"description": "Requests that may come at once.", "schema": _NUMBER},
    "RateLimit-Remaining": {"description": "How many of them are left.", "schema": _NUMBER},
    "RateLimit-Reset": {"description": "Seconds until all of them are.", "schema": _NUMBER},
    "RateLimit-Policy": {"description": "The limit and its window in seconds.", "schema": _TEXT},
}
_RETRY = {"Retry-After": {"description": "Seconds to wait.", "schema": _NUMBER}}
_OF_STATUS: dict[int, dict[str, Any]] = {
    401: {"WWW-Authenticate": {"description": "`Bearer`.", "schema": _TEXT}},
    415: {"Accept-Encoding": {"description": "The encodings of bodies that are read.", "schema": _TEXT}},
    429: _RETRY,
    503: _RETRY,
}
_KEPT = {
    "ETag": {"description": "Send it back as `If-None-Match`.", "schema": _TEXT},
    "Cache-Control": {"description": "`private, no-cache`.", "schema": _TEXT},
}
PAGE = {"description": "A page.", "content": {"text/html": {"schema": _TEXT}}}
STICKY_KEY = {
    "name": "X-Sticky-Key",
    "in": "header",
    "required": False,
    "schema": _TEXT,
    "description": "Any text; the same text gets the same version where two share the requests.",
}


class DirectRoute(APIRoute):
    """A route that hands the request to its endpoint and sends the endpoint's response.

    It leaves out the framework's reading and checking of bodies and its dependencies, which cost more than a
    price does.
    """

    def __init__(self, path: str, endpoint: Endpoint, **more: Any) -> None:
        super().__init__(path, endpoint, **more)

        async def app(scope: Scope, receive: Receive, send: Send) -> None:
            response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = app


def answers_of(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals of a path under /v1, `statuses` and those of every path, as /openapi.json has them."""
    problem = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": _REFUSALS[status],
            "headers": REQUEST_ID | _RATE | _OF_STATUS.get(status, {}),
            "content": {"application/problem+json": {"schema": problem}},
        }
        for status in sorted({*statuses, *_ALWAYS})
    }


def path_name(path: str) -> str:
    """The last word of a path, as the name of its operation: `/v1/predict/batch` is `batch`.

    A path to one of several has the singular: `/v1/predictions/{prediction_id}` is `prediction`.
    """
    *_, name = (part for part in path.split("/") if part and not part.startswith("{"))
    name = name.replace("-", "_")
    return name.removesuffix("s") if path.endswith("}") else name


def with_headers(answer: dict[str, Any], kept: bool = False, **more: Any) -> dict[str, Any]:
    """A good answer of a path under /v1 with its headers; `kept` where a client may keep it."""
    return answer | {
        "headers": REQUEST_ID | _RATE | (_KEPT if kept else {}) | answer.get("headers", {}) | more
    }


def body_schema(name: str, examples: dict[str, Any], **other: Any) -> dict[str, Any]:
    """A JSON body, the schema `name` (and `other` content types) as /openapi.json describes it."""
    schema = {"$ref": f"#/components/schemas/{name}"}
    content = {"application/json": {"schema": schema, "examples": examples}} | other
    return {"requestBody": {"required": True, "content": content}}


def add_direct_route(
    app: FastAPI,
    path: str,
    endpoint: Endpoint,
    method: str,
    model: Any,
    statuses: Sequence[int],
    *,
    success: Sequence[int] = (200,),
    answer: dict[str, Any] | None = None,
    kept: bool = False,
    tag: str = "prices",
    name: str | None = None,
    **more: Any,
) -> None:
    """Add a `DirectRoute`; the docstring of its endpoint becomes its description.

    Its operation is `name`, or is named after its path.

    It answers with `model`, or as `answer` says, with one of the statuses of `success`; `statuses` are the
    refusals that other paths do not have. An answer that is `kept` has an ETag.
    """
    responses = answers_of(*statuses, *(_WITH_BODY if method == "POST" else ()))
    good = with_headers(answer or {"model": model}, kept)
    for status in success:
        responses[status] = good
    if answer is PAGE:
        more.setdefault("response_class", HTMLResponse)
    if kept:
        responses[304] = {"description": "The client has it already.", "headers": REQUEST_ID | _RATE | _KEPT}
        extra = more.get("openapi_extra", {})
        more["openapi_extra"] = extra | {"parameters": [*extra.get("parameters", ()), _IF_NONE_MATCH]}
    app.router.routes.append(
        DirectRoute(
            path,
            endpoint,
            methods=[method],
            response_model=None,
            responses=responses,
            status_code=success[0],
            tags=[tag],
            operation_id=name or path_name(path),
            **more,
        )
    )


_IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "required": False,
    "schema": _TEXT,
    "description": "The ETag of an earlier answer; 304 says that nothing has changed.",
}
