"""The level of the market: learned from the days of prices, and asked for by a day."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import skops.io
from test_model import distinct

from carprice.lifecycle import prediction, training
from carprice.lifecycle.saved_models import TRUSTED_TYPES, LoadedModel
from carprice.listings import reading, sample
from carprice.listings.asked_days import days_of
from carprice.listings.records import read_one
from carprice.model.comparables import Comparables
from carprice.model.explanation import Explainer
from carprice.model.features import COLUMNS, INPUTS, features_of
from carprice.model.market import learned_days, market_level
from carprice.model.price_model import price_records
from carprice.model.price_warnings import STALE_DAYS, warnings_of, warnings_of_table
from carprice.model.signature import is_known_signature, model_signature
from carprice.params import Params

FIRST, DAYS = pd.Timestamp("2026-01-01", tz="UTC"), 180
CAR: dict[str, Any] = read_one(
    {"make": "Dacia", "model": "Logan", "model_year": 2015, "mileage": 120_000, "fuel": "Diesel"}
).values


def day(number: float) -> str:
    return f"{FIRST + pd.Timedelta(days=number):%Y-%m-%d}"


def level(number: Any) -> Any:
    """A market that rises by a fifth in 90 days, falls by a tenth in a month, and stays there."""
    return np.interp(number, [0, 90, 120, DAYS], [1.0, 1.2, 1.08, 1.08])


@pytest.fixture(scope="module")
def listings() -> pd.DataFrame:
    """Listings at the prices of one day."""
    return distinct(sample.to_csv(sample.generate(1800, 4)).encode()).sort_values(
        "listing_id", ignore_index=True
    )


@pytest.fixture(scope="module")
def moving(listings: pd.DataFrame) -> pd.DataFrame:
    """The same cars, each seen on a day of half a year, at the prices of that day."""
    number = np.random.default_rng(0).integers(0, DAYS + 1, len(listings))
    number[:2] = 0, DAYS
    return listings.assign(
        asked_on=[day(each) for each in number], price_mad=listings["price_mad"] * level(number)
    )


@pytest.fixture(scope="module")
def fitted(moving: pd.DataFrame) -> training.Pipeline:
    return training.fit(moving, Params())


def logan(**more: Any) -> dict[str, Any]:
    return CAR | more


def price(pipeline: training.Pipeline, **more: Any) -> float:
    return float(price_records(pipeline, [logan(**more)])[0, 0])


def codes(pipeline: training.Pipeline, **more: Any) -> list[str]:
    return [warning["code"] for warning in warnings_of(pipeline, logan(**more))]


@pytest.mark.parametrize("days", [None, "2026-03-04"])
def test_prices_of_one_day_give_the_model_that_knows_no_days(
    listings: pd.DataFrame, days: str | None
) -> None:
    some = listings.head(500)
    without = training.fit(some, Params())
    dated = training.fit(some.assign(asked_on=days), Params())
    rows = features_of(listings.tail(200))
    np.testing.assert_array_equal(
        dated.predict(rows, return_interval=True), without.predict(rows, return_interval=True)
    )
    ours, theirs = dated["price"], without["price"]
    assert len(ours.level_.terms) == len(theirs.level_.terms)
    for its, other in zip(ours.level_.packed_, theirs.level_.packed_, strict=True):
        for name in its:
            np.testing.assert_array_equal(its[name], other[name])
    np.testing.assert_array_equal(ours.flagged_, theirs.flagged_)
    assert market_level(dated).empty
    asked = dated.predict(rows.assign(asked_on="2020-01-01"))
    np.testing.assert_array_equal(asked, without.predict(rows))


def test_the_learned_level_follows_the_market(fitted: training.Pipeline) -> None:
    numbers = [0, 25, 50, 75, 105, 150, DAYS]
    table = market_level(fitted, [day(number) for number in numbers])
    learned = table.loc[table["make"] == "", "level"].to_numpy()
    np.testing.assert_allclose(learned, level(numbers) / level(DAYS), atol=0.03)
    known = learned_days(fitted)
    assert known is not None
    assert (known.first, known.newest) == (day(0), day(DAYS))


def test_a_price_is_that_of_the_day_asked_for_and_of_the_newest_day_otherwise(
    fitted: training.Pipeline,
) -> None:
    now = price(fitted)
    assert price(fitted, asked_on=day(DAYS)) == now
    assert price(fitted, asked_on=None) == now
    assert price(fitted, asked_on=day(0)) / now == pytest.approx(1 / 1.08, abs=0.03)
    assert price(fitted, asked_on=day(80)) / now == pytest.approx(level(80) / 1.08, abs=0.04)


def test_beyond_the_learned_days_nothing_is_invented(fitted: training.Pipeline) -> None:
    assert price(fitted, asked_on="2035-01-01") == price(fitted)
    assert price(fitted, asked_on="1999-01-01") == price(fitted, asked_on=day(0))
    assert codes(fitted, asked_on=day(90)) == []
    assert codes(fitted, asked_on=day(DAYS + STALE_DAYS)) == []
    assert codes(fitted, asked_on=day(DAYS + STALE_DAYS + 1)) == ["asked_after_learned"]
    assert codes(fitted, asked_on=day(-1)) == ["asked_before_learned"]
    (warning,) = warnings_of(fitted, logan(asked_on="1999-01-01"))
    assert warning["params"] == {"value": "1999-01-01", "bound": day(0)}
    assert day(0) in warning["message"]


def test_today_counts_where_no_day_is_asked_for(
    fitted: training.Pipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    for days, expected in ((DAYS + 1, []), (DAYS + STALE_DAYS + 1, ["asked_after_learned"])):
        now = (FIRST + pd.Timedelta(days=days)).timestamp() + 3600
        monkeypatch.setattr("carprice.model.price_warnings.time.time", lambda now=now: now)
        assert codes(fitted) == expected
        table = features_of(pd.DataFrame([logan()]))
        assert [[each["code"] for each in row] for row in warnings_of_table(fitted, table)] == [expected]


def test_a_record_and_a_row_of_a_table_get_the_price_of_the_same_day(
    fitted: training.Pipeline, moving: pd.DataFrame
) -> None:
    rows = features_of(moving.tail(60))
    assert list(rows) == list(INPUTS)
    records = [{k: None if pd.isna(v) else v for k, v in row.items()} for row in rows.to_dict("records")]
    np.testing.assert_allclose(
        price_records(fitted, records), fitted.predict(rows, return_interval=True), rtol=1e-9
    )


def test_prices_are_as_accurate_and_covered_as_those_of_one_day(
    listings: pd.DataFrame, moving: pd.DataFrame
) -> None:
    found = {}
    for name, table in (("one day", listings), ("half a year", moving)):
        pipeline = training.fit(table.iloc[:1200], Params())
        test = table.iloc[1200:]
        asked = test["price_mad"].to_numpy()
        said, low, high = pipeline.predict(features_of(test), return_interval=True).T
        found[name] = np.median(np.abs(said / asked - 1)), ((low <= asked) & (asked <= high)).mean()
    assert found["half a year"][0] < found["one day"][0] + 0.01
    assert found["half a year"][1] > found["one day"][1] - 0.03


def test_a_make_may_move_against_the_market(moving: pd.DataFrame) -> None:
    number = (pd.to_datetime(moving["asked_on"], utc=True) - FIRST).dt.days.to_numpy()
    falls = np.where(moving["make"] == "Volkswagen", 1 - 0.1 * number / DAYS, 1.0)
    table = market_level(
        training.fit(moving.assign(price_mad=moving["price_mad"] / level(number) * falls), Params()), [day(0)]
    )
    found = table.set_index("make")["level"]
    assert found["volkswagen"] == pytest.approx(1 / 0.9, abs=0.05)
    assert found["volkswagen"] > found["dacia"] + 0.05


def test_the_explanation_says_how_the_market_moved(fitted: training.Pipeline, moving: pd.DataFrame) -> None:
    then = moving[moving["asked_on"] < day(20)].head(20)
    explainer = Explainer(fitted, features_of(then))
    for asked_on, sign in ((None, 1), (day(95), 1), (day(0), -1)):
        found = explainer.explain(logan(asked_on=asked_on))
        market = next(each for each in found.contributions if each.group == "market")
        assert market.columns == ("asked_on",)
        assert market.log * sign > 0
        assert abs(found.base_mad + sum(c.mad for c in found.contributions) - found.price_mad) < 0.01
        assert found.price_mad == pytest.approx(price(fitted, asked_on=asked_on), rel=1e-9)
    today = explainer.explain(logan())
    assert next(c for c in today.contributions if c.group == "market").log == pytest.approx(
        np.log(1.08 / level(10)), abs=0.03
    )


def test_the_day_of_a_price_makes_no_car_more_or_less_like_another(
    fitted: training.Pipeline, moving: pd.DataFrame
) -> None:
    found = Comparables(fitted, moving).nearest(logan(), 10)
    other = Comparables(fitted, moving).nearest(logan(asked_on=day(0)), 10)
    pd.testing.assert_frame_equal(found, other)
    assert found["similarity"].iloc[0] > 0.5
    asked = moving.set_index("url")["price_mad"]
    assert (found["price_mad"] == asked.loc[found["url"]].to_numpy()).all()


def test_the_order_of_the_listings_makes_no_difference(moving: pd.DataFrame) -> None:
    some, rows = moving.head(400), features_of(moving.tail(50))
    one, other = training.fit(some, Params()), training.fit(some.iloc[::-1], Params())
    np.testing.assert_allclose(one.predict(rows), other.predict(rows), rtol=1e-3)


def test_a_saved_model_keeps_its_level(
    fitted: training.Pipeline, tmp_path: Path, moving: pd.DataFrame
) -> None:
    skops.io.dump(fitted, tmp_path / "model.skops")
    loaded = skops.io.load(tmp_path / "model.skops", trusted=TRUSTED_TYPES)
    rows = features_of(moving.tail(20))
    np.testing.assert_array_equal(loaded.predict(rows), fitted.predict(rows))
    pd.testing.assert_frame_equal(market_level(loaded), market_level(fitted))


def test_a_model_of_an_earlier_release_prices_without_a_level(listings: pd.DataFrame) -> None:
    pipeline = training.fit(listings.head(300), Params())
    model, features = pipeline["price"], pipeline["features"]
    model.edge_factors_ = model.edge_factors_[:4]
    rows, now = features_of(listings.tail(20)), price(pipeline)
    expected = pipeline.predict(rows, return_interval=True)
    earlier = COLUMNS[: COLUMNS.index("month")]
    for regressor, columns in ((model.level_, earlier), (model.spread_, (*earlier, "price"))):
        regressor.set_params(columns=columns, numeric=[c for c in regressor.numeric if c != "month"])
        regressor.levels_ = regressor.levels_[: len(earlier)] + regressor.levels_[len(COLUMNS) :]
        del regressor.__dict__["_made_effects"]
    del model.market_terms, features.first_day_, features.newest_day_, features.continues_years_
    np.testing.assert_array_equal(pipeline.predict(rows, return_interval=True), expected)
    assert price(pipeline, asked_on="2026-03-04") == now
    assert codes(pipeline, asked_on="2026-03-04") == ["no_market_level"]
    assert codes(pipeline) == []
    newest = features.newest_year_
    assert price(pipeline, model_year=newest + 1) == price(pipeline, model_year=newest)
    assert codes(pipeline, model_year=newest + 1) == ["outside_training_range"]
    assert learned_days(pipeline) is None
    assert market_level(pipeline).empty


def test_the_signatures_of_this_release_and_of_the_one_before_are_known() -> None:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import Schema

    signature = model_signature()
    earlier = ModelSignature(
        Schema([column for column in signature.inputs.inputs if column.name != "asked_on"]),
        signature.outputs,
        signature.params,
    )
    other = ModelSignature(Schema(signature.inputs.inputs[1:]), signature.outputs, signature.params)
    assert [is_known_signature(each) for each in (signature, earlier, other)] == [True, True, False]
    assert not signature.inputs.input_dict()["asked_on"].required


@pytest.mark.parametrize(
    ("said", "asked_on"),
    [("2026-05-04", "2026-05-04"), ("31/12/2026", "2026-12-31"), ("2026-05-04T12:00:00Z", "2026-05-04"),
     ("12 mai 2026", "2026-05-12"), (None, None), ("", None), ("--", None)],
)  # fmt: skip
def test_a_record_names_its_day(said: str | None, asked_on: str | None) -> None:
    read = read_one({"make": "Dacia", "model": "Logan", "model_year": 2015, "asked_on": said})
    assert (read.problems, read.unknown_fields, read.asked_on) == ([], [], asked_on)


@pytest.mark.parametrize("said", ["soon", "03/04/2026", "hier", 20260504, "2026-13-01", "0001-01-01", True])
def test_a_day_that_can_not_be_told_is_refused(said: Any) -> None:
    read = read_one({"make": "Dacia", "model": "Logan", "model_year": 2015, "asked_on": said})
    (problem,) = read.problems
    assert (problem.field, problem.code) == ("asked_on", "not_a_date")
    assert "a date such as" in problem.sentence()


@dataclasses.dataclass
class OneModel:
    """A registry with one version."""

    pipeline: training.Pipeline

    def load_version(self, alias: str) -> LoadedModel:
        return LoadedModel(self.pipeline, None, pd.DataFrame())


def test_a_file_is_priced_for_the_days_of_its_rows_or_for_one_day(fitted: training.Pipeline) -> None:
    head = "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant"
    row = "Dacia;Logan;2015;120000;Diesel"
    dated = f"{head};asked_on\n{row};{day(0)}\n{row};\n{row};bientôt\n{row};{day(95)}\n"
    raw = reading.read_raw(dated.encode(), "cars.csv")
    registry: Any = OneModel(fitted)
    found = prediction.price_rows(registry, raw, "production", asked_on=day(60))
    expected = [price(fitted, asked_on=each) for each in (day(0), day(60), day(95))]
    assert found[prediction.PRICE].dropna().tolist() == [round(each) for each in expected]
    assert found[prediction.PROBLEM].tolist()[:2] == ["", ""]
    assert found[prediction.PROBLEM][2].startswith("asked_on: not a date")
    plain = reading.read_raw(f"{head}\n{row}\n".encode(), "cars.csv")
    for asked_on in (None, day(30)):
        (one,) = prediction.price_rows(registry, plain, "production", asked_on)[prediction.PRICE]
        assert one == round(price(fitted, asked_on=asked_on))


def test_days_are_those_of_moments_in_utc() -> None:
    times = pd.Series(pd.to_datetime(["2026-05-04T23:59:59Z", None, "2026-05-05T00:00:00+01:00"], utc=True))
    assert days_of(times).tolist() == ["2026-05-04", None, "2026-05-04"]
