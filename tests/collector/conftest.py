"""The collector's tests read pages of the replica, and run the collector against it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path[:0] = [str(Path(__file__).resolve().parents[2]), str(Path(__file__).resolve().parent)]

from demo.replica.market import Market
from demo.replica.server import Replica
from running import Operator


@pytest.fixture
def replica() -> Iterator[Replica]:
    """A site of 90 ads. Whatever goes wrong on it, it is never asked for two pages at once."""
    with Replica(Market(size=90)) as running:
        yield running
        assert running.most_at_once <= 1


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """Delays are short; a test of time sets its own."""
    return Operator(
        tmp_path,
        {"CARPRICE_COLLECT_CONTACT": "ops@example.ma", "CARPRICE_COLLECT_DELAY_SECONDS": "0"},
    )
