"""The pages' logic, run by Streamlit's own test runner on a real API."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

import pytest
import streamlit
from conftest import LOGAN, REPOSITORY, Api, running_api, running_mlflow, wait_until
from demo.settings import free_port
from streamlit.testing.v1 import AppTest

MAIN = str(REPOSITORY / "images" / "app" / "price_app" / "main.py")
PAGE = """
from price_app import language
from price_app.views import {name}
language.remember()
{name}.page()
"""


@pytest.fixture(autouse=True)
def _settings(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    streamlit.cache_data.clear()
    streamlit.cache_resource.clear()
    monkeypatch.setenv("CARPRICE_APP_API_URL", api.address)


def main() -> AppTest:
    return AppTest.from_file(MAIN, default_timeout=60).run()


def page(name: str) -> AppTest:
    return AppTest.from_string(PAGE.format(name=name), default_timeout=60).run()


def html_of(at: AppTest) -> str:
    """All HTML that the page has drawn itself."""
    return "\n".join(element.proto.body for element in at.get("html"))


def button(at: AppTest, label: str) -> object:
    return next(b for b in at.button if b.label == label)


def fill(at: AppTest, **more: object) -> AppTest:
    at.selectbox(key="car make").select("Dacia").run()
    at.selectbox(key="car model of Dacia").select("Logan").run()
    at.number_input(key="car year").set_value(2015)
    at.number_input(key="car km").set_value(125_000)
    for key, value in more.items():
        at.number_input(key=f"car {key}").set_value(value)
    return at


def test_models_and_their_values_follow_the_make(api: Api) -> None:
    at = main()
    choices = api.get("/v1/choices").json()
    makes = [option.split(" · ")[0] for option in at.selectbox(key="car make").options]
    assert makes == [*choices["makes"], "Autre (saisir)"]
    at.selectbox(key="car make").select("Dacia").run()
    known = choices["makes"]["Dacia"]["models"]
    models = [option.split(" · ")[0] for option in at.selectbox(key="car model of Dacia").options]
    assert models == [*known, "Autre (saisir)"]
    at.selectbox(key="car model of Dacia").select("Logan").run()
    assert at.selectbox(key="car fuel Dacia/Logan").value == known["Logan"]["fuels"][0]
    assert at.selectbox(key="car power Dacia/Logan").value == known["Logan"]["fiscal_powers"][0]
    assert not at.exception


def test_what_is_missing_is_named() -> None:
    at = main()
    button(at, "Estimer le prix").click().run()  # type: ignore[attr-defined]
    said = html_of(at)
    assert "Il manque encore" in said
    assert "Marque" in said
    assert 'data-testid="price"' not in said


def test_the_price_is_the_apis_and_is_asked_for_once(api: Api) -> None:
    at = fill(main(), asking=99_000)
    before = api.get("/v1/predictions").json()["total"]
    button(at, "Estimer le prix").click().run()  # type: ignore[attr-defined]
    assert not at.exception
    made = api.get("/v1/predictions").json()
    assert made["total"] == before + 1
    newest = made["predictions"][0]
    assert f"{newest['price_mad']:,.0f}".replace(",", "\u202f") in html_of(at)
    assert newest["asking_price_mad"] == 99_000
    at.run()
    at.segmented_control(key="language_switch").set_value("en").run()
    assert f"{newest['price_mad']:,.0f}" in html_of(at)
    assert api.get("/v1/predictions").json()["total"] == before + 1


def test_the_address_chooses_the_language() -> None:
    at = AppTest.from_file(MAIN, default_timeout=60)
    at.query_params["lang"] = "en"
    assert at.run().title[0].value == "What is this car worth?"
    at = AppTest.from_file(MAIN, default_timeout=60)
    at.query_params["lang"] = "<script>"
    assert at.run().title[0].value == "Combien vaut cette voiture\u00a0?"


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "**x**", "$x$", "[a](javascript:alert(1))", ":material/home:", "'; DROP--"],
)
def test_text_of_a_listing_is_shown_as_text(api: Api, text: str) -> None:
    assert api.post("/v1/predict", LOGAN | {"make": text, "model": text}).status_code == 200
    at = page("history")
    assert not at.exception
    for element in [*at.markdown, *at.caption, *at.title, *at.header, *at.subheader, *at.button]:
        shown = element.value if hasattr(element, "value") else ""
        assert text not in str(shown)
        assert text not in str(getattr(element, "label", ""))
    assert escape(text) in html_of(at)
    if "<" in text:
        assert text not in html_of(at)


def test_the_model_page_shows_gates_history_and_figures(api: Api) -> None:
    at = page("model")
    assert not at.exception
    said = html_of(at)
    for words in ("Erreur médiane", "contrôles automatiques", "1 (en production)", "Temps de calcul"):
        assert words in said
    model = api.get("/v1/model").json()
    assert said.count(">oui</span>") == sum(g["passed"] for d in model["gates"] for g in d["gates"])


def test_reports_are_found_by_their_words(api: Api) -> None:
    at = page("reports")
    found = api.get("/v1/reports").json()["reports"]
    assert at.subheader[0].value.startswith(str(len(found)))
    at.text_input(key="report search").set_value("QUALITÉ").run()
    kinds = {option.split(" · ")[0] for option in at.selectbox(key="report").options}
    assert kinds == {"Qualité des données"}
    at.text_input(key="report search").set_value("no such thing").run()
    assert "Aucun rapport ne correspond" in html_of(at)


def test_a_filter_without_a_match_says_so() -> None:
    at = page("history")
    at.text_input(key="filter make").set_value("No such make").run()
    assert "Aucune estimation ne correspond" in [s.value for s in at.subheader]
    assert not at.exception


@pytest.mark.parametrize("name", ["estimate", "batch", "history", "model", "reports"])
def test_each_page_has_a_screen_for_an_api_that_is_away(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARPRICE_APP_API_URL", f"http://127.0.0.1:{free_port()}")
    at = page(name)
    assert not at.exception
    assert "Le service de prix ne répond pas" in [s.value for s in at.subheader]
    assert [b.label for b in at.button] == ["Réessayer"]


@pytest.fixture(scope="module")
def without_model(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("empty")
    (folder / "data").mkdir()
    with (
        running_mlflow(folder / "data") as (mlflow, _),
        running_api(folder, folder / "data", mlflow, wait=False) as api,
    ):
        wait_until(
            lambda: "no model is in production" in api.get("/readyz").json()["detail"],
            "the API has asked MLflow",
        )
        yield api


@pytest.mark.parametrize("name", ["estimate", "batch", "model"])
def test_a_page_without_a_model_says_what_to_do(
    name: str, without_model: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARPRICE_APP_API_URL", without_model.address)
    at = page(name)
    assert not at.exception
    assert "Aucun modèle n'est encore en production" in [s.value for s in at.subheader]
    assert "data/raw" in html_of(at)


def test_a_registry_that_is_away_at_the_start_has_its_own_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "data").mkdir()
    nobody = f"http://127.0.0.1:{free_port()}"
    with running_api(tmp_path, tmp_path / "data", nobody, wait=False) as api:
        monkeypatch.setenv("CARPRICE_APP_API_URL", api.address)
        at = page("estimate")
    assert "Le registre des modèles ne répond pas" in [s.value for s in at.subheader]


def test_an_unknown_setting_stops_the_app_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARPRICE_APP_API_ULR", "http://127.0.0.1:8000")
    at = page("estimate")
    assert "L'application est mal réglée" in [s.value for s in at.subheader]
    assert any("CARPRICE_APP_API_ULR" in text.value for text in at.text)
