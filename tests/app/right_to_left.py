"""What tests of pages in Arabic look at: the direction of texts, what is cut off, and the console."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from browsing import opened
from playwright.sync_api import Browser, ConsoleMessage, Page, expect
from running_app import RunningApp

PHONE = {"viewport": {"width": 360, "height": 780}, "is_mobile": True, "has_touch": True}
# Texts that are wider than the box that hides the rest, but for those that only a screen reader reads, and
# the list of endings that Streamlit shortens itself.
CUT_OFF = """() => [...document.querySelectorAll('.stMain *')].filter((e) => {
  const own = [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim());
  const style = getComputedStyle(e);
  const left = e.closest('.cp-unseen, script, style, thead, [data-testid="stFileUploader"]');
  return own && !left && style.overflowX !== 'visible'
    && e.clientWidth > 1 && e.scrollWidth > e.clientWidth + 1;
}).map((e) => e.className + ': ' + e.textContent.slice(0, 60))"""
# Parts that reach beyond a side of the screen.
OUTSIDE = """() => [
  ...document.querySelectorAll('.stMain :is(button, input, h1, h2, h3, [class^="cp-"])')
].filter((e) => {
  const box = e.getBoundingClientRect(), seen = {checkOpacity: true, checkVisibilityCSS: true};
  const shown = box.width > 1 && e.checkVisibility(seen) && !e.closest('.cp-unseen, thead');
  return shown && (box.left < -1 || box.right > innerWidth + 1);
}).map((e) => e.outerHTML.slice(0, 200))"""
# Where the characters of a text stand on the screen, in the order of the text.
PLACES = """(element) => {
  const found = [], walker = document.createTreeWalker(element, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) [...walker.currentNode.data].forEach((letter, at) => {
    const range = document.createRange();
    range.setStart(walker.currentNode, at), range.setEnd(walker.currentNode, at + 1);
    const box = range.getBoundingClientRect();
    if (/[0-9\\u0621-\\u064aA-Za-z+\\u2212]/.test(letter)) found.push([letter, box.left, box.top]);
  });
  return found;
}"""


@dataclass
class Visit:
    """A page, and what its console complained about."""

    page: Page
    errors: list[str] = field(default_factory=list)


DEVICES: dict[str, dict[str, object]] = {"desktop": {}, "phone": PHONE}


def visits(browser: Browser, app: RunningApp, device: str) -> Iterator[Visit]:
    """A page of the app on one of `DEVICES`."""
    for page in opened(browser, app, **DEVICES[device]):
        found = Visit(page)

        def heard(message: ConsoleMessage, found: Visit = found) -> None:
            # Streamlit asks below the address of each page first for what lies at the root.
            if message.type == "error" and "404" not in message.text:
                found.errors.append(message.text)

        page.on("console", heard)
        page.on("pageerror", lambda error, found=found: found.errors.append(str(error)))
        yield found


def is_whole(visit: Visit) -> None:
    """The page runs from right to left, is no wider than the screen, cuts nothing off and broke nothing."""
    expect(visit.page.locator("html")).to_have_attribute("lang", "ar")
    expect(visit.page.locator("html")).to_have_attribute("dir", "rtl")
    visit.page.wait_for_function("document.scrollingElement.scrollWidth <= innerWidth")
    cut_off, outside = visit.page.evaluate(CUT_OFF), visit.page.evaluate(OUTSIDE)
    assert cut_off == [], cut_off
    assert outside == [], outside
    assert visit.errors == [], visit.errors


def runs_to_the_right(page: Page, letters: str, selector: str) -> None:
    """These characters stand one after the other from left to right in the first such text."""
    places = page.locator(selector).first.evaluate(PLACES)
    said = "".join(letter for letter, *_ in places)
    at = said.index(letters)
    lefts = [left for _, left, _ in places[at : at + len(letters)]]
    assert lefts == sorted(lefts), (said, lefts)
