"""Synthetic listings in the layout of the scraper's widest file, for demonstrations and tests.

Every value is invented: makes, models and cities exist, the cars, sellers, links and prices do not.
The columns are the 32 of the scraper: an unnamed row number, `Lien` (always under the host
`example.invalid`), place, make, model, year, mileage bracket, fuel, power, gearbox, doors, origin,
first owner, condition, sixteen equipment flags and `Prix` in dirhams.

The structure is plausible: prices fall with age and mileage, makes and models have their premium,
equipment goes with price and year, and 10 % of noise (lognormal) has no cause in the columns. The faults
of real files are there too: repeated rows, `--`, empty values, odometers left at zero, prices with one
zero too many, and a few rows that can't be used.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.errors import UsageProblem
from carprice.formats import thousands
from carprice.listings.headers import HEADERS
from carprice.listings.schema import EQUIPMENT
from carprice.listings.text import ascii_words

NOW = 2023.5  # the moment the invented site was read
REPEATED_SHARE = 0.12
TYPING_ERROR_SHARE = 0.007
UNUSABLE_SHARE = 0.006
MOST_ROWS = 5_000_000

_FIELDS = (
    "url", "city", "district", "make", "model", "model_year", "mileage", "fuel", "fiscal_power_cv", "gearbox",
    "doors", "origin", "first_owner", "condition", *EQUIPMENT, "price_mad",
)  # fmt: skip
COLUMNS: tuple[str, ...] = ("", *(HEADERS[name][0] for name in _FIELDS))


class _Model(NamedTuple):
    make: str
    model: str
    price_new: int  # MAD, when new
    first_year: int
    last_year: int
    frequency: float
    diesel: float  # share of diesel cars
    power_cv: tuple[int, int]  # petrol, diesel
    automatic: float  # share of automatic gearboxes
    doors: int


_MODELS = (
    _Model("Dacia", "Logan", 128_000, 2006, 2022, 9, 0.85, (7, 6), 0.02, 5),
    _Model("Dacia", "Sandero", 140_000, 2009, 2022, 5, 0.8, (6, 6), 0.04, 5),
    _Model("Dacia", "Duster", 205_000, 2010, 2022, 6, 0.92, (8, 6), 0.05, 5),
    _Model("Dacia", "Dokker", 150_000, 2013, 2021, 5, 0.97, (7, 6), 0.01, 5),
    _Model("Dacia", "Lodgy", 175_000, 2013, 2021, 2, 0.96, (7, 6), 0.01, 5),
    _Model("Renault", "Clio", 165_000, 2000, 2022, 8, 0.8, (7, 6), 0.1, 5),
    _Model("Renault", "Kangoo", 160_000, 2000, 2021, 7, 0.97, (7, 6), 0.01, 5),
    _Model("Renault", "Megane", 225_000, 2003, 2021, 4, 0.9, (8, 6), 0.12, 5),
    _Model("Renault", "Captur", 215_000, 2014, 2022, 2, 0.85, (6, 6), 0.2, 5),
    _Model("Renault", "Kadjar", 285_000, 2016, 2022, 1.2, 0.9, (7, 6), 0.35, 5),
    _Model("Peugeot", "206+", 125_000, 2009, 2013, 2, 0.8, (6, 5), 0.0, 5),
    _Model("Peugeot", "208", 175_000, 2012, 2022, 3, 0.85, (6, 6), 0.12, 5),
    _Model("Peugeot", "301", 150_000, 2013, 2021, 3, 0.95, (7, 6), 0.04, 5),
    _Model("Peugeot", "308", 235_000, 2008, 2021, 3, 0.92, (8, 6), 0.18, 5),
    _Model("Peugeot", "3008", 320_000, 2010, 2022, 2, 0.95, (8, 7), 0.45, 5),
    _Model("Peugeot", "Partner", 170_000, 2004, 2021, 2.5, 0.98, (7, 6), 0.01, 5),
    _Model("Citroen", "C3", 165_000, 2004, 2022, 2.5, 0.8, (6, 6), 0.1, 5),
    _Model("Citroen", "C4", 225_000, 2006, 2021, 2.5, 0.92, (8, 6), 0.15, 5),
    _Model("Citroen", "Berlingo", 170_000, 2003, 2021, 5, 0.98, (7, 6), 0.01, 5),
    _Model("Citroen", "C-Elysée", 150_000, 2013, 2021, 2, 0.95, (7, 6), 0.03, 5),
    _Model("Volkswagen", "Polo", 185_000, 2002, 2022, 4, 0.85, (7, 6), 0.15, 5),
    _Model("Volkswagen", "Golf 6", 250_000, 2009, 2013, 3, 0.93, (8, 8), 0.25, 5),
    _Model("Volkswagen", "Golf 7", 285_000, 2013, 2020, 4, 0.92, (8, 8), 0.4, 5),
    _Model("Volkswagen", "Passat", 350_000, 2003, 2021, 3, 0.96, (10, 8), 0.45, 5),
    _Model("Volkswagen", "Tiguan", 385_000, 2009, 2022, 3, 0.96, (10, 8), 0.65, 5),
    _Model("Volkswagen", "Touareg", 690_000, 2004, 2021, 2, 0.97, (17, 12), 0.98, 5),
    _Model("Volkswagen", "Caddy", 210_000, 2006, 2021, 2, 0.99, (8, 8), 0.04, 5),
    _Model("Fiat", "Punto", 140_000, 2003, 2016, 3, 0.85, (6, 5), 0.02, 5),
    _Model("Fiat", "500", 165_000, 2010, 2022, 2, 0.55, (6, 6), 0.2, 3),
    _Model("Fiat", "Doblo", 165_000, 2005, 2021, 2.5, 0.98, (7, 6), 0.01, 5),
    _Model("Ford", "Fiesta", 155_000, 2005, 2021, 4, 0.88, (6, 6), 0.06, 5),
    _Model("Ford", "Focus", 225_000, 2004, 2021, 4, 0.92, (8, 7), 0.12, 5),
    _Model("Ford", "Kuga", 320_000, 2010, 2022, 2, 0.95, (9, 8), 0.55, 5),
    _Model("Hyundai", "i 10", 115_000, 2009, 2021, 2, 0.3, (6, 5), 0.08, 5),
    _Model("Hyundai", "Accent", 165_000, 2006, 2021, 2.5, 0.9, (7, 6), 0.08, 5),
    _Model("Hyundai", "Tucson", 310_000, 2006, 2022, 2.5, 0.95, (10, 8), 0.5, 5),
    _Model("Hyundai", "Santa Fe", 450_000, 2007, 2022, 2, 0.97, (12, 9), 0.75, 5),
    _Model("Kia", "Picanto", 120_000, 2009, 2022, 1.8, 0.2, (5, 5), 0.12, 5),
    _Model("Kia", "Sportage", 320_000, 2008, 2022, 2, 0.95, (10, 8), 0.55, 5),
    _Model("Toyota", "Yaris", 180_000, 2006, 2022, 1.8, 0.6, (6, 6), 0.25, 5),
    _Model("Toyota", "Corolla", 250_000, 2003, 2022, 2, 0.85, (8, 7), 0.25, 5),
    _Model("Toyota", "RAV 4", 390_000, 2004, 2022, 2, 0.85, (10, 9), 0.55, 5),
    _Model("Nissan", "Micra", 150_000, 2005, 2021, 1.2, 0.75, (6, 6), 0.08, 5),
    _Model("Nissan", "Qashqai", 300_000, 2008, 2022, 3, 0.94, (8, 7), 0.35, 5),
    _Model("Opel", "Corsa", 155_000, 2004, 2022, 2, 0.85, (6, 6), 0.06, 5),
    _Model("Opel", "Astra", 225_000, 2004, 2021, 2, 0.92, (8, 7), 0.12, 5),
    _Model("Seat", "Ibiza", 175_000, 2004, 2022, 2, 0.88, (6, 6), 0.1, 5),
    _Model("Seat", "Leon", 255_000, 2006, 2022, 2, 0.93, (8, 8), 0.3, 5),
    _Model("Skoda", "Octavia", 270_000, 2005, 2022, 2.5, 0.96, (8, 8), 0.4, 5),
    _Model("Skoda", "Fabia", 165_000, 2005, 2021, 1.2, 0.88, (6, 6), 0.06, 5),
    _Model("Audi", "A3", 370_000, 2005, 2022, 2.5, 0.92, (9, 8), 0.6, 5),
    _Model("Audi", "A4", 450_000, 2003, 2022, 2.2, 0.95, (11, 8), 0.7, 5),
    _Model("Audi", "Q5", 600_000, 2010, 2022, 1.5, 0.97, (12, 8), 0.97, 5),
    _Model("BMW", "Serie 1", 360_000, 2006, 2021, 1.5, 0.93, (9, 8), 0.6, 5),
    _Model("BMW", "Serie 3", 480_000, 2002, 2022, 1.8, 0.95, (11, 8), 0.7, 5),
    _Model("BMW", "X5", 950_000, 2004, 2022, 1, 0.96, (18, 12), 0.99, 5),
    _Model("Mercedes-Benz", "Classe A", 380_000, 2006, 2022, 1.8, 0.93, (8, 7), 0.75, 5),
    _Model("Mercedes-Benz", "Classe C", 500_000, 2001, 2022, 3, 0.96, (11, 8), 0.8, 5),
    _Model("Mercedes-Benz", "Classe E", 680_000, 2000, 2022, 2, 0.97, (13, 9), 0.9, 5),
    _Model("Land Rover", "Range Rover Evoque", 650_000, 2012, 2022, 1.5, 0.97, (12, 9), 0.95, 5),
    _Model("Jeep", "Renegade", 310_000, 2015, 2021, 0.8, 0.95, (8, 7), 0.5, 5),
    _Model("mini", "Cooper", 330_000, 2007, 2021, 0.7, 0.6, (8, 7), 0.5, 3),
)

# city, frequency, districts
_CITIES: tuple[tuple[str, float, tuple[str, ...]], ...] = (
    ("Casablanca", 30, ("Maârif", "Ain Sebaa", "Sidi Maarouf", "Hay Hassani", "Bourgogne", "Oulfa")),
    ("Rabat", 12, ("Agdal", "Hay Riad", "L'Océan", "Hassan")),
    ("Tanger", 8, ("Malabata", "Iberia", "Branes")),
    ("Marrakech", 8, ("Guéliz", "Massira", "Targa")),
    ("Fès", 7, ("Narjiss", "Route d'Imouzzer", "Saiss")),
    ("Agadir", 6, ("Talborjt", "Dakhla", "Founty")),
    ("Meknès", 5, ("Hamria", "Marjane")),
    ("Salé", 5, ("Tabriquet", "Sala Al Jadida")),
    ("Kénitra", 4, ("Mimosas", "Maamora")),
    ("Temara", 4, ("Massira", "Wifaq")),
    ("Oujda", 3, ("Al Qods", "Lazaret")),
    ("Tétouan", 3, ("Wilaya", "Mhannech")),
    ("Mohammedia", 3, ("El Alia", "La Siesta")),
    ("El Jadida", 2, ("Najmat Janoub",)),
    ("Béni Mellal", 2, ("Oulad Hamdane",)),
    ("Nador", 2, ("Al Matar",)),
    ("Khouribga", 1.5, ()),
    ("Settat", 1.5, ()),
    ("Safi", 1.5, ()),
    ("Essaouira", 1, ()),
)

# How rare each piece of equipment is (same order as EQUIPMENT); 0 is an even chance in an average car.
_RARITY = np.array([0.3, -1.2, -1.6, 1.4, 1.8, 1.6, 0.6, 1.2, -1.4, -1.3, 0.4, 0.7, 0.9, -0.6, 0.2, -0.9])

_CONDITIONS = ("Correct", "Bon", "Très bon", "Excellent")


def file_name(rows: int, seed: int) -> str:
    """The usual name of a sample file, which says that it is synthetic."""
    return f"synthetic_listings_{rows}_rows_seed_{seed}.csv"


def write_sample(path: str, rows: int, seed: int) -> None:
    """Write `generate(rows, seed)` to `path` as the scraper would: UTF-8, commas.

    Raises `UsageProblem` when the number of rows or the seed is out of range, or `path` can't be written.
    """
    text = to_csv(generate(rows, seed))
    try:
        with open(path, "w", encoding="utf-8", newline="") as file:
            file.write(text)
    except OSError as error:
        raise UsageProblem(
            f"A writable path was expected, found {path}: {error.strerror or error}."
        ) from error


def to_csv(table: pd.DataFrame) -> str:
    """A generated table as the text of a CSV file."""
    return table.to_csv(index=False, lineterminator="\n")


def generate(rows: int, seed: int) -> pd.DataFrame:
    """Synthetic listings: `rows` rows of str under `COLUMNS`. The same arguments give the same rows.

    `rows` includes the repeated ones. Different seeds give different listings.
    """
    if not 1 <= rows <= MOST_ROWS:
        raise UsageProblem(
            f"A number of rows from 1 to {thousands(MOST_ROWS)} was expected, found {thousands(rows)}."
        )
    if seed < 0:
        raise UsageProblem(f"A seed of 0 or more was expected, found {seed}.")
    random = np.random.default_rng(seed)
    repeated = round(rows * REPEATED_SHARE)
    distinct = _distinct(rows - repeated, seed, random)
    order = np.concatenate([np.arange(len(distinct)), random.integers(0, len(distinct), repeated)])
    random.shuffle(order)
    table = distinct.iloc[order].reset_index(drop=True)
    # a scraper's row numbers have gaps where it met ads that are no cars
    table.insert(0, "", pd.Series(np.cumsum(random.integers(1, 5, rows)) - 1).astype(str))
    return table


def _distinct(n: int, seed: int, random: np.random.Generator) -> pd.DataFrame:
    """`n` different listings under their headers, without the row number."""
    which = _draw(random, n, [m.frequency for m in _MODELS])

    def of_model(attribute: str) -> npt.NDArray[Any]:
        return np.array([getattr(m, attribute) for m in _MODELS])[which]

    price_new = of_model("price_new").astype(float)
    first, last = of_model("first_year"), of_model("last_year")
    year = np.clip(np.round(last + 1 - (last - first + 1) * random.beta(1.8, 2.2, n)), first, last)
    age = NOW - year
    diesel = random.random(n) < of_model("diesel")
    electrified = ~diesel & (year >= 2019) & (random.random(n) < 0.15)
    powers = of_model("power_cv")
    power = np.where(diesel, powers[:, 1], powers[:, 0])
    automatic = random.random(n) < np.clip(of_model("automatic") * (0.6 + 0.06 * (year - 2010)), 0, 0.99)
    mileage = age * np.where(diesel, 18_000, 13_500) * random.lognormal(-0.06, 0.35, n)
    mileage = np.clip(mileage, 500, 520_000)

    level = 1.3 * (np.log(price_new) - 12.3) + 0.16 * (year - 2013) + random.normal(0, 0.7, n)
    equipped = level[:, None] - _RARITY + random.normal(0, 1, (n, len(EQUIPMENT))) > 0
    equipped[random.random(n) < 0.22] = False  # sellers who tick nothing

    wear = mileage / 150_000 + age / 12
    condition = np.clip(np.round(3.4 - 0.75 * wear + random.normal(0, 0.55, n)), 0, 3).astype(int)
    first_owner = random.random(n) < 1 / (1 + np.exp(0.28 * (age - 6)))
    imported = random.random(n) < np.clip(0.12 + 0.25 * (price_new > 350_000), 0, 1)

    premium = {
        "Toyota": 0.1,
        "Mercedes-Benz": 0.1,
        "Volkswagen": 0.07,
        "Dacia": 0.06,
        "Audi": 0.05,
        "Fiat": -0.06,
    }
    log_price = (
        np.log(price_new)
        + np.array([premium.get(m.make, 0.0) for m in _MODELS])[which]
        - 0.1
        - 0.085 * age
        - 0.0000011 * (mileage - 15_500 * age)
        + 0.06 * automatic
        + 0.045 * diesel
        + 0.007 * equipped.sum(axis=1)
        + 0.05 * (condition - 2)
        + 0.03 * first_owner
        - 0.03 * imported
        + random.normal(0, 0.1, n)
    )
    price = np.maximum(np.round(np.exp(log_price) / 500) * 500, 12_000)
    price[random.random(n) < 0.3] += -100  # 84 900 rather than 85 000
    price = np.where(random.random(n) < TYPING_ERROR_SHARE, price * 10, price).astype(np.int64)

    # An odometer left at its first bracket, as careless sellers do, says nothing of the price.
    mileage[random.random(n) < 0.02] = 0
    place = _draw(random, n, [frequency for _, frequency, _ in _CITIES])
    corner = random.random(n)
    makes, models = of_model("make"), of_model("model")
    fields: dict[str, list[str]] = {
        "url": [
            f"https://www.example.invalid/fr/{_slug(_CITIES[c][0])}/voitures/"
            f"synthetic_{_slug(make)}_{_slug(model)}_{(seed + 1) * 10_000_000 + number}.htm"
            for number, (c, make, model) in enumerate(zip(place, makes, models, strict=True))
        ],
        "city": [_CITIES[c][0] for c in place],
        "district": [_district(_CITIES[c][2], x) for c, x in zip(place, corner, strict=True)],
        "make": list(makes),
        "model": list(models),
        "model_year": [str(int(y)) for y in year],
        "mileage": [bracket(km) for km in mileage],
        "fuel": list(np.where(diesel, "Diesel", np.where(electrified, "Hybride", "Essence"))),
        "fiscal_power_cv": [
            f"{p} CV" if dressed else str(p) for p, dressed in zip(power, random.random(n) < 0.1, strict=True)
        ],
        "gearbox": _some(np.where(automatic, "Automatique", "Manuelle"), 0.12, "--", random),
        "doors": _some(np.array([f"{doors}.0" for doors in of_model("doors")]), 0.2, "", random),
        "origin": _some(np.where(imported, "Dédouanée", "WW au Maroc"), 0.15, "", random),
        "first_owner": _some(np.where(first_owner, "Oui", "Non"), 0.25, "", random),
        "condition": _some(np.array(_CONDITIONS)[condition], 0.25, "", random),
        **{name: [str(bool(has)) for has in equipped[:, k]] for k, name in enumerate(EQUIPMENT)},
        "price_mad": [str(p) for p in price],
    }
    for row in np.flatnonzero(random.random(n) < UNUSABLE_SHARE):
        field, word = [("price_mad", "N/A"), ("price_mad", ""), ("mileage", "--"), ("model", "--")][row % 4]
        fields[field][row] = word
    return pd.DataFrame({HEADERS[name][0]: pd.array(fields[name], dtype="str") for name in _FIELDS})


def bracket(kilometres: float) -> str:
    """The bracket of a mileage as the site offers it: `95 000 - 99 999`."""
    if kilometres >= 500_000:
        return "Plus de 500 000"
    step = 5_000 if kilometres < 100_000 else 10_000 if kilometres < 200_000 else 50_000
    low = int(kilometres // step * step)
    return f"{low:,} - {low + step - 1:,}".replace(",", " ")


def _draw(random: np.random.Generator, n: int, frequencies: list[float]) -> npt.NDArray[np.int64]:
    shares = np.array(frequencies)
    return random.choice(len(shares), size=n, p=shares / shares.sum())


def _some(values: npt.NDArray[Any], share: float, unknown: str, random: np.random.Generator) -> list[str]:
    """`values`, a share of them replaced by the word for unknown."""
    return [str(v) for v in np.where(random.random(len(values)) < share, unknown, values)]


def _district(districts: tuple[str, ...], place: float) -> str:
    """One of a city's districts, or none, by a number from 0 to 1."""
    if place < 0.4 or not districts:
        return ""
    if place < 0.5:
        return "Toute la ville"
    return districts[int((place - 0.5) * 2 * len(districts))]


def _slug(text: str) -> str:
    return ascii_words(text).replace(" ", "_")
