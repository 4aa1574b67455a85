"""A run against the replica: what it lands, and what it does when it is killed."""

import json
import os
import random
import re
import signal
import time
from pathlib import Path

import pytest
from demo.replica.market import Market
from demo.replica.server import AVITO, FIRST_PAGES, MOTEUR, SITEMAP, Answer, Replica
from running import Operator

from carprice.store import DataRoot
from carprice_collector import collecting, delivery
from carprice_collector.ads import COLUMNS
from carprice_collector.journal import Journal


@pytest.mark.parametrize("source", FIRST_PAGES)
def test_a_run_lands_every_ad_once_with_a_manifest_of_what_it_covers(
    operator: Operator, replica: Replica, source: str
) -> None:
    done = operator.collect(replica, source=source)

    assert done.status == 0, done.said
    rows = operator.landed()
    assert sorted(row["listing_id"] for row in rows) == sorted(str(ad.number) for ad in replica.ads())
    (file,) = operator.files()
    assert file.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
    manifest = json.loads((operator.data / f"collected/{file.stem}.json").read_text())
    assert manifest["complete"] is True
    assert manifest["file"] == file.name
    assert manifest["ads"] == len(rows)
    assert manifest["scope"]["first_page"] == replica.address + FIRST_PAGES[source]
    assert manifest["unpriced"] == sum(ad.price is None for ad in replica.ads())
    assert not list((operator.data / "collected/state").rglob("*.sqlite-wal"))
    assert replica.most_at_once == 1


def test_a_sitemap_is_read_page_by_page(operator: Operator) -> None:
    with Replica(Market(size=12)) as replica:
        done = operator.collect(replica, "--sitemap", replica.address + SITEMAP, source="jsonld")
    assert done.status == 0, done.said
    assert len(operator.landed()) == 12
    assert operator.landed()[0]["source"] == "127.0.0.1"


@pytest.mark.parametrize("apollo", [False, True])
def test_details_are_read_where_asked_for(operator: Operator, apollo: bool) -> None:
    with Replica(Market(size=8)) as replica:
        replica.apollo = apollo
        done = operator.collect(replica, "--details")
        assert done.status == 0, done.said
        truth = {str(ad.number): ad for ad in replica.ads()}
    rows = operator.landed()
    assert len(rows) == 8
    for row in rows:
        ad = truth[row["listing_id"]]
        assert (row["make"], row["model"], row["fiscal_power_cv"]) == (ad.make, ad.model, str(ad.power))
        assert row["title"] == ad.title


def test_a_limit_of_pages_makes_a_run_that_says_it_is_not_complete(
    operator: Operator, replica: Replica
) -> None:
    done = operator.collect(replica, "--pages", "2")
    assert done.status == 0, done.said
    assert (done.result["complete"], done.result["stopped"]) == (False, "pages")
    assert len(operator.landed()) == 70
    assert len(replica.pages) == 2


def test_a_run_that_is_killed_goes_on_and_no_ad_is_lost_or_there_twice(operator: Operator) -> None:
    with Replica(Market(size=350)) as replica:
        replica.fault = lambda path, number: time.sleep(0.3)  # type: ignore[func-returns-value]
        run = operator.start("--source", "avito", "--start", replica.address + AVITO)
        deadline = time.monotonic() + 200
        while len(replica.pages) < 4 and time.monotonic() < deadline:
            time.sleep(0.05)
        run.kill()
        run.join()
        assert run.exitcode == -signal.SIGKILL
        before = len(replica.pages)
        assert operator.files() == []
        replica.fault = lambda path, number: None

        done = operator.collect(replica)

        assert done.status == 0, done.said
        assert "goes on where it was" in done.said
        assert done.result["complete"] is True
        found = [row["listing_id"] for row in operator.landed()]
        assert sorted(found) == sorted(str(ad.number) for ad in replica.ads())
        assert len(operator.files()) == 1
        # The page in hand is asked for again, and no other.
        assert len(replica.pages) - before <= 10 - before + 2


def test_a_run_that_is_killed_again_and_again_ends_with_every_ad_once(operator: Operator) -> None:
    dice = random.Random(17)
    with Replica(Market(size=350)) as replica:
        replica.fault = lambda path, number: time.sleep(0.15)  # type: ignore[func-returns-value]
        for kill in range(1, 5):
            run = operator.start("--source", "avito", "--start", replica.address + AVITO)
            deadline = time.monotonic() + 60
            while len(replica.pages) < 2 * kill and time.monotonic() < deadline:
                time.sleep(0.01)
            time.sleep(dice.uniform(0, 0.2))
            run.kill()
            run.join()
        done = operator.collect(replica)

        assert done.status == 0, done.said
        assert done.result["complete"] is True
        found = [row["listing_id"] for row in operator.landed()]
        assert sorted(found) == sorted(str(ad.number) for ad in replica.ads())
        assert len(operator.files()) == 1
        # at most the page in hand is asked for again, after each kill
        assert len(replica.pages) <= 10 + 4


@pytest.mark.parametrize(
    "moment", ["land", "land+", "write_json", "write_json+", "Journal.remove", "write_csv+"]
)
def test_a_run_that_is_killed_while_it_lands_is_landed_once(
    operator: Operator, replica: Replica, moment: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    place, name = {
        "land": (delivery, "land"),
        "write_json": (DataRoot, "write_json"),
        "write_csv": (collecting, "write_csv"),
        "Journal.remove": (Journal, "remove"),
    }[moment.rstrip("+")]
    real, operators_own = getattr(place, name), os.getpid()

    def killed(*arguments: object, **named: object) -> None:
        if moment.endswith("+") or os.getpid() == operators_own:
            real(*arguments, **named)
        if os.getpid() != operators_own:
            os.kill(os.getpid(), signal.SIGKILL)

    with monkeypatch.context() as patched:
        patched.setattr(place, name, killed)
        run = operator.ended(operator.start("--source", "avito", "--start", replica.address + AVITO))
        assert run.status == -signal.SIGKILL

    done = operator.collect(replica, "--pages", "1")

    assert done.status == 0, done.said
    first, second = operator.files()
    assert second.stem == done.result["run"]
    manifest = json.loads((operator.data / f"collected/{first.stem}.json").read_text())
    assert (manifest["complete"], manifest["ads"]) == (True, len(replica.ads()))
    rows = [row["listing_id"] for row in operator.landed()]
    assert len(rows) == len(replica.ads()) + 35
    assert sorted(set(rows)) == sorted(str(ad.number) for ad in replica.ads())


def test_arabic_titles_are_landed_as_they_are(operator: Operator) -> None:
    with Replica(Market(size=60, arabic=1.0, rentals=0)) as replica:
        done = operator.collect(replica)
        assert done.status == 0, done.said
        truth = {str(ad.number): ad.title for ad in replica.ads()}
    assert {row["listing_id"]: row["title"] for row in operator.landed()} == truth
    assert all(re.search("[\u0600-\u06ff]", title) for title in truth.values())


def test_another_run_lands_what_a_killed_one_has(operator: Operator, replica: Replica) -> None:
    replica.fault = lambda path, number: time.sleep(0.5) if "o=2" in path else None  # type: ignore[func-returns-value]
    run = operator.start("--source", "avito", "--start", replica.address + AVITO)
    deadline = time.monotonic() + 200
    while not replica.is_asked_for(AVITO + "?o=2") and time.monotonic() < deadline:
        time.sleep(0.05)
    run.kill()
    run.join()
    while replica.is_busy:  # a site does not see at once that nobody waits any more
        time.sleep(0.05)

    done = operator.collect(replica, "--pages", "1")

    assert done.status == 0, done.said
    first, second = operator.files()
    manifest = json.loads((operator.data / f"collected/{first.stem}.json").read_text())
    assert (manifest["complete"], manifest["stopped"]) == (False, "killed")
    assert manifest["ads"] == 35
    assert second.stem == done.result["run"]


def test_an_ad_on_two_pages_is_written_once(operator: Operator, replica: Replica) -> None:
    first = replica.page(AVITO).body

    def shifted(path: str, number: int) -> Answer | None:
        # New ads pushed the first page to the second place while the run went on.
        return Answer(200, first.replace(b"?o=2", b"?o=3")) if path.endswith("o=2") else None

    replica.fault = shifted
    done = operator.collect(replica)
    assert done.status == 0, done.said
    found = [row["listing_id"] for row in operator.landed()]
    assert len(found) == len(set(found)) == 55


def test_two_runs_never_ask_one_site_at_once(operator: Operator, replica: Replica, tmp_path: Path) -> None:
    replica.fault = lambda path, number: time.sleep(2) if path == "/robots.txt" else None  # type: ignore[func-returns-value]
    first = operator.start("--source", "avito", "--start", replica.address + AVITO)
    deadline = time.monotonic() + 200
    lock = (
        operator.data / "collected/state" / replica.address.removeprefix("http://").replace(":", "_") / "lock"
    )
    while not lock.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    other = operator.ended(operator.start("--source", "moteur", "--start", replica.address + MOTEUR))
    assert other.status == 99
    assert "already" in other.said
    assert operator.ended(first).status == 0
    assert replica.most_at_once == 1


def test_nothing_personal_is_written_anywhere(operator: Operator) -> None:
    with Replica(Market(size=40, telephones_everywhere=True)) as replica:
        done = operator.collect(replica, "--details")
        assert done.status == 65  # nobody asks a price
        run = done.result["run"]
        released = operator.ended(operator.start("--release", run))
        assert released.status == 0, released.said
    assert len(operator.landed()) == 40
    written = operator.written().replace(replica.address.rpartition(":")[2], "")
    digits = "".join(letter for letter in written if letter.isdecimal())
    assert "66123456" not in digits
    assert "66123457" not in digits
    assert "٠٦٦١" not in written
    for word in ("Mohamed", "Auto Exemple", "Appelez", "images.invalid"):
        assert word not in written
