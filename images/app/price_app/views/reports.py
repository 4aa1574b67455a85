"""*Rapports*: the pages that the pipeline wrote about the data, its runs, drift and the models."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from urllib.parse import quote, unquote

import streamlit as st

from carprice.listings.text import ascii_fold
from price_app import markup, screens
from price_contract import formats, words
from price_contract.answers import Report
from price_contract.language import SOURCE, _, current, ngettext

MOST_SHOWN = 30
# The query parameter that names a report: `?report=drift/NAME.html`.
ADDRESSED = "report"
_LINK = re.compile(r'href="([^":#?]+\.html)(?:#[^"]*)?"')
_GOOD = {"accepted", "promoted", "stable", "in production", "as promised"}
_BAD = {"refused", "failed", "drifted", "worse"}


@screens.guarded
def page() -> None:
    """Draw the page."""
    st.title(_("Rapports"), anchor=False)
    markup.paragraph(
        _("Qualité des fichiers reçus, passages du pipeline, dérive des annonces et modèles."), "cp-lead"
    )
    reports = screens.client().reports()
    if not reports:
        with st.container(border=True, key="no_reports"):
            st.subheader(_("Aucun rapport pour l'instant"), anchor=False)
            markup.paragraph(_("Le premier arrive avec le premier fichier déposé dans data/raw."))
        return
    found = _searched(reports)
    if not found:
        markup.notice(_("Aucun rapport ne correspond à cette recherche."))
        return
    st.subheader(
        ngettext("{n} rapport", "{n} rapports", len(found), n=formats.number(len(found))), anchor=False
    )
    rows: list[list[markup.Cell]] = [
        [formats.moment(r["at"]), _kind(r["kind"]), r["title"], _verdict(r["verdict"])]
        for r in found[:MOST_SHOWN]
    ]
    markup.table([_("Quand"), _("Sujet"), _("Titre"), _("Verdict")], rows, "reports")
    if len(found) > MOST_SHOWN:
        st.caption(_("Les {n} plus récents ; cherchez pour trouver les autres.", n=MOST_SHOWN))
    _reader(found, [f"{report['kind']}/{report['name']}" for report in reports])


def _searched(reports: list[Report]) -> list[Report]:
    kinds = list(dict.fromkeys(report["kind"] for report in reports))
    left, right = st.columns([3, 2], vertical_alignment="bottom")
    kind = left.pills(_("Sujet"), kinds, format_func=_kind_label, key="report kind", wrap=True)
    wanted = ascii_fold(
        right.text_input(_("Chercher"), placeholder=_("titre, verdict, date…"), key="report search")
    ).strip()
    return [
        report
        for report in reports
        if (kind is None or report["kind"] == kind)
        and wanted
        in ascii_fold(
            f"{report['title']} {report['name']} {report['verdict']} {report['at']} {_kind(report['kind'])}"
        )
    ]


def _kind(kind: str) -> str:
    return _(words.KINDS[kind]) if kind in words.KINDS else kind


def _kind_label(kind: str) -> str:
    # the labels of pills are Markdown, so they hold only words of this module
    return _(words.KINDS[kind]) if kind in words.KINDS else _("Autre")


def _verdict(verdict: str | None) -> markup.Cell:
    if not verdict:
        return ""
    tone: markup.Tone = "good" if verdict in _GOOD else "bad" if verdict in _BAD else "plain"
    return markup.Badge(_(words.CONCLUSIONS[verdict]) if verdict in words.CONCLUSIONS else verdict, tone)


def _reader(found: list[Report], known: Collection[str]) -> None:
    st.subheader(_("Lire un rapport"), anchor=False)
    by_key = {f"{report['kind']}/{report['name']}": report for report in found}
    addressed = st.query_params.get(ADDRESSED)
    if addressed in by_key and "report" not in st.session_state:
        st.session_state["report"] = addressed
    chosen = st.selectbox(
        _("Rapport"),
        list(by_key),
        index=None,
        format_func=lambda key: (
            f"{_kind(by_key[key]['kind'])} · {by_key[key]['title']} · {formats.moment(by_key[key]['at'])}"
        ),
        placeholder=_("Choisir…"),
        key="report",
    )
    if chosen is None:
        st.query_params.pop(ADDRESSED, None)
        return
    st.query_params[ADDRESSED] = chosen
    kind, name = chosen.split("/", 1)
    html = screens.client().report(kind, name)
    st.download_button(
        _("Télécharger le rapport (HTML)"),
        html.encode(),
        name,
        "text/html",
        icon=":material/download:",
        on_click="ignore",
    )
    st.iframe(markup.sandboxed(linked(html, kind, known)), height=720)


def linked(html: str, kind: str, known: Collection[str]) -> str:
    """A report of this kind whose links to other `known` reports (`kind/name`) open them in the app.

    Each link opens a new tab. Other links stay as they are.
    """

    def link(found: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("reports", kind, unquote(found[1]))).removeprefix("reports/")
        if path not in known:
            return found[0]
        address = f"?{ADDRESSED}={quote(path)}" + ("" if current() == SOURCE else f"&amp;lang={current()}")
        return f'href="{address}" target="_blank" rel="noopener"'

    return _LINK.sub(link, html)
