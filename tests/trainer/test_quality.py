"""What becomes of a file and of each of its rows, and how the data owner learns of it."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

from carprice.errors import DataRefused, NothingToDo, UsageProblem
from carprice.history import assembling
from carprice.landing.content import sha256_of
from carprice.landing.receipts import read_receipt
from carprice.listings import sample, schema, tables
from carprice.listings.reading import read_raw
from carprice.params import Params, QualityParams
from carprice.quality.check import check_data_quality, try_file
from carprice.quality.judging import WHOLE_FILE
from carprice.store import DataRoot

PARAMS = Params()
OTHER_ADS = "jante moto scooter velo tracteur optique pneu remorque camion bateau"
HEADER = "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Prix\n"
REAL_DATA = Path(os.environ.get("CARPRICE_REAL_DATA") or Path(__file__).parents[3] / "shared" / "data")
real_data = pytest.mark.skipif(not REAL_DATA.is_dir(), reason="the real data are not on this machine")


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(str(tmp_path / "data"))


def car(n: int, price: str = "85000") -> str:
    return f"Dacia;Prototype {n};2015;90 000 - 94 999;Diesel;{price}\n"


def check(
    root: DataRoot, content: str | bytes, name: str = "cars.csv", params: Params = PARAMS
) -> dict[str, object]:
    """Land the content as `name` and check it."""
    root.write_bytes(f"raw/{name}", content.encode() if isinstance(content, str) else content)
    return check_data_quality(root, params, name, sha256_of(root, f"raw/{name}"))


def counted(reasons: object) -> dict[str, int]:
    """The rows of each sentence."""
    return {reason["sentence"]: reason["rows"] for reason in reasons}  # type: ignore[attr-defined]


def refusal(root: DataRoot, content: str | bytes, name: str = "cars.csv") -> dict[str, object]:
    """The receipt of a content that must be refused; its sentence is that of the error."""
    with pytest.raises(DataRefused) as refused:
        check(root, content, name)
    sha = sha256_of(root, f"raw/{name}")
    receipt: dict[str, object] = root.read_json(f"receipts/{sha}.json")
    assert receipt["refusal"] == str(refused.value)
    assert refused.value.result == receipt
    assert receipt["status"] == "refused"
    assert not root.exists(f"listings/{sha}.parquet")
    assert refused.value.exit_code == 65
    assert text_of(root, receipt).count("Refused.") == 1
    return receipt


def text_of(root: DataRoot, receipt: dict[str, object]) -> str:
    """What a person reads on the quality page."""

    class Text(HTMLParser):
        words: list[str]
        silent = False

        def handle_starttag(self, tag: str, attrs: object) -> None:
            self.silent = tag == "style"

        def handle_endtag(self, tag: str) -> None:
            self.silent = False

        def handle_data(self, data: str) -> None:
            if not self.silent:
                self.words.extend(data.split())

    parser = Text()
    parser.words = []
    parser.feed(root.read_bytes(str(receipt["quality_page"])).decode())
    return " ".join(parser.words)


def test_every_row_is_repeated_accepted_or_refused(root: DataRoot) -> None:
    body = "".join(car(n) for n in range(60)) + car(0) * 3 + car(99, "") + car(98, "cheap") + "Dacia;Logan\n"
    receipt = check(root, HEADER + body)
    assert receipt["status"] == "accepted"
    counts = [receipt[k] for k in ("rows_in", "rows_repeated", "rows_accepted", "rows_refused")]
    assert counts == [66, 3, 60, 2]
    assert receipt["rows_unpriced"] == 1
    assert counted(receipt["reasons"]) == {
        "Prix: not an amount in dirhams such as 60000 or '60 000 DH'": 1,
        "the row has 2 values, the header has 6 columns": 1,
    }
    assert [(reason["code"], reason["column"]) for reason in receipt["reasons"]] == [
        ("not_an_amount", "Prix"),
        ("wrong_number_of_values", None),
    ]
    assert receipt["reasons"][1]["params"] == {"values": 2, "columns": 6}


def test_the_rows_of_all_fates_are_the_rows_of_the_file_whatever_its_size(root: DataRoot) -> None:
    numbers = [n % 40_000 for n in range(45_000)]  # more than are read at a time; 5,000 repeat far ones
    body = "".join(car(n, "85000" if n % 7 else "--" if n % 2 else "cheap") for n in numbers)
    receipt = check(root, HEADER + body)
    fates = ("accepted", "repeated", "unpriced", "not_used_cars", "quarantined")
    assert {fate: receipt[f"rows_{fate}"] for fate in fates} == {
        "accepted": 34_285,
        "repeated": 5_000,
        "unpriced": 2_857,
        "not_used_cars": 0,
        "quarantined": 2_858,
    }
    assert receipt["distinct_listings"] == 34_285
    assert len(root.read_parquet(f"listings/{receipt['sha256']}.parquet")) == 34_285
    quarantined = root.read_bytes(f"quarantine/{receipt['sha256']}.csv").decode("utf-8-sig").splitlines()
    assert len(quarantined) == 1 + 2_858
    assert counted(receipt["reasons_aside"]) == {"Prix: no asking price": 2_857}
    assert "of an even sample" in text_of(root, receipt)


def test_of_a_large_refused_file_every_row_is_quarantined(root: DataRoot) -> None:
    receipt = refusal(root, HEADER + "".join(car(n, "cheap" if n % 3 else "85000") for n in range(25_000)))
    assert (receipt["rows_quarantined"], receipt["rows_accepted"]) == (25_000, 0)
    rows = list(
        csv.reader(
            io.StringIO(root.read_bytes(f"quarantine/{receipt['sha256']}.csv").decode("utf-8-sig")),
            delimiter=";",
        )
    )
    assert [row[-2] for row in rows[1:]] == [str(line) for line in range(2, 25_002)]
    assert sum(row[-1] == WHOLE_FILE for row in rows) == 8_334


def test_a_row_with_two_fates_is_a_bug_that_stops_the_check(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("carprice.quality.outcome.Outcome.counts", lambda _: {"accepted": 61})
    with pytest.raises(AssertionError, match="this is a bug"):
        check(root, HEADER + "".join(car(n) for n in range(60)))
    assert root.names("receipts") == []
    assert root.names("listings") == []


def test_few_listings_in_many_rows_are_too_few(root: DataRoot) -> None:
    receipt = refusal(root, HEADER + "".join(car(n % 30, str(50_000 + n)) for n in range(600)))
    assert receipt["refusal_code"] == "too_few_listings"
    assert receipt["distinct_listings"] == 30
    assert "holds only 30 different listings in 600 usable rows" in str(receipt["refusal"])


def test_the_page_shows_values_that_were_not_used_and_rows_that_are_no_faults(root: DataRoot) -> None:
    body = "".join(car(n).replace("90 000 - 94 999", "beaucoup") for n in range(60)) + car(99, "--")
    receipt = check(root, HEADER + body)
    assert receipt["rows_partial"] == 60
    assert [
        (value["column"], value["rows"], value["examples"]) for value in receipt["unreadable_values"]
    ] == [("Kilométrage", 60, ["beaucoup"])]
    page = text_of(root, receipt)
    for words in (
        "60 accepted, 60 of them without mileage or fuel",
        "1 without an asking price",
        "Values that were not used",
        "beaucoup",
        "Prix: no asking price 1",
    ):
        assert words in page


def test_accepted_rows_are_stored_as_canonical_listings_that_name_their_file(root: DataRoot) -> None:
    receipt = check(root, HEADER + "".join(car(n) for n in range(60)) + car(99, ""))
    table = tables.as_canonical(root.read_parquet(f"listings/{receipt['sha256']}.parquet"))
    assert len(table) == 60
    assert set(table["source_sha256"]) == {receipt["sha256"]}
    schema.listing_schema().validate(table, lazy=True)


def test_the_quarantine_holds_refused_rows_in_the_file_s_own_words_with_line_and_reason(
    root: DataRoot,
) -> None:
    body = (
        "".join(car(n) for n in range(60)) + 'Dacia;"Log;an";2015;1 km;Diesel;selon état\n' + "Fiat;Punto;x\n"
    )
    receipt = check(root, HEADER + body)
    content = root.read_bytes(f"quarantine/{receipt['sha256']}.csv")
    rows = list(csv.reader(io.StringIO(content.decode("utf-8-sig")), delimiter=";"))
    assert rows[0] == [*HEADER.strip().split(";"), "line", "reason"]
    assert rows[1][:6] == ["Dacia", "Log;an", "2015", "1 km", "Diesel", "selon état"]
    assert rows[1][6:] == ["62", "Prix: not an amount in dirhams such as 60000 or '60 000 DH'"]
    assert rows[2] == [
        "Fiat",
        "Punto",
        "x",
        "",
        "",
        "",
        "63",
        "the row has 3 values, the header has 6 columns",
    ]
    # corrected there, it can be landed as it is
    assert read_raw(content).header[-1] == "reason"


def test_the_page_tells_the_verdict_the_counts_the_reasons_and_the_columns(root: DataRoot) -> None:
    header = HEADER.replace("Prix", "Couleur;Prix")
    body = "".join(car(n).replace(";Diesel;", ";Diesel;Rouge;") for n in range(60))
    receipt = check(root, header + body + "Dacia;Logan;2015;5;Diesel;Vert;cheap\n")
    page = text_of(root, receipt)
    for words in (
        "cars.csv",
        "Accepted. 60 listings of this file are used; 1 row was quarantined",
        "Prix: not an amount in dirhams",
        "Not used: Couleur.",
        "Optional columns that this file does not have: Lien, Ville",
        "62 Prix: not an amount in dirhams such as 60000 or '60 000 DH' Dacia Logan 2015 5 cheap",
    ):
        assert words in page
    assert receipt["unknown_columns"] == ["Couleur"]


def test_the_page_shows_markup_of_a_file_as_text(root: DataRoot) -> None:
    body = "".join(car(n) for n in range(60)) + car(1, "<script>alert(1)</script>").replace(
        "Logan", "<b>x</b>"
    )
    receipt = check(root, HEADER.replace("Modèle;", "Modèle;", 1) + body, name="<i>.csv")
    page = root.read_bytes(str(receipt["quality_page"])).decode()
    assert "<script>" not in page
    assert "&lt;script&gt;alert" in page
    assert "<i>.csv" not in page


def test_the_page_needs_nothing_from_elsewhere(root: DataRoot) -> None:
    page = root.read_bytes(
        str(check(root, HEADER + "".join(car(n) for n in range(60)))["quality_page"])
    ).decode()
    assert "http" not in page
    assert "src=" not in page


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cars.csv is empty (0 bytes)"),
        (HEADER, "cars.csv has a header of 6 columns and no rows"),
        (b"\x00\x01\xff" * 900, "cars.csv is not text (900 NUL bytes"),
        (
            HEADER.replace("Prix", "Prx") + car(1),
            "In cars.csv the required column 'Prix' is missing; the columns found are 'Marque', 'Modèle', "
            "'Année-Modèle', 'Kilométrage', 'Type de carburant', 'Prx' ('Prx' looks like 'Prix')",
        ),
        (
            HEADER + "".join(car(n) for n in range(13)),
            "cars.csv holds 13 usable rows, but at least 50 were expected",
        ),
        (
            HEADER + "".join(car(n, "60000" if n % 5 < 2 else "cheap") for n in range(200)),
            "In cars.csv 120 of 200 rows (60%) can't be used, but at most 50% was expected "
            "(quality.max_refused_share). The most frequent reason is: Prix: not an amount in dirhams such "
            "as 60000 or '60 000 DH' (120 rows).",
        ),
    ],
)
def test_a_file_that_can_not_be_used_gets_its_record_its_page_and_its_sentence(
    root: DataRoot, content: str | bytes, words: str
) -> None:
    receipt = refusal(root, content)
    assert words in str(receipt["refusal"])
    assert words.split(" (")[0] in text_of(root, receipt)


def test_of_a_refused_file_no_row_is_accepted_and_each_is_accounted_for(root: DataRoot) -> None:
    receipt = refusal(root, HEADER + car(1) * 2 + car(2) + car(3, "cheap"))
    counts = [receipt[k] for k in ("rows_in", "rows_repeated", "rows_accepted", "rows_refused")]
    assert counts == [4, 1, 0, 3]
    assert counted(receipt["reasons"]) == {
        "Prix: not an amount in dirhams such as 60000 or '60 000 DH'": 1,
        WHOLE_FILE: 2,
    }
    rows = root.read_bytes(f"quarantine/{receipt['sha256']}.csv").decode("utf-8-sig").splitlines()
    assert len(rows) == 4


def test_the_next_good_file_goes_through_after_a_refused_one(root: DataRoot) -> None:
    refusal(root, b"\x00" * 100, "bad.csv")
    assert check(root, HEADER + "".join(car(n) for n in range(60)), "good.csv")["status"] == "accepted"


def test_the_limits_are_those_of_the_settings(root: DataRoot) -> None:
    lenient = Params(quality=QualityParams(min_rows=2, max_refused_share=0.9))
    assert (
        check(root, HEADER + car(1) + car(2) + car(3, "") + car(4, ""), params=lenient)["rows_accepted"] == 2
    )


def test_checking_a_file_again_changes_nothing_and_gives_the_same_receipt(root: DataRoot) -> None:
    content = HEADER + "".join(car(n) for n in range(60))
    first = check(root, content)
    before = {
        p: p.stat().st_mtime_ns
        for p in Path(root.location).rglob("*")
        if p.is_file() and "raw" not in p.parts
    }
    assert check_data_quality(root, PARAMS, "cars.csv", str(first["sha256"])) == first
    after = {
        p: p.stat().st_mtime_ns
        for p in Path(root.location).rglob("*")
        if p.is_file() and "raw" not in p.parts
    }
    assert before == after


def test_checking_a_refused_file_again_refuses_it_again_with_the_same_receipt(root: DataRoot) -> None:
    assert refusal(root, HEADER) == refusal(root, HEADER)


def test_the_receipt_is_written_last(root: DataRoot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carprice.quality.check.quality_page", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        check(root, HEADER + "".join(car(n) for n in range(60)))
    assert root.names("receipts") == []


def test_a_file_that_changed_after_it_was_claimed_is_left_to_the_next_claim(root: DataRoot) -> None:
    root.write_text("raw/cars.csv", HEADER)
    with pytest.raises(NothingToDo, match="changed after it was claimed"):
        check_data_quality(root, PARAMS, "cars.csv", "0" * 64)


def test_a_file_that_is_gone_is_named(root: DataRoot) -> None:
    with pytest.raises(DataRefused, match=r"gone\.csv was expected in raw/"):
        check_data_quality(root, PARAMS, "gone.csv", "0" * 64)


def test_checking_does_not_load_the_libraries_of_training() -> None:
    code = (
        "import sys, carprice.quality.check as q, carprice.params as p;"
        "q.opened(b'Marque;Prix\\n1;2\\n', 'x', p.Params().quality).read();"
        "print(sorted({'mlflow', 'sklearn', 'matplotlib', 'evidently'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_sample_is_accepted_with_its_dirt_counted(root: DataRoot) -> None:
    receipt = check(root, sample.to_csv(sample.generate(2000, 3)), "synthetic.csv")
    assert receipt["status"] == "accepted"
    assert receipt["rows_repeated"] == 240
    assert 0 < int(str(receipt["rows_refused"])) + int(str(receipt["rows_unpriced"])) < 40
    assert receipt["unknown_columns"] == []


@real_data
def test_the_real_scrape_is_17339_rows_of_which_5663_are_distinct_and_all_are_accepted(
    root: DataRoot,
) -> None:
    receipt = check(root, (REAL_DATA / "avito_cars.csv").read_bytes(), "avito_cars.csv")
    assert receipt["status"] == "accepted"
    counts = [receipt[k] for k in ("rows_in", "rows_repeated", "rows_accepted", "rows_refused")]
    assert counts == [17339, 17339 - 5663, 5663, 0]
    table = root.read_parquet(f"listings/{receipt['sha256']}.parquet")
    raw = read_raw((REAL_DATA / "avito_cars.csv").read_bytes()).table
    assert table["price_mad"].max() == raw["Prix"].astype(int).max() > 10_000_000
    assert table["mileage_km_max"].notna().all()


@real_data
def test_the_real_wide_file_is_refused_as_too_few(root: DataRoot) -> None:
    receipt = refusal(root, (REAL_DATA / "avito_cars_wide.csv").read_bytes(), "avito_cars_wide.csv")
    assert "avito_cars_wide.csv holds 13 usable rows, but at least 50 were expected" in str(
        receipt["refusal"]
    )
    assert receipt["unknown_columns"] == []


@real_data
def test_the_sample_has_the_columns_of_the_real_wide_file() -> None:
    header = read_raw((REAL_DATA / "avito_cars_wide.csv").read_bytes()).header
    assert header == sample.COLUMNS
    rows = pd.read_csv(REAL_DATA / "avito_cars_wide.csv", dtype=str)
    assert not set(rows["Lien"]) & set(sample.generate(2000, 0)["Lien"])


def test_a_receipt_of_format_1_is_read_and_one_of_a_newer_release_refused(root: DataRoot) -> None:
    receipt = check(root, HEADER + "".join(car(n) for n in range(60)) + car(99, "cheap"))
    sha = str(receipt["sha256"])
    assert receipt["format_version"] == 2
    old = {key: value for key, value in receipt.items() if key != "format_version"}
    root.write_json(f"receipts/{sha}.json", old | {"reasons": {"Prix: cheap": 1}, "reasons_aside": {}})
    assert counted(read_receipt(root, sha)["reasons"]) == {"Prix: cheap": 1}

    root.write_json(f"receipts/{sha}.json", receipt | {"format_version": 3})
    sentence = "expected to have a format up to 2, found format_version 3: a newer release wrote it"
    for read in (read_receipt, lambda root, sha: assembling.assemble(root, PARAMS, [sha])):
        with pytest.raises(UsageProblem, match=sentence):
            read(root, sha)


def test_the_page_says_what_each_column_was_taken_for_and_why(root: DataRoot) -> None:
    makes = [("Dacia", "Logan"), ("Renault", "Clio"), ("Peugeot", "208")]
    rows = [
        f"{make} {model} Diesel {year} à Casablanca;{make};{model};{column_year};"
        f"\"['ABS', 'Airbags', 'Radar de recul']\";{60000 + 10 * n} DH\n"
        for n in range(60)
        for make, model in [makes[n % 3]]
        for year in [2010 + n % 9]
        for column_year in [2001 if n == 7 else year]
    ]
    receipt = check(root, "titre;marque;modele;annee;options;prix\n" + "".join(rows))
    uses = {use["column"]: use for use in receipt["column_uses"]}  # type: ignore[attr-defined]
    assert {name: use["taken_for"] for name, use in uses.items()} == receipt["columns"]
    assert uses["options"]["code"] in ("values", "values_are")
    assert receipt["contradictions"] == [
        {
            "field": "model_year",
            "rows": 1,
            "examples": [{"column": "2001", "title": "Renault Clio Diesel 2017 à Casablanca"}],
        }
    ]
    page = text_of(root, receipt)
    for words in ("title of the ad", "list of equipment its values say so", "2001 against “Renault Clio"):
        assert words in page
    assert "Airbags" not in page[page.index("does not have") : page.index("Taken for")]


def test_the_page_folds_rare_reasons_away_and_shows_titles_of_quarantined_rows(root: DataRoot) -> None:
    rows = [f"Dacia Logan Diesel {2010 + n % 9};{60000 + n}\n" for n in range(60)]
    others = [f"{word} a vendre;{5000 + n}\n" for n, word in enumerate(OTHER_ADS.split())]
    receipt = check(root, "Title;Price\n" + "".join(rows + others) + "belle voiture familiale;45000\n")
    assert receipt["status"] == "accepted"
    page = text_of(root, receipt)
    assert "belle voiture familiale" in page
    assert len(receipt["reasons_aside"]) > 8  # type: ignore[arg-type]
    assert "more, in" in page


def test_dates_that_count_back_do_so_from_when_the_file_was_written_whenever_it_is_read(
    root: DataRoot, tmp_path: Path
) -> None:
    words = ("il y a 3 heures", "hier", "il y a 2 jours", "à l'instant")
    rows = [f"{words[n % 4]};{car(n, str(60_000 + 500 * n))}" for n in range(60)]
    content = "Date;" + HEADER + "".join(rows)
    root.write_bytes("raw/cars.csv", content.encode())
    (tmp_path / "cars.csv").write_text(content)
    written = pd.Timestamp("2025-03-04 12:00", tz="UTC")
    for path in (root.path("raw/cars.csv"), str(tmp_path / "cars.csv")):
        os.utime(path, (written.timestamp(), written.timestamp()))
    sha256 = sha256_of(root, "raw/cars.csv")
    found = []
    for _ in range(2):
        check_data_quality(root, PARAMS, "cars.csv", sha256)
        read = pd.read_parquet(root.path(f"listings/{sha256}.parquet"))["scraped_at"]
        assert ((written - read).dt.total_seconds() / 3600).tolist()[:4] == [3.0, 24.0, 48.0, 0.0]
        found.append(root.read_bytes(f"listings/{sha256}.parquet"))
        root.remove(f"receipts/{sha256}.json")
    assert found[0] == found[1]
    listed = tmp_path / "rows.csv"
    try_file(str(tmp_path / "cars.csv"), PARAMS.quality, row_list=str(listed))
    tried = pd.to_datetime(pd.read_csv(listed)["scraped_at"])
    assert ((written - tried).dt.total_seconds() / 3600).tolist()[:4] == [3.0, 24.0, 48.0, 0.0]
