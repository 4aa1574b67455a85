"""The past of the invented market that `make demo PAST=1` lands."""

from __future__ import annotations

import io

import pandas as pd
from demo.replica import past


def test_cars_get_cheaper_and_go_and_are_otherwise_the_same_from_week_to_week() -> None:
    weeks = [pd.read_csv(io.StringIO(text)) for _, text in past.files(past.market())]
    ads = pd.concat(weeks).groupby("url")

    assert len(weeks) == past.WEEKS + 1
    assert all(week["scraped_at"].nunique() == 1 for week in weeks)
    for name in ("make", "model", "model_year", "fuel", "gearbox", "city", "mileage_km_min"):
        assert (ads[name].nunique() == 1).all()
    prices = ads["price_mad"].agg(["first", "last", "nunique"])
    assert (prices["last"] <= prices["first"]).all()
    assert prices["nunique"].max() == 2
    assert not set(weeks[0]["url"]) <= set(weeks[-1]["url"])


def test_the_same_files_are_made_again() -> None:
    assert list(past.files(past.market())) == list(past.files(past.market()))
