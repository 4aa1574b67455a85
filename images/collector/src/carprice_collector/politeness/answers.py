"""What a site's answer asks of us: to wait, to stop, or to prove that we are a person."""

from __future__ import annotations

import re
from datetime import datetime
from email.utils import parsedate_to_datetime

_CHALLENGES = re.compile(
    r"<title>\s*(?:just a moment|attention required|access denied|un instant|pardon our interruption)"
    r"|cf-chl-|/cdn-cgi/challenge-platform/|captcha-delivery\.com|_incapsula_resource|px-captcha"
    r"|g-recaptcha|h-captcha|hcaptcha\.com|aws-waf-token|/_sec/cp_challenge",
    re.IGNORECASE,
)
_LOOKED_AT = 200_000


def is_challenge(text: str) -> bool:
    """Whether a page has the marks of a test for people.

    Ordinary pages may have them too, so that this counts for a page without the data that it should have.
    """
    return _CHALLENGES.search(text[:_LOOKED_AT]) is not None


def retry_after(header: bytes | None, now: datetime) -> float | None:
    """The seconds that a header Retry-After asks to wait; None where there is none that can be read."""
    if not header:
        return None
    text = header.decode("latin-1").strip()
    if re.fullmatch(r"\d{1,9}", text):
        return float(text)
    try:
        return max(0.0, (parsedate_to_datetime(text) - now).total_seconds())
    except (ValueError, TypeError):
        return None
