"""What this project takes from inside Airflow: names that its public interface, `airflow.sdk`, lacks.

An upgrade may move or change them. tests/airflow/test_upgrades.py says which one, and this module is the
only place to adapt.
"""

from airflow.sdk.bases.decorator import DecoratedOperator, determine_kwargs, task_decorator_factory
from airflow.sdk.definitions.context import context_merge
from airflow.sdk.execution_time.context import InletEventsAccessor, InletEventsAccessors
from airflow.sdk.types import DagRunProtocol

__all__ = [
    "DagRunProtocol",
    "DecoratedOperator",
    "InletEventsAccessor",
    "InletEventsAccessors",
    "context_merge",
    "determine_kwargs",
    "task_decorator_factory",
]
