"""The cars of an invented market, day after day: some are sold, some get cheaper, new ones come."""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

TELEPHONES = ("0661 23 45 67", "06.61.23.45.68", "+212 661-234-569", "٠٦٦١٢٣٤٥٧٠", "0661234571")
"""Invented numbers that sellers put where they can."""

FIRST_DAY = datetime(2026, 11, 1, 8, tzinfo=UTC)

_CARS = (
    ("Dacia", "Logan", "داسيا لوغان", 128_000),
    ("Dacia", "Duster", "داسيا داستر", 205_000),
    ("Renault", "Clio", "رونو كليو", 165_000),
    ("Peugeot", "208", "بيجو 208", 175_000),
    ("Volkswagen", "Golf 7", "فولكس فاجن غولف 7", 285_000),
    ("Hyundai", "Tucson", "هيونداي توسان", 310_000),
    ("Fiat", "Punto", "فيات بونتو", 140_000),
    ("Mercedes-Benz", "Classe C", "مرسيدس كلاس C", 500_000),
)
_PLACES = (("Casablanca", "Maârif"), ("Rabat", "Agdal"), ("Tanger", "Malabata"), ("Fès", "Narjiss"))
_TRIMS = ("Ambiance", "Laureate", "Comfort", "Prestige")


@dataclass(frozen=True)
class MarketAd:
    """An ad on one day; `hours` is how long it has been there, `price` is None where none is asked."""

    number: int
    make: str
    model: str
    title: str
    trim: str
    year: int
    km: int
    fuel: str
    gearbox: str
    power: int
    city: str
    district: str
    price: int | None
    old_price: int | None
    is_shop: bool
    is_rental: bool
    hours: int
    seller: str
    telephone: str


@dataclass(frozen=True)
class Market:
    """A market of about `size` ads. The same seed gives the same ads on the same day."""

    size: int = 120
    seed: int = 1
    unpriced: float = 0.1
    arabic: float = 0.1
    rentals: float = 0.04
    telephones_everywhere: bool = False

    def ads(self, day: int = 0) -> list[MarketAd]:
        """The ads on a day, newest first."""
        new_each_day = max(1, self.size // 20)
        found = []
        for index in range(self.size + day * new_each_day):
            dice = random.Random(f"{self.seed}-{index}")
            posted = (
                min(0, index // new_each_day - self.size // new_each_day)
                if index < self.size
                else ((index - self.size) // new_each_day + 1)
            )
            sold = max(posted, 0) + int(dice.expovariate(1 / 12)) + 1
            if sold > day:
                found.append(self._ad(index, dice, day, posted))
        return found[::-1]

    def _ad(self, index: int, dice: random.Random, day: int, posted: int) -> MarketAd:
        make, model, arabic, new = dice.choice(_CARS)
        year, city = dice.randint(2005, 2024), dice.choice(_PLACES)
        km = max(5, int((2026 - year) * dice.uniform(8, 22))) * 1000
        price: int | None = round(new * 0.9 ** (2026 - year) * dice.uniform(0.85, 1.15) / 500) * 500
        trim, is_rental = dice.choice(_TRIMS), dice.random() < self.rentals
        title = f"{make} {model} {trim} {year}"
        if dice.random() < self.arabic:
            title = f"{arabic} {year} للبيع"
        cheaper_on, gets_cheaper, old = max(posted, 0) + dice.randint(1, 6), dice.random() < 0.4, None
        if day >= cheaper_on and gets_cheaper and price:
            old, price = price, round(price * 0.94 / 500) * 500
        if is_rental:
            title, price, old = f"Location {make} {model} 250 dh/jour", 250, None
        if dice.random() < self.unpriced:
            price = old = None
        telephone = dice.choice(TELEPHONES)
        ad = MarketAd(
            50_000_000 + index, make, model, title, trim, year, km,
            dice.choice(("Diesel", "Essence")), dice.choice(("Manuelle", "Automatique")), dice.randint(5, 12),
            *city, price, old, dice.random() < 0.3, is_rental, (day - posted) * 24 + dice.randint(0, 10),
            dice.choice(("Mohamed Exemple", "Auto Exemple")), telephone,
        )  # fmt: skip
        return self._with_telephones(ad) if self.telephones_everywhere else ad

    @staticmethod
    def _with_telephones(ad: MarketAd) -> MarketAd:
        said = f" tel {ad.telephone}"
        return replace(
            ad,
            title=ad.title + said,
            make=ad.make + said,
            model=ad.model + said,
            trim=ad.trim + said,
            fuel=ad.fuel + said,
            gearbox=ad.gearbox + said,
            city=ad.city + said,
            district=ad.district + said,
            price=661_234_567,
            old_price=661_234_567,
        )


def time_on(day: int) -> datetime:
    """The moment at which a day of the market is looked at."""
    return FIRST_DAY + timedelta(days=day)
