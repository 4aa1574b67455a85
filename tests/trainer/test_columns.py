"""What each column of a file is taken for, by its header and by its values, and why."""

from __future__ import annotations

import pandas as pd
import pytest

from carprice.errors import DataRefused
from carprice.listings import columns, tables
from carprice.listings.cards import card_of
from carprice.listings.schema import newest_year

CARS = [
    ("Dacia", "Logan", "2015", "120 000 km", "Diesel", "6 CV", "Manuelle", "80 000 DH"),
    ("Renault", "Clio", "2018", "65 000 km", "Essence", "8 CV", "Automatique", "120 000 DH"),
    ("Peugeot", "2008", "2019", "90 000 km", "Diesel", "7 CV", "Manuelle", "150 000 DH"),
    ("Fiat", "Punto", "2012", "150 000 km", "Diesel", "5 CV", "Manuelle", "70 000 DH"),
]
USUAL = ["Marque", "Modèle", "Année-Modèle", "Kilométrage", "Type de carburant", "Puissance fiscale"]
USUAL += ["Boite de vitesses", "Prix"]


def table(headers: list[str] = USUAL, **more: list[str]) -> pd.DataFrame:
    """Twenty cars under these headers, and columns of four values that repeat."""
    raw = pd.DataFrame([CARS[n % 4] for n in range(20)], columns=headers, dtype=str)
    for header, values in more.items():
        raw[header] = [values[n % len(values)] for n in range(20)]
    return raw


def taken_for(raw: pd.DataFrame) -> dict[str, str]:
    return {use.column: use.taken_for for use in columns.recognise(raw).uses}


def use_of(raw: pd.DataFrame, column: str) -> columns.ColumnUse:
    (use,) = [use for use in columns.recognise(raw).uses if use.column == column]
    return use


def read(raw: pd.DataFrame) -> pd.DataFrame:
    parsed = tables.parse(raw, require_price=True)
    assert parsed.good.all(), parsed.reasons
    return parsed.listings


@pytest.mark.parametrize(
    "headers",
    [
        "marque_element,modele_element,annee_modele_element,KM_Driven,moteur,CVs,boite_vitesse,prix-dh",
        "Brand,Model,Year,Mileage (km),Fuel Type,Fiscal power,Gearbox,Price (MAD)",
        "الماركة,الموديل,سنة الصنع,الكيلومتراج,الوقود,القوة الجبائية,علبة السرعات,الثمن",
        "make,Modèle,AnneeModele Icon,km,Carburant Icon,Puissance Icon,BoiteAVitesse Icon,prix en (DHS)",
        "col1,Modèle,x3,x4,x5,x6,x7,x8",
    ],
)
def test_the_same_cars_are_read_under_other_headers(headers: str) -> None:
    given, usual = read(table(headers.split(","))), read(table())
    pd.testing.assert_frame_equal(given.drop(columns="listing_id"), usual.drop(columns="listing_id"))


def test_a_column_of_models_that_holds_years_is_the_model_year_and_names_are_make_and_model() -> None:
    raw = pd.DataFrame(
        [(f"{car[0].upper()} {car[1]}", car[2], *car[3:]) for car in CARS * 5],
        columns=["Nom", "Modèle", *USUAL[3:]],
    )
    assert taken_for(raw)["Nom"] == "make_and_model"
    assert taken_for(raw)["Modèle"] == "model_year"
    assert use_of(raw, "Modèle").reason() == "its header says model, but 100% of its values are this"
    assert read(raw)[["make", "model", "model_year"]].head(4).to_numpy().tolist() == [
        [car[0], car[1], float(car[2])] for car in CARS
    ]


def test_a_model_that_looks_like_a_year_stays_a_model_where_another_column_is_the_year() -> None:
    raw = table()
    raw["Modèle"], raw["Marque"] = "2008", "Peugeot"
    assert read(raw)["model"].unique().tolist() == ["2008"]


@pytest.mark.parametrize(
    ("extra", "values", "code", "header"),
    [
        ("Puissance (ch)", ["110", "90", "75", "130"], "not_known", "Puissance fiscale"),
        ("Prix neuf", ["200 000 DH", "210 000 DH"], "not_known", "Prix"),
        ("Transmission", ["Traction", "Propulsion", "4x4"], "driven_wheels", "Boite de vitesses"),
        ("Année", ["1999", "2001"], "second_differs", "Année-Modèle"),
        ("Date de mise en ligne", ["2020", "2021"], "not_known", "Année-Modèle"),
        ("Mensualité", ["2 000 DH", "3 000 DH"], "not_known", "Prix"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_column_beside_the_right_one_changes_nothing(
    extra: str, values: list[str], code: str, header: str, first: bool
) -> None:
    raw = table(**{extra: values})
    if first:
        raw = raw[[extra, *USUAL]]
    use = use_of(raw, extra)
    assert (use.role in ("second", "unknown"), use.code) == (True, code)
    assert use.reason().startswith("not used")
    assert columns.recognise(raw).columns[columns.name_of(header).field or ""] == header
    pd.testing.assert_frame_equal(read(raw), read(table()))


def test_of_two_prices_one_is_used_and_their_difference_is_told() -> None:
    raw = table(**{"Prix de vente": ["100 000", "150 000", "187 500", "87 500"]})
    use = use_of(raw, "Prix de vente")
    assert (use.role, use.code, use.params["factor"]) == ("second", "second_differs", 1.25)
    assert read(raw)["price_mad"].head(4).tolist() == [80_000, 120_000, 150_000, 70_000]


def test_values_of_a_card_go_each_to_its_field() -> None:
    raw = table().drop(columns=["Type de carburant", "Puissance fiscale", "Boite de vitesses"])
    raw["Fuel Type"] = ["9 CV", "Diesel", "Manuelle", "Essence", "8 CV"] * 4
    assert taken_for(raw)["Fuel Type"] == "mixed"
    listings = read(raw)
    assert listings["fiscal_power_cv"].head(5).fillna(0).tolist() == [9, 0, 0, 0, 8]
    assert listings["fuel"].head(5).tolist() == [None, "Diesel", None, "Essence", None]
    assert listings["gearbox"].head(5).tolist() == [None, None, "Manuelle", None, None]


@pytest.mark.parametrize(
    "lists",
    [
        ["['ABS', 'Airbags']", "['Climatisation']"],
        ['["ABS", "Airbags"]', '["Climatisation"]'],
        ["ABS, Airbags, Caméra de recul", "Climatisation, ESP"],
    ],
)
def test_a_list_of_equipment_fills_the_flags(lists: list[str]) -> None:
    raw = table(Equipements=lists)
    assert taken_for(raw)["Equipements"] == "equipment"
    listings = read(raw)
    assert listings["abs"].head(2).tolist() == [1, 0]
    assert listings["air_conditioning"].head(2).tolist() == [0, 1]


def test_a_category_in_front_of_the_city_tells_what_is_no_used_car() -> None:
    raw = table(Location=["Voitures d'occasion dans Rabat, Agdal", "Motos dans Casablanca, Maârif"])
    parsed = tables.parse(raw, require_price=True)
    assert taken_for(raw)["Location"] == "place"
    assert parsed.fates.tolist() == ["accepted", "not_used_car"] * 10
    assert parsed.listings.loc[0, ["city", "district"]].tolist() == ["Rabat", "Agdal"]


def test_titles_fill_what_no_column_says_and_contradictions_are_counted() -> None:
    raw = table(
        Titre=[
            "Dacia Logan 2015 Diesel à Fès",
            "Renault Clio 2001 Essence",
            "Peugeot 2008 2019",
            "Fiat Punto 2012 Diesel",
        ]
    )
    parsed = tables.parse(raw, require_price=True)
    assert taken_for(raw)["Titre"] == "title"
    assert parsed.listings["city"].head(2).tolist() == ["Fès", None]
    assert [(found.column, found.rows) for found in parsed.contradictions] == [("model_year", 5)]
    assert parsed.listings.loc[1, "model_year"] == 2018


def test_a_file_of_titles_alone_is_read_and_a_title_without_a_year_is_set_aside() -> None:
    raw = pd.DataFrame(
        {
            "modèle": ["Renault Clio Diesel Manuelle 2018 à Fès", "Dacia Logan", "bonne voiture"] * 5,
            "prix": "90 000 DH",
        }
    )
    parsed = tables.parse(raw, require_price=True)
    assert parsed.fates.tolist() == ["accepted", "quarantined", "quarantined"] * 5
    assert parsed.partial.sum() == 5
    said = {problem.sentence(): rows for problem, rows in parsed.reasons.items()}
    assert said["modèle: does not say the model year"] == 10


@pytest.mark.parametrize(
    "header", ["Prix (€)", "Prix en EUR", "Price USD", "prix x1000", "Prix/mois", "Prix HT"]
)
def test_a_price_in_another_unit_refuses_the_file_unless_another_column_has_dirhams(header: str) -> None:
    raw = table([*USUAL[:-1], header])
    with pytest.raises(DataRefused, match="was expected to hold"):
        tables.parse(raw, require_price=True)
    raw["Prix"] = "80 000"
    assert read(raw)["price_mad"].eq(80_000).all()


def test_mileages_that_are_too_small_count_thousands_and_the_use_says_so() -> None:
    raw = table()
    raw["Kilométrage"] = ["120", "85", "230", "64"] * 5
    assert use_of(raw, "Kilométrage").code == "in_thousands"
    assert read(raw)["mileage_km_min"].head(2).tolist() == [120_000, 85_000]


@pytest.mark.parametrize(
    ("step", "first", "role"), [(3, 5, "index"), (1, 2_000, "index"), (1, 5_700_000, "field")]
)
def test_an_id_that_only_counts_rows_tells_no_ad(step: int, first: int, role: str) -> None:
    table = pd.DataFrame(
        {
            "id": [str(first + step * n + (n > 7)) for n in range(40)],
            "Marque": "Dacia",
            "Modèle": "Logan",
            "Année-Modèle": "2015",
            "Prix": [str(60_000 + 500 * n) for n in range(40)],
        }
    )
    assert columns.recognise(table).uses[0].role == role


def test_a_column_that_numbers_the_rows_tells_no_ad() -> None:
    raw = table(id=[str(n) for n in range(20)])
    assert taken_for(raw)["id"] == "index"
    assert read(raw)["listing_id"].nunique() == 4


def test_headers_without_make_are_refused_with_what_was_found() -> None:
    raw = table().drop(columns="Marque").rename(columns={"Modèle": "Couleur"})
    raw["Couleur"] = "rouge"
    with pytest.raises(DataRefused, match="'Marque', 'Modèle' are missing"):
        tables.parse(raw, require_price=True)


def test_a_few_rows_are_read_by_their_headers_alone() -> None:
    raw = table().head(3)
    raw["Modèle"], raw["note"] = ["2008", "2008", "2008"], ["Diesel", "Diesel", "Essence"]
    assert taken_for(raw)["Modèle"] == "model"
    assert taken_for(raw)["note"] == "unknown"


@pytest.mark.parametrize(
    ("header", "labelled"),
    [
        ("Type de carburant", "Carburant : {}"),
        ("Kilométrage", "Kilométrage: {}"),
        ("Année-Modèle", "Année-Modèle{}"),
        ("Boite de vitesses", "Boite de vitesses{}"),
        ("Puissance fiscale", "Puissance fiscale :{}"),
        ("Prix", "Prix : {}"),
        ("Marque", "Marque : {}"),
    ],
)
def test_a_label_that_was_taken_along_with_a_value_is_no_part_of_it(header: str, labelled: str) -> None:
    raw = table()
    raw[header] = [labelled.format(value) for value in raw[header]]
    pd.testing.assert_frame_equal(read(raw), read(table()))


def test_a_value_with_the_label_of_another_field_is_not_used() -> None:
    raw = table()
    raw["Type de carburant"] = ["Diesel"] * 15 + ["Boite de vitesses : Manuelle"] * 5
    assert read(raw)["fuel"].tolist() == ["Diesel"] * 15 + [None] * 5


def test_a_name_that_begins_like_a_label_stays_whole() -> None:
    raw = table()
    raw["Marque"], raw["Modèle"] = "Tesla", "Model3"
    assert read(raw)["model"].unique().tolist() != ["3"]


@pytest.mark.parametrize(
    "card",
    [
        "{year} | {fuel} | {km} | {gearbox}",
        "{fuel}, {gearbox}, {km}, {year}",
        "Année : {year} • Carburant : {fuel} • Kilométrage : {km} • Boite : {gearbox}",
        "{{'Année-Modèle': '{year}', 'Carburant': '{fuel}', 'Kilométrage': '{km}', 'Boite': '{gearbox}'}}",
        '{{"year": {year}, "fuel": "{fuel}", "mileage": "{km}", "gearbox": "{gearbox}", "colour": "red"}}',
        "['{year}', '{fuel}', '{km}', '{gearbox}']",
    ],
)
def test_a_column_that_tells_several_fields_in_each_value_fills_them_all(card: str) -> None:
    raw = table()
    raw["Détails"] = [
        card.format(year=row[2], km=row[3], fuel=row[4], gearbox=row[6]) for row in raw.to_numpy().tolist()
    ]
    usual, kept = read(raw), raw[["Marque", "Modèle", "Puissance fiscale", "Prix", "Détails"]]
    assert taken_for(kept)["Détails"] == "mixed"
    pd.testing.assert_frame_equal(read(kept).drop(columns="listing_id"), usual.drop(columns="listing_id"))


def test_a_card_that_says_two_things_of_one_field_tells_none_of_them() -> None:
    assert card_of("2015 | Diesel | 2018") == {"fuel": "Diesel"}
    assert card_of("Renault Clio - très propre - 2018") is None


def test_a_table_of_details_without_equipment_says_nothing_of_equipment() -> None:
    details = table(Détails=["{'Couleur': 'Rouge', 'Vendeur': 'Particulier'}"])
    assert read(details)["abs"].isna().all()


def test_a_place_after_the_city_is_the_district() -> None:
    read_ = read(table(Ville=["Casablanca, Maarif", "Fès"]))
    assert read_[["city", "district"]].head(2).to_numpy().tolist() == [
        ["Casablanca", "Maarif"],
        ["Fès", None],
    ]


def test_a_make_that_names_nothing_is_taken_from_the_title() -> None:
    raw = table(Titre=["Dacia Logan 2015 à Fès", "Renault Clio 2018", "Peugeot 2008 2019", "une voiture"])
    raw["Marque"] = ["72", "Renault", "Peugeot", "73"] * 5
    parsed = tables.parse(raw, require_price=True)
    assert parsed.fates.tolist() == ["accepted", "accepted", "accepted", "quarantined"] * 5
    assert parsed.listings["make"].head(4).tolist() == ["Dacia", "Renault", "Peugeot", None]


def test_a_city_has_one_spelling() -> None:
    cities = ["FES", "Fès", "فاس", "Beni-Mellal"]
    assert read(table(Ville=cities))["city"].head(3).tolist() == ["Fès"] * 3


def test_years_of_ads_are_no_model_years_where_another_column_has_those() -> None:
    newest = newest_year()
    years = {"Année": [str(newest - 2), str(newest - 1)], "1ère immat.": ["2007", "2013", "2014", "2016"]}
    raw = table(**years).drop(columns=USUAL[2])
    assert taken_for(raw) | {"Année": "second", "1ère immat.": "model_year"} == taken_for(raw)
    alone = raw.drop(columns="1ère immat.")
    assert taken_for(alone)["Année"] == "model_year"


def test_a_price_beside_which_a_column_names_another_currency_is_not_used() -> None:
    parsed = tables.parse(table(Devise=["MAD", "EUR", "Dhs", ""]), require_price=True)
    assert parsed.fates.tolist() == ["accepted", "quarantined", "accepted", "accepted"] * 5
    assert {problem.code for problem in parsed.reasons} == {"other_currency"}
    assert parsed.listings["price_mad"].isna().tolist() == [False, True, False, False] * 5


@pytest.mark.parametrize(
    ("header", "unit", "code"),
    [
        ("Période", "par mois", "price_per_period"),
        ("price_period", "day", "price_per_period"),
        ("Unité prix", "millions", "not_an_amount"),
    ],
)
def test_a_price_beside_which_a_column_names_a_rate_or_a_scale_is_not_used(
    header: str, unit: str, code: str
) -> None:
    parsed = tables.parse(table(**{header: ["DH", unit, "total", "MAD"]}), require_price=True)
    assert parsed.fates.tolist() == ["accepted", "quarantined", "accepted", "accepted"] * 5
    assert {problem.code for problem in parsed.reasons} == {code}


@pytest.mark.parametrize("header", ["Unité", "symbol", "Devise"])
def test_dirhams_a_month_beside_a_price_are_a_rate_under_any_header(header: str) -> None:
    parsed = tables.parse(table(**{header: ["DH TTC", "DH/mois", "DH", "DH"]}), require_price=True)
    assert parsed.fates.tolist() == ["accepted", "quarantined", "accepted", "accepted"] * 5


@pytest.mark.parametrize("dirhams", ["Dirham marocain", "Dh.", "د.م.", "Moroccan Dirham", "MAD (TTC)"])
def test_a_currency_is_read_where_it_is_not_always_known(dirhams: str) -> None:
    parsed = tables.parse(table(Devise=[dirhams, "€", dirhams, "Euro"]), require_price=True)
    assert parsed.fates.tolist() == ["accepted", "quarantined", "accepted", "quarantined"] * 5


@pytest.mark.parametrize(("header", "values"), [("Unité km", ["mille", "km"]), ("Garantie", ["mois", "an"])])
def test_units_of_something_else_say_nothing_of_the_price(header: str, values: list[str]) -> None:
    assert set(tables.parse(table(**{header: values}), require_price=True).fates) == {"accepted"}


@pytest.mark.parametrize("mark", ["★★★", "🚗🔥", "✔", "!!!", "+", "€"])
def test_a_cell_without_letters_or_digits_costs_nothing(mark: str) -> None:
    for header in ("Note", "Description", "Ville", "Type"):
        parsed = tables.parse(table(**{header: [mark, "Voiture propre", mark, ""]}), require_price=True)
        assert set(parsed.fates) == {"accepted"}, header


@pytest.mark.parametrize(
    ("header", "values"),
    [
        ("Localisation", ["Rabat, Hay Riad", "Casablanca, Autre secteur", "Fès, Villa Hay Salam", "Agadir"]),
        ("Garantie", ["Pièces et main d'œuvre"]),
        ("Entretien", ["Full service"]),
        ("Livraison", ["Sur demande"]),
        ("Adresse", ["Bureau 5, Bd Zerktouni"]),
        ("Vendeur", ["Rabat Auto Service", "Rent Car Plus"]),
        ("Financement", ["Leasing/LOA"]),
        ("Type vendeur", ["Auto Service", "Location Pro", "Particulier"]),
        ("Type de carrosserie", ["Bus", "Camion", "Voiture"]),
        ("Fil d'Ariane", ["Accueil > Auto, Moto > Voitures"]),
        ("Catégorie", ["Voitures et motos"]),
        ("Description", ["Voiture propre", "Pièces d'origine", "Auto, service à jour", "Voiture, remorque"]),
    ],
)
def test_words_of_other_columns_are_no_category_of_ads(header: str, values: list[str]) -> None:
    assert set(tables.parse(table(**{header: values}), require_price=True).fates) == {"accepted"}


def test_the_year_in_a_title_counts_where_an_unknown_column_has_others() -> None:
    titles = [f"{make} {model} {year} Diesel" for make, model, year, *_ in CARS]
    for header in ("Contrôle technique", "Date", "Année annonce"):
        raw = table(Titre=titles, **{header: ["2024", "2023", "2025", "2022"]}).drop(columns=USUAL[:3])
        assert read(raw)["model_year"].head(4).tolist() == [2015, 2018, 2019, 2012], header


def test_the_year_of_an_ad_is_not_that_of_its_car() -> None:
    raw = table()
    raw.insert(0, "listing_year", ["2024", "2021", "2025", "2022"] * 5)
    assert read(raw)["model_year"].head(4).tolist() == [2015, 2018, 2019, 2012]


@pytest.mark.parametrize("header", ["Kilométrage annuel", "Km par an", "Courroie (km)", "Garantie km"])
def test_other_kilometres_than_all_that_a_car_has_driven_are_no_mileage(header: str) -> None:
    raw = table(**{header: ["15 000 km", "20 000 km", "60 000 km", "90 000 km"]})
    assert taken_for(raw)["Kilométrage"] == "mileage"
    assert read(raw.drop(columns="Kilométrage"))["mileage_km_max"].isna().all()


def test_nearly_new_cars_have_driven_kilometres_and_no_thousands_of_them() -> None:
    newest = str(newest_year())
    raw = table(**{"Année-Modèle": [newest], "Kilométrage": ["20", "57", "340", "12"]})
    assert read(raw)["mileage_km_max"].head(4).tolist() == [20, 57, 340, 12]


def test_the_months_of_a_warranty_are_no_period_of_the_price() -> None:
    parsed = tables.parse(table(Garantie=["mois", "an", "mois", "mois"]), require_price=True)
    assert set(parsed.fates) == {"accepted"}


def test_models_beside_their_makes_and_cities_need_no_header_that_is_known() -> None:
    raw = table(x9=["Casablanca", "Fès"])
    raw.columns = pd.Index([f"x{n}" for n in range(len(raw.columns))])
    given, usual = read(raw), read(table(Ville=["Casablanca", "Fès"]))
    pd.testing.assert_frame_equal(given.drop(columns="listing_id"), usual.drop(columns="listing_id"))


def test_a_description_is_no_category() -> None:
    raw = table(Description=["Moto et voiture, je vends ma voiture en très bon état, pièces d'origine, " * 2])
    assert read(raw).shape[0] == 20


@pytest.mark.parametrize("mark", ["", "'"])
def test_years_of_two_digits_are_read_where_the_whole_column_writes_them_so(mark: str) -> None:
    raw = table()
    raw["Année-Modèle"] = [f"{mark}{year}" for year in ("15", "05", "98", "21") * 5]
    assert use_of(raw, "Année-Modèle").code == "years_of_two_digits"
    assert read(raw)["model_year"].tolist()[:4] == [2015, 2005, 1998, 2021]


@pytest.mark.parametrize("other", ["5", "2018", "45"])
def test_two_digits_among_other_numbers_are_no_years(other: str) -> None:
    raw = table()
    raw["Année-Modèle"] = ["15", "05", "98", other] * 5
    parsed = tables.parse(raw, require_price=True)
    good = [float(year) for year in parsed.listings["model_year"][parsed.fates == "accepted"]]
    assert good == ([2018.0] * 5 if other == "2018" else [])


@pytest.mark.parametrize("years", ["2015/2016", "2015-2016", "2015 / 2016"])
def test_a_row_with_two_model_years_is_quarantined_with_that_reason(years: str) -> None:
    raw = table()
    raw.loc[3, "Année-Modèle"] = years
    parsed = tables.parse(raw, require_price=True)
    assert {row: [each.code for each in found] for row, found in parsed.row_problems.items()} == {
        3: ["two_years"]
    }


@pytest.mark.parametrize(
    "header", ["Prix d'achat", "Prix marché", "Prix catalogue", "Budget", "Caution", "Mise à prix"]
)
def test_an_amount_of_something_else_is_no_price_whatever_its_place(header: str) -> None:
    raw = table([*USUAL[:-1], "Prix annonceur"])
    raw.insert(0, header, ["50 000 DH", "60 000 DH", "70 000 DH", "40 000 DH"] * 5)
    assert taken_for(raw)[header] in ("unknown", "second")
    assert taken_for(raw)["Prix annonceur"] == "price_mad"


def test_of_two_amounts_under_unknown_headers_neither_is_the_price() -> None:
    headers = [f"sc-{n}" for n in range(8)]
    raw = table(["make", "Modèle", *headers[2:]])
    assert taken_for(raw)["sc-7"] == "price_mad"
    raw["sc-8"] = ["1 500 DH", "2 500 DH", "3 500 DH", "4 500 DH"] * 5
    assert "price_mad" not in taken_for(raw).values()
    with pytest.raises(DataRefused, match="'Prix' is missing"):
        tables.parse(raw, require_price=True)
    # the same amounts again are no question
    raw["sc-8"] = raw["sc-7"]
    assert taken_for(raw)["sc-7"] == "price_mad"


@pytest.mark.parametrize("prices", [["", "120 000 DH", "", "70 000 DH"], ["", "", "", ""]])
def test_another_car_under_the_same_headers_fills_nothing_in(prices: list[str]) -> None:
    raw = table()
    raw["Prix"] = prices * 5
    for header in ("Marque", "Modèle", "Prix"):
        raw[f"{header} (again)"] = raw[header].replace("", "99 000 DH")
    found = columns.recognise(raw)
    assert found.columns["price_mad"] == "Prix"
    assert use_of(raw, "Prix (again)").role == "second"


@pytest.mark.parametrize("values", [["75", "110", "90", "130"], ["75 CV", "110 CV", "90 ch", "130 CV"]])
def test_the_power_of_an_engine_is_no_fiscal_power(values: list[str]) -> None:
    raw = table([*USUAL[:5], "Puissance", *USUAL[6:]])
    assert taken_for(raw)["Puissance"] == "fiscal_power_cv"
    raw["Puissance"] = values * 5
    assert use_of(raw, "Puissance").code == "values_do_not_fit"
    assert read(raw)["fiscal_power_cv"].isna().all()


@pytest.mark.parametrize("values", [["5 km", "12 km", "25 km", "120 km"], ["5", "12", "25", "120"]])
def test_the_way_to_the_seller_is_no_mileage(values: list[str]) -> None:
    raw = table([*USUAL[:3], "Distance", *USUAL[4:]])
    assert taken_for(raw)["Distance"] == "mileage"
    raw["Distance"] = values * 5
    assert use_of(raw, "Distance").code == "values_do_not_fit"


@pytest.mark.parametrize("header", ["Membre depuis", "Dédouanée en", "prochaine vidange"])
def test_years_and_distances_of_something_else_are_those_of_no_car(header: str) -> None:
    values = ["163 630 km", "90 000 km"] if "vidange" in header else ["2017", "2020"]
    raw = table([*USUAL[:2], "Version", "Note", *USUAL[4:]], **{header: values * 2})
    assert taken_for(raw)[header] == "unknown"


@pytest.mark.parametrize(
    "kinds", [["Offre", "Demande", "Location", "Leasing"], ["À vendre", "Échange", "LLD", "Recherche"]]
)
def test_the_kind_of_an_ad_sets_other_ads_aside(kinds: list[str]) -> None:
    raw = table(**{"Type d'annonce": kinds})
    parsed = tables.parse(raw, require_price=True)
    assert taken_for(raw)["Type d'annonce"] == "category"
    assert [bool(good) for good in parsed.good[:4]] == [True, False, False, False]


def test_a_title_that_says_for_sale_is_no_kind_of_ad() -> None:
    titles = [f"{make} {model} {year} à vendre" for make, model, year, *_ in CARS]
    raw = table().drop(columns=USUAL[:3]).assign(**{"sc-1x0": titles * 5})
    assert taken_for(raw)["sc-1x0"] == "title"
    assert read(raw)["make"].tolist()[:4] == [car[0] for car in CARS]


@pytest.mark.parametrize("header", ["Lien vendeur", "Seller URL", "boutique href", "Profil du vendeur"])
def test_a_link_to_the_seller_names_no_ad(header: str) -> None:
    raw = table(**{header: ["https://shop.example.ma/1", "https://shop.example.ma/2"] * 2})
    assert taken_for(raw)[header] == "unknown"
    raw["Lien"] = [f"https://www.example.ma/{n}" for n in range(len(raw))]
    assert taken_for(raw)["Lien"] == "url"


def test_a_column_whose_values_are_not_what_its_header_says_is_named_where_it_is_missing() -> None:
    raw = table(**{"Année-Modèle": [f"1905-06-{n:02d}" for n in range(1, 21)]})
    with pytest.raises(DataRefused) as refused:
        tables.parse(raw, require_price=True)
    assert "'Année-Modèle' is read as scraped_at: its header says model_year, but " in str(refused.value)
