"""Inputs with one kind of dirt that people in this job meet, and what a data owner expects of each.

Each input is made from the same eighty invented cars. A case goes through `carprice check`, which is the same
path as the step; the rows that it lists are compared with those of the clean file. Known ads in euros under a
plain header, which only a good model in production can tell, are in `test_hold.py`.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
import pytest

from carprice import cli
from carprice.history import assembling, snapshots
from carprice.quality.check import check_data_quality
from carprice.store import DataRoot

Cars = list[dict[str, str]]

_CARS = (
    ("Dacia", "Logan", "6"), ("Dacia", "Duster", "6"), ("Renault", "Clio", "6"), ("Renault", "Kangoo", "6"),
    ("Renault", "Megane", "7"), ("Peugeot", "208", "5"), ("Peugeot", "308", "6"), ("Citroen", "C3", "6"),
    ("Citroen", "Berlingo", "6"), ("Volkswagen", "Polo", "6"), ("Volkswagen", "Touareg", "10"),
    ("Fiat", "Punto", "5"), ("Ford", "Focus", "6"), ("Hyundai", "i 10", "5"), ("Opel", "Astra", "7"),
    ("Skoda", "Octavia", "8"),
)  # fmt: skip
_BRACKETS = ("0 - 4 999", "90 000 - 94 999", "160 000 - 169 999", "200 000 - 249 999")
_CONDITIONS = ("Très bon", "Excellent", "Bon", "")
HEADERS = (
    "Marque", "Modèle", "Année-Modèle", "Kilométrage", "Type de carburant", "Puissance fiscale",
    "Boite de vitesses", "Première main", "État", "Prix",
)  # fmt: skip
VALUES = (
    "make", "model", "model_year", "mileage_km_min", "mileage_km_max", "fuel", "fiscal_power_cv", "gearbox",
    "first_owner", "condition", "price_mad",
)  # fmt: skip


def clean_cars() -> Cars:
    """Eighty cars, each different, under the headers of Avito."""
    cars = []
    for n in range(80):
        make, model, power = _CARS[n % len(_CARS)]
        gearbox = "Automatique" if n % 7 == 3 else "Manuelle"
        said = (
            make, model, str(2003 + n % 17), _BRACKETS[n % 4], "Essence" if n % 9 == 4 else "Diesel", power,
            gearbox, ("Non", "Oui", "")[n % 3], _CONDITIONS[n % 4], str(60_000 + 1_500 * n),
        )  # fmt: skip
        cars.append(dict(zip(HEADERS, said, strict=True)))
    return cars


def text_of(cars: Cars, delimiter: str = ";", end: str = "\r\n") -> str:
    """The cars as a file; a value that holds a quotation mark, the delimiter or a line end is quoted."""

    def quoted(value: str) -> str:
        marked = any(mark in value for mark in (delimiter, '"', "\n", "\r"))
        return '"' + value.replace('"', '""') + '"' if marked else value

    rows = [list(cars[0]), *([car[name] for name in cars[0]] for car in cars)]
    return "".join(delimiter.join(map(quoted, row)) + end for row in rows)


def changed(change: Callable[[int, dict[str, str]], dict[str, str]]) -> str:
    """The file of the cars after a change to each; columns that the change adds stand last."""
    return text_of([{**car, **change(n, car)} for n, car in enumerate(clean_cars())])


def with_first(header: str, value: Callable[[int], str]) -> str:
    """The file of the cars with one column more, the first."""
    return text_of([{header: value(n), **car} for n, car in enumerate(clean_cars())])


class Checked(NamedTuple):
    """What `carprice check` says of a file, and its list of the rows."""

    said: dict[str, Any]
    rows: pd.DataFrame


Check = Callable[[str | bytes], Checked]


@pytest.fixture
def check(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Check:
    monkeypatch.setenv("DATA_DIR", str(tmp_path / "data"))

    def checked(content: str | bytes) -> Checked:
        path = tmp_path / "cars.csv"
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        cli.main(["check", "--json", str(path), "--rows", str(tmp_path / "rows.csv")])
        rows = pd.read_csv(tmp_path / "rows.csv", dtype=str, keep_default_na=False)
        said = json.loads(capsys.readouterr().out)
        fates = ("accepted", "repeated", "unpriced", "not_used_cars", "quarantined")
        assert said["rows_in"] == sum(said[f"rows_{fate}"] for fate in fates) == len(rows)
        return Checked(said, rows)

    return checked


@pytest.fixture
def clean(check: Check) -> pd.DataFrame:
    """The rows of the clean file."""
    return check(text_of(clean_cars())).rows


def are_accepted(found: Checked, clean: pd.DataFrame, but: tuple[str, ...] = ()) -> None:
    """All eighty cars are accepted with the values of the clean file, except in the columns `but`."""
    assert found.said["status"] == "accepted", found.said["refusal"]
    assert found.said["rows_accepted"] == found.said["distinct_listings"] == 80
    accepted = found.rows[found.rows["outcome"] == "accepted"].reset_index(drop=True)
    for name in VALUES:
        if name not in but:
            assert accepted[name].tolist() == clean[name].tolist(), name


def test_the_clean_file_is_accepted(check: Check) -> None:
    found = check(text_of(clean_cars()))
    assert (found.said["status"], found.said["rows_accepted"]) == ("accepted", 80)
    assert (found.said["rows_partial"], found.said["distinct_listings"]) == (0, 80)
    assert found.rows.loc[0, list(VALUES)].tolist() == [
        "Dacia", "Logan", "2003", "0", "4999", "Diesel", "6", "Manuelle", "0", "Très bon", "60000",
    ]  # fmt: skip


def test_prices_in_euros_by_the_header_are_refused(check: Check) -> None:
    found = check(text_of(clean_cars()).replace("Prix", "Prix (€)", 1))
    assert (found.said["status"], found.said["refusal_code"]) == ("refused", "other_unit")
    assert "dirhams" in found.said["refusal"]
    assert "€" in found.said["refusal"]


def test_fiscal_power_and_gearbox_are_read_from_their_own_columns(check: Check, clean: pd.DataFrame) -> None:
    cars = []
    for car in clean_cars():
        power, gearbox = car.pop("Puissance fiscale"), car.pop("Boite de vitesses")
        car = {"Puissance (ch)": "110", "Puissance fiscale": power, "Transmission": "Traction", **car}
        cars.append({**car, "Boîte de vitesses": gearbox})
    found = check(text_of(cars))
    are_accepted(found, clean)
    columns = found.said["columns"]
    assert columns["Puissance fiscale"] == "fiscal_power_cv"
    assert columns["Boîte de vitesses"] == "gearbox"


@pytest.mark.parametrize(
    "link",
    [
        lambda n: f"https://annonces.example.ma/annonce.php?id={700_100 + n}",
        lambda n: f"/fr/voitures/detail?ad={700_100 + n}",
        lambda n: f"https://annonces.example.ma/fr/voiture/{n}-casablanca-20000.html",
    ],
    ids=["id in the query", "relative link", "postcode"],
)
def test_links_without_a_long_number_of_the_ad_are_eighty_ads(
    link: Callable[[int], str], check: Check, clean: pd.DataFrame
) -> None:
    found = check(with_first("Lien", link))
    are_accepted(found, clean)
    assert set(found.said["identity"]["rules"]) <= {"query", "address"}


def test_the_address_of_the_search_page_is_no_identity_and_that_is_told(
    check: Check, clean: pd.DataFrame
) -> None:
    found = check(with_first("URL", lambda n: "https://www.avito.ma/fr/maroc/voitures?o=1"))
    are_accepted(found, clean)
    assert found.said["identity"] == {"rules": {"content": 80}, "shared": {"ids": 1, "rows": 80}}


def test_a_missing_link_is_no_identity(check: Check, clean: pd.DataFrame) -> None:
    found = check(with_first("Lien", lambda n: "Lien non disponible"))
    are_accepted(found, clean)
    assert found.said["identity"]["rules"] == {"content": 80}


def test_an_id_in_scientific_notation_is_no_identity_and_that_is_told(
    check: Check, clean: pd.DataFrame
) -> None:
    found = check(with_first("Ad ID", lambda n: "4,91E+07"))
    are_accepted(found, clean)
    assert found.said["identity"]["rules"] == {"content": 80}
    unreadable = [(each["column"], each["code"], each["rows"]) for each in found.said["unreadable_values"]]
    assert unreadable == [("Ad ID", "rounded_number", 80)]


def test_relative_dates_refuse_no_row(check: Check, clean: pd.DataFrame) -> None:
    words = ("il y a 3 heures", "hier", "il y a 8 minutes", "il y a 2 jours", "Aujourd'hui 14:30")
    are_accepted(check(with_first("Date", lambda n: words[n % 5])), clean)


def test_a_date_with_the_month_first_is_read_so_or_unknown(check: Check, clean: pd.DataFrame) -> None:
    found = check(with_first("Date", lambda n: f"{n // 28 + 1:02}/{n % 28 + 1:02}/2023"))
    are_accepted(found, clean)
    for n, date in enumerate(found.rows["scraped_at"]):
        assert date[:10] in ("", f"2023-{n // 28 + 1:02}-{n % 28 + 1:02}")


def test_optional_values_of_another_kind_refuse_no_row(check: Check, clean: pd.DataFrame) -> None:
    found = check(
        changed(
            lambda n, car: {
                "Nombre de portes": ("4/5", "5", "beaucoup")[n % 3],
                "Climatisation": ("Automatique", "Manuelle", "Oui")[n % 3],
                "Airbags": str(n % 7),
            }
        )
    )
    are_accepted(found, clean)
    assert found.rows["doors"].tolist()[:3] == ["5", "5", ""]
    assert set(found.rows["air_conditioning"]) == {"1"}
    assert found.rows["airbags"].tolist()[:4] == ["0", "1", "1", "1"]
    unreadable = [(each["column"], each["rows"]) for each in found.said["unreadable_values"]]
    assert unreadable == [("Nombre de portes", 26)]


def test_direction_marks_around_numbers_are_not_seen(check: Check, clean: pd.DataFrame) -> None:
    def marked(text: str) -> str:
        return f"\N{LEFT-TO-RIGHT MARK}{text}\N{RIGHT-TO-LEFT MARK}"

    def change(n: int, car: dict[str, str]) -> dict[str, str]:
        return {name: marked(car[name]) for name in ("Année-Modèle", "Kilométrage", "Prix")}

    are_accepted(check(changed(change)), clean)


def test_a_header_in_one_encoding_and_rows_in_another_are_read(check: Check, clean: pd.DataFrame) -> None:
    header, rows = text_of(clean_cars()).split("\r\n", 1)
    are_accepted(check(header.encode() + b"\r\n" + rows.encode("latin-1")), clean)


def test_double_encoded_values_are_repaired(check: Check, clean: pd.DataFrame) -> None:
    def twice(text: str) -> str:
        return text.encode().decode("latin-1")

    def change(n: int, car: dict[str, str]) -> dict[str, str]:
        return {"État": twice(car["État"]), "Modèle": car["Modèle"] if n else twice("Mégane")}

    found = check(changed(change))
    are_accepted(found, clean, but=("model",))
    assert found.rows["model"][0] in ("Mégane", "Megane")


def test_nulls_of_other_programs_are_unknown(check: Check, clean: pd.DataFrame) -> None:
    nulls = (r"\N", "<NA>", "undefined", "ND", "(null)", "#N/A", "Non précisé")

    def change(n: int, car: dict[str, str]) -> dict[str, str]:
        names = ("Puissance fiscale", "Boite de vitesses", "Première main", "État")
        return {name: nulls[n % len(nulls)] for name in names if n % 2}

    found = check(changed(change))
    are_accepted(found, clean, but=("fiscal_power_cv", "gearbox", "first_owner", "condition"))
    unknown = found.rows.loc[1::2, ["fiscal_power_cv", "gearbox", "first_owner", "condition"]]
    assert set(unknown.to_numpy().ravel()) == {""}
    assert found.said["unreadable_values"] == []


def test_english_words_are_the_categories_of_the_french_ones(check: Check, clean: pd.DataFrame) -> None:
    words = {
        "Essence": "Petrol", "Manuelle": "Manual", "Automatique": "Automatic", "Très bon": "Very good",
        "Bon": "Good", "Oui": "Yes", "Non": "No",
    }  # fmt: skip
    are_accepted(
        check(changed(lambda n, car: {name: words.get(value, value) for name, value in car.items()})), clean
    )


def test_labels_and_monthly_rates_beside_a_price_are_not_read_as_price(
    check: Check, clean: pd.DataFrame
) -> None:
    def price(n: int, car: dict[str, str]) -> dict[str, str]:
        amount = f"{int(car['Prix']):,} DH".replace(",", " ")
        labelled = (
            amount,
            f"Prix à la baisse{amount}",
            f"Prix en hausse{amount}",
            f"{amount}\nDès 1 500 DH/mois",
        )
        return {"Prix": labelled[n % 4]}

    are_accepted(check(changed(price)), clean)


def test_a_range_of_a_mileage_is_read_in_kilometres(check: Check, clean: pd.DataFrame) -> None:
    def mileage(n: int, car: dict[str, str]) -> dict[str, str]:
        return {"Kilométrage": ("50-60 000 km", "120/130 000 km")[n % 2]}

    found = check(changed(mileage))
    are_accepted(found, clean, but=("mileage_km_min", "mileage_km_max"))
    assert set(found.rows["mileage_km_min"][::2]) == {"50000"}
    assert set(found.rows["mileage_km_max"][::2]) == {"60000"}
    assert set(found.rows["mileage_km_min"][1::2]) == {"120000"}
    assert set(found.rows["mileage_km_max"][1::2]) == {"130000"}


def test_of_an_old_and_a_new_price_the_new_one_counts(check: Check, clean: pd.DataFrame) -> None:
    def price(n: int, car: dict[str, str]) -> dict[str, str]:
        amount = int(car["Prix"])
        said = f"{amount + 15_000:,} DH {amount:,} DH" if n % 4 == 0 else f"{amount:,} DH"
        return {"Prix": said.replace(",", " ")}

    are_accepted(check(changed(price)), clean)


def test_the_unit_may_stand_in_brackets_behind_the_price(check: Check, clean: pd.DataFrame) -> None:
    found = check(text_of(clean_cars()).replace("Prix", "prix en (DHS)", 1))
    are_accepted(found, clean)


def test_a_model_that_a_program_took_for_a_number_is_its_name(check: Check, clean: pd.DataFrame) -> None:
    def change(n: int, car: dict[str, str]) -> dict[str, str]:
        return {"Modèle": f"{car['Modèle']}.0" if car["Modèle"].isdigit() else car["Modèle"]}

    are_accepted(check(changed(change)), clean)


def damaged(ends: str) -> str:
    """The file with a last text column before the price, quoted without escaping; one text ends in `ends`."""
    cars = []
    for n, car in enumerate(clean_cars()):
        price = car.pop("Prix")
        text = f"Jantes {ends}" if n == 40 else f"Très propre {n}"
        cars.append({**car, "Description": f'"{text}"', "Prix": price})
    names = list(cars[0])
    return "".join(";".join(row) + "\n" for row in [names, *([car[name] for name in names] for car in cars)])


@pytest.mark.parametrize("ends", ['17"', '17\\"', '17" neuves'])
def test_a_quotation_mark_that_is_not_escaped_moves_no_price(ends: str, check: Check) -> None:
    found = check(damaged(ends))
    assert found.said["status"] == "accepted"
    assert found.said["rows_accepted"] >= 78
    accepted = found.rows[found.rows["outcome"] == "accepted"]
    by_line = {str(n + 2): car for n, car in enumerate(clean_cars())}
    for _, row in accepted.iterrows():
        car = by_line[row["line"]]
        assert (row["model"], row["model_year"], row["price_mad"]) == (
            car["Modèle"], car["Année-Modèle"], car["Prix"],
        )  # fmt: skip
    # no line is lost: those of the damaged row and of the one behind it are rows or are named
    named = {str(line) for note in found.said["notes"] for line in note["first_lines"]}
    assert set(by_line) <= set(found.rows["line"]) | named


def test_one_delimiter_too_many_in_the_header_alone_is_no_fault(check: Check, clean: pd.DataFrame) -> None:
    header, rows = text_of(clean_cars()).split("\r\n", 1)
    are_accepted(check(f"{header};\r\n{rows}"), clean)


def test_title_lines_and_totals_are_no_rows(check: Check, clean: pd.DataFrame) -> None:
    empty = ";" * (len(HEADERS) - 1)
    total = f"Total;80{';' * (len(HEADERS) - 2)}9540000"
    above = f"Annonces Avito - export du 05/01/2023{empty}\r\n{empty}\r\n"
    found = check(f"{above}{text_of(clean_cars())}{total}\r\n")
    are_accepted(found, clean)
    told = {line for note in found.said["notes"] for line in note["first_lines"]}
    aside = set(found.rows.loc[found.rows["outcome"] != "accepted", "line"].astype(int))
    assert {1, 84} <= told | aside


def test_one_nul_byte_costs_at_most_its_own_row(check: Check, clean: pd.DataFrame) -> None:
    content = text_of(clean_cars()).encode()
    lines = content.split(b"\r\n")
    lines[26] = lines[26].replace(b"Manuelle", b"Manuell\0e").replace(b"Automatique", b"Auto\0matique")
    found = check(b"\r\n".join(lines))
    assert found.said["status"] == "accepted"
    assert found.said["rows_accepted"] >= 79
    accepted = found.rows[found.rows["outcome"] == "accepted"]
    for name in VALUES:
        if name != "gearbox":
            assert accepted[name].tolist() == clean[name][accepted.index].tolist(), name
    if len(accepted) < 80:
        assert found.rows.loc[found.rows["outcome"] == "quarantined", "line"].tolist() == ["27"]


def test_rows_behind_a_second_header_in_another_order_are_read_by_it(
    check: Check, clean: pd.DataFrame
) -> None:
    cars = clean_cars()
    order = [
        "Modèle", "Marque", "Année-Modèle", "Kilométrage", "Boite de vitesses", "Puissance fiscale",
        "Type de carburant", "Première main", "État", "Prix",
    ]  # fmt: skip
    second = [{name: car[name] for name in order} for car in cars[40:]]
    found = check(text_of(cars[:40]) + text_of(second))
    assert found.said["rows_accepted"] == 80
    accepted = found.rows[found.rows["outcome"] == "accepted"].reset_index(drop=True)
    for name in VALUES:
        assert accepted[name].tolist() == clean[name].tolist(), name


def test_arabic_names_are_read_and_unknown_makes_are_set_aside(check: Check, clean: pd.DataFrame) -> None:
    arabic = {
        "Dacia": "داسيا", "Renault": "رونو", "Peugeot": "بيجو", "Fiat": "فيات", "Volkswagen": "فولكسفاكن",
        "Logan": "لوغان", "Clio": "كليو", "Duster": "داستر", "Kangoo": "كانغو",
    }  # fmt: skip

    def change(n: int, car: dict[str, str]) -> dict[str, str]:
        names = {name: arabic.get(car[name], car[name]) for name in ("Marque", "Modèle")}
        return names | ({"Marque": "سيارةغريبة"} if n in (5, 50) else {})

    found = check(changed(change))
    assert found.said["rows_accepted"] == 78
    aside = found.rows.loc[[5, 50]]
    assert aside["outcome"].tolist() == ["quarantined"] * 2
    assert set(aside["reason"]) == {"Marque: names no make that is known"}
    kept = found.rows["outcome"] == "accepted"
    for name in VALUES:
        assert found.rows.loc[kept, name].tolist() == clean.loc[kept, name].tolist(), name


def test_of_two_price_columns_one_is_chosen_and_the_difference_told(
    check: Check, clean: pd.DataFrame
) -> None:
    cars = []
    for car in clean_cars():
        price = car.pop("Prix")
        cars.append({**car, "Prix de vente": str(int(price) * 5 // 4), "Prix": price})
    found = check(text_of(cars))
    are_accepted(found, clean)
    (second,) = [use for use in found.said["column_uses"] if use["taken_for"] == "second"]
    assert (second["column"], second["code"]) == ("Prix de vente", "second_differs")
    assert second["params"]["used"] == "Prix"
    assert second["params"]["factor"] == 1.25


def test_the_same_ads_with_a_city_added_are_the_same_ads(
    tmp_path: Path, with_params: Callable[[str], Any]
) -> None:
    root = DataRoot(str(tmp_path))
    (tmp_path / "raw").mkdir()
    with_city = changed(lambda n, car: {"Ville": ("Rabat", "Fès")[n % 2]})
    receipts = []
    for name, content in (("first.csv", text_of(clean_cars())), ("second.csv", with_city)):
        (tmp_path / "raw" / name).write_text(content)
        receipts.append(check_data_quality(root, with_params("{}"), name))
    assert [receipt["rows_accepted"] for receipt in receipts] == [80, 80]
    assembled = assembling.assemble(root, with_params("{}"), [receipt["sha256"] for receipt in receipts])
    assert assembled["listings_total"] == 80
    _, listings = snapshots.load(root, assembled["snapshot_id"])
    assert set(listings["city"]) == {"Rabat", "Fès"}
