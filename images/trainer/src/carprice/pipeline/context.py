"""What every step works with: the data root, the settings and the model registry."""

from __future__ import annotations

import logging
import os
from functools import cached_property
from typing import TYPE_CHECKING

from carprice.errors import UsageProblem
from carprice.store import DataRoot
from carprice_contract.data_root import MLFLOW
from carprice_contract.variables import MLFLOW_TRACKING_URI

# A step is a fresh process. Each imports only what it needs, when it needs it.
if TYPE_CHECKING:
    from carprice.lifecycle.registry import Registry
    from carprice.params import AlertParams, Params

log = logging.getLogger(__name__)


class Context:
    """The data root, the settings and the registry, each opened on first use.

    Arguments left out are those of this process: `DATA_DIR`, `params.yaml`, `MLFLOW_TRACKING_URI`.
    """

    def __init__(
        self, root: DataRoot | None = None, params: Params | None = None, registry: Registry | None = None
    ) -> None:
        self._given_root = root
        self._given_params = params
        self._given_registry = registry

    @cached_property
    def root(self) -> DataRoot:
        """The data root. Raises `UsageProblem` when `DATA_DIR` is wrong."""
        return self._given_root or DataRoot.from_environment()

    @cached_property
    def params(self) -> Params:
        """The settings. Raises `UsageProblem` when `params.yaml` is wrong."""
        from carprice.params_file import load_params

        return self._given_params or load_params()

    @property
    def alert_params(self) -> AlertParams:
        """The `alerts` section; its defaults while `params.yaml` is wrong, so that this is reported too."""
        from carprice.params import AlertParams

        try:
            return self.params.alerts
        except UsageProblem as problem:
            log.warning("%s Alerts are sent with their default settings.", problem)
            return AlertParams()

    @property
    def has_registry(self) -> bool:
        """Whether there is a registry to ask. Without a server, the first training makes one."""
        if self._given_registry is not None or os.environ.get(MLFLOW_TRACKING_URI):
            return True
        return self.root.is_local and self.root.exists(f"{MLFLOW}/mlflow.db")

    @cached_property
    def registry(self) -> Registry:
        """The model registry. Raises `TryAgain` while MLflow does not answer."""
        from carprice.lifecycle.registry import Registry

        return self._given_registry or Registry(self.root)
