"""What a person does in the app, in a real browser."""

from __future__ import annotations

import re

from playwright.sync_api import Locator, Page, expect


def settled(page: Page) -> None:
    """Wait until the app has finished: after each input it makes the fields that depend on it again."""
    expect(page.locator('[data-testid="stApp"][data-test-script-state="notRunning"]')).to_be_visible()


def press(button: Locator) -> None:
    """Press a button by the keyboard: in a part that is just opening it moves, and a click may miss it."""
    button.press("Enter")


def choose(page: Page, label: str | re.Pattern[str], text: str) -> None:
    """Choose the first option that `text` finds in the list called `label`."""
    box = page.get_by_role("combobox", name=label)
    expect(box).to_be_enabled()
    box.click()
    box.fill(text)
    page.get_by_role("option", name=re.compile(f"^{re.escape(text)}")).first.click()
    settled(page)


def give(page: Page, label: str | re.Pattern[str], number: int) -> None:
    """Type a number into the field called `label`, and leave it."""
    field = page.get_by_role("spinbutton", name=label)
    field.fill(str(number))
    field.press("Tab")
    settled(page)


def describe_logan(page: Page, asking: int | None = None) -> None:
    """Fill the form: a Dacia Logan of 2015 with 120,000 km."""
    choose(page, "Marque", "Dacia")
    choose(page, re.compile("^Modèle"), "Logan")
    give(page, re.compile("^Année-modèle"), 2015)
    give(page, re.compile("^Kilométrage"), 120_000)
    expect(page.get_by_text(re.compile(r"Kilométrage \(km\) · 120.000"))).to_be_visible()
    if asking is not None:
        give(page, re.compile("^Prix demandé"), asking)
        expect(page.get_by_text(re.compile(r"Prix demandé \(MAD\) · \d"))).to_be_visible()


def estimate(page: Page) -> int:
    """Ask for the price; returns the amount that the page shows."""
    page.get_by_role("button", name="Estimer le prix").click()
    price = page.get_by_test_id("price")
    expect(price).to_be_visible()
    return amount(price.inner_text())


def amount(text: str) -> int:
    """The number in a text such as `−95 300 MAD`, whatever groups its digits."""
    digits = int("".join(filter(str.isdigit, text)))
    return -digits if text.strip().startswith("−") else digits
