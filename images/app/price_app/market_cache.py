"""What the pages of the market asked the API, kept for some seconds: each input draws the page again."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from price_app import screens, settings
from price_app.api_client import ApiClient
from price_contract.offer_answers import MarketFigures, OfferDetails, OffersPage


def listings(query: Mapping[str, Any]) -> OffersPage:
    """A page of the listings, at most ten seconds old."""
    return _listings(screens.client(), _api_url(), json.dumps(query, sort_keys=True))


def listing(listing_id: str) -> OfferDetails:
    """One listing, at most ten seconds old."""
    return _listing(screens.client(), _api_url(), listing_id)


def figures(
    make: str | None = None, model: str | None = None, model_year: int | None = None
) -> MarketFigures:
    """What the cars of a scope cost, at most thirty seconds old."""
    return _figures(screens.client(), _api_url(), make, model, model_year)


def _api_url() -> str:
    return settings.Settings.from_environment().api_url


@st.cache_data(ttl=10, max_entries=64, show_spinner=False)
def _listings(_client: ApiClient, api_url: str, query: str) -> OffersPage:
    return _client.listings(json.loads(query))


@st.cache_data(ttl=10, max_entries=64, show_spinner=False)
def _listing(_client: ApiClient, api_url: str, listing_id: str) -> OfferDetails:
    return _client.listing(listing_id)


@st.cache_data(ttl=30, max_entries=64, show_spinner=False)
def _figures(
    _client: ApiClient, api_url: str, make: str | None, model: str | None, model_year: int | None
) -> MarketFigures:
    return _client.market(make, model, model_year)
