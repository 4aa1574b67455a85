"""*Modèle*: the version that gives the prices, how good it is, and its promotion."""

from __future__ import annotations

from typing import Any

import streamlit as st

from price_app import charts, markup, screens
from price_app.api_client import ApiProblem
from price_contract import formats, messages, words
from price_contract.answers import ModelAbout, RefusedVersion, StagingState
from price_contract.language import N_, _, enumerated, ngettext

EXAMPLE_MAD = 100_000
MOST_IMPORTANT, SMALLEST_SHARE = 12, 0.0005

_STEPS = {
    "promote_to_staging": N_("Entrée en essai"),
    "validate_staging_model": N_("Contrôle avant production"),
}
_GATES = {
    "test_rows": N_("Annonces de test"),
    "mape": N_("Erreur moyenne"),
    "median_ape": N_("Erreur médiane"),
    "r2_log": N_("Part du prix expliquée (R², logarithme)"),
    "flagged_share": N_("Prix qui ressemblent à des fautes de frappe"),
    "better_than_production": N_("Certitude de faire mieux que la version en production"),
    "not_worse_than_production": N_("Certitude de ne pas faire moins bien que la version en production"),
    "compared_rows": N_("Annonces récentes qui comparent les deux versions"),
    "worst_slice_loss": N_("Perte sur le groupe de voitures le moins bien estimé"),
    "signature_matches": N_("Le modèle lit les champs attendus"),
    "input_example_priced": N_("L'exemple enregistré reçoit un prix"),
    "test_rows_priced": N_("Toutes les annonces de test reçoivent un prix"),
    "same_as_evaluated": N_("Le modèle enregistré est celui qui a été évalué"),
    "prediction_cpu_ms": N_("Temps de calcul d'un prix (ms)"),
}

# What a metric measures, and on which listings: the longest beginning of its key counts.
_METRICS = {
    "mape": N_("Erreur moyenne"),
    "median_ape": N_("Erreur médiane"),
    "mae_mad": N_("Écart moyen (MAD)"),
    "rmse_mad": N_("Écart quadratique (MAD)"),
    "r2": N_("Part du prix expliquée (R²)"),
    "r2_log": N_("Part du prix expliquée (R², logarithme)"),
    "interval_coverage": N_("Annonces dans la fourchette"),
    "mae_share": N_("Écart moyen, en part du prix moyen"),
    "within_10": N_("Estimations à moins de 10 % du prix demandé"),
    "within_20": N_("Estimations à moins de 20 % du prix demandé"),
    "cod": N_("Dispersion des rapports (COD)"),
    "prd": N_("Équité entre voitures chères et bon marché (PRD)"),
    "prb": N_("Équité entre voitures chères et bon marché (PRB)"),
    "interval_width": N_("Largeur de la fourchette"),
    "rows": N_("Nombre d'annonces"),
    "rows_flagged": N_("Prix qui ressemblent à des fautes de frappe"),
    "rows_partial": N_("Annonces sans kilométrage ou sans carburant"),
    "rows_available": N_("Annonces disponibles"),
    "folds": N_("Nombre de périodes"),
}
_GROUPS = {
    "test_unflagged_": N_("test, sans les fautes de frappe"),
    "test_recent_": N_("test, annonces récentes"),
    "test_complete_": N_("test, annonces complètes"),
    "test_partial_": N_("test, annonces incomplètes"),
    "test_": N_("test, toutes les annonces"),
    "oot_": N_("hors période"),
    "train_loo_": N_("apprentissage, chaque annonce par les autres"),
    "train_": N_("apprentissage"),
}

_SHARES = {
    "mape",
    "median_ape",
    "flagged_share",
    "better_than_production",
    "not_worse_than_production",
    "worst_slice_loss",
    "input_example_priced",
    "test_rows_priced",
}


@screens.guarded
def page() -> None:
    """Draw the page."""
    model = screens.model()
    st.title(_("Le modèle en production"), anchor=False)
    promoted = model.get("promoted") or {}
    training = model.get("training") or {}
    markup.paragraph(_summary(model, promoted, training), "cp-lead")
    _refused(model.get("refused"))
    if model.get("source") == "cache":
        markup.notice(
            _(
                "Le registre des modèles ne répond pas : les prix viennent de la dernière version "
                "gardée sur disque."
            ),
            "warning",
        )
    _figures(model)
    _staging(model["staging"], str(model["version"]))
    _importance(model.get("importance") or [])
    _gates(model.get("gates") or [])
    _history(model.get("history") or [], str(model["version"]))
    _card(str(model["version"]))


def _summary(model: ModelAbout, promoted: dict[str, Any], training: dict[str, Any]) -> str:
    summary = _("Version {version}", version=model["version"])
    if promoted.get("at"):
        summary += _(
            ", en production depuis le {at} ({by})",
            at=formats.moment(promoted["at"]),
            by=words.history_phrase(str(promoted.get("by"))),
        )
    if training.get("rows"):
        rows = int(training["rows"])
        summary += ngettext(
            ", apprise de {n} annonce", ", apprise de {n} annonces", rows, n=formats.number(rows)
        )
    return summary + "."


def _figures(model: ModelAbout) -> None:
    """The accuracy for a buyer, in figures and in words."""
    metrics: dict[str, Any] = model.get("metrics") or {}
    figures = []
    typical = first_of(metrics, "test_unflagged_median_ape", "test_median_ape")
    mean = first_of(metrics, "test_unflagged_mape", "test_mape")
    covered = first_of(metrics, "test_unflagged_interval_coverage", "test_interval_coverage", "test_coverage")
    r2 = first_of(metrics, "test_unflagged_r2", "test_r2")
    if typical is not None:
        figures.append((_("Erreur médiane"), formats.share(typical, 1)))
    if mean is not None:
        figures.append((_("Erreur moyenne"), formats.share(mean, 1)))
    if covered is not None:
        figures.append((_("Annonces dans la fourchette"), formats.share(covered, 1)))
    if r2 is not None:
        figures.append((_("Part du prix expliquée (R²)"), formats.share(r2, 1)))
    if figures:
        markup.facts(figures, "figures")
    if typical is not None:
        markup.paragraph(
            _(
                "Mesuré sur des annonces que le modèle n'avait jamais vues : pour une voiture affichée "
                "à {price}, l'estimation tombe une fois sur deux à moins de {error} du prix demandé.",
                price=formats.money(EXAMPLE_MAD),
                error=formats.money(typical * EXAMPLE_MAD),
            )
        )
    _left_out(metrics)
    _out_of_time(metrics)
    with st.expander(_("Toutes les mesures")):
        markup.table(
            [_("Mesure"), _("Valeur")],
            [
                [metric_name(name), formats.number(value, 4)]
                for name, value in metrics.items()
                if isinstance(value, int | float)
            ],
            "metrics",
        )


def _left_out(metrics: dict[str, Any]) -> None:
    """How many test listings the figures leave out, and what they are with them."""
    every, kept = metrics.get("test_rows"), metrics.get("test_unflagged_rows")
    if every is None or kept is None or every <= kept:
        return
    with_all = [
        _(
            "{name} {value}",
            name=_(_METRICS[name]).casefold(),
            value=formats.share(metrics[f"test_{name}"], 1),
        )
        for name in ("median_ape", "mape", "interval_coverage", "r2")
        if isinstance(metrics.get(f"test_{name}"), int | float)
    ]
    n = int(every - kept)
    markup.paragraph(
        ngettext(
            "Ces chiffres laissent de côté {n} annonce de test sur {all}, dont le prix ressemble à une "
            "faute de frappe. Avec elle : {figures}.",
            "Ces chiffres laissent de côté {n} annonces de test sur {all}, dont le prix ressemble à une "
            "faute de frappe. Avec elles : {figures}.",
            n,
            n=formats.number(n),
            all=formats.number(every),
            figures=enumerated(with_all),
        ),
        "cp-small",
    )


def _out_of_time(metrics: dict[str, Any]) -> None:
    """The accuracy on listings that came later, where the history has several days."""
    typical, mean = first_of(metrics, "oot_median_ape"), first_of(metrics, "oot_mape")
    covered = first_of(metrics, "oot_interval_coverage")
    if typical is None or mean is None or covered is None:
        return
    markup.paragraph(
        _(
            "Hors période, sur des annonces vues après celles dont il apprend : erreur médiane {median}, "
            "erreur moyenne {mean}, {covered} des prix dans la fourchette.",
            median=formats.share(typical, 1),
            mean=formats.share(mean, 1),
            covered=formats.share(covered, 1),
        ),
        "cp-small",
    )


def metric_name(key: str) -> str:
    """A name for a metric: what it measures, and on which listings."""
    for prefix, group in _GROUPS.items():
        if key.startswith(prefix) and key.removeprefix(prefix) in _METRICS:
            return f"{_(_METRICS[key.removeprefix(prefix)])} · {_(group)}"
    return key.replace("_", " ")


def first_of(metrics: dict[str, Any], *names: str) -> float | None:
    """The first of these metrics that the model has."""
    for name in names:
        if isinstance(metrics.get(name), int | float):
            return float(metrics[name])
    return None


def _refused(refused: RefusedVersion | None) -> None:
    if refused:
        markup.notice(
            _(
                "La version {version} a été refusée le {at} ; la version ci-dessus continue. "
                "Raison : {reason}",
                version=refused.get("version"),
                at=formats.moment(refused.get("at")),
                reason=refused.get("reason"),
            ),
            "bad",
        )


def _staging(staging: StagingState, production: str) -> None:
    mode, version = staging.get("mode") or "off", staging.get("version")
    if mode == "shadow" and version:
        text = _(
            "La version {version} est à l'essai : elle estime aussi chaque voiture, sans être montrée.",
            version=version,
        )
    elif mode == "share" and version:
        text = _(
            "La version {version} est à l'essai : elle répond à {share} des demandes.",
            version=version,
            share=formats.share(float(staging.get("share") or 0)),
        )
    else:
        return
    if version != production:  # after its promotion it is the same version
        markup.notice(text)


def _importance(importance: list[dict[str, Any]]) -> None:
    total = sum(max(float(row["importance"]), 0.0) for row in importance)
    if not total:
        return
    # a reader sees the two ends of a mileage bracket as one value
    shares: dict[str, float] = {}
    for row in importance:
        name = words.field(str(row["feature"]))
        shares[name] = shares.get(name, 0.0) + max(float(row["importance"]), 0.0) / total
    rows = [(name, value) for name, value in shares.items() if value >= SMALLEST_SHARE]
    st.header(_("Ce qui fait le prix"), anchor=False)
    shown = sorted(rows, key=lambda row: -row[1])[:MOST_IMPORTANT]
    st.altair_chart(charts.importance(shown), width="stretch")
    said = [_("{name} : {share}", name=name, share=formats.share(value, 1)) for name, value in shown]
    markup.unseen(enumerated(said))
    st.caption(_("Ce que l'estimation perd quand on cache une information, en part du total."))


def _gates(decisions: list[dict[str, Any]]) -> None:
    if not decisions:
        return
    st.header(_("Contrôles passés"), anchor=False)
    for decision in decisions:
        st.subheader(_step(decision), anchor=False)
        _gate_table(decision, f"gates-{decision.get('step')}")


def _step(decision: dict[str, Any]) -> str:
    step = str(decision.get("step") or "")
    return _(_STEPS[step]) if step in _STEPS else step.replace("_", " ")


def _gate_table(decision: dict[str, Any], testid: str) -> None:
    """Why these gates decide, and the gates of a decision."""
    reasons = (decision.get("compared") or {}).get("reasons") or []
    if reasons:
        markup.paragraph(" ".join(messages.reason(reason) for reason in reasons), "cp-small")
    rows: list[list[markup.Cell]] = [
        [
            _gate_name(str(gate.get("name"))),
            _figure(gate, "value"),
            ("≥ " if gate.get("comparison") == ">=" else "≤ ") + _figure(gate, "threshold"),
            markup.Badge(_("oui"), "good") if gate.get("passed") else markup.Badge(_("non"), "bad"),
        ]
        for gate in decision.get("gates") or []
    ]
    markup.table([_("Contrôle"), _("Valeur"), _("Seuil"), _("Passé")], rows, testid)


def _figure(gate: dict[str, Any], which: str) -> str:
    found = gate.get(which)
    if found is None:
        # JSON has no NaN and no infinity
        return "–"
    value = float(found)
    if gate.get("name") in _SHARES:
        return formats.share(value, 1)
    return formats.number(value, 0 if value == int(value) else 3 if abs(value) >= 0.001 else 6)


def _gate_name(name: str) -> str:
    return _(_GATES[name]) if name in _GATES else name.replace("_", " ")


def _history(history: list[dict[str, Any]], version: str) -> None:
    if not history:
        return
    st.header(_("Historique des promotions"), anchor=False)
    rows: list[list[markup.Cell]] = []
    for place, entry in enumerate(reversed(history)):
        action = str(entry.get("action") or "")
        named = _(words.ACTIONS[action]) if action in words.ACTIONS else action
        number = str(entry.get("version") or "")
        rows.append(
            [
                formats.moment(entry.get("at")),
                markup.Badge(named, "good" if action == "promotion" else "warning"),
                _("{version} (en production)", version=number)
                if place == 0 and number == version
                else number,
                str(entry.get("previous_version") or ""),
                words.history_phrase(str(entry.get("by") or "")),
                words.history_phrase(str(entry.get("reason") or "")),
            ]
        )
    columns = [_("Quand"), _("Décision"), _("Version"), _("Avant"), _("Par"), _("Raison")]
    markup.table(columns, rows, "promotions")
    for entry in reversed(history):
        if entry.get("action") == "promotion" and entry.get("gates"):
            _promotion(entry)


def _promotion(entry: dict[str, Any]) -> None:
    """The gates that a promoted version passed, in a closed expander."""
    version = entry.get("version")
    title = _("Contrôles de la version {version}, {at}", version=version, at=formats.moment(entry.get("at")))
    with st.expander(title):
        for decision in entry["gates"]:
            markup.paragraph(_step(decision))
            _gate_table(decision, f"gates-{version}-{decision.get('step')}")


def _card(version: str) -> None:
    st.header(_("Fiche du modèle"), anchor=False)
    try:
        card = screens.client().model_card()
    except ApiProblem as problem:
        if problem.kind != "not found":
            raise
        markup.paragraph(_("Cette version n'a pas de fiche."), "cp-small")
        return
    st.download_button(
        _("Télécharger la fiche (HTML)"),
        card.encode(),
        f"modele-v{version}.html",
        "text/html",
        icon=":material/download:",
        on_click="ignore",
    )
    with st.expander(_("Lire la fiche ici")):
        st.iframe(markup.sandboxed(card), height=720)
