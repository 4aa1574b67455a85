"""The clock of the machine is set back an hour, and the next file comes through as if it had not been."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from systems import System

from carprice.history import rebuilding
from carprice.lifecycle.rollback import rollback
from carprice.pipeline import whole_run
from carprice.reports.state import read_state


@pytest.fixture
def after(system: System) -> System:
    """The system after a second file that landed when the clock had been set back."""
    file = str(system.land("b.csv", 900, 2))
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=1)):
        report = whole_run.run(system.root, system.params, system.registry, file)
    assert report["verdict"] == "promoted"
    return System(system.root, system.params, system.registry, report)


def test_the_file_is_the_newest_everywhere(after: System) -> None:
    first, second = [entry["version"] for entry in after.registry.history()]
    assert second == after.report["production_version"] == after.version("production")
    assert after.version("previous") == first

    state = read_state(after.root)
    assert state.newest_file["file"] == "b.csv"
    assert state.production_version == second
    assert state.pipeline["version"] == second
    files = after.root.read_json("snapshots/latest.json")["sha256"]
    assert files[-1] == state.newest_file["sha256"]
    assert rebuilding.rebuild(after.root, after.params)["identical"]


def test_a_promotion_that_is_repeated_writes_no_second_entry_and_a_rollback_finds_the_version_before(
    after: System,
) -> None:
    first, second = [entry["version"] for entry in after.registry.history()]
    with time_machine.travel(datetime.now(UTC) - timedelta(hours=1)):
        after.registry.put_in_production(second, "promotion", "someone", "once more")
        assert len(after.registry.history()) == 2
        assert rollback(after.registry, "someone", "odd prices")["version"] == first
    assert [entry["version"] for entry in after.registry.history()] == [first, second, first]
    assert after.version("production") == first
