"""How fast the price API lists the cars on offer, beside price requests, and what a visitor waits for.

    make bench-listings [OFFERS=100000 DURATION=30]

Writes a synthetic market, and sends fifty requests a second for listings, with filters of every kind, and
fifty for prices, both at even intervals. Then it does so again while a new market replaces the one that
serves. Before that it opens the page *Annonces* in Chromium, ten times. Exits 1 if a limit is missed.
"""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import requests
from demo import services
from demo.chromium import chromium
from demo.settings import Settings
from demo.supervisor import Service, Supervisor

from benchmarks import listings_page
from benchmarks.http_load import Load, load, load_queries
from benchmarks.market_files import synthetic_level, synthetic_offers, write_market
from benchmarks.serving import WAIT_SECONDS, asked, listings_of, price_api, settings_in, train
from carprice.listings import sample
from carprice.store import DataRoot

MOST_P99_MS = 100.0
MOST_MIB = 1024
MOST_PAGE_SECONDS = 2.0
PER_SECOND, CONNECTIONS = 50.0, 8
TRAINED_ROWS = 1_000
# Five versions of the model, as after some weeks of new files.
VERSIONS = 5

QUERIES: list[dict[str, Any]] = [
    {},
    {"make": "Dacia"},
    {"make": "renault", "model": "clio", "year_from": 2012, "year_to": 2018},
    {"city": "Casablanca", "sort": "price"},
    {"label": ["good_price", "very_good_price"], "price_to": 120_000},
    {"mileage_to": 100_000, "fuel": "Diesel", "sort": "newest"},
    {"suspicious": "true", "status": "all"},
    {"status": "all", "sort": "mileage", "limit": 100},
    {"make": "vw", "model": "golf 7", "city": "fes", "limit": 100},
    {"make": "Trabant"},
    {"price_from": 50_000, "price_to": 60_000, "year_from": 2008, "sort": "newest"},
    {"limit": 100},
]


def main() -> int:
    """Print the figures; returns the exit status."""
    count, seconds = int(os.environ.get("OFFERS") or 100_000), float(os.environ.get("DURATION") or 30)
    with tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder:
        file = Path(folder) / "synthetic_listings.csv"
        sample.write_sample(str(file), TRAINED_ROWS, seed=0)
        settings = settings_in(Path(folder))
        services.make_folders(settings)
        train(settings, file)
        root, offers = DataRoot(str(settings.data)), synthetic_offers(count, versions=VERSIONS)
        write_market(root, "bench-1", offers, synthetic_level(days=365))
        with Supervisor(settings.state / "logs") as supervisor:
            api = price_api(settings)
            for service in (services.mlflow_service(settings), api, services.app_service(settings)):
                supervisor.start(service)
                supervisor.wait_until_ready(service.name, WAIT_SECONDS)
            api.ready = lambda: _made_at(settings) is not None
            supervisor.wait_until_ready(api.name, WAIT_SECONDS)
            quick = _measure_page(settings, count)
            kept = _measure(settings, api, root, offers, seconds)
    return 0 if kept and quick else 1


def _measure_page(settings: Settings, count: int) -> bool:
    """Print how long visitors wait for the page, and return whether that is within its limit."""
    program = chromium()
    if program is None:
        print("\na Chromium was expected, found none; the page *Annonces* is not measured")
        return True
    found = listings_page.waits(settings.app_url, program)
    print(
        f"\n{count:,} listings; {listings_page.VISITS} visitors of the page *Annonces*, one after the other"
    )
    print(f"{'':<44}{'p50 s':>8}{'most s':>8}")
    for name, seconds in found.items():
        print(f"{name:<44}{np.median(seconds):8.2f}{max(seconds):8.2f}", flush=True)
    # Filters wait for Streamlit's own program, whatever the market: that has a line without a limit.
    waits = [seconds for name, seconds in found.items() if name != listings_page.WHOLE]
    most = max(map(max, waits))
    kept = most <= MOST_PAGE_SECONDS
    print(f"{f'the cars: most <= {MOST_PAGE_SECONDS:g} s':<44}{most:8.2f}  {'yes' if kept else 'no'}")
    return kept


def _measure(settings: Settings, api: Service, root: DataRoot, offers: pd.DataFrame, seconds: float) -> bool:
    bodies = [asked(row) for row in listings_of(settings)]
    queries = [*QUERIES, *_next_pages(settings)]
    asyncio.run(_both(settings, queries, bodies, 3))  # the first requests build what later ones find
    print(f"\n{len(offers):,} listings; {PER_SECOND:g} requests a second of each kind for {seconds:g} s")
    print(f"{'':<44}{'p50 ms':>8}{'p99 ms':>8}{'most ms':>8}{'failed':>8}")
    listed, priced = asyncio.run(_both(settings, queries, bodies, seconds))
    _print("GET /v1/listings", listed)
    _print("POST /v1/predict", priced)
    # a cursor of the market before is refused, so that only first pages are asked for
    replaced = threading.Thread(
        target=write_market, args=(root, "bench-2", offers, synthetic_level(days=365)), daemon=True
    )
    replaced.start()
    while_replaced, priced_then = asyncio.run(_both(settings, QUERIES, bodies, seconds))
    replaced.join()
    _print("GET /v1/listings while a market is loaded", while_replaced)
    _print("POST /v1/predict while a market is loaded", priced_then)
    mib = _most_mib(api.process.pid) if api.process else 0.0
    failed = sum(len(each.failures) for each in (listed, priced, while_replaced, priced_then))
    print()
    return limits_kept(listed.milliseconds(99), mib, failed)


def limits_kept(p99: float, mib: float, failed: int) -> bool:
    """Print each limit and whether it is kept, and return whether all are."""
    limits = [
        (f"listings: p99 <= {MOST_P99_MS:g} ms", f"{p99:.1f}", p99 <= MOST_P99_MS),
        (f"memory <= {MOST_MIB} MiB", f"{mib:.0f}", mib <= MOST_MIB),
        ("no failed request", f"{failed}", failed == 0),
    ]
    for limit, value, kept in limits:
        print(f"{limit:<40}{value:>8}  {'yes' if kept else 'no'}")
    return all(kept for _, _, kept in limits)


async def _both(
    settings: Settings, queries: list[dict[str, Any]], bodies: list[Any], seconds: float
) -> tuple[Load, Load]:
    listed, priced = await asyncio.gather(
        load_queries(f"{settings.api_url}/v1/listings", queries, seconds, CONNECTIONS, PER_SECOND),
        load(f"{settings.api_url}/v1/predict", bodies, seconds, CONNECTIONS, per_second=PER_SECOND),
    )
    return listed, priced


def _next_pages(settings: Settings) -> list[dict[str, Any]]:
    """The same queries with the cursors of their next pages."""
    answers = [(query, _asked(settings, query).json()["next"]) for query in QUERIES]
    return [{**query, "cursor": cursor} for query, cursor in answers if cursor]


def _made_at(settings: Settings) -> str | None:
    """When the market that serves was made; None where there is none yet."""
    answer = _asked(settings, {"limit": 1})
    return str(answer.json()["made_at"]) if answer.ok else None


def _asked(settings: Settings, query: dict[str, Any]) -> requests.Response:
    session = requests.Session()
    session.trust_env = False
    return session.get(f"{settings.api_url}/v1/listings", params=query, timeout=60)


def _most_mib(process_id: int) -> float:
    """The most memory that a process had at any time."""
    for line in Path(f"/proc/{process_id}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) / 1024
    return 0.0


def _print(name: str, found: Load) -> None:
    figures = "".join(f"{found.milliseconds(p):8.1f}" for p in (50, 99, 100))
    print(f"{name:<44}{figures}{len(found.failures):8}", flush=True)
    for failure in sorted(set(found.failures))[:5]:
        print(f"  {failure}")


if __name__ == "__main__":
    sys.exit(main())
