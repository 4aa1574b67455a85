"""`@step`: a task that is one command of `carprice`.

Like Airflow's `@task.bash`, the decorated function computes and returns what to run, here the
argument list of `carprice`; the operator runs it: in a container of its own, in a pod of a Kubernetes
cluster or, on machines that have neither, as a child process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from airflow.sdk.bases.decorator import task_decorator_factory

from include.settings import settings
from include.step_contract import Step


def step(function: Callable[..., Sequence[str]] | None = None, **kwargs: Any) -> Callable[..., Any]:
    """Make a task of a function that returns the argument list of `carprice`.

    Takes the arguments of any Airflow operator, `background=True` for steps that give way to others
    when the machine is busy, `serving=True` for steps that run where prices are served, in the app's
    image or environment, instead of the trainer's, and `only_if={task: key}` for tasks behind it that are
    skipped unless its result's `key` is true. How the step runs is the setting CARPRICE_RUNTIME.
    """
    decorator: Callable[..., Any] = task_decorator_factory(
        function, decorated_operator_class=step_operator(), **kwargs
    )
    return decorator


def step_operator() -> type[Step]:
    """The operator class of the setting CARPRICE_RUNTIME."""
    # Imported by need: every task would wait for the clients of Docker and Kubernetes, used or not.
    runtime = settings().runtime
    if runtime == "docker":
        from include.container_step import ContainerStep

        return ContainerStep
    if runtime == "kubernetes":
        from include.pod_step import PodStep

        return PodStep
    from include.process_step import ProcessStep

    return ProcessStep
