"""What this system uses of MLflow that MLflow does not document.

An upgrade of MLflow can break these functions only; tests/trainer/test_mlflow_adapter.py says which.
"""

from __future__ import annotations

import logging
import os
from typing import Any
from urllib.parse import quote, urlparse

NOISY_LOGGERS = ("alembic", "mlflow.store.db.utils")
"""Loggers that report each migration of the database at every start."""


def quiet() -> None:
    """Short time-outs, no telemetry, and no report of database migrations in a step's log."""
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)


def read_artifacts_from_folder(folder: str) -> None:
    """Read and write `mlflow-artifacts:/...` in the local `folder`, without a server.

    A server records artifacts relative to its own folder. The command line then shares one database
    with a server. MLflow has one table of artifact stores per process: the last folder counts.
    """
    from mlflow.store.artifact.artifact_repository_registry import _artifact_repository_registry
    from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository

    def in_folder(artifact_uri: str, **_: Any) -> Any:
        return LocalArtifactRepository(f"file://{quote(folder)}{urlparse(artifact_uri).path}")

    _artifact_repository_registry.register("mlflow-artifacts", in_folder)
