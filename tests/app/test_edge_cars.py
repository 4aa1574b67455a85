"""Cars at the edges of what the model has learned: what the page shows of them, in both languages.

`make edge-cars DATA=listings.csv TO=folder` does it with a model of those listings, and writes the table and
the pictures of the pages into the folder.
"""

from __future__ import annotations

import datetime
import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from browsing import opened
from conftest import Api, carprice, running_api, running_mlflow
from demo.browser import settled
from playwright.sync_api import Browser, Page, expect
from running_app import RunningApp, running_app

from price_contract import formats

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600, func_only=True)]

NEXT_YEAR = datetime.datetime.now(datetime.UTC).year + 1
DUSTER: dict[str, Any] = {
    "marque": "Dacia",
    "modele": "Duster",
    "annee": 2017,
    "km": 120_000,
    "carburant": "Diesel",
}
ASKED = 5_000_000
REFUSED = "refused"
# Name -> what differs from a Dacia Duster of 2017 with 120,000 km, and the evidence, where every file has the
# same. The asking price is one that only a verdict could call a typing error.
CARS: dict[str, tuple[dict[str, Any], str | None]] = {
    "usual": ({}, "usual"),
    "unknown make, supercar": ({"marque": "Ferrari", "modele": "F40", "annee": 1990}, None),
    "unknown make, invented": ({"marque": "Zorglub", "modele": "Z1"}, "none"),
    "unknown make, supercar of today": ({"marque": "Bugatti", "modele": "Chiron", "annee": 2021}, "none"),
    "supercar of a known make": (
        {"marque": "Porsche", "modele": "911", "annee": 2019, "carburant": "Essence"},
        None,
    ),
    "unknown model": ({"modele": "Zorglub"}, "none"),
    "fewest listings of its model": ({"rarest": True}, None),
    "year 1950": ({"annee": 1950}, "none"),
    "year 1970": ({"annee": 1970}, None),
    "year 1985": ({"annee": 1985}, None),
    "year 1991": ({"annee": 1991}, None),
    "next year": ({"annee": NEXT_YEAR, "km": 1_000}, "none"),
    "two-digit year": ({"annee": 17}, REFUSED),
    "year after next": ({"annee": NEXT_YEAR + 1}, REFUSED),
    "0 km": ({"km": 0}, "usual"),
    "1,500 km": ({"km": 1_500}, "usual"),
    "20,000 km": ({"km": 20_000}, "usual"),
    "400,000 km": ({"km": 400_000}, None),
    "900,000 km": ({"km": 900_000}, None),
    "mileage unknown": ({"km": None}, "usual"),
    "for parts": ({"etat": "Pour Pièces"}, "none"),
    "damaged": ({"etat": "Endommagé"}, None),
    "electric": (
        {"marque": "Renault", "modele": "Zoe", "annee": 2020, "carburant": "Electrique", "km": 60_000},
        None,
    ),
    "electric, of a model that is not": ({"carburant": "Electrique"}, None),
}
# What only a price with evidence may say, in both languages.
CLAIMS = re.compile(r"annonces comparables sur 10|listings out of 10|faute de frappe|typing error|typo")


@dataclass
class Table:
    """What was shown of each car: its name, the two texts and the evidence; written at the end."""

    folder: Path | None
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)

    def write(self) -> None:
        """Write `table.md` into the folder, where there is one."""
        if self.folder is None:
            return
        lines = ["| car | shown in French | shown in English | evidence |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(text.replace('|', '/') for text in row)} |" for row in self.rows]
        (self.folder / "table.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def table() -> Iterator[Table]:
    to = os.environ.get("EDGE_CARS_TO")
    if to:
        Path(to).mkdir(parents=True, exist_ok=True)
    found = Table(Path(to) if to else None)
    yield found
    found.write()


@pytest.fixture(scope="module")
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """The API with the model of EDGE_CARS_DATA, a file of listings or a data root with a model in production.

    Without it, the model is that of the other tests.
    """
    folder = tmp_path_factory.mktemp("edge-cars")
    with ExitStack() as ends:
        if path := os.environ.get("EDGE_CARS_DATA"):
            data = Path(path)
            if not data.is_dir():
                data = folder / "data"
                carprice(data, "run", path)
            address, _ = ends.enter_context(running_mlflow(data))
        else:
            data = request.getfixturevalue("trained_data")
            address = request.getfixturevalue("mlflow_address")
        yield ends.enter_context(running_api(folder / "api", data, address))


@pytest.fixture(scope="module")
def app(served: Api, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningApp]:
    with running_app(tmp_path_factory.mktemp("edge-cars-app"), served.address) as running:
        yield running


@pytest.fixture(scope="module")
def page(browser: Browser, app: RunningApp) -> Iterator[Page]:
    yield from opened(browser, app, viewport={"width": 1240, "height": 1500})


@pytest.mark.parametrize("name", CARS)
def test_nothing_is_claimed_beyond_the_evidence(name: str, page: Page, served: Api, table: Table) -> None:
    change, expected = CARS[name]
    car = DUSTER | change
    if car.pop("rarest", False):
        car |= _rarest(served)
    car = {field: value for field, value in car.items() if value is not None}
    page.goto(f"/?{urlencode(car | {'prix': ASKED, 'lang': 'fr'})}")
    if expected == REFUSED:
        expect(page.get_by_text("un nombre de").first).to_be_visible()
    else:
        expect(page.locator("#cp-result")).to_be_visible()
    settled(page)
    evidence = REFUSED
    if page.locator("#cp-result").count():
        answered = served.get("/v1/predictions?page_size=1").json()["predictions"][0]
        evidence = answered["evidence"]
    texts = {"fr": _shown(page, table, name, "fr")}
    page.get_by_role("radio", name="English").click()
    expect(page.locator("html")).to_have_attribute("lang", "en")
    settled(page)
    texts["en"] = _shown(page, table, name, "en")
    label = " ".join(str(value) for value in car.values())
    table.rows.append((f"{name}: {label}", texts["fr"], texts["en"], evidence))
    assert expected is None or evidence == expected
    assert texts["fr"] != texts["en"]
    for text in texts.values():
        if evidence != "usual":
            assert not CLAIMS.search(text), text
    if evidence == "usual":
        expect(page.get_by_test_id("verdict")).to_be_visible()
        return
    for claimed in ("verdict",) if evidence == "little" else ("verdict", "contributions", "comparables"):
        expect(page.get_by_test_id(claimed)).to_have_count(0)
    if evidence in {"none", REFUSED}:
        expect(page.locator(".cp-range")).to_have_count(0)
        expect(page.get_by_test_id("stVegaLiteChart")).to_have_count(0)
    if evidence != REFUSED:
        doubts = page.get_by_test_id("doubts").bounding_box()
        price = page.locator('[data-testid="price"], [data-testid="no-price"]').bounding_box()
        assert doubts is not None
        assert price is not None
        assert doubts["y"] < price["y"]


def _rarest(served: Api) -> dict[str, Any]:
    """The model with the fewest listings, as the address has it."""
    makes = served.get("/v1/choices").json()["makes"]
    counts = [
        (known["count"], make, model, known)
        for make, of in makes.items()
        for model, known in of["models"].items()
    ]
    _, make, model, known = min(counts, key=lambda found: found[:3])
    return {"marque": make, "modele": model, "annee": known["years"][0], "carburant": known["fuels"][0]}


def _shown(page: Page, table: Table, name: str, language: str) -> str:
    """The text of the result in one line, and a picture of the page."""
    if table.folder is not None:
        path = table.folder / f"{re.sub('[^a-z0-9]+', '-', name.casefold())}-{language}.png"
        page.wait_for_load_state("networkidle")
        page.screenshot(path=path)
    priced = page.locator("#cp-result")
    text = (priced if priced.count() else page.locator(".cp-notice").first).inner_text()
    return " / ".join(filter(None, (line.strip() for line in text.replace(formats.NBSP, " ").splitlines())))
