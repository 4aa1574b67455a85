"""A file with a systematic fault is held until a person releases or rejects it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from systems import System

from carprice import cli
from carprice.alerts.record import all_alerts
from carprice.errors import NothingToDo, UsageProblem
from carprice.landing.content import sha256_of
from carprice.listings import sample
from carprice.params import Params, QualityParams
from carprice.pipeline import ingestion, whole_run
from carprice.pipeline.context import Context
from carprice.quality.check import FileHeld, check_data_quality
from carprice.quality.hold import Floats, HoldEvidence, HoldReason, KnownPrices, PriceSource
from carprice.quality.identities import RowIds
from carprice.store import DataRoot

PARAMS = QualityParams()
HEADER = "Lien;Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Prix\n"


def cars(rows: int = 400) -> pd.DataFrame:
    """Listings whose prices scatter by 12 % around what `model` says."""
    draw = np.random.default_rng(0)
    years = draw.integers(2000, 2024, rows)
    said = pd.DataFrame(
        {
            "listing_id": [f"ad-{n}" for n in range(rows)],
            "make": draw.choice(["Dacia", "Fiat", "Renault"], rows),
            "model": "Logan",
            "model_year": years.astype(float),
            "mileage_km_min": 90_000.0,
        }
    )
    said["price_mad"] = np.round(model(said)[:, 0] * np.exp(draw.normal(0, 0.12, rows)), -2)
    return said


def model(listings: pd.DataFrame) -> Floats:
    """Price, low and high: 20,000 MAD in 2000 and 12 % more for each year."""
    price = 20_000 * 1.12 ** (listings["model_year"].to_numpy() - 2000)
    return np.column_stack([price, price * 0.8, price * 1.25])


def reasons_to_hold(
    listings: pd.DataFrame, params: QualityParams, prices: PriceSource
) -> tuple[list[HoldReason], dict[str, object]]:
    """The evidence of listings that come in three parts."""
    evidence = HoldEvidence(params.hold_max_rows)
    for part in np.array_split(np.arange(len(listings)), 3):
        some = listings.iloc[part]
        evidence.add(some, RowIds.of(some))
    return evidence.reasons(params, prices)


def codes(listings: pd.DataFrame, price: Callable[[pd.DataFrame], Floats] = model) -> list[str]:
    return [reason.code for reason in reasons_to_hold(listings, PARAMS, lambda: KnownPrices("7", price))[0]]


def with_prices(prices: Callable[[pd.Series], pd.Series]) -> pd.DataFrame:
    listings = cars()
    listings["price_mad"] = prices(listings["price_mad"])
    return listings


def moved(prices: pd.Series) -> pd.Series:
    """Each price at the next car."""
    return pd.Series(np.roll(prices.to_numpy(), 1), index=prices.index)


@pytest.mark.parametrize("factor", [1, 0.85, 1.1, 1.15, 1.25])
def test_a_move_of_the_market_holds_no_file(factor: float) -> None:
    assert codes(with_prices(lambda prices: prices * factor)) == []


@pytest.mark.parametrize("factor", [1 / 10.8, 0.1, 0.001, 10, 100, 2.5])
def test_another_currency_or_unit_is_told_with_its_factor(factor: float) -> None:
    listings = with_prices(lambda prices: prices * factor)
    reasons, found = reasons_to_hold(listings, PARAMS, lambda: KnownPrices("7", model))
    assert [reason.code for reason in reasons] == ["prices_off"]
    assert found["median_factor"] == pytest.approx(factor, rel=0.08)
    assert found["rows"] == 400
    assert f"{reasons[0].params['factor']} times what model version 7 says" in reasons[0].record()["sentence"]


@pytest.mark.parametrize(
    ("factor", "held"), [(0.001, True), (1 / 10.8, True), (100, True), (0.5, False), (5, False)]
)
def test_prices_that_are_no_dirhams_hold_the_first_file_too(factor: float, held: bool) -> None:
    listings = with_prices(lambda prices: prices * factor)
    reasons, _ = reasons_to_hold(listings, PARAMS, lambda: "no model is in production")
    assert [reason.code for reason in reasons] == ["no_usual_price"] * held
    assert reasons_to_hold(listings.head(20), PARAMS, lambda: "no model is in production")[0] == []
    if held:
        assert (
            "MAD (the median of 400 cars), expected between 10\u202f000 and 2\u202f000\u202f000"
            in reasons[0].record()["sentence"]
        )


def test_right_files_of_one_kind_of_car_or_of_few_rows_are_not_held() -> None:
    listings = cars(2_000)
    dear = listings.nlargest(150, "price_mad")
    old = listings[listings["model_year"] <= 2003]
    assert codes(dear) == codes(old) == codes(listings.head(5)) == []


def test_prices_of_other_rows_and_a_part_in_another_currency_are_scattered() -> None:
    assert codes(with_prices(moved)) == ["prices_scattered"]
    assert codes(with_prices(lambda prices: prices.where(prices.index % 3 > 0, prices / 10.8))) == [
        "prices_scattered"
    ]


def test_single_typing_errors_hold_no_file() -> None:
    assert codes(with_prices(lambda prices: prices.where(prices.index % 40 > 0, prices * 10))) == []


def test_cars_that_the_model_does_not_know_well_say_nothing() -> None:
    def unsure(listings: pd.DataFrame) -> Floats:
        return model(listings) * [1, 0.2, 4]

    reasons, found = reasons_to_hold(
        with_prices(lambda prices: prices * 2.5), PARAMS, lambda: KnownPrices("7", unsure)
    )
    assert (reasons, found) == ([], {"skipped": "model version 7 knows only 0 of the cars well enough"})


def test_a_model_that_can_not_price_the_listings_stops_no_file() -> None:
    def broken(listings: pd.DataFrame) -> Floats:
        raise KeyError("a column of tomorrow")

    assert (
        "a column of tomorrow"
        in reasons_to_hold(cars(), PARAMS, lambda: KnownPrices("7", broken))[1]["skipped"]
    )


def test_without_a_model_the_receipt_says_why_prices_were_not_compared() -> None:
    listings = with_prices(lambda prices: prices * 2.5)
    assert reasons_to_hold(listings, PARAMS, lambda: "no model is in production") == (
        [],
        {"skipped": "no model is in production"},
    )


def test_an_imputed_mean_is_found_by_its_share_of_the_rows() -> None:
    imputed = with_prices(lambda prices: prices.where(prices.index % 3 > 0, round(prices.mean() + 1)))
    reasons = reasons_to_hold(imputed, PARAMS, lambda: "no model")[0]
    assert [reason.code for reason in reasons] == ["one_price"]
    assert (reasons[0].params["times"], reasons[0].params["rows"]) == (134, 400)


def test_a_round_price_may_be_frequent_and_an_odd_one_may_not() -> None:
    def one_in_nine(amount: int) -> pd.DataFrame:
        return with_prices(lambda prices: prices.where(prices.index % 9 > 0, amount))

    assert codes(one_in_nine(60_000)) == []
    assert codes(one_in_nine(60_123)) == ["one_price"]


def test_rows_of_different_cars_with_one_id_are_merged_ads() -> None:
    listings = cars()
    listings["listing_id"] = "avito.ma-123456"
    reasons = reasons_to_hold(listings, PARAMS, lambda: "no model")[0]
    assert [(reason.code, reason.params["ads"]) for reason in reasons] == [("ads_merged", 1)]


def test_the_same_ads_seen_on_many_days_are_no_merged_ads() -> None:
    days = pd.concat([cars(60)] * 20, ignore_index=True)
    assert codes(days) == []


# --- with files


def content(listings: pd.DataFrame) -> str:
    return HEADER + "".join(
        f"https://x.ma/{1_000_000 + n};{make};Logan;{year:.0f};90 000 - 94 999;Diesel;{price:.0f}\n"
        for n, (make, year, price) in enumerate(
            zip(listings["make"], listings["model_year"], listings["price_mad"], strict=True)
        )
    )


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(str(tmp_path / "data"))


@pytest.fixture
def held(root: DataRoot) -> str:
    """The SHA-256 of a held file."""
    root.write_text("raw/euros.csv", content(with_prices(lambda prices: prices / 10.8)))
    sha256 = sha256_of(root, "raw/euros.csv")
    for _ in range(2):  # the second time it is only looked up
        with pytest.raises(FileHeld, match=r"euros.csv is held: the prices are 0.09\d? times"):
            check_data_quality(root, Params(), "euros.csv", sha256, lambda: KnownPrices("7", model))
    return sha256


def page(root: DataRoot, sha256: str) -> str:
    return " ".join(root.read_bytes(f"reports/quality/{sha256}.html").decode().split())


def test_a_held_file_is_not_merged_and_its_page_says_the_factor_and_what_to_do(
    root: DataRoot, held: str
) -> None:
    receipt = root.read_json(f"receipts/{held}.json")
    assert (receipt["status"], receipt["rows_accepted"], receipt["refusal"]) == ("held", 400, None)
    assert not root.exists(f"listings/{held}.parquet")
    with pytest.raises(NothingToDo):
        ingestion.assemble_listings(Context(root, Params()), [held])
    for words in ("Held.", "times what model version 7 says", f"bin/carprice release {held[:12]}"):
        assert words in page(root, held)


def test_a_released_file_is_accepted_claimed_at_once_and_assembled(root: DataRoot, held: str) -> None:
    context = Context(root, Params())
    receipt = ingestion.decide_held_file(context, "release", "euros.csv", "Amina", "it is right")
    assert receipt == root.read_json(f"receipts/{held}.json")
    assert receipt["status"] == "accepted"
    assert receipt["hold"][0]["code"] == "prices_off"
    decision = {key: receipt["decision"][key] for key in ("action", "by", "reason")}
    assert decision == {"action": "release", "by": "Amina", "reason": "it is right"}
    assert "Amina released it" in page(root, held)
    assert ingestion.claim_files(context) == [{"file": "euros.csv", "sha256": held}]
    ingestion.check_data_quality(context, "euros.csv", held)
    assert ingestion.assemble_listings(context, [held])["rows_accepted"] == 400
    with pytest.raises(NothingToDo):
        ingestion.claim_files(context)


def test_a_rejected_file_is_refused_by_name_of_who_did_it(root: DataRoot, held: str) -> None:
    context = Context(root, Params())
    receipt = ingestion.decide_held_file(context, "reject", held[:12], "Amina", "euros")
    assert (receipt["status"], receipt["refusal"]) == ("refused", "Amina rejected euros.csv: euros")
    assert (receipt["rows_accepted"], receipt["rows_quarantined"]) == (0, 400)
    assert "Refused." in page(root, held)
    with pytest.raises(NothingToDo):
        ingestion.claim_files(context)


def test_a_decision_that_fits_no_held_file_names_those_that_are_held(root: DataRoot, held: str) -> None:
    context = Context(root, Params())
    with pytest.raises(UsageProblem, match=r"found none of that name: other.csv. Held are: euros.csv"):
        ingestion.decide_held_file(context, "release", "other.csv", "Amina", "why")
    ingestion.decide_held_file(context, "release", held, "Amina", "why")
    with pytest.raises(NothingToDo):
        ingestion.decide_held_file(context, "release", held, "Amina", "again")
    with pytest.raises(UsageProblem, match="found that it is accepted"):
        ingestion.decide_held_file(context, "reject", held, "Amina", "after all not")


# --- with a model in production


def in_euros(system: System) -> Path:
    """A new synthetic file whose prices are euros."""
    table = sample.generate(900, 5)
    table["Prix"] = [
        f"{float(price) / 10.8:.0f}" if price.isdigit() else price
        for price in table["Prix"].astype(str).str.replace(r"[^\d]", "", regex=True)
    ]
    path = system.folder / "euros.csv"
    path.write_bytes(sample.to_csv(table).encode())
    return path


def test_a_file_in_euros_is_held_told_and_leaves_production_alone(system: System) -> None:
    path = in_euros(system)
    before = system.version("production")
    with pytest.raises(FileHeld):
        whole_run.run(system.root, system.params, system.registry, str(path))
    assert system.version("production") == before
    told = [alert for alert in all_alerts(system.root) if alert["kind"] == "file_held"]
    assert [alert["state"] for alert in told] == ["open"]
    assert "times what model version 1 says" in told[0]["text"]
    context = Context(system.root, system.params, system.registry)
    ingestion.decide_held_file(context, "reject", "euros.csv", "Amina", "these are euros")
    assert [a["state"] for a in all_alerts(system.root) if a["kind"] == "file_held"] == ["resolved"]


def test_a_good_file_is_compared_and_accepted(system: System) -> None:
    path = system.land("second.csv", 600, 8)
    ingestion.land(Context(system.root), str(path))
    receipt = check_of(system, "second.csv")
    assert receipt["status"] == "accepted"
    assert receipt["price_check"]["model_version"] == "1"
    assert 0.9 < receipt["price_check"]["median_factor"] < 1.1


def check_of(system: System, name: str) -> dict[str, object]:
    context = Context(system.root, system.params, system.registry)
    sha256 = sha256_of(system.root, f"raw/{name}")
    return ingestion.check_data_quality(context, name, sha256)


def test_the_check_command_says_that_a_file_would_be_held(
    system: System, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATA_DIR", system.root.location)
    path = in_euros(system)
    assert cli.main(["check", "--json", str(path)]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["status"], said["hold"][0]["code"]) == ("held", "prices_off")
