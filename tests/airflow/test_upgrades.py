"""What this project takes from inside Airflow and its Docker provider is still there after an upgrade."""

from __future__ import annotations

import importlib
import inspect
import re
from importlib.metadata import version
from pathlib import Path

import pytest

ADAPT_AIRFLOW = "adapt airflow/include/airflow_internals.py"
ADAPT_PROVIDER = "adapt airflow/include/docker_provider.py"

INTERNALS = [
    ("airflow.sdk.bases.decorator", "DecoratedOperator"),
    ("airflow.sdk.bases.decorator", "determine_kwargs"),
    ("airflow.sdk.bases.decorator", "task_decorator_factory"),
    ("airflow.sdk.definitions.context", "context_merge"),
    ("airflow.sdk.execution_time.context", "InletEventsAccessor"),
    ("airflow.sdk.execution_time.context", "InletEventsAccessors"),
    ("airflow.sdk.types", "DagRunProtocol"),
]


@pytest.mark.parametrize(("module", "name"), INTERNALS, ids=lambda part: str(part).rpartition(".")[2])
def test_airflow_has_what_lies_behind_its_public_interface(module: str, name: str) -> None:
    try:
        found = getattr(importlib.import_module(module), name, None)
    except ImportError:
        found = None
    assert found is not None, (
        f"{module}.{name} was expected in Airflow {version('apache-airflow')}, found none: {ADAPT_AIRFLOW}"
    )


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("determine_kwargs", ["func", "args", "kwargs"]),
        ("task_decorator_factory", ["python_callable", "decorated_operator_class"]),
        ("context_merge", ["context", "args"]),
    ],
)
def test_airflows_inner_functions_take_what_they_are_given(name: str, needed: list[str]) -> None:
    from include import airflow_internals

    there = list(inspect.signature(getattr(airflow_internals, name)).parameters)
    assert set(needed) <= set(there), (
        f"{name} of Airflow {version('apache-airflow')} was expected to take {', '.join(needed)}, "
        f"found {', '.join(there)}: {ADAPT_AIRFLOW}"
    )


def test_the_docker_operator_runs_a_container_through_the_method_that_is_replaced() -> None:
    from airflow.providers.docker.operators.docker import DockerOperator

    provider = f"the Docker provider {version('apache-airflow-providers-docker')}"
    method = getattr(DockerOperator, "_run_image_with_mounts", None)
    there = list(inspect.signature(method).parameters) if method else ["no such method"]
    assert there == ["self", "target_mounts", "add_tmp_variable"], (
        f"DockerOperator._run_image_with_mounts(target_mounts, add_tmp_variable) was expected in {provider}, "
        f"found {', '.join(there)}: {ADAPT_PROVIDER}"
    )
    assert "_run_image_with_mounts" in inspect.getsource(DockerOperator._run_image), (
        f"DockerOperator was expected to run its container by _run_image_with_mounts in {provider}, found "
        f"another way: {ADAPT_PROVIDER}"
    )


def test_the_docker_operator_keeps_the_private_environment_and_reads_the_result_as_expected() -> None:
    from airflow.providers.docker.operators.docker import DockerOperator

    provider = f"the Docker provider {version('apache-airflow-providers-docker')}"
    operator = DockerOperator(task_id="x", image="x", private_environment={"A": "b"})
    found = getattr(operator, "_private_environment", None)
    assert found == {"A": "b"}, (
        f"DockerOperator._private_environment was expected to hold the private variables in {provider}, "
        f"found {found!r}: {ADAPT_PROVIDER}"
    )
    assert hasattr(operator, "_attempt_to_retrieve_result"), (
        f"DockerOperator._attempt_to_retrieve_result was expected in {provider}, found none: {ADAPT_PROVIDER}"
    )
    assert "pickling_library" in inspect.getsource(DockerOperator._copy_from_docker), (
        f"DockerOperator was expected to read a result with its pickling_library in {provider}, found "
        f"another way, which may unpickle what a container wrote: {ADAPT_PROVIDER}"
    )


def test_no_other_module_takes_names_from_inside_airflow_or_its_docker_provider() -> None:
    folder = Path(__file__).resolve().parents[2] / "airflow"
    inside = re.compile(r"from airflow\.(sdk\.(?!exceptions\b)\w|providers\.docker)")
    found = [
        file.name
        for file in sorted(folder.rglob("*.py"))
        if inside.search(file.read_text()) and file.name not in ("airflow_internals.py", "docker_provider.py")
    ]
    assert found == [], (
        f"only airflow_internals.py and docker_provider.py may import from inside Airflow, found {found}: "
        f"{ADAPT_AIRFLOW}"
    )
