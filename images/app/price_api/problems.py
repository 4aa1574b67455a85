"""Refusals: every one is application/problem+json (RFC 9457) with one sentence for a stranger."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from http import HTTPStatus
from typing import Any, Literal

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from carprice.listings.records import Problem, shown
from price_api.database import DatabaseAway

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:carprice:problem:"

# What is missing behind a 503, the last part of its `type`; a program tells by it what to say and do.
Cause = Literal[
    "registry-away", "loading", "no-model", "version-refused", "database-away", "keys-away", "store-away"
]


class Refusal(Exception):
    """A request that is not answered: the HTTP status, one sentence, and the fields at fault.

    A 503 names its cause.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        errors: Sequence[Problem] = (),
        headers: Mapping[str, str] | None = None,
        cause: Cause | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)
        self.headers = dict(headers or {})
        self.cause = cause

    def response(self) -> Response:
        """The refusal as a response."""
        return problem(self.status, self.detail, self.errors, self.headers, self.cause)


def refused_fields(errors: Sequence[Problem]) -> Refusal:
    """A 422 that names each of `errors`."""
    return Refusal(422, "; ".join(error.sentence() for error in errors), errors)


def problem(
    status: int,
    detail: str,
    errors: Sequence[Problem] = (),
    headers: Mapping[str, str] | None = None,
    cause: Cause | None = None,
) -> Response:
    """A problem+json response."""
    document: dict[str, Any] = {
        "type": f"{TYPE_PREFIX}{cause}" if cause else "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
    }
    if errors:
        document["errors"] = [asdict(error) for error in errors]
    return Response(orjson.dumps(document), status, media_type=MEDIA_TYPE, headers=dict(headers or {}))


def install(app: FastAPI) -> None:
    """Have every refusal of `app`, its framework's too, answered as a problem."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DatabaseAway, _database_away)
    app.add_exception_handler(Exception, _unexpected)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - what the handler is registered for
    return error.response()


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    where = f"{request.method} {shown(request.url.path)}"
    if error.status_code == 404:
        detail = f"{where} is not part of this API; /docs lists what is"
    elif error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "another method")
        detail = f"{where} is not part of this API: this path takes {allowed}; /docs lists what there is"
    else:
        detail = f"{where} was refused: {error.detail}"
    return problem(error.status_code, detail, headers=error.headers)


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = []
    for found in error.errors():
        name = ".".join(str(part) for part in found["loc"][1:]) or str(found["loc"][0])
        value = None if found["type"] == "missing" else shown(found.get("input"))
        message = str(found["msg"])
        accepted = message.removeprefix("Input should be ").partition(", unable to")[0]
        errors.append(Problem(name, value, accepted[:1].lower() + accepted[1:]))
    return refused_fields(errors).response()


def _database_away(request: Request, error: Exception) -> Response:
    return problem(503, str(error), headers={"Retry-After": "5"}, cause="database-away")


def _unexpected(request: Request, error: Exception) -> Response:
    # The framework logs the traceback of whatever gets here.
    return problem(
        500, "the request met an error of the service that is not the request's fault; its log has the rest"
    )
