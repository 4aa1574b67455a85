"""Every setting of the proxy, read from the environment once, at the start.

What a step is like is told by Airflow's own variables, under Airflow's names: set in one place for
both, the two can't disagree.
"""

from __future__ import annotations

import difflib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

PREFIX = "CARPRICE_PROXY_"

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9_.:/@-]*")
_USER = re.compile(r"[1-9][0-9]{0,8}:(0|[1-9][0-9]{0,8})")
_BYTES = re.compile(r"([0-9]+)([bkmgt]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SHARED_NAMESPACES = ("host", "container", "default", "bridge", "none")
_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")


class SettingError(ValueError):
    """A variable of the environment is unknown or has a value that can't be used."""


def _setting(name: str, default: object, help: str) -> Any:
    return field(default=default, metadata={"name": name, "help": help})


@dataclass(frozen=True)
class Settings:
    """The settings; each field's metadata holds its variable's `name` and a sentence of `help`."""

    host: str = _setting("CARPRICE_PROXY_HOST", "127.0.0.1", "The address the proxy listens on.")
    port: int = _setting("CARPRICE_PROXY_PORT", 2375, "The port the proxy listens on.")
    engine_socket: str = _setting(
        "CARPRICE_PROXY_ENGINE_SOCKET", "/var/run/docker.sock", "The unix socket of the Docker engine."
    )
    system: str = _setting(
        "CARPRICE_PROXY_ID",
        "carprice",
        "The label by which the proxy knows its containers; of its own for each system on one engine.",
    )
    request_seconds: float = _setting(
        "CARPRICE_PROXY_REQUEST_SECONDS", 10.0, "Seconds in which a request must have arrived as a whole."
    )
    max_body_bytes: int = _setting(
        "CARPRICE_PROXY_MAX_BODY_BYTES", 1024 * 1024, "The largest request body in bytes."
    )
    max_connections: int = _setting(
        "CARPRICE_PROXY_MAX_CONNECTIONS", 512, "Connections held at a time; a running step needs two."
    )
    step_pids: int = _setting(
        "CARPRICE_PROXY_STEP_PIDS", 512, "The most processes a step container may have."
    )
    step_secrets_dir: str = _setting(
        "CARPRICE_PROXY_STEP_SECRETS_DIR",
        "",
        "The folder of the engine's host with the secrets of the steps, one file each; empty: they get none.",
    )
    trainer_image: str = _setting(
        "CARPRICE_TRAINER_IMAGE", "carprice-trainer:latest", "The image that holds the `carprice` command."
    )
    serving_image: str = _setting(
        "CARPRICE_SERVING_IMAGE", "carprice-app:latest", "The image that serves prices; it validates staging."
    )
    network: str = _setting(
        "CARPRICE_DOCKER_NETWORK", "", "The Docker network of the step containers; never the host's."
    )
    data_dir: str = _setting(
        "DATA_DIR", "", "The data root of the steps: an absolute folder, or an object-store URL."
    )
    host_data_dir: str = _setting(
        "CARPRICE_DOCKER_HOST_DATA_DIR",
        "",
        "What is mounted there: a folder of the engine's host, or a volume's name; empty: DATA_DIR.",
    )
    step_user: str = _setting(
        "CARPRICE_STEP_USER", "", "uid:gid of the step containers; empty: any but root's uid."
    )
    step_memory: str = _setting(
        "CARPRICE_STEP_MEMORY", "2g", "The most memory a step container may use before it is killed."
    )
    step_cpus: float = _setting("CARPRICE_STEP_CPUS", 2.0, "The most CPUs a step container may use.")

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings in `environment`, defaults for those not there or empty.

        Raises `SettingError` for an unknown CARPRICE_PROXY_ variable or an unusable value.
        """
        known = {f.metadata["name"] for f in fields(cls)}
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
        settings = cls(**values)
        settings._check()
        return settings

    @property
    def images(self) -> tuple[str, ...]:
        """The images a step may be made of, by their exact names."""
        return (self.trainer_image, self.serving_image)

    @property
    def data_is_local(self) -> bool:
        """Whether the data root is a folder, which has to be mounted."""
        return urlsplit(self.data_dir).scheme in ("", "file")

    @property
    def data_root(self) -> str:
        """The data root as the steps know it: an absolute folder or a URL."""
        return urlsplit(self.data_dir).path if self.data_is_local else self.data_dir

    @property
    def data_source(self) -> str:
        """What is mounted at the data root: a folder on the engine's host, or a volume's name."""
        return self.host_data_dir or self.data_root

    @property
    def memory_bytes(self) -> int:
        """The most memory of a step container, in bytes. Raises `SettingError`."""
        found = _BYTES.fullmatch(self.step_memory)
        if not found or not int(found[1]):
            raise SettingError(
                f"CARPRICE_STEP_MEMORY must be a size such as 512m or 2g, not {self.step_memory!r}."
            )
        return int(found[1]) * _UNITS[found[2].lower()]

    def _check(self) -> None:
        if self.port > 65535:
            raise SettingError(f"CARPRICE_PROXY_PORT must be a port from 1 to 65535, not {self.port}.")
        if not _NAME.fullmatch(self.system):
            raise SettingError(
                f"CARPRICE_PROXY_ID must be letters, digits, '_', '.' and '-', not {self.system!r}."
            )
        for variable, image in (
            ("CARPRICE_TRAINER_IMAGE", self.trainer_image),
            ("CARPRICE_SERVING_IMAGE", self.serving_image),
        ):
            if not _IMAGE.fullmatch(image):
                raise SettingError(f"{variable} must be the name of one image, not {image!r}.")
        if not _NAME.fullmatch(self.network) or self.network in _SHARED_NAMESPACES:
            raise SettingError(
                "CARPRICE_DOCKER_NETWORK must name a network made for the steps, "
                f"found {self.network or 'nothing'!r}: make one with `docker network create` and name it."
            )
        if self.step_user and not _USER.fullmatch(self.step_user):
            raise SettingError(
                f"CARPRICE_STEP_USER must be uid:gid in numbers with a uid above 0, not {self.step_user!r}."
            )
        _ = self.memory_bytes
        if self.data_is_local:
            self._check_data_root()
        if self.step_secrets_dir:
            self._check_step_secrets_dir()

    def _check_data_root(self) -> None:
        if not self.data_root:
            raise SettingError("DATA_DIR must be set: an absolute folder, or an object-store URL.")
        _check_folder("DATA_DIR", self.data_root)
        if self.data_source.startswith("/"):
            _check_folder("CARPRICE_DOCKER_HOST_DATA_DIR", self.data_source)
        elif not _NAME.fullmatch(self.data_source):
            raise SettingError(
                "CARPRICE_DOCKER_HOST_DATA_DIR must be an absolute folder or the name of a volume, "
                f"not {self.data_source!r}."
            )

    def _check_step_secrets_dir(self) -> None:
        folder, data = self.step_secrets_dir, self.data_source
        _check_folder("CARPRICE_PROXY_STEP_SECRETS_DIR", folder)
        if data.startswith("/") and posixpath.commonpath([folder, data]) == data:
            # A step can put a symbolic link there, which the engine would follow.
            raise SettingError(
                "CARPRICE_PROXY_STEP_SECRETS_DIR must be a folder that no step can write to, "
                f"not {folder!r}: it is in the data root."
            )


def _check_folder(variable: str, folder: str) -> None:
    if not folder.startswith("/") or posixpath.normpath(folder) != folder or folder.startswith("//"):
        raise SettingError(
            f"{variable} must be an absolute path without '.', '..' and a slash at its end, not {folder!r}."
        )
    for socket in _SOCKETS:
        if posixpath.commonpath([folder, socket]) == folder:
            raise SettingError(
                f"{variable} must be a folder for data only, not {folder!r}: the engine's socket is in it."
            )


def _parsed(name: str, text: str, kind: str) -> str | float:
    """`text` as the type named `kind`. Raises `SettingError` with a sentence that names the variable."""
    if kind in ("int", "float"):
        try:
            number = int(text) if kind == "int" else float(text)
        except ValueError:
            raise SettingError(f"{name} must be a number, not {text!r}.") from None
        if not 0 < number < float("inf"):
            raise SettingError(f"{name} must be above zero, not {text!r}.")
        return number
    return text
