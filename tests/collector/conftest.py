"""The collector's tests read pages of the replica, and run the collector against it."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from demo.replica.market import Market
from demo.replica.server import Replica


@pytest.fixture
def replica() -> Iterator[Replica]:
    with Replica(Market(size=90)) as running:
        yield running
