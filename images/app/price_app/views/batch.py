"""*Lot*: takes a file of listings and gives it back with prices."""

from __future__ import annotations

import csv
import io
import os

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from carprice.errors import DataRefused
from carprice.listings import reading
from price_app import markup, screens, slices
from price_app.api_client import ApiProblem
from price_contract import formats, messages
from price_contract.answers import BatchRow
from price_contract.language import _, current, ngettext, speaking
from price_contract.priced_csv import priced_csv

_ENDINGS = ["csv", "tsv", "txt", "xlsx", "json", "jsonl", "ndjson", "gz"]
MOST_ROWS, PREVIEW_ROWS, PROBLEMS_SHOWN = 10_000, 8, 50

# Made-up listings for a first try.
_EXAMPLE = [
    ("Marque", "Modèle", "Année-Modèle", "Kilométrage", "Type de carburant", "Puissance", "Boite"),
    ("Dacia", "Logan", "2015", "120 000 - 129 999", "Diesel", "6 CV", "Manuelle"),
    ("Renault", "Clio", "2018", "65000", "Essence", "8 CV", "Automatique"),
    ("Peugeot", "208", "2017", "90 000 - 94 999", "Diesel", "6 CV", "Manuelle"),
    ("Volkswagen", "Golf", "2012", "180 000 - 189 999", "Diesel", "8 CV", "Manuelle"),
    ("Dacia", "Duster", "inconnue", "90000", "Diesel", "6 CV", "Manuelle"),
]  # fmt: skip


@screens.guarded
def page() -> None:
    """Draw the page."""
    screens.model()  # shows the screen of a missing model
    st.title(_("Estimer tout un fichier"), anchor=False)
    markup.paragraph(
        _(
            "Un fichier d'annonces, une par ligne : CSV, Excel (.xlsx), JSON ou JSON Lines, même compressé "
            "(.gz). Les mêmes annonces reviennent en CSV, chacune avec un prix."
        ),
        "cp-lead",
    )
    left, right = st.columns([5, 3], gap="large")
    with left:
        upload = st.file_uploader(_("Fichier d'annonces"), type=_ENDINGS, key="upload")
    with right:
        markup.paragraph(
            _(
                "Il faut la marque, le modèle et l'année. Sans le kilométrage ou le carburant, la fourchette "
                "est plus large. Le nom et l'ordre des colonnes sont libres, comme le séparateur (virgule, "
                "point-virgule ou tabulation). {n} annonces au plus.",
                n=formats.number(MOST_ROWS),
            ),
            "cp-small",
        )
        st.download_button(
            _("Fichier d'exemple"),
            example().encode("utf-8-sig"),
            "exemple.csv",
            "text/csv",
            icon=":material/download:",
            on_click="ignore",
        )
        markup.paragraph(_("Cinq annonces inventées, dont une sans année."), "cp-small")
    if upload is None:
        st.session_state.pop("read file", None)
        st.session_state.pop("priced file", None)
        return
    raw = _read(upload)
    if isinstance(raw, DataRefused):
        _refused(messages.refused_file(raw.code, raw.params, str(raw)))
        return
    _preview(raw)
    name = os.path.splitext(os.path.basename(upload.name))[0]
    if st.button(_("Estimer ces annonces"), type="primary", icon=":material/sell:"):
        st.session_state.pop("priced file", None)
        try:
            st.session_state["priced file"] = (upload.file_id, _price(raw))
        except ApiProblem as problem:
            if problem.kind != "refused":
                raise
            _refused(messages.problem(problem.code, problem.params, problem.sentence))
    done = st.session_state.get("priced file")
    if done is not None and done[0] == upload.file_id:
        _result(done[1], raw, name)


def example() -> str:
    """A small made-up file, one row of which can't be priced."""
    text = io.StringIO()
    csv.writer(text, delimiter=";", lineterminator="\n").writerows(_EXAMPLE)
    return text.getvalue()


def _read(upload: UploadedFile) -> reading.RawFile | DataRefused:
    """The file, or why it can't be read. It is read once, however often the page is drawn."""
    kept: tuple[str, reading.RawFile | DataRefused] | None = st.session_state.get("read file")
    if kept is None or kept[0] != upload.file_id:
        try:
            found: reading.RawFile | DataRefused = reading.read_raw(upload.getvalue(), upload.name, MOST_ROWS)
        except DataRefused as refused:
            found = refused
        kept = st.session_state["read file"] = (upload.file_id, found)
    return kept[1]


def _refused(sentence: str) -> None:
    markup.notice(_("Ce fichier ne peut pas être estimé. {why}", why=sentence), "bad")


def _preview(raw: reading.RawFile) -> None:
    n = len(raw.table)
    st.subheader(ngettext("{n} annonce", "{n} annonces", n, n=formats.number(n)), anchor=False)
    st.dataframe(slices.first_rows(raw, PREVIEW_ROWS), hide_index=True, width="stretch")
    if n > PREVIEW_ROWS:
        st.caption(_("Les {n} premières lignes du fichier.", n=PREVIEW_ROWS))


def _price(raw: reading.RawFile) -> slices.PricedRows:
    total = len(raw.table)
    priced = slices.PricedRows()
    bar = st.progress(0.0, _("Estimation en cours…"))
    try:
        for piece in slices.slices_of(raw):
            priced.add(piece, screens.client().predict_csv(piece.content) if piece.content else None)
            done = len(priced.rows)
            text = _("{done} annonces sur {total}", done=formats.number(done), total=formats.number(total))
            bar.progress(min(done / total, 1.0), text)
    finally:
        bar.empty()
    return priced


def _result(priced: slices.PricedRows, raw: reading.RawFile, name: str) -> None:
    unpriced = priced.unpriced
    without = len(unpriced)
    summary = ngettext(
        "{n} annonce estimée", "{n} annonces estimées", priced.priced, n=formats.number(priced.priced)
    )
    if without:
        summary += ngettext(", {n} sans prix.", ", {n} sans prix.", without, n=formats.number(without))
    else:
        summary += "."
    markup.notice(summary, "warning" if without else "good")
    language = current()

    def prices() -> bytes:
        with speaking(language):
            text = priced_csv(raw.table, priced.rows, raw.delimiter, priced.coverage, priced.version)
        return text.encode("utf-8", "replace")

    st.download_button(
        _("Télécharger les prix (CSV)"),
        prices,
        f"{name}-prix.csv",
        "text/csv",
        type="primary",
        icon=":material/download:",
        on_click="ignore",
    )
    doubtful = priced.with_warnings
    if doubtful:
        st.subheader(_("Prix moins sûrs"), anchor=False)
        markup.table(
            [_("Ligne"), _("Prix estimé"), _("Pourquoi")],
            [
                [
                    _line(raw, row),
                    _estimate(row),
                    messages.warnings(row["warnings"]),
                ]
                for row in doubtful[:PROBLEMS_SHOWN]
            ],
            "row-warnings",
        )
        if len(doubtful) > PROBLEMS_SHOWN:
            n = formats.number(len(doubtful))
            st.caption(_("Les {n} prix sont dans le fichier, colonne « warnings ».", n=n))
    if without:
        st.subheader(_("Lignes sans prix"), anchor=False)
        markup.table(
            [_("Ligne"), _("Pourquoi")],
            [[_line(raw, row), messages.unpriced_row(row)] for row in unpriced[:PROBLEMS_SHOWN]],
            "row-problems",
        )
        if without > PROBLEMS_SHOWN:
            st.caption(_("Toutes sont dans le fichier, colonne « problem »."))


def _estimate(row: BatchRow) -> str:
    """The price of a row, as exact as its range."""
    price = row["price_mad"] or 0
    return formats.money(formats.rounded(price, formats.step_of(price, row["low_mad"], row["high_mad"])))


def _line(raw: reading.RawFile, row: BatchRow) -> str:
    """The line of a row as an editor or a spreadsheet counts it."""
    return formats.number(int(raw.lines[row["row"] - 1]))
