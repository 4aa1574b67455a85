"""*Estimer* in Arabic in a real browser: from right to left, nothing cut off, and the same numbers."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from conftest import Api, wait_until
from demo.browser import amount, choose, give, settled
from playwright.sync_api import Browser, Page, expect
from right_to_left import DEVICES, PLACES, Visit, is_whole, runs_to_the_right, visits
from running_app import RunningApp

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(params=DEVICES)
def visit(browser: Browser, app: RunningApp, request: pytest.FixtureRequest) -> Iterator[Visit]:
    yield from visits(browser, app, request.param)


def describe_logan(page: Page, asking: int) -> None:
    choose(page, "الماركة", "Dacia")
    choose(page, re.compile("^الموديل"), "Logan")
    give(page, re.compile("^سنة الموديل"), 2015)
    give(page, re.compile("^الكيلومتراج"), 120_000)
    choose(page, "الحالة", "جيدة جدا")
    give(page, re.compile("^الثمن المطلوب"), asking)


def estimate(page: Page) -> int:
    page.get_by_role("button", name="قدر الثمن").click()
    expect(page.get_by_test_id("contributions")).to_be_visible()
    return amount(page.get_by_test_id("price").inner_text())


def test_a_price_is_asked_for_and_told_in_arabic(visit: Visit, served: Api) -> None:
    page = visit.page
    page.goto("/?lang=ar")
    expect(page.get_by_role("heading", name="كم تساوي هذه السيارة؟")).to_be_visible()
    expect(page.locator("html")).to_have_attribute("lang", "ar")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page).to_have_title("أثمنة السيارات المستعملة")
    describe_logan(page, asking=90_000)
    price = estimate(page)
    logged = served.get("/v1/predictions").json()["predictions"][0]
    assert logged["listing"]["condition"] == "Très bon"
    assert abs(price - logged["price_mad"]) <= 1_000
    expect(page.get_by_test_id("price")).to_have_text(re.compile("درهم"))
    expect(page.get_by_test_id("verdict")).to_contain_text("مرتفع نسبيا")
    expect(page.get_by_test_id("comparables")).to_contain_text("كلم")
    expect(page.get_by_test_id("comparables")).to_contain_text("ديزل")
    settled(page)

    # Amounts and names run from left to right; what follows an amount stands on its left.
    digits = str(price)
    runs_to_the_right(page, digits, '[data-testid="price"]')
    runs_to_the_right(page, "DaciaLogan2015", ".cp-price h2")
    runs_to_the_right(page, "120000", ".cp-price h2")
    places = page.get_by_test_id("price").evaluate(PLACES)
    assert max(left for letter, left, _ in places if letter in "درهم") < places[0][1]
    for line in page.get_by_test_id("contributions").locator("b").all():
        shown = line.evaluate(PLACES)
        run = [left for letter, left, _ in shown if letter in "0123456789+−"]
        assert run == sorted(run), shown
    # The page begins on the right, drawings keep left and right.
    for selector, way in (
        (".stMainBlockContainer", "rtl"),
        (".cp-price", "rtl"),
        ('input[role="combobox"]', "rtl"),
        (".cp-range", "ltr"),
        (".stVegaLiteChart", "ltr"),
    ):
        assert page.locator(selector).first.evaluate("e => getComputedStyle(e).direction") == way, selector
    heading, brand = page.get_by_role("heading", level=1), page.locator(".cp-brand")
    assert heading.evaluate("e => getComputedStyle(e).textAlign") in {"start", "right"}
    box, width = brand.bounding_box(), page.viewport_size
    assert box is not None
    assert width is not None
    assert box["x"] + box["width"] > 0.8 * width["width"]
    is_whole(visit)


def test_arabic_and_french_show_the_same_numbers_and_the_choice_stays(visit: Visit, served: Api) -> None:
    page = visit.page
    page.goto("/")
    expect(page.locator("html")).to_have_attribute("dir", "ltr")
    page.get_by_role("radio", name="العربية").click()
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    wait_until(lambda: "lang=ar" in page.url, "the address names the language")
    describe_logan(page, asking=90_000)
    price = estimate(page)
    places = ("price", "verdict", "contributions", "comparables")

    def numbers() -> list[list[str]]:
        texts = [page.get_by_test_id(place).inner_text() for place in places]
        return [re.findall(r"\d+", re.sub(r"(?<=\d)\u202f(?=\d{3})", "", text)) for text in texts]

    arabic = numbers()
    # The address is that of this car in Arabic.
    page.reload()
    expect(page.get_by_test_id("contributions")).to_contain_text("الثمن المعتاد في السوق")
    expect(page.locator("html")).to_have_attribute("lang", "ar")
    assert amount(page.get_by_test_id("price").inner_text()) == price
    page.get_by_role("radio", name="Français").click()
    expect(page.get_by_test_id("contributions")).to_contain_text("prix typique du marché")
    expect(page.locator("html")).to_have_attribute("dir", "ltr")
    assert numbers() == arabic
    assert visit.errors == []


@pytest.mark.parametrize("place", ["/", "/lot", "/historique", "/modele", "/rapports"])
def test_every_page_is_in_arabic_from_right_to_left(visit: Visit, place: str) -> None:
    page = visit.page
    page.goto(f"{place}?lang=ar")
    expect(page.locator("html")).to_have_attribute("dir", "rtl")
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("[\u0621-\u064a]"))
    settled(page)
    is_whole(visit)


def test_a_make_and_a_model_typed_in_arabic_are_known(visit: Visit, served: Api) -> None:
    page = visit.page
    page.goto("/?lang=ar")
    for label, typed in (("الماركة", "داسيا"), (re.compile("^الموديل"), "لوغان")):
        box = page.get_by_role("combobox", name=label)
        expect(box).to_be_enabled()
        box.click()
        box.fill(typed)
        page.get_by_role("option", name=re.compile(typed)).click()
        settled(page)
    give(page, re.compile("^سنة الموديل"), 2015)
    estimate(page)
    listing = served.get("/v1/predictions").json()["predictions"][0]["listing"]
    assert (listing["make"], listing["model"]) == ("Dacia", "Logan")


def test_what_is_wrong_is_said_in_arabic(visit: Visit) -> None:
    page = visit.page
    page.goto("/?lang=ar")
    page.get_by_role("button", name="قدر الثمن").click()
    expect(page.get_by_role("status").first).to_contain_text("ما زال ينقص: ")
    choose(page, "الماركة", "Dacia")
    choose(page, re.compile("^الموديل"), "أخرى (اكتبها)")
    page.get_by_label("اسم الموديل").fill("Zorglub C+")
    page.get_by_label("اسم الموديل").press("Tab")
    settled(page)
    give(page, re.compile("^سنة الموديل"), 2015)
    page.get_by_role("button", name="قدر الثمن").click()
    said = page.get_by_role("status").filter(has_text="غير معروف")
    expect(said.first).to_contain_text("Zorglub C+")
    runs_to_the_right(page, "ZorglubC+", "#cp-result")
