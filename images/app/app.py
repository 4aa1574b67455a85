"""The price page: a listing in, its price and the model version behind it out."""

from __future__ import annotations

import datetime
import logging

import pandas as pd
import streamlit as st

from carprice.data_root import DataRoot
from carprice.errors import CarpriceError
from carprice.features import features_of
from carprice.listing import EQUIPMENT
from carprice.registry import PRODUCTION, LoadedModel, Registry

log = logging.getLogger(__name__)

EQUIPMENT_LABELS = {
    "alloy_wheels": "Jantes aluminium",
    "airbags": "Airbags",
    "air_conditioning": "Climatisation",
    "gps": "GPS",
    "sunroof": "Toit ouvrant",
    "leather_seats": "Sièges cuir",
    "parking_sensors": "Radar de recul",
    "rear_camera": "Caméra de recul",
    "electric_windows": "Vitres électriques",
    "abs": "ABS",
    "esp": "ESP",
    "cruise_control": "Régulateur de vitesse",
    "speed_limiter": "Limiteur de vitesse",
    "cd_mp3_bluetooth": "CD/MP3/Bluetooth",
    "onboard_computer": "Ordinateur de bord",
    "remote_central_locking": "Verrouillage centralisé",
}


@st.cache_resource
def registry() -> Registry:
    """The registry this page reads from, connected once per process."""
    return Registry(DataRoot.from_environment())


@st.cache_resource(max_entries=2)
def model(version: str) -> LoadedModel:
    """A version of the registered model, loaded once per process."""
    log.info("loading version %s", version)
    return registry().load_version(PRODUCTION)


def page() -> None:
    """Draw the page."""
    st.set_page_config(page_title="Prix de voitures d'occasion", page_icon="🚗")
    st.title("Combien vaut cette voiture ?")
    st.caption("Prix demandé estimé d'une voiture d'occasion au Maroc, en dirhams.")
    try:
        version = registry().version_of(PRODUCTION)
        if version is None:
            st.info(
                "Aucun modèle n'est encore en production. Déposez un fichier d'annonces dans data/raw ; "
                "cette page donnera un prix dès que le premier modèle est promu."
            )
            return
        loaded = model(str(version.version))
    except CarpriceError as error:
        log.warning("%s", error)
        st.error("Le registre des modèles ne répond pas. Réessayez dans un instant.")
        return
    listing = _form()
    if listing is not None:
        price, low, high = loaded.pipeline.predict(
            features_of(pd.DataFrame([listing])), return_interval=True
        )[0]
        st.metric("Prix estimé", _mad(price))
        st.write(f"Neuf annonces comparables sur dix demandent entre **{_mad(low)}** et **{_mad(high)}**.")
    st.caption(f"Modèle {version.name}, version {version.version}")


def _mad(amount: float) -> str:
    return f"{round(amount, -2):,.0f} MAD".replace(",", "\u202f")


def _form() -> dict[str, object] | None:
    """The form; the listing in canonical columns once it is sent and complete."""
    with st.form("listing"):
        left, right = st.columns(2)
        make = left.text_input("Marque", placeholder="Dacia", max_chars=60)
        name = right.text_input("Modèle", placeholder="Logan", max_chars=60)
        year = left.number_input("Année-modèle", 1950, datetime.date.today().year + 1, 2015)
        mileage = right.number_input("Kilométrage (km)", 0, 2_000_000, 120_000, step=5_000)
        fuel = left.selectbox("Type de carburant", ["Diesel", "Essence", "Hybride", "Electrique"])
        power = right.number_input("Puissance fiscale (CV)", 1, 60, 6)
        gearbox = left.selectbox(
            "Boîte de vitesses", ["Manuelle", "Automatique"], index=None, placeholder="Choisir"
        )
        condition = right.selectbox(
            "État", ["Excellent", "Très bon", "Bon", "Correct"], index=None, placeholder="Choisir"
        )
        chosen = st.multiselect(
            "Équipements",
            EQUIPMENT,
            format_func=lambda flag: EQUIPMENT_LABELS.get(flag, flag),
            placeholder="Choisir",
        )
        sent = st.form_submit_button("Estimer le prix", type="primary")
    if not sent:
        return None
    if not make.strip() or not name.strip():
        st.warning("Indiquez la marque et le modèle, par exemple Dacia et Logan.")
        return None
    equipment = {flag: float(flag in chosen) for flag in EQUIPMENT} if chosen else {}
    return {
        "make": make.strip(),
        "model": name.strip(),
        "model_year": year,
        "mileage_km_min": mileage,
        "mileage_km_max": mileage,
        "fuel": fuel,
        "fiscal_power_cv": power,
        "gearbox": gearbox,
        "condition": condition,
        **equipment,
    }


page()
