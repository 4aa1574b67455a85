"""A slow or dead receiver gets an alert again after growing waits, and can tell that it is the same one."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from servers import http_sink, mail_server

from carprice.alerts.channels import Message, channels
from carprice.alerts.delivery import deliver
from carprice.alerts.record import Alert, all_alerts, open_alert, read, resolve, update
from carprice.alerts.sending import send
from carprice.params import AlertParams
from carprice.store import DataRoot

CAUSE = "drift:1"
SLOW, IMPATIENT = 1.5, AlertParams(send_seconds=0.5, mail_seconds=0.5)


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    return DataRoot(str(tmp_path))


def opened(root: DataRoot) -> None:
    open_alert(root, Alert(CAUSE, "drift", "subject", "text"))


def configure_mail(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    monkeypatch.setenv("CARPRICE_SMTP_URL", f"smtp://127.0.0.1:{port}")
    monkeypatch.setenv("CARPRICE_SMTP_TO", "ops@example.invalid")


def hours_later(root: DataRoot, hours: float) -> None:
    """As if the last try of each channel were this long ago."""

    def earlier(known: dict[str, Any]) -> dict[str, Any]:
        for tries in known["attempts"].values():
            at = datetime.fromisoformat(tries["last_at"]) - timedelta(hours=hours)
            tries["last_at"] = at.isoformat()
        return known

    update(root, CAUSE, earlier)


def test_a_slow_mail_server_gets_the_same_mail_again_only_after_growing_waits(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(pause=SLOW) as (port, mails):
        configure_mail(monkeypatch, port)
        opened(root)
        for _ in range(3):  # a quarter of an hour between them
            undelivered = deliver(root, IMPATIENT).undelivered
            hours_later(root, 0.25)
        assert (len(mails), undelivered) == (1, {})
        for hours, expected in ((1, 2), (1, 2), (1, 3), (3, 3), (1, 4)):
            hours_later(root, hours)
            deliver(root, IMPATIENT)
            assert len(mails) == expected
        assert len({mail["Message-ID"] for mail in mails}) == 1
        assert mails[0]["Message-ID"].startswith("<")
    tries = all_alerts(root)[0]["attempts"]["e-mail"]
    assert (tries["count"], tries["unsure"]) == (4, 4)


def test_what_may_have_been_delivered_is_told_apart_from_what_was_not(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(pause=SLOW) as (port, _), http_sink(pause=SLOW) as (hook, _posts):
        configure_mail(monkeypatch, port)
        monkeypatch.setenv("CARPRICE_WEBHOOK_URL", f"http://127.0.0.1:{hook}/hook")
        opened(root)
        slow = deliver(root, IMPATIENT).undelivered
    assert all(problem.startswith("may have been delivered: ") for problem in slow.values())
    assert set(slow) == {"e-mail", "webhook"}
    configure_mail(monkeypatch, 9)
    monkeypatch.setenv("CARPRICE_WEBHOOK_URL", "http://127.0.0.1:9/hook")
    dead = deliver(root, IMPATIENT, at_once=True).undelivered
    assert set(dead) == {"e-mail", "webhook"}
    assert not [problem for problem in dead.values() if "may have been delivered" in problem]


def test_a_mail_server_has_its_own_time_once_it_is_reached(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(pause=SLOW) as (port, mails):
        configure_mail(monkeypatch, port)
        opened(root)
        begun = time.monotonic()
        assert deliver(root, AlertParams(send_seconds=0.5, mail_seconds=30)).sent == ["e-mail"]
        assert time.monotonic() - begun < 20
        assert len(mails) == 1
    assert all_alerts(root)[0]["delivered"].keys() == {"e-mail"}


def test_a_clock_that_was_set_back_makes_no_alert_wait_for_what_is_now_the_future(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    with mail_server(pause=SLOW) as (port, mails):
        configure_mail(monkeypatch, port)
        opened(root)
        deliver(root, IMPATIENT)
        hours_later(root, -24)
        deliver(root, IMPATIENT)
        assert len(mails) == 2


def test_messages_behind_a_slow_one_count_as_not_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    with mail_server(pause=SLOW) as (port, mails):
        configure_mail(monkeypatch, port)
        messages = [Message("one", "text"), Message("two", "text")]
        outcome = send({channel.name: messages for channel in channels()}, 0.5)
        assert [failure and failure.end for failure in outcome["e-mail"]] == ["unsure", "not tried"]
        assert len(mails) == 1


def test_a_webhook_can_tell_that_an_alert_comes_again(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys: list[str] = []
    with http_sink(keys, pause=SLOW) as (port, posts):
        monkeypatch.setenv("CARPRICE_WEBHOOK_URL", f"http://127.0.0.1:{port}/hook")
        opened(root)
        deliver(root, IMPATIENT)
        deliver(root, IMPATIENT)
        assert len(posts) == 1
        deliver(root, IMPATIENT, at_once=True)
        assert len(posts) == 2
    assert len(set(keys)) == 1
    assert keys[0]
    resolve(root, CAUSE)
    keys_again: list[str] = []
    with http_sink(keys_again) as (port, _posts):
        monkeypatch.setenv("CARPRICE_WEBHOOK_URL", f"http://127.0.0.1:{port}/hook")
        opened(root)
        assert deliver(root, IMPATIENT).sent == ["webhook"]
    assert keys_again[0] not in keys, "an alert that comes back is another one"


def test_a_dead_mail_server_is_tried_soon_and_then_less_often(
    root: DataRoot, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure_mail(monkeypatch, 9)
    opened(root)
    for expected in (1, 2, 3, 3, 3):
        deliver(root, IMPATIENT)
        known = read(root, CAUSE)
        assert known is not None
        assert known["attempts"]["e-mail"]["count"] == expected
    for hours, expected in ((0.26, 4), (0.26, 4), (0.26, 5), (0.9, 5), (0.2, 6), (1.01, 7)):
        hours_later(root, hours)
        deliver(root, IMPATIENT)
        known = read(root, CAUSE)
        assert known is not None
        assert known["attempts"]["e-mail"]["count"] == expected
    assert datetime.fromisoformat(known["attempts"]["e-mail"]["last_at"]) <= datetime.now(UTC)
