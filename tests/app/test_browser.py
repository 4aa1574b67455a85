"""The app in a real browser, on a real API: what a buyer, a seller and an operator do with it."""

from __future__ import annotations

import csv
import io
import re
import select
import socket
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from browsing import opened
from conftest import Api, carprice, free_port, running_api, running_mlflow, wait_until
from demo.browser import amount, choose, describe_logan, estimate, give, settled
from playwright.sync_api import Browser, Page, expect
from running_app import running_app

from price_contract import formats

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

RAW = "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant\n"


def test_an_empty_history_says_so(page: Page) -> None:
    page.goto("/historique")
    expect(page.get_by_text("Aucune estimation pour l'instant")).to_be_visible()


def test_an_estimate_is_the_apis_and_the_command_lines(
    page: Page, served: Api, trained_data: Path, tmp_path: Path
) -> None:
    page.goto("/")
    describe_logan(page)
    shown = estimate(page)
    listing = served.get("/v1/predictions").json()["predictions"][0]["listing"]
    known = {name: value for name, value in listing.items() if value is not None}
    told = served.post("/v1/predict", known).json()
    assert shown == formats.rounded(
        told["price_mad"], formats.step_of(told["price_mad"], told["low_mad"], told["high_mad"])
    )
    raw, priced = tmp_path / "one.csv", tmp_path / "priced.csv"
    with open(raw, "w", newline="") as file:
        writer = csv.DictWriter(file, known)
        writer.writeheader()
        writer.writerow(known)
    carprice(trained_data, "predict", str(raw), "-o", str(priced))
    with open(priced, newline="") as file:
        row = next(csv.DictReader(file))
    price, low, high = (int(row[name]) for name in ("predicted_price_mad", "low_mad", "high_mad"))
    assert shown == formats.rounded(price, formats.step_of(price, low, high))
    expect(page.get_by_text("Modèle CarPricePredictor, version 1")).to_be_visible()


def test_the_explanation_is_in_words_and_adds_up(page: Page) -> None:
    page.goto("/")
    describe_logan(page)
    price = estimate(page)
    lines = page.get_by_test_id("contributions").locator("li b")
    expect(lines.first).to_be_visible()
    amounts = [amount(text) for text in lines.all_inner_texts()]
    assert amounts[-1] == price
    assert sum(amounts[:-1]) == price
    expect(page.get_by_test_id("contributions")).to_contain_text("Dacia Logan")
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(3)
    expect(page.get_by_test_id("comparables").locator("h3").nth(2)).to_be_visible()


@pytest.mark.parametrize(
    ("times", "verdict"),
    [(1, "Dans la fourchette"), (0.6, "Plutôt bas"), (1.6, "Plutôt cher"), (10, "faute de frappe")],
)
def test_an_asking_price_gets_a_verdict(page: Page, served: Api, times: float, verdict: str) -> None:
    page.goto("/")
    describe_logan(page)
    fair = estimate(page)
    asking = round(fair * times)
    give(page, re.compile("^Prix demandé"), asking)
    expect(page.get_by_text(re.compile(r"Prix demandé \(MAD\) · \d"))).to_be_visible()
    page.get_by_role("button", name="Estimer le prix").click()
    expect(page.get_by_test_id("verdict")).to_contain_text(verdict)
    if asking != fair:
        said = re.search(r"est ([\d\s\u202f]+)\u00a0MAD", page.get_by_test_id("verdict").inner_text())
        assert said is not None
        assert amount(said[1]) == abs(asking - fair)


def test_a_model_nobody_knows_is_typed_in_and_stays_text(page: Page) -> None:
    page.goto("/")
    choose(page, "Marque", "Dacia")
    choose(page, re.compile("^Modèle"), "Autre (saisir)")
    # `<img>` would be taken for a tag that a scraper left in the name
    name = "<iframe id=x onload=document.title='run'> **x** $y$"
    page.get_by_label("Nom du modèle").fill(name)
    page.get_by_label("Nom du modèle").press("Tab")
    settled(page)
    give(page, re.compile("^Année-modèle"), 2015)
    give(page, re.compile("^Kilométrage"), 120_000)
    estimate(page)
    expect(page.get_by_role("status").filter(has_text="n'est pas connu")).to_contain_text(name)
    expect(page.locator("#cp-result")).to_contain_text(name)
    assert page.locator("iframe[id=x]").count() == 0
    assert page.title() != "run"


def test_a_file_goes_in_and_comes_out_with_prices(page: Page, served: Api) -> None:
    good = "Dacia;Logan;2015;120 000 - 129 999;Diesel\nRenault;Clio;2014;90000;Essence\n"
    good += "Dacia;Logan;2015;;\n"
    bad = "Dacia;Logan;inconnue;120000;Diesel\n"
    page.goto("/lot")
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        {"name": "cars.csv", "mimeType": "text/csv", "buffer": (RAW + good + bad).encode()}
    )
    page.get_by_role("button", name="Estimer ces annonces").click()
    expect(page.get_by_text("3 annonces estimées, 1 sans prix.")).to_be_visible()
    expect(page.get_by_test_id("row-problems")).to_contain_text("vide ou inconnu")
    expect(page.get_by_test_id("row-warnings")).to_contain_text("Le carburant n'est pas connu")
    with page.expect_download() as download:
        page.get_by_role("button", name="Télécharger les prix (CSV)").click()
    assert download.value.suggested_filename == "cars-prix.csv"
    rows = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8")), delimiter=";"))
    assert [row["Marque"] for row in rows] == ["Dacia", "Renault", "Dacia", "Dacia"]
    alone = {"Marque": "Renault", "Modèle": "Clio", "Année-Modèle": 2014, "Kilométrage": 90000}
    price = served.post("/v1/predict", alone | {"Type de carburant": "Essence"}).json()
    assert [int(rows[1][name]) for name in ("predicted_price_mad", "low_mad", "high_mad")] == [
        price[name] for name in ("price_mad", "low_mad", "high_mad")
    ]
    assert [bool(row["warnings"]) for row in rows] == [False, False, True, False]
    assert rows[3]["predicted_price_mad"] == ""
    assert "Année-Modèle" in rows[3]["problem"]


def test_a_file_that_is_no_csv_is_refused_in_plain_words(page: Page) -> None:
    page.goto("/lot")
    page.get_by_test_id("stFileUploaderDropzoneInput").set_input_files(
        {"name": "cars.csv", "mimeType": "text/csv", "buffer": b"PK\x03\x04 a workbook"}
    )
    expect(page.get_by_text("C'est un classeur Excel.")).to_be_visible()
    expect(page.get_by_role("button", name="Estimer ces annonces")).to_have_count(0)


def test_the_price_paid_is_given_in_the_history(page: Page, served: Api) -> None:
    listing = {"make": "Dacia", "model": "Duster", "model_year": 2018, "mileage": 80_000, "fuel": "Diesel"}
    made = served.post("/v1/predict", listing).json()
    page.goto("/historique")
    choose(page, "Estimation", "Dacia Duster 2018")
    give(page, re.compile("^Prix réellement payé"), 123_456)
    page.get_by_role("button", name="Enregistrer").click()
    expect(
        page.get_by_text(re.compile(r"Merci.! 123.456.MAD enregistré pour Dacia Duster 2018"))
    ).to_be_visible()
    expect(page.get_by_test_id("predictions")).to_contain_text(re.compile(r"123.456.MAD"))
    assert served.get(f"/v1/predictions/{made['prediction_id']}").json()["price_paid_mad"] == 123_456
    page.get_by_text("Filtrer").click()
    page.get_by_label("Modèle", exact=True).fill("Duster")
    page.get_by_label("Modèle", exact=True).press("Enter")
    expect(page.get_by_text("1 estimation", exact=True)).to_be_visible()
    with page.expect_download() as download:
        page.get_by_role("button", name="Exporter (CSV)").click()
    exported = list(csv.DictReader(io.StringIO(Path(download.value.path()).read_text("utf-8-sig"))))
    assert [row["prediction_id"] for row in exported] == [made["prediction_id"]]


def test_the_price_paid_is_given_beside_the_estimate(page: Page, served: Api) -> None:
    page.goto("/")
    describe_logan(page)
    estimate(page)
    page.get_by_text("Vous avez acheté ou vendu cette voiture ?").click()
    give(page, re.compile("^Prix réellement payé"), 87_000)
    page.get_by_role("button", name="Enregistrer ce prix").click()
    expect(page.get_by_text(re.compile(r"Merci.! 87.000.MAD enregistré"))).to_be_visible()
    assert served.get("/v1/predictions").json()["predictions"][0]["price_paid_mad"] == 87_000


def test_english_shows_the_same_numbers_and_stays_across_pages(page: Page, served: Api) -> None:
    page.goto("/")
    describe_logan(page, asking=200_000)
    choose(page, "État", "Très bon")
    price = estimate(page)
    expect(page.get_by_test_id("contributions")).to_be_visible()
    places = ("price", "verdict", "contributions", "comparables")

    def numbers() -> list[list[str]]:
        texts = [page.get_by_test_id(place).inner_text() for place in places]
        return [re.findall(r"\d+", re.sub(r"(?<=\d)[,\u202f](?=\d{3})", "", text)) for text in texts]

    french = numbers()
    page.get_by_role("radio", name="English").click()
    expect(page.get_by_role("heading", name="What is this car worth?")).to_be_visible()
    expect(page.get_by_test_id("contributions")).to_contain_text("typical market price")
    assert amount(page.get_by_test_id("price").inner_text()) == price
    assert numbers() == french
    assert "lang=en" in page.url
    expect(page.get_by_role("combobox", name="Condition")).to_have_value("Very good")
    made = served.get("/v1/predictions").json()["total"]
    page.get_by_role("button", name="Estimate the price").click()
    wait_until(lambda: served.get("/v1/predictions").json()["total"] > made, "the estimate is in the log")
    assert served.get("/v1/predictions").json()["predictions"][0]["listing"]["condition"] == "Très bon"
    assert amount(page.get_by_test_id("price").inner_text()) == price
    page.get_by_role("link", name="Model", exact=True).click()
    expect(page.get_by_role("heading", name="The model in production")).to_be_visible()
    page.get_by_role("link", name="Estimate", exact=True).click()
    expect(page.get_by_role("combobox", name="Make")).to_have_value(re.compile("^Dacia"))
    expect(page.get_by_role("combobox", name="Condition")).to_have_value("Very good")
    page.reload()
    expect(page.get_by_role("heading", name="What is this car worth?")).to_be_visible()


def test_the_model_and_its_card_are_shown(page: Page) -> None:
    page.goto("/modele")
    expect(page.get_by_test_id("figures")).to_contain_text("Erreur médiane")
    expect(page.get_by_test_id("gates-promote_to_staging")).to_contain_text("oui")
    expect(page.get_by_test_id("promotions")).to_contain_text("1 (en production)")
    page.get_by_text("Lire la fiche ici").click()
    card = page.frame_locator("[data-testid=stIFrame]").frame_locator("iframe")
    expect(card.locator("body")).to_contain_text("test", ignore_case=True)
    with page.expect_download() as download:
        page.get_by_role("button", name="Télécharger la fiche (HTML)").click()
    assert "<html" in Path(download.value.path()).read_text("utf-8")


def test_a_report_is_found_and_read_in_a_sandbox(page: Page, served: Api) -> None:
    wanted = next(r for r in served.get("/v1/reports").json()["reports"] if r["kind"] == "quality")
    page.goto("/rapports")
    page.get_by_role("button", name="Qualité des données").or_(
        page.get_by_role("radio", name="Qualité des données")
    ).first.click()
    expect(page.get_by_text("1 rapport", exact=True)).to_be_visible()
    expect(page.get_by_test_id("reports")).to_contain_text(wanted["title"])
    choose(page, "Rapport", "Qualité des données")
    inner = page.frame_locator("[data-testid=stIFrame]").locator("iframe")
    expect(inner).to_have_attribute("sandbox", "allow-scripts allow-popups allow-popups-to-escape-sandbox")
    expect(inner.content_frame.locator("body")).to_contain_text(wanted["title"])


def test_a_link_of_a_report_opens_the_other_report_in_the_app(page: Page, served: Api) -> None:
    by_kind = {r["kind"]: r for r in served.get("/v1/reports").json()["reports"]}
    page.goto(f"/rapports?report=pipeline/{by_kind['pipeline']['name']}")
    inner = page.frame_locator("[data-testid=stIFrame]").frame_locator("iframe")
    with page.expect_popup() as opened:
        inner.locator(f'a[href*="{by_kind["quality"]["name"]}"]').first.click()
    other = opened.value.frame_locator("[data-testid=stIFrame]").frame_locator("iframe")
    expect(other.locator("body")).to_contain_text(by_kind["quality"]["title"])


@pytest.mark.parametrize("place", ["/", "/lot", "/historique", "/modele", "/rapports"])
def test_no_page_scrolls_sideways_on_a_phone(phone: Page, place: str) -> None:
    phone.goto(place)
    expect(phone.get_by_role("heading", level=1)).to_be_visible()
    if place == "/":
        describe_logan(phone, asking=90_000)
        estimate(phone)
        expect(phone.get_by_test_id("comparables")).to_be_visible()
    # what is still being drawn may be wider for a moment
    settled(phone)
    phone.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")
    phone.wait_for_function(
        "[...document.querySelectorAll('.stMain button, .stMain input, .cp-price, .cp-card, .cp-table td')]"
        ".every(e => e.getBoundingClientRect().right <= innerWidth + 1)"
    )


def test_without_a_model_the_page_says_what_to_do(browser: Browser, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with (
        running_mlflow(tmp_path / "data") as (mlflow, _),
        running_api(tmp_path / "api", tmp_path / "data", mlflow, wait=False) as api,
        running_app(tmp_path, api.address) as app,
    ):
        wait_until(
            lambda: "no model is in production" in api.get("/readyz").json()["detail"],
            "the API has asked MLflow",
        )
        for page in opened(browser, app):
            page.goto("/")
            expect(page.get_by_text("Aucun modèle n'est encore en production")).to_be_visible()
            expect(page.get_by_text("data/raw")).to_be_visible()
            page.goto("/rapports")
            expect(page.get_by_text("Aucun rapport pour l'instant")).to_be_visible()


def test_without_the_api_the_page_says_so_and_recovers(browser: Browser, api: Api, tmp_path: Path) -> None:
    port = free_port()
    with running_app(tmp_path, f"http://127.0.0.1:{port}") as app:
        for page in opened(browser, app):
            page.goto("/")
            expect(page.get_by_text("Le service de prix ne répond pas")).to_be_visible()
            with forwarded(port, api.address):
                page.get_by_role("button", name="Réessayer").click()
                expect(page.get_by_role("combobox", name="Marque")).to_be_visible()


def test_a_refused_key_has_a_screen(
    browser: Browser, trained_data: Path, mlflow_address: str, tmp_path: Path
) -> None:
    with (
        running_api(tmp_path / "api", trained_data, mlflow_address, CARPRICE_API_KEYS="required") as api,
        running_app(tmp_path, api.address, CARPRICE_APP_API_KEY="not-a-key") as app,
    ):
        for page in opened(browser, app):
            page.goto("/")
            expect(
                page.get_by_text("Le service de prix a refusé la clé de cette application")
            ).to_be_visible()


@contextmanager
def forwarded(port: int, address: str) -> Iterator[None]:
    """A port of this machine that leads to `address`, as after a restart of what listens there."""
    target = ("127.0.0.1", int(address.rsplit(":", 1)[1]))

    class Through(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with socket.create_connection(target) as there:
                ends = {self.request: there, there: self.request}
                while True:
                    for ready in select.select(list(ends), [], [])[0]:
                        data = ready.recv(65536)
                        if not data:
                            return
                        ends[ready].sendall(data)

    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", port), Through) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield
        server.shutdown()
