"""The proxy's own answer to a request that the engine does not get."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

Json = Any
"""A JSON document."""

QUOTED_CHARACTERS = 200


class Refusal(Exception):
    """The reason why a request does not reach the engine: a status, and a sentence for the client."""

    def __init__(self, sentence: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> None:
        super().__init__(sentence)
        self.status = status

    def message(self) -> bytes:
        """The whole HTTP response, in the form that the engine's own errors have."""
        body = json.dumps({"message": str(self)}).encode()
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + body


class MalformedRequest(Refusal):
    """The request is not plain HTTP/1.1."""

    def __init__(self, sentence: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(sentence, status)


def quoted(value: Json) -> str:
    """`value` as JSON, short enough for a sentence and safe for a log."""
    text = json.dumps(value)
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[:QUOTED_CHARACTERS]}…"
