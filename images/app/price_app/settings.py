"""Every setting of the app: where the API is, and the key to show it."""

from __future__ import annotations

from typing import ClassVar
from urllib.parse import urlsplit

from pydantic import ValidationInfo, field_validator

from carprice_settings import ServiceSettings, SettingError, setting

__all__ = ["SettingError", "Settings"]

DEFAULT_URL = "http://127.0.0.1:8000"


class Settings(ServiceSettings):
    """The settings of the Streamlit app."""

    prefix: ClassVar[str] = "CARPRICE_APP_"

    api_url: str = setting("CARPRICE_APP_API_URL", DEFAULT_URL, "Where the API answers.")
    api_key: str = setting(
        "CARPRICE_APP_API_KEY", "", "The key to show it; empty: the API asks for none.", secret=True
    )
    public_api_url: str = setting(
        "CARPRICE_APP_PUBLIC_API_URL", "", "Where people reach the API, for links to feeds; empty: unknown."
    )

    @field_validator("api_url", "public_api_url")
    @classmethod
    def _an_http_address(cls, url: str, about: ValidationInfo) -> str:
        parts = urlsplit(url)
        if url == "" and about.field_name == "public_api_url":
            return url
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            name = f"CARPRICE_APP_{str(about.field_name).upper()}"
            raise ValueError(f"{name} must be an address such as {DEFAULT_URL}, not {url!r}.")
        return url.rstrip("/")

    @field_validator("api_key")
    @classmethod
    def _without_blanks_around_it(cls, key: str) -> str:
        return key.strip()

    @property
    def public_address(self) -> str:
        """Where people reach the API; "" where nobody said so and it is not on this machine."""
        return self.public_api_url or (self.api_url if self.on_loopback else "")

    @property
    def on_loopback(self) -> bool:
        """Whether the API is on this machine, where no proxy stands between."""
        return urlsplit(self.api_url).hostname in {"127.0.0.1", "localhost", "::1"}
