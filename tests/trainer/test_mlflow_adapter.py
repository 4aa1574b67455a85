"""The undocumented parts of MLflow that this system uses are still there and do the same."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from carprice.lifecycle import mlflow_adapter
from carprice.lifecycle.registry import Registry
from carprice.store import DataRoot

UPGRADE = "MLflow changed: mend carprice/lifecycle/mlflow_adapter.py"


@pytest.fixture
def registered() -> object:
    """The table of artifact stores, put back after the test: it is one for the whole process."""
    try:
        from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry as table

        before = dict(table._registry)
    except (ImportError, AttributeError) as error:
        pytest.fail(f"{UPGRADE}: {error}")
    yield table
    table._registry.clear()
    table._registry.update(before)


def test_artifacts_of_a_server_are_read_and_written_in_its_folder(registered: object, tmp_path: Path) -> None:
    mlflow_adapter.read_artifacts_from_folder(f"{tmp_path}/artifacts")
    from mlflow.artifacts import download_artifacts
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    (tmp_path / "note.txt").write_text("a note")
    get_artifact_repository("mlflow-artifacts:/run/a").log_artifact(str(tmp_path / "note.txt"), "notes")
    assert (tmp_path / "artifacts/run/a/notes/note.txt").read_text() == "a note", UPGRADE
    found = download_artifacts(artifact_uri="mlflow-artifacts:/run/a/notes/note.txt")
    assert Path(found).read_text() == "a note", UPGRADE


@pytest.mark.usefixtures("registered")
@pytest.mark.parametrize("folder", ["a b", "a#b", "a?b"])
def test_the_database_and_the_artifacts_lie_in_a_data_root_of_any_name(
    tmp_path: Path, folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    registry = Registry(DataRoot(str(tmp_path / folder)))
    run = registry.client.create_run(registry.experiment_id)
    registry.client.log_text(run.info.run_id, "a note", "note.txt")
    assert [path.name for path in tmp_path.iterdir()] == [folder]
    assert (tmp_path / folder / "mlflow" / "mlflow.db").stat().st_size > 0
    assert len(list((tmp_path / folder).rglob("note.txt"))) == 1


def test_migrations_of_a_new_database_are_not_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    mlflow_adapter.quiet()
    from mlflow import MlflowClient

    with caplog.at_level(logging.INFO):
        MlflowClient(f"sqlite:///{tmp_path}/mlflow.db").search_experiments()
    told = [record.getMessage() for record in caplog.records if record.name.startswith(("alembic", "mlflow"))]
    assert told == [], UPGRADE
