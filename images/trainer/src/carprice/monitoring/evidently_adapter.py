"""The only module that uses Evidently's internals.

Evidently has no public way to register a statistical test, to compute without drawing, or to write a run of
another program into its workspace. What this module uses for that may change with any release of Evidently;
`tests/trainer/test_evidently_adapter.py` fails then.
"""

from __future__ import annotations

import json
import os
import tempfile
import warnings
from abc import ABC
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.core.metric_types import MetricConfig, SingleValue, single_value_location
from evidently.core.report import Snapshot
from evidently.core.serialization import SnapshotModel
from evidently.legacy.calculations import stattests
from evidently.legacy.calculations.data_drift import ColumnDataDriftMetrics
from evidently.legacy.calculations.stattests import StatTest, register_stattest
from evidently.legacy.core import ColumnType
from evidently.legacy.metric_results import DatasetColumns, DatasetUtilityColumns, Distribution
from evidently.legacy.metrics import DataDriftTable
from evidently.legacy.metrics.data_drift.data_drift_table import DataDriftTableResults
from evidently.legacy.renderers.base_renderer import DEFAULT_RENDERERS
from evidently.legacy.renderers.html_widgets import CounterData, WidgetSize, counter, text_widget
from evidently.legacy.suite.base_suite import find_metric_renderer
from evidently.legacy.tests.base_test import TestStatus
from evidently.legacy.utils import NumpyEncoder
from evidently.metrics import ValueDrift
from evidently.metrics.column_statistics import ValueDriftCalculation

# Evidently draws a bar for each value; with hundreds of bars nobody sees one, and the file grows.
MOST_VALUES, LONGEST_VALUE = 12, 40
# The type of metric under which Evidently's panels find the figures that `run_document` writes.
FIGURE_METRIC = "evidently:metric_v2:CarPrices"


@dataclass(frozen=True)
class ColumnTest:
    """A statistical test of one column.

    `run` takes the values in the reference and in the current table, of shape (n,) and (m,), without empty
    values and with the index of the table; it returns the drift score and whether the column drifted. `name`
    and `threshold` are shown beside the score.
    """

    column: str
    name: str
    is_number: bool
    threshold: float
    run: Callable[[pd.Series, pd.Series], tuple[float, bool]]


@dataclass(frozen=True)
class ColumnResult:
    """What Evidently's result says of a column."""

    score: float
    drifted: bool


@dataclass(frozen=True)
class DriftRun:
    """A run of Evidently over all columns: its snapshot, what it says of each column, what it can draw."""

    snapshot: Snapshot
    results: Mapping[str, ColumnResult]
    drawable: Mapping[str, ColumnDataDriftMetrics]


def run_drift_tests(reference: pd.DataFrame, current: pd.DataFrame, tests: Sequence[ColumnTest]) -> DriftRun:
    """Let Evidently run each test once, on its column of the two tables. Nothing is drawn.

    The columns must have at least one value in each table; the index must count from 0.
    """
    stay_private()
    definition = DataDefinition(
        numerical_columns=[test.column for test in tests if test.is_number],
        categorical_columns=[test.column for test in tests if not test.is_number],
        text_columns=[],
        datetime_columns=[],
        unknown_columns=[],
        list_columns=[],
    )
    before, now = (Dataset.from_pandas(table, data_definition=definition) for table in (reference, current))
    metrics = {test.column: _ColumnDrift(column=test.column, method=_method(test)) for test in tests}
    with _registered(tests):
        snapshot = run_quietly(Report(list(metrics.values()), include_tests=True), now, before)
    results, drawable = {}, {}
    for column, metric in metrics.items():
        result = snapshot.metric_results[metric.metric_id]
        [test_result] = result.tests
        results[column] = ColumnResult(float(result.value), test_result.status == TestStatus.FAIL)
        drawable[column] = snapshot.context.get_metric(metric.metric_id).drawable
    return DriftRun(snapshot, results, drawable)


def run_quietly(report: Report, current: Dataset, reference: Dataset) -> Snapshot:
    """Run a report without the warnings of Evidently's own code, which nobody here can mend."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return report.run(current, reference)


def with_drift(run: DriftRun, details: Snapshot, named: Mapping[str, set[str]]) -> Snapshot:
    """One report: the drift of each column, then what `details` holds.

    Of a category the values in `named` are drawn and, besides them, the most frequent ones.
    """
    drift, rest = run.snapshot.to_snapshot_model(), details.to_snapshot_model()
    rest.metric_results = drift.metric_results | rest.metric_results
    rest.top_level_metrics = [*drift.top_level_metrics, *rest.top_level_metrics]
    rest.widgets = [*_drift_widgets(run, named), *rest.widgets]
    rest.tests_widgets = [*drift.tests_widgets, *rest.tests_widgets]
    return Snapshot.load_model(rest)


def html_page(snapshot: Snapshot) -> bytes:
    """A snapshot as one self-contained HTML file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.html")
        snapshot.save_html(path)
        with open(path, "rb") as file:
            return file.read()


def safe_label(value: object) -> str:
    """A value as it may stand in Evidently's page.

    Evidently writes values as they are into a script of the page. A tag among them would end that script.
    """
    return str(value)[:LONGEST_VALUE].replace("<", "‹")


def run_document(
    saved: str | None,
    name: str,
    at: datetime,
    tags: list[str],
    metadata: dict[str, str],
    figures: Mapping[str, tuple[str, float, str]],
    text: str,
) -> str:
    """A run as Evidently stores it in a workspace, as JSON.

    `saved` is a snapshot of Evidently's own (`Snapshot.dumps`) that becomes part of the run. `figures` has a
    title, a value and the value as text by the name under which a panel finds it; `text` stands above them.
    """
    if saved is None:
        snapshot = Snapshot(Report([]), None, datetime.now(), {}, [])
        snapshot._widgets = []  # Only a run sets them.
    else:
        snapshot = Snapshot.loads(saved)
    model: SnapshotModel = snapshot.to_snapshot_model()
    results: dict[str, Any] = {}
    for figure, (title, value, _) in figures.items():
        config = MetricConfig(metric_id=figure, params={"type": FIGURE_METRIC, "figure": figure})
        result = SingleValue(value=value, display_name=title)
        result.metric_value_location = single_value_location(config)
        results[figure] = result
    counters = [CounterData(title, shown) for title, _, shown in figures.values()]
    widgets = [text_widget(text=text, title=name, size=WidgetSize.FULL)]
    if counters:
        widgets.append(counter(counters=counters))
    model.name, model.timestamp, model.tags, model.metadata = name, at, tags, metadata
    model.metric_results = results | model.metric_results
    model.top_level_metrics = [*results, *model.top_level_metrics]
    model.widgets = [*widgets, *model.widgets]
    return to_json(model.dict())


def to_json(document: Any) -> str:
    """A document of Evidently's as it stores it."""
    return json.dumps(document, cls=NumpyEncoder)


def serve_workspace(folder: str, host: str, port: int) -> None:
    """Run Evidently's service on the workspace in `folder` until it is stopped."""
    stay_private()
    from evidently.ui.service.app import get_config, run

    run(get_config(host=host, port=port, workspace=folder))


def stay_private() -> None:
    """Keep Evidently from sending usage data to its makers; it asks for this before it sends."""
    os.environ["DO_NOT_TRACK"] = "1"


# --- statistical tests


class _ColumnDrift(ValueDrift):
    """Evidently's metric for the drift of a column, which keeps its result and draws nothing."""


class _ColumnDriftCalculation(ValueDriftCalculation, ABC):
    drawable: ColumnDataDriftMetrics

    def _render(self, result: ColumnDataDriftMetrics, options: Any, color_options: Any) -> list[Any]:
        # A drawing takes most of the time of a run, and most runs are never looked at.
        self.drawable = result
        return []


_ColumnDrift.__calculation_type__ = _ColumnDriftCalculation


def _method(test: ColumnTest) -> str:
    return f"carprice_{test.column}"


@contextmanager
def _registered(tests: Sequence[ColumnTest]) -> Iterator[None]:
    """Register tests with Evidently, which knows them by name, as long as they may be called."""
    registry = stattests.registry
    registered = []
    try:
        for test in tests:
            stattest = StatTest(
                name=_method(test),
                display_name=test.name,
                allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
                default_threshold=test.threshold,
            )
            implementation = _implementation(test)
            register_stattest(stattest, default_impl=implementation)
            registered.append((stattest, implementation))
        yield
    finally:
        for stattest, implementation in registered:
            registry._registered_stat_tests.pop(stattest.name, None)
            registry._registered_stat_test_funcs.pop(implementation, None)
            registry._impls.pop(stattest, None)


def _implementation(
    test: ColumnTest,
) -> Callable[[pd.Series, pd.Series, ColumnType, float], tuple[float, bool]]:
    def run(
        reference: pd.Series, current: pd.Series, kind: ColumnType, threshold: float
    ) -> tuple[float, bool]:
        return test.run(reference, current)

    return run


# --- drawings


def _drift_widgets(run: DriftRun, named: Mapping[str, set[str]]) -> list[Any]:
    """Evidently's table of all columns, drawn from the results of the run."""
    drifted = sum(result.drifted for result in run.results.values())
    share = drifted / max(len(run.results), 1)
    numbers = [column for column, drawn in run.drawable.items() if drawn.column_type == "num"]
    results = DataDriftTableResults(
        number_of_columns=len(run.results),
        number_of_drifted_columns=drifted,
        share_of_drifted_columns=share,
        dataset_drift=drifted > 0,
        drift_by_columns={
            column: drawn if column in numbers else _few_values(drawn, named.get(column, set()))
            for column, drawn in run.drawable.items()
        },
        dataset_columns=DatasetColumns(
            utility_columns=DatasetUtilityColumns(),
            num_feature_names=numbers,
            cat_feature_names=[column for column in run.drawable if column not in numbers],
            text_feature_names=[],
            datetime_feature_names=[],
            target_names=None,
            target_type=None,
            task=None,
        ),
    )
    table = DataDriftTable(columns=list(run.results))
    object.__setattr__(table, "get_result", lambda: results)
    counters = [
        CounterData("Columns", str(len(run.results))),
        CounterData("Drifted columns", str(drifted)),
        CounterData("Share of drifted columns", f"{share:.3f}"),
    ]
    renderer = find_metric_renderer(DataDriftTable, DEFAULT_RENDERERS)
    return [counter(counters=counters), *renderer.render_html(table)]


def _few_values(drawn: ColumnDataDriftMetrics, named: set[str]) -> ColumnDataDriftMetrics:
    """The distribution of a category with the named and the most frequent values, all others as one."""
    sides = [pd.Series(list(side.distribution.y), [*side.distribution.x]) for side in _sides(drawn)]
    shares = pd.concat([side / max(side.sum(), 1) for side in sides], axis=1).fillna(0.0).max(axis=1)
    frequent = set(shares.sort_values(ascending=False).index[:MOST_VALUES]) | named
    drawn = drawn.copy(deep=True)
    for side, counts in zip(_sides(drawn), sides, strict=True):
        labels = [safe_label(value) if value in frequent else "other values" for value in counts.index]
        shown = counts.groupby(labels, sort=False).sum()
        x, y = list(shown.index), [int(count) for count in shown]
        side.distribution = Distribution(x=x, y=y)
        side.small_distribution.x, side.small_distribution.y = x, y
    return drawn


def _sides(drawn: ColumnDataDriftMetrics) -> tuple[Any, Any]:
    return drawn.current, drawn.reference
