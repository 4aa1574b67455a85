"""Every setting of the API, read from the environment once, at the edge."""

from __future__ import annotations

import ipaddress
import os
import re
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from carprice_contract import data_root
from carprice_settings import DataRootSettings, SettingError, setting

__all__ = ["SettingError", "Settings"]

_ORIGIN = re.compile(r"https?://[^/\s,]+")
MOST = 1e12
"""Above any sensible number."""


class Settings(DataRootSettings):
    """The settings of the price API."""

    prefix: ClassVar[str] = "CARPRICE_API_"

    host: str = setting("CARPRICE_API_HOST", "127.0.0.1", "The address the API listens on.")
    port: int = setting("CARPRICE_API_PORT", 8000, "The port the API listens on.", ge=1, le=65535)
    keys: Literal["auto", "required", "off"] = setting(
        "CARPRICE_API_KEYS",
        "auto",
        "Whether /v1 asks for an API key; auto: unless the address is loopback. off: on loopback only.",
    )
    state_dir: str = setting(
        "CARPRICE_API_STATE_DIR",
        "",
        "The folder of the API's own state, with the last good models; empty: serving/ under DATA_DIR.",
    )
    database_url: str = setting(
        "CARPRICE_API_DATABASE_URL",
        "",
        "The prediction log's database; empty: SQLite in the state folder.",
        secret=True,
    )
    poll_seconds: float = setting(
        "CARPRICE_API_POLL_SECONDS",
        2.0,
        "Seconds between two looks at which version is in production, and which market is the newest.",
        gt=0,
        lt=MOST,
    )
    requests_per_second: float = setting(
        "CARPRICE_API_REQUESTS_PER_SECOND",
        200.0,
        "Requests a second that one key, or one address, may send.",
        gt=0,
        lt=MOST,
    )
    burst: int = setting(
        "CARPRICE_API_BURST", 400, "Requests that one key may send at once after a pause.", gt=0, lt=MOST
    )
    max_body_bytes: int = setting(
        "CARPRICE_API_MAX_BODY_BYTES", 4 * 1024 * 1024, "The largest request body in bytes.", gt=0, lt=MOST
    )
    cors_origins: str = setting(
        "CARPRICE_API_CORS_ORIGINS",
        "",
        "Origins whose pages may call the API from a browser, with commas between them; *: any; empty: none.",
    )
    log_queue: int = setting(
        "CARPRICE_API_LOG_QUEUE",
        10_000,
        "Predictions that may wait to be written; more are lost and counted.",
        gt=0,
        lt=MOST,
    )
    retention_days: int = setting(
        "CARPRICE_API_RETENTION_DAYS",
        365,
        "Days after which a prediction is removed from the log.",
        gt=0,
        lt=MOST,
    )
    staging: Literal["off", "shadow", "share"] = setting(
        "CARPRICE_API_STAGING",
        "off",
        "What the staging version does: off; shadow, priced and logged beside production but never answered; "
        "share, answers a share of the requests.",
    )
    staging_share: float = setting(
        "CARPRICE_API_STAGING_SHARE",
        0.1,
        "With CARPRICE_API_STAGING=share: staging's share of the requests.",
        gt=0,
        le=1,
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.keys == "off" and not self.on_loopback:
            raise ValueError(
                f"CARPRICE_API_KEYS=off is for loopback addresses only, found CARPRICE_API_HOST={self.host}: "
                "listen on 127.0.0.1, or leave CARPRICE_API_KEYS out and make a key with "
                "`python -m price_api keys create NAME`."
            )
        for origin in self.origins:
            if origin != "*" and not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    "CARPRICE_API_CORS_ORIGINS must name origins such as https://shop.example, with commas "
                    f"between them, or be *, found {origin!r}."
                )
        if not self.state_dir and not self.data_is_local:
            raise ValueError(
                f"CARPRICE_API_STATE_DIR must name a folder when the data root is not one, found none with "
                f"DATA_DIR={self.data_dir}."
            )
        return self

    @property
    def origins(self) -> list[str]:
        """The origins whose pages may call the API."""
        return [origin.strip().rstrip("/") for origin in self.cors_origins.split(",") if origin.strip()]

    @property
    def state_folder(self) -> str:
        """The folder of the API's own state, absolute."""
        return os.path.abspath(self.state_dir or os.path.join(self.data_root, data_root.SERVING))

    @property
    def log_url(self) -> str:
        """The SQLAlchemy URL of the prediction log."""
        return self.database_url or data_root.sqlite_url(os.path.join(self.state_folder, "predictions.db"))

    @property
    def on_loopback(self) -> bool:
        """Whether only this machine can reach the API."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    @property
    def asks_for_keys(self) -> bool:
        """Whether /v1 asks for an API key."""
        return self.keys == "required" or (self.keys == "auto" and not self.on_loopback)
