"""*Annonces* and *Marché* in Arabic in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from demo.browser import choose, press, settled
from fake_market import FakeMarket, fake_market, market_of, suspicious
from playwright.sync_api import Browser, expect
from right_to_left import DEVICES, Visit, is_whole, runs_to_the_right, visits
from running_app import RunningApp, running_app

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]


@pytest.fixture(scope="module")
def market() -> Iterator[FakeMarket]:
    odd = [suspicious(901, "far_below", make="Dacia", model="Duster", price_mad=9_900)]
    with fake_market(market_of(60) + odd) as market:
        yield market


@pytest.fixture(scope="module")
def app(market: FakeMarket, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("app"), market.address) as app:
        yield app


@pytest.fixture(params=DEVICES)
def visit(browser: Browser, app: RunningApp, request: pytest.FixtureRequest) -> Iterator[Visit]:
    yield from visits(browser, app, request.param)


def test_a_listing_is_found_opened_and_watched_in_arabic(visit: Visit) -> None:
    page = visit.page
    page.goto("/annonces?lang=ar")
    expect(page.get_by_role("heading", level=1)).to_have_text("الإعلانات")
    choose(page, "الماركة", "Dacia")
    choose(page, "الموديل", "Duster")
    expect(page.get_by_test_id("offer").first).to_contain_text("Dacia Duster")
    expect(page.get_by_test_id("label").first).to_contain_text("ثمن جيد جدا")
    expect(page.get_by_test_id("suspicious").first).to_contain_text("لا تدفع شيئا")
    settled(page)
    shown = page.locator(".cp-offer-price").first.inner_text()
    runs_to_the_right(page, re.sub(r"\D", "", shown), ".cp-offer-price")
    is_whole(visit)

    page.get_by_text("أنشئ تنبيها لهذا البحث").click()
    press(page.get_by_role("button", name="أنشئ هذا التنبيه"))
    expect(page.get_by_text(re.compile("lang=ar"))).to_be_visible()
    page.get_by_role("button", name="احتفظت بالرابط").click()
    # The list moves up where the link of the watch was.
    expect(page.get_by_text(re.compile("lang=ar"))).to_have_count(0)
    settled(page)

    page.get_by_role("link", name="شاهد التفاصيل").first.click()
    expect(page.get_by_test_id("asked")).to_contain_text("درهم")
    expect(page.get_by_test_id("basis")).to_contain_text("قورنت بـ")
    expect(page.get_by_test_id("contributions")).to_contain_text("الثمن المعتاد في السوق")
    settled(page)
    runs_to_the_right(page, "DaciaDuster", ".cp-offer-title")
    is_whole(visit)


def test_the_market_is_told_in_arabic(visit: Visit) -> None:
    page = visit.page
    page.goto("/marche?marque=Dacia&lang=ar")
    expect(page.get_by_role("heading", level=1)).to_have_text("السوق")
    expect(page.get_by_text("معروضة للبيع").first).to_be_visible()
    expect(page.get_by_text(re.compile("لسيارة مماثلة")).first).to_be_visible()
    settled(page)
    assert (
        page.get_by_test_id("stVegaLiteChart").first.evaluate("e => getComputedStyle(e).direction") == "ltr"
    )
    is_whole(visit)
