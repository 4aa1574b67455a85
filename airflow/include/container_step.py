"""A step in a container of its own."""

from __future__ import annotations

import contextlib
import os
import signal
import uuid
from collections.abc import Sequence
from typing import Any, ClassVar

from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from docker.errors import APIError, NotFound
from docker.types import Mount

from carprice_contract import containers
from include.airflow_internals import DecoratedOperator
from include.base_step import Json, LineLog, Outcome, Step, labels, without_try
from include.docker_provider import OpenDockerOperator
from include.settings import settings

DEFAULT_CPU_SHARES = 1024
BACKGROUND_CPU_SHARES = 64
EXIT_KILLED = 128 + signal.SIGKILL


class ContainerStep(Step, OpenDockerOperator):
    """A step in a container of its own. Every default is here, with its reason."""

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, "image", "command")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        "command": "json",
    }

    def __init__(self, *, serving: bool = False, collecting: bool = False, **kwargs: Any) -> None:
        here = settings()
        image = here.serving_image if serving else here.trainer_image
        super().__init__(
            serving=serving,
            collecting=collecting,
            # Works for images with and without an ENTRYPOINT.
            entrypoint=[containers.COLLECTOR_PROGRAM if collecting else containers.PROGRAM],
            image=here.collector_image if collecting else image,
            # Images are built or pulled when the system is set up, not in the middle of a run.
            force_pull=False,
            # The engine may be on another machine, where a folder in Airflow's /tmp means nothing.
            mount_tmp_dir=False,
            mounts=[
                # The one place to write beside the data; a tmpfs could not be copied from.
                Mount(target=containers.SCRATCH, source=None, type="volume"),
                # The data folder, under the same path as everywhere, so that recorded paths mean the same.
                *(
                    [Mount(here.data_root, here.docker_host_data_dir or here.data_root, type="bind")]
                    if here.data_is_local
                    else []
                ),
            ],
            # Files in the data folder belong to whoever runs the system, never to root.
            user=here.container_user,
            # Only the collector's network reaches the sites, and it reaches nothing of ours.
            network_mode=here.collector_network if collecting else here.docker_network,
            # A step that eats all memory must not take Airflow and MLflow with it.
            mem_limit=here.step_memory,
            # Leave nothing behind, not after a failure either: log and result are in Airflow by then.
            auto_remove="force",
            retrieve_output=True,
            retrieve_output_path=containers.RESULT_PATH,
            **kwargs,
        )

    def run_step(self, arguments: list[str], context: Context) -> Outcome:
        """Run the step's container to its end. Raises `AirflowException` when it can't be started."""
        here = settings()
        self.command = [*arguments, "--result", str(self.retrieve_output_path)]
        environment = here.collector_environment() if self.collecting else here.step_environment()
        self.environment = {**environment, "HOME": containers.SCRATCH}
        if self.collecting and not self.network_mode:
            raise AirflowFailException(
                "CARPRICE_COLLECTOR_NETWORK must name a network that reaches the sites, found nothing: make "
                "one with `docker network create` and name it."
            )
        self.labels = labels(context)
        task, attempt = self.labels[containers.TASK_LABEL], self.labels[containers.TRY_LABEL]
        self.container_name = f"carprice-{task}-{attempt}-{uuid.uuid4().hex[:8]}"
        self._remove_earlier_tries()
        try:
            secrets = {} if self.collecting else here.step_secrets(os.environ)
            outcome: Outcome = self.pull_and_run(context, secrets)
            return outcome
        except APIError as problem:
            if self.cli.images(name=self.image):
                raise AirflowException(
                    f"The Docker engine refused the container: {problem.explanation}"
                ) from problem
            raise AirflowException(
                f"The engine has no image {self.image} and can't pull it ({problem.explanation}): "
                "build it with `make images`, or set CARPRICE_TRAINER_IMAGE, CARPRICE_SERVING_IMAGE and "
                "CARPRICE_COLLECTOR_IMAGE."
            ) from problem

    def _remove_earlier_tries(self) -> None:
        """Remove the containers that a killed worker left running, so that a step runs once at a time."""
        wanted = [f"{name}={value}" for name, value in without_try(self.labels or {}).items()]
        for container in self.cli.containers(all=True, filters={"label": wanted}):
            self.log.warning("Removing container %s of an earlier try", container["Names"])
            with contextlib.suppress(APIError):
                self.cli.remove_container(container["Id"], force=True, v=True)

    def run_container(self, mounts: list[Mount]) -> Outcome:
        """Create, start and follow the container; tell how it ended, whatever its status."""
        cpu_period = 100_000
        self.container = self.cli.create_container(
            image=self.image,
            entrypoint=self.entrypoint,
            command=self.command,
            name=self.container_name,
            labels=self.labels,
            environment=self.container_environment,
            user=self.user,
            host_config=self.cli.create_host_config(
                mounts=mounts,
                network_mode=self.network_mode,
                mem_limit=self.mem_limit,
                memswap_limit=self.mem_limit,  # no swap: it would hide that memory is short
                cpu_period=cpu_period,
                cpu_quota=int(settings().step_cpus * cpu_period),
                cpu_shares=BACKGROUND_CPU_SHARES if self.background else DEFAULT_CPU_SHARES,
                pids_limit=512,
                cap_drop=["ALL"],  # a step needs none of root's rights
                security_opt=["no-new-privileges"],
                read_only=True,
            ),
        )
        container = self.container["Id"]
        try:
            output = self.cli.attach(container, stdout=True, stderr=True, stream=True, demux=True)
            self.cli.start(container)
            lines = LineLog(self.log.info)
            for stdout, stderr in output:
                lines.add("stdout", stdout)
                lines.add("stderr", stderr)
            lines.close()
            exit_code, remark = self._end(container)
            return Outcome(exit_code, self._result(), lines.last_words, remark)
        finally:
            with contextlib.suppress(APIError):  # on_kill may have removed it already
                self.cli.remove_container(container, force=True, v=True)

    def _end(self, container: str) -> tuple[int, str]:
        """The exit status of a container whose output has ended, and a remark on it."""
        try:
            exit_code: int = self.cli.wait(container)["StatusCode"]
            out_of_memory = self.cli.inspect_container(container)["State"].get("OOMKilled")
        except NotFound:  # the engine may forget a removed container before it tells how it ended
            return EXIT_KILLED, " (its container was removed while it ran)"
        if out_of_memory:
            return exit_code, f" (it needed more than {self.mem_limit} of memory: raise CARPRICE_STEP_MEMORY)"
        return exit_code, ""

    def _result(self) -> Json:
        try:
            return self.read_result_file()
        except ValueError:
            self.log.warning("The step's result is not JSON; it is left out.")
            return None

    def on_kill(self) -> None:
        """Remove the container at once; steps write atomically, so there is nothing to wait for."""
        if self.hook.client_created and self.container:
            with contextlib.suppress(APIError):
                self.cli.remove_container(self.container["Id"], force=True, v=True)
