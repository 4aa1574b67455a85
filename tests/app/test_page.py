"""The page on a real registry: a price with its version, and a screen for each thing that can be missing."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import streamlit
from streamlit.testing.v1 import AppTest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.services import mlflow_service
from demo.settings import Settings, free_port
from demo.supervisor import Supervisor

REPOSITORY = Path(__file__).resolve().parents[2]
PAGE = str(REPOSITORY / "images" / "app" / "app.py")


@contextmanager
def mlflow_server(folder: Path) -> Iterator[str]:
    """A real MLflow server on the data root `folder`; yields its address."""
    settings = Settings(
        data=folder, state=folder.parent / "state", file=None, runtime="process", once=True,
        airflow_port=free_port(), mlflow_port=free_port(), api_port=free_port(),
        app_port=free_port(),
        airflow_database="", timeout_seconds=120,
    )  # fmt: skip
    with Supervisor(folder.parent / "logs") as supervisor:
        supervisor.start(mlflow_service(settings))
        supervisor.wait_until_ready("mlflow", 120)
        yield settings.mlflow_url


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with a model in production, made by the trainer's own command line."""
    folder = tmp_path_factory.mktemp("trained")
    carprice = str(REPOSITORY / "bin" / "carprice")
    environment = {"PATH": os.environ["PATH"], "DATA_DIR": str(folder / "data"), "HOME": str(folder)}
    for arguments in (
        ["sample", "-o", str(folder / "s.csv"), "--rows", "900"],
        ["run", str(folder / "s.csv")],
    ):
        subprocess.run([carprice, *arguments], env=environment, check=True, capture_output=True)
    with mlflow_server(folder / "data") as address:
        yield address


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AppTest:
    streamlit.cache_resource.clear()
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    return AppTest.from_file(PAGE, default_timeout=120)


def test_a_listing_gets_a_price_an_interval_and_the_version(
    page: AppTest, trained: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained)
    page.run()
    page.text_input[0].set_value("Dacia")
    page.text_input[1].set_value("Logan")
    page.button[0].click().run()
    assert not page.exception
    assert "MAD" in page.metric[0].value
    assert 10_000 < int("".join(filter(str.isdigit, page.metric[0].value))) < 1_000_000
    assert any("entre" in text.value for text in page.markdown)
    assert any("version 1" in caption.value for caption in page.caption)


def test_make_and_model_are_asked_for(page: AppTest, trained: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", trained)
    page.run()
    page.button[0].click().run()
    assert "marque" in page.warning[0].value
    assert len(page.metric) == 0


def test_without_a_model_the_page_says_what_to_do(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    with mlflow_server(tmp_path / "data") as address:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", address)
        page.run()
    assert not page.exception
    assert "data/raw" in page.info[0].value


def test_without_mlflow_the_page_says_so(
    page: AppTest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    page.run()
    assert not page.exception
    assert "ne répond pas" in page.error[0].value
