"""Every setting of the API, read from the environment once, at the edge."""

from __future__ import annotations

import difflib
import ipaddress
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal
from urllib.parse import urlsplit

PREFIX = "CARPRICE_API_"
DATABASE_URL_FILE = "CARPRICE_API_DATABASE_URL_FILE"
"""Names a file that holds the value of CARPRICE_API_DATABASE_URL, which may hold a password."""


class SettingError(ValueError):
    """A variable of the environment is unknown or has a value that can't be used."""


def _setting(name: str, default: object, help: str) -> Any:
    return field(default=default, metadata={"name": name, "help": help})


@dataclass(frozen=True)
class Settings:
    """The settings; each field's metadata holds its variable's `name` and a sentence of `help`."""

    data_dir: str = _setting(
        "DATA_DIR", "data", "The data root: a folder, or an object-store URL such as s3://bucket/prefix."
    )
    mlflow_tracking_uri: str = _setting(
        "MLFLOW_TRACKING_URI", "", "The MLflow server; empty: a database under the data root."
    )
    host: str = _setting("CARPRICE_API_HOST", "127.0.0.1", "The address the API listens on.")
    port: int = _setting("CARPRICE_API_PORT", 8000, "The port the API listens on.")
    keys: Literal["auto", "required", "off"] = _setting(
        "CARPRICE_API_KEYS",
        "auto",
        "Whether /v1 asks for an API key; auto: unless the address is loopback. off: on loopback only.",
    )
    state_dir: str = _setting(
        "CARPRICE_API_STATE_DIR",
        "",
        "The folder of the API's own state, the last good models among it; empty: serving/ under DATA_DIR.",
    )
    database_url: str = _setting(
        "CARPRICE_API_DATABASE_URL",
        "",
        f"The prediction log's database; empty: SQLite in the state folder. {DATABASE_URL_FILE} names a "
        "file that holds it.",
    )
    poll_seconds: float = _setting(
        "CARPRICE_API_POLL_SECONDS", 2.0, "Seconds between two looks at which version is in production."
    )
    requests_per_second: float = _setting(
        "CARPRICE_API_REQUESTS_PER_SECOND", 200.0, "Requests a second that one key, or one address, may send."
    )
    burst: int = _setting(
        "CARPRICE_API_BURST", 400, "Requests that one key may send at once after a time of rest."
    )
    max_body_bytes: int = _setting(
        "CARPRICE_API_MAX_BODY_BYTES", 4 * 1024 * 1024, "The largest request body in bytes."
    )
    log_queue: int = _setting(
        "CARPRICE_API_LOG_QUEUE",
        10_000,
        "Predictions that may wait to be written; more are lost and counted.",
    )
    retention_days: int = _setting(
        "CARPRICE_API_RETENTION_DAYS", 365, "Days after which a prediction is removed from the log."
    )
    staging: Literal["off", "shadow", "share"] = _setting(
        "CARPRICE_API_STAGING",
        "off",
        "What the staging version does: off; shadow, priced and logged beside production but never answered; "
        "share, answers a share of the requests.",
    )
    staging_share: float = _setting(
        "CARPRICE_API_STAGING_SHARE", 0.1, "With CARPRICE_API_STAGING=share: staging's share of the requests."
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings in `environment`, defaults for those not there or empty.

        Raises `SettingError` for an unknown CARPRICE_API_ variable or an unusable value.
        """
        known = {f.metadata["name"] for f in fields(cls)} | {DATABASE_URL_FILE}
        for name in sorted(environment):
            if name.startswith(PREFIX) and name not in known:
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}."
                raise SettingError(f"There is no setting {name}: {hint}")
        values: dict[str, Any] = {
            f.name: _parsed(f.metadata["name"], environment[f.metadata["name"]], str(f.type))
            for f in fields(cls)
            if environment.get(f.metadata["name"])
        }
        if environment.get(DATABASE_URL_FILE):
            values["database_url"] = _secret(environment, DATABASE_URL_FILE)
        settings = cls(**values)
        settings._check()
        return settings

    def _check(self) -> None:
        if not 0 < self.port < 65536:
            raise SettingError(f"CARPRICE_API_PORT must be a port from 1 to 65535, not {self.port}.")
        if self.staging_share > 1:
            raise SettingError(
                f"CARPRICE_API_STAGING_SHARE must be above 0 and at most 1, not {self.staging_share:g}."
            )
        if self.keys == "off" and not self.on_loopback:
            raise SettingError(
                f"CARPRICE_API_KEYS=off is for loopback addresses only, found CARPRICE_API_HOST={self.host}: "
                "listen on 127.0.0.1, or leave CARPRICE_API_KEYS out and make a key with "
                "`python -m price_api keys create NAME`."
            )
        if not self.state_dir and not self.data_is_local:
            raise SettingError(
                f"CARPRICE_API_STATE_DIR must name a folder when the data root is not one, found none with "
                f"DATA_DIR={self.data_dir}."
            )

    @property
    def data_is_local(self) -> bool:
        """Whether the data root is a folder."""
        return urlsplit(self.data_dir).scheme in ("", "file")

    @property
    def data_root(self) -> str:
        """The data root: an absolute folder or a URL."""
        return os.path.abspath(urlsplit(self.data_dir).path) if self.data_is_local else self.data_dir

    @property
    def state_folder(self) -> str:
        """The folder of the API's own state, absolute."""
        return os.path.abspath(self.state_dir or os.path.join(self.data_root, "serving"))

    @property
    def log_url(self) -> str:
        """The SQLAlchemy URL of the prediction log."""
        return self.database_url or f"sqlite:///{os.path.join(self.state_folder, 'predictions.db')}"

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


def _secret(environment: Mapping[str, str], name: str) -> str:
    path = environment[name]
    plain = name.removesuffix("_FILE")
    if environment.get(plain):
        raise SettingError(f"Either {plain} or {name} can be set, found both: remove one.")
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read().strip()
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingError(
            f"{name} must name a readable file that holds the value of {plain}, found {path!r}: {problem}."
        ) from problem
    if not text:
        raise SettingError(f"{name} must name a file that holds the value of {plain}, found {path!r} empty.")
    return text


def _parsed(name: str, text: str, kind: str) -> str | float:
    """`text` as the type named `kind`. Raises `SettingError` with a sentence that names the variable."""
    if kind.startswith("Literal"):
        allowed = [word.strip("'\" ") for word in kind[len("Literal[") : -1].split(",")]
        if text not in allowed:
            raise SettingError(f"{name} must be one of {', '.join(allowed)}, not {text!r}.")
        return text
    if kind in ("int", "float"):
        try:
            number = int(text) if kind == "int" else float(text)
        except ValueError:
            number = -1
        if not 0 < number < 1e12:
            raise SettingError(
                f"{name} must be a {'whole ' * (kind == 'int')}number above zero, not {text!r}."
            )
        return number
    return text
