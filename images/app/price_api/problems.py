"""Refusals: each is application/problem+json (RFC 9457) with a code, parameters and one sentence.

The sentence is English, or French or Arabic where `Accept-Language` asks for it.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any, cast

import orjson
from asgi_correlation_id import correlation_id
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.exceptions import HTTPException

from carprice.errors import DataRefused
from carprice.listings.problems import Problem as ListingProblem
from carprice.listings.records import shown
from price_api.database import DatabaseAway
from price_contract import messages
from price_contract.answers import FieldError, Problem
from price_contract.language import asked_for, speaking
from price_contract.problem_kinds import ACCEPTED, PROBLEMS, FieldCode, ProblemCode, english

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"
TYPE_PREFIX = "urn:carprice:problem:"
INSTANCE_PREFIX = "urn:carprice:request:"
RETRY_SECONDS = "5"
MOST_NAMED = 20

# The framework's own checks of a query, and the field code that says the same.
_FRAMEWORK_CODES: dict[str, FieldCode] = {
    "int_parsing": "whole_number",
    "greater_than_equal": "at_least",
    "less_than_equal": "at_most",
    "bool_parsing": "flag",
    "string_too_long": "text_length",
    "datetime_parsing": "moment",
    "datetime_from_date_parsing": "moment",
}
# A plus in a query means a space: what comes before a zone was `+`.
_PLUS_AS_SPACE = re.compile(r"T\d\d(:?\d\d){0,2}(\.\d+)? \d\d:?\d\d$")
_FRAMEWORK_PARAMS = {"ge": "low", "le": "high", "max_length": "most"}


class Refusal(Exception):
    """A request that is not answered: a code with its parameters, and the fields at fault.

    The status and the sentence are those of `PROBLEMS`, unless `detail` or `status` gives another. The
    refusal of a file has a code of `carprice.listings.problems.FILE_CODES` and both.
    """

    def __init__(
        self,
        code: ProblemCode,
        params: Mapping[str, Any] | None = None,
        errors: Sequence[FieldError] = (),
        headers: Mapping[str, str] | None = None,
        detail: str | None = None,
        status: int | None = None,
    ) -> None:
        self.code = code
        self.params = dict(params or {})
        self.errors = list(errors)
        self.headers = dict(headers or {})
        self.detail = english(PROBLEMS[code].sentence, self.params) if detail is None else detail
        self.status = status or PROBLEMS[code].status
        if self.status == 503:
            self.headers.setdefault("Retry-After", RETRY_SECONDS)
        super().__init__(self.detail)

    def response(self, accept_language: str = "") -> Response:
        """The refusal as a response, its sentences in the language of a header `Accept-Language`."""
        language = asked_for(accept_language)
        detail, errors = self._said(language)
        document: Problem = {
            "type": f"{TYPE_PREFIX}{self.code}",
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": detail,
            "code": self.code,
            "params": self.params,
        }
        if errors:
            document["errors"] = errors
        request_id = correlation_id.get()
        if request_id:
            document["instance"] = f"{INSTANCE_PREFIX}{request_id}"
            document["request_id"] = request_id
        headers = {**self.headers, "Content-Language": language, "Vary": "Accept-Language"}
        return Response(orjson.dumps(document), self.status, media_type=MEDIA_TYPE, headers=headers)

    def _said(self, language: str) -> tuple[str, list[FieldError]]:
        """The sentence of the refusal, and the fields at fault, in a language."""
        if language == "en":
            return self.detail, self.errors
        with speaking(language):
            detail = (
                messages.joined([messages.field_error(error) for error in self.errors])
                if self.errors
                else messages.problem(self.code, self.params, self.detail)
            )
            return detail, [{**error, "accepted": messages.accepted(error)} for error in self.errors]


def field_error(code: FieldCode, field: str, value: str | None, **params: Any) -> FieldError:
    """A value that the API itself does not accept; `value` None where there is none."""
    accepted = english(ACCEPTED[code], params)
    return {"field": field, "value": value, "accepted": accepted, "code": code, "params": params}


def field_error_of(problem: ListingProblem) -> FieldError:
    """A value of a listing that `carprice.listings` does not accept."""
    return {
        "field": problem.field,
        "value": problem.value,
        "accepted": problem.accepted,
        "code": problem.code,
        "params": dict(problem.params),
    }


def sentence_of(errors: Sequence[FieldError]) -> str:
    """For each field what was expected and what was found, in one sentence."""
    return "; ".join(
        ListingProblem(error["field"], error["value"], error["accepted"]).sentence() for error in errors
    )


def refused_fields(errors: Sequence[FieldError]) -> Refusal:
    """A 422 that names each of `errors`."""
    fields = [error["field"] for error in errors]
    return Refusal("invalid-values", {"fields": fields}, errors, detail=sentence_of(errors))


def refuse_unknown_fields(document: Mapping[str, Any], known: Sequence[str]) -> None:
    """Raises a `Refusal` (422) that names each field of a body that is none of `known`."""
    refuse_unknown(list(document), known, "known_field")


def refuse_unknown_parameters(request: Request, known: Sequence[str]) -> None:
    """Raises a `Refusal` (422) that names each parameter of the query that is none of `known`."""
    refuse_unknown(list(request.query_params), known, "known_parameter")


def refuse_unknown(given: Sequence[str], known: Sequence[str], code: FieldCode) -> None:
    """Raises a `Refusal` (422) that names each of `given` that is none of `known`."""
    errors = [
        field_error(code, shown(name), shown(name), known=list(known)) for name in given if name not in known
    ]
    if errors:
        raise refused_fields(errors[:MOST_NAMED])


def refused_file(refused: DataRefused) -> Refusal:
    """A 422 for a CSV body that can't be read as a table of listings, with the code of `refused`."""
    sentence = str(refused)
    for landing in ("land the file again", "land the new file", "land that file"):
        sentence = sentence.replace(landing, "send it again" if landing.endswith("again") else "send that")
    code = cast(ProblemCode, refused.code or "invalid-file")
    return Refusal(code, refused.params, detail=sentence, status=422)


def install(app: FastAPI) -> None:
    """Answer every refusal of `app` as a problem, those of its framework too."""
    app.add_exception_handler(Refusal, _refused)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(DatabaseAway, _database_away)
    app.add_exception_handler(Exception, _unexpected)


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, Refusal)  # noqa: S101 - what the handler is registered for
    return _response(error, request)


def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    params = {"method": request.method, "path": shown(request.url.path)}
    if error.status_code == 404:
        return _response(Refusal("path-unknown", params, headers=error.headers), request)
    if error.status_code == 405:
        allowed = _allowed((error.headers or {}).get("Allow", ""))
        if request.method == "OPTIONS":
            return Response(status_code=204, headers={"Allow": allowed})
        params["allowed"] = allowed
        return _response(Refusal("method-not-allowed", params, headers={"Allow": allowed}), request)
    params["reason"] = str(error.detail)
    refusal = Refusal("http-error", params, headers=error.headers, status=error.status_code)
    return _response(refusal, request)


def _allowed(methods: str) -> str:
    """The methods of a path, with those that every path takes."""
    found = [method.strip() for method in methods.split(",") if method.strip()]
    return ", ".join([*found, *(["HEAD"] if "GET" in found else []), "OPTIONS"])


def _invalid(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    errors = []
    for found in error.errors():
        name = ".".join(str(part) for part in found["loc"][1:]) or str(found["loc"][0])
        value = None if found["type"] == "missing" else shown(found.get("input"))
        limits = found.get("ctx") or {}
        params = {ours: limits[theirs] for theirs, ours in _FRAMEWORK_PARAMS.items() if theirs in limits}
        code = _FRAMEWORK_CODES.get(found["type"], "not_accepted")
        if code == "moment" and _PLUS_AS_SPACE.search(str(found.get("input"))):
            code = "plus_not_encoded"
        errors.append(field_error(code, name, value, **params))
    return _response(refused_fields(errors), request)


def _database_away(request: Request, error: Exception) -> Response:
    return _response(Refusal("database-away", {"reason": str(error)}), request)


def _unexpected(request: Request, error: Exception) -> Response:
    # The framework logs the traceback.
    return _response(Refusal("service-error"), request)


def _response(refusal: Refusal, request: Request) -> Response:
    return refusal.response(request.headers.get("accept-language", ""))
