"""What a client is told instead of an answer of the engine."""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import Any

Json = Any
"""A JSON document."""

QUOTED_CHARACTERS = 200


class Refusal(Exception):
    """A request that does not reach the engine: a status, and a sentence for whoever sent it."""

    def __init__(self, sentence: str, status: HTTPStatus = HTTPStatus.FORBIDDEN) -> None:
        super().__init__(sentence)
        self.status = status

    def message(self) -> bytes:
        """The whole HTTP response, in the form of the engine's own errors."""
        body = json.dumps({"message": str(self)}).encode()
        head = (
            f"HTTP/1.1 {self.status.value} {self.status.phrase}\r\n"
            "Content-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\n"
            "Connection: close\r\n\r\n"
        )
        return head.encode() + body


class MalformedRequest(Refusal):
    """A message that is not the plain HTTP/1.1 this proxy understands."""

    def __init__(self, sentence: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(sentence, status)


def quoted(value: Json) -> str:
    """`value` as JSON, short enough for a sentence and safe for a log."""
    text = json.dumps(value)
    return text if len(text) <= QUOTED_CHARACTERS else f"{text[:QUOTED_CHARACTERS]}…"
