"""`DockerOperator` with a public face for what it keeps private.

An upgrade of the Docker provider may change those names. tests/airflow/test_upgrades.py says which one, and
this module is the only place to adapt.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from typing import Any

from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import Context
from docker.types import Mount


class OpenDockerOperator(DockerOperator):
    """A `DockerOperator` whose subclass decides how its container is made and followed."""

    # The result is read as JSON: nothing a container leaves behind is ever unpickled.
    pickling_library = json

    @abstractmethod
    def run_container(self, mounts: list[Mount]) -> Any:
        """Make the container, follow it to its end and return the operator's result."""

    def pull_and_run(self, context: Context, private_environment: dict[str, str]) -> Any:
        """Pull the image where it is missing, then `run_container`. Raises `APIError`."""
        self._private_environment = private_environment
        return DockerOperator.execute(self, context)

    @property
    def container_environment(self) -> dict[str, str]:
        """The variables of the container, the private ones included."""
        return {**self.environment, **self._private_environment}

    def read_result_file(self) -> Any:
        """The JSON document at `retrieve_output_path`; None without one. Raises `ValueError`."""
        return self._attempt_to_retrieve_result()

    def _run_image_with_mounts(self, target_mounts: list[Mount], add_tmp_variable: bool) -> Any:
        # The base class's own knows neither all of a step's limits nor the result of a container
        # that ended with another status than 0.
        return self.run_container(target_mounts)
