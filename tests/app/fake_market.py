"""An API with a market of made-up cars, for the pages: what it answers is set by the test."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from price_contract.offer_answers import Label

LABELS = get_args(Label)
SECRET = "0123456789abcdef-" + "s" * 43
NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
_CARS = [
    ("Dacia", "Logan", 88_000), ("Dacia", "Duster", 155_000), ("Dacia", "Sandero", 105_000),
    ("Renault", "Clio", 112_000), ("Renault", "Kangoo", 118_000), ("Peugeot", "208", 121_000),
    ("Volkswagen", "Golf", 168_000), ("Hyundai", "Tucson", 235_000),
]  # fmt: skip
_LIKE = (
    "url", "make", "model", "model_year", "mileage_km_min", "mileage_km_max", "fuel", "gearbox", "city",
    "price_mad",
)  # fmt: skip
_CITIES = ["Casablanca", "Rabat", "Marrakech", "Fès", "Tanger", "Agadir"]


def offer(number: int, **more: Any) -> dict[str, Any]:
    """The made-up listing of a number; listings of neighbouring numbers differ in everything."""
    make, model, base = _CARS[number % len(_CARS)]
    year = 2010 + number * 5 % 14
    km = 20_000 + number * 13_337 % 260_000
    estimate = round(base * 0.93 ** (2024 - year) * (1 - km / 1_500_000), -2)
    label = LABELS[(number * 3) % 5]
    share = {"very_good_price": 0.78, "good_price": 0.9, "fair_price": 0.99, "high_price": 1.11}
    price = round(estimate * share.get(label, 1.3), -2)
    first = NOW - timedelta(days=3 + number * 11 % 90)
    prices = [{"at": first.isoformat(), "price_mad": price}]
    if number % 3 == 0:
        prices = [
            {"at": first.isoformat(), "price_mad": round(price * 1.09, -2)},
            {"at": (first + (NOW - first) / 3).isoformat(), "price_mad": round(price * 1.05, -2)},
            {"at": (first + (NOW - first) / 1.5).isoformat(), "price_mad": price},
        ]
    found = {
        "listing_id": f"listing-{number}",
        "url": f"https://www.example.ma/annonces/{number}.htm",
        "source": "www.example.ma",
        "make": make,
        "model": model,
        "model_year": year,
        "mileage_km_min": km,
        "mileage_km_max": km + 9_999,
        "fuel": ("Diesel", "Essence")[number % 2],
        "gearbox": ("Manuelle", "Automatique")[number % 5 == 0],
        "city": _CITIES[number % len(_CITIES)],
        "price_mad": price,
        "estimate_mad": estimate,
        "low_mad": round(estimate * 0.86, -2),
        "high_mad": round(estimate * 1.15, -2),
        "label": label,
        "not_rated": None,
        "suspicions": [],
        "comparables": 40 + number * 17 % 300,
        "status": "on_offer",
        "days_listed": (NOW - first).days,
        "first_seen_at": first.isoformat(),
        "last_seen_at": NOW.isoformat(),
        "gone_since": None,
        "first_price_mad": prices[0]["price_mad"],
        "price_changes": len(prices) - 1,
        "prices": prices,
    }
    return found | more


def suspicious(number: int, code: str, **more: Any) -> dict[str, Any]:
    """A listing that is not to be believed."""
    reason = "implausible_mileage" if code == "implausible_mileage" else "suspicious_price"
    return offer(number, label="not_rated", not_rated=reason, suspicions=[code], **more)


def unrated(number: int, reason: str, **more: Any) -> dict[str, Any]:
    """A listing without a label."""
    return offer(number, label="not_rated", not_rated=reason, **more)


@dataclass
class FakeMarket:
    """What the API answers."""

    address: str = ""
    offers: list[dict[str, Any]] = field(default_factory=list)
    missing: bool = False
    cursors_outdated: bool = False
    # how long /v1/listings takes
    seconds: float = 0.0
    watches: dict[str, dict[str, Any]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def listings(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        """The answer of /v1/listings."""
        one = {name: values[0] for name, values in query.items()}
        first = int(one.get("cursor", "c0")[1:])
        if first and self.cursors_outdated:
            return _problem(409, "cursor-outdated")
        found = [each for each in self.offers if self._fits(each, one, query.get("label", []))]
        orders = {
            "below_estimate": lambda o: (
                o["price_mad"] / o["estimate_mad"] if o["label"] != "not_rated" else 9
            ),
            "newest": lambda o: o["days_listed"],
            "price": lambda o: o["price_mad"],
            "mileage": lambda o: o["mileage_km_min"] or 0,
        }
        found.sort(key=orders[one.get("sort", "below_estimate")])
        end = first + int(one.get("limit", 25))
        counts = {label: sum(o["label"] == label for o in found) for label in LABELS}
        return 200, {
            "model_version": "3",
            "made_at": NOW.isoformat(),
            "newest_seen_at": NOW.isoformat(),
            "total": len(found),
            "labels": {label: count for label, count in counts.items() if count},
            "listings": found[first:end],
            "next": f"c{end}" if end < len(found) else None,
        }

    def _fits(self, found: dict[str, Any], one: dict[str, str], labels: list[str]) -> bool:
        same = all(found[name] == one[name] for name in ("make", "model", "city", "fuel") if name in one)
        least = all(
            found[field] >= float(one[name])
            for name, field in (("year_from", "model_year"), ("price_from", "price_mad"))
            if name in one
        )
        most = all(
            found[field] is not None and found[field] <= float(one[name])
            for name, field in (
                ("year_to", "model_year"),
                ("price_to", "price_mad"),
                ("mileage_to", "mileage_km_max"),
            )
            if name in one
        )
        doubtful = one.get("suspicious") != "true" or bool(found["suspicions"])
        return same and least and most and doubtful and (not labels or found["label"] in labels)

    def details(self, listing_id: str) -> tuple[int, Any]:
        """The answer of /v1/listings/{listing_id}."""
        found = next((each for each in self.offers if each["listing_id"] == listing_id), None)
        if found is None:
            return _problem(404, "listing-unknown", listing_id=listing_id)
        estimate, low, high = found["estimate_mad"], found["low_mad"], found["high_mad"]
        model = {"name": "CarPricePredictor", "version": "3", "alias": "production"}
        start = datetime.fromisoformat(found["first_seen_at"])
        # The model in production learned the listing too, so its price is a little nearer to the asked one.
        price = round((4 * (estimate or 100_000) + found["price_mad"]) / 5)
        parts = {"make_model": -0.5, "model_year": 0.9, "mileage": -0.3, "gearbox": 0.1, "market": -0.1}
        base = round(price / (1 + sum(parts.values()) / 4))
        steps = [
            {"group": group, "columns": [group], "value": None, "contribution_mad": round(part * base / 4)}
            for group, part in parts.items()
        ]
        price = base + sum(step["contribution_mad"] for step in steps)
        like = [each for each in self.offers if each["model"] == found["model"] and each is not found][:8]
        nearest = [
            {name: each[name] for name in _LIKE} | {"fiscal_power_cv": 6, "similarity": 0.97 - place / 40}
            for place, each in enumerate(like)
        ]
        return 200, found | {
            "condition": "Très bon",
            "fiscal_power_cv": 6,
            "position": 0.2,
            "learned": True,
            "estimates": []
            if estimate is None
            else [
                {
                    "at": (start + (NOW - start) * part).isoformat(), "estimate_mad": round(estimate * times),
                    "low_mad": round(low * times), "high_mad": round(high * times), "model_version": version,
                }
                for part, times, version in ((0.0, 1.04, "1"), (0.4, 1.02, "2"), (0.8, 1.0, "3"))
            ],
            "explanation": {
                "price_mad": price, "base_mad": base, "base_meaning": "", "model": model,
                "contributions": steps, "warnings": [],
            },
            "nearest": {"model": model, "snapshot_id": "s", "comparables": nearest, "warnings": []},
            "standard": "average_condition_registered_in_morocco",
        }  # fmt: skip

    def figures(self, query: dict[str, list[str]]) -> tuple[int, Any]:
        """The answer of /v1/market."""
        one = {name: values[0] for name, values in query.items()}
        year = int(one["model_year"]) if "model_year" in one else None
        found = [
            each
            for each in self.offers
            if all(each[name] == one[name] for name in ("make", "model") if name in one)
            and year in (None, each["model_year"])
        ]
        models: dict[tuple[str, str], list[dict[str, Any]]] = {}
        for each in found:
            models.setdefault((each["make"], each["model"]), []).append(each)
        years = sorted({each["model_year"] for each in found})
        brackets = sorted({_bracket(each) for each in found if each["mileage_km_min"] is not None})
        all_figures = _figures(found)
        return 200, {
            "scope": {"make": one.get("make"), "model": one.get("model"), "model_year": year},
            "offers": len(found),
            "enough": len(found) >= 5,
            "asking": None
            if len(found) < 5
            else {name: all_figures[name] for name in ("median", "q1", "q3")}
            | {
                "lowest": min(each["price_mad"] for each in found),
                "highest": max(each["price_mad"] for each in found),
            },
            "days_listed": {"median": 31.0} if len(found) >= 5 else None,
            "cut_share": 0.34 if len(found) >= 5 else None,
            "by_year": [
                {"model_year": each, **_figures([o for o in found if o["model_year"] == each])}
                for each in years
            ],
            "by_mileage": [
                {
                    "km_from": low, "km_to": None if low == 300_000 else low + 50_000,
                    **_figures([o for o in found if _bracket(o) == low]),
                }
                for low in brackets
            ],
            "models": [
                {
                    "make": make, "model": model, "offers": len(each),
                    "median": _figures(each)["median"],
                }
                for (make, model), each in sorted(models.items(), key=lambda item: -len(item[1]))
            ],
            "level": [
                {
                    "day": (date(2026, 11, 27) - timedelta(days=30 * back)).isoformat(),
                    "level": 1 + 0.004 * back + 0.01 * (back % 3 - 1) * (back > 0),
                    "low": 1 + 0.004 * back + 0.01 * (back % 3 - 1) * (back > 0) - 0.012 - 0.001 * back,
                    "high": 1 + 0.004 * back + 0.01 * (back % 3 - 1) * (back > 0) + 0.012 + 0.001 * back,
                }
                for back in range(14, -1, -1)
            ],
            "level_scope": one.get("make", "") if one.get("make") == "Dacia" else "",
            "newest_seen_at": NOW.isoformat(),
            "made_at": NOW.isoformat(),
            "model_version": "3",
        }  # fmt: skip

    def watch(self, secret: str) -> tuple[int, Any]:
        """The answer of /v1/watches/{secret}."""
        if secret not in self.watches:
            return _problem(404, "watch-unknown")
        told = [
            {
                "listing_id": each["listing_id"], "at": NOW.isoformat(), "price_mad": each["price_mad"],
                "estimate_mad": each["estimate_mad"], "label": each["label"], "offer": each,
            }
            for each in self.offers
            if each["label"] == "very_good_price"
        ][:2]  # fmt: skip
        return 200, self.watches[secret] | {"offers": told}


def _bracket(found: dict[str, Any]) -> int:
    """Where the bracket of mileages of a listing begins, in km."""
    km = found["mileage_km_min"]
    return -1 if km is None else min(km // 50_000 * 50_000, 300_000)


def _figures(found: list[dict[str, Any]]) -> dict[str, Any]:
    prices = sorted(each["price_mad"] for each in found)
    if len(prices) < 5:
        return {"offers": len(prices), "median": None, "q1": None, "q3": None}
    at = [prices[len(prices) * part // 4] for part in (1, 2, 3)]
    return {"offers": len(prices), "median": at[1], "q1": at[0], "q3": at[2]}


def _problem(status: int, code: str, **params: Any) -> tuple[int, Any]:
    sentence = f"expected something else: {code}"
    return status, {
        "type": f"urn:carprice:problem:{code}", "title": code, "status": status, "detail": sentence,
        "code": code, "params": params,
    }  # fmt: skip


def market_of(count: int) -> list[dict[str, Any]]:
    """So many listings, some of which are not rated or suspicious."""
    found = [offer(number) for number in range(count)]
    special = [
        suspicious(count, "far_below", price_mad=9_900, prices=[], price_changes=0, first_price_mad=9_900),
        suspicious(count + 1, "implausible_mileage", mileage_km_min=1_000, mileage_km_max=1_999),
        unrated(count + 2, "few_comparables", comparables=2),
        unrated(count + 3, "partial", mileage_km_min=None, mileage_km_max=None),
        unrated(count + 4, "unknown_model", estimate_mad=None, low_mad=None, high_mad=None, comparables=0),
    ]  # fmt: skip
    return found + special


@contextmanager
def fake_market(offers: list[dict[str, Any]]) -> Iterator[FakeMarket]:
    """An API on a free port that has these listings."""
    market = FakeMarket(offers=offers)
    options = {
        "model": {"name": "CarPricePredictor", "version": "3", "alias": "production"},
        "makes": {
            make: {"count": 9, "models": {}} for make in dict.fromkeys(make for make, _, _ in _CARS)
        },
        "fuels": ["Diesel", "Essence"], "gearboxes": [], "conditions": [], "origins": [], "doors": [],
        "cities": _CITIES, "has_equipment": False,
    }  # fmt: skip

    class Answer(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query, path = parse_qs(parts.query), parts.path
            market.asked.append(self.path)
            if path == "/v1/model":
                self._say(200, {"version": "3"})
            elif path == "/v1/choices":
                self._say(200, options)
            elif market.missing:
                self._say(*_problem(503, "market-missing"))
            elif path == "/v1/listings":
                time.sleep(market.seconds)
                self._say(*market.listings(query))
            elif path == "/v1/listings.csv":
                self._say(200, None, b"listing_id\r\n" + b"listing-0\r\n")
            elif path.startswith("/v1/listings/"):
                self._say(*market.details(unquote(path.removeprefix("/v1/listings/"))))
            elif path == "/v1/market":
                self._say(*market.figures(query))
            elif path.startswith("/v1/watches/"):
                self._say(*market.watch(unquote(path.removeprefix("/v1/watches/"))))
            else:
                self._say(*_problem(404, "path-unknown", path=path))

        def do_POST(self) -> None:
            filters = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            made = {
                "watch": SECRET.split("-")[0], "filters": filters, "created_at": NOW.isoformat(),
                "language": self.headers["Accept-Language"],
            }  # fmt: skip
            market.watches[SECRET] = made
            self._say(201, made | {"secret": SECRET, "feed": f"/v1/watches/{SECRET}/feed"})

        def do_DELETE(self) -> None:
            market.watches.pop(unquote(self.path.removeprefix("/v1/watches/")), None)
            self._say(204, None, b"")

        def _say(self, status: int, document: Any, body: bytes | None = None) -> None:
            content = json.dumps(document).encode() if body is None else body
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    class Server(ThreadingHTTPServer):
        daemon_threads = True

    with Server(("127.0.0.1", 0), Answer) as server:
        market.address = f"http://127.0.0.1:{server.server_port}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield market
        server.shutdown()
