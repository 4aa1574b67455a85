"""What the adapter relies on in Evidently. A failure here after an upgrade says which module to adapt."""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("evidently")


@contextmanager
def internals_of_evidently() -> Iterator[None]:
    """Explain any failure inside, be it a name that is gone or a result that is different."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 (an upgrade may fail in any way)
        pytest.fail(
            "carprice/monitoring/evidently_adapter.py expects internals that Evidently "
            f"{version('evidently')} does not have: {type(error).__name__}: {error}. Adapt that module, the "
            "only one that uses them, or pin Evidently's previous version in images/trainer/requirements.in."
        )


@pytest.fixture
def adapter() -> Any:
    with internals_of_evidently():
        return importlib.import_module("carprice.monitoring.evidently_adapter")


class Recorder:
    """A statistical test that returns what it is told to, and keeps what it was called with."""

    def __init__(self, score: float, drifted: bool) -> None:
        self.returned = score, drifted
        self.calls: list[tuple[pd.Series, pd.Series]] = []

    def __call__(self, reference: pd.Series, current: pd.Series) -> tuple[float, bool]:
        self.calls.append((reference, current))
        return self.returned


@pytest.fixture
def recorders() -> dict[str, Recorder]:
    return {"power": Recorder(0.1234567, False), "fuel": Recorder(0.7654321, True)}


@pytest.fixture
def run(adapter: Any, recorders: dict[str, Recorder]) -> Any:
    reference = pd.DataFrame({"power": [6.0, np.nan, 8.0, 7.0] * 5, "fuel": ["a", "b", None, "<b>"] * 5})
    current = pd.DataFrame({"power": [5.0, 9.0, 8.0, np.nan] * 5, "fuel": [None, "b", "c", "c"] * 5})
    tests = [
        adapter.ColumnTest(name, "effect size", name == "power", 0.2, recorder)
        for name, recorder in recorders.items()
    ]
    with internals_of_evidently():
        return adapter.run_drift_tests(reference, current, tests)


def test_evidently_runs_each_test_once_and_its_result_is_what_the_test_returned(
    run: Any, recorders: dict[str, Recorder]
) -> None:
    for column, recorder in recorders.items():
        assert len(recorder.calls) == 1
        assert (run.results[column].score, run.results[column].drifted) == recorder.returned


def test_evidently_hands_over_the_values_without_empty_ones_and_with_their_rows(
    run: Any, recorders: dict[str, Recorder]
) -> None:
    [(reference, current)] = recorders["power"].calls
    assert list(reference.index[:4]) == [0, 2, 3, 4]
    assert list(current[:3]) == [5.0, 9.0, 8.0]
    [(reference, current)] = recorders["fuel"].calls
    assert list(reference[:3]) == ["a", "b", "<b>"]
    assert list(current.index[:3]) == [1, 2, 3]


def test_evidently_forgets_the_tests_after_the_run(run: Any) -> None:
    with internals_of_evidently():
        from evidently.legacy.calculations.stattests import registry

        names = {
            *registry._registered_stat_tests,
            *registry._registered_stat_test_funcs.values(),
            *(test.name for test in registry._impls),
        }
    assert not [name for name in names if name.startswith("carprice_")]


def test_the_page_shows_the_scores_of_the_run_and_tests_nothing_again(
    adapter: Any, run: Any, recorders: dict[str, Recorder]
) -> None:
    from evidently import Report

    with internals_of_evidently():
        details = Report([]).run(pd.DataFrame({"a": [1.0]}), None)
        page = adapter.html_page(adapter.with_drift(run, details, {"fuel": {"<b>"}})).decode()
    assert "0.123457" in page
    assert "0.765432" in page
    assert "\\u2039b>" in page, "the page writes the value in JSON"
    assert "<b>" not in page.split("</style>")[-1].split("var global")[0]
    assert all(len(recorder.calls) == 1 for recorder in recorders.values())


def test_a_run_of_the_workspace_holds_its_figures_and_a_saved_report(adapter: Any, run: Any) -> None:
    figures = {"live_error": ("Mean error", 0.09, "9.0 %")}
    for saved, others in ((None, 0), (run.snapshot.dumps(), 2)):
        with internals_of_evidently():
            from evidently.core.report import Snapshot

            at = datetime(2025, 1, 2, tzinfo=UTC)
            document = adapter.run_document(
                saved, "new.csv", at, ["stable"], {"file": "new.csv"}, figures, ""
            )
            read = Snapshot.loads(document)
        assert read.get_name() == "new.csv"
        assert len(read.metric_results) == 1 + others
        assert read.metric_results["live_error"].value == 0.09
