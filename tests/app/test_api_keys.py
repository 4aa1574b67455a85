"""API keys on real databases: shown once, kept as hashes, revocable, in force while the database is away."""

from __future__ import annotations

import hashlib
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import sqlalchemy as sa
from databases import APP, KINDS, Server, database_of_kind, running_server

from price_api import database
from price_api.api_keys import ApiKeys, KeyRefused, KeyState
from price_api.database import DatabaseAway, engine_of, reading


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_of_kind(request.param, request, tmp_path)


@pytest.fixture
def keys(url: str) -> Iterator[ApiKeys]:
    opened = ApiKeys(url)
    yield opened
    opened.close()


def within(seconds: float, happened: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + seconds
    while not happened():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def test_a_new_key_is_in_force_at_once_and_another_text_is_unknown(keys: ApiKeys) -> None:
    assert keys.check("cp_" + "x" * 43) == KeyState("unknown")
    key = keys.create("price page")
    assert re.fullmatch(r"cp_[\w-]{43}", key)
    assert keys.check(key) == KeyState("ok", "price page")
    for other in (
        "",
        "cp_",
        key[:-1],
        key + "x",
        key.upper(),
        f" {key}",
        "é" * 46,
        "\ud800",
        "cp_" + "\0" * 43,
    ):
        assert keys.check(other) == KeyState("unknown")


def test_a_key_made_by_another_process_is_known_within_a_second(url: str, keys: ApiKeys) -> None:
    keys.create("first")
    program = (
        "import sys; from price_api.api_keys import ApiKeys; print(ApiKeys(sys.argv[1]).create('second'))"
    )
    made = subprocess.run(
        [sys.executable, "-c", program, url], cwd=APP, check=True, capture_output=True, text=True
    )
    assert within(1, lambda: keys.check(made.stdout.strip()) == KeyState("ok", "second"))


def test_a_revocation_elsewhere_counts_within_five_seconds_and_for_the_revoked_key_only(
    url: str, keys: ApiKeys
) -> None:
    first, second = keys.create("first"), keys.create("second")
    assert keys.check(first).state == keys.check(second).state == "ok"
    elsewhere = ApiKeys(url)
    elsewhere.revoke("first")
    elsewhere.close()
    assert within(5, lambda: keys.check(first) == KeyState("revoked", "first"))
    assert keys.check(second) == KeyState("ok", "second")


def test_a_key_revoked_after_a_long_rest_does_not_pass_once_more(url: str, keys: ApiKeys) -> None:
    key = keys.create("first")
    assert keys.check(key).state == "ok"
    elsewhere = ApiKeys(url)
    elsewhere.revoke("first")
    elsewhere.close()
    time.sleep(2.1)  # longer than an answer is remembered
    with ThreadPoolExecutor(8) as threads:
        assert {state.state for state in threads.map(keys.check, [key] * 64)} == {"revoked"}


def test_neither_the_database_nor_the_log_nor_a_list_holds_a_key(
    url: str, keys: ApiKeys, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    key = keys.create("first")
    keys.check(key)
    keys.check(key[:-1] + "x")
    (listed,) = keys.list()
    assert (listed.name, listed.last_characters, listed.revoked_at) == ("first", key[-4:], None)
    engine = engine_of(url)
    with reading(engine) as connection:
        (row,) = connection.execute(sa.select(database.api_keys)).all()
    engine.dispose()
    assert row.key_sha256 == hashlib.sha256(key.encode()).hexdigest()
    secret = key[3:-4]
    for text in (repr(row), repr(listed), caplog.text):
        assert secret not in text


def test_a_name_has_one_key_in_force_and_may_be_given_again_after_a_revocation(keys: ApiKeys) -> None:
    old = keys.create("price page")
    with pytest.raises(KeyRefused, match="'price page', which has one; choose another or revoke"):
        keys.create(" price page ")
    assert keys.revoke("price page").revoked_at is not None
    new = keys.create("price page")
    assert (keys.check(old).state, keys.check(new).state) == ("revoked", "ok")
    assert [(key.name, key.revoked_at is None) for key in keys.list()] == [
        ("price page", False),
        ("price page", True),
    ]


def test_keys_of_one_name_made_at_the_same_time_are_one(keys: ApiKeys) -> None:
    start = threading.Barrier(6)

    def create(_: int) -> str | None:
        start.wait()
        try:
            return keys.create("page")
        except KeyRefused:
            return None

    with ThreadPoolExecutor(6) as threads:
        made = [key for key in threads.map(create, range(6)) if key]
    assert len(made) == 1
    assert keys.check(made[0]).state == "ok"


def test_a_key_can_be_revoked_by_its_number(keys: ApiKeys) -> None:
    first, second = keys.create("first"), keys.create("second")
    keys.revoke(str(keys.list()[0].id))
    assert (keys.check(first).state, keys.check(second).state) == ("revoked", "ok")


@pytest.mark.parametrize("what", ["nobody", "99", "", "9" * 40, "a\0b", "revoked"])
def test_revoking_what_is_not_in_force_names_what_is(what: str, keys: ApiKeys) -> None:
    keys.create("in force")
    keys.create("revoked")
    keys.revoke("revoked")
    with pytest.raises(KeyRefused, match="in force: in force"):
        keys.revoke(what)
    assert [key.name for key in keys.list() if key.revoked_at is None] == ["in force"]


@pytest.mark.parametrize("name", ["", "  ", "12", "a\nb", "a\0b", "n" * 61, "\ud800"])
def test_a_name_that_cannot_be_told_apart_or_shown_is_refused(name: str, keys: ApiKeys) -> None:
    with pytest.raises(KeyRefused, match="a key's name must be"):
        keys.create(name)


def test_keys_seen_before_keep_their_worth_while_the_database_is_away_and_others_are_refused(
    server: Server,
) -> None:
    url = server.new_database()
    keys = ApiKeys(url)
    good, bad, unseen = keys.create("good"), keys.create("bad"), "cp_" + "u" * 43
    keys.revoke("bad")
    assert keys.check(good).state == "ok"
    server.stop()
    try:
        time.sleep(2.1)  # longer than an answer is remembered
        for _ in range(3):
            assert keys.check(good) == KeyState("ok", "good")
            assert keys.check(bad) == KeyState("revoked", "bad")
            assert keys.check(unseen) == KeyState("unavailable")
        assert keys.check("no key of ours") == KeyState("unknown")
        with pytest.raises(DatabaseAway):
            keys.create("another")
        fresh = ApiKeys(url)
        assert fresh.check(good) == KeyState("unavailable")
    finally:
        server.resume()
    assert within(5, lambda: keys.check(unseen) == KeyState("unknown"))
    assert within(5, lambda: fresh.check(good) == KeyState("ok", "good"))
    keys.close()
    fresh.close()
