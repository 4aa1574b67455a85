"""Every setting of the proxy, read from the environment once, at the start.

Airflow's own variables, under Airflow's names, set what a step container may be. One value serves both,
so the two always agree.
"""

from __future__ import annotations

import posixpath
import re
from typing import ClassVar, Self

from pydantic import model_validator

from carprice_contract import variables
from carprice_contract.collecting import collected_sources
from carprice_contract.containers import SCRATCH
from carprice_settings import ServiceSettings, SettingError, setting
from docker_proxy.address import DEFAULT_PORT, PORT_VARIABLE

__all__ = ["SettingError", "Settings"]

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]*")
_IMAGE = re.compile(r"[a-z0-9][a-zA-Z0-9_.:/@-]*")
_USER = re.compile(r"[1-9][0-9]{0,8}:(0|[1-9][0-9]{0,8})")
_BYTES = re.compile(r"0*([1-9][0-9]*)([bkmgt]?)b?", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "k": 1024, "m": 1024**2, "g": 1024**3, "t": 1024**4}
_SHARED_NAMESPACES = ("host", "container", "default", "bridge", "none")
_SOCKETS = ("/var/run/docker.sock", "/run/docker.sock")


class Settings(ServiceSettings):
    """The settings of the filter in front of the Docker API."""

    prefix: ClassVar[str] = "CARPRICE_PROXY_"

    host: str = setting("CARPRICE_PROXY_HOST", "127.0.0.1", "The address the proxy listens on.")
    port: int = setting(PORT_VARIABLE, DEFAULT_PORT, "The port the proxy listens on.", ge=1, le=65535)
    engine_socket: str = setting(
        "CARPRICE_PROXY_ENGINE_SOCKET", "/var/run/docker.sock", "The unix socket of the Docker engine."
    )
    system: str = setting(
        "CARPRICE_PROXY_ID",
        "carprice",
        "The label of the proxy's containers. Each system on one engine needs a value of its own.",
    )
    request_seconds: float = setting(
        "CARPRICE_PROXY_REQUEST_SECONDS", 10.0, "Seconds within which a whole request must arrive.", gt=0
    )
    max_body_bytes: int = setting(
        "CARPRICE_PROXY_MAX_BODY_BYTES", 1024 * 1024, "The largest request body in bytes.", gt=0
    )
    max_connections: int = setting(
        "CARPRICE_PROXY_MAX_CONNECTIONS",
        512,
        "The most connections at a time; a running step needs two.",
        gt=0,
    )
    step_pids: int = setting(
        "CARPRICE_PROXY_STEP_PIDS", 512, "The most processes a step container may have.", gt=0
    )
    step_secrets_dir: str = setting(
        "CARPRICE_PROXY_STEP_SECRETS_DIR",
        "",
        "The folder on the engine's host that holds the steps' secrets, one file each; empty: they get none.",
    )
    trainer_image: str = setting(
        "CARPRICE_TRAINER_IMAGE", "carprice-trainer:latest", "The image that holds the `carprice` command."
    )
    serving_image: str = setting(
        "CARPRICE_SERVING_IMAGE", "carprice-app:latest", "The image that serves prices; it validates staging."
    )
    collector_image: str = setting(
        "CARPRICE_COLLECTOR_IMAGE", "carprice-collector:latest", "The image that reads listings from sites."
    )
    collector_network: str = setting(
        "CARPRICE_COLLECTOR_NETWORK",
        "",
        "The Docker network of the collector's containers; it must reach the sites. Empty: no collector.",
    )
    collector_sources: str = setting(
        "CARPRICE_COLLECTOR_SOURCES",
        "",
        "What is read, separated by spaces: a source, or one with its first page: avito jsonld=https://….",
    )
    collect_contact: str = setting(
        "CARPRICE_COLLECT_CONTACT", "", "Handed on to the [collector](#collector), which tells what it is."
    )
    collect_delay_seconds: str = setting("CARPRICE_COLLECT_DELAY_SECONDS", "", "Handed on in the same way.")
    collect_pages_per_day: str = setting("CARPRICE_COLLECT_PAGES_PER_DAY", "", "Handed on in the same way.")
    collect_hours: str = setting("CARPRICE_COLLECT_HOURS", "", "Handed on in the same way.")
    network: str = setting(
        "CARPRICE_DOCKER_NETWORK", "", "The Docker network of the step containers; never the host's."
    )
    data_dir: str = setting(
        variables.DATA_DIR, "", "The data root of the steps: an absolute folder, or an object-store URL."
    )
    host_data_dir: str = setting(
        "CARPRICE_DOCKER_HOST_DATA_DIR",
        "",
        "What is mounted there: a folder of the engine's host, or a volume's name; empty: DATA_DIR.",
    )
    mlflow_tracking_uri: str = setting(
        variables.MLFLOW_TRACKING_URI, "", "The MLflow server that steps may use; empty: none."
    )
    mlflow_tracking_username: str = setting(
        "MLFLOW_TRACKING_USERNAME", "", "The name under which steps log in to MLflow."
    )
    mlflow_s3_endpoint: str = setting(
        "MLFLOW_S3_ENDPOINT_URL", "", "The object store of MLflow's files that steps may use."
    )
    store_endpoint: str = setting("AWS_ENDPOINT_URL", "", "The object store that steps may use.")
    store_region: str = setting("AWS_DEFAULT_REGION", "", "The region of the object store.")
    reports_url: str = setting(
        variables.REPORTS_URL, "", "Where browsers find the folder reports/, for links in alerts."
    )
    smtp_to: str = setting("CARPRICE_SMTP_TO", "", "Who gets the mails of steps.")
    smtp_from: str = setting("CARPRICE_SMTP_FROM", "", "Who the mails of steps come from.")
    step_user: str = setting(
        "CARPRICE_STEP_USER", "", "uid:gid of the step containers; empty: any uid but root's."
    )
    step_memory: str = setting(
        "CARPRICE_STEP_MEMORY", "2g", "The most memory a step container may use before it is killed."
    )
    step_cpus: float = setting("CARPRICE_STEP_CPUS", 2.0, "The most CPUs a step container may use.", gt=0)

    @property
    def images(self) -> tuple[str, ...]:
        """The images of the steps but the collector's, by their exact names."""
        return (self.trainer_image, self.serving_image)

    @property
    def all_images(self) -> tuple[str, ...]:
        """The images of all steps, the collector's among them where there may be one."""
        return (*self.images, self.collector_image) if self.collector_network else self.images

    @property
    def step_variables(self) -> dict[str, str]:
        """The variables that a step may have, with their values, without those that are not set."""
        values = (
            self.mlflow_tracking_uri,
            self.mlflow_tracking_username,
            self.mlflow_s3_endpoint,
            self.store_endpoint,
            self.store_region,
            self.reports_url,
            self.smtp_to,
            self.smtp_from,
        )
        own = zip(variables.PINNED_VARIABLES, values, strict=True)
        found = {name: value for name, value in own if value}
        return found | {variables.DATA_DIR: self.data_root, "HOME": SCRATCH}

    @property
    def collector_variables(self) -> dict[str, str]:
        """The variables that the collector may have, with their values, without those that are not set."""
        pace = self.collect_delay_seconds, self.collect_pages_per_day, self.collect_hours
        own = zip(variables.COLLECT_VARIABLES, (self.collect_contact, *pace), strict=True)
        found = {name: value for name, value in own if value}
        return found | {variables.DATA_DIR: self.data_root, "HOME": SCRATCH}

    @property
    def collected(self) -> list[dict[str, str]]:
        """What the collector may read: `source`, and `start` where a first page is named."""
        return collected_sources(self.collector_sources)

    @property
    def data_is_local(self) -> bool:
        """Whether the data root is a folder, which has to be mounted."""
        return "://" not in self.data_dir or self.data_dir.startswith("file://")

    @property
    def data_root(self) -> str:
        """The data root as the steps know it: an absolute folder or a URL."""
        return self.data_dir.removeprefix("file://") if self.data_is_local else self.data_dir

    @property
    def data_source(self) -> str:
        """What is mounted at the data root: a folder on the engine's host, or a volume's name."""
        return self.host_data_dir or self.data_root

    @property
    def memory_bytes(self) -> int:
        """The most memory of a step container, in bytes. Raises `ValueError`."""
        found = _BYTES.fullmatch(self.step_memory)
        if not found:
            raise ValueError(
                f"CARPRICE_STEP_MEMORY must be a size such as 512m or 2g, not {self.step_memory!r}."
            )
        return int(found[1]) * _UNITS[found[2].lower()]

    @model_validator(mode="after")
    def _refuse_what_would_open_the_filter(self) -> Self:
        if not _NAME.fullmatch(self.system):
            raise ValueError(
                f"CARPRICE_PROXY_ID must be letters, digits, '_', '.' and '-', not {self.system!r}."
            )
        for variable, image in (
            ("CARPRICE_TRAINER_IMAGE", self.trainer_image),
            ("CARPRICE_SERVING_IMAGE", self.serving_image),
            ("CARPRICE_COLLECTOR_IMAGE", self.collector_image),
        ):
            if not _IMAGE.fullmatch(image):
                raise ValueError(f"{variable} must be the name of one image, not {image!r}.")
        if not _NAME.fullmatch(self.network) or self.network in _SHARED_NAMESPACES:
            raise ValueError(
                "CARPRICE_DOCKER_NETWORK must name a network made for the steps, "
                f"found {self.network or 'nothing'!r}: make one with `docker network create` and name it."
            )
        if self.collector_network:
            self._check_collector()
        if self.step_user and not _USER.fullmatch(self.step_user):
            raise ValueError(
                f"CARPRICE_STEP_USER must be uid:gid in numbers with a uid above 0, not {self.step_user!r}."
            )
        _ = self.memory_bytes
        if self.data_is_local:
            self._check_data_root()
        if self.step_secrets_dir:
            self._check_step_secrets_dir()
        return self

    def _check_collector(self) -> None:
        network = self.collector_network
        if not _NAME.fullmatch(network) or network in (*_SHARED_NAMESPACES, self.network):
            # On the steps' network it would reach MLflow, and a step would reach what it asks.
            raise ValueError(
                "CARPRICE_COLLECTOR_NETWORK must name a network made for the collector alone, "
                f"found {network!r}: make one with `docker network create` and name it."
            )
        if self.collector_image in self.images:
            raise ValueError(
                "CARPRICE_COLLECTOR_IMAGE must be another image than the steps', "
                f"not {self.collector_image!r}."
            )
        _ = self.collected

    def _check_data_root(self) -> None:
        if not self.data_root:
            raise ValueError(
                "DATA_DIR must be set, found nothing: name an absolute folder, or an object-store URL."
            )
        _check_folder(variables.DATA_DIR, self.data_root)
        if self.data_source.startswith("/"):
            _check_folder("CARPRICE_DOCKER_HOST_DATA_DIR", self.data_source)
        elif not _NAME.fullmatch(self.data_source):
            raise ValueError(
                "CARPRICE_DOCKER_HOST_DATA_DIR must be an absolute folder or the name of a volume, "
                f"not {self.data_source!r}."
            )

    def _check_step_secrets_dir(self) -> None:
        folder, data = self.step_secrets_dir, self.data_source
        _check_folder("CARPRICE_PROXY_STEP_SECRETS_DIR", folder)
        if data.startswith("/") and posixpath.commonpath([folder, data]) == data:
            # A step can put a symbolic link there, and the engine would follow it.
            raise ValueError(
                "CARPRICE_PROXY_STEP_SECRETS_DIR must be a folder that no step can write to, "
                f"not {folder!r}: it is in the data root."
            )


def _check_folder(variable: str, folder: str) -> None:
    if not folder.startswith("/") or posixpath.normpath(folder) != folder or folder.startswith("//"):
        raise ValueError(
            f"{variable} must be an absolute path without '.', '..' and a slash at its end, not {folder!r}."
        )
    for socket in _SOCKETS:
        if posixpath.commonpath([folder, socket]) == folder:
            raise ValueError(
                f"{variable} must be a folder for data only, not {folder!r}: the engine's socket is in it."
            )
