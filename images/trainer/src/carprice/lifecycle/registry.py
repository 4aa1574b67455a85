"""MLflow as this system uses it: one experiment, one registered model, three aliases, one history."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from carprice import strict_json
from carprice.errors import NothingToDo, TryAgain, UsageProblem
from carprice.lifecycle import mlflow_adapter
from carprice.lifecycle.saved_models import LoadedModel, load_folder
from carprice.store import DataRoot
from carprice_contract.data_root import sqlite_url

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion
    from sklearn.pipeline import Pipeline

EXPERIMENT = "car_price_prediction"
MODEL = "CarPricePredictor"
STAGING, PRODUCTION, PREVIOUS = "staging", "production", "previous"

_HISTORY_TAG, _HISTORY_TIME = "history.", "%Y%m%dT%H%M%S%f"
_TRACKING_URI = "MLFLOW_TRACKING_URI"


class Registry:
    """The tracking database and model registry of one system.

    Named by `MLFLOW_TRACKING_URI`; without it, a SQLite database and a folder under the data
    root, which an MLflow server can serve at the same time.
    """

    def __init__(self, root: DataRoot) -> None:
        mlflow_adapter.quiet()
        import mlflow
        from mlflow import MlflowClient

        configured = os.environ.get(_TRACKING_URI)
        self.tracking_uri = configured or self._embedded(root)
        mlflow.set_tracking_uri(self.tracking_uri)
        if not configured:
            # MLflow writes it there too; a registry of another data root would use it.
            os.environ.pop(_TRACKING_URI, None)
        self.client: MlflowClient = MlflowClient()
        with self.answering():
            self._ensure_experiment()

    @staticmethod
    def _embedded(root: DataRoot) -> str:
        if not root.is_local:
            raise UsageProblem(
                f"{_TRACKING_URI} must name an MLflow server when the data root is not a local folder, "
                f"found none with DATA_DIR={root.location}; set it and start again"
            )
        folder = root.path("mlflow")
        os.makedirs(folder, exist_ok=True)
        mlflow_adapter.read_artifacts_from_folder(f"{folder}/artifacts")
        return sqlite_url(f"{folder}/mlflow.db")

    @contextmanager
    def answering(self) -> Iterator[None]:
        """Turns the many ways in which a server can be away into `TryAgain`."""
        import requests
        from mlflow.exceptions import MlflowException, RestException

        try:
            yield
        except RestException as error:
            if error.get_http_status_code() >= 500:
                raise TryAgain(self._away(error)) from error
            raise
        except (MlflowException, requests.RequestException) as error:
            text = str(error)
            if isinstance(error, requests.RequestException) or "API request to" in text:
                raise TryAgain(self._away(error)) from error
            raise

    def _away(self, error: Exception) -> str:
        return (
            f"an answer of MLflow at {self.tracking_uri} was expected, found {type(error).__name__}: "
            f"{str(error)[:200]}; see that the server runs, the step can then be tried again"
        )

    def _ensure_experiment(self) -> None:
        from mlflow.exceptions import MlflowException

        if self.client.get_experiment_by_name(EXPERIMENT) is None:
            try:
                self.client.create_experiment(EXPERIMENT, artifact_location=f"mlflow-artifacts:/{EXPERIMENT}")
            except MlflowException:  # made by another process in the meantime
                if self.client.get_experiment_by_name(EXPERIMENT) is None:
                    raise

    @property
    def experiment_id(self) -> str:
        """The id of the one experiment."""
        experiment = self.client.get_experiment_by_name(EXPERIMENT)
        return str(experiment.experiment_id)

    # --- versions and aliases

    def version_of(self, alias: str) -> ModelVersion | None:
        """The version that `alias` names, or None where there is none."""
        from mlflow.exceptions import MlflowException

        with self.answering():
            try:
                return self.client.get_model_version_by_alias(MODEL, alias)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    return None
                raise

    def require(self, alias: str) -> ModelVersion:
        """The version that `alias` names. Raises `NothingToDo` where there is none."""
        version = self.version_of(alias)
        if version is None:
            raise NothingToDo(
                f"a version of {MODEL} with the alias '{alias}' was expected, found none; "
                f"land a file and let the pipeline promote a model first"
            )
        return version

    def version(self, number: str) -> ModelVersion:
        """Version `number` of the registered model. Raises `UsageProblem` where there is none."""
        from mlflow.exceptions import MlflowException

        with self.answering():
            try:
                return self.client.get_model_version(MODEL, number)
            except MlflowException as error:
                if error.error_code in ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"):
                    raise UsageProblem(
                        f"a version of {MODEL} was expected, found '{number}'; `carprice history` lists them"
                    ) from error
                raise

    def register(self, run_id: str, model_uri: str) -> ModelVersion:
        """The version made of a run's model; registering the same run again finds the same version."""
        from mlflow.exceptions import MlflowException

        with self.answering():
            try:
                self.client.create_registered_model(
                    MODEL, description="Asking price in MAD of a used car in Morocco."
                )
            except MlflowException as error:
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
            for known in self.client.search_model_versions(f"name='{MODEL}' and run_id='{run_id}'"):
                return known
            return self.client.create_model_version(
                MODEL, model_uri, run_id=run_id, model_id=model_uri.rsplit("/", 1)[-1]
            )

    def set_alias(self, alias: str, version: str) -> None:
        """Point `alias` at `version`."""
        with self.answering():
            self.client.set_registered_model_alias(MODEL, alias, version)

    def tag_version(self, version: str, **tags: str) -> None:
        """Set tags of a version."""
        with self.answering():
            for key, value in tags.items():
                self.client.set_model_version_tag(MODEL, version, key, value)

    # --- the history of what was in production

    def history(self) -> list[dict[str, Any]]:
        """Who was in production when, oldest first.

        Each entry holds `at` (UTC, ISO 8601), `action` (promotion or rollback), `version`,
        `previous_version` (None at first), `by` and `reason`, and `run` where a run asked for it.
        """
        from mlflow.exceptions import MlflowException

        with self.answering():
            try:
                tags = self.client.get_registered_model(MODEL).tags
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return []
                raise
        return [strict_json.loads(tags[key]) for key in _history_keys(tags)]

    def put_in_production(
        self, version: str, action: str, by: str, reason: str, run: str | None = None
    ) -> dict[str, Any]:
        """Point `production` at `version` and `previous` at what was there; returns the history entry.

        Killed at any point and called again, it ends in the same state: the entry is written last
        and is written again only while the newest one names another version.
        """
        current = self.version_of(PRODUCTION)
        entries = self.history()
        recorded = entries[-1] if entries else None
        if current is not None and str(current.version) != version:
            self.set_alias(PREVIOUS, str(current.version))
        self.set_alias(PRODUCTION, version)
        if recorded is not None and recorded["version"] == version:
            return recorded
        now = datetime.now(UTC)
        entry = {
            "at": now.isoformat(timespec="seconds"),
            "action": action,
            "version": version,
            "previous_version": recorded["version"] if recorded else None,
            "by": by,
            "reason": reason,
        } | ({"run": run} if run else {})
        with self.answering():
            keys = _history_keys(self.client.get_registered_model(MODEL).tags)
            key = _history_key(now, keys[-1] if keys else "")
            self.client.set_registered_model_tag(MODEL, key, strict_json.dumps(entry))
        return entry

    # --- runs and models

    @contextmanager
    def run(self, run_id: str | None = None, name: str | None = None) -> Iterator[Any]:
        """A new run of the experiment, or `run_id` again, as MLflow's active run."""
        import mlflow

        with (
            self.answering(),
            mlflow.start_run(
                run_id=run_id, experiment_id=None if run_id else self.experiment_id, run_name=name
            ) as run,
        ):
            yield run

    def get_run(self, run_id: str) -> Any:
        """A run by its id. Raises `UsageProblem` where there is none."""
        from mlflow.exceptions import MlflowException

        with self.answering():
            try:
                return self.client.get_run(run_id)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    raise UsageProblem(f"the id of an MLflow run was expected, found '{run_id}'") from error
                raise

    def manifest_of(self, run_id: str) -> dict[str, Any]:
        """The manifest of the snapshot that a run was trained on, as the run keeps it."""
        from mlflow.artifacts import load_dict

        with self.answering():
            manifest: dict[str, Any] = load_dict(f"runs:/{run_id}/data/manifest.json")
        return manifest

    def load(self, model_uri: str) -> Pipeline:
        """The pipeline behind a model URI, made of types this system trusts and nothing else."""
        return self._load(model_uri).pipeline

    def load_version(self, alias: str) -> LoadedModel:
        """The version that `alias` names. Raises `NothingToDo` where there is none."""
        version = self.require(alias)
        return self._load(f"models:/{MODEL}/{version.version}")

    def record_decision(self, run_id: str, version: str, step: str, record: dict[str, Any]) -> None:
        """Attach a decision to the version, whole as an artifact of its run and as a tag."""
        with self.answering():
            self.client.log_dict(run_id, strict_json.finite(record), f"decisions/{step}-v{version}.json")
            self.client.set_model_version_tag(MODEL, version, f"decision.{step}", strict_json.dumps(record))

    def download(self, version: str, folder: str) -> str:
        """Put the model of `version` into `folder`, for `load_folder`; returns where exactly it lies."""
        from mlflow.artifacts import download_artifacts

        with self.answering():
            return str(download_artifacts(artifact_uri=f"models:/{MODEL}/{version}", dst_path=folder))

    def _load(self, model_uri: str) -> LoadedModel:
        from mlflow.artifacts import download_artifacts

        with self.answering():
            folder = download_artifacts(artifact_uri=model_uri)
        return load_folder(folder, model_uri)


def _history_keys(tags: Mapping[str, str]) -> list[str]:
    """The tags of the history among those of the model, in their order."""
    return sorted(key for key in tags if key.startswith(_HISTORY_TAG))


def _history_key(now: datetime, newest: str) -> str:
    """The tag of an entry of now, behind the `newest` one though the clock may have been set back."""
    if newest >= f"{_HISTORY_TAG}{now:{_HISTORY_TIME}}":
        last = datetime.strptime(newest.removeprefix(_HISTORY_TAG), _HISTORY_TIME)
        now = last + timedelta(microseconds=1)
    return f"{_HISTORY_TAG}{now:{_HISTORY_TIME}}"
