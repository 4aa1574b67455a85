"""The place where the next page of listings begins, as a text that callers send back."""

from __future__ import annotations

import base64
import hashlib

from carprice.listings.records import shown
from price_api.problems import Refusal

_DIGEST_BYTES = 8


def cursor_of(market_key: str, question: str, place: int) -> str:
    """The cursor of the listing at `place` of the answer to `question` about one market."""
    text = f"{market_key} {_digest(question)} {place}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def place_of(cursor: str, market_key: str, made_at: str, question: str, total: int) -> int:
    """The place that a cursor means. Raises `Refusal` where it is of another market or question.

    Places of two markets say nothing of each other: the same listing stands elsewhere once it is rated
    again.
    """
    unreadable = Refusal("invalid-cursor", {"found": shown(cursor)})
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        its_market, its_question, its_place = text.split(" ")
        if not (its_place.isascii() and its_place.isdigit() and len(its_place) < 10):
            raise ValueError
        place = int(its_place)
    except ValueError as error:
        raise unreadable from error
    if its_question != _digest(question):
        raise Refusal("cursor-of-other-filters")
    if its_market != market_key:
        raise Refusal("cursor-outdated", {"made_at": made_at})
    if place >= max(total, 1):
        raise unreadable
    return place


def _digest(question: str) -> str:
    return hashlib.blake2b(question.encode("utf-8", "replace"), digest_size=_DIGEST_BYTES).hexdigest()
