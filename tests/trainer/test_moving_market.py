"""The gates over months of a market that moves, on small tables; `make bench-market` takes larger ones."""

from __future__ import annotations

import sys
from pathlib import Path

from carprice.params_file import parse_params

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # `benchmarks` is run from the repository

from benchmarks.moving_market import history


def test_every_month_of_a_rising_market_is_promoted_and_a_spoilt_candidate_is_not() -> None:
    small = parse_params("evaluation: {recent_rows: 100}")
    levels = [1.02**month for month in range(7)]
    months = list(history(small, 350, levels, worse=6))
    assert [month.promoted for month in months] == [True] * 5 + [False, True]
    assert {month.gates[0].name for month in months[1:]} == {"not_worse_than_production"}
