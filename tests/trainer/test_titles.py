"""A title is read as far as it is certain, and no further."""

from __future__ import annotations

import pytest

from carprice.listings.other_ads import KINDS, USED_CAR, kind_of_category
from carprice.listings.titles import TitleFacts, read_title, with_lost_letters
from carprice.listings.vocabulary import extended, shipped_vocabulary

NEWEST = 2027

READ = {
    "as the site writes it": [
        ("Renault Clio Diesel Automatique 2018 à Casablanca", "Renault", "Clio", 2018),
        ("أودي ك 5 ديزل أوتوماتيك 2019 في الدار البيضاء", "Audi", "Q5", 2019),
    ],
    "other names of makes": [
        ("VW Golf 7 Diesel 2015", "Volkswagen", "GOLF 7", 2015),
        ("Mercedes Classe C 220", "Mercedes-Benz", "Classe C", None),
        ("Range Rover Evoque", "Land Rover", "Range Rover Evoque", None),
        ("Rolls Royce Ghost 2019", "Rolls-Royce", "Ghost", 2019),
    ],
    "a model that tells its make": [
        ("clio 2 2005", "Renault", "Clio", 2005),
        ("X-Trail 2015", "Nissan", "X-Trail", 2015),
        ("Partner 2014", None, None, 2014),
        ("206 diesel 2005", None, None, 2005),
        ("C3 2013 essence", "Citroen", "C3", 2013),
    ],
    "numbers that are models, engines or years": [
        ("Peugeot 2008 Essence 2021", "Peugeot", "2008", 2021),
        ("Peugeot 2008 2009", "Peugeot", None, None),
        ("Peugeot Diesel 2008", "Peugeot", None, 2008),
        ("2008 Peugeot 207", "Peugeot", "207", 2008),
        ("Peugeot 3008 Allure 2018", "Peugeot", "3008", 2018),
        ("Peugeot 5008 7 places", "Peugeot", "5008", None),
        ("Peugeot 206+ 2010", "Peugeot", "206+", 2010),
        ("Peugeot 206 + 2010", "Peugeot", "206+", 2010),
        ("Peugeot 206 207 307", "Peugeot", None, None),
        ("Fiat 500L 2014", "Fiat", "500L", 2014),
        ("Fiat 500 L'excellente", "Fiat", "500", None),
        ("BMW 320d 2012", "BMW", "Serie 3", 2012),
        ("BMW X5 30d 2015", "BMW", "X5", 2015),
        ("Mercedes C220 dédouanée 2019", "Mercedes-Benz", "Classe C", None),
        ("Mercedes ML 320 2007", "Mercedes-Benz", "CLASSE ML", 2007),
        ("mercedes 220 diesel", "Mercedes-Benz", "220", None),
        ("C4 Picasso hdi 2009", "Citroen", "C4 Picasso", 2009),
        ("DS7 Crossback 2019", "DS", "DS 7 Crossback", 2019),
        ("Citroën DS3 2012", "Citroen", "DS 3", 2012),
        ("KIFAL - MAZDA Mazda 6", "Mazda", "6", None),
        ("Golf VII 2016", "Volkswagen", "GOLF 7", 2016),
        ("golf v", "Volkswagen", "GOLF 5", None),
        ("Golf 7.5 2018", "Volkswagen", "GOLF 7", 2018),
        ("Megane III 2012", "Renault", "Megane 3", 2012),
    ],
    "counted things": [
        ("Golf 5 portes", "Volkswagen", "Golf", None),
        ("Golf 7 5 portes", "Volkswagen", "GOLF 7", None),
        ("Renault 5 portes 2012", "Renault", None, 2012),
        ("Mazda 2 ème main", "Mazda", None, None),
        ("Golf 7 CV", "Volkswagen", "Golf", None),
        ("audi a3 tt option", "Audi", "A3", None),
    ],
    "prices, mileages, telephone numbers": [
        ("Golf 7 2015 120 000 km 145 000 DH", "Volkswagen", "GOLF 7", 2015),
        ("Peugeot 206 208 000 km", "Peugeot", "206", None),
        ("Peugeot 208 000 km", "Peugeot", None, None),
        ("BMW 320 000 km", "BMW", None, None),
        ("Mercedes à 180 000 DH", "Mercedes-Benz", None, None),
        ("Clio 2 prix 45.000 DH", "Renault", "Clio", None),
        ("Peugeot 206 06 12 34 20 08", "Peugeot", "206", None),
        ("Clio 2010 km", "Renault", "Clio", None),
    ],
    "years of other things": [
        ("Golf 6 2010 dédouanée 2015", "Volkswagen", "GOLF 6", 2010),
        ("Golf 6 dédouanée en 05/2015", "Volkswagen", "GOLF 6", None),
        ("Golf 6 à dédouaner en 2015", "Volkswagen", "GOLF 6", None),
        ("Golf 6 dédouanée modèle 2015", "Volkswagen", "GOLF 6", 2015),
        ("golf 4 modil 2003 diwana 2009", "Volkswagen", "GOLF 4", 2003),
        ("Clio 4 vignette 2024 payée", "Renault", "Clio", None),
        ("BMW 320d importée neuve 2019", "BMW", "Serie 3", 2019),
        ("Golf 5 07/2011", "Volkswagen", "GOLF 5", 2011),
        ("Golf 7/2015", "Volkswagen", "Golf", 2015),
        ("Golf 5 2009/2010", "Volkswagen", "GOLF 5", None),
        ("Golf 4 modèle 99", "Volkswagen", "GOLF 4", 1999),
        ("Renault modèle 19", "Renault", None, None),
    ],
    "several cars": [
        ("Golf Mercedes", None, None, None),
        ("Toyota Hilux moteur Nissan", None, None, None),
        ("Clio Megane Kangoo", "Renault", None, None),
        ("Renault Dacia Logan 2010", "Dacia", "Logan", 2010),
        ("Seat Leon Cupra 2018", "Seat", "Leon", 2018),
    ],
    "cars asked for in exchange": [
        ("Golf 7 échange contre Passat", "Volkswagen", "GOLF 7", None),
        ("Dacia Logan 2015 echange avec 4x4 2018", "Dacia", "Logan", 2015),
        ("Échange Clio 4 2016 contre Duster", "Renault", "Clio", 2016),
        ("Golf 6 2011 reprise Polo", "Volkswagen", "GOLF 6", 2011),
        ("Golf 7 vente ou échange 2014", "Volkswagen", "GOLF 7", 2014),
        ("Golf 4 troc possible", "Volkswagen", "GOLF 4", None),
        ("VW Troc 2020", "Volkswagen", "T-Roc", 2020),
    ],
    "Arabic and Darija": [
        ("رونو كليو 2014", "Renault", "Clio", 2014),
        ("للبيع سيارة داسيا لوغان 2015 ديزل", "Dacia", "Logan", 2015),
        ("داصيا دوكير", "Dacia", "Dokker", None),
        ("ڤولزڤاڭن جولف 6 موديل 2010", "Volkswagen", "GOLF 6", 2010),
        ("فيات بونتو ٢٠١٠", "Fiat", "Punto", 2010),
        ("tomobile clio 4 2015 mazyana bla kasida", "Renault", "Clio", 2015),
    ],
    "misspelt and decorated": [
        ("Renaul Clio 2015", "Renault", "Clio", 2015),
        ("peugoet 301 2016", "Peugeot", "301", 2016),
        ("🔥🔥 CLIO 4 🔥 2017 🚗", "Renault", "Clio", 2017),
        ("clio4", "Renault", "Clio", None),
        ("Caddy2019 Diesel", "Volkswagen", "Caddy", 2019),
        ("audiq5 diesel", "Audi", "Q5", None),
        ("fiat 500automatique", "Fiat", "500", None),
        ("Citro\ufffdn C-Elys\ufffde 2017", "Citroen", "C-Elysée", 2017),
        ("Skoda superbe état", "Skoda", None, None),
    ],
    "the word à": [
        ("Mercedes Classe A vendre", "Mercedes-Benz", None, None),
        ("Mercedes Classe A à vendre 2015", "Mercedes-Benz", "Classe A", 2015),
        ("Audi à vendre", "Audi", None, None),
    ],
    "no car named": [
        ("voiture à vendre", None, None, None),
        ("", None, None, None),
        ("!!!", None, None, None),
    ],
}


def read(title: str, make: str | None = None, model_year: int | None = None) -> TitleFacts:
    return read_title(title, shipped_vocabulary(), NEWEST, make, model_year)


@pytest.mark.parametrize(
    ("title", "make", "model", "year"), [case for cases in READ.values() for case in cases]
)
def test_make_model_and_year_are_read(
    title: str, make: str | None, model: str | None, year: int | None
) -> None:
    found = read(title)
    assert (found.make, found.model, found.model_year) == (make, model, year)


@pytest.mark.parametrize("title", [case[0] for case in READ["several cars"][:3]])
def test_a_title_of_several_cars_says_so(title: str) -> None:
    assert read(title).several


def test_the_make_of_a_column_helps_to_read_a_title_without_one() -> None:
    assert read("206 diesel 2005", make="Peugeot").model == "206"
    assert read("Golf 6", make="Peugeot").make == "Volkswagen"


def test_a_model_called_like_a_year_is_none_in_a_car_built_before_it() -> None:
    assert read("Peugeot 2008").model == "2008"
    assert read("Peugeot 2008", model_year=2008).model is None


@pytest.mark.parametrize(
    ("title", "fuel", "gearbox", "city", "trim"),
    [
        ("Audi A3 tdi bva S-Line 2016 à Fès", "Diesel", "Automatique", "Fès", "S Line"),
        ("Toyota Yaris hybride essence", "Hybride", None, None, None),
        ("Golf 6 toit ouvrant électrique", None, None, None, None),
        ("Micra 2012 climatisation automatique", None, None, None, None),
        ("Peugeot 3008 Allure GT Line", None, None, None, "Allure GT Line"),
        ("voiture Allure", None, None, None, None),
    ],
)
def test_fuel_gearbox_city_and_trim_are_read(
    title: str, fuel: str | None, gearbox: str | None, city: str | None, trim: str | None
) -> None:
    found = read(title)
    assert (found.fuel, found.gearbox, found.city, found.trim) == (fuel, gearbox, city, trim)


@pytest.mark.parametrize(
    ("title", "kind"),
    [
        ("Optique Mercedes CLA", "part"),
        ("4 jantes pour Peugeot 206", "part"),
        ("Golf vendue pour pièces", "part"),
        ("Golf 7 jantes alu 2015", None),
        ("Porsche Cayenne turbo 2010", None),
        ("Location Dacia Logan 2020", "rental"),
        ("Clio 4 à louer", "rental"),
        ("Dacia Duster 2018 ex location", None),
        ("Honda SH 300 modèle 2020", "motorbike"),
        ("BMW R1200 GS 2015", "motorbike"),
        ("Piaggio Liberty 125 modèle 2019", "motorbike"),
        ("Docker C50 2020", "motorbike"),
        ("Bécane 103 2015", "motorbike"),
        ("Camion benne Mitsubishi 2012", "truck"),
        ("Jet ski 2018", "boat"),
        ("Cherche Golf 7 2015", "wanted"),
        ("Clio 4 2015 cherche échange avec Polo", None),
        ("Camion Mitsubishi Canter", "truck"),
        ("Mini Cooper 2015", None),
        ("Mini bus 2010", "bus"),
    ],
)
def test_a_title_tells_what_is_no_used_car(title: str, kind: str | None) -> None:
    other = read(title).other
    assert (other.kind if other else None) == kind


@pytest.mark.parametrize(
    ("category", "kind"),
    [
        ("Voitures d'occasion, à vendre", USED_CAR),
        ("Voitures d'occasion dans Casablanca, 2 Mars", USED_CAR),
        ("Voitures d'occasion, à louer", "rental"),
        ("Location de voitures dans Rabat, Agdal", "rental"),
        ("Motos dans Rabat", "motorbike"),
        ("Vélos", "bicycle"),
        ("Pièces et Accessoires pour véhicules", "part"),
        ("Camions, à vendre", "truck"),
        ("Remorques et Caravanes", "trailer"),
        ("Engins BTP", "machine"),
        ("Voitures neuves", "new_car"),
        ("Used cars for sale", USED_CAR),
        ("سيارات مستعملة للبيع", USED_CAR),
        ("سيارات للإيجار", "rental"),
        ("Appartements, à vendre", "property"),
        ("Rabat", None),
    ],
)
def test_a_category_tells_what_is_no_used_car(category: str, kind: str | None) -> None:
    assert kind_of_category(category) == kind
    assert kind in {None, USED_CAR, *KINDS}


def test_a_lost_letter_comes_back_where_one_word_fits() -> None:
    assert with_lost_letters("Tr\ufffds bon, \ufffd vendre") == "Très bon, à vendre"
    assert with_lost_letters("\ufffdtre") == "\ufffdtre"


def test_accepted_makes_and_models_are_read_beside_their_make() -> None:
    vocabulary = extended([("Dongfu", "Panther X9"), ("VW", "Taro")])
    assert read_title("Dongfu Panther X9 2023", vocabulary, NEWEST).model == "Panther X9"
    assert read_title("Volkswagen Taro 1990", vocabulary, NEWEST).model == "Taro"
    assert read_title("Taro 1990", vocabulary, NEWEST).make is None
    assert read("Dongfu Panther X9 2023").make is None
