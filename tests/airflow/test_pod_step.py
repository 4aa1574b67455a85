"""A step as a pod: the pod that is asked for, and the step contract, kept against an API over HTTP.

No cluster was at hand: what a node does with the pod is played by `kubernetes_api`.
"""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubernetes_validate
import pytest
import yaml
from airflow.sdk import Asset
from airflow.sdk.exceptions import AirflowException, AirflowFailException, AirflowSkipException
from kubernetes.config import kube_config
from kubernetes_api import LABEL_VALUE, VERSIONS, Cluster, Plan, serving

from include import base_step, pod_limits, pod_step
from include import settings as settings_module
from include.conventions import alert_about_a_run_without_report
from include.settings import SettingError, Settings
from include.step import step_operator

MODEL = Asset(name="a_model", uri="carprice://test/model")
RUN_ID = "manual__2026-11-24T05:00:00.123+00:00"
IMAGES = {"CARPRICE_TRAINER_IMAGE": "r.example/trainer:1", "CARPRICE_SERVING_IMAGE": "r.example/app:1"}


class TaskInstanceStub:
    dag_id, task_id, map_index, run_id = "some_dag", "some_step", -1, RUN_ID

    def __init__(self, try_number: int = 1) -> None:
        self.try_number = try_number
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """The folder behind the data root, which the steps and the worker know by its URL only."""
    return tmp_path / "store"


@pytest.fixture
def cluster(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster that steps are made on, with nothing on it."""
    cluster = Cluster()
    environment = {
        "DATA_DIR": f"local://{store}",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "AWS_SECRET_ACCESS_KEY": "hidden-key",
        "CARPRICE_SMTP_URL": "smtp://user:hidden-mail@mail",
        **IMAGES,
    }
    with serving(cluster, tmp_path / "kubeconfig"):
        for _ in clustered(monkeypatch, tmp_path, **environment):
            yield cluster


def clustered(monkeypatch: pytest.MonkeyPatch, folder: Path, **environment: str) -> Iterator[None]:
    """While it goes on, steps are made on the cluster of `folder`/kubeconfig."""
    usual = {
        "CARPRICE_RUNTIME": "kubernetes",
        "CARPRICE_KUBERNETES_NAMESPACE": "carprice",
        "CARPRICE_KUBERNETES_SECRET": "carprice-steps",
        "CARPRICE_STEP_USER": "50000:0",
        "NO_PROXY": "127.0.0.1",
        "no_proxy": "127.0.0.1",
    }
    for name, value in (usual | environment).items():
        monkeypatch.setenv(name, value)
    # What KUBECONFIG is at import.
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(folder / "kubeconfig"))
    monkeypatch.setattr(pod_step, "POLL_SECONDS", 0.005)
    monkeypatch.setattr(pod_step, "LONGEST_STALL_SECONDS", 0.1)
    settings_module.settings.cache_clear()
    yield
    settings_module.settings.cache_clear()


def execute(
    cluster: Cluster, plan: Plan | None = None, try_number: int = 1, **kwargs: Any
) -> SimpleNamespace:
    """Runs a step that emits an asset event, and tells its result, XComs and the event's extra."""
    if plan:
        cluster.plans.append(plan)
    operator = step_operator()(
        python_callable=lambda: ["train-model", "--snapshot", "s p a c e; $HOME"],
        task_id="some_step",
        outlets=[MODEL],
        **kwargs,
    )
    ti = TaskInstanceStub(try_number)
    events: Any = defaultdict(lambda: SimpleNamespace(extra=None))
    done = SimpleNamespace(ti=ti, result=None, error=None, operator=operator)
    try:
        done.result = operator.execute({"ti": ti, "outlet_events": events})
    except AirflowException as error:
        done.error = error
    done.extra = events[MODEL].extra
    return done


def nothing_is_left(cluster: Cluster, store: Path) -> bool:
    return cluster.pods == {} and [f for f in store.rglob("*") if f.is_file()] == []


def filled(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in ([], {})}


# The pod that is asked for.


@pytest.mark.parametrize("version", VERSIONS)
def test_the_api_of_each_supported_version_takes_the_pod_of_a_step(
    cluster: Cluster, store: Path, version: str
) -> None:
    execute(cluster, Plan(result={}))

    (pod,) = cluster.created
    kubernetes_validate.validate({"apiVersion": "v1", "kind": "Pod", **pod}, version, strict=True)


def test_a_step_is_a_pod_of_exactly_these_fields(cluster: Cluster, store: Path) -> None:
    execute(cluster, Plan(result={}))

    (pod,) = cluster.created
    metadata, spec = pod["metadata"], pod["spec"]
    (container,) = spec.pop("containers")
    key = metadata["labels"]["carprice.step"]
    assert metadata["name"].startswith("carprice-some-step-1-")
    assert metadata["namespace"] == "carprice"
    assert filled(spec) == {
        "automountServiceAccountToken": False,
        "enableServiceLinks": False,
        "hostNetwork": False,
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": 1,
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": 50000,
            "runAsGroup": 0,
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumes": [{"name": "tmp", "emptyDir": {"sizeLimit": "2Gi"}}],
    }
    environment = container.pop("env")
    assert filled(container) == {
        "name": "step",
        "image": "r.example/trainer:1",
        "imagePullPolicy": "IfNotPresent",
        "command": ["carprice"],
        "args": [
            "train-model", "--snapshot", "s p a c e; $HOME",
            "--result", f"local://{store}/step-results/{key}/{metadata['name']}.json",
        ],
        "envFrom": [{"secretRef": {"name": "carprice-steps"}}],
        "resources": {
            "requests": {"cpu": "2000m", "memory": "2Gi"},
            "limits": {"cpu": "2000m", "memory": "2Gi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "privileged": False,
            "readOnlyRootFilesystem": True,
        },
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],  # noqa: S108 - the pod's own
    }  # fmt: skip
    assert {e["name"]: e["value"] for e in environment} == {
        "DATA_DIR": f"local://{store}",
        "MLFLOW_TRACKING_URI": "http://mlflow:5000",
        "CARPRICE_PARAMS": Path(settings_module.settings().params_file).read_text(),
        "HOME": "/tmp",  # noqa: S108 - the pod's own
    }


def test_a_serving_step_is_made_of_the_image_of_the_app(cluster: Cluster) -> None:
    execute(cluster, Plan(result={}), serving=True)

    assert cluster.created[0]["spec"]["containers"][0]["image"] == "r.example/app:1"


def test_a_background_step_asks_for_little_processor_and_may_use_what_is_left(cluster: Cluster) -> None:
    execute(cluster, Plan(result={}), background=True)

    assert cluster.created[0]["spec"]["containers"][0]["resources"] == {
        "requests": {"cpu": "125m", "memory": "2Gi"},
        "limits": {"cpu": "2000m", "memory": "2Gi"},
    }


def test_no_secret_is_in_the_pod(cluster: Cluster) -> None:
    execute(cluster, Plan(result={}))

    assert "hidden" not in json.dumps(cluster.created)


def test_without_a_secret_and_with_a_service_account(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARPRICE_KUBERNETES_SECRET", "")
    monkeypatch.setenv("CARPRICE_KUBERNETES_SERVICE_ACCOUNT", "steps")
    settings_module.settings.cache_clear()

    execute(cluster, Plan(result={}))

    (pod,) = cluster.created
    assert not pod["spec"]["containers"][0].get("envFrom")
    assert pod["spec"]["serviceAccountName"] == "steps"
    assert pod["spec"]["automountServiceAccountToken"] is False


def test_a_pod_is_found_by_a_hash_of_what_its_annotations_spell_out(cluster: Cluster) -> None:
    execute(cluster, Plan(result={}))
    execute(cluster, Plan(result={}), try_number=2)

    first, second = (pod["metadata"] for pod in cluster.created)
    assert first["annotations"] == base_step.labels({"ti": TaskInstanceStub()})  # type: ignore[arg-type]
    assert first["annotations"]["carprice.run"] == RUN_ID
    assert first["labels"]["carprice.step"] == second["labels"]["carprice.step"]
    assert (first["labels"]["carprice.try"], second["labels"]["carprice.try"]) == ("1", "2")
    assert first["labels"]["carprice.dag"] == "some_dag"
    assert first["labels"]["carprice.task"] == "some_step"


def test_steps_of_other_runs_tasks_indices_and_data_roots_have_other_hashes(cluster: Cluster) -> None:
    told = base_step.labels({"ti": TaskInstanceStub()})  # type: ignore[arg-type]
    del told["carprice.try"]

    keys = {pod_step._key(told)} | {pod_step._key(told | {name: "another"}) for name in told}

    assert len(keys) == 1 + len(told)
    assert all(LABEL_VALUE.fullmatch(key) for key in keys)


@pytest.mark.parametrize("name", ["Ünïcode " * 20, "x" * 300, "-", "a.b/c:d"])
def test_any_name_of_a_task_makes_a_pod(cluster: Cluster, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(TaskInstanceStub, "task_id", name)
    monkeypatch.setattr(TaskInstanceStub, "dag_id", name)

    assert execute(cluster, Plan(result={})).error is None


@pytest.mark.parametrize(
    ("docker", "kubernetes"), [("2g", "2Gi"), ("512m", "512Mi"), ("64MB", "64Mi"), ("1048576", "1048576")]
)
def test_memory_is_told_in_the_words_of_kubernetes(docker: str, kubernetes: str) -> None:
    assert pod_limits.resources(Settings(step_memory=docker), False).limits["memory"] == kubernetes


def test_memory_in_other_words_is_refused() -> None:
    with pytest.raises(SettingError, match="CARPRICE_STEP_MEMORY must be a number with k, m or g"):
        pod_limits.resources(Settings(step_memory="plenty"), False)


@pytest.mark.parametrize("user", ["0:0", "nobody", "1000", "nobody:nogroup"])
def test_a_user_that_is_root_or_no_number_is_refused(user: str) -> None:
    with pytest.raises(SettingError, match="CARPRICE_STEP_USER must be uid:gid in numbers"):
        pod_limits.pod_security(Settings(step_user=user))


def test_all_dags_load_with_steps_as_pods(cluster: Cluster) -> None:
    from airflow.dag_processing.dagbag import DagBag

    folder = Path(__file__).parents[2] / "airflow/dags"
    bag = DagBag(str(folder), bundle_name="dags-folder")

    assert bag.import_errors == {}
    assert set(bag.dags) == {file.stem for file in folder.glob("*.py")}
    steps = [task for dag in bag.dags.values() for task in dag.tasks if task.task_type.endswith("PodStep")]
    assert len(steps) > 10


# The step contract.


def test_the_result_in_the_object_store_is_the_result_and_the_extra_of_the_event(
    cluster: Cluster, store: Path
) -> None:
    done = execute(cluster, Plan(result={"run_id": "r1", "note": "größer"}, log=b"a late warning\n"))

    assert done.error is None
    assert done.result == done.extra == {"run_id": "r1", "note": "größer"}
    assert done.operator.command[:3] == ["train-model", "--snapshot", "s p a c e; $HOME"]
    assert nothing_is_left(cluster, store)


def test_a_result_of_any_size_gets_out(cluster: Cluster) -> None:
    many = [{"file": f"{n}.csv", "sha256": f"{n:064x}"} for n in range(3000)]

    assert execute(cluster, Plan(result=many)).result == many


def test_exit_99_skips_and_keeps_the_result(cluster: Cluster, store: Path) -> None:
    done = execute(cluster, Plan(exit_code=99, result={"passed": False}, log=b"Gate mape said no.\n"))

    assert isinstance(done.error, AirflowSkipException)
    assert str(done.error) == "Gate mape said no."
    assert done.ti.xcoms == {"return_value": {"passed": False}}
    assert done.extra is None
    assert nothing_is_left(cluster, store)


def test_exit_65_fails_for_good_with_the_refusal_of_the_result(cluster: Cluster, store: Path) -> None:
    done = execute(cluster, Plan(exit_code=65, result={"refusal": "No column Prix."}, log=b"a warning\n"))

    assert isinstance(done.error, AirflowFailException)
    assert "No column Prix." in str(done.error)
    assert done.ti.xcoms["return_value"]["refusal"] == "No column Prix."
    assert nothing_is_left(cluster, store)


def test_exit_2_fails_for_good_with_the_last_words(cluster: Cluster) -> None:
    done = execute(cluster, Plan(exit_code=2, log=b"No option --snapshto.\n"))

    assert isinstance(done.error, AirflowFailException)
    assert "No option --snapshto." in str(done.error)


@pytest.mark.parametrize("status", [75, 1])
def test_any_other_exit_is_tried_again_and_leaves_its_last_words(cluster: Cluster, status: int) -> None:
    done = execute(cluster, Plan(exit_code=status, log=b"one\nMLflow is away."))

    assert isinstance(done.error, AirflowException)
    assert not isinstance(done.error, AirflowFailException)
    assert str(done.error) == f"The step ended with exit status {status}: MLflow is away."
    assert done.ti.xcoms == {"problem": "MLflow is away."}


@pytest.mark.parametrize("raw_result", [None, b"not json"])
def test_success_without_a_readable_result_is_a_failure(cluster: Cluster, raw_result: bytes | None) -> None:
    assert "wrote no result" in str(execute(cluster, Plan(raw_result=raw_result)).error)


def test_too_little_memory_is_told_with_the_setting_to_raise(cluster: Cluster) -> None:
    error = execute(cluster, Plan(exit_code=137, reason="OOMKilled")).error

    assert "it needed more than 2g of memory: raise CARPRICE_STEP_MEMORY" in str(error)


def test_a_pod_that_was_evicted_says_why(cluster: Cluster) -> None:
    why = {"reason": "Evicted", "message": 'Usage of EmptyDir volume "tmp" exceeds the limit "2Gi".'}
    error = execute(cluster, Plan(exit_code=137, reason="Error", pod_status=why)).error

    assert "exit status 137 (Evicted: Usage of EmptyDir volume" in str(error)


def test_a_pod_that_was_evicted_before_its_step_ran_says_why(cluster: Cluster) -> None:
    why = {"reason": "Evicted", "message": "The node was low on memory.", "containerStatuses": None}
    error = execute(cluster, Plan(exit_code=1, pod_status=why)).error

    assert str(error) == "The cluster ended the pod before its step: Evicted: The node was low on memory."


def test_an_image_that_is_not_there_is_named(cluster: Cluster, store: Path) -> None:
    waiting = [{"reason": "ContainerCreating"}, {"reason": "ImagePullBackOff", "message": "not found"}]
    error = execute(cluster, Plan(waiting=waiting, starts=False)).error

    assert "The pod can't start: ImagePullBackOff: not found." in str(error)
    assert "r.example/trainer:1" in str(error)
    assert nothing_is_left(cluster, store)


def test_a_registry_that_was_busy_for_a_moment_is_no_failure(cluster: Cluster) -> None:
    waiting = [{"reason": "ErrImagePull", "message": "429"}, {"reason": "ImagePullBackOff"}]

    assert execute(cluster, Plan(result={"a": 1}, waiting=waiting)).result == {"a": 1}


def test_a_secret_that_is_not_there_is_told(cluster: Cluster) -> None:
    waiting = [{"reason": "CreateContainerConfigError", "message": 'secret "carprice-steps" not found'}]
    error = execute(cluster, Plan(waiting=waiting, starts=False)).error

    assert 'secret "carprice-steps" not found' in str(error)
    assert "CARPRICE_KUBERNETES_SECRET" in str(error)


def test_a_cluster_without_room_is_told(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pod_step, "LONGEST_START_SECONDS", 0.1)
    full = {
        "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/3 nodes"}
        ]
    }

    error = execute(cluster, Plan(waiting=[full], starts=False)).error

    assert "did not start within" in str(error)
    assert "Unschedulable: 0/3 nodes" in str(error)
    assert cluster.pods == {}


def test_a_pod_that_somebody_removed_is_tried_again(cluster: Cluster) -> None:
    error = execute(cluster, Plan(vanishes=True)).error

    assert "is gone: somebody or the cluster removed it" in str(error)
    assert not isinstance(error, AirflowFailException)


def test_a_log_that_breaks_off_is_read_on_where_it_stopped(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(base_step.LineLog, "_line", lambda self, stream, line: logged.append(line.decode()))

    execute(cluster, Plan(result={}, log="eins\nzwei größer\ndrei\n".encode(), log_breaks=[3, 12]))

    assert logged == ["eins", "zwei größer", "drei"]


def test_where_the_log_cant_be_read_the_termination_message_has_the_last_words(cluster: Cluster) -> None:
    plan = Plan(exit_code=1, log_status=403, message="one\nMLflow is away.\n")

    assert execute(cluster, plan).ti.xcoms == {"problem": "MLflow is away."}


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_what_the_cluster_refuses_is_told_in_its_words(cluster: Cluster, method: str) -> None:
    cluster.refuses[method] = (403, 'pods is forbidden: User "system:serviceaccount:a:b" cannot create')

    error = execute(cluster).error

    assert str(error).startswith("The cluster refused the pod: pods is forbidden: User")
    assert not isinstance(error, AirflowFailException)


def test_a_process_that_knows_no_cluster_says_so(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", "/nowhere/kubeconfig")

    assert "this process runs in none, and KUBECONFIG names none" in str(execute(cluster).error)


def test_a_killed_task_deletes_its_pod_at_once(cluster: Cluster) -> None:
    cluster.plans.append(Plan(ends=False))
    operator = step_operator()(python_callable=lambda: ["train-model"], task_id="some_step")
    errors: list[Any] = []

    def run() -> None:
        try:
            operator.execute({"ti": TaskInstanceStub(), "outlet_events": {}})
        except AirflowException as error:
            errors.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait_for(lambda: any(pod["status"]["phase"] == "Running" for pod in cluster.pods.values()))
    operator.on_kill()
    assert cluster.pods == {}
    thread.join(timeout=20)

    assert not thread.is_alive()
    assert "is gone" in str(errors[0])


def test_a_kill_before_there_is_a_pod_is_no_error(cluster: Cluster) -> None:
    step_operator()(python_callable=lambda: ["train-model"], task_id="some_step").on_kill()

    assert cluster.requests == []


def test_a_retry_removes_what_an_earlier_try_left_before_it_begins(cluster: Cluster, store: Path) -> None:
    execute(cluster, Plan(result={}))
    labels = cluster.created[0]["metadata"]["labels"]
    cluster.add("carprice-left", labels, Plan(ends=False))
    cluster.add("carprice-of-another-step", labels | {"carprice.step": "another"}, Plan(ends=False))
    left = store / "step-results" / labels["carprice.step"] / "carprice-left.json"
    left.parent.mkdir(parents=True, exist_ok=True)
    left.write_text("{}")
    there: list[set[str]] = []
    cluster.on_create = lambda pod: there.append(set(cluster.pods) - {pod["metadata"]["name"]})

    assert execute(cluster, Plan(result={"a": 1}), try_number=2).result == {"a": 1}
    assert there == [{"carprice-of-another-step"}]
    assert not left.exists()


def test_no_step_runs_beside_an_earlier_try_that_cant_be_stopped(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pod_step, "LONGEST_END_SECONDS", 0.05)
    execute(cluster, Plan(result={}))
    cluster.add("carprice-left", cluster.created[0]["metadata"]["labels"], Plan(ends=False, stays=True))

    error = execute(cluster, try_number=2).error

    assert "kubectl delete pod --force --namespace carprice carprice-left" in str(error)
    assert len(cluster.created) == 1


def test_a_step_asks_for_no_more_than_its_role_lets_it(cluster: Cluster) -> None:
    execute(cluster, Plan(result={}))

    words = {"POST": "create", "DELETE": "delete"}
    asked = set()
    for method, address in cluster.requests:
        path = address.partition("?")[0].split("/")[5:]
        verb = words.get(method) or ("get" if len(path) > 1 else "list")
        asked.add(("/".join([path[0], *path[2:]]), verb))
    manifest = Path(__file__).parents[2] / "kubernetes/namespace.yaml"
    (role,) = (d for d in yaml.safe_load_all(manifest.read_text()) if d["kind"] == "Role")
    assert asked == {
        (resource, verb) for rule in role["rules"] for resource in rule["resources"] for verb in rule["verbs"]
    }


def test_a_run_that_timed_out_is_told_without_any_task_of_it(cluster: Cluster) -> None:
    cluster.plans.append(Plan(result={}))
    failed = {"dag": SimpleNamespace(dag_id="some_dag"), "run_id": "some run", "reason": "timed_out"}

    alert_about_a_run_without_report(failed)  # type: ignore[arg-type]

    arguments = cluster.created[0]["spec"]["containers"][0]["args"]
    assert arguments[:4] == ["alert", "--run-failed", "some_dag, run some run", "send_pipeline_report"]


def wait_for(condition: Callable[[], Any], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
