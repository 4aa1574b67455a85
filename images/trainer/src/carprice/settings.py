"""Every setting of the command `carprice`, read from the environment.

MLflow's login and the keys of an object store are here with their help, though libraries read them: the
command line puts the values of their files where the libraries look.
"""

from __future__ import annotations

from typing import ClassVar

from carprice.errors import UsageProblem
from carprice_contract import variables
from carprice_settings import DataRootSettings, SettingError, setting


class Settings(DataRootSettings):
    """The settings of the command `carprice`."""

    empty_file_is_none: ClassVar[bool] = True

    params_file: str = setting(
        "CARPRICE_PARAMS_FILE", "params.yaml", "The file with the settings of the pipeline."
    )
    params: str = setting(
        variables.PARAMS,
        "",
        "The text of that file; it counts instead of the file itself. Airflow hands it to each step.",
    )
    reports_url: str = setting(
        variables.REPORTS_URL, "", "Where browsers find the folder reports/, for links in alerts."
    )
    smtp_url: str = setting(
        "CARPRICE_SMTP_URL",
        "",
        "`smtp://user:password@host:port` of the mail server, `smtp+starttls://` or `smtps://` with TLS; "
        "empty: no mail.",
        secret=True,
    )
    smtp_to: str = setting("CARPRICE_SMTP_TO", "", "Who gets the mail, separated by commas.")
    smtp_from: str = setting("CARPRICE_SMTP_FROM", "carprice@localhost", "Who the mail comes from.")
    webhook_url: str = setting(
        "CARPRICE_WEBHOOK_URL",
        "",
        'Where alerts are posted as `{"text": …}`, as Slack takes them; empty: nowhere.',
        secret=True,
    )
    alert_urls: str = setting(
        "CARPRICE_ALERT_URLS", "", "Addresses for Apprise, separated by blanks or commas.", secret=True
    )
    mlflow_username: str = setting("MLFLOW_TRACKING_USERNAME", "", "The login at the MLflow server.")
    mlflow_password: str = setting("MLFLOW_TRACKING_PASSWORD", "", "The password of that login.", secret=True)
    store_key_id: str = setting(
        "AWS_ACCESS_KEY_ID", "", "The key of a data root in an object store.", secret=True
    )
    store_key: str = setting("AWS_SECRET_ACCESS_KEY", "", "The secret of that key.", secret=True)
    store_url: str = setting("AWS_ENDPOINT_URL", "", "Where that store is; empty: Amazon's.")
    store_region: str = setting("AWS_DEFAULT_REGION", "", "The region of that store.")


def settings() -> Settings:
    """The settings of this process as they are now. Raises `UsageProblem`."""
    try:
        return Settings.from_environment()
    except SettingError as problem:
        raise UsageProblem(str(problem)) from problem
