"""The app as a process, and a browser's ways through its pages."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from conftest import REPOSITORY, clean_environment, wait_until
from demo.settings import free_port
from playwright.sync_api import Page, expect

# A cold page on a busy machine; what is there is found at once.
MILLISECONDS = 60_000


@dataclass
class RunningApp:
    """A running app."""

    address: str
    process: subprocess.Popen[bytes]


@contextmanager
def running_app(folder: Path, api_address: str, **settings: str) -> Iterator[RunningApp]:
    """A real Streamlit process that asks the API at `api_address`, ended afterwards."""
    port = free_port()
    log = folder / "app.log"
    main = REPOSITORY / "images" / "app" / "price_app" / "main.py"
    command = [
        sys.executable, "-m", "streamlit", "run", str(main), "--server.headless", "true",
        "--server.address", "127.0.0.1", "--server.port", str(port), "--server.fileWatcherType", "none",
        "--browser.gatherUsageStats", "false",
    ]  # fmt: skip
    environment = clean_environment(CARPRICE_APP_API_URL=api_address, HOME=str(folder), **settings)
    with open(log, "ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output, cwd=folder)
    address = f"http://127.0.0.1:{port}"
    try:

        def up() -> bool:
            assert process.poll() is None, log.read_text()
            return requests.get(f"{address}/_stcore/health", timeout=5).ok

        wait_until(up, f"the app is up; its log: {log}")
        yield RunningApp(address, process)
    finally:
        process.terminate()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def choose(page: Page, label: str | re.Pattern[str], text: str) -> None:
    """Choose the first option that `text` finds in the list called `label`."""
    box = page.get_by_role("combobox", name=label)
    expect(box).to_be_enabled()
    box.click()
    box.fill(text)
    page.get_by_role("option", name=re.compile(f"^{re.escape(text)}")).first.click()


def give(page: Page, label: str | re.Pattern[str], number: int) -> None:
    """Type a number into the field called `label`, and leave it."""
    field = page.get_by_role("spinbutton", name=label)
    field.fill(str(number))
    field.press("Tab")


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
    """Ask for the price; the amount shown."""
    page.get_by_role("button", name="Estimer le prix").click()
    price = page.get_by_test_id("price")
    expect(price).to_be_visible()
    return amount(price.inner_text())


def amount(text: str) -> int:
    """The number in a text such as `−95 300 MAD`, whatever groups its digits."""
    digits = int("".join(filter(str.isdigit, text)))
    return -digits if text.strip().startswith("−") else digits
