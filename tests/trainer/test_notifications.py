"""E-mail, webhook and Apprise, against real servers on this machine."""

from __future__ import annotations

import base64
import logging
import time
from collections.abc import Iterator
from email.message import Message as Mail
from typing import Any

import pytest
from servers import http_sink, mail_server, page_of, rude_server, silent_server, text_of

from carprice.alerts.channels import Message, channels
from carprice.alerts.sending import send

MESSAGE = Message("subject", "text", b"<html>page</html>")


@pytest.fixture
def mails(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Mail]]:
    with mail_server() as (port, taken):
        monkeypatch.setenv("CARPRICE_SMTP_URL", f"smtp://127.0.0.1:{port}")
        monkeypatch.setenv("CARPRICE_SMTP_TO", "ops@example.invalid")
        yield taken


@pytest.fixture
def posts(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, Any]]]:
    with http_sink() as (port, taken):
        monkeypatch.setenv("CARPRICE_WEBHOOK_URL", f"http://127.0.0.1:{port}/hook")
        yield taken


@pytest.fixture
def sink() -> Iterator[tuple[int, list[dict[str, Any]]]]:
    with http_sink() as both:
        yield both


def send_to_all(*messages: Message, seconds: float = 30) -> dict[str, list[str | None]]:
    return send({channel.name: messages for channel in channels()}, seconds)


def test_a_message_is_mailed_with_its_page_and_posted_as_slack_takes_it(
    mails: list[Mail], posts: list[dict[str, Any]]
) -> None:
    assert send_to_all(MESSAGE) == {"e-mail": [None], "webhook": [None]}
    (mail,) = mails
    assert (mail["To"], mail["Subject"]) == ("ops@example.invalid", "subject")
    assert text_of(mail).strip() == "text"
    assert page_of(mail) == "<html>page</html>"
    assert posts == [{"text": "subject\ntext"}]


def test_what_apprise_speaks_gets_it_too_with_the_page(
    sink: tuple[int, list[dict[str, Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    port, posts = sink
    monkeypatch.setenv(
        "CARPRICE_ALERT_URLS", f"json://127.0.0.1:{port}/one, json://127.0.0.1:{port}/two?+X=a,b"
    )
    assert send_to_all(MESSAGE) == {"json 1": [None], "json 2": [None]}
    assert [(post["title"], post["message"]) for post in posts] == [("subject", "text")] * 2
    assert base64.b64decode(posts[0]["attachments"][0]["base64"]) == b"<html>page</html>"


def test_without_a_configured_channel_nothing_is_sent() -> None:
    assert channels() == []
    assert send_to_all(MESSAGE) == {}


def test_a_channel_that_is_away_keeps_no_other_from_sending(
    posts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("CARPRICE_SMTP_URL", "smtp://127.0.0.1:9")
    monkeypatch.setenv("CARPRICE_SMTP_TO", "ops@example.invalid")
    outcome = send_to_all(MESSAGE, MESSAGE)
    assert outcome["webhook"] == [None, None]
    assert all("ConnectionRefusedError" in str(problem) for problem in outcome["e-mail"])
    assert caplog.text.count("e-mail did not take an alert") == 1
    assert len(posts) == 2


def test_a_message_that_is_refused_for_good_stops_none_behind_it(
    mails: list[Mail], posts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CARPRICE_ALERT_URLS", "json://" + channels()[1].secrets[0].removeprefix("http://"))
    outcome = send_to_all(Message("first", "TOO LARGE"), Message("second", "text"), Message("third", "text"))
    assert [mail["Subject"] for mail in mails] == ["second", "third"]
    assert sorted(str(post.get("text", post.get("title"))) for post in posts) == [
        "second", "second\ntext", "third", "third\ntext",
    ]  # fmt: skip
    for first, *behind in outcome.values():
        assert first is not None
        assert behind == [None, None]
    assert "552" in str(outcome["e-mail"][0])
    assert "400" in str(outcome["webhook"][0])


def test_a_server_that_hangs_up_is_asked_once_for_all_messages(monkeypatch: pytest.MonkeyPatch) -> None:
    with rude_server() as (port, callers):
        monkeypatch.setenv("CARPRICE_SMTP_URL", f"smtp://127.0.0.1:{port}")
        monkeypatch.setenv("CARPRICE_SMTP_TO", "ops@example.invalid")
        outcome = send_to_all(*[MESSAGE] * 3)
    assert None not in outcome["e-mail"]
    assert len(callers) == 1


def test_a_file_with_a_line_end_in_its_name_can_be_told(mails: list[Mail]) -> None:
    assert send_to_all(Message("the file a\nb\r\n .csv was refused", "text"), MESSAGE) == {
        "e-mail": [None, None]
    }
    assert mails[0]["Subject"] == "the file a b .csv was refused"


def test_a_server_that_never_answers_holds_nobody_up_for_longer_than_allowed(
    posts: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    with silent_server() as port:
        monkeypatch.setenv("CARPRICE_SMTP_URL", f"smtp://127.0.0.1:{port}")
        monkeypatch.setenv("CARPRICE_SMTP_TO", "ops@example.invalid")
        monkeypatch.setenv(
            "CARPRICE_ALERT_URLS", f"json://127.0.0.1:{port} mailto://127.0.0.1:{port}?to=a@b.ma"
        )
        begun = time.monotonic()
        outcome = send_to_all(*[MESSAGE] * 5, seconds=1)
        taken = time.monotonic() - begun
    assert taken < 12, "five messages to three silent servers, one second for all together"
    assert outcome["webhook"] == [None] * 5
    assert len(posts) == 5
    for silent in ("e-mail", "json 1", "mailto 2"):
        assert None not in outcome[silent]


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"CARPRICE_SMTP_URL": "smtp://127.0.0.1:25"}, "CARPRICE_SMTP_TO must name who gets the mail"),
        ({"CARPRICE_SMTP_URL": "mail.example", "CARPRICE_SMTP_TO": "a@b.ma"}, "must start with smtp://"),
        ({"CARPRICE_WEBHOOK_URL": "file:///etc/hostname"}, "must be an http or https address"),
        (
            {"CARPRICE_ALERT_URLS": "nonsense://token"},
            "address 1 of CARPRICE_ALERT_URLS is none that Apprise",
        ),
        (
            {"CARPRICE_ALERT_URLS": "no-address-at-all"},
            "address 1 of CARPRICE_ALERT_URLS is none that Apprise",
        ),
    ],
)
def test_a_wrong_setting_is_named(
    variables: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (outcome,) = send_to_all(MESSAGE).values()
    assert words in str(outcome[0])


def test_no_address_and_no_password_is_in_a_log_or_an_error(
    mails: list[Mail],
    sink: tuple[int, list[dict[str, Any]]],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    smtp = channels()[0].secrets[0].removeprefix("smtp://")
    monkeypatch.setenv("CARPRICE_SMTP_URL", f"smtp://user%40firm.ma:pass%2Fword@{smtp}")
    monkeypatch.setenv("CARPRICE_WEBHOOK_URL", f"http://127.0.0.1:{sink[0]}/broken/TOKEN123")
    addresses = [
        f"json://somebody:hushhush@127.0.0.1:{sink[0]}/broken/KEY456",
        f"mailto://someone:hushhush@{smtp}/?to=boss@firm.ma&from=cars@firm.ma&mode=insecure",
        "xoxb-999:secret-without-scheme",
    ]
    monkeypatch.setenv("CARPRICE_ALERT_URLS", " ".join(addresses))
    outcome = send_to_all(MESSAGE)
    assert all(problem is not None for problems in outcome.values() for problem in problems), outcome
    assert "535" in str(outcome["e-mail"][0])
    assert "500" in str(outcome["webhook"][0])
    told = caplog.text + repr(outcome)
    hidden = ("firm.ma", "pass/word", "pass%2Fword", "hushhush", "TOKEN123", "KEY456", "boss", "secret-")
    assert [secret for secret in hidden if secret in told] == []
