"""A step in a pod of its own, on a Kubernetes cluster."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import fsspec
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.sdk import Context
from airflow.sdk.exceptions import AirflowException, AirflowFailException
from kubernetes.client import ApiException, V1ContainerState, V1Pod
from kubernetes.client import models as k8s
from kubernetes.config import ConfigException
from urllib3.exceptions import HTTPError

from carprice_contract import containers, variables
from carprice_contract.data_root import STEP_RESULTS
from include.airflow_internals import DecoratedOperator
from include.base_step import Json, LineLog, Outcome, Step, labels, without_try
from include.pod_limits import pod_security, resources
from include.settings import settings

CONTAINER = "step"

SCRATCH_SIZE = "2Gi"

POLL_SECONDS = 0.5
LONGEST_STALL_SECONDS = 30.0
LONGEST_START_SECONDS = 600.0
LONGEST_END_SECONDS = 60.0

_IMAGE_PROBLEMS = {"ErrImageNeverPull", "ErrImagePull", "ImagePullBackOff", "InvalidImageName"}
_START_PROBLEMS = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}


class PodStep(Step, KubernetesPodOperator):
    """A step in a pod of its own. Every default is here, with its reason.

    The cluster is the one this process runs in, or that of KUBECONFIG.
    """

    template_fields: Sequence[str] = (*DecoratedOperator.template_fields, "image", "command")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **DecoratedOperator.template_fields_renderers,
        "command": "json",
    }

    def __init__(
        self, *, serving: bool = False, background: bool = False, do_xcom_push: bool = True, **kwargs: Any
    ) -> None:
        here = settings()
        super().__init__(
            serving=serving,
            background=background,
            # Otherwise each step asks Airflow for a connection, which nobody needs here.
            kubernetes_conn_id=None,
            namespace=here.kubernetes_namespace or None,
            service_account_name=here.kubernetes_service_account or None,
            base_container_name=CONTAINER,
            # Works for images with and without an ENTRYPOINT.
            cmds=[containers.PROGRAM],
            image=here.serving_image if serving else here.trainer_image,
            # Nodes that hold the image ask no registry, be its tag `latest` or not.
            image_pull_policy="IfNotPresent",
            # Secrets stay in a Secret: whoever may look at pods does not see them.
            env_from=[k8s.V1EnvFromSource(secret_ref=k8s.V1SecretEnvSource(name=here.kubernetes_secret))]
            if here.kubernetes_secret
            else [],
            # The one place a step may write to. Unlimited, it could fill the node's disk.
            volumes=[k8s.V1Volume(name="tmp", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit=SCRATCH_SIZE))],
            volume_mounts=[k8s.V1VolumeMount(name="tmp", mount_path=containers.SCRATCH)],
            container_resources=resources(here, background),
            security_context=pod_security(here),
            container_security_context=k8s.V1SecurityContext(
                allow_privilege_escalation=False,
                capabilities=k8s.V1Capabilities(drop=["ALL"]),  # a step needs none of root's rights
                privileged=False,
                read_only_root_filesystem=True,
            ),
            # A step never asks the cluster for anything.
            automount_service_account_token=False,
            # Steps write atomically, so there is nothing to wait for. Not 0: then the pod would be
            # forgotten before its node says that the process is gone.
            termination_grace_period=1,
            # The last words of a pod whose log can't be read.
            termination_message_policy="FallbackToLogsOnError",
            # A step whose worker died is begun anew, as with every other way to run it.
            durable=False,
            **kwargs,
        )
        # Set here, because the base class would add a second container for it, which needs one more image
        # and the right to run commands in pods, and gives no result of a pod that was evicted. A step
        # writes its result to the object store instead, whatever its size and exit status. (The pod's
        # termination message ends at 4096 bytes.)
        self.do_xcom_push = do_xcom_push
        self.command: list[str] = []

    def run_step(self, arguments: list[str], context: Context) -> Outcome:
        """Run the step's pod to its end. Raises `AirflowException` when it can't be started or vanishes."""
        here = settings()
        if self.collecting:
            raise AirflowFailException(
                "The collector needs a folder that stays between its runs, and a pod has none: start "
                "`carprice collect` on a machine of its own (docs/collecting.md)."
            )
        found = labels(context)
        key = _key(without_try(found))
        task = re.sub("[^a-z0-9]+", "-", found[containers.TASK_LABEL].lower())[:40].strip("-")
        self.name = f"carprice-{task}-{found[containers.TRY_LABEL]}-{uuid.uuid4().hex[:8]}"
        self.random_name_suffix = False
        # Label values are short and allow few characters, so a pod is found by a hash. The annotations
        # say what the hash stands for.
        self.labels = {
            "app.kubernetes.io/name": "carprice-step",
            containers.POD_LABEL: key,
            **{
                name: _readable(found[name])
                for name in (containers.DAG_LABEL, containers.TASK_LABEL, containers.TRY_LABEL)
            },
        }
        self.annotations = found
        results = f"{here.data_root.rstrip('/')}/{STEP_RESULTS}/{key}"
        result = f"{results}/{self.name}.json"
        self.arguments = self.command = [*arguments, "--result", result]
        self.env_vars = [
            k8s.V1EnvVar(name=name, value=value)
            for name, value in {
                **here.step_environment(),
                # The rest of what is private comes from the Secret.
                variables.PARAMS: here.step_secrets({})[variables.PARAMS],
                "HOME": containers.SCRATCH,
            }.items()
        ]
        try:
            pod = self._pod()
            self._remove_earlier_tries(pod.metadata.namespace, key)
            _remove(results)
            self.pod = pod
            try:
                self.pod_manager.create_pod(pod)
                return self._followed(pod, result)
            finally:
                self._delete(pod)
                _remove(results)
        except ApiException as problem:
            raise AirflowException(f"The cluster refused the pod: {_explanation(problem)}") from problem
        except ConfigException as problem:
            raise AirflowException(
                "CARPRICE_RUNTIME=kubernetes needs a cluster, found none: this process runs in none, and "
                f"KUBECONFIG names none ({problem})."
            ) from problem

    def _pod(self) -> V1Pod:
        """What to ask the cluster for."""
        wanted, self.do_xcom_push = self.do_xcom_push, False  # no second container, see above
        try:
            pod = self.build_pod_request_obj()
        finally:
            self.do_xcom_push = wanted
        # Otherwise the addresses of services are variables, and one of MLflow's is `MLFLOW_PORT`.
        pod.spec.enable_service_links = False
        return pod

    def _remove_earlier_tries(self, namespace: str, key: str) -> None:
        """Delete the pods that a killed worker left running, so that a step runs once at a time."""

        def left() -> list[V1Pod]:
            return list(
                self.client.list_namespaced_pod(
                    namespace, label_selector=f"{containers.POD_LABEL}={key}"
                ).items
            )

        for pod in left():
            self.log.warning("Removing pod %s of an earlier try", pod.metadata.name)
            self._delete(pod)
        if not _comes_true(lambda: not left(), LONGEST_END_SECONDS):
            names = " ".join(pod.metadata.name for pod in left())
            raise AirflowException(
                f"A pod of an earlier try did not stop, perhaps because its node is away; if so, run "
                f"kubectl delete pod --force --namespace {namespace} {names}"
            )

    def _followed(self, pod: V1Pod, result: str) -> Outcome:
        """Log the pod's output until it ends; returns how it ended."""
        self._started(pod)
        lines = LineLog(self.log.info)
        logged = 0
        while True:
            logged = self._log_output(pod, lines, logged)
            seen = self._read(pod)
            state = _state(seen)
            if state.terminated or seen.status.phase in ("Failed", "Succeeded"):
                break
            time.sleep(POLL_SECONDS)
        self._log_output(pod, lines, logged, follow=False)
        lines.close()
        why = ": ".join(word for word in (seen.status.reason, seen.status.message) if word)
        if not state.terminated:
            raise AirflowException(f"The cluster ended the pod before its step: {why or 'it gave no reason'}")
        remark = f" ({why})" if why else ""
        if state.terminated.reason == "OOMKilled":
            remark = f" (it needed more than {settings().step_memory} of memory: raise CARPRICE_STEP_MEMORY)"
        message = (state.terminated.message or "").strip().splitlines()
        last_words = lines.last_words or (message[-1] if message else "")
        return Outcome(state.terminated.exit_code, self._result(result), last_words, remark)

    def _started(self, pod: V1Pod) -> None:
        """Wait until the step runs, or has ended. Raises `AirflowException` when it will do neither."""
        waiting_for = ""
        stalled_at: float | None = None

        def started() -> bool:
            nonlocal waiting_for, stalled_at
            seen = self._read(pod)
            if seen.status.phase not in (None, "Pending", "Unknown"):
                return True
            waiting = _state(seen).waiting
            unmet = [
                c for c in seen.status.conditions or [] if c.type == "PodScheduled" and c.status == "False"
            ]
            reason, message = (
                (waiting.reason, waiting.message)
                if waiting
                else (unmet[0].reason, unmet[0].message)
                if unmet
                else ("", "")
            )
            now = ": ".join(word for word in (reason, message) if word)
            if now and now != waiting_for:
                self.log.info("The pod waits: %s", now)
            waiting_for = now or waiting_for
            if reason not in _IMAGE_PROBLEMS | _START_PROBLEMS:
                stalled_at = None
                return False
            # The node tries again by itself, which helps where a registry was busy.
            stalled_at = stalled_at or time.monotonic()
            if time.monotonic() - stalled_at > LONGEST_STALL_SECONDS:
                raise AirflowException(f"The pod can't start: {waiting_for}.{self._advice(reason)}")
            return False

        if not _comes_true(started, LONGEST_START_SECONDS):
            raise AirflowException(
                f"The pod did not start within {LONGEST_START_SECONDS:.0f} s: "
                f"{waiting_for or 'the cluster gave no reason'}"
            )

    def _advice(self, reason: str | None) -> str:
        if reason == "CreateContainerConfigError":
            return " Is the Secret of CARPRICE_KUBERNETES_SECRET in its namespace?"
        if reason in _IMAGE_PROBLEMS:
            return (
                f" See that the nodes can pull {self.image} or hold it, "
                "or set CARPRICE_TRAINER_IMAGE and CARPRICE_SERVING_IMAGE."
            )
        return ""

    def _log_output(self, pod: V1Pod, lines: LineLog, logged: int, follow: bool = True) -> int:
        """Log the step's output from byte `logged` on; returns the byte at which it ends.

        Ends with the step or with the connection, which may break. So each call reads the log from its
        beginning and leaves out what is logged already. Kubernetes keeps one log for both streams; a
        step with a result file writes nothing to stdout.
        """
        position = 0
        try:
            log = self.client.read_namespaced_pod_log(
                pod.metadata.name,
                pod.metadata.namespace,
                container=CONTAINER,
                follow=follow,
                _preload_content=False,
            )
            with contextlib.closing(log):
                for chunk in log.stream(amt=None, decode_content=True):
                    new = chunk[max(logged - position, 0) :]
                    position += len(chunk)
                    lines.add("stderr", new)
                    logged = max(logged, position)
        except (ApiException, HTTPError, OSError) as problem:
            if not follow:
                self.log.warning("Could not read the pod's log to its end: %s", problem)
        return logged

    def _read(self, pod: V1Pod) -> V1Pod:
        try:
            return self.pod_manager.read_pod(pod)
        except ApiException as problem:
            if problem.status != 404:
                raise
            raise AirflowException(
                f"The pod {pod.metadata.name} is gone: somebody or the cluster removed it."
            ) from problem

    def _delete(self, pod: V1Pod) -> None:
        try:
            self.pod_manager.delete_pod(pod)
        except (ApiException, HTTPError, AirflowException) as problem:
            # The next try deletes it; how this one ended matters more.
            self.log.warning("Could not delete pod %s: %s", pod.metadata.name, problem)

    def _result(self, url: str) -> Json:
        fs, path = _store(url)
        try:
            return json.loads(fs.cat_file(path))
        except FileNotFoundError:
            return None
        except ValueError:
            self.log.warning("The step's result is not JSON; it is left out.")
            return None

    def on_kill(self) -> None:
        """Delete the pod at once; steps write atomically, so there is nothing to wait for."""
        if self.pod:
            self._delete(self.pod)


def _key(labels: dict[str, str]) -> str:
    """A label value that stands for all of `labels`."""
    return hashlib.sha256(json.dumps(labels, sort_keys=True).encode()).hexdigest()[:32]


def _readable(text: str) -> str:
    """What a label value can show of `text`."""
    return re.sub("[^A-Za-z0-9_.-]+", "-", text)[:63].strip("-_.")


def _state(pod: V1Pod) -> V1ContainerState:
    """The state of the step's container; nothing is known of it where it has none yet."""
    for status in pod.status.container_statuses or []:
        if status.name == CONTAINER and status.state:
            return status.state
    return V1ContainerState()


def _comes_true(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether `condition` comes true within `seconds`."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(POLL_SECONDS)
    return True


def _explanation(problem: ApiException) -> str:
    """The sentence of Kubernetes' answer."""
    with contextlib.suppress(ValueError, TypeError, KeyError):
        return str(json.loads(problem.body)["message"])
    return str(problem.reason)


def _store(url: str) -> tuple[Any, str]:
    # A listing kept from the last look would hide what another machine has written since.
    fs, path = fsspec.core.url_to_fs(url, use_listings_cache=False)
    return fs, path


def _remove(url: str) -> None:
    """Remove a folder of results; if that fails, it stays and does no harm."""
    with contextlib.suppress(Exception):
        fs, path = _store(url)
        fs.rm(path, recursive=True)
