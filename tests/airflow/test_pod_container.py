"""What the pod of a step asks for, on a real engine: the real image, the real command, a real S3 between.

The cluster is played; the container is made from the pod's own fields, with its locks on.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pytest
from kubernetes_api import Cluster, Plan, serving
from test_pod_step import TaskInstanceStub, clustered

from include import pod_step
from include.step import step_operator

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "tests/stack"))

from s3_server import s3_server

pytestmark = [pytest.mark.docker, pytest.mark.timeout(1800)]

LABEL = "carprice.pod-test"


class Node:
    """Runs the containers of a cluster's pods with Docker; `secret` is what the Secret holds."""

    def __init__(self, engine: Any, cluster: Cluster, secret: dict[str, str]) -> None:
        self._engine, self._cluster, self._secret = engine, cluster, secret
        self._name = f"{os.getpid()}"
        cluster.on_create = lambda pod: threading.Thread(target=self._run, args=(pod,), daemon=True).start()

    def _run(self, pod: dict[str, Any]) -> None:
        spec, plan = pod["spec"], self._cluster.plan_of(pod["metadata"]["name"])
        (wanted,) = spec["containers"]
        security, user = wanted["securityContext"], spec["securityContext"]
        assert wanted["envFrom"] == [{"secretRef": {"name": "carprice-steps"}}]
        assert security["allowPrivilegeEscalation"] is False
        container = self._engine.containers.create(
            wanted["image"],
            entrypoint=wanted["command"],
            command=wanted["args"],
            environment=self._secret | {e["name"]: e["value"] for e in wanted["env"]},
            user=f"{user['runAsUser']}:{user['runAsGroup']}",
            read_only=security["readOnlyRootFilesystem"],
            tmpfs={mount["mountPath"]: "mode=0777" for mount in wanted["volumeMounts"]},
            cap_drop=security["capabilities"]["drop"],
            security_opt=["no-new-privileges"],
            mem_limit=wanted["resources"]["limits"]["memory"].removesuffix("i").lower(),
            network_mode="host",
            labels={LABEL: self._name},
        )
        try:
            container.start()
            status = container.wait()["StatusCode"]
            plan.log, plan.exit_code = container.logs(), status
        finally:
            container.remove(force=True)
            plan.ends = True

    def leave(self) -> None:
        for container in self._engine.containers.list(all=True, filters={"label": f"{LABEL}={self._name}"}):
            container.remove(force=True)


@pytest.fixture(scope="module")
def engine() -> Any:
    """The engine, with the trainer's image of this tree."""
    import docker

    try:
        engine = docker.from_env()
        engine.ping()
    except docker.errors.DockerException as problem:
        if os.environ.get("REQUIRE_DOCKER") == "1":
            pytest.fail(f"no Docker engine answers: {problem}")
        pytest.skip(f"no Docker engine answers: {problem}")
    subprocess.run([str(ROOT / "images/build"), "trainer"], check=True)
    return engine


@pytest.fixture
def bucket(tmp_path: Path, engine: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of the bucket that is the data root of steps on a cluster with one node."""
    folder = tmp_path / "s3"
    folder.mkdir()
    cluster = Cluster()
    cluster.plans = [Plan(ends=False) for _ in range(9)]
    with s3_server(folder) as server, serving(cluster, tmp_path / "kubeconfig"):
        keys = server.environment()
        for _ in clustered(
            monkeypatch,
            tmp_path,
            DATA_DIR="s3://cars/data",
            CARPRICE_TRAINER_IMAGE="carprice-trainer:latest",
            MLFLOW_TRACKING_URI="",
            **keys,
        ):
            monkeypatch.setattr(pod_step, "POLL_SECONDS", 0.1)
            node = Node(engine, cluster, keys)
            yield server.make_bucket("cars")
            node.leave()
    assert cluster.pods == {}


def run(*arguments: str) -> tuple[int, Any, str]:
    """Exit status, result and last words of one step."""
    operator = step_operator()(python_callable=list, task_id="some_step")
    outcome = operator.run_step(list(arguments), {"ti": TaskInstanceStub()})
    return outcome.exit_code, outcome.result, outcome.last_words


def test_steps_run_as_their_pods_ask_and_hand_their_results_through_the_store(bucket: Path) -> None:
    nothing, _, words = run("claim-files")
    with fsspec.open("s3://cars/data/raw/a.csv", "wb") as file:
        file.write(b"no listings\n")

    claimed, steps, _ = run("claim-files")
    ((file,),) = steps
    checked, receipt, _ = run("check-data-quality", "--file", "a.csv", "--sha256", file["sha256"])
    misspelt, none, refusal = run("claim-files", "--nonsense")

    assert (nothing, claimed, checked, misspelt) == (99, 0, 65, 2)
    assert words.startswith("carprice: ")
    assert file["file"] == "a.csv"
    assert receipt["status"] == "refused"
    assert (bucket / "data/receipts" / f"{file['sha256']}.json").exists()
    assert none is None
    assert "--nonsense" in refusal
    assert [file for file in (bucket / "data/step-results").rglob("*") if file.is_file()] == []
