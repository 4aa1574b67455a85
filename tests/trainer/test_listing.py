"""Headers, values and rows as scrapers write them, and what is made of them."""

from __future__ import annotations

import contextlib
import datetime
import math
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carprice.errors import DataRefused
from carprice.listings import columns, header_names, headers, identity, schema, tables, values

Reader = Callable[[str], object]

GOOD = {
    "Marque": "Dacia",
    "Modèle": "Logan",
    "Année-Modèle": "2015",
    "Kilométrage": "90 000 - 94 999",
    "Type de carburant": "Diesel",
    "Prix": "85000",
}


def rows(*changes: dict[str, str]) -> pd.DataFrame:
    """Raw rows, each the good one with changes."""
    return pd.DataFrame([{**GOOD, **change} for change in changes]).fillna("").astype("str")


def problem_of(**change: str) -> object:
    return tables.parse(rows(change), require_price=True).problems.iloc[0]


@pytest.mark.parametrize(
    "text",
    [
        "60000",
        "60 000",
        "60\N{NO-BREAK SPACE}000",
        "60\N{NARROW NO-BREAK SPACE}000",
        "60,000 DH",
        "60.000 Dhs",
        "60000.0",
        "60 000,00 MAD",
        "DH 60.000",
        "60'000",
        "60000DH",
        " 60 000 dirhams ",
        "6e4",
        "6.0E+04",
        "60.000,00",
        "60,000.00",
    ],
)
def test_a_price_is_read_in_every_way_people_write_it(text: str) -> None:
    assert values.parse_price(text) == 60_000


@pytest.mark.parametrize(
    "text",
    ["abc", "60 0000", "6.00.000", "12 000 €", "60000 - 70000", "1" * 20, "inf", "e5", "12.5", "750,50 DH"],
)
def test_what_is_no_amount_is_not_guessed(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the readers' only signal)
        values.parse_price(text)


@pytest.mark.parametrize(
    "text",
    [
        "70 000 DH 60 000 DH",
        "60 000 DH au lieu de 70 000 DH",
        "Ancien prix 70 000 DH nouveau prix 60 000 DH",
        "<del>70 000 DH</del> <ins>60 000 DH</ins>",
        "Prix en baisse 70 000 DH 60 000 DH",
        "Prix à la baisse 70 000 DH 60 000 DH",
        "70 000 DH → 60 000 DH",
        "prix de 70 000 DH à 60 000 DH",
        "était 70 000 DH maintenant 60 000 DH",
        "70 000 DH réduit à 60 000 DH",
        "70 000 DH prix barré 60 000 DH",
        "السعر القديم 70 000 درهم السعر الجديد 60 000 درهم",
    ],
)
def test_of_an_old_and_a_new_price_the_new_one_counts(text: str) -> None:
    assert values.parse_price(text) == 60_000


@pytest.mark.parametrize(
    "text",
    [
        "60 000 DH dont 36 000 DH de crédit restant",
        "70 000 DH, cote argus 63 000 DH",
        "70 000 DH, reprise 40 000 DH",
        "70 000 DH ou 60 000 DH",
        "90 000 DH TTC 75 000 DH HT",
        "60 000 DH estimation 55 000 DH",
        "90 000 DH HT",
    ],
)
def test_an_amount_beside_the_price_is_no_new_price_and_one_without_tax_no_price(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (the readers' only signal)
        values.parse_price(text)


@settings(deadline=None)  # the first text that is not ASCII loads the library that repairs it
@given(
    st.integers(1, 999_999_999),
    st.sampled_from(["", " ", "\N{NO-BREAK SPACE}", "\N{NARROW NO-BREAK SPACE}", ",", ".", "'"]),
    st.sampled_from(["", " DH", " Dhs", "DH", " mad", " MAD "]),
)
def test_any_grouping_and_currency_word_gives_the_same_price(price: int, group: str, unit: str) -> None:
    assert values.parse_price(f"{price:,}".replace(",", group) + unit) == price


@pytest.mark.parametrize(
    ("text", "bounds"),
    [
        ("200 000 - 249 999", (200_000, 249_999)),
        ("0 - 4 999", (0, 4_999)),
        ("200 000 – 249 999 km", (200_000, 249_999)),
        ("200000-249999", (200_000, 249_999)),
        ("200.000 à 249.999 Km", (200_000, 249_999)),
        ("173.000 km", (173_000, 173_000)),
        ("173000", (173_000, 173_000)),
        ("173000KM", (173_000, 173_000)),
        ("173000.0", (173_000, 173_000)),
        ("Moins de 5 000", (0, 5_000)),
    ],
)
def test_a_mileage_is_a_bracket_or_an_exact_value(text: str, bounds: tuple[float, float]) -> None:
    assert values.parse_mileage(text) == bounds


@pytest.mark.parametrize("text", ["Plus de 500 000", "500 000+", "> 500000 km"])
def test_an_open_mileage_bracket_has_no_largest_value(text: str) -> None:
    low, high = values.parse_mileage(text) or (0.0, 0.0)
    assert low == 500_000
    assert math.isnan(high)


@pytest.mark.parametrize("text", ["many", "249 999 - 200 000", "1 - 2 - 3", "-", "10 000 -"])
def test_a_mileage_that_makes_no_sense_is_unknown_or_not_readable(text: str) -> None:
    if values.is_unknown(text):
        assert values.parse_mileage(text) is None
    else:
        with pytest.raises(ValueError):  # noqa: PT011
            values.parse_mileage(text)


@pytest.mark.parametrize(
    ("reader", "text", "value"),
    [
        (values.parse_power, "6 CV", 6),
        (values.parse_power, "6", 6),
        (values.parse_power, "6.0", 6),
        (values.parse_power, "6cv", 6),
        (values.parse_power, "Plus de 41 CV", 41),
        (values.parse_doors, "5.0", 5),
        (values.parse_doors, "5 portes", 5),
        (values.parse_year, "2015", 2015),
        (values.parse_year, "2015.0", 2015),
        (values.parse_year, "1980 ou plus ancien", 1980),
        (values.parse_flag, "Oui", 1),
        (values.parse_flag, "TRUE", 1),
        (values.parse_flag, "1.0", 1),
        (values.parse_flag, "non", 0),
        (values.parse_flag, "False", 0),
        (values.parse_text, "  Très   bon ", "Très bon"),
        (values.parse_text, "Tre\N{COMBINING GRAVE ACCENT}s bon", "Très bon"),
    ],
)
def test_values_of_other_columns_are_read(reader: Reader, text: str, value: object) -> None:
    assert reader(text) == value


@pytest.mark.parametrize("word", ["", " ", "--", "-", "—", "N/A", "n/a", "nan", "NULL", "?", "Non spécifié"])
@pytest.mark.parametrize(
    "reader",
    [values.parse_price, values.parse_mileage, values.parse_power, values.parse_doors, values.parse_year,
     values.parse_flag, values.parse_text, values.parse_time],
)  # fmt: skip
def test_every_word_for_unknown_is_unknown_in_every_column(reader: Reader, word: str) -> None:
    assert reader(word) is None


@pytest.mark.parametrize(
    "text", ["2023-12-31", "2023-12-31T00:00:00Z", "31/12/2023", "31/12/2023 00:00", "2023-12-31 01:00+01:00"]
)
def test_a_date_is_read_as_a_moment_in_utc(text: str) -> None:
    assert values.parse_time(text) == datetime.datetime(2023, 12, 31, tzinfo=datetime.UTC)


# the first text that is not ASCII loads ftfy
@settings(deadline=None)
@given(st.text(max_size=40))
def test_no_text_at_all_makes_a_reader_fail_otherwise_than_by_saying_so(text: str) -> None:
    for name in headers.HEADERS:
        if name != "source_sha256":
            with contextlib.suppress(ValueError):
                values.reader_of(name).read(text)


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Année-Modèle", "model_year"),
        ("ANNEE MODELE", "model_year"),
        (" annee_modele ", "model_year"),
        ("année modèle", "model_year"),
        ("Etat", "condition"),
        ("Prix (DH)", "price_mad"),
        ("PRIX", "price_mad"),
        ("price_mad", "price_mad"),
        ("Price", "price_mad"),
        ("Kilométrage (km)", "mileage"),
        ("mileage_km_max", "mileage_km_max"),
        ("Système de navigation/GPS", "gps"),
        ("Puissance fiscale CV", "fiscal_power_cv"),
        ("couleur", None),
        ("", None),
        ("Unnamed: 0", None),
    ],
)
def test_a_header_is_known_in_any_case_with_or_without_accents(header: str, field: str | None) -> None:
    assert header_names.field_of(header) == field


def test_no_header_stands_for_two_columns() -> None:
    for field_name, names in headers.HEADERS.items():
        assert {header_names.field_of(name) for name in names} == {field_name}


def test_every_canonical_column_can_be_read_from_a_file_under_its_own_name() -> None:
    for name in schema.COLUMNS:
        assert header_names.field_of(name) == name


def test_sixteen_pieces_of_equipment_and_no_answer_are_among_the_features() -> None:
    assert len(schema.EQUIPMENT) == 16
    # what tells the ad or the price, and the trim, which the model does not learn
    leaks = {"listing_id", "url", "trim", "price_mad", "scraped_at", "source_sha256"}
    assert not leaks & set(schema.FEATURES)
    assert set(schema.FEATURES) | leaks == set(schema.COLUMNS)
    kinds = (*schema.TEXT_FEATURES, *schema.NUMBER_FEATURES, *schema.FLAG_FEATURES)
    assert sorted(kinds) == sorted(schema.FEATURES)


def test_a_good_row_becomes_a_listing_of_the_canonical_types() -> None:
    table = tables.parse(rows({}), require_price=True).listings
    assert list(table.columns) == list(schema.COLUMNS)
    assert table.loc[0, "make"] == "Dacia"
    assert table.loc[0, "mileage_km_max"] == 94_999
    assert table.loc[0, "gearbox"] is None
    assert math.isnan(table["sunroof"].iloc[0])
    schema.listing_schema().validate(table, lazy=True)


def test_the_canonical_types_survive_parquet(tmp_path: Path) -> None:
    table = tables.parse(rows({}, {"Marque": "Kia"}), require_price=True).listings
    table.to_parquet(tmp_path / "listings.parquet", index=False)
    again = tables.as_canonical(pd.read_parquet(tmp_path / "listings.parquet"))
    pd.testing.assert_frame_equal(again, table)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"Prix": ""}, "Prix: no asking price"),
        ({"Prix": "--"}, "Prix: no asking price"),
        ({"Prix": "cheap"}, "Prix: not an amount in dirhams such as 60000 or '60 000 DH'"),
        ({"Prix": "-50 000"}, "Prix: must be more than 0 dirhams"),
        ({"Prix": "0"}, "Prix: less than 1000 MAD, which no car costs: no asking price"),
        ({"Prix": "-1"}, "Prix: less than 1000 MAD, which no car costs: no asking price"),
        ({"Prix": "-5"}, "Prix: must be more than 0 dirhams"),
        ({"Marque": " "}, "Marque: empty or unknown"),
        ({"Année-Modèle": "1850"}, "Année-Modèle: must be from 1950 to "),
        ({"Modèle": "x" * 500}, "Modèle: longer than 200 characters"),
    ],
)
def test_a_row_that_can_not_be_used_says_why_in_the_file_s_own_words(
    change: dict[str, str], problem: str
) -> None:
    assert str(problem_of(**change)).startswith(problem)


def test_a_row_with_two_problems_names_both() -> None:
    problem = str(problem_of(Prix="cheap", Marque=""))
    assert "Prix: not an amount" in problem
    assert "Marque: empty or unknown" in problem


@pytest.mark.parametrize(
    ("change", "code", "canonical"),
    [
        ({"Kilométrage": "x"}, "not_a_mileage", "mileage_km_min"),
        ({"Kilométrage": "9 000 000"}, "out_of_range", "mileage_km_min"),
        ({"Nombre de portes": "12"}, "out_of_range", "doors"),
        ({"Première main": "peut-être"}, "not_a_yes_or_no", "first_owner"),
        ({"Ville": "x" * 500}, "too_long", "city"),
        ({"scraped_at": "soon"}, "not_a_date", "scraped_at"),
    ],
)
def test_a_value_of_an_optional_column_that_can_not_be_read_is_unknown_and_counted(
    change: dict[str, str], code: str, canonical: str
) -> None:
    parsed = tables.parse(rows(change, {}), require_price=True)
    assert parsed.fates.tolist() == ["accepted", "accepted"]
    assert pd.isna(parsed.listings[canonical].iloc[0])
    ((column, value),) = change.items()
    (unread,) = parsed.unreadable
    assert (unread.problem.column, unread.problem.code, unread.rows) == (column, code, 1)
    assert unread.examples == (value if len(value) <= 40 else value[:39] + "…",)


@pytest.mark.parametrize("change", [{"Kilométrage": ""}, {"Type de carburant": "--"}, {"Kilométrage": "x"}])
def test_a_listing_without_mileage_or_fuel_is_partial(change: dict[str, str]) -> None:
    assert tables.parse(rows(change, {}), require_price=True).partial.tolist() == [True, False]


def test_a_file_needs_no_column_of_mileage_or_fuel() -> None:
    parsed = tables.parse(rows({}).drop(columns=["Kilométrage", "Type de carburant"]), require_price=True)
    assert parsed.partial.tolist() == [True]


def test_a_row_that_asks_no_price_is_no_fault() -> None:
    parsed = tables.parse(rows({"Prix": "--"}, {}, {"Prix": "?", "Marque": ""}, {"Prix": "cheap"}), True)
    assert parsed.fates.tolist() == ["unpriced", "accepted", "unpriced", "quarantined"]
    assert {problem.sentence(): rows for problem, rows in parsed.aside.items()} == {
        "Prix: no asking price": 2
    }
    assert list(parsed.reasons.values()) == [1]


def test_an_amount_that_no_car_costs_is_no_asking_price() -> None:
    parsed = tables.parse(rows({"Prix": "1 DH"}, {"Prix": "185"}, {"Prix": "999"}, {"Prix": "1000"}), True)
    assert parsed.fates.tolist() == ["unpriced", "unpriced", "unpriced", "accepted"]
    assert {problem.sentence(): rows for problem, rows in parsed.aside.items()} == {
        "Prix: less than 1000 MAD, which no car costs: no asking price": 3
    }


@pytest.mark.parametrize("price", ["612037205", "730000", "1000"])
def test_a_price_that_looks_like_a_typing_error_is_accepted(price: str) -> None:
    assert problem_of(Prix=price) is None


def test_next_year_s_model_is_plausible_and_the_one_after_is_not() -> None:
    today = datetime.date(2023, 5, 1)
    table = tables.parse(rows({"Année-Modèle": "2024"}), require_price=True).listings
    schema.listing_schema(today=today).validate(table)
    table["model_year"] = 2025.0
    with pytest.raises(Exception, match="must be from 1950 to 2024"):
        schema.listing_schema(today=today).validate(table)


def test_prediction_needs_no_price_and_does_not_mind_a_bad_one() -> None:
    without = rows({}, {"Marque": "--"}).drop(columns="Prix")
    parsed = tables.parse(without, require_price=False)
    assert parsed.problems.tolist() == [None, "Marque: empty or unknown"]
    assert tables.parse(rows({"Prix": "cheap"}), require_price=False).problems.tolist() == [None]


def test_rows_keep_their_order_and_index() -> None:
    raw = rows({"Modèle": "A"}, {"Modèle": "B"}, {"Modèle": "C"}).set_axis([7, 3, 5])
    parsed = tables.parse(raw, require_price=True)
    assert parsed.listings["model"].to_dict() == {7: "A", 3: "B", 5: "C"}
    assert list(parsed.problems.index) == [7, 3, 5]


def test_a_missing_required_column_is_named_with_what_was_found_and_what_comes_close() -> None:
    raw = rows({"Marque": "Rouge"}).rename(columns={"Prix": "Prx", "Marque": "Couleur"})
    with pytest.raises(DataRefused) as refused:
        tables.parse(raw, require_price=True)
    sentence = str(refused.value)
    assert "the required columns 'Marque', 'Prix' are missing" in sentence
    assert "'Couleur'" in sentence
    assert "'Prx' looks like 'Prix'" in sentence


def test_the_first_of_two_columns_for_one_thing_counts_and_the_other_is_reported() -> None:
    raw = rows({"Price": "1"})
    found = columns.recognise(raw)
    assert found.of("second") == found.unused == ["Price"]
    (use,) = [use for use in found.uses if use.column == "Price"]
    assert (use.code, use.params["used"], use.params["differing"]) == ("second_differs", "Prix", 1.0)
    assert tables.parse(raw, require_price=True).listings.loc[0, "price_mad"] == 85_000


def test_our_own_canonical_columns_are_a_raw_layout_too() -> None:
    table = tables.parse(rows({}, {"Modèle": "Duster"}), require_price=True).listings
    raw = table.astype(object).where(table.notna(), "").astype("str")
    again = tables.parse(raw, require_price=True)
    assert again.problems.isna().all()
    pd.testing.assert_frame_equal(again.listings, table)


def test_the_id_of_an_ad_is_the_number_in_its_link_whatever_its_title_becomes() -> None:
    first = identity.listing_id_of_url("https://www.avito.ma/fr/rabat/voitures/Audi_A3_2018_49097845.htm")
    edited = identity.listing_id_of_url("https://avito.ma/fr/rabat/voitures/belle_Audi_49097845.htm?x=1")
    assert first == edited == "avito.ma-49097845"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("https://x.ma/annonce.php?id=700100", "https://x.ma/annonce.php?id=700101", False),
        ("https://x.ma/annonce.php?id=700100&page=2", "https://x.ma/annonce.php?page=3&id=700100", True),
        ("/fr/detail?ad=700100", "/fr/detail?ad=700101", False),
        ("https://x.ma/clio-casablanca-20000", "https://x.ma/logan-casablanca-20000", False),
        ("https://x.ma/2023/01/05/clio", "https://x.ma/2023/01/05/logan", False),
        ("https://www.x.ma/clio?utm_source=a", "https://x.ma/clio?utm_source=b&fbclid=1", True),
        ("https://x.ma/clio?color=red", "https://x.ma/clio?color=blue", False),
        (
            "https://www.moteur.ma/fr/voiture/achat-voiture-occasion/detail-annonce/1234/clio.html",
            "https://moteur.ma/fr/voiture/detail-annonce/1234/belle-clio-20000.html",
            True,
        ),
        ("https://www.avito.ma/fr/rabat/a_49097845.htm", "https://www.avito.ma/vi/49097845.htm", True),
    ],
)
def test_links_of_one_ad_have_one_id_and_links_of_two_ads_have_two(one: str, other: str, same: bool) -> None:
    assert (identity.listing_id_of_url(one) == identity.listing_id_of_url(other)) == same


@pytest.mark.parametrize("text", ["Lien non disponible", "indisponible", "voir plus"])
def test_a_text_that_is_no_link_tells_no_ad(text: str) -> None:
    assert identity.listing_id_of_url(text) is None
    parsed = tables.parse(rows({"Lien": text}, {"Lien": text, "Modèle": "Duster"}), require_price=True)
    assert parsed.good.all()
    assert parsed.listings["listing_id"].nunique() == 2
    assert [(found.problem.code, found.rows) for found in parsed.unreadable] == [("not_a_link", 2)]


def test_an_id_in_scientific_notation_tells_no_ad() -> None:
    given = rows({"Ad ID": "4,91E+07"}, {"Ad ID": "4,91E+07", "Modèle": "Duster"}, {"Ad ID": "49097845.0"})
    parsed = tables.parse(given, require_price=True)
    assert parsed.listings["listing_id"][0] != parsed.listings["listing_id"][1]
    assert parsed.listings["listing_id"][2] == "49097845"
    assert [(found.problem.code, found.rows) for found in parsed.unreadable] == [("rounded_number", 2)]


def test_the_number_of_the_site_counts_more_than_an_id_of_the_file() -> None:
    given = rows({"Ad ID": "7", "Lien": "https://www.avito.ma/vi/49097845.htm"}, {"Ad ID": "7"})
    assert tables.parse(given, require_price=True).listings["listing_id"].tolist() == [
        "avito.ma-49097845",
        "7",
    ]


def test_without_a_mileage_the_price_tells_cars_apart() -> None:
    given = rows({"Kilométrage": ""}, {"Kilométrage": "", "Prix": "90000"})
    assert tables.parse(given, require_price=True).listings["listing_id"].nunique() == 2


def test_without_a_link_the_same_car_has_the_same_id_at_any_price() -> None:
    ids = tables.parse(
        rows({}, {"Prix": "90000"}, {"Marque": "DACIA "}, {"Année-Modèle": "2016"}), require_price=True
    ).listings["listing_id"]
    assert ids[0] == ids[1] == ids[2]
    assert ids[3] != ids[0]


@given(
    st.lists(
        st.sampled_from(
            [
                "www.",
                "m.",
                "/",
                "é",
                "?x=1",
                "#a",
                "://",
                ":80",
                "@",
                "A",
                " ",
                "\t",
                "_12345",
                "\x1f",
            ]
        ),
        max_size=8,
    )
)
def test_the_id_of_an_ordinary_link_is_that_of_the_same_link_in_capitals(parts: list[str]) -> None:
    link = "https://avito.ma" + "".join(parts)
    capitals = "HTTPS" + link.removeprefix("https")  # not an ordinary link
    assert identity.listing_id_of_url(link) == identity.listing_id_of_url(capitals)
