"""Every setting of the collector, read from the environment once, at the start."""

from __future__ import annotations

import re
from datetime import time
from typing import ClassVar, Self
from urllib.parse import urlsplit

from pydantic import model_validator

from carprice_collector.hours import Hours
from carprice_settings import DataRootSettings, SettingError, setting

__all__ = ["SettingError", "Settings"]

LEAST_DELAY_SECONDS = 2.0
"""Two requests to a site are never closer."""

AGENT = "carprice-collector"
"""Our name in robots.txt."""

_MAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_THIS_MACHINE = ("127.0.0.1", "localhost", "::1")


class Settings(DataRootSettings):
    """The settings of the collector."""

    prefix: ClassVar[str] = "CARPRICE_COLLECT_"

    contact: str = setting(
        "CARPRICE_COLLECT_CONTACT",
        "",
        "A mail address or a web page where a site reaches whoever collects; nothing starts without it.",
    )
    delay_seconds: float = setting(
        "CARPRICE_COLLECT_DELAY_SECONDS",
        3.0,
        "The least time between two requests to a site; below 2 on this machine's own sites only.",
        ge=0,
        le=3600,
    )
    jitter: float = setting(
        "CARPRICE_COLLECT_JITTER",
        0.5,
        "The share of that time which chance adds to it at most.",
        ge=0,
        le=10,
    )
    pages_per_day: int = setting(
        "CARPRICE_COLLECT_PAGES_PER_DAY", 300, "The most requests to a site in a day.", ge=1, le=100_000
    )
    hours: str = setting(
        "CARPRICE_COLLECT_HOURS",
        "",
        "The hours of the day in Morocco when sites are asked, such as 01:00-06:00; empty: any.",
    )
    longest_wait_seconds: float = setting(
        "CARPRICE_COLLECT_LONGEST_WAIT_SECONDS",
        600.0,
        "The longest wait that a site may ask for; after a longer one the collector stops for the day.",
        ge=0,
        le=86_400,
    )
    page_bytes: int = setting(
        "CARPRICE_COLLECT_PAGE_BYTES", 8 * 1024 * 1024, "The largest page in bytes.", ge=1024
    )
    timeout_seconds: float = setting(
        "CARPRICE_COLLECT_TIMEOUT_SECONDS", 30.0, "Seconds within which a page must arrive.", gt=0, le=600
    )
    state_dir: str = setting(
        "CARPRICE_COLLECT_STATE_DIR",
        "",
        "A local folder for unfinished runs and what was asked of each site; empty: in the data root.",
    )

    @property
    def user_agent(self) -> str:
        """Who we say that we are."""
        contact = self.contact if self.contact.startswith("http") else f"mailto:{self.contact}"
        return f"{AGENT}/0.1 (+{contact})"

    @property
    def open_hours(self) -> Hours | None:
        """The hours in which sites are asked; None for any."""
        return _hours(self.hours) if self.hours else None

    @property
    def state_folder(self) -> str:
        """The local folder for what the collector remembers."""
        return self.state_dir or f"{self.data_root}/collected/state"

    def refuse_haste(self, site: str) -> None:
        """Raises `SettingError` where a site that is not on this machine would be asked too often."""
        if self.delay_seconds < LEAST_DELAY_SECONDS and urlsplit(f"//{site}").hostname not in _THIS_MACHINE:
            raise SettingError(
                f"CARPRICE_COLLECT_DELAY_SECONDS must be at least {LEAST_DELAY_SECONDS:g} for {site}, "
                f"not {self.delay_seconds:g}: less is for sites on this machine."
            )

    @model_validator(mode="after")
    def _refuse_what_is_not_polite(self) -> Self:
        if not self.contact:
            raise ValueError(
                "CARPRICE_COLLECT_CONTACT must be set, found nothing: name a mail address or a web page "
                "where a site reaches you."
            )
        page = urlsplit(self.contact)
        is_page = page.scheme in ("http", "https") and "." in (page.hostname or "")
        if (
            not (is_page or _MAIL.fullmatch(self.contact))
            or not self.contact.isascii()
            or " " in self.contact
        ):
            raise ValueError(
                f"CARPRICE_COLLECT_CONTACT must be a mail address or a web page, not {self.contact!r}."
            )
        if self.hours:
            _hours(self.hours)
        if not self.data_is_local and not self.state_dir:
            raise ValueError(
                "CARPRICE_COLLECT_STATE_DIR must be a local folder where DATA_DIR is an object store, found "
                "nothing: name one that stays between runs."
            )
        return self


def _hours(text: str) -> Hours:
    try:
        begin, end = (time.fromisoformat(part.strip()) for part in text.split("-"))
    except ValueError as error:
        raise ValueError(f"CARPRICE_COLLECT_HOURS must be like 01:00-06:00, not {text!r}.") from error
    return Hours(begin, end)
