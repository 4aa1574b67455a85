"""A synthetic market of any size, in the files that the step `rate-listings` writes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd

from carprice.store import DataRoot
from carprice_contract.data_root import LATEST_MARKET, market_manifest, market_table

NOW = datetime(2026, 11, 27, 5, tzinfo=UTC)
CARS = {
    "Dacia": ["Logan", "Sandero", "Duster", "Lodgy"],
    "Renault": ["Clio", "Mégane", "Kangoo", "Captur"],
    "Peugeot": ["208", "301", "308", "Partner"],
    "Volkswagen": ["GOLF 7", "Polo", "Tiguan"],
    "Citroen": ["C3", "Berlingo", "C-Elysée"],
    "Hyundai": ["i10", "Accent", "Tucson"],
    "Toyota": ["Yaris", "Corolla"],
}
CITIES = ["Casablanca", "Rabat", "Fès", "Marrakech", "Tanger", "Agadir", "Meknès", "Oujda"]
FUELS, GEARBOXES = ["Diesel", "Essence", "Hybride"], ["Manuelle", "Automatique"]
LABELS = ["very_good_price", "good_price", "fair_price", "high_price", "very_high_price"]
_BOUNDS = [0.05, 0.25, 0.75, 0.95]


def synthetic_offers(count: int, seed: int = 0, versions: int = 3) -> pd.DataFrame:
    """Listings as in `offers.parquet`, sorted by their ids; each has the estimates of some versions."""
    rng = np.random.default_rng(seed)
    cars = [(make, model) for make, models in CARS.items() for model in models]
    # as on a real market, few models are most of it
    weights = 1 / np.arange(1, len(cars) + 1)
    picked = rng.choice(len(cars), count, p=weights / weights.sum())
    year = rng.integers(2000, 2026, count).astype(float)
    km = np.maximum(0, (2026 - year) * 15_000 + rng.normal(0, 20_000, count)) // 10_000 * 10_000
    estimate = np.round(250_000 * np.exp(-0.09 * (2026 - year)) * (1 + picked / 40), -2)
    position = rng.random(count)
    price = np.round(estimate * (0.72 + 0.56 * position), -2)
    label = np.array(LABELS, dtype=object)[np.searchsorted(_BOUNDS, position)]
    kind = rng.random(count)
    suspicions = np.where(kind < 0.02, "far_below", "").astype(object)
    price[kind < 0.02] = np.round(price[kind < 0.02] / 4, -2)
    not_rated = np.full(count, None, dtype=object)
    not_rated[kind < 0.02] = "suspicious_price"
    not_rated[(kind >= 0.02) & (kind < 0.06)] = "few_comparables"
    label[[each is not None for each in not_rated]] = "not_rated"
    gone = rng.random(count) < 0.1
    first_seen = np.array([NOW - timedelta(days=float(d)) for d in rng.uniform(0.2, 60, count)])
    changes = rng.choice([0, 0, 0, 1, 2], count)
    first_price = np.where(changes > 0, np.round(price * 1.06, -2), price)
    ids = np.array([f"avito.ma-{60_000_000 + place}" for place in rng.permutation(count)], dtype=object)
    table = pd.DataFrame(
        {
            "listing_id": ids,
            "url": [f"https://www.avito.ma/fr/voitures/annonce_{each[9:]}.htm" for each in ids],
            "source": "www.avito.ma",
            "make": [cars[each][0] for each in picked],
            "model": [cars[each][1] for each in picked],
            "model_year": year,
            "mileage_km_min": km,
            "mileage_km_max": km + 9_999,
            "fuel": rng.choice(FUELS, count, p=[0.7, 0.25, 0.05]),
            "gearbox": rng.choice(GEARBOXES, count),
            "city": rng.choice(CITIES, count),
            "condition": [None if each < 0.5 else "Bon" for each in rng.random(count).tolist()],
            "fiscal_power_cv": rng.integers(5, 12, count).astype(float),
            "price_mad": price,
            "estimate_mad": estimate,
            "low_mad": np.round(estimate * 0.8, -2),
            "high_mad": np.round(estimate * 1.25, -2),
            "position": position,
            "learned": rng.random(count) < 0.8,
            "label": label,
            "not_rated": not_rated,
            "suspicions": suspicions,
            "comparables": rng.integers(5, 400, count),
            "status": np.where(gone, "gone", "on_offer"),
            "gone_since": pd.to_datetime(pd.Series([NOW if each else None for each in gone]), utc=True),
            "first_seen_at": pd.to_datetime(first_seen, utc=True),
            "last_seen_at": pd.to_datetime([NOW] * count, utc=True),
            "days_listed": [round((NOW - each) / timedelta(days=1), 2) for each in first_seen],
            "first_price_mad": first_price,
            "price_changes": changes,
            "prices": [
                json.dumps(
                    [[first.isoformat(timespec="seconds"), was]] + [[NOW.isoformat(), now]] * bool(times)
                )
                for first, was, now, times in zip(
                    first_seen, first_price.tolist(), price.tolist(), changes.tolist(), strict=True
                )
            ],
            "estimates": [_estimates(mad, versions) for mad in estimate.tolist()],
            "below_share": 1 - price / estimate,
        }
    )
    return table.sort_values("listing_id", ignore_index=True)


def _estimates(mad: float, versions: int) -> str:
    """One estimate of each version of the model, oldest first."""
    return json.dumps(
        [
            [
                (NOW - timedelta(days=7 * age)).isoformat(),
                mad,
                round(0.8 * mad),
                round(1.25 * mad),
                str(versions - age),
            ]
            for age in reversed(range(versions))
        ]
    )


def synthetic_level(makes: Sequence[str] = ("Dacia",), days: int = 60) -> pd.DataFrame:
    """A level that rises by a tenth of a percent a day, of the whole market and of some makes."""
    rows: list[dict[str, Any]] = []
    for scope in ("", *makes):
        for age in reversed(range(days)):
            level = 0.999**age
            day = (NOW - timedelta(days=age)).date().isoformat()
            rows.append(
                {
                    "scope": scope,
                    "day": day,
                    "level": level,
                    "low": 0.98 * level,
                    "high": 1.02 * level,
                    "listings": 900,
                }
            )
    return pd.DataFrame(rows)


def write_market(
    root: DataRoot,
    market_id: str,
    offers: pd.DataFrame,
    level: pd.DataFrame | None = None,
    made_at: datetime = NOW,
    model_version: str = "1",
) -> None:
    """Write a whole market, `latest.json` last."""
    root.write_parquet(market_table(market_id, "offers"), offers)
    root.write_parquet(market_table(market_id, "level"), synthetic_level() if level is None else level)
    there = offers[offers["status"] == "on_offer"]
    manifest = {
        "format_version": 1,
        "id": market_id,
        "snapshot_id": "synthetic",
        "model_version": model_version,
        "run_id": "synthetic",
        "made_at": made_at.isoformat(timespec="seconds"),
        "newest_seen_at": NOW.isoformat(timespec="seconds"),
        "offers": len(offers),
        "on_offer": len(there),
        "gone": len(offers) - len(there),
        "labels": {str(label): int(n) for label, n in there["label"].value_counts().items()},
        "not_rated": {
            str(reason): int(n) for reason, n in there["not_rated"].dropna().value_counts().items()
        },
    }
    root.write_json(market_manifest(market_id), manifest)
    root.write_json(LATEST_MARKET, {"id": market_id, "made_at": manifest["made_at"]})
