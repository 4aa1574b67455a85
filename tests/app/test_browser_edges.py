"""The app in a real browser, at the edges: unknown cars, changed and refused values, addresses, access."""

from __future__ import annotations

import re

import pytest
from browsing import opened
from conftest import Api
from demo.browser import amount, describe_logan, estimate, give, settled
from playwright.sync_api import Browser, Page, expect
from running_app import RunningApp

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

NINE_IN_TEN = "annonces comparables sur 10"


def type_in(page: Page, label: str | re.Pattern[str], text: str) -> None:
    """Type a name that no list has."""
    box = page.get_by_role("combobox", name=label)
    box.click()
    box.fill(text)
    page.get_by_role("option", name=re.compile(f"{re.escape(text)}$")).first.click()
    settled(page)


def test_a_car_that_the_model_cannot_know_gets_no_price_and_no_verdict(page: Page) -> None:
    page.goto("/")
    type_in(page, "Marque", "Ferrari")
    page.get_by_label("Nom du modèle").fill("F40")
    page.get_by_label("Nom du modèle").press("Tab")
    settled(page)
    give(page, re.compile("^Année-modèle"), 1990)
    give(page, re.compile("^Kilométrage"), 50_000)
    give(page, re.compile("^Prix demandé"), 5_000_000)
    page.get_by_role("button", name="Estimer le prix").click()
    doubts = page.get_by_test_id("doubts")
    expect(doubts).to_contain_text("Le modèle ne connaît pas de voiture comme celle-ci.")
    expect(doubts).to_contain_text("Ferrari")
    expect(page.get_by_test_id("no-price")).to_be_visible()
    expect(page.get_by_test_id("no-verdict")).to_be_visible()
    for shown in ("price", "verdict", "contributions", "comparables"):
        expect(page.get_by_test_id(shown)).to_have_count(0)
    expect(page.get_by_text(NINE_IN_TEN)).to_have_count(0)
    page.get_by_role("radio", name="English").click()
    expect(doubts).to_contain_text("The model knows no car like this one.")
    expect(page.get_by_test_id("no-price")).to_have_text("No price can be given.")


def test_a_year_beyond_the_data_has_an_order_of_magnitude_only(page: Page) -> None:
    page.goto("/")
    describe_logan(page, asking=90_000)
    give(page, re.compile("^Année-modèle"), 1955)
    estimate(page)
    expect(page.get_by_test_id("doubts")).to_be_visible()
    expect(page.get_by_text(NINE_IN_TEN)).to_have_count(0)
    expect(page.get_by_test_id("verdict")).to_have_count(0)
    expect(page.locator(".cp-range")).to_have_count(0)


def test_a_price_fades_when_the_form_changes_and_goes_with_a_value_that_is_refused(page: Page) -> None:
    page.goto("/")
    describe_logan(page, asking=90_000)
    estimate(page)
    result = page.locator(".st-key-result")
    expect(result).to_have_css("opacity", "1")
    give(page, re.compile("^Kilométrage"), 200_000)
    expect(page.get_by_text("Les valeurs ont changé")).to_be_visible()
    expect(result).to_have_css("opacity", "0.3")
    estimate(page)
    expect(result).to_have_css("opacity", "1")
    for refused in (-5_000, 0, 10**12):
        give(page, re.compile("^Prix demandé"), refused)
        expect(page.get_by_text("Prix demandé : un nombre de")).to_be_visible()
        expect(page.get_by_test_id("verdict")).to_be_hidden()
    page.get_by_role("button", name="Estimer le prix").click()
    expect(page.get_by_text("En trois étapes")).to_have_count(1)
    expect(page.get_by_test_id("price")).to_have_count(0)


def test_what_the_form_filled_in_is_marked_and_not_explained_as_said(page: Page) -> None:
    page.goto("/")
    describe_logan(page)
    fuel = page.get_by_role("combobox", name=re.compile("^Carburant"))
    expect(page.get_by_role("combobox", name=re.compile(r"^Carburant.*supposé"))).to_be_visible()
    estimate(page)
    expect(page.get_by_test_id("contributions")).to_contain_text(", supposé")
    fuel.click()
    fuel.fill("Essence")
    page.get_by_role("option", name="Essence").first.click()
    settled(page)
    expect(page.get_by_role("combobox", name=re.compile(r"^Carburant.*supposé"))).to_have_count(0)


def test_the_address_carries_the_car(page: Page, browser: Browser, app: RunningApp) -> None:
    page.goto("/")
    describe_logan(page, asking=90_000)
    price = estimate(page)
    page.wait_for_url(re.compile("marque=Dacia"))
    assert set(re.findall(r"[?&](\w+)=", page.url)) <= {
        "marque", "modele", "annee", "km", "carburant", "cv", "boite", "etat", "main", "prix", "suppose"
    }  # fmt: skip
    page.reload()
    expect(page.get_by_test_id("price")).to_be_visible()
    assert amount(page.get_by_test_id("price").inner_text()) == price
    expect(page.get_by_role("spinbutton", name=re.compile("^Kilométrage"))).to_have_value("120000")
    give(page, re.compile("^Kilométrage"), 200_000)
    estimate(page)
    page.wait_for_url(re.compile("km=200000"))
    page.go_back()
    expect(page.get_by_test_id("price")).to_have_text(re.compile(str(price)[:2]))
    expect(page.get_by_role("spinbutton", name=re.compile("^Kilométrage"))).to_have_value("120000")
    for other in opened(browser, app):
        other.goto(page.url.replace(app.address, ""))
        expect(other.get_by_test_id("price")).to_be_visible()
        assert amount(other.get_by_test_id("price").inner_text()) == price


def test_a_price_paid_that_is_hard_to_believe_is_asked_back_and_can_be_withdrawn(
    page: Page, served: Api
) -> None:
    page.goto("/")
    describe_logan(page)
    estimate(page)
    page.get_by_text("Vous avez acheté ou vendu cette voiture ?").click()
    give(page, re.compile("^Prix réellement payé"), 1_000)
    page.get_by_role("button", name="Enregistrer ce prix").click()
    expect(page.get_by_text("est loin de l'estimation")).to_be_visible()

    def newest() -> dict[str, object]:
        return served.get("/v1/predictions").json()["predictions"][0]  # type: ignore[no-any-return]

    assert newest()["price_paid_mad"] is None
    page.get_by_role("button", name="Confirmer ce prix").click()
    expect(page.get_by_text("Merci")).to_be_visible()
    assert (newest()["price_paid_mad"], newest()["feedback_unlikely"]) == (1_000, True)
    page.get_by_role("button", name="Retirer ce prix").click()
    expect(page.get_by_text("Merci")).to_have_count(0)
    assert newest()["price_paid_mad"] is None


def test_the_page_and_its_components_speak_the_language_of_the_page(page: Page) -> None:
    page.goto("/lot")
    expect(page.locator("html")).to_have_attribute("lang", "fr")
    uploader = page.get_by_test_id("stFileUploader")
    expect(uploader).to_contain_text("par fichier")
    expect(uploader).not_to_contain_text("Upload")
    expect(page.get_by_role("link", name="Estimer", exact=True)).to_be_visible()
    page.get_by_role("radio", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    expect(uploader).to_contain_text("per file")


def test_the_result_is_announced_and_every_drawing_has_its_text(page: Page) -> None:
    page.goto("/")
    describe_logan(page, asking=90_000)
    estimate(page)
    expect(page.locator("#cp-result")).to_have_attribute("role", "status")
    expect(
        page.get_by_role("img", name=re.compile("Fourchette de .* prix estimé .* Prix demandé"))
    ).to_be_visible()
    expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(3)
    expect(page.get_by_test_id("contributions")).to_be_visible()  # the text of the first drawing
    for curve in ("Kilométrage", "Année-modèle"):
        said = page.locator(".cp-unseen", has_text=f"{curve}")
        expect(said).to_contain_text(re.compile(r"et prix estimé\. .*\d.*MAD"))
    page.goto("/modele")
    expect(page.locator(".cp-unseen").first).to_contain_text("%")


def test_no_other_car_is_shown_as_the_same(page: Page) -> None:
    page.goto("/")
    describe_logan(page)
    estimate(page)
    cards = page.get_by_test_id("comparables").get_by_text(re.compile("^Ressemblance"))
    expect(cards.first).to_be_visible()
    alike = [int("".join(filter(str.isdigit, text))) for text in cards.all_inner_texts()]
    assert alike == sorted(alike, reverse=True)
    assert max(alike) < 100


def test_a_path_that_does_not_exist_says_so(page: Page) -> None:
    page.goto("/rien")
    expect(page.get_by_text("Cette adresse n'existe pas")).to_be_visible()


def test_the_figures_of_the_model_hide_nothing(page: Page, served: Api) -> None:
    metrics = served.get("/v1/model").json()["metrics"]
    page.goto("/modele")
    left_out = int(metrics["test_rows"] - metrics["test_unflagged_rows"])
    said = page.get_by_text("Ces chiffres laissent de côté")
    if left_out:
        expect(said).to_contain_text(f"{left_out} annonce")
    else:
        expect(said).to_have_count(0)
    page.get_by_text("Toutes les mesures").click()
    expect(page.get_by_test_id("metrics")).to_contain_text("Erreur médiane · test, toutes les annonces")
    expect(page.get_by_test_id("metrics")).not_to_contain_text("test_")


def test_the_history_says_what_asked(page: Page, served: Api) -> None:
    car = {"make": "Dacia", "model": "Logan", "model_year": 2015, "mileage": 90_000, "fuel": "Diesel"}
    served.post("/v1/predict/batch", [car])
    made = served.post("/v1/predict", car).json()
    served.get(f"/v1/predictions/{made['prediction_id']}")
    page.goto("/historique")
    expect(page.get_by_test_id("predictions")).to_contain_text("page ou API")
    expect(page.get_by_test_id("predictions")).to_contain_text("lot")


def test_a_list_without_results_offers_the_free_entry(page: Page) -> None:
    page.goto("/")
    box = page.get_by_role("combobox", name="Marque")
    box.click()
    box.fill("Zorglub")
    expect(page.get_by_role("option", name="Saisir : Zorglub")).to_be_visible()
