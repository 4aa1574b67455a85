"""What the API refuses, and how: always a problem with a sentence, never an error of its own."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import pytest
import requests
from conftest import LOGAN, REPOSITORY, Api, clean_environment, running_api, wait_until

from price_api.__main__ import MOST_CONNECTIONS
from price_api.rate_limit import TokenBuckets
from price_api.settings import SettingError, Settings

JSON = {"Content-Type": "application/json"}


def problem_of(answer: requests.Response, status: int) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["Content-Type"] == "application/problem+json"
    found: dict[str, Any] = answer.json()
    assert found["status"] == status
    assert found["title"]
    assert len(found["detail"]) > 20
    assert found["type"] == f"urn:carprice:problem:{found['code']}"
    assert found["request_id"] == answer.headers["X-Request-ID"]
    assert found["instance"] == f"urn:carprice:request:{found['request_id']}"
    assert isinstance(found["params"], dict)
    for error in found.get("errors", []):
        assert error.keys() == {"field", "value", "accepted", "code", "params"}
    return found


@pytest.mark.parametrize(
    ("change", "field", "value"),
    [
        ({"model_year": 3000}, "model_year", "3000"),
        ({"model_year": "young"}, "model_year", "young"),
        ({"model_year": None}, "model_year", None),
        ({"mileage": -1}, "mileage", "-1"),
        ({"mileage": 1e300}, "mileage", "1e+300"),
        ({"mileage": [120000]}, "mileage", "a list"),
        ({"fiscal_power_cv": True}, "fiscal_power_cv", "true"),
        ({"fuel": {"a": 1}}, "fuel", "an object"),
        ({"gps": "perhaps"}, "gps", "perhaps"),
        ({"make": ""}, "make", ""),
        ({"make": "x" * 300}, "make", None),
        ({"price_mad": 0}, "price_mad", "0"),
    ],
)
def test_a_value_that_cannot_be_used_is_named(
    api: Api, change: dict[str, Any], field: str, value: Any
) -> None:
    for path, document in (
        ("/v1/predict", LOGAN | change),
        ("/v1/explain", LOGAN | change),
        ("/v1/what-if", {"listing": LOGAN | change}),
    ):
        found = problem_of(api.post(path, document), 422)
        assert [error["field"] for error in found["errors"]] == [field]
        assert found["errors"][0]["accepted"] in found["detail"]
        if value is not None:
            assert found["errors"][0]["value"] == value


@pytest.mark.parametrize("word", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_is_none_is_named(api: Api, word: str) -> None:
    body = json.dumps(LOGAN).replace("2015", word)
    found = problem_of(api.post("/v1/predict", data=body, headers=JSON), 422)
    assert found["errors"][0]["field"] == "model_year"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b"\xff\xfe{}", 400),
        (b'{"make": "\xe9"}', 400),
        (b"[" * 5000 + b"]" * 5000, 400),
        (b"null", 422),
        (b"[1, 2]", 422),
        (b'"text"', 422),
        (b"{}", 422),
        (b"1" * 5000, 400),
    ],
)
@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/v1/what-if", "/v1/feedback"])
def test_a_body_that_is_no_listing_is_refused(api: Api, path: str, body: bytes, status: int) -> None:
    problem_of(api.post(path, data=body, headers=JSON), status)


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/predict/batch", "/v1/explain", "/v1/feedback"])
def test_another_content_type_is_refused(api: Api, path: str) -> None:
    for content_type in ("text/plain", "application/x-www-form-urlencoded", "image/png", ""):
        found = problem_of(api.post(path, data=b"{}", headers={"Content-Type": content_type}), 415)
        assert "application/json" in found["detail"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\x00\x01\x02",
        b"PK\x03\x04",
        b"make,model\n",
        b"make,model\nDacia,Logan\n",
        b"a\nb\n",
        b"\xff\xfe",
    ],
)
def test_a_batch_that_is_no_csv_of_listings_is_refused(api: Api, body: bytes) -> None:
    problem_of(api.post("/v1/predict/batch", data=body, headers={"Content-Type": "text/csv"}), 422)


@pytest.mark.parametrize("document", [{}, {"listings": 3}, 7, "x", {"listings": {"a": 1}}])
def test_a_batch_without_a_list_is_refused(api: Api, document: Any) -> None:
    problem_of(api.post("/v1/predict/batch", document), 422)


def test_an_empty_batch_has_no_rows(api: Api) -> None:
    assert api.post("/v1/predict/batch", {"listings": []}).json()["rows"] == 0


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/v1/comparables?make=Dacia&model=Logan&model_year=2015&mileage=1&fuel=Diesel&count=abc", "count"),
        ("/v1/comparables?make=Dacia&model=Logan&model_year=2015&mileage=1&fuel=Diesel&count=51", "count"),
        ("/v1/comparables?make=Dacia&model=Logan&mileage=1&fuel=Diesel", "model_year"),
        ("/v1/predictions?page=abc", "page"),
        ("/v1/predictions?page=0", "page"),
        ("/v1/predictions?page_size=501", "page_size"),
        ("/v1/predictions?since=yesterday", "since"),
        ("/v1/predictions?until=9999-12-31T23:59:59-23:00", "until"),
        ("/v1/predictions?with_feedback=perhaps", "with_feedback"),
    ],
)
def test_a_query_that_cannot_be_used_is_named(api: Api, path: str, field: str) -> None:
    found = problem_of(api.get(path), 422)
    assert [error["field"] for error in found["errors"]] == [field]


@pytest.mark.parametrize("points", [[-1], [2_000_001], ["1"], [None], [True], 5, list(range(61)), [[]]])
def test_what_if_takes_plain_numbers_only(api: Api, points: Any) -> None:
    found = problem_of(api.post("/v1/what-if", {"listing": LOGAN, "mileage_km": points}), 422)
    assert found["errors"][0]["field"].startswith("mileage_km")


def test_unknown_paths_and_methods_are_problems_too(api: Api) -> None:
    problem_of(api.get("/v1/nothing"), 404)
    problem_of(api.get("/"), 404)
    found = problem_of(api.get("/v1/predict"), 405)
    assert "POST" in found["detail"]
    problem_of(api.get("/v1/choices?" + "x" * 20_000), 414)


def sent_and_answered(address: str, head: str, megabytes: int) -> tuple[bytes, int]:
    """Send zeros until the service has had enough; its answer, read meanwhile, and the megabytes let in."""
    host, port = address.removeprefix("http://").split(":")
    sent = 0
    answer = b""

    def read() -> None:
        nonlocal answer
        with suppress(OSError):
            while part := connection.recv(65536):
                answer += part

    with socket.create_connection((host, int(port)), timeout=60) as connection:
        reader = threading.Thread(target=read)
        reader.start()
        connection.sendall(head.encode())
        chunk = b"0" * 1_000_000
        if "chunked" in head:
            chunk = b"F4240\r\n" + chunk + b"\r\n"
        with suppress(OSError):
            while sent < megabytes:
                connection.sendall(chunk)
                sent += 1
        reader.join()
    return answer, sent


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/predict/batch"])
@pytest.mark.parametrize(
    ("length", "found"),
    [("Content-Length: 1000000000", b"1,000,000,000"), ("Transfer-Encoding: chunked", b"more")],
)
def test_a_body_of_a_gigabyte_is_cut_short_and_told_why(
    api: Api, path: str, length: str, found: bytes
) -> None:
    before = _memory(api.process.pid)
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{length}\r\n\r\n"
    answer, sent = sent_and_answered(api.address, head, 1000)
    assert sent < 100
    assert answer.startswith(b"HTTP/1.1 413")
    most = b"4,194,304" if path.endswith("batch") else b"65,536"
    assert b"expected a body of at most %b bytes, found %b;" % (most, found) in answer
    assert _memory(api.process.pid) - before < 100
    assert api.post("/v1/predict", LOGAN).status_code == 200


def test_who_announces_too_much_and_waits_is_told_why(api: Api) -> None:
    head = (
        "POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        "Content-Length: 1000000000\r\nExpect: 100-continue\r\n\r\n"
    )
    answer, _ = sent_and_answered(api.address, head, 0)
    assert answer.startswith(b"HTTP/1.1 413")
    assert b"application/problem+json" in answer
    assert b"65,536 bytes" in answer


@pytest.mark.parametrize("path", ["/v1/predict", "/v1/explain", "/v1/what-if", "/v1/feedback"])
def test_what_takes_one_listing_takes_64_kb_and_a_batch_more(api: Api, path: str) -> None:
    body = json.dumps([LOGAN] * 1000).encode()
    found = problem_of(api.post(path, data=body, headers=JSON), 413)
    assert "several of them only to /v1/predict/batch" in found["detail"]
    assert api.post("/v1/predict/batch", data=body, headers=JSON).json()["rows"] == 1000


@pytest.mark.parametrize(("path", "status"), [("/healthz", b"405"), ("/metrics", b"405"), ("/v2", b"404")])
def test_outside_v1_no_body_is_waited_for(api: Api, path: str, status: bytes) -> None:
    host, port = api.address.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=60) as connection:
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n"
        connection.sendall(head.encode() + b"the beginning of a body")
        assert connection.recv(65536).startswith(b"HTTP/1.1 " + status)


def test_more_connections_than_are_served_are_refused_and_cost_the_others_nothing(api: Api) -> None:
    host, port = api.address.removeprefix("http://").split(":")
    assert api.get("/healthz").status_code == 200  # this session's connection stays open
    with ExitStack() as stack:
        for _ in range(MOST_CONNECTIONS):
            stack.enter_context(socket.create_connection((host, int(port)), timeout=60))
        with socket.create_connection((host, int(port)), timeout=60) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert connection.recv(65536).startswith(b"HTTP/1.1 503")
    wait_until(lambda: api.get("/healthz").status_code == 200, "there is room again")


def _memory(pid: int) -> float:
    """Resident memory in MB."""
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@pytest.fixture(scope="module")
def guarded(
    trained_data: Path, mlflow_address: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API that asks for keys, and lets each send six requests at once and one every ten seconds."""
    folder = tmp_path_factory.mktemp("guarded")
    with running_api(
        folder, trained_data, mlflow_address, CARPRICE_API_KEYS="required",
        CARPRICE_API_REQUESTS_PER_SECOND="0.1", CARPRICE_API_BURST="6", CARPRICE_API_MAX_BODY_BYTES="20000",
    ) as running:  # fmt: skip
        yield running


def command(state: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "price_api", *arguments],
        env=clean_environment(
            PYTHONPATH=str(REPOSITORY / "images" / "app"),
            CARPRICE_API_STATE_DIR=str(state),
            DATA_DIR=str(state),
        ),
        capture_output=True,
        text=True,
    )


def test_keys_open_the_door_until_they_are_revoked(guarded: Api) -> None:
    made = command(guarded.state, "keys", "create", "shop")
    assert made.returncode == 0, made.stderr
    key = made.stdout.strip()
    none = problem_of(guarded.post("/v1/predict", LOGAN), 401)
    assert "Authorization: Bearer" in none["detail"]
    problem_of(guarded.post("/v1/predict", LOGAN, headers={"X-API-Key": "wrong"}), 401)
    assert guarded.get("/healthz").status_code == guarded.get("/metrics").status_code == 200
    for headers in ({"X-API-Key": key}, {"Authorization": f"Bearer {key}"}):
        assert guarded.post("/v1/predict", LOGAN, headers=headers).status_code == 200
    listed = command(guarded.state, "keys", "list").stdout
    assert "shop" in listed
    assert key not in listed
    database = b"".join(path.read_bytes() for path in guarded.state.glob("predictions.db*"))
    assert key.encode() not in database
    assert command(guarded.state, "keys", "revoke", "shop").returncode == 0
    assert command(guarded.state, "keys", "revoke", "nobody").returncode == 2
    gone = command(guarded.state, "keys", "create", "gone").stdout.strip()
    assert guarded.get("/v1/model", headers={"X-API-Key": gone}).status_code == 200
    command(guarded.state, "keys", "revoke", "gone")
    for _ in range(5):  # five requests in five seconds are all that the rate allows
        time.sleep(1)
        answer = guarded.get("/v1/model", headers={"X-API-Key": gone})
        if answer.status_code != 200:
            break
    assert "revoked" in problem_of(answer, 403)["detail"]


def test_who_asks_too_often_is_told_to_wait_and_others_are_not(guarded: Api) -> None:
    quick, slow = (
        command(guarded.state, "keys", "create", name).stdout.strip() for name in ("quick", "slow")
    )
    answers = [guarded.get("/v1/comparison", headers={"X-API-Key": quick}) for _ in range(8)]
    assert [answer.status_code for answer in answers[:6]] == [200] * 6
    found = problem_of(answers[-1], 429)
    assert "requests a second" in found["detail"]
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 10
    assert guarded.get("/v1/comparison", headers={"X-API-Key": slow}).status_code == 200
    large = guarded.post("/v1/predict", {"make": "x" * 30_000}, headers={"X-API-Key": slow})
    assert "20,000 bytes" in problem_of(large, 413)["detail"]


def test_a_key_does_not_change_the_feedback_of_another(guarded: Api) -> None:
    one, other = (
        {"X-API-Key": command(guarded.state, "keys", "create", name).stdout.strip()}
        for name in ("one", "other")
    )
    prediction_id = guarded.post("/v1/predict", LOGAN, headers=one).json()["prediction_id"]
    paid = {"prediction_id": prediction_id, "price_paid_mad": 90_000}
    assert guarded.post("/v1/feedback", paid, headers=one).status_code == 201
    problem = problem_of(guarded.post("/v1/feedback", paid | {"price_paid_mad": 80_000}, headers=other), 404)
    assert problem["code"] == "prediction-unknown"
    logged = guarded.get(f"/v1/predictions/{prediction_id}", headers=one).json()
    assert logged["price_paid_mad"] == 90_000


def test_a_bucket_fills_again_and_forgets_who_was_not_seen_for_longest() -> None:
    buckets = TokenBuckets(rate=2, burst=3, most=2)
    assert [buckets.take("a", 0.0) for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("a", 0.6) == 0
    assert buckets.take("a", 0.6) > 0
    for client in "bc":
        buckets.take(client, 1.0)
    assert buckets.take("a", 1.0) == 0


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({"CARPRICE_API_POLL_SECOND": "1"}, "did you mean CARPRICE_API_POLL_SECONDS"),
        ({"CARPRICE_API_PORT": "70000"}, "CARPRICE_API_PORT"),
        ({"CARPRICE_API_PORT": "http"}, "'http'"),
        ({"CARPRICE_API_STAGING": "on"}, "off, shadow, share"),
        ({"CARPRICE_API_STAGING_SHARE": "1.5"}, "CARPRICE_API_STAGING_SHARE"),
        ({"CARPRICE_API_POLL_SECONDS": "nan"}, "above 0"),
        ({"CARPRICE_API_KEYS": "off", "CARPRICE_API_HOST": "192.0.2.1"}, "loopback"),
        ({"CARPRICE_API_DATABASE_URL_FILE": "none"}, "readable file"),
        ({"DATA_DIR": "s3://bucket"}, "CARPRICE_API_STATE_DIR"),
    ],
)
def test_a_setting_that_cannot_be_used_stops_the_start_with_a_sentence(
    environment: dict[str, str], words: str
) -> None:
    with pytest.raises(SettingError, match="CARPRICE_API") as refused:
        Settings.from_environment(environment)
    assert words in str(refused.value)


def test_an_unknown_setting_ends_the_command_with_status_2(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "price_api", "serve"],
        env=clean_environment(
            PYTHONPATH=str(REPOSITORY / "images" / "app"), DATA_DIR=str(tmp_path), CARPRICE_API_PROT="1"
        ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert "did you mean CARPRICE_API_PORT?" in done.stderr


def test_keys_are_asked_for_wherever_strangers_can_reach() -> None:
    def asks(**environment: str) -> bool:
        return Settings.from_environment(environment).asks_for_keys

    assert not asks()
    assert not asks(CARPRICE_API_HOST="::1")
    assert asks(CARPRICE_API_HOST="192.0.2.1")
    assert asks(CARPRICE_API_KEYS="required")


def test_the_address_of_the_database_can_stand_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("postgresql://price:word@db/log\n")
    found = Settings.from_environment({"CARPRICE_API_DATABASE_URL_FILE": str(tmp_path / "url")})
    assert found.log_url == "postgresql://price:word@db/log"
    with pytest.raises(SettingError, match="both"):
        Settings.from_environment(
            {"CARPRICE_API_DATABASE_URL_FILE": str(tmp_path / "url"), "CARPRICE_API_DATABASE_URL": "x"}
        )
