"""What is shown around the pages, and instead of one when it can't be."""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from price_app import markup, sentences, settings
from price_app.api_client import ApiClient, ApiProblem, Choices
from price_app.language import _

log = logging.getLogger(__name__)

STYLE = Path(__file__).with_name("style.css")


def guarded(page: Callable[[], None]) -> Callable[[], None]:
    """A page that shows a screen of its own for everything that can be missing."""

    @functools.wraps(page)
    def shown() -> None:
        try:
            page()
        except settings.SettingsProblem as problem:
            log.error("%s", problem)
            state(
                ":material/build:",
                _("L'application est mal réglée"),
                _("Un réglage est à corriger."),
                str(problem),
            )
        except ApiProblem as problem:
            log.warning("%s: %s", problem.kind, problem.sentence)
            show(problem)
        except Exception as error:  # a stranger gets a sentence, the log gets the rest
            log.exception("the page failed")
            state(
                ":material/error:",
                _("Cette page a rencontré un problème"),
                _("Le problème est noté dans le journal de l'application. Réessayez, ou revenez plus tard."),
                type(error).__name__,
                retry=True,
            )

    return shown


def show(problem: ApiProblem) -> None:
    """The screen for what the API could not do."""
    if problem.kind == "away":
        state(
            ":material/cloud_off:",
            _("Le service de prix ne répond pas"),
            _("Rien n'est perdu : il redémarre peut-être. Réessayez dans un instant."),
            problem.sentence,
            retry=True,
        )
    elif problem.kind == "no model" and "MLflow" in problem.sentence:
        state(
            ":material/hourglass_empty:",
            _("Le registre des modèles ne répond pas"),
            _("Aucun modèle n'est gardé ici en réserve. Dès que MLflow répond, cette page donne un prix."),
            problem.sentence,
            retry=True,
        )
    elif problem.kind == "no model":
        state(
            ":material/hourglass_empty:",
            _("Aucun modèle n'est encore en production"),
            _(
                "Déposez un fichier d'annonces (CSV) dans data/raw : il est vérifié, un modèle en apprend "
                "les prix, et cette page donne une estimation dès que ce modèle est promu."
            ),
            problem.sentence,
            retry=True,
        )
    elif problem.kind == "key":
        state(
            ":material/key_off:",
            _("Le service de prix a refusé la clé de cette application"),
            _(
                "La personne qui l'exploite doit donner une clé valable dans CARPRICE_APP_API_KEY, puis "
                "redémarrer l'application."
            ),
            problem.sentence,
            retry=True,
        )
    else:
        refusal(problem)


def refusal(problem: ApiProblem) -> None:
    """What the API does not accept, field by field, beside the form."""
    lines = [sentences.fault(fault) for fault in problem.faults] or [sentences.problem(problem.sentence)]
    for line in lines:
        markup.notice(line, "bad")


def state(icon: str, title: str, advice: str, detail: str, retry: bool = False) -> None:
    """A screen that says what is the matter and what to do; `detail` is for whoever runs the system."""
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
    found = settings.from_environment()
    return _client(found, hashlib.sha256(repr((found.api_url, found.api_key)).encode()).hexdigest())


@st.cache_resource(max_entries=4, show_spinner=False)
def _client(_found: settings.Settings, fingerprint: str) -> ApiClient:
    return ApiClient(_found)


@st.cache_data(ttl=5, max_entries=8, show_spinner=False)
def _model(_client: ApiClient, api_url: str) -> dict[str, Any]:
    return _client.model()


@st.cache_data(max_entries=4, show_spinner=False)
def _choices(_client: ApiClient, api_url: str, version: str) -> Choices:
    return _client.choices()


def model() -> dict[str, Any]:
    """What is in production, at most five seconds old."""
    return _model(client(), settings.from_environment().api_url)


def choices() -> Choices:
    """What can be chosen with the version in production."""
    return _choices(client(), settings.from_environment().api_url, str(model()["version"]))
