"""What `streamlit run` serves: the pages of `main.py`, and *Annonces* with its cars in the HTML itself."""

from __future__ import annotations

import sys
from pathlib import Path

# Streamlit puts the folder of this file on the path; the packages are in the folder above.
_PACKAGE_PARENT = str(Path(__file__).resolve().parents[1])
if _PACKAGE_PARENT not in sys.path:
    sys.path.insert(0, _PACKAGE_PARENT)

import streamlit as st  # noqa: E402
from starlette.routing import Route  # noqa: E402

from price_app import first_sight, places  # noqa: E402

app = st.App(
    Path(__file__).with_name("main.py"),
    routes=[Route(f"/{places.OFFERS}", first_sight.page, methods=["GET"])],
)
