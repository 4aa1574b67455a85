"""A file with known ads in another layout: it fills columns, and says nothing new about model and market."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from systems import FAST, System

from carprice.errors import NothingToDo
from carprice.history import snapshots
from carprice.lifecycle.evaluation import test_listings as listings_to_test
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.listings import sample
from carprice.listings.schema import EQUIPMENT
from carprice.monitoring.drift import detect_drift
from carprice.monitoring.live_accuracy import score_new_listings
from carprice.params_file import parse_params
from carprice.pipeline import whole_run
from carprice.store import DataRoot

NARROW = ["Marque", "Modèle", "Année-Modèle", "Kilométrage", "Type de carburant", "Puissance fiscale", "Prix"]
PARAMS = parse_params(FAST.replace("confidence: 0.8", "confidence: 0.0, max_slice_loss: 9.0"))


def middle(mileage: str) -> str:
    """The middle of a bracket as text; anything else as it is."""
    ends = [int(end.replace(" ", "")) for end in mileage.split("-")] if "-" in mileage else []
    return str(sum(ends) / 2) if len(ends) == 2 else mileage


@pytest.fixture(scope="module")
def twice(tmp_path_factory: pytest.TempPathFactory) -> System:
    """A root after a narrow file without links, and after the same ads with more columns."""
    folder = tmp_path_factory.mktemp("twice")
    (folder / "data").mkdir()
    root = DataRoot(str(folder / "data"))
    market = sample.generate(600, seed=3).drop(columns=["", "Lien"]).drop_duplicates(ignore_index=True)
    price = pd.to_numeric(market["Prix"].str.replace(r"\D", "", regex=True), errors="coerce")
    market = market[price.notna()].assign(Prix=[f"{p + n:.0f}" for n, p in enumerate(price.dropna())])
    again = market.sample(frac=0.6, random_state=0)
    again = again.assign(Kilométrage=again["Kilométrage"].astype(str).map(middle))
    for name, table in {
        "narrow.csv": market[NARROW],
        "wide.csv": again.rename(columns={"Ville": "city"}),
    }.items():
        table.to_csv(folder / name, index=False)
        report = whole_run.run(root, PARAMS, Registry(root), str(folder / name))
    return System(root, PARAMS, Registry(root), report)


def runs_of_both(system: System) -> list[Any]:
    """The runs of both versions."""
    return [system.registry.get_run(str(system.registry.version(number).run_id)) for number in ("1", "2")]


def manifests(system: System) -> tuple[dict, dict]:
    """The manifests of the snapshots of both versions."""
    runs = runs_of_both(system)
    first, second = (snapshots.manifest_of(system.root, run.data.tags["snapshot_id"]) for run in runs)
    return first, second


def test_the_snapshot_has_no_new_ad_and_the_columns_of_both_files(twice: System) -> None:
    first, second = manifests(twice)
    ads = second["files"][1]["ads"]
    assert ads["new"] == 0
    assert ads["unsure"] <= 0.01 * ads["ads"]
    before, after = (snapshots.load(twice.root, manifest["id"])[1] for manifest in (first, second))
    assert len(after) - len(before) <= 0.01 * ads["ads"]
    for name in ("city", *EQUIPMENT):
        assert before[name].isna().all()
        assert after[name].notna().sum() >= 0.9 * ads["linked"]


def test_the_richer_listings_are_judged_on_the_same_test_listings(twice: System) -> None:
    assert twice.version(PRODUCTION) == "2"
    runs = runs_of_both(twice)
    before, after, both = (
        set(listings_to_test(twice.root, *some)["listing_id"])
        for some in ((runs[0],), (runs[1],), (runs[1], runs[0]))
    )
    assert before == after == both


def test_no_figure_and_no_drift_is_told_of_known_ads(twice: System) -> None:
    sha = manifests(twice)[1]["files"][1]["sha256"]
    with pytest.raises(NothingToDo, match="nothing new to judge by"):
        score_new_listings(twice.root, PARAMS, twice.registry, [sha])
    with pytest.raises(NothingToDo, match=r"found all .* known"):
        detect_drift(twice.root, PARAMS, twice.registry, "latest")
    folders = ("reports/live", "reports/drift")
    assert not any(twice.root.names(folder) for folder in folders)


def test_the_report_says_that_nothing_is_new(twice: System) -> None:
    page = Path(twice.folder / twice.report["report"]).read_text()
    assert re.search(r"wide\.csv has no new ad: there is nothing new to judge the model by", page)
