"""`@step`: a task that is one command of `carprice`.

Like Airflow's `@task.bash`, the decorated function computes and returns what to run, here the
argument list of `carprice`; the operator runs it: in a container of its own, in a pod of a Kubernetes
cluster or, on machines that have neither, as a child process.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from include.airflow_internals import task_decorator_factory
from include.base_step import Step
from include.settings import settings


def step(function: Callable[..., Sequence[str]] | None = None, **kwargs: Any) -> Callable[..., Any]:
    """Make a task of a function that returns the argument list of `carprice`.

    Takes the arguments of any Airflow operator, and four of its own:

    - `background=True`: the step gives way to others when the machine is busy.
    - `serving=True`: the step runs in the app's image or environment, where prices are served, instead
      of the trainer's.
    - `collecting=True`: the step runs in the collector's image or environment, without any secret.
    - `skip_unless={task: key}`: Airflow skips the following `task` unless `key` of the result is true.

    The setting CARPRICE_RUNTIME says how the step runs.
    """
    decorator: Callable[..., Any] = task_decorator_factory(
        function, decorated_operator_class=step_operator(), **kwargs
    )
    return decorator


def step_operator() -> type[Step]:
    """The operator class of the setting CARPRICE_RUNTIME."""
    # Imported here: otherwise every task would wait for the clients of Docker and Kubernetes, used or not.
    runtime = settings().runtime
    if runtime == "docker":
        from include.container_step import ContainerStep

        return ContainerStep
    if runtime == "kubernetes":
        from include.pod_step import PodStep

        return PodStep
    from include.process_step import ProcessStep

    return ProcessStep
