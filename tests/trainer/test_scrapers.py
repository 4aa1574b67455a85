"""What other people's scrapers write into cells and columns is read, or refused with the reason."""

from __future__ import annotations

import pandas as pd
import pytest

from carprice.listings import columns, tables, values

CARS = [
    {"make": "Dacia", "model": "Logan", "year": 2015, "km": 120_000, "fuel": "Diesel", "price": 80_000},
    {"make": "Renault", "model": "Clio", "year": 2018, "km": 65_000, "fuel": "Essence", "price": 120_000},
    {"make": "Peugeot", "model": "2008", "year": 2019, "km": 90_000, "fuel": "Diesel", "price": 150_000},
    {"make": "Fiat", "model": "Punto", "year": 2012, "km": 150_000, "fuel": "Diesel", "price": 70_000},
]
ROWS = 24


def table(**templates: str) -> pd.DataFrame:
    """Twenty-four rows of four cars; each column is a template of what is known of them."""
    return pd.DataFrame(
        {
            header: [text.format(n=n, **CARS[n % 4]) for n in range(ROWS)]
            for header, text in templates.items()
        },
        dtype=str,
    )


def usual(**templates: str) -> pd.DataFrame:
    return table(
        **{"Marque": "{make}", "Modèle": "{model}", "Année": "{year}", "Km": "{km}", "Prix": "{price}"}
        | templates
    )


def read(raw: pd.DataFrame, without: tuple[str, ...] = ()) -> pd.DataFrame:
    """The rows, all accepted and with the values of their cars, except for the columns of `without`."""
    parsed = tables.parse(raw, require_price=True)
    assert parsed.good.all(), parsed.reasons
    names = {
        "make": "make",
        "model": "model",
        "year": "model_year",
        "km": "mileage_km_min",
        "price": "price_mad",
    }
    for key, name in names.items():
        if key not in without:
            assert parsed.listings[name].tolist() == [CARS[n % 4][key] for n in range(ROWS)], name
    return parsed.listings


def taken_for(raw: pd.DataFrame) -> dict[str, str]:
    return {use.column: use.taken_for for use in columns.recognise(raw).uses}


@pytest.mark.parametrize(
    "wrapped",
    ["<b class='x'>{}</b>", "<td>{}<br/></td>", "['{}']", '["{}"]', '"{}"', "&lt;span&gt;{}&lt;/span&gt;"],
)
def test_tags_and_quotation_marks_around_a_cell_are_no_part_of_it(wrapped: str) -> None:
    cells = {
        "Marque": "{make}",
        "Modèle": "{model}",
        "Année": "{year}",
        "Km": "{km} km",
        "Prix": "{price} DH",
    }
    read(table(**{header: wrapped.replace("{}", cell) for header, cell in cells.items()}))


def test_null_signs_in_angle_brackets_stay_unknown() -> None:
    assert values.parse_text("<NA>") is None
    assert values.parse_text("<none>") is None


def test_a_cell_may_repeat_the_name_of_its_column() -> None:
    listings = read(
        table(
            Marque="Marque : {make}",
            Modèle="Modèle: {model}",
            Année="Année-Modèle {year}",
            Kilométrage="Kilométrage {km}",
            Carburant="Type de carburant : {fuel}",
            Prix="Prix: {price} DH",
        )
    )
    assert set(listings["fuel"]) == {"Diesel", "Essence"}


@pytest.mark.parametrize(
    "text", ["Mod. 2015", "M2015", "2015 (MEC)", "fin 2015", "modèle 2015", "Année : 2015"]
)
def test_words_around_a_model_year_are_left_out(text: str) -> None:
    assert values.reader_of("model_year").read(text) == 2015


@pytest.mark.parametrize(("text", "code"), [("2015/2016", "two_years"), ("15 ans", "")])
def test_what_is_no_single_year_is_not_guessed(text: str, code: str) -> None:
    with pytest.raises(ValueError, match=rf"^{code}$"):
        values.reader_of("model_year").read(text)


@pytest.mark.parametrize("text", ["KM: 121000", "121 000 km (réel)", "kilométrage 121000 km", "121000 Km/h"])
def test_words_around_a_mileage_are_left_out(text: str) -> None:
    assert values.reader_of("mileage").read(text) == (121_000, 121_000)


@pytest.mark.parametrize("text", ["0661123456", "06 61 12 34 56", "+212661123456"])
def test_the_number_of_a_telephone_is_no_price(text: str) -> None:
    with pytest.raises(ValueError, match=r"^$"):
        values.parse_price(text)


def test_a_price_beside_a_telephone_is_read() -> None:
    assert values.parse_price("85 000 DH tel 0661123456") == 85_000


def test_a_column_of_currencies_refuses_the_prices_that_are_not_in_dirhams() -> None:
    raw = usual(Devise="MAD")
    read(raw)
    raw.loc[3, "Devise"] = "EUR"
    parsed = tables.parse(raw, require_price=True)
    assert (~parsed.good).tolist() == [n == 3 for n in range(ROWS)]
    assert parsed.row_problems[3][0].code == "other_currency"


def test_a_column_of_units_makes_miles_unknown() -> None:
    raw = usual(unit="km")
    raw.loc[3, "unit"] = "mi"
    parsed = tables.parse(raw, require_price=True)
    assert parsed.good.all()
    assert parsed.listings["mileage_km_min"].isna().tolist() == [n == 3 for n in range(ROWS)]
    assert [(found.problem.code, found.rows) for found in parsed.unreadable] == [("other_distance", 1)]


@pytest.mark.parametrize("published", ["2023-03-{n:02d} 14:45", "{n:02d}/03/2023 à 14:45", "2023-03-{n:02d}"])
def test_days_of_publication_are_no_model_years(published: str) -> None:
    raw = usual(Année=published, Titre="{make} {model} {year}").iloc[1:]
    assert taken_for(raw)["Année"] == "scraped_at"
    listings = tables.parse(raw, require_price=True).listings
    assert listings["model_year"].tolist() == [CARS[n % 4]["year"] for n in range(1, ROWS)]


def test_days_of_registration_are_model_years() -> None:
    raw = usual().rename(columns={"Année": "Date d'immatriculation"})
    raw["Date d'immatriculation"] = [f"{n + 1:02d}/03/{CARS[n % 4]['year']}" for n in range(ROWS)]
    read(raw)


def test_a_date_that_is_a_year_is_the_model_year() -> None:
    read(usual().rename(columns={"Année": "Date"}))


def test_a_consumption_under_the_header_of_the_mileage_is_not_used() -> None:
    raw = usual().rename(columns={"Km": "kilometers_driven"})
    raw.insert(0, "mileage", [f"{12 + n % 9}.{n % 9 + 1}" for n in range(ROWS)])
    read(raw)
    del raw["kilometers_driven"]
    assert read(raw, without=("km",))["mileage_km_min"].isna().all()


def test_motorbikes_and_trucks_between_cars_are_set_aside() -> None:
    raw = usual()
    raw.loc[2, ["Marque", "Modèle"]] = ["Honda", "CBR 600"]
    raw.loc[5, ["Marque", "Modèle"]] = ["Yamaha", "MT 07"]
    raw.loc[6, ["Marque", "Modèle"]] = ["Mercedes-Benz", "Actros 1845"]
    raw.loc[7, ["Marque", "Modèle"]] = ["Volvo", "FH 500"]
    raw.loc[8, ["Marque", "Modèle"]] = ["Mercedes-Benz", "Sprinter"]
    fates = tables.parse(raw, require_price=True).fates
    assert [n for n in range(ROWS) if fates[n] == "not_used_car"] == [2, 5, 6, 7]


def test_points_between_the_thousands_of_mileages_are_no_thousands_of_kilometres() -> None:
    raw = usual()
    raw["Km"] = [f"{CARS[n % 4]['km'] // 1000}.{n:03d}" for n in range(ROWS)]
    found = read(raw, without=("km",))["mileage_km_min"]
    assert found.tolist() == [CARS[n % 4]["km"] + n for n in range(ROWS)]


def test_a_column_without_a_name_is_what_its_cells_say_before_their_values() -> None:
    read(
        table(
            c1="Marque : {make}",
            c2="Modèle : {model}",
            c3="Année : {year}",
            c4="Km : {km}",
            c5="Prix : {price} DH",
        )
    )


def test_an_amount_behind_the_name_of_another_currency_is_no_price_in_dirhams() -> None:
    with pytest.raises(ValueError, match="other_currency"):
        values.reader_of("price_mad").read("Prix (€) : 8000")
