"""The drift step on a whole system: what it compares, and the pages and records it writes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from browser import offline_page
from systems import System

from carprice.errors import NothingToDo
from carprice.history import assembling, snapshots
from carprice.landing.land import land
from carprice.lifecycle.registry import PRODUCTION, Registry
from carprice.listings import reading, sample, tables
from carprice.monitoring import drift, live_accuracy, publishing
from carprice.monitoring.accuracy import Scored
from carprice.monitoring.verdict import DRIFTED, STABLE, TOO_LITTLE, compare
from carprice.params import Params
from carprice.pipeline import whole_run
from carprice.quality.check import check_data_quality
from carprice.reports import records
from carprice.store import DataRoot

pytest.importorskip("evidently")
Change = Callable[[pd.DataFrame], pd.DataFrame]


def landed(system: System, rows: int, seed: int, change: Change | None = None, name: str = "new.csv") -> str:
    """The SHA-256 of a synthetic file after its checks; `change` edits its accepted listings."""
    sha = str(land(system.root, str(system.land(name, rows, seed)))["sha256"])
    check_data_quality(system.root, system.params, name, sha)
    if change is not None:
        table = system.root.read_parquet(f"listings/{sha}.parquet")
        system.root.write_parquet(f"listings/{sha}.parquet", change(table))
    assembling.assemble(system.root, system.params, [sha])
    return sha


def detected(system: System) -> dict[str, Any]:
    return drift.detect_drift(system.root, system.params, system.registry, "latest")


def ask(root: DataRoot, listings: pd.DataFrame, days_ago: int) -> str:
    """The file of a day's questions as the API leaves it; its path."""
    at = datetime.now(UTC) - timedelta(days=days_ago)
    name = f"asked/{at:%Y-%m-%d}.parquet"
    root.write_parquet(name, listings.drop(columns="price_mad").assign(at=pd.Timestamp(at)))
    return name


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
    """A system with every report: drift detected twice on a file of the same market, questions asked."""
    source, report = _run_once
    target = tmp_path_factory.mktemp("seen") / "data"
    shutil.copytree(source, target)
    root = DataRoot(str(target))
    system = System(root, fast_params, Registry(root), report)
    landed(system, 900, 2)
    _, listings = snapshots.load(root, "latest")
    asked = listings.sample(400, random_state=0).assign(fuel="Electrique", condition=None)
    ask(root, pd.concat([asked, asked]), days_ago=1)
    ask(root, listings.sample(50, random_state=1), days_ago=fast_params.drift.asked_days + 2)
    detected(system)
    found = detected(system)
    live_accuracy.score_new_listings(root, fast_params, system.registry)
    publishing.publish(root)
    return system, found


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


@pytest.mark.parametrize(
    "page",
    ["index.html", "quality/*.html", "pipeline/*.html", "models/*.html", "live/*.html",
     "drift/*Z-????????????.html", "drift/*.evidently.html"],
)  # fmt: skip
def test_each_page_opens_from_its_file_without_a_network_and_without_an_error(seen: Seen, page: str) -> None:
    system, _ = seen
    [*_, path] = sorted((system.folder / "reports").glob(page))
    with offline_page() as opened:
        asked: list[str] = []
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto(path.as_uri())
        opened.get_by_role("heading").first.wait_for()
        opened.wait_for_load_state("networkidle")
        assert [url for url in asked if not url.startswith(("data:", "blob:"))] == [path.as_uri()]


def test_evidently_s_page_runs_nothing_that_comes_from_data() -> None:
    evil = ["</script><img src=x onerror=alert(1)>", "<!--<script>alert(2)"]
    listings = sample_listings(evil)
    price = listings["price_mad"].to_numpy(dtype=np.float64)
    nowhere = np.zeros(len(listings), dtype=bool)
    side = Scored(listings, price, price * 1.01, price * 0.9, price * 1.1, nowhere)
    params = Params().drift
    from carprice.monitoring import evidently_adapter, evidently_page

    snapshot, _ = evidently_page.evidently_report(compare(listings, listings, params), side, side, 500)
    page = evidently_adapter.html_page(snapshot).decode()
    assert not [text for text in evil if text in page]
    assert "<img" not in page.split("var global")[0]
    with offline_page() as opened:
        shown: list[str] = []
        opened.on("dialog", lambda dialog: (shown.append(dialog.message), dialog.dismiss()))
        opened.set_content(page)
        opened.get_by_role("heading").first.wait_for()
        assert opened.get_by_text("onerror=alert(1)").count() > 0
        assert shown == []


def sample_listings(makes: list[str]) -> pd.DataFrame:
    """Accepted listings of a synthetic file, of these makes in turn."""
    raw = reading.read_raw(sample.to_csv(sample.generate(300, seed=5)).encode())
    parsed = tables.parse(raw.table, require_price=True, faults=raw.faults)
    good = parsed.listings[parsed.problems.isna()].reset_index(drop=True)
    return good.assign(make=[makes[i % len(makes)] for i in range(len(good))])


def test_evidently_s_figures_carry_no_style_of_their_own(seen: Seen) -> None:
    system, found = seen
    record = system.root.read_bytes(found["evidently"].replace(".html", ".json")).decode()
    assert len(record) < 1_500_000, "Plotly's default style alone is as much again"
    assert '"colorway"' not in record


def test_evidently_s_report_has_the_effect_and_the_verdict_of_every_column(system: System) -> None:
    from evidently.core.report import Snapshot

    landed(system, 900, 2, dearer)
    found = detected(system)
    saved = Snapshot.loads(system.root.read_bytes(found["evidently"].replace(".html", ".json")).decode())
    theirs = {}
    for result in saved.metric_results.values():
        metric = result.metric_value_location.metric.params
        if str(metric.get("method", "")).startswith("carprice_"):
            theirs[metric["column"]] = (result.value, result.tests[0].status.value == "FAIL")
    ours = {
        column["column"]: (column["effect"], column["verdict"] == DRIFTED)
        for column in found["columns"]
        if column["effect"] is not None
    }
    assert ours == theirs
    assert {"condition", "price_at_equal_car"} <= {column for column, (_, drifted) in ours.items() if drifted}


def test_what_people_ask_has_a_verdict_of_its_own(seen: Seen) -> None:
    system, found = seen
    assert found["verdict"] == STABLE
    assert found["asked"]["drifted_columns"] == ["fuel"]
    assert found["asked"]["rows_current"] <= 400
    assert "different questions" in system.root.read_bytes(found["report"]).decode()


def test_only_questions_of_the_last_days_count_and_older_files_are_not_read(system: System) -> None:
    landed(system, 200, 2)
    _, listings = snapshots.load(system.root, "latest")
    days = system.params.drift.asked_days
    old = ask(system.root, listings.sample(100, random_state=0), days_ago=days + 2)
    assert detected(system)["asked"] is None
    system.root.write_text(old, "no Parquet")
    ask(system.root, listings.sample(100, random_state=0), days_ago=days - 1)
    assert detected(system)["asked"]["rows_current"] == 100


def test_the_promised_accuracy_is_that_on_the_test_rows(seen: Seen) -> None:
    system, found = seen
    run = system.registry.get_run(str(system.registry.version_of(PRODUCTION).run_id))
    promised = found["accuracy"]["promised"]
    assert promised["mape"] == pytest.approx(run.data.metrics["test_unflagged_mape"], rel=1e-9)
    assert promised["rows"] == run.data.metrics["test_unflagged_rows"]


def test_the_test_rows_are_drawn_at_random_like_the_listings_if_there_are_many(
    system: System, with_params: Callable[[str], Params]
) -> None:
    landed(system, 300, 2)
    few = with_params("drift: {max_rows: 100}")
    found = drift.detect_drift(system.root, few, system.registry, "latest")
    column = next(each for each in found["columns"] if each["column"] == "price_at_equal_car")
    assert (column["rows_reference"], column["rows_current"]) == (100, 100)


def test_the_page_describes_a_changed_market_and_a_later_stable_file_clears_the_flag(system: System) -> None:
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


def test_listings_that_production_knows_are_not_new(system: System) -> None:
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
    with pytest.raises(NothingToDo, match="has not learned from"):
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
    whole_run.run(system.root, lenient, system.registry, str(path))
    assert system.version(PRODUCTION) == "2"
    [name] = records.stems(system.root, "reports/drift")
    before = system.root.read_json(f"reports/drift/{name}.json")
    after = detected(system)
    assert before["production_version"] == after["production_version"] == "1"
    assert before["columns"] == json.loads(json.dumps(after["columns"]))
    assert "drift.verdict" not in system.registry.version("2").tags
