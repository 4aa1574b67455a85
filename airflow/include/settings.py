"""Every setting of the Airflow side, read from the environment once, at the edge.

`settings()` is what the DAGs, the operators and the landing trigger use. Each process reads its own
environment, so a value is the same everywhere it is set the same.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache
from typing import ClassVar, Literal, Self

from pydantic import model_validator

from carprice_contract import variables
from carprice_contract.collecting import collected_sources
from carprice_settings import DataRootSettings, SettingError, setting

__all__ = ["SettingError", "Settings", "settings"]


class Settings(DataRootSettings):
    """The settings of the DAGs, the operators and the landing trigger."""

    prefix: ClassVar[str] = "CARPRICE_"
    foreign: ClassVar[tuple[str, ...]] = (
        *variables.PRIVATE_PREFIXES,
        "CARPRICE_API_",
        "CARPRICE_APP_",
        "CARPRICE_COLLECT_",
        "CARPRICE_REAL_DATA",
        variables.PARAMS,
    )

    runtime: Literal["docker", "process", "kubernetes"] = setting(
        "CARPRICE_RUNTIME",
        "docker",
        "How a step runs: docker, in a container of its own; process, as a child; kubernetes, in a pod.",
    )
    trainer_image: str = setting(
        "CARPRICE_TRAINER_IMAGE", "carprice-trainer:latest", "The image that holds the `carprice` command."
    )
    trainer_python: str = setting(
        "CARPRICE_TRAINER_PYTHON",
        "",
        "In process mode, the python that has the `carprice` package installed.",
    )
    serving_image: str = setting(
        "CARPRICE_SERVING_IMAGE", "carprice-app:latest", "The image that serves prices; it validates staging."
    )
    serving_python: str = setting(
        "CARPRICE_SERVING_PYTHON", "", "In process mode, the python of the app's environment."
    )
    collector_image: str = setting(
        "CARPRICE_COLLECTOR_IMAGE", "carprice-collector:latest", "The image that reads listings from sites."
    )
    collector_python: str = setting(
        "CARPRICE_COLLECTOR_PYTHON", "", "In process mode, the python of the collector's environment."
    )
    collector_network: str = setting(
        "CARPRICE_COLLECTOR_NETWORK",
        "",
        "The Docker network of the collector's containers; it must reach the sites. Empty: no collector.",
    )
    collector_schedule: str = setting(
        "CARPRICE_COLLECTOR_SCHEDULE", "", "Cron times in Morocco at which sites are read; empty: never."
    )
    collector_sources: str = setting(
        "CARPRICE_COLLECTOR_SOURCES",
        "",
        "What is read, separated by spaces: a source, or one with its first page: avito jsonld=https://….",
    )
    collector_pages: int = setting(
        "CARPRICE_COLLECTOR_PAGES", 0, "The most pages of a run of a source; 0: all.", ge=0, le=100_000
    )
    collect_contact: str = setting(
        "CARPRICE_COLLECT_CONTACT", "", "Handed on to the [collector](#collector), which tells what it is."
    )
    collect_delay_seconds: str = setting("CARPRICE_COLLECT_DELAY_SECONDS", "", "Handed on in the same way.")
    collect_pages_per_day: str = setting("CARPRICE_COLLECT_PAGES_PER_DAY", "", "Handed on in the same way.")
    collect_hours: str = setting("CARPRICE_COLLECT_HOURS", "", "Handed on in the same way.")
    params_file: str = setting(
        "CARPRICE_PARAMS_FILE", "params.yaml", "The pipeline's params.yaml, read anew by every task."
    )
    docker_network: str = setting(
        "CARPRICE_DOCKER_NETWORK", "host", "The Docker network of the step containers; it must reach MLflow."
    )
    docker_host_data_dir: str = setting(
        "CARPRICE_DOCKER_HOST_DATA_DIR",
        "",
        "The data folder's path on the engine's host, where it is not DATA_DIR.",
    )
    kubernetes_namespace: str = setting(
        "CARPRICE_KUBERNETES_NAMESPACE", "", "The namespace of the steps' pods; empty: this process's own."
    )
    kubernetes_secret: str = setting(
        "CARPRICE_KUBERNETES_SECRET",
        "",
        "The Secret in that namespace whose variables every step's pod gets; empty: none.",
    )
    kubernetes_service_account: str = setting(
        "CARPRICE_KUBERNETES_SERVICE_ACCOUNT",
        "",
        "The service account of the steps' pods; empty: the namespace's default.",
    )
    step_user: str = setting(
        "CARPRICE_STEP_USER",
        "",
        "uid:gid of the step containers; empty: this process's own, or 50000:0 for root.",
    )
    step_memory: str = setting(
        "CARPRICE_STEP_MEMORY", "2g", "The most memory a step container may use before it is killed."
    )
    step_cpus: float = setting("CARPRICE_STEP_CPUS", 2.0, "The most CPUs a step container may use.", gt=0)
    landing_poll_seconds: float = setting(
        "CARPRICE_LANDING_POLL_SECONDS", 0.5, "Seconds between two looks into raw/ for new files.", gt=0
    )
    catchup_schedule: str = setting(
        "CARPRICE_CATCHUP_SCHEDULE",
        "*/15 * * * *",
        "Cron times at which pending files are claimed though no file landed.",
    )
    drift_schedule: str = setting(
        "CARPRICE_DRIFT_SCHEDULE",
        "0 5 * * *",
        "Cron times at which drift is measured though there are no new listings.",
    )
    retries: int = setting("CARPRICE_RETRIES", 2, "How often a failed step is tried again.", ge=0)
    away_retries: int = setting(
        "CARPRICE_AWAY_RETRIES",
        8,
        "How often a step is tried again while a service that it needs does not answer.",
        ge=0,
    )
    retry_delay_seconds: float = setting(
        "CARPRICE_RETRY_DELAY_SECONDS",
        5.0,
        "Seconds before the first retry of a step; each further retry doubles it, up to five minutes.",
        gt=0,
    )
    approval: Literal["off", "on"] = setting(
        "CARPRICE_APPROVAL", "off", "on: a person approves each model in the Airflow UI before production."
    )
    reports_url: str = setting(
        variables.REPORTS_URL, "", "Where browsers find the folder reports/, for links in alerts."
    )

    @model_validator(mode="after")
    def _pods_need_a_data_root_that_every_machine_reaches(self) -> Self:
        if self.runtime == "kubernetes" and self.data_is_local:
            raise ValueError(
                "CARPRICE_RUNTIME=kubernetes needs an object-store URL as DATA_DIR, such as "
                f"s3://bucket/prefix, not {self.data_dir!r}: a pod may run on any machine."
            )
        return self

    @model_validator(mode="after")
    def _the_collector_needs_a_folder_that_stays(self) -> Self:
        _ = self.sources
        if self.collector_schedule and not self.data_is_local:
            raise ValueError(
                "CARPRICE_COLLECTOR_SCHEDULE needs a folder as DATA_DIR, where unfinished runs and what was "
                f"asked of each site stay, not {self.data_dir!r}: leave it empty, and start `carprice "
                "collect` on a machine of its own (docs/collecting.md)."
            )
        return self

    @property
    def sources(self) -> list[dict[str, str]]:
        """What the collector reads: `source`, and `start` where a first page is named."""
        return collected_sources(self.collector_sources)

    @property
    def container_user(self) -> str:
        """uid:gid of the step containers, never root's uid."""
        if self.step_user:
            return self.step_user
        return f"{os.getuid()}:{os.getgid()}" if os.getuid() else "50000:0"

    def step_environment(self) -> dict[str, str]:
        """What anybody may see of a step's environment: where the data, MLflow and the reports are."""
        found = {
            variables.DATA_DIR: self.data_root,
            variables.MLFLOW_TRACKING_URI: self.mlflow_tracking_uri,
            variables.REPORTS_URL: self.reports_url,
        }
        return {name: value for name, value in found.items() if value}

    def collector_environment(self) -> dict[str, str]:
        """The collector's environment. It has no secret."""
        pace = self.collect_delay_seconds, self.collect_pages_per_day, self.collect_hours
        found = dict(zip(variables.COLLECT_VARIABLES, (self.collect_contact, *pace), strict=True))
        return {name: value for name, value in found.items() if value} | {variables.DATA_DIR: self.data_root}

    def step_secrets(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What a step gets and Airflow shows nowhere: private variables and the text of params.yaml.

        The private variables are those of `environment`: a secret, or the path of its file.

        The text goes along instead of the file, so that an edit takes effect on the next run
        wherever that runs. Raises `SettingError` when the file can't be read.
        """
        secrets = {name: value for name, value in environment.items() if value and variables.is_private(name)}
        try:
            with open(self.params_file, encoding="utf-8") as file:
                secrets[variables.PARAMS] = file.read()
        except OSError as problem:
            raise SettingError(
                f"The file of CARPRICE_PARAMS_FILE, {self.params_file!r}, can't be read "
                f"({problem.strerror}): set it to the path of params.yaml."
            ) from problem
        return secrets


@cache
def settings() -> Settings:
    """The settings of this process. Raises `SettingError`."""
    return Settings.from_environment()
