"""How the collector asks, counted and timed by the site that is asked."""

from __future__ import annotations

import gzip
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from demo.replica.server import AVITO, Answer, Fault, Replica
from running import Operator

from carprice_collector.hours import Hours
from carprice_collector.politeness.answers import is_challenge, retry_after
from carprice_collector.politeness.ledger import Ledger
from carprice_collector.settings import SettingError, Settings

CHALLENGE = b"<!doctype html><html><head><title>Just a moment...</title></head><body>cf-chl-x</body></html>"


def on_page(page: int, answer: Answer | Callable[[int], Answer | None]) -> Fault:
    """A fault of one search page; the first page is 1."""

    def fault(path: str, number: int) -> Answer | None:
        if path != AVITO + (f"?o={page}" if page > 1 else ""):
            return None
        return answer(number) if callable(answer) else answer

    return fault


def gaps(replica: Replica) -> list[float]:
    """Seconds between the arrivals of two requests, by the clock of the site."""
    came = [arrival.came for arrival in replica.arrivals]
    return [later - earlier for earlier, later in pairwise(came)]


def test_requests_come_alone_and_never_closer_than_the_delay(operator: Operator, replica: Replica) -> None:
    done = operator.collect(replica, delay_seconds="0.4", jitter="0.5")
    assert done.status == 0, done.said
    assert replica.most_at_once == 1
    assert len(gaps(replica)) == 3
    assert min(gaps(replica)) >= 0.4
    assert len({round(gap, 2) for gap in gaps(replica)}) > 1
    assert {arrival.agent for arrival in replica.arrivals} == {
        "carprice-collector/0.1 (+mailto:ops@example.ma)"
    }


def test_the_delay_counts_from_the_end_of_the_run_before(operator: Operator, replica: Replica) -> None:
    replica.fault = lambda path, number: time.sleep(0.5)  # type: ignore[func-returns-value]
    for _ in range(2):
        operator.collect(replica, "--pages", "1", delay_seconds="1.5", jitter="0")
    assert len(replica.arrivals) == 4
    assert min(gaps(replica)) >= 0.5 + 1.5


def test_a_crawl_delay_makes_the_delay_longer(operator: Operator, replica: Replica) -> None:
    replica.robots = Answer(body=b"User-agent: carprice-collector\nCrawl-delay: 1\nAllow: /\n")
    done = operator.collect(replica, "--pages", "2", delay_seconds="0.1")
    assert done.status == 0, done.said
    assert min(gaps(replica)) >= 1


@pytest.mark.parametrize(
    "robots",
    [
        b"User-agent: *\nDisallow: /\n",
        b"User-agent: carprice-collector\nDisallow: /fr/\n\nUser-agent: *\nAllow: /\n",
    ],
)
def test_nothing_is_fetched_that_robots_txt_disallows(
    operator: Operator, replica: Replica, robots: bytes
) -> None:
    replica.robots = Answer(body=robots)
    done = operator.collect(replica)
    assert done.status == 65
    assert "robots.txt" in done.said
    assert "disallows" in done.said
    assert replica.pages == []
    assert operator.files() == []


def test_rules_for_others_do_not_bind_us(operator: Operator, replica: Replica) -> None:
    replica.robots = Answer(body=b"User-agent: badbot\nDisallow: /\n")
    assert operator.collect(replica).status == 0


@pytest.mark.parametrize("status", [404, 410])
def test_a_site_without_robots_txt_may_be_read(operator: Operator, replica: Replica, status: int) -> None:
    replica.robots = Answer(status)
    assert operator.collect(replica).status == 0


@pytest.mark.parametrize(
    "robots",
    [Answer(500), Answer(401), Answer(body=b"<!doctype html><html></html>"), Answer(403), Answer(429)],
)
def test_nothing_is_fetched_while_robots_txt_is_unknown(
    operator: Operator, replica: Replica, robots: Answer
) -> None:
    replica.robots = robots
    done = operator.collect(replica)
    assert done.status == 65, done.said
    assert replica.pages == []


def test_retry_after_is_obeyed(operator: Operator, replica: Replica) -> None:
    busy = Answer(429, headers=(("Retry-After", "2"),))
    replica.fault = on_page(2, lambda number: busy if number == 1 else None)
    done = operator.collect(replica)
    assert done.status == 0, done.said
    assert done.result["complete"] is True
    asked = [arrival.came for arrival in replica.arrivals if arrival.path.endswith("o=2")]
    assert len(asked) == 2
    assert asked[1] - asked[0] >= 2


@pytest.mark.parametrize(
    ("answer", "stopped"),
    [
        (Answer(403), "refused"),
        (Answer(429), "too_many_requests"),
        (Answer(429, headers=(("Retry-After", "86400"),)), "too_many_requests"),
        (Answer(503, headers=(("Retry-After", "86400"),)), "too_many_requests"),
        (Answer(200, CHALLENGE), "challenge"),
        (Answer(503, CHALLENGE, (("Content-Type", "text/html"),)), "challenge"),
    ],
)
def test_the_collector_stops_for_the_day_when_a_site_wants_it(
    operator: Operator, replica: Replica, answer: Answer, stopped: str
) -> None:
    replica.fault = on_page(2, answer)
    done = operator.collect(replica)
    assert done.status == 0, done.said
    assert (done.result["stopped"], done.result["complete"]) == (stopped, False)
    assert len(operator.landed()) == 35
    assert len(replica.pages) == 2

    again = operator.collect(replica)
    assert again.status == 99
    assert "is left alone until" in again.said
    assert len(replica.pages) == 2


def test_a_site_that_asks_to_wait_for_ever_is_left_alone(operator: Operator, replica: Replica) -> None:
    replica.fault = on_page(2, Answer(429, headers=(("Retry-After", "0"),)))
    done = operator.collect(replica)
    assert done.result["stopped"] == "too_many_requests"
    assert replica.pages.count(AVITO + "?o=2") == 3


def test_the_budget_of_a_day_counts_every_request_of_every_run(operator: Operator, replica: Replica) -> None:
    first = operator.collect(replica, pages_per_day="3")
    assert (first.status, first.result["stopped"]) == (0, "budget")
    assert len(replica.arrivals) == 3
    again = operator.collect(replica, pages_per_day="3")
    assert again.status == 99
    assert "3 requests" in again.said
    assert len(replica.arrivals) == 3


def test_sites_are_asked_in_the_hours_of_the_setting_only(operator: Operator, replica: Replica) -> None:
    now = datetime.now(UTC)
    closed = f"{now + timedelta(hours=3):%H:%M}-{now + timedelta(hours=5):%H:%M}"
    done = operator.collect(replica, hours=closed)
    assert done.status == 99
    assert "CARPRICE_COLLECT_HOURS" in done.said
    assert replica.arrivals == []


def test_hours_may_go_over_midnight() -> None:
    night = Hours(datetime(2026, 1, 1, 22).time(), datetime(2026, 1, 1, 6).time())
    assert night.hold(datetime(2026, 1, 1, 23, tzinfo=UTC))
    assert night.hold(datetime(2026, 1, 1, 3, tzinfo=UTC))
    assert not night.hold(datetime(2026, 1, 1, 12, tzinfo=UTC))


def test_a_redirect_loop_ends(operator: Operator, replica: Replica) -> None:
    replica.fault = on_page(2, Answer(302, headers=(("Location", "?o=2"),)))
    done = operator.collect(replica)
    assert done.status == 0, done.said
    assert done.result["pages_lost"] == {"failed": 1}
    assert replica.pages.count(AVITO + "?o=2") <= 5


def test_a_redirect_to_another_host_is_not_followed(operator: Operator, replica: Replica) -> None:
    with Replica() as other:
        replica.fault = on_page(2, Answer(302, headers=(("Location", other.address + AVITO),)))
        done = operator.collect(replica)
        assert done.result["pages_lost"] == {"forbidden": 1}
        assert other.arrivals == []


def huge(number: int) -> Answer:
    return Answer(200, b"<html>", (("Content-Length", "200000000"),), close_early=True)


def bomb(number: int) -> Answer:
    """200 MB when it is unpacked."""
    return Answer(200, gzip.compress(b"x" * 1_000_000) * 200, (("Content-Encoding", "gzip"),))


def endless(number: int) -> Answer:
    """200 MB that no header announces."""
    return Answer(200, b"x" * 1_000_000, times=200)


def truncated(number: int) -> Answer:
    body = gzip.compress(Replica().page(AVITO).body)
    return Answer(200, body[: len(body) // 2], (("Content-Encoding", "gzip"),))


def cut_short(number: int) -> Answer:
    return Answer(200, b"<html>", (("Content-Length", "100000"),), close_early=True)


@pytest.mark.parametrize(
    ("broken", "most"),
    [(huge, 1), (bomb, 1), (endless, 1), (truncated, 3), (cut_short, 3), (lambda number: Answer(500), 3)],
)
def test_a_page_that_can_not_be_read_is_lost_and_the_rest_is_landed(
    operator: Operator, replica: Replica, broken: Callable[[int], Answer], most: int
) -> None:
    replica.fault = on_page(2, broken)
    done = operator.collect(replica)
    assert done.status == 0, done.said
    assert done.result["pages_lost"] == {"failed": 1}
    assert done.result["complete"] is False
    assert len(operator.landed()) == 35
    assert replica.pages.count(AVITO + "?o=2") <= most
    # no more than the largest page and what was on its way
    assert max(arrival.sent for arrival in replica.arrivals) < 25_000_000


def test_a_page_in_an_encoding_that_the_server_does_not_name_is_read(
    operator: Operator, replica: Replica
) -> None:
    body = replica.page(AVITO).body
    replica.fault = on_page(1, Answer(200, body, (("Content-Type", "text/html; charset=iso-8859-1"),)))
    assert operator.collect(replica).status == 0
    truth = {str(ad.number): ad for ad in replica.ads()}
    for row in operator.landed():
        assert (row["title"], row["city"]) == (truth[row["listing_id"]].title, truth[row["listing_id"]].city)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "CARPRICE_COLLECT_CONTACT must be set"),
        ({"CARPRICE_COLLECT_CONTACT": "nobody"}, "must be a mail address or a web page"),
        ({"CARPRICE_COLLECT_CONTACT": "a@b.ma\nX: y"}, "must be a mail address or a web page"),
        ({"CARPRICE_COLLECT_CONTACT": "a@b.ma", "CARPRICE_COLLECT_HOURS": "night"}, "like 01:00-06:00"),
        ({"CARPRICE_COLLECT_CONTACT": "a@b.ma", "CARPRICE_COLLECT_PAGES_PER_DAY": "0"}, "at least 1|from 1"),
        ({"CARPRICE_COLLECT_CONTACT": "a@b.ma", "CARPRICE_COLLECT_SPEED": "9"}, "no setting"),
        ({"CARPRICE_COLLECT_CONTACT": "a@b.ma", "DATA_DIR": "s3://b/x"}, "CARPRICE_COLLECT_STATE_DIR"),
    ],
)
def test_settings_that_are_not_polite_are_refused(values: dict[str, str], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        Settings.from_environment(values)


def test_a_short_delay_is_for_sites_on_this_machine() -> None:
    settings = Settings(contact="a@b.ma", delay_seconds=0.5)
    settings.refuse_haste("127.0.0.1:8000")
    with pytest.raises(SettingError, match="at least 2"):
        settings.refuse_haste("www.example.ma")


def test_nothing_starts_without_a_contact(operator: Operator, replica: Replica) -> None:
    operator.environment["CARPRICE_COLLECT_CONTACT"] = ""
    done = operator.collect(replica)
    assert done.status == 2
    assert replica.arrivals == []


@pytest.mark.parametrize(
    ("header", "seconds"),
    [(b"120", 120), (b"Fri, 27 Nov 2026 10:01:00 GMT", 60), (b"soon", None), (None, None), (b"-5", None)],
)
def test_retry_after_is_read_in_both_forms(header: bytes | None, seconds: float | None) -> None:
    assert retry_after(header, datetime(2026, 11, 27, 10, tzinfo=UTC)) == seconds


def test_a_page_of_ads_is_no_challenge(replica: Replica) -> None:
    assert is_challenge(CHALLENGE.decode())
    assert not is_challenge(replica.page(AVITO).body.decode())


def test_a_stop_lasts_until_the_next_day_in_morocco(operator: Operator) -> None:
    ledger = Ledger(str(operator.folder))
    now = datetime(2026, 11, 27, 22, 30, tzinfo=UTC)  # 23:30 there
    ledger.stop("because", now)
    assert ledger.stopped(now + timedelta(minutes=20)) is not None
    assert ledger.stopped(now + timedelta(hours=2)) is None
    ledger.stop("because", now, 200_000)
    assert ledger.stopped(now + timedelta(days=2)) is not None
    ledger.close()


def test_a_budget_begins_anew_every_day(operator: Operator) -> None:
    ledger = Ledger(str(operator.folder))
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    assert [ledger.take(2, now) for _ in range(3)] == [True, True, False]
    assert ledger.take(2, now + timedelta(days=1))
    assert ledger.asked_on(now) == 2
    ledger.close()
