"""The prediction log on real databases: nothing lost, nothing waited for, nothing about persons kept."""

from __future__ import annotations

import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from databases import APP, KINDS, Server, database_of_kind, locked, running_server

from carprice.listings.schema import FEATURES
from price_api import database
from price_api.database import DatabaseAway, DatabaseRefused, engine_of, migrate, reading, writing
from price_api.prediction_log.log import PredictionLog
from price_api.prediction_log.records import FeedbackOfAnother, Filters, Logged, Prediction
from price_api.prediction_log.rows import row_of, without_personal_data

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
LOGAN = {"make": "Dacia", "model": "Logan", "model_year": 2015.0, "mileage_km_min": 120_000.0, "gps": 1.0}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with running_server() as running:
        yield running


@pytest.fixture(params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    return database_of_kind(request.param, request, tmp_path)


@pytest.fixture
def sqlite_url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'predictions.db'}"


@pytest.fixture
def opened() -> Iterator[Callable[..., PredictionLog]]:
    """Makes started logs and stops them at the end."""
    logs: list[PredictionLog] = []

    def start(url: str, **options: Any) -> PredictionLog:
        logs.append(PredictionLog(url, **options))
        logs[-1].start()
        return logs[-1]

    yield start
    for log in logs:
        log.stop(5)


def prediction(**changes: Any) -> Prediction:
    values: dict[str, Any] = {
        "prediction_id": uuid.uuid4().hex, "at": datetime.now(UTC), "listing": LOGAN,
        "asking_price_mad": None, "price_mad": 95_300, "low_mad": 80_100, "high_mad": 113_000,
        "version": "3", "alias": "production", "source": "predict", "latency_ms": 4.25,
    }  # fmt: skip
    return Prediction(**values | changes)


def ids_of(url: str) -> list[str]:
    engine = engine_of(url)
    try:
        with reading(engine) as connection:
            return list(connection.scalars(sa.select(database.predictions.c.prediction_id)))
    finally:
        engine.dispose()


def until(happened: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, f"did not happen in a minute: {what}"
        time.sleep(0.02)


# Writing


def test_an_orderly_stop_writes_every_one_of_20000_predictions_recorded_at_once(
    url: str, opened: Callable[..., PredictionLog]
) -> None:
    log = opened(url, queue_size=20_000)
    given = [prediction() for _ in range(20_000)]
    parts = [given[start::4] for start in range(4)]
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda part: [log.record(each) for each in part], parts[:3]))
    log.record_many(parts[3])
    assert log.stop(120)
    assert (log.written, log.dropped, log.waiting, log.last_error) == (20_000, 0, 0, None)
    assert sorted(ids_of(url)) == sorted(each.prediction_id for each in given)


def test_a_prediction_comes_back_as_it_was_recorded(url: str, opened: Callable[..., PredictionLog]) -> None:
    log = opened(url)
    given = prediction(
        at=NOW, asking_price_mad=99_000.0, latency_ms=1.5, shadow_version="4", shadow_price_mad=96_000.0
    )
    log.record(given)
    found = log.one(given.prediction_id)
    assert found == Logged(
        given.prediction_id, NOW, {**dict.fromkeys(FEATURES), **LOGAN}, 99_000, 95_300, 80_100, 113_000,
        "3", "production", "predict", 1.5, "4", 96_000, None, None,
    )  # fmt: skip
    assert found is not None
    assert found.at.tzinfo is UTC
    assert str(found.price_mad) == "95300"


def test_the_day_asked_for_is_kept_with_the_listing(
    sqlite_url: str, opened: Callable[..., PredictionLog]
) -> None:
    log = opened(sqlite_url)
    given = prediction(listing=LOGAN | {"asked_on": "2026-05-04"})
    log.record(given)
    found = log.one(given.prediction_id)
    assert found is not None
    assert found.listing == dict.fromkeys(FEATURES) | LOGAN | {"asked_on": "2026-05-04"}


def test_what_does_not_fit_into_the_queue_is_counted_and_the_rest_is_written(sqlite_url: str) -> None:
    log = PredictionLog(sqlite_url, queue_size=100)
    given = [prediction() for _ in range(150)]
    for each in given[:90]:
        log.record(each)
    log.record_many(given[90:])
    log.record(prediction())
    assert (log.waiting, log.dropped) == (100, 51)
    log.start()
    assert log.stop(30)
    assert (log.written, log.dropped) == (100, 51)
    assert set(ids_of(sqlite_url)) == {each.prediction_id for each in given[:100]}


def test_a_stopped_log_counts_what_comes_too_late(sqlite_url: str) -> None:
    log = PredictionLog(sqlite_url)
    log.start()
    log.stop(10)
    log.record(prediction())
    log.record_many([prediction(), prediction()])
    assert (log.waiting, log.dropped) == (0, 3)


def test_a_locked_sqlite_file_holds_up_no_prediction_and_loses_none(
    sqlite_url: str, opened: Callable[..., PredictionLog]
) -> None:
    log = opened(sqlite_url)
    with locked(sqlite_url):
        given = [prediction() for _ in range(3_000)]
        for each in given:
            log.record(each)
        assert log.waiting == 3_000  # recorded while nobody could write
        until(lambda: log.last_error, "the log says that it can't write")
        assert "locked" in str(log.last_error)
        assert not log.flush(0.1)
        assert (log.written, log.dropped) == (0, 0)
    assert log.flush(60)
    until(lambda: log.last_error is None, "the log says that it can write again")
    assert set(ids_of(sqlite_url)) == {each.prediction_id for each in given}


def test_a_postgresql_that_stops_and_starts_holds_up_no_prediction_and_loses_none(
    server: Server, opened: Callable[..., PredictionLog]
) -> None:
    url = server.new_database()
    log = opened(url)
    given = [prediction() for _ in range(3_000)]
    log.record_many(given[:1_000])
    assert log.flush(60)
    server.stop()
    try:
        for each in given[1_000:]:
            log.record(each)
        assert log.waiting == 2_000
        until(lambda: log.last_error, "the log says that it can't write")
        with pytest.raises(DatabaseAway, match="try again in a moment"):
            log.page(Filters())
        with pytest.raises(DatabaseAway, match="try again in a moment"):
            log.feedback(given[-1].prediction_id, 90_000)
    finally:
        server.resume()
    assert log.flush(60)
    assert (log.written, log.dropped) == (3_000, 0)
    assert set(ids_of(url)) == {each.prediction_id for each in given}


def test_a_log_started_without_its_database_writes_once_it_is_there(
    server: Server, opened: Callable[..., PredictionLog]
) -> None:
    url = server.new_database()
    server.stop()
    try:
        log = opened(url)
        assert log.last_error is not None
        log.record(prediction())
    finally:
        server.resume()
    assert log.flush(60)
    assert len(ids_of(url)) == 1


def test_predictions_recorded_while_the_server_restarts_again_and_again_are_all_written_once(
    server: Server, opened: Callable[..., PredictionLog]
) -> None:
    url = server.new_database()
    log = opened(url, queue_size=50_000)
    given: list[Prediction] = []
    enough = threading.Event()

    def record() -> None:
        while not enough.is_set():
            given.append(prediction())
            log.record(given[-1])
            time.sleep(0.0005)

    recorder = threading.Thread(target=record)
    recorder.start()
    try:
        for _ in range(3):
            time.sleep(0.3)
            server.stop()
            server.resume()
    finally:
        enough.set()
        recorder.join()
    assert log.stop(60)
    assert log.dropped == 0
    assert sorted(ids_of(url)) == sorted(each.prediction_id for each in given)


def test_a_stop_while_the_database_is_away_ends_in_time_and_counts_what_is_lost(sqlite_url: str) -> None:
    log = PredictionLog(sqlite_url)
    log.start()
    with locked(sqlite_url):
        log.record_many([prediction() for _ in range(7)])
        assert not log.stop(0.5)
        assert (log.dropped, log.waiting) == (7, 0)
        assert log.flush(1)


def test_the_same_prediction_recorded_twice_is_there_once(
    url: str, opened: Callable[..., PredictionLog]
) -> None:
    log = opened(url)
    given = prediction()
    log.record(given)
    assert log.flush(30)
    log.record_many([given, prediction()])
    assert log.flush(30)
    assert len(ids_of(url)) == 2


@pytest.mark.parametrize(
    "changes",
    [
        {"prediction_id": "x" * 33},
        {"price_mad": float("nan")},
        {"price_mad": None},
        {"at": "yesterday"},
        {"listing": None},
        {"alias": "a\0b"},
        {"version": "\ud800"},
    ],
    ids=["long id", "NaN", "no price", "text as time", "no listing", "NUL", "half a character"],
)
def test_a_prediction_that_cannot_be_stored_holds_up_no_other(
    changes: dict[str, Any], server: Server, opened: Callable[..., PredictionLog]
) -> None:
    url = server.new_database()
    log = opened(url)
    good = [prediction(), prediction()]
    log.record_many([good[0], prediction(**changes), good[1]])
    assert log.flush(30)
    assert (log.written, log.dropped, log.waiting) == (2, 1, 0)
    assert set(ids_of(url)) == {each.prediction_id for each in good}


# What is kept


PERSONAL = [
    "appeler Karim 0661234567",
    "06 61 23 45 67",
    "06.61.23.45.67",
    "06-61-23-45-67",
    "+212 6 61-23.45 67",
    "٠٦٦١٢٣٤٥٦٧",
    "06\u00a061\u00a023\u00a045",
    "karim@example.org",
    "karim＠example.org",
    "CIN BE 123456",
    "Dacia Logan de Monsieur Karim Alaoui, 12 rue des Orangers, Casablanca",
    "06612\u200b34567",
]


@pytest.mark.parametrize("text", PERSONAL)
def test_text_that_may_be_about_a_person_is_not_kept(text: str) -> None:
    assert without_personal_data(text) is None


@pytest.mark.parametrize(
    "text",
    ["Dacia", "Aïn Sebaâ", "Classe C 220", "208", "Série 3 - 320", "Rabat 10000", "الدار البيضاء", "C-HR"],
)
def test_text_about_a_car_is_kept(text: str) -> None:
    assert without_personal_data(text) == text


def test_no_personal_data_reaches_the_database(url: str, opened: Callable[..., PredictionLog]) -> None:
    log = opened(url)
    texts = {"make", "model", "city", "district", "fuel", "gearbox", "origin", "condition"}
    secrets = {
        "seller": "Karim Alaoui",
        "url": "https://example.org/5551",
        "user_agent": "Firefox/1",
        "k": "cp_x",
    }
    for text in PERSONAL:
        log.record(prediction(listing={**LOGAN, **dict.fromkeys(texts, text), **secrets}))
        log.record(prediction(listing={**LOGAN, "model_year": text, "doors": 661234567, "gps": float("nan")}))
    assert log.flush(30)
    engine = engine_of(url)
    with reading(engine) as connection:
        rows = connection.execute(sa.select(database.predictions)).all()
    engine.dispose()
    assert len(rows) == 2 * len(PERSONAL)
    stored = repr([tuple(row) for row in rows])
    for text in [*PERSONAL, *secrets.values(), "661234567"]:
        assert text not in stored
    assert {name for row in rows for name in row.listing} <= set(FEATURES)
    if url.startswith("sqlite"):
        log.stop(10)
        file = Path(url.removeprefix("sqlite:///"))
        for each in [file, file.with_name(f"{file.name}-wal")]:
            content = each.read_bytes() if each.exists() else b""
            assert b"661234567" not in content
            assert b"Karim" not in content


def test_an_error_quotes_neither_the_listing_nor_the_password(
    server: Server, opened: Callable[..., PredictionLog], caplog: pytest.LogCaptureFixture
) -> None:
    url = server.new_database()
    password = sa.make_url(url).password
    log = opened(url)
    log.record(prediction(prediction_id="y" * 40, listing={**LOGAN, "city": "Chefchaouen"}))
    assert log.flush(30)
    server.stop()
    try:
        log.record(prediction(listing={**LOGAN, "city": "Chefchaouen"}))
        until(lambda: log.last_error, "the log says that it can't write")
        with pytest.raises(DatabaseAway) as away:
            log.page(Filters(make="Chefchaouen"))
    finally:
        server.resume()
    assert "was not logged" in caplog.text
    for text in (caplog.text, str(log.last_error), str(away.value)):
        assert "Chefchaouen" not in text
        assert str(password) not in text


# Retention


def test_rows_older_than_the_retention_go_at_start_with_their_feedback_and_newer_ones_stay(
    url: str, opened: Callable[..., PredictionLog]
) -> None:
    now = datetime.now(UTC)
    old = [prediction(at=now - timedelta(days=31, seconds=each)) for each in range(2_500)]
    new = [prediction(at=now - timedelta(days=29)), prediction(at=now)]
    first = opened(url, retention_days=3650)
    first.record_many([*old, *new])
    for each in (*old[:2], *new):
        assert first.feedback(each.prediction_id, 90_000) is not None
    first.stop(30)
    second = opened(url, retention_days=30)
    until(lambda: len(ids_of(url)) == 2, "the old rows are gone")
    assert {each.prediction_id for each in second.page(Filters(with_feedback=True)).predictions} == set(
        ids_of(url)
    )
    engine = engine_of(url)
    with reading(engine) as connection:
        assert connection.scalar(sa.select(sa.func.count()).select_from(database.feedback)) == 2
    engine.dispose()


# Feedback


def test_feedback_is_taken_for_a_prediction_that_is_not_written_yet_and_again_replaces_it(
    url: str, opened: Callable[..., PredictionLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("price_api.prediction_log.log._FEEDBACK_WAIT_SECONDS", 60)  # on a busy machine
    log = opened(url)
    given = prediction()
    log.record_many([*(prediction() for _ in range(2_000)), given])
    first = log.feedback(given.prediction_id, 90_000)
    assert first is not None
    assert (first.prediction_id, first.price_paid_mad) == (given.prediction_id, 90_000)
    second = log.feedback(given.prediction_id, 91_500.5)
    found = log.one(given.prediction_id)
    assert found is not None
    assert second is not None
    assert (found.price_paid_mad, found.feedback_at) == (91_500.5, second.recorded_at)
    assert log.page(Filters(with_feedback=True)).total == 1


def test_a_key_finds_the_predictions_that_it_asked_for_and_no_others(
    url: str, opened: Callable[..., PredictionLog]
) -> None:
    log = opened(url)
    of_shop, of_nobody = prediction(key_name="shop"), prediction()
    log.record_many([of_shop, of_nobody])
    assert [log.one(of_shop.prediction_id, key) is None for key in ("shop", "another", None)] == [
        False, True, False,
    ]  # fmt: skip
    assert log.one(of_nobody.prediction_id, "shop") is None
    assert log.page(Filters(key_name="shop")).total == 1


def test_feedback_is_changed_only_with_the_key_that_it_came_with(
    url: str, opened: Callable[..., PredictionLog]
) -> None:
    log = opened(url)
    given = prediction()
    log.record(given)
    assert log.feedback(given.prediction_id, 80_000) is not None  # an API without keys
    for paid in (90_000, 91_000):
        assert log.feedback(given.prediction_id, paid, "shop") is not None
    for key in ("another", None):
        with pytest.raises(FeedbackOfAnother):
            log.feedback(given.prediction_id, 10_000, key)
        with pytest.raises(FeedbackOfAnother):
            log.withdraw(given.prediction_id, key)
    found = log.one(given.prediction_id)
    assert found is not None
    assert found.price_paid_mad == 91_000
    assert [log.withdraw(given.prediction_id, "shop") for _ in range(2)] == [True, False]


def test_feedback_given_many_times_at_once_is_kept_once(
    url: str, opened: Callable[..., PredictionLog]
) -> None:
    log = opened(url)
    given = prediction()
    log.record(given)
    prices = [80_000 + each for each in range(40)]
    with ThreadPoolExecutor(8) as threads:
        kept = list(threads.map(lambda price: log.feedback(given.prediction_id, price), prices))
    assert None not in kept
    found = log.page(Filters(with_feedback=True))
    assert found.total == 1
    assert found.predictions[0].price_paid_mad in prices


@pytest.mark.parametrize("unknown", ["0" * 32, "", "a\0b", "' OR 1=1 --", "\ud800", "é", "z" * 1_000])
def test_an_unknown_id_is_neither_found_nor_given_feedback(
    unknown: str, url: str, opened: Callable[..., PredictionLog]
) -> None:
    log = opened(url)
    assert log.one(unknown) is None
    assert log.feedback(unknown, 90_000) is None


@pytest.mark.parametrize("price", [0, -1, float("nan"), float("inf")])
def test_a_price_paid_that_is_no_price_is_refused(price: float, sqlite_url: str) -> None:
    with pytest.raises(ValueError, match="more than 0 MAD"):
        PredictionLog(sqlite_url).feedback("0" * 32, price)


# Reading


@pytest.fixture(scope="module", params=KINDS)
def history(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[PredictionLog, list[Prediction]]]:
    """A log of 2,600 predictions, several of each moment, and these newest first."""
    url = database_of_kind(request.param, request, tmp_path_factory.mktemp("history"))
    log = PredictionLog(url, retention_days=36_500)
    log.start()
    given = [
        prediction(
            at=NOW - timedelta(minutes=each // 7),
            listing={**LOGAN, "make": "Citroën" if each % 3 else "DACIA", "model": f"C{each % 5}"},
            version=str(each % 2), alias="staging" if each % 4 == 0 else "production",
            source="batch" if each % 6 == 0 else "predict",
        )
        for each in range(2_600)
    ]  # fmt: skip
    log.record_many(given)
    for each in given[::100]:
        log.feedback(each.prediction_id, 90_000)
    yield log, sorted(given, key=lambda p: (p.at, p.prediction_id), reverse=True)
    log.stop(30)


FILTERS: list[tuple[Filters, Callable[[Prediction], bool]]] = [
    (Filters(), lambda _: True),
    (Filters(make="citroen"), lambda p: p.listing["make"] == "Citroën"),
    (
        Filters(make=" dacia ", model="c3"),
        lambda p: p.listing["make"] == "DACIA" and p.listing["model"] == "C3",
    ),
    (Filters(version="1"), lambda p: p.version == "1"),
    (Filters(alias="staging", source="batch"), lambda p: p.alias == "staging" and p.source == "batch"),
    (
        Filters(since=NOW - timedelta(minutes=9), until=NOW - timedelta(minutes=2)),
        lambda p: NOW - timedelta(minutes=9) <= p.at < NOW - timedelta(minutes=2),
    ),
    (Filters(since=datetime.min, until=datetime.max), lambda _: True),
    (Filters(make="D%"), lambda _: False),
    (Filters(make="a\0"), lambda _: False),
    (Filters(version="\ud800"), lambda _: False),
]


@pytest.mark.parametrize(("filters", "fits"), FILTERS)
def test_pages_and_export_hold_exactly_what_fits_the_filters_newest_first(
    filters: Filters,
    fits: Callable[[Prediction], bool],
    history: tuple[PredictionLog, list[Prediction]],
) -> None:
    log, given = history
    expected = [each.prediction_id for each in given if fits(each)]
    assert [each.prediction_id for each in log.stream(filters)] == expected
    paged: list[str] = []
    for number in range(1, len(expected) // 400 + 3):
        page = log.page(filters, number, 400)
        assert page.total == len(expected)
        paged += [each.prediction_id for each in page.predictions]
    assert paged == expected


def test_a_page_beyond_all_pages_is_empty_however_far(
    history: tuple[PredictionLog, list[Prediction]],
) -> None:
    page = history[0].page(Filters(), 10**30, 500)
    assert (page.total, page.predictions) == (2_600, [])


def test_predictions_with_and_without_feedback_make_up_all(
    history: tuple[PredictionLog, list[Prediction]],
) -> None:
    log, _ = history
    paid, unpaid = (list(log.stream(Filters(with_feedback=each))) for each in (True, False))
    assert (len(paid), len(unpaid)) == (26, 2_574)
    assert {each.price_paid_mad for each in paid} == {90_000}
    assert {(each.price_paid_mad, each.feedback_at) for each in unpaid} == {(None, None)}


def test_an_export_that_is_left_or_slow_holds_no_connection_and_misses_nothing_older(
    url: str, opened: Callable[..., PredictionLog]
) -> None:
    log = opened(url)
    now = datetime.now(UTC)
    given = [prediction(at=now - timedelta(seconds=each)) for each in range(2_500)]
    log.record_many(given)
    assert log.flush(30)
    export = log.stream(Filters())
    read = [next(export).prediction_id for _ in range(10)]
    assert log._engine.pool.status().count("Current Checked out connections: 0") == 1
    log.record_many([prediction(at=now + timedelta(seconds=1)) for _ in range(50)])
    assert log.flush(30)
    read += [each.prediction_id for each in export]
    assert read == [each.prediction_id for each in given]


# Comparison


def test_two_versions_are_compared_on_prices_paid_and_on_agreement(
    url: str, opened: Callable[..., PredictionLog]
) -> None:
    log = opened(url)
    shadowed = [
        prediction(price_mad=100_000, shadow_version="4", shadow_price_mad=100_000 + difference)
        for difference in (0, 2_000, -4_000, 20_000)
    ]
    served = [prediction(price_mad=50_000, version="4", alias="staging")]
    others = [prediction(version="2"), prediction(shadow_version="2", shadow_price_mad=1)]
    log.record_many([*shadowed, *served, *others])
    for each, paid in ((shadowed[0], 80_000), (shadowed[3], 100_000), (served[0], 40_000)):
        assert log.feedback(each.prediction_id, paid) is not None
    found = log.comparison("3", "4")
    # production: |100-80|/80 and 0; staging: in the shadow |100-80|/80 and |120-100|/100, served |50-40|/40
    assert found["production"] == {
        "version": "3", "predictions": 5, "feedback": 2, "mape": 0.125, "median_ape": 0.125
    }  # fmt: skip
    assert found["staging"] == {
        "version": "4", "predictions": 5, "feedback": 3,
        "mape": pytest.approx(0.7 / 3), "median_ape": 0.25,
    }  # fmt: skip
    assert found["agreement"] == {
        "pairs": 4, "median_abs_difference_share": pytest.approx(0.03), "within_5_percent": 0.75
    }  # fmt: skip


def test_a_comparison_without_a_staging_version_or_without_rows_is_empty(
    url: str, opened: Callable[..., PredictionLog]
) -> None:
    empty = {"predictions": 0, "feedback": 0, "mape": None, "median_ape": None}
    assert opened(url).comparison("3", None) == {
        "production": {"version": "3", **empty},
        "staging": {"version": None, **empty},
        "agreement": {"pairs": 0, "median_abs_difference_share": None, "within_5_percent": None},
    }


# The schema


def test_the_migrations_make_the_tables_that_the_code_knows_also_when_run_twice(url: str) -> None:
    migrate(url)
    migrate(url)
    engine = engine_of(url)
    with reading(engine) as connection:
        context = MigrationContext.configure(
            connection, opts={"version_table": database.VERSION_TABLE, "compare_server_default": True}
        )
        assert compare_metadata(context, database.metadata) == []
    engine.dispose()


def test_a_log_of_the_release_before_keeps_its_rows_and_who_told_what_was_paid(
    url: str, opened: Callable[..., PredictionLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as earlier:
        upgrade = database.command.upgrade
        earlier.setattr(database.command, "upgrade", lambda config, _: upgrade(config, "0002"))
        migrate(url)
    told, untold = prediction(), prediction()
    engine = engine_of(url)
    with writing(engine) as connection:
        for one in (told, untold):
            row = row_of(one)
            del row["key_name"], row["evidence"]
            connection.execute(sa.insert(database.predictions).values(row))
        paid = {"price_paid_mad": 90_000, "recorded_at": NOW, "recorded_by": "shop"}
        statement = sa.insert(database.feedback).values(prediction_id=told.prediction_id, **paid)
        connection.execute(statement)
    engine.dispose()
    log = opened(url)
    kept = log.one(told.prediction_id, "shop")
    assert kept is not None
    assert (kept.price_paid_mad, kept.feedback_unlikely, kept.evidence) == (90_000, False, None)
    assert log.one(untold.prediction_id, "shop") is None
    assert log.one(untold.prediction_id) is not None


MIGRATE = "import sys; from price_api.database import migrate; migrate(sys.argv[1])"


def test_several_processes_may_migrate_an_empty_database_at_once(url: str) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MIGRATE, url], cwd=APP, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
        )
        for _ in range(4)
    ]
    said = [process.communicate(timeout=120)[1].decode() for process in started]
    assert [process.returncode for process in started] == [0] * 4, said
    assert ids_of(url) == []


def test_the_migrations_are_found_wherever_the_package_is_installed(tmp_path: Path, sqlite_url: str) -> None:
    installed = tmp_path / "50% of it" / "app"
    shutil.copytree(APP / "price_api", installed / "price_api")
    subprocess.run(
        [sys.executable, "-c", MIGRATE, sqlite_url],
        cwd=tmp_path,
        env={"PYTHONPATH": str(installed)},
        check=True,
    )
    assert ids_of(sqlite_url) == []


def test_a_migration_that_fails_in_the_middle_changes_nothing(url: str) -> None:
    engine = engine_of(url)
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir(parents=True)
    with writing(engine) as connection:  # the last table of the first migration is there already
        connection.exec_driver_sql("CREATE TABLE api_keys (id INTEGER)")
    with pytest.raises(DatabaseAway):
        migrate(url)
    with reading(engine) as connection:
        assert sa.inspect(connection).get_table_names() == ["api_keys"]
    engine.dispose()


def test_a_database_of_a_later_release_is_refused_with_a_sentence(url: str) -> None:
    migrate(url)
    engine = engine_of(url)
    with writing(engine) as connection:
        table = sa.table(database.VERSION_TABLE, sa.column("version_num"))
        connection.execute(sa.update(table).values(version_num="9999"))
    engine.dispose()
    with pytest.raises(DatabaseRefused, match="found 9999: a newer release has used it") as refused:
        PredictionLog(url).start()
    assert str(sa.make_url(url).password) not in str(refused.value)


def test_the_tables_of_others_in_the_same_database_are_left_alone(url: str) -> None:
    migrate(url)
    engine = engine_of(url)
    with writing(engine) as connection:
        connection.exec_driver_sql("CREATE TABLE alembic_version (version_num VARCHAR(32))")
        connection.exec_driver_sql("INSERT INTO alembic_version VALUES ('of MLflow')")
    migrate(url)
    with reading(engine) as connection:
        assert connection.exec_driver_sql("SELECT * FROM alembic_version").scalar_one() == "of MLflow"
    engine.dispose()


@pytest.mark.parametrize("bad", ["", "predictions.db", "mysql://u:p@h/d", "sqlite://", "sqlite:///:memory:"])
def test_a_url_that_names_no_usable_database_is_refused_with_a_sentence(bad: str) -> None:
    with pytest.raises(DatabaseRefused, match=r"CARPRICE_API_DATABASE_URL must .*found"):
        PredictionLog(bad)


def test_a_state_folder_that_cannot_be_made_is_refused_with_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a folder")
    with pytest.raises(DatabaseRefused, match="must be there or possible to make"):
        migrate(f"sqlite:///{tmp_path / 'file' / 'state' / 'predictions.db'}")
