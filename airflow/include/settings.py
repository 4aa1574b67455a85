"""Every setting of the Airflow side, read from the environment once, at the edge.

`settings()` is what the DAGs, the operators and the landing trigger use; each process reads its own
environment, so a value is the same everywhere it is set the same.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Literal
from urllib.parse import urlsplit

STEP_SECRETS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCESS_KEY_ID_FILE",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SECRET_ACCESS_KEY_FILE",
    "AWS_SESSION_TOKEN",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    "MLFLOW_S3_ENDPOINT_URL",
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_PASSWORD_FILE",
    "MLFLOW_TRACKING_TOKEN",
)
"""Variables handed to every step as they are, and never shown in the Airflow UI.

Those with _FILE name a file in the step's own container, which docker-proxy mounts there.
"""

STEP_SECRET_PREFIXES = ("CARPRICE_SMTP_", "CARPRICE_WEBHOOK_", "CARPRICE_ALERT_")
"""Every variable that starts like this is handed to the steps too, in the same way."""

_OTHER_NAMES = frozenset({"CARPRICE_PARAMS", "CARPRICE_REAL_DATA"})
_OTHER_PREFIXES = ("CARPRICE_API_", "CARPRICE_APP_")
"""Variables of other parts of the system that may be around without being settings of Airflow."""


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
        "MLFLOW_TRACKING_URI", "", "The MLflow server of the steps; empty: a database under the data root."
    )
    runtime: Literal["docker", "process", "kubernetes"] = _setting(
        "CARPRICE_RUNTIME",
        "docker",
        "How a step runs: docker, in a container of its own; process, as a child; kubernetes, in a pod.",
    )
    trainer_image: str = _setting(
        "CARPRICE_TRAINER_IMAGE", "carprice-trainer:latest", "The image that holds the `carprice` command."
    )
    trainer_python: str = _setting(
        "CARPRICE_TRAINER_PYTHON",
        "",
        "In process mode, the python that has the `carprice` package installed.",
    )
    serving_image: str = _setting(
        "CARPRICE_SERVING_IMAGE", "carprice-app:latest", "The image that serves prices; it validates staging."
    )
    serving_python: str = _setting(
        "CARPRICE_SERVING_PYTHON", "", "In process mode, the python of the app's environment."
    )
    params_file: str = _setting(
        "CARPRICE_PARAMS_FILE", "params.yaml", "The pipeline's params.yaml, read anew by every task."
    )
    docker_network: str = _setting(
        "CARPRICE_DOCKER_NETWORK", "host", "The Docker network of the step containers; it must reach MLflow."
    )
    docker_host_data_dir: str = _setting(
        "CARPRICE_DOCKER_HOST_DATA_DIR",
        "",
        "The data folder's path on the engine's host, where it is not DATA_DIR.",
    )
    kubernetes_namespace: str = _setting(
        "CARPRICE_KUBERNETES_NAMESPACE", "", "The namespace of the steps' pods; empty: this process's own."
    )
    kubernetes_secret: str = _setting(
        "CARPRICE_KUBERNETES_SECRET",
        "",
        "The Secret in that namespace whose variables every step's pod gets; empty: none.",
    )
    kubernetes_service_account: str = _setting(
        "CARPRICE_KUBERNETES_SERVICE_ACCOUNT",
        "",
        "The service account of the steps' pods; empty: the namespace's default.",
    )
    step_user: str = _setting(
        "CARPRICE_STEP_USER",
        "",
        "uid:gid of the step containers; empty: this process's own, or 50000:0 for root.",
    )
    step_memory: str = _setting(
        "CARPRICE_STEP_MEMORY", "2g", "The most memory a step container may use before it is killed."
    )
    step_cpus: float = _setting("CARPRICE_STEP_CPUS", 2.0, "The most CPUs a step container may use.")
    landing_poll_seconds: float = _setting(
        "CARPRICE_LANDING_POLL_SECONDS", 0.5, "Seconds between two looks into raw/ for new files."
    )
    catchup_schedule: str = _setting(
        "CARPRICE_CATCHUP_SCHEDULE", "*/15 * * * *", "Cron times at which pending files are claimed unasked."
    )
    drift_schedule: str = _setting(
        "CARPRICE_DRIFT_SCHEDULE", "0 5 * * *", "Cron times at which drift is measured unasked."
    )
    retries: int = _setting("CARPRICE_RETRIES", 2, "How often a failed step is tried again.")
    retry_delay_seconds: float = _setting(
        "CARPRICE_RETRY_DELAY_SECONDS",
        5.0,
        "Seconds before the first retry of a step; each further one doubles it.",
    )
    approval: Literal["off", "on"] = _setting(
        "CARPRICE_APPROVAL", "off", "on: a person approves each model in the Airflow UI before production."
    )
    reports_url: str = _setting(
        "CARPRICE_REPORTS_URL", "", "Where browsers find the folder reports/, for links in alerts."
    )

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Settings:
        """The settings in `environment`, defaults for those not there or empty.

        Raises `SettingError` for an unknown CARPRICE_ variable or an unusable value.
        """
        known = {f.metadata["name"] for f in fields(cls)}
        for name in sorted(environment):
            if (
                name.startswith("CARPRICE_")
                and name not in known | _OTHER_NAMES
                and not name.startswith((*STEP_SECRET_PREFIXES, *_OTHER_PREFIXES))
            ):
                close = difflib.get_close_matches(name, known, n=1)
                hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(sorted(known))}."
                raise SettingError(f"There is no setting {name}: {hint}")
        values: dict[str, Any] = {
            f.name: _parsed(f.metadata["name"], environment[f.metadata["name"]], str(f.type))
            for f in fields(cls)
            if environment.get(f.metadata["name"])
        }
        found = cls(**values)
        if found.runtime == "kubernetes" and found.data_is_local:
            raise SettingError(
                "CARPRICE_RUNTIME=kubernetes needs an object-store URL as DATA_DIR, such as "
                f"s3://bucket/prefix, not {found.data_dir!r}: a pod may run on any machine."
            )
        return found

    @property
    def data_is_local(self) -> bool:
        """Whether the data root is a folder."""
        return urlsplit(self.data_dir).scheme in ("", "file")

    @property
    def data_root(self) -> str:
        """The data root as every step gets it: an absolute folder or a URL."""
        if not self.data_is_local:
            return self.data_dir
        return os.path.abspath(urlsplit(self.data_dir).path)

    @property
    def container_user(self) -> str:
        """uid:gid of the step containers, never root's uid."""
        if self.step_user:
            return self.step_user
        return f"{os.getuid()}:{os.getgid()}" if os.getuid() else "50000:0"

    def step_environment(self) -> dict[str, str]:
        """What every step is told in the open: where the data, MLflow and the reports are."""
        environment = {"DATA_DIR": self.data_root}
        if self.mlflow_tracking_uri:
            environment["MLFLOW_TRACKING_URI"] = self.mlflow_tracking_uri
        if self.reports_url:
            environment["CARPRICE_REPORTS_URL"] = self.reports_url
        return environment

    def step_secrets(self, environment: Mapping[str, str]) -> dict[str, str]:
        """What every step is told in private: `environment`'s secrets and the text of params.yaml.

        The text goes along instead of the file, so that an edit takes effect on the next run
        wherever that runs. Raises `SettingError` when the file can't be read.
        """
        secrets = {
            name: value
            for name, value in environment.items()
            if value and (name in STEP_SECRETS or name.startswith(STEP_SECRET_PREFIXES))
        }
        try:
            with open(self.params_file, encoding="utf-8") as file:
                secrets["CARPRICE_PARAMS"] = file.read()
        except OSError as problem:
            raise SettingError(
                f"The file of CARPRICE_PARAMS_FILE, {self.params_file!r}, can't be read "
                f"({problem.strerror}): set it to the path of params.yaml."
            ) from problem
        return secrets


@cache
def settings() -> Settings:
    """The settings of this process. Raises `SettingError`."""
    return Settings.from_environment(os.environ)


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
            raise SettingError(f"{name} must be a number, not {text!r}.") from None
        if number < 0 or (number == 0 and name != "CARPRICE_RETRIES"):
            raise SettingError(f"{name} must be above zero, not {text!r}.")
        return number
    return text
