"""The environment variables of a step, and the files that hold their secrets.

A step's environment has nothing else in it. Where a variable holds a secret, `NAME_FILE` may name a file
with its value instead; in a container that file lies in `SECRETS_FOLDER`.
"""

from collections.abc import Mapping
from types import MappingProxyType

DATA_DIR = "DATA_DIR"
MLFLOW_TRACKING_URI = "MLFLOW_TRACKING_URI"
REPORTS_URL = "CARPRICE_REPORTS_URL"
PARAMS = "CARPRICE_PARAMS"
"""Holds the text of params.yaml."""

COLLECT_VARIABLES = (
    "CARPRICE_COLLECT_CONTACT",
    "CARPRICE_COLLECT_DELAY_SECONDS",
    "CARPRICE_COLLECT_PAGES_PER_DAY",
    "CARPRICE_COLLECT_HOURS",
)
"""What Airflow hands on to the collector, which gets no secret. The Docker proxy has its own values."""

SECRETS_FOLDER = "/run/secrets"
"""Where a container finds its secrets, as Docker Compose mounts them."""

SECRET_FILES: Mapping[str, str] = MappingProxyType(
    {
        "MLFLOW_TRACKING_PASSWORD": "mlflow_password",
        "AWS_ACCESS_KEY_ID": "store_key_id",
        "AWS_SECRET_ACCESS_KEY": "store_key",
        "CARPRICE_SMTP_URL": "smtp_url",
        "CARPRICE_WEBHOOK_URL": "webhook_url",
        "CARPRICE_ALERT_URLS": "alert_urls",
    }
)
"""Each variable whose value may be in a file, with the name of that file in `SECRETS_FOLDER`."""

STORE_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
"""The keys of a data root in an object store."""

ALERT_CHANNELS = ("CARPRICE_SMTP_URL", "CARPRICE_WEBHOOK_URL", "CARPRICE_ALERT_URLS")
"""The secret addresses that alerts are sent to."""

OPEN_VARIABLES = frozenset({DATA_DIR, MLFLOW_TRACKING_URI, REPORTS_URL})
"""What anybody may see of a step's environment."""

PRIVATE_VARIABLES = frozenset(
    {
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_ENDPOINT_URL",
        "AWS_DEFAULT_REGION",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
    }
)
"""What Airflow hands on to every step as it finds it, and never shows."""

PRIVATE_PREFIXES = ("CARPRICE_SMTP_", "CARPRICE_WEBHOOK_", "CARPRICE_ALERT_")
"""Variables that begin like this are handed on in the same way."""

PINNED_VARIABLES = (
    MLFLOW_TRACKING_URI,
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_S3_ENDPOINT_URL",
    "AWS_ENDPOINT_URL",
    "AWS_DEFAULT_REGION",
    REPORTS_URL,
    "CARPRICE_SMTP_TO",
    "CARPRICE_SMTP_FROM",
)
"""The variables that say where the secrets and words of a step go. The Docker proxy has its own values."""


def file_variable(name: str) -> str:
    """The variable that names the file with the value of the variable `name`."""
    return f"{name}_FILE"


SECRET_FILE_VARIABLES: Mapping[str, str] = MappingProxyType(
    {file_variable(name): f"{SECRETS_FOLDER}/{file}" for name, file in SECRET_FILES.items()}
)
"""Each `NAME_FILE` with the path that it has in a container."""


def is_private(name: str) -> bool:
    """Whether Airflow hands the variable `name` of its own environment on to every step."""
    return name in PRIVATE_VARIABLES or name in SECRET_FILE_VARIABLES or name.startswith(PRIVATE_PREFIXES)
