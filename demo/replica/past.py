"""The past of an invented market: what a scraper would have read of it on one day of each week."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from demo.replica.market import Market, MarketAd

WEEKS = 12
LAST_DAY = datetime(2026, 11, 27, 8, tzinfo=UTC)
# Of an equal car: what is asked for it falls by about two in a hundred each month.
_FALL_PER_DAY = 0.0007
_COLUMNS = (
    "url", "title", "make", "model", "trim", "model_year", "mileage_km_min", "mileage_km_max", "fuel",
    "gearbox", "fiscal_power_cv", "city", "district", "price_mad", "scraped_at",
)  # fmt: skip


def market() -> Market:
    """The market of `make demo PAST=1`."""
    return Market(size=700, seed=17)


def files(market: Market) -> Iterator[tuple[str, str]]:
    """The name and the CSV text of each week's file, oldest first; the same market gives the same files."""
    for week in range(WEEKS + 1):
        day = 7 * week
        at = LAST_DAY - timedelta(days=7 * (WEEKS - week))
        text = io.StringIO()
        rows = csv.writer(text, lineterminator="\n")
        rows.writerow(_COLUMNS)
        rows.writerows(_row(ad, day, at, ad.price) for ad in market.ads(day) if ad.price and not ad.is_rental)
        yield f"replica_{at:%Y-%m-%d}.csv", text.getvalue()


def _row(ad: MarketAd, day: int, at: datetime, price: int) -> tuple[object, ...]:
    """The ad at the prices of the day on which it was posted."""
    posted = day - ad.hours // 24
    asked = round(price * (1 - _FALL_PER_DAY * posted) / 500) * 500
    return (
        f"https://annonces.example/{ad.number}.htm", ad.title, ad.make, ad.model, ad.trim, ad.year, ad.km,
        ad.km, ad.fuel, ad.gearbox, ad.power, ad.city, ad.district, asked, at.isoformat(),
    )  # fmt: skip
