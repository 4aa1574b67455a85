"""Answers that a client may keep: it sends their ETag back and learns that nothing has changed."""

from __future__ import annotations

import hashlib

from fastapi import Request, Response

# To keep, but to ask each time: a new version of the model may serve at any moment.
KEPT = "private, no-cache"


def cacheable(request: Request, response: Response) -> Response:
    """`response` with an ETag, or a 304 where the client has it already."""
    digest = hashlib.blake2b(response.body, digest_size=12).hexdigest()
    # weak: the same answer may be compressed or not
    tag = f'W/"{digest}"'
    headers = {"ETag": tag, "Cache-Control": KEPT}
    known = [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
    if "*" in known or f'"{digest}"' in known:
        return Response(status_code=304, headers=headers)
    response.headers.update(headers)
    return response
