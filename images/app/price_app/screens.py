"""What surrounds the pages: the connection to the API, and the screens that replace a page that fails."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from price_app import markup, settings
from price_app.api_client import ApiClient, ApiProblem, Kind
from price_contract import messages, words
from price_contract.answers import Comparison, FormOptions, ModelAbout, ModelVersion
from price_contract.language import N_, _

log = logging.getLogger(__name__)

STYLE = Path(__file__).with_name("style.css")
MARKET_STYLE = Path(__file__).with_name("market.css")


def guarded(page: Callable[[], None]) -> Callable[[], None]:
    """`page` with a screen for each thing that can be missing."""

    @functools.wraps(page)
    def shown() -> None:
        try:
            page()
        except settings.SettingError as problem:
            log.error("%s", problem)
            problem_screen(
                ":material/build:",
                _("L'application est mal réglée"),
                _("Un réglage est à corriger."),
                str(problem),
            )
        except ApiProblem as problem:
            log_problem(problem)
            show(problem)
        except Exception as error:  # the page gets a sentence, the log gets the traceback
            log.exception("the page failed")
            problem_screen(
                ":material/error:",
                _("Cette page a rencontré un problème"),
                _("Le problème est noté dans le journal de l'application. Réessayez, ou revenez plus tard."),
                type(error).__name__,
                retry=True,
            )

    return shown


# Kind of problem -> icon, title and advice of its screen. The other kinds are refusals of a request.
SCREENS: dict[Kind, tuple[str, str, str]] = {
    "away": (
        ":material/cloud_off:",
        N_("Le service de prix ne répond pas"),
        N_("Rien n'est perdu : il redémarre peut-être. Réessayez dans un instant."),
    ),
    "key": (
        ":material/key_off:",
        N_("Le service de prix a refusé la clé de cette application"),
        N_(
            "La personne qui l'exploite doit donner une clé valable dans CARPRICE_APP_API_KEY, puis "
            "redémarrer l'application."
        ),
    ),
    "no-model": (
        ":material/hourglass_empty:",
        N_("Aucun modèle n'est encore en production"),
        N_(
            "Déposez un fichier d'annonces (CSV) dans data/raw : il est vérifié, un modèle en apprend "
            "les prix, et cette page donne une estimation dès que ce modèle est promu."
        ),
    ),
    "market-missing": (
        ":material/hourglass_empty:",
        N_("Les annonces n'ont pas encore été estimées"),
        N_(
            "Elles apparaissent ici dès qu'un modèle est en production et que les annonces reçues ont été "
            "estimées."
        ),
    ),
    "loading": (
        ":material/hourglass_top:",
        N_("Le modèle est en cours de chargement"),
        N_("Il sera prêt dans quelques secondes : réessayez dans un instant."),
    ),
    "registry-away": (
        ":material/hourglass_empty:",
        N_("Le registre des modèles ne répond pas"),
        N_("Aucun modèle n'est gardé ici en réserve. Dès que MLflow répond, cette page donne un prix."),
    ),
    "version-refused": (
        ":material/block:",
        N_("Le modèle choisi ne peut pas servir"),
        N_(
            "Le service de prix l'a vérifié et refusé, et il n'en a pas d'autre. La personne qui l'exploite "
            "doit promouvoir une autre version, ou entraîner celle-ci à nouveau."
        ),
    ),
    "database-away": (
        ":material/history_toggle_off:",
        N_("Le journal des estimations ne répond pas"),
        N_("Les prix sont toujours donnés : seul ce qui a été noté d'eux manque. Réessayez dans un instant."),
    ),
    "keys-away": (
        ":material/key_off:",
        N_("Les clés du service de prix ne peuvent pas être lues"),
        N_("La clé de cette application est peut-être bonne : leur base ne répond pas. Réessayez bientôt."),
    ),
    "store-away": (
        ":material/folder_off:",
        N_("Le dépôt des données ne répond pas"),
        N_(
            "Les prix sont toujours donnés : seuls les rapports et les alertes manquent. Réessayez dans un "
            "instant."
        ),
    ),
}


def show(problem: ApiProblem) -> None:
    """The screen of a problem of the API."""
    if problem.kind not in SCREENS:
        refusal(problem)
        return
    icon, title, advice = SCREENS[problem.kind]
    problem_screen(icon, _(title), _(advice), problem.sentence, retry=True)


def log_problem(problem: ApiProblem) -> None:
    """Log a problem, without the sentence of a refusal: that quotes what somebody typed."""
    log.warning("%s%s", problem.kind, f": {problem.sentence}" if problem.kind in SCREENS else "")


def refusal(problem: ApiProblem) -> None:
    """Say what the API does not accept, field by field."""
    lines = [messages.field_error(error) for error in problem.errors] or [
        messages.problem(problem.code, problem.params, problem.sentence)
    ]
    for line in lines:
        markup.notice(line, "bad")


def problem_screen(icon: str, title: str, advice: str, detail: str, retry: bool = False) -> None:
    """A screen that says what is wrong and what to do; `detail` is for the person who runs the system."""
    with st.container(border=True, key="state_screen"):
        st.markdown(f"## {icon}")
        st.subheader(title, anchor=False)
        markup.paragraph(advice)
        if retry and st.button(_("Réessayer"), type="primary", icon=":material/refresh:"):
            st.cache_data.clear()
            st.rerun()
        with st.expander(_("Détail technique")):
            st.text(detail)


def client() -> ApiClient:
    """The connection to the API that the environment names."""
    found = settings.Settings.from_environment()
    return _client(found, hashlib.sha256(repr((found.api_url, found.api_key)).encode()).hexdigest())


@st.cache_resource(max_entries=4, show_spinner=False)
def _client(_found: settings.Settings, fingerprint: str) -> ApiClient:
    return ApiClient(_found)


@st.cache_data(ttl=5, max_entries=8, show_spinner=False)
def _model(_client: ApiClient, api_url: str) -> ModelAbout:
    return _client.model()


@st.cache_data(max_entries=4, show_spinner=False)
def _form_options(_client: ApiClient, api_url: str, version: str) -> FormOptions:
    return _client.form_options()


def model() -> ModelAbout:
    """The model in production, at most five seconds old."""
    return _model(client(), settings.Settings.from_environment().api_url)


def form_options() -> FormOptions:
    """What the form can offer with the version in production; no makes where the listings are gone."""
    version = str(model()["version"])
    try:
        return _form_options(client(), settings.Settings.from_environment().api_url, version)
    except ApiProblem as problem:
        if problem.kind != "listings-gone":
            raise
        return FormOptions(
            model=ModelVersion(name="", version=version, alias=""),
            makes={},
            fuels=list(words.FUELS),
            gearboxes=list(words.GEARBOXES),
            conditions=list(words.CONDITIONS),
            origins=[],
            cities=[],
            doors=[],
            has_equipment=False,
        )


@st.cache_data(ttl=30, max_entries=8, show_spinner=False)
def _comparison(_client: ApiClient, api_url: str) -> Comparison:
    return _client.comparison()


def comparison() -> Comparison:
    """Production beside staging, at most thirty seconds old, because it reads the whole log."""
    return _comparison(client(), settings.Settings.from_environment().api_url)


def forget_comparison() -> None:
    """Ask again at the next draw: somebody has just recorded a price."""
    _comparison.clear()
