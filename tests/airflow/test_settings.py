"""The settings: what is refused and with which words, what reaches a step."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from airflow.configuration import conf

from carprice_settings import variables
from include.settings import SettingError, Settings


def test_every_setting_has_a_name_and_a_sentence_of_help() -> None:
    for name, setting in variables(Settings).items():
        assert name.isupper()
        assert (setting.description or "").endswith("."), name


def test_a_claim_takes_no_more_files_than_airflow_maps() -> None:
    params = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())
    assert params["landing"]["most_files"] <= conf.getint("core", "max_map_length")


@pytest.mark.parametrize("folder", ["/a b", "/a#b", "/a?b=c", "/100%41", "/a:b"])
def test_a_data_root_may_have_any_name(folder: str) -> None:
    for address in (folder, f"file://{folder}"):
        settings = Settings.from_environment({"DATA_DIR": address})
        assert settings.data_is_local
        assert settings.data_root == folder


def test_a_misspelt_setting_is_refused_with_the_name_that_was_meant() -> None:
    with pytest.raises(SettingError, match=r"no setting CARPRICE_RUNTIM: did you mean CARPRICE_RUNTIME\?"):
        Settings.from_environment({"CARPRICE_RUNTIM": "docker"})


def test_a_misspelt_name_that_begins_like_a_variable_of_the_steps_is_refused() -> None:
    Settings.from_environment({"CARPRICE_PARAMS": "", "CARPRICE_API_PORT": "1"})
    with pytest.raises(SettingError, match=r"did you mean CARPRICE_PARAMS_FILE\?"):
        Settings.from_environment({"CARPRICE_PARAMS_FIEL": "x"})


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("CARPRICE_RUNTIME", "podman", "must be one of docker, process, kubernetes, not 'podman'"),
        ("CARPRICE_STEP_CPUS", "two", "must be a number above 0, not 'two'"),
        ("CARPRICE_LANDING_POLL_SECONDS", "0", "must be a number above 0, not '0'"),
        ("CARPRICE_RETRIES", "1.5", "must be a whole number of at least 0, not '1.5'"),
    ],
)
def test_an_unusable_value_is_refused_with_a_sentence(name: str, value: str, words: str) -> None:
    with pytest.raises(SettingError, match=f"{name} {words}"):
        Settings.from_environment({name: value})


def test_an_empty_variable_means_the_default() -> None:
    assert Settings.from_environment({"CARPRICE_RUNTIME": "", "CARPRICE_RETRIES": "0"}) == Settings(retries=0)


def test_variables_for_the_steps_are_no_unknown_settings() -> None:
    Settings.from_environment(
        {
            "CARPRICE_SMTP_HOST": "mail",
            "CARPRICE_WEBHOOK_URL": "http://x",
            "CARPRICE_ALERT_URLS": "json://x",
            "PATH": "/bin",
        }
    )


def test_a_local_data_root_is_absolute_and_a_url_stays_one() -> None:
    assert Settings(data_dir="data").data_root == os.path.abspath("data")
    assert Settings(data_dir="file:///srv/data").data_root == "/srv/data"
    assert Settings(data_dir="s3://bucket/x").data_root == "s3://bucket/x"
    assert not Settings(data_dir="s3://bucket/x").data_is_local


def test_pods_need_a_data_root_that_every_machine_reaches() -> None:
    with pytest.raises(SettingError, match=r"needs an object-store URL as DATA_DIR, .* not 'data'"):
        Settings.from_environment({"CARPRICE_RUNTIME": "kubernetes"})
    there = {"CARPRICE_RUNTIME": "kubernetes", "DATA_DIR": "s3://bucket/x"}
    assert Settings.from_environment(there).runtime == "kubernetes"


def test_the_collector_is_told_what_to_read_and_gets_no_secret() -> None:
    settings = Settings.from_environment(
        {
            "CARPRICE_COLLECTOR_SOURCES": " avito  moteur=https://cars.example/a?b=c ",
            "CARPRICE_COLLECT_CONTACT": "ops@example.ma",
            "CARPRICE_COLLECT_HOURS": "01:00-06:00",
            "CARPRICE_COLLECT_JITTER": "1",
            "DATA_DIR": "/srv/data",
        }
    )
    assert settings.sources == [
        {"source": "avito"},
        {"source": "moteur", "start": "https://cars.example/a?b=c"},
    ]
    assert settings.collector_environment() == {
        "CARPRICE_COLLECT_CONTACT": "ops@example.ma",
        "CARPRICE_COLLECT_HOURS": "01:00-06:00",
        "DATA_DIR": "/srv/data",
    }
    assert Settings().sources == []


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CARPRICE_COLLECTOR_SOURCES": "Avito.ma"}, "must be sources like avito"),
        ({"CARPRICE_COLLECTOR_SOURCES": "avito=file:///etc/passwd"}, "must be sources like avito"),
        ({"CARPRICE_COLLECTOR_SOURCES": "avito=https://me:secret@host/"}, "must be sources like avito"),
        ({"CARPRICE_COLLECTOR_SCHEDULE": "@daily", "DATA_DIR": "s3://b/x"}, "needs a folder as DATA_DIR"),
    ],
)
def test_a_collector_that_can_not_be_started_is_refused(environment: dict[str, str], words: str) -> None:
    with pytest.raises(SettingError, match=words):
        Settings.from_environment(environment)


def test_a_step_gets_the_secrets_it_needs_and_no_others(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("a: 1")
    environment = {
        "AWS_SECRET_ACCESS_KEY": "k",
        "MLFLOW_TRACKING_PASSWORD_FILE": "/run/secrets/mlflow_password",
        "CARPRICE_SMTP_PASSWORD": "p",
        "CARPRICE_ALERT_URLS": "slack://t",
        "AIRFLOW__CORE__FERNET_KEY": "f",
        "AIRFLOW__CORE__FERNET_KEY_FILE": "/run/secrets/airflow_fernet_key",
        "OTHER": "o",
    }

    secrets = Settings(params_file=str(params)).step_secrets(environment)

    assert secrets == {
        "AWS_SECRET_ACCESS_KEY": "k",
        "MLFLOW_TRACKING_PASSWORD_FILE": "/run/secrets/mlflow_password",
        "CARPRICE_SMTP_PASSWORD": "p",
        "CARPRICE_ALERT_URLS": "slack://t",
        "CARPRICE_PARAMS": "a: 1",
    }


def test_the_steps_know_where_browsers_find_the_reports() -> None:
    environment = Settings(reports_url="https://cars.example/reports").step_environment()
    assert environment["CARPRICE_REPORTS_URL"] == "https://cars.example/reports"


def test_a_missing_params_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingError, match=r"CARPRICE_PARAMS_FILE, '.*nowhere.yaml', can't be read"):
        Settings(params_file=str(tmp_path / "nowhere.yaml")).step_secrets({})


def test_containers_never_run_as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert Settings().container_user == "50000:0"
    monkeypatch.setattr(os, "getuid", lambda: 1000)
    monkeypatch.setattr(os, "getgid", lambda: 1001)
    assert Settings().container_user == "1000:1001"
    assert Settings(step_user="7:8").container_user == "7:8"
