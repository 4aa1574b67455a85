"""The pages' logic, run by Streamlit's own test runner on a real API."""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from html import escape, unescape
from pathlib import Path

import pytest
import streamlit
from conftest import LOGAN, REPOSITORY, Api, running_api, running_mlflow, wait_until
from demo.settings import free_port
from mlflow import MlflowClient
from streamlit.testing.v1 import AppTest

from carprice.lifecycle.registry import MODEL, STAGING
from price_app import screens
from price_app.api_client import ApiClient, ApiProblem
from price_app.views import batch, estimate_answer, model, reports
from price_contract import formats

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
    shown = formats.rounded(
        newest["price_mad"], formats.step_of(*(newest[f"{name}_mad"] for name in ("price", "low", "high")))
    )
    assert f"{shown:,}".replace(",", "\u202f") in html_of(at)
    assert newest["asking_price_mad"] == 99_000
    at.run()
    at.segmented_control(key="language_switch").set_value("en").run()
    assert f"{shown:,}" in html_of(at)
    assert api.get("/v1/predictions").json()["total"] == before + 1


def test_who_does_not_know_mileage_and_fuel_gets_a_wider_range_and_is_told(api: Api) -> None:
    at = main()
    at.selectbox(key="car make").select("Dacia").run()
    at.selectbox(key="car model of Dacia").select("Logan").run()
    at.number_input(key="car year").set_value(2015)
    at.selectbox(key="car fuel Dacia/Logan").select("").run()
    button(at, "Estimer le prix").click().run()  # type: ignore[attr-defined]
    assert not at.exception
    assert "Le kilométrage n'est pas connu" in unescape(html_of(at))
    assert "Le carburant n'est pas connu" in unescape(html_of(at))
    newest = api.get("/v1/predictions").json()["predictions"][0]
    assert newest["listing"]["mileage_km_min"] is None
    assert newest["listing"]["fuel"] is None
    at.segmented_control(key="language_switch").set_value("en").run()
    assert "The mileage is not known" in unescape(html_of(at))
    assert "The fuel is not known: the model assumes 'Diesel'" in unescape(html_of(at))


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
    decisions = model["gates"] + [d for entry in model["history"] for d in entry["gates"]]
    assert said.count(">oui</span>") == sum(g["passed"] for d in decisions for g in d["gates"])
    promotion = next(e for e in at.expander if e.label.startswith("Contrôles de la version 1, "))
    shown = "".join(element.proto.body for element in promotion.get("html"))
    assert 'data-testid="gates-1-promote_to_staging"' in shown
    assert 'data-testid="gates-1-validate_staging_model"' in shown


def test_a_gate_without_a_number_shows_none() -> None:
    gate = {"name": "worst_slice_loss", "value": None, "threshold": 0.25}
    assert model._figure(gate, "value") == "–"
    assert model._figure(gate | {"value": 0.0}, "value") == formats.share(0, 1)


def test_reports_are_found_by_their_words(api: Api) -> None:
    at = page("reports")
    found = api.get("/v1/reports").json()["reports"]
    assert at.subheader[0].value.startswith(str(len(found)))
    at.text_input(key="report search").set_value("QUALITÉ").run()
    kinds = {option.split(" · ")[0] for option in at.selectbox(key="report").options}
    assert kinds == {"Qualité des données"}
    at.text_input(key="report search").set_value("no such thing").run()
    assert "Aucun rapport ne correspond" in html_of(at)


def test_a_report_leads_to_the_others_in_the_app() -> None:
    known = {"drift/a.html", "drift/a.evidently.html", "models/b.html"}
    inside = '<a href="a.evidently.html">Evidently</a><a href="../../reports/models/b.html#gates">card</a>'
    assert re.findall(r'href="[^"]*"', reports.linked(inside, "drift", known)) == [
        'href="?report=drift/a.evidently.html"',
        'href="?report=models/b.html"',
    ]
    for other in ("../models/none.html", "https://host/a.html", "#a.html", "../../quarantine/a.csv"):
        link = f'<a href="{other}">x</a>'
        assert reports.linked(link, "drift", known) == link


def test_an_address_names_its_report(api: Api) -> None:
    wanted = api.get("/v1/reports").json()["reports"][-1]
    at = AppTest.from_string(PAGE.format(name="reports"), default_timeout=60)
    at.query_params["report"] = f"{wanted['kind']}/{wanted['name']}"
    at.run()
    assert at.selectbox(key="report").value == f"{wanted['kind']}/{wanted['name']}"
    at = AppTest.from_string(PAGE.format(name="reports"), default_timeout=60)
    at.query_params["report"] = "drift/../../mlflow"
    at.run()
    assert at.selectbox(key="report").value is None
    assert not at.exception


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
        wait_until(lambda: api.get("/readyz").json()["mlflow"] == "away", "the API has asked in vain")
        monkeypatch.setenv("CARPRICE_APP_API_URL", api.address)
        at = page("estimate")
    assert "Le registre des modèles ne répond pas" in [s.value for s in at.subheader]


def test_a_log_that_is_away_costs_the_history_and_no_price(
    trained_data: Path, mlflow_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = f"postgresql://nobody@127.0.0.1:{free_port()}/log"
    with running_api(tmp_path, trained_data, mlflow_address, CARPRICE_API_DATABASE_URL=nobody) as api:
        monkeypatch.setenv("CARPRICE_APP_API_URL", api.address)
        at = page("history")
        assert [s.value for s in at.subheader] == ["Le journal des estimations ne répond pas"]
        assert [b.label for b in at.button] == ["Réessayer"]
        at.session_state["language"] = "en"
        assert [s.value for s in at.run().subheader] == ["The log of estimates does not answer"]
        at = fill(main())
        button(at, "Estimer le prix").click().run()  # type: ignore[attr-defined]
        assert 'data-testid="price"' in html_of(at)


def test_keys_that_cannot_be_read_are_not_a_model_that_is_missing(
    trained_data: Path, mlflow_address: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = {
        "CARPRICE_API_DATABASE_URL": f"postgresql://nobody@127.0.0.1:{free_port()}/log",
        "CARPRICE_API_KEYS": "required",
    }
    monkeypatch.setenv("CARPRICE_APP_API_KEY", "cp_" + 43 * "x")
    with running_api(tmp_path, trained_data, mlflow_address, **keys) as api:
        monkeypatch.setenv("CARPRICE_APP_API_URL", api.address)
        at = page("estimate")
    assert [s.value for s in at.subheader] == ["Les clés du service de prix ne peuvent pas être lues"]


@pytest.fixture(scope="module")
def without_store(
    trained_data: Path, mlflow_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API whose object store never answers: no listings, no reports."""
    away = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}",
        "AWS_ACCESS_KEY_ID": "any",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_DEFAULT_REGION": "us-east-1",
    }
    with running_api(tmp_path_factory.mktemp("away"), "s3://cars/data", mlflow_address, **away) as api:
        yield api


def test_a_store_that_is_away_has_its_own_words(without_store: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARPRICE_APP_API_URL", without_store.address)
    at = page("reports")
    assert [s.value for s in at.subheader] == ["Le dépôt des données ne répond pas"]
    at.session_state["language"] = "en"
    assert [s.value for s in at.run().subheader] == ["The store of the data does not answer"]


def test_without_the_listings_make_and_model_are_typed_in_and_priced(
    without_store: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARPRICE_APP_API_URL", without_store.address)
    assert without_store.get("/v1/choices").status_code == 409
    at = main()
    assert "Les annonces connues ne peuvent pas être lues" in html_of(at)
    at.text_input(key="car other make").set_value("Dacia")
    at.text_input(key="car other model").set_value("Logan")
    at.number_input(key="car year").set_value(2015)
    at.number_input(key="car km").set_value(125_000).run()
    assert at.selectbox(key="car fuel Dacia/Logan").options == [
        "Diesel", "Essence", "Hybride", "Electrique", "Je ne sais pas"
    ]  # fmt: skip
    button(at, "Estimer le prix").click().run()  # type: ignore[attr-defined]
    car = {"make": "Dacia", "model": "Logan", "model_year": 2015, "mileage": 125_000, "fuel": "Diesel"}
    told = without_store.post("/v1/predict", car).json()
    shown = formats.rounded(
        told["price_mad"], formats.step_of(*(told[f"{name}_mad"] for name in ("price", "low", "high")))
    )
    assert f"{shown:,}".replace(",", "\u202f") in html_of(at)
    assert not at.exception


def test_what_was_typed_stays_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    typed = "secret 06 12 34 56 78"
    problem = ApiProblem("refused", f"mileage: a mileage was expected, found '{typed}'")

    @screens.guarded
    def refused() -> None:
        raise problem

    with caplog.at_level("DEBUG"):
        refused()
        with estimate_answer.optional():
            raise problem
    assert [record.getMessage() for record in caplog.records if record.name.startswith("price_app")] == [
        "refused",
        "refused",
    ]
    assert typed not in caplog.text


def test_a_file_is_read_once_however_often_its_page_is_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    reads = []
    read = batch.reading.read_raw

    def counted(content: bytes, name: str, most_rows: int) -> object:
        reads.append(name)
        return read(content, name, most_rows)

    monkeypatch.setattr(batch.reading, "read_raw", counted)
    at = page("batch")
    at.file_uploader(key="upload").set_value(("cars.csv", batch.example().encode(), "text/csv")).run()
    at.run()
    button(at, "Estimer ces annonces").click().run()  # type: ignore[attr-defined]
    assert "4 annonces estimées, 1 sans prix." in html_of(at)
    assert reads == ["cars.csv"]
    at.file_uploader(key="upload").set_value(("more.csv", batch.example().encode(), "text/csv")).run()
    assert reads == ["cars.csv", "more.csv"]
    assert "annonces estimées" not in html_of(at)


def test_a_file_with_too_many_rows_is_refused_in_plain_words() -> None:
    rows = "Marque,Modèle\n" + "Dacia,Logan\n" * (batch.MOST_ROWS + 1)
    at = page("batch")
    at.file_uploader(key="upload").set_value(("cars.csv", rows.encode(), "text/csv")).run()
    assert "Il a trop de lignes\u00a0: 10\u202f000 au plus." in html_of(at)
    assert [b.label for b in at.button] == []


def test_rows_are_named_by_their_line_in_the_file(api: Api) -> None:
    header = "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant\n"
    file = f"{header}\nDacia;Logan;2015;9;Diesel\nDacia;Logan;;9;Diesel\n".encode()
    at = page("batch")
    at.file_uploader(key="upload").set_value(("cars.csv", file, "text/csv")).run()
    button(at, "Estimer ces annonces").click().run()  # type: ignore[attr-defined]
    assert not at.exception
    lines = re.findall(r"<td[^>]*>(\d+)</td>", html_of(at))
    assert lines == ["3", "4"]  # a price that is less sure, and none


def test_a_file_without_the_needed_columns_is_refused_and_nothing_seems_to_go_on() -> None:
    at = page("batch")
    at.file_uploader(key="upload").set_value(("cars.csv", b"Marque;Prix\nDacia;3\n", "text/csv")).run()
    button(at, "Estimer ces annonces").click().run()  # type: ignore[attr-defined]
    assert not at.exception
    assert "Il manque\u00a0: Modèle, Année-Modèle." in html_of(at)
    assert "Colonnes trouvées\u00a0: Marque, Prix." in html_of(at)
    assert not at.get("progress")


@pytest.fixture(scope="module")
def compared(
    trained_data: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Api, dict[str, str]]]:
    """An API whose staging version prices in the shadow, and three predictions' ids by what they are.

    One was made half an hour before a midnight of Morocco, one half an hour after it; for one the price
    that was paid is known.
    """
    folder = tmp_path_factory.mktemp("compared")
    shutil.copytree(trained_data, folder / "data")
    with running_mlflow(folder / "data") as (mlflow, _):
        registry = MlflowClient(mlflow)
        first = registry.get_model_version(MODEL, "1")
        second = registry.create_model_version(
            MODEL, first.source, run_id=first.run_id, model_id=first.source.removeprefix("models:/")
        )
        registry.set_registered_model_alias(MODEL, STAGING, second.version)
        with running_api(folder, folder / "data", mlflow, CARPRICE_API_STAGING="shadow") as api:
            wait_until(lambda: api.get("/v1/model").json()["staging"]["version"] == "2", "staging is loaded")
            ids = {
                name: api.post("/v1/predict", LOGAN).json()["prediction_id"]
                for name in ("before", "after", "paid")
            }
            wait_until(
                lambda: api.get("/v1/comparison").json()["agreement"]["pairs"] == 3, "the shadow has priced"
            )
            paid = {"prediction_id": ids["paid"], "price_paid_mad": 70_000}
            assert api.post("/v1/feedback", paid).status_code == 201
            log = sqlite3.connect(next(api.state.rglob("*.db")))
            for name, minutes in (("before", -30), ("after", 30)):
                at = (MIDNIGHT + timedelta(minutes=minutes)).astimezone(UTC).replace(tzinfo=None)
                moved = "UPDATE predictions SET at = ? WHERE prediction_id = ?"
                log.execute(moved, (at.isoformat(" ", "microseconds"), ids[name]))
            log.commit()
            log.close()
            yield api, ids


MIDNIGHT = datetime.combine(datetime.now(formats.zone()).date() - timedelta(days=9), time(), formats.zone())


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"since": MIDNIGHT.date()}, {"after", "paid"}),
        ({"since": MIDNIGHT.date(), "until": MIDNIGHT.date()}, {"after"}),
        ({"until": MIDNIGHT.date() - timedelta(days=1)}, {"before"}),
        ({"version": "1"}, {"before", "after", "paid"}),
        ({"version": "2"}, set()),
        ({"feedback": True}, {"paid"}),
    ],
)
def test_the_history_is_filtered_by_days_of_morocco_version_and_price_paid(
    filters: dict[str, object],
    found: set[str],
    compared: tuple[Api, dict[str, str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    served, ids = compared
    monkeypatch.setenv("CARPRICE_APP_API_URL", served.address)
    at = page("history")
    for name, value in filters.items():
        kind = {"version": at.text_input, "feedback": at.toggle}.get(name, at.date_input)
        kind(key=f"filter {name}").set_value(value)
    at.run()
    assert not at.exception
    if not found:
        assert "Aucune estimation ne correspond" in [s.value for s in at.subheader]
        return
    made = {p["prediction_id"]: p for p in served.get("/v1/predictions").json()["predictions"]}
    moments = sorted(formats.moment(made[ids[name]]["at"]) for name in found)
    assert sorted(re.findall(r'data-label="Quand">([^<]*)<', html_of(at))) == moments
    assert f"{len(found)} estimation" in at.subheader[1].value


def test_the_candidate_is_compared_with_production_and_asked_about_once(
    compared: tuple[Api, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, _ = compared
    monkeypatch.setenv("CARPRICE_APP_API_URL", served.address)
    asked = []
    comparison = ApiClient.comparison
    monkeypatch.setattr(ApiClient, "comparison", lambda self: asked.append(1) or comparison(self))
    at = page("history")
    at.run()
    assert len(asked) == 1
    assert at.subheader[0].value == "Le modèle candidat face au modèle en production"
    table = re.search(r'data-testid="comparison".*?</table>', html_of(at), re.DOTALL)
    assert table is not None
    arms = re.findall(r"<tr>(<td.*?)</tr>", table[0])
    cells = [[re.sub("<[^>]*>", "", cell) for cell in re.findall(r"<td.*?</td>", arm)] for arm in arms]
    told = served.get("/v1/comparison").json()
    error = formats.share(told["production"]["median_ape"], 1)
    assert cells == [["Production", "1", "3", "1", error, error], ["Candidat", "2", "3", "1", error, error]]
    assert "Sur 3 voitures estimées par les deux, l'écart médian est de 0,0" in unescape(html_of(at))


def test_the_model_is_shown_on_listings_that_came_later(
    compared: tuple[Api, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARPRICE_APP_API_URL", compared[0].address)
    # listings of one day have no later ones
    assert "Hors période" not in unescape(html_of(page("model")))
    later = {"oot_median_ape": 0.0512, "oot_mape": 0.0968, "oot_interval_coverage": 0.883, "oot_folds": 4.0}
    model = ApiClient.model
    monkeypatch.setattr(
        ApiClient, "model", lambda self: (m := model(self)) | {"metrics": m["metrics"] | later}
    )
    streamlit.cache_data.clear()
    html = unescape(html_of(page("model")))
    assert all(formats.share(share, 1) in html for share in (0.0512, 0.0968, 0.883))
    assert "Erreur moyenne · hors période" in html
    assert "Nombre de périodes · hors période" in html


def test_a_candidate_that_is_in_production_is_not_on_trial(
    compared: tuple[Api, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARPRICE_APP_API_URL", compared[0].address)
    assert "La version 2 est à l'essai" in unescape(html_of(page("model")))
    model, comparison = ApiClient.model, ApiClient.comparison
    same = {"version": "1"}
    monkeypatch.setattr(
        ApiClient, "model", lambda self: (m := model(self)) | {"staging": m["staging"] | same}
    )
    monkeypatch.setattr(
        ApiClient, "comparison", lambda self: (c := comparison(self)) | {"staging": c["staging"] | same}
    )
    streamlit.cache_data.clear()
    assert "à l'essai" not in unescape(html_of(page("model")))
    assert "comparison" not in html_of(page("history"))


@pytest.mark.parametrize("name", ["history", "model"])
def test_both_languages_show_the_same_numbers(
    name: str, compared: tuple[Api, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARPRICE_APP_API_URL", compared[0].address)

    def numbers(language: str) -> list[str]:
        at = AppTest.from_string(PAGE.format(name=name), default_timeout=60)
        at.query_params["lang"] = language
        at.run()
        assert not at.exception
        text = " ".join([html_of(at), *(s.value for s in at.subheader), *(e.label for e in at.expander)])
        text = unescape(re.sub("<[^>]*>", " ", text))
        thousands, decimal = ("\u202f", ",") if language == "fr" else (",", r"\.")
        text = re.sub(rf"(?<=\d){thousands}(?=\d{{3}})", "", text)
        return sorted(re.findall(r"\d+(?:\.\d+)?", re.sub(rf"(?<=\d){decimal}(?=\d)", ".", text)))

    french = numbers("fr")
    assert len(french) > 20
    assert numbers("en") == french


def test_an_unknown_setting_stops_the_app_with_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CARPRICE_APP_API_ULR", "http://127.0.0.1:8000")
    at = page("estimate")
    assert "L'application est mal réglée" in [s.value for s in at.subheader]
    assert any("CARPRICE_APP_API_ULR" in text.value for text in at.text)
