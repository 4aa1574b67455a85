"""What the environment says about where the API is and how to speak to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

PREFIX = "CARPRICE_APP_"
KNOWN = ("CARPRICE_APP_API_URL", "CARPRICE_APP_API_KEY", "CARPRICE_APP_API_KEY_FILE")


class SettingsProblem(Exception):
    """A setting that can't be used, in one sentence."""


@dataclass(frozen=True)
class Settings:
    """The API's address, and the key to show it ("" where it asks for none)."""

    api_url: str = "http://127.0.0.1:8000"
    # kept out of the repr: it would end in a log
    api_key: str = field(default="", repr=False)

    @property
    def on_loopback(self) -> bool:
        """Whether the API is on this machine, where no proxy stands between."""
        return urlsplit(self.api_url).hostname in {"127.0.0.1", "localhost", "::1"}


def from_environment(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings in `environment`, by default the process's own.

    Raises `SettingsProblem` for an unknown `CARPRICE_APP_*`, an address that is none and a key file
    that can't be read.
    """
    found = os.environ if environment is None else environment
    unknown = sorted(name for name in found if name.startswith(PREFIX) and name not in KNOWN)
    if unknown:
        raise SettingsProblem(
            f"a setting of the app was expected, found {unknown[0]}; known are {', '.join(KNOWN)}"
        )
    url = (found.get("CARPRICE_APP_API_URL") or Settings.api_url).rstrip("/")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise SettingsProblem(
            f"CARPRICE_APP_API_URL must be an address such as {Settings.api_url}, found {url!r}"
        )
    key, path = found.get("CARPRICE_APP_API_KEY", ""), found.get("CARPRICE_APP_API_KEY_FILE", "")
    if key and path:
        raise SettingsProblem(
            "CARPRICE_APP_API_KEY and CARPRICE_APP_API_KEY_FILE are both set; keep one of them"
        )
    if path:
        try:
            with open(path, encoding="utf-8") as file:
                key = file.read()
        except OSError as error:
            raise SettingsProblem(
                f"CARPRICE_APP_API_KEY_FILE must name a readable file, found {path}: {error.strerror}"
            ) from error
    return Settings(url, key.strip())
