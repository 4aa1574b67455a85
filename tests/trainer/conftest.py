"""A system that has been through one whole run, shared by the tests that only look at it."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from systems import FAST, System

from carprice.lifecycle.registry import Registry
from carprice.listings import sample
from carprice.params import Params
from carprice.params_file import parse_params
from carprice.pipeline import whole_run
from carprice.store import DataRoot

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "stack"))

from s3_server import S3Server, s3_server


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    channels = ("CARPRICE_SMTP_", "CARPRICE_WEBHOOK_", "CARPRICE_ALERT_", "CARPRICE_REPORTS_")
    for name in list(os.environ):
        if name in ("CARPRICE_PARAMS", "MLFLOW_TRACKING_URI") or name.startswith(channels):
            monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def fast_params() -> Params:
    return parse_params(FAST)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    """An object store that answers as S3 does, with the bucket `cars`."""
    folder = tmp_path_factory.mktemp("s3") / "buckets"
    folder.mkdir()
    with s3_server(folder) as running:
        running.make_bucket("cars")
        yield running


@pytest.fixture(scope="session")
def _run_once(tmp_path_factory: pytest.TempPathFactory, fast_params: Params) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("system")
    root = DataRoot(str(folder / "data"))
    (folder / "data").mkdir()
    sample.write_sample(str(folder / "first.csv"), 900, 1)
    report = whole_run.run(root, fast_params, Registry(root), str(folder / "first.csv"))
    return folder / "data", report


@pytest.fixture
def system(_run_once: tuple[Path, dict[str, Any]], fast_params: Params, tmp_path: Path) -> System:
    """A copy of the system after its first run, for this test alone."""
    source, report = _run_once
    target = tmp_path / "data"
    shutil.copytree(source, target)
    root = DataRoot(str(target))
    return System(root, fast_params, Registry(root), report)


@pytest.fixture
def with_params() -> Callable[[str], Params]:
    """Settings from YAML text."""
    return lambda text: parse_params(text)
