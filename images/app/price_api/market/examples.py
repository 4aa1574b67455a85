"""Answers as /openapi.json and /docs show them."""

from __future__ import annotations

from typing import Any

_MODEL = {"name": "CarPricePredictor", "version": "3", "alias": "production"}
_MADE = {"made_at": "2026-11-27T05:00:00+00:00", "model_version": "3"}
_SEEN = {"newest_seen_at": "2026-11-27T04:40:00+00:00"}

OFFER: dict[str, Any] = {
    "listing_id": "avito.ma-54321987",
    "url": "https://www.avito.ma/fr/maarif/voitures/dacia_logan_54321987.htm",
    "source": "www.avito.ma",
    "make": "Dacia",
    "model": "Logan",
    "model_year": 2015,
    "mileage_km_min": 120000,
    "mileage_km_max": 129999,
    "fuel": "Diesel",
    "gearbox": "Manuelle",
    "city": "Casablanca",
    "price_mad": 84000,
    "estimate_mad": 95300,
    "low_mad": 80100,
    "high_mad": 113000,
    "label": "good_price",
    "not_rated": None,
    "suspicions": [],
    "comparables": 214,
    "status": "on_offer",
    "days_listed": 12.4,
    "first_seen_at": "2026-11-14T19:00:00+00:00",
    "last_seen_at": "2026-11-27T04:40:00+00:00",
    "gone_since": None,
    "first_price_mad": 89000,
    "price_changes": 1,
    "prices": [
        {"at": "2026-11-14T19:00:00+00:00", "price_mad": 89000},
        {"at": "2026-11-22T19:00:00+00:00", "price_mad": 84000},
    ],
}
LISTINGS: dict[str, Any] = {
    **_MADE,
    **_SEEN,
    "total": 1,
    "labels": {
        "very_good_price": 0,
        "good_price": 1,
        "fair_price": 0,
        "high_price": 0,
        "very_high_price": 0,
        "not_rated": 0,
    },
    "listings": [OFFER],
    "next": None,
}
LISTING: dict[str, Any] = {
    **OFFER,
    "condition": "Bon",
    "fiscal_power_cv": 6,
    "position": 0.18,
    "learned": True,
    "estimates": [
        {
            "at": "2026-11-27T05:00:00+00:00",
            "estimate_mad": 95300,
            "low_mad": 80100,
            "high_mad": 113000,
            "model_version": "3",
        }
    ],
    "explanation": {
        "price_mad": 95300,
        "base_mad": 131000,
        "base_meaning": "The model's average price …",
        "model": _MODEL,
        "contributions": [
            {
                "group": "make_model",
                "columns": ["make", "model"],
                "value": "Dacia Logan",
                "contribution_mad": -35700,
            }
        ],
        "warnings": [],
    },
    "nearest": {"model": _MODEL, "snapshot_id": "5f2c…", "comparables": [], "warnings": []},
    "standard": "average_condition_registered_in_morocco",
}
MARKET: dict[str, Any] = {
    "scope": {"make": "Dacia", "model": "Logan", "model_year": None},
    "offers": 214,
    "enough": True,
    "asking": {"median": 92000, "q1": 78000, "q3": 110000, "lowest": 38000, "highest": 165000},
    "days_listed": {"median": 18.5},
    "cut_share": 0.21,
    "by_year": [{"model_year": 2015, "offers": 31, "median": 88000, "q1": 80000, "q3": 97000}],
    "by_mileage": [
        {"km_from": 100000, "km_to": 150000, "offers": 64, "median": 90000, "q1": 79000, "q3": 104000}
    ],
    "models": [{"make": "Dacia", "model": "Logan", "offers": 214, "median": 92000}],
    "level": [{"day": "2026-11-27", "level": 1.0, "low": 0.98, "high": 1.02}],
    "level_scope": "Dacia",
    **_SEEN,
    **_MADE,
}
