"""How long a visitor waits for *Annonces*: at first, from another page, and from a filter to its cars.

At a first visit the cars come with the page. Its filters need the app itself, some 100 files of Streamlit.
"""

from __future__ import annotations

from demo.browser import settled
from playwright.sync_api import Page, expect, sync_playwright

from benchmarks.market_files import CARS

VISITS = 10
FIRST = "a first visit, to the cars"
WHOLE = "a first visit, to filters that answer"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--no-proxy-server",
]
_MILLISECONDS = 60_000
# Milliseconds of the page's own clock once a car can be read.
_READ = "() => document.querySelector('#first-sight h3, [data-testid=offer] h3') && performance.now()"
# Milliseconds of the page's own clock, which begins with the navigation, once each car is one of `name`.
_SHOWN = """(name) => {
  const cars = [...document.querySelectorAll('[data-testid=offer] h3')];
  const ended = document.querySelector('[data-testid=stApp][data-test-script-state=notRunning]');
  const fit = cars.length && cars.every((car) => car.textContent.startsWith(name));
  return ended && fit && performance.now();
}"""


def waits(app_url: str, program: str) -> dict[str, list[float]]:
    """Seconds that visitors wait, `VISITS` of each kind: those of `FIRST` and `WHOLE` have empty caches.

    `program` is the path of Chromium. A wait ends when the cars are there and the app has nothing left to do.
    """
    found: dict[str, list[float]] = {
        FIRST: [],
        WHOLE: [],
        "from another page of the app": [],
        "from a filter to its cars": [],
    }
    read, opened, returned, filtered = found.values()
    cars = [(make, model) for make, models in CARS.items() for model in models]
    expect.set_options(timeout=_MILLISECONDS)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        # the first visit builds what later ones find
        for place in range(-1, VISITS):
            make, model = cars[place % len(cars)]
            context = browser.new_context(viewport={"width": 1240, "height": 900})
            context.set_default_timeout(_MILLISECONDS)
            page = context.new_page()
            page.goto(f"{app_url}/annonces", wait_until="commit")
            first = float(page.wait_for_function(_READ, polling="raf").json_value()) / 1000
            seconds = _shown(page, "")
            settled(page)
            back = _back(page)
            filters = [_chosen(page, "Marque", make, make), _chosen(page, "Modèle", model, f"{make} {model}")]
            context.close()
            if place >= 0:
                read.append(first)
                opened.append(seconds)
                returned.append(back)
                filtered.append(filters[place % 2])
        browser.close()
    return found


def _back(page: Page) -> float:
    """Go to another page and back; seconds from the click on *Annonces* to the cars."""
    page.get_by_role("link", name="Lot", exact=True).first.click()
    expect(page.get_by_test_id("offer")).to_have_count(0)
    settled(page)
    before = float(page.evaluate("performance.now()"))
    page.get_by_role("link", name="Annonces", exact=True).first.click()
    seconds = _shown(page, "") - before / 1000
    settled(page)
    return seconds


def _chosen(page: Page, label: str, text: str, name: str) -> float:
    """Choose in a list; seconds from the choice to the cars of this `name`."""
    box = page.get_by_role("combobox", name=label)
    box.click()
    box.fill(text)
    option = page.get_by_role("option").filter(has_text=text).first
    expect(option).to_be_visible()
    before = float(page.evaluate("performance.now()"))
    option.click()
    seconds = _shown(page, name) - before / 1000
    settled(page)
    return seconds


def _shown(page: Page, name: str) -> float:
    """Seconds from the navigation to the cars of this `name`."""
    return float(page.wait_for_function(_SHOWN, arg=name, polling="raf").json_value()) / 1000
