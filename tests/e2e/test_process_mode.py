"""Airflow end to end with steps as processes, on SQLite: all tests of this module share one demo."""

from __future__ import annotations

import hashlib
import itertools
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from claims import burst_is_ingested_once, every_step_shows_its_result, worse_candidate_stays_out
from running_demo import Demo
from webhook import Webhook, webhook

from carprice.lifecycle.registry import Registry
from carprice.listings import sample
from carprice.reports import records


@pytest.fixture(scope="module")
def alerts() -> Iterator[Webhook]:
    """The channel that the demo's messages go to."""
    with webhook() as channel:
        yield channel


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory, alerts: Webhook) -> Iterator[Demo]:
    demo = Demo(tmp_path_factory.mktemp("process"), runtime="process")
    try:
        demo.start(demo.synthetic("first.csv", 500, seed=0), CARPRICE_WEBHOOK_URL=alerts.address)
        demo.wait_until_serving()
        yield demo
    finally:
        demo.close()


def test_a_landed_file_ends_with_a_model_in_production(demo: Demo) -> None:
    assert demo.production_version() == "1"
    assert "In production: version 1" in demo.output
    assert "500 rows in" in demo.output


def test_the_output_says_that_steps_run_as_processes(demo: Demo) -> None:
    assert "PROCESS MODE: steps run as child processes of Airflow, not in containers" in demo.output


@pytest.fixture
def browser(browser_program: str) -> Iterator[Any]:
    """A real browser."""
    from playwright.sync_api import expect, sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=browser_program, args=["--no-sandbox", "--headless", "--no-proxy-server"]
        )
        expect.set_options(timeout=120_000)
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Any) -> Any:
    """A page of a French browser."""
    page = browser.new_page(locale="fr-FR")
    page.set_default_timeout(120_000)
    return page


@pytest.mark.browser
def test_the_page_shows_a_price_and_the_version_it_comes_from(demo: Demo, page: Any) -> None:
    from demo.browser import describe_logan, estimate
    from playwright.sync_api import expect

    page.goto(demo.app_url)
    describe_logan(page)
    dirhams = estimate(page)
    expect(page.get_by_text(f"version {demo.production_version()}", exact=False).first).to_be_visible()

    assert 10_000 < dirhams < 1_000_000


def test_the_same_bytes_train_nothing_whatever_their_name(demo: Demo) -> None:
    trainings = len(demo.api.runs("train_car_price"))
    content = (demo.data / "raw" / "first.csv").read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()

    demo.move_in(content, "first.csv")
    demo.move_in(content, "the_same_again.csv")
    demo.wait_for(
        lambda: "the_same_again.csv" in demo.receipts()[sha256]["names"], "the receipt knows the other name"
    )
    demo.wait_until_quiet()

    assert demo.receipts()[sha256]["names"] == ["first.csv", "the_same_again.csv"]
    assert len(demo.api.runs("train_car_price")) == trainings
    assert len(demo.registry.client.search_model_versions("name='CarPricePredictor'")) == trainings


def test_a_file_that_is_still_written_is_not_read_early(demo: Demo) -> None:
    text = sample.to_csv(sample.generate(300, seed=5)).encode()
    pieces = [text[at : at + len(text) // 12 + 1] for at in range(0, len(text), len(text) // 12 + 1)]

    with open(demo.data / "raw" / "slow.csv", "wb", buffering=0) as file:
        for piece in pieces:  # 12 s in all; each pause is well below the 5 s of landing.settle_seconds
            file.write(piece)
            time.sleep(1)
    (receipt,) = demo.wait_for_receipts(hashlib.sha256(text).hexdigest())
    demo.wait_until_quiet()

    assert receipt["status"] == "accepted"
    assert receipt["rows_in"] == 300
    assert [r["sha256"] for r in demo.receipts().values() if "slow.csv" in r["names"]] == [receipt["sha256"]]


def test_the_second_file_is_judged_before_training_and_the_api_serves_its_reports(demo: Demo) -> None:
    demo.wait_until_quiet()
    listed = requests.get(f"{demo.api_url}/v1/reports", timeout=30).json()["reports"]
    kinds = {each["kind"]: each for each in reversed(listed) if ".evidently." not in each["name"]}
    assert set(kinds) == {"quality", "pipeline", "drift", "live", "models"}
    for kind in ("drift", "live"):
        page = requests.get(f"{demo.api_url}/v1/reports/{kind}/{kinds[kind]['name']}", timeout=30)
        assert page.status_code == 200
        assert kinds[kind]["verdict"] in page.text.lower()
    second = demo.api.runs("train_car_price")[1]
    tasks = {task["task_id"]: task for task in demo.api.tasks(second["dag_id"], second["dag_run_id"])}
    assert tasks["score_new_listings"]["state"] == "success"
    assert tasks["score_new_listings"]["end_date"] <= tasks["train_model"]["start_date"]


@pytest.mark.browser
def test_the_second_file_s_drift_report_is_a_click_away_in_the_app(demo: Demo, page: Any) -> None:
    from demo.browser import settled
    from playwright.sync_api import expect

    *_, stem = records.stems(demo.root, "reports/drift")
    record = demo.root.read_json(f"reports/drift/{stem}.json")
    page.goto(demo.app_url)
    settled(page)
    page.get_by_role("link", name="Rapports").click()
    expect(page.get_by_role("heading", name="Rapports", exact=True)).to_be_visible()
    settled(page)
    box = page.get_by_role("combobox", name="Rapport")
    box.click()
    box.fill("Dérive")
    page.get_by_role("option").filter(has_not_text="Evidently").first.click()
    report = page.frame_locator("[data-testid=stIFrame]").frame_locator("iframe")
    headings = {
        "stable": "New listings are like the ones before",
        "drifted": "New listings are different",
        "too little data": "Too little data to say",
    }
    expect(report.get_by_role("heading", level=1)).to_contain_text(headings[record["verdict"]])
    first_screen = report.locator(".band").first
    expect(first_screen).to_be_visible()
    expect(first_screen).to_contain_text(f"new listings of {record['file']} against")


@pytest.mark.soak
@pytest.mark.browser
def test_buyers_of_each_language_find_a_car_and_are_told_once_of_a_cheaper_one(
    demo: Demo, browser: Any, alerts: Webhook
) -> None:
    import buyers

    known = buyers.listings_of(demo, "first.csv").set_index(buyers.URL, drop=False)
    rated = buyers.offers_of(demo, label="fair_price")
    row = known.loc[next(each["url"] for each in rated if each["url"] in known.index)]
    others = known.drop(row[buyers.URL])
    cut = row.copy()
    cut[buyers.PRICE] = f"{float(row[buyers.PRICE]) * 0.97:.0f}"
    buyers.land_rows(demo, "price_cut.csv", others.head(80), cut)
    offer = demo.wait_for(
        lambda: buyers.offer_of(demo, row, price_changes=1), "the list has the new price of a car"
    )

    saved: dict[str, str] = {}
    for language, device in itertools.product(buyers.WORDS, buyers.DEVICES):
        with buyers.visit(browser, demo, device) as page:
            buyers.finds(page, language, offer)
            buyers.opens(page, language, offer)
            saved[f"{language}, {device}"] = buyers.saves_an_alert(page, language)
    assert len(set(saved.values())) == 6

    cheap = buyers.cheap_car_like(demo, row, "https://example.invalid/voitures/the_cheap_one.htm")
    buyers.land_rows(demo, "cheap_car.csv", others.head(60), cheap)
    found = demo.wait_for(lambda: buyers.offer_of(demo, cheap), "the list has the cheap car")
    demo.wait_until_quiet()
    demo.api.trigger("rate_listings")
    demo.wait_until_quiet()

    told = [text for text in alerts.texts if cheap[buyers.URL] in text]
    for language, words in buyers.WORDS.items():
        assert sum(words.message in text for text in told) == 2, (language, alerts.texts)
    assert len(told) == len(saved)
    for visitor, alert in saved.items():
        assert buyers.feed_of(demo, alert).count(cheap[buyers.URL]) == 1, visitor
        with buyers.visit(browser, demo, visitor.partition(", ")[2]) as page:
            buyers.is_told_once(page, alert, found["price_mad"])


def test_every_step_shows_its_result_in_airflow(demo: Demo) -> None:
    every_step_shows_its_result(demo)


def test_an_edited_setting_takes_effect_and_a_worse_candidate_is_not_promoted(demo: Demo) -> None:
    worse_candidate_stays_out(demo, demo.synthetic("for_the_worse.csv", 200, seed=7))


@pytest.mark.soak
def test_a_burst_of_16_files_is_ingested_once(demo: Demo) -> None:
    burst_is_ingested_once(demo, first_seed=100, kill=False)


@pytest.mark.soak
def test_a_burst_of_16_files_survives_kills(demo: Demo) -> None:
    burst_is_ingested_once(demo, first_seed=200, kill=True)


def test_nothing_is_left_running_and_a_second_start_continues(demo: Demo) -> None:
    """This test is the last one because it ends the demo that the tests above share."""
    production = demo.production_version()
    versions = len(demo.registry.client.search_model_versions("name='CarPricePredictor'"))
    marks = demo.marks
    assert demo.processes(marks)

    assert demo.stop(impatient=True) == 0
    assert demo.processes(marks) == []

    demo.start(demo.data / "raw" / "first.csv", once=True)
    marks = demo.wait_for(lambda: demo.marks, "the first service runs")
    assert demo.wait_for_end() == 0
    assert demo.processes(marks) == []
    assert "already landed: first.csv" in demo.output
    assert "train_model" not in demo.output
    assert f"In production: version {production}" in demo.output
    kept = Registry(demo.root)  # the servers have ended, their database remains
    assert len(kept.client.search_model_versions("name='CarPricePredictor'")) == versions
