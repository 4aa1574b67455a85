"""The browser of tests, benchmarks and pictures: the distribution's Chromium."""

from __future__ import annotations

import shutil

# The first draws pages as the second does, without windows that nobody sees, which costs less.
_PROGRAMS = ("chromium-headless-shell", "chromium", "chromium-browser")


def chromium() -> str | None:
    """The path of Chromium; None where there is none."""
    return next(filter(None, map(shutil.which, _PROGRAMS)), None)
