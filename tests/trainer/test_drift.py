"""The drift step on a whole system: what it compares, what it writes, what it says of it."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from systems import System

from carprice import drift, landing, pipeline, quality, report_records, sample, snapshots
from carprice.data_root import DataRoot
from carprice.drift_tests import DRIFTED, STABLE, TOO_LITTLE
from carprice.errors import NothingToDo
from carprice.params import Params
from carprice.registry import PRODUCTION, Registry

pytest.importorskip("evidently")
Change = Callable[[pd.DataFrame], pd.DataFrame]


def landed(system: System, rows: int, seed: int, change: Change | None = None, name: str = "new.csv") -> str:
    """The SHA-256 of a synthetic file after its checks; `change` edits its accepted listings."""
    sha = str(landing.land(system.root, str(system.land(name, rows, seed)))["sha256"])
    quality.check_data_quality(system.root, system.params, name, sha)
    if change is not None:
        table = system.root.read_parquet(f"listings/{sha}.parquet")
        system.root.write_parquet(f"listings/{sha}.parquet", change(table))
    snapshots.assemble(system.root, system.params, [sha])
    return sha


def detected(system: System) -> dict[str, Any]:
    return drift.detect_drift(system.root, system.params, system.registry, "latest")


def dearer(table: pd.DataFrame) -> pd.DataFrame:
    table["price_mad"] *= 1.25
    table.loc[table.index % 3 == 0, "fuel"] = None
    table["condition"] = None
    table.loc[table.index % 8 == 0, "make"] = "<b>Zeekr</b>"
    return table


Seen = tuple[System, dict[str, Any]]


@pytest.fixture(scope="module")
def seen(
    _run_once: tuple[Path, dict[str, Any]], fast_params: Params, tmp_path_factory: pytest.TempPathFactory
) -> Seen:
    """A system in which drift was detected twice on a file of the same market, with questions asked."""
    source, report = _run_once
    target = tmp_path_factory.mktemp("seen") / "data"
    shutil.copytree(source, target)
    root = DataRoot(str(target))
    system = System(root, fast_params, Registry(root), report)
    landed(system, 900, 2)
    _, listings = snapshots.load(root, "latest")
    asked = listings.sample(400, random_state=0).assign(fuel="Electrique", condition=None)
    asked["at"] = pd.Timestamp("2026-03-01", tz="UTC")
    old = listings.sample(50, random_state=1).assign(at=pd.Timestamp("2025-01-01", tz="UTC"))
    questions = pd.concat([asked, asked, old]).drop(columns="price_mad")
    root.write_parquet("asked/2026-03.parquet", questions)
    detected(system)
    return system, detected(system)


def test_listings_of_the_same_market_are_stable_and_the_version_says_so(seen: Seen) -> None:
    system, found = seen
    assert (found["verdict"], found["drifted"]) == (STABLE, False)
    tags = system.registry.version("1").tags
    assert (tags["drift.verdict"], tags["drift.report"]) == (STABLE, found["report"])


def test_doing_it_again_replaces_the_report(seen: Seen) -> None:
    system, found = seen
    assert len(system.root.names("reports/drift", ".html")) == 2, "ours and Evidently's"
    record = system.root.read_json(found["report"].replace(".html", ".json"))
    assert record["report"] == found["report"]
    assert json.dumps(record, allow_nan=False)


def test_the_pages_open_without_a_network_and_stay_under_five_megabytes(seen: Seen) -> None:
    system, found = seen
    page, beside = (system.root.read_bytes(found[key]) for key in ("report", "evidently"))
    assert f'href="{found["evidently"].rsplit("/", 1)[-1]}"' in page.decode()
    for content in (page, beside):
        assert len(content) < 5_000_000
        asks = rb"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["']?(?:https?:)?//"""
        assert not re.search(asks, content)


def test_what_people_ask_has_a_verdict_of_its_own(seen: Seen) -> None:
    system, found = seen
    assert found["verdict"] == STABLE
    assert found["asked"]["drifted_columns"] == ["fuel"]
    assert found["asked"]["rows_current"] <= 400
    assert "different questions" in system.root.read_bytes(found["report"]).decode()


def test_the_model_is_judged_by_what_it_promised_on_its_test_rows(seen: Seen) -> None:
    system, found = seen
    run = system.registry.get_run(str(system.registry.version_of(PRODUCTION).run_id))
    promised = found["accuracy"]["promised"]
    assert promised["mape"] == pytest.approx(run.data.metrics["test_unflagged_mape"], rel=1e-9)
    assert promised["rows"] == run.data.metrics["test_unflagged_rows"]


def test_a_changed_market_is_told_in_words_and_a_later_stable_file_clears_the_flag(system: System) -> None:
    landed(system, 900, 2, dearer)
    found = detected(system)
    assert found["verdict"] == DRIFTED
    assert {"price_at_equal_car", "fuel", "condition", "make"} <= set(found["drifted_columns"])
    page = system.root.read_bytes(found["report"]).decode()
    assert re.search(r"Sellers ask 2\d % more for an equal car than before\.", page)
    assert "&lt;b&gt;Zeekr&lt;/b&gt; is a make never seen before" in page
    assert "<b>Zeekr" not in page
    assert found["accuracy"]["verdict"] == "worse"
    assert found["evidently_left_out"] == ["condition"], "Evidently refuses an empty column"
    assert system.registry.version("1").tags["drift.verdict"] == DRIFTED
    landed(system, 900, 3, name="newer.csv")
    assert detected(system)["files"][0]["file"] == "newer.csv"
    assert system.registry.version("1").tags["drift.verdict"] == STABLE


def test_listings_that_production_knows_are_no_news(system: System) -> None:
    known = system.root.read_parquet(f"listings/{system.root.names('listings', '.parquet')[0]}")

    def mostly_known(table: pd.DataFrame) -> pd.DataFrame:
        return pd.concat([table.head(100), known.head(200)], ignore_index=True)

    landed(system, 300, 2, mostly_known)
    found = detected(system)
    assert (found["rows"], found["rows_repeated"]) == (100, 200)


def test_a_file_of_known_listings_alone_is_nothing_to_do(system: System) -> None:
    known = system.root.read_parquet(f"listings/{system.root.names('listings', '.parquet')[0]}")
    landed(system, 300, 2, lambda table: known.head(200))
    with pytest.raises(NothingToDo, match="found all 200 known"):
        detected(system)


def test_files_too_small_alone_are_compared_together(system: System) -> None:
    for seed in (11, 12, 13):
        landed(system, 80, seed, name=f"small{seed}.csv")
    found = detected(system)
    assert [entry["file"] for entry in found["files"]] == ["small11.csv", "small12.csv", "small13.csv"]
    assert 150 < found["rows"] <= 240


def test_a_few_listings_are_too_little_to_say_and_the_page_says_that(system: System) -> None:
    landed(system, 60, 2)
    found = detected(system)
    assert found["verdict"] == TOO_LITTLE
    assert "Too little data." in system.root.read_bytes(found["report"]).decode()


def test_the_first_file_has_nothing_to_be_compared_with(system: System) -> None:
    with pytest.raises(NothingToDo, match="not learned from were expected"):
        detected(system)


def test_the_verdict_is_the_same_after_the_listings_were_learned(
    system: System, with_params: Callable[[str], Params]
) -> None:
    lenient = with_params(
        "promotion: {production_confidence: 0.0, max_slice_loss: 9.0, max_mape: 0.9, max_median_ape: 0.9, "
        "min_r2_log: 0.0}"
    )
    path = system.folder / "second.csv"
    sample.write_sample(str(path), 900, 2)
    pipeline.run(system.root, lenient, system.registry, str(path))
    assert system.version(PRODUCTION) == "2"
    [name] = report_records.stems(system.root, "reports/drift")
    before = system.root.read_json(f"reports/drift/{name}.json")
    after = detected(system)
    assert before["production_version"] == after["production_version"] == "1"
    assert before["columns"] == json.loads(json.dumps(after["columns"]))
    assert "drift.verdict" not in system.registry.version("2").tags
