"""The app's settings, its connection to the API, and the sentences it makes of refusals."""

from __future__ import annotations

import json
import socketserver
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import get_args

import pytest
from conftest import LOGAN, REPOSITORY, Api, clean_environment
from demo.settings import free_port

from carprice.store import DataRoot
from price_api.problems import TYPE_PREFIX, Refusal
from price_api.production import Follower, RefusedVersion
from price_api.readiness import readiness, why_unavailable
from price_app import markup, screens
from price_app.api_client import UNAVAILABLE, ApiClient, ApiProblem
from price_app.settings import SettingError, Settings
from price_contract import language, messages
from price_contract.answers import UnavailableCode
from price_contract.problem_kinds import PROBLEMS


def test_without_settings_the_api_is_on_this_machine() -> None:
    found = Settings.from_environment({"PATH": "/bin"})
    assert (found.api_url, found.api_key, found.on_loopback) == ("http://127.0.0.1:8000", "", True)


def test_a_key_comes_from_a_file_and_stays_out_of_the_repr(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("abc\n")
    found = Settings.from_environment({"CARPRICE_APP_API_KEY_FILE": str(tmp_path / "key")})
    assert found.api_key == "abc"
    assert "abc" not in repr(found)


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"CARPRICE_APP_API_ULR": "http://127.0.0.1"}, "CARPRICE_APP_API_ULR"),
        ({"CARPRICE_APP_API_URL": "ftp://host"}, "ftp://host"),
        ({"CARPRICE_APP_API_URL": "127.0.0.1:8000"}, "127.0.0.1:8000"),
        ({"CARPRICE_APP_API_KEY": "a", "CARPRICE_APP_API_KEY_FILE": "b"}, "CARPRICE_APP_API_KEY_FILE"),
        ({"CARPRICE_APP_API_KEY_FILE": "/nowhere/key"}, "/nowhere/key"),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(environment: dict[str, str], named: str) -> None:
    with pytest.raises(SettingError, match=named):
        Settings.from_environment(environment)


def test_streamlits_options_stand_in_one_file_and_give_way_to_its_own_variables(tmp_path: Path) -> None:
    names = ["server.address", "server.headless", "client.toolbarMode", "server.maxUploadSize"]
    code = (
        "from streamlit import config; from streamlit.web import bootstrap; "
        "from price_app.__main__ import main; "
        f"bootstrap.run_asgi_app = lambda *_: print([config.get_option(name) for name in {names}]); main()"
    )
    environment = clean_environment(
        STREAMLIT_SERVER_MAX_UPLOAD_SIZE="7",
        PYTHONPATH=str(REPOSITORY / "images" / "app"),
        HOME=str(tmp_path),
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, cwd=tmp_path, capture_output=True, timeout=120
    )
    assert done.stdout.decode().strip() == str(["127.0.0.1", True, "minimal", 7]), done.stderr


def test_a_price_is_the_apis(api: Api) -> None:
    client = ApiClient(Settings(api_url=api.address))
    assert client.predict(LOGAN, "anyone")["price_mad"] == api.post("/v1/predict", LOGAN).json()["price_mad"]


def test_a_refusal_names_the_field_in_french(api: Api) -> None:
    with pytest.raises(ApiProblem) as refused:
        ApiClient(Settings(api_url=api.address)).predict(LOGAN | {"model_year": 3000}, "anyone")
    assert refused.value.kind == "refused"
    said = messages.field_error(refused.value.errors[0])
    assert "Année-modèle" in said
    assert "3000" in said
    assert "de 1950 à" in said


def test_no_answer_is_a_problem_of_its_own() -> None:
    with pytest.raises(ApiProblem) as away:
        ApiClient(Settings(api_url=f"http://127.0.0.1:{free_port()}")).form_options()
    assert away.value.kind == "away"


@contextmanager
def answering(*answers: tuple[int, dict[str, str], bytes]) -> Iterator[str]:
    """Gives these answers in turn, the last one again and again: faults no API makes to order."""
    left = list(answers)

    class Answer(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            status, headers, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_POST = _answer  # noqa: N815  # the standard library's names

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


PROBLEM = {"Content-Type": "application/problem+json"}


@pytest.mark.parametrize(
    ("status", "headers", "kind"),
    [
        (401, PROBLEM, "key"),
        (403, PROBLEM, "key"),
        (404, PROBLEM, "not found"),
        (422, PROBLEM, "refused"),
        (429, PROBLEM, "refused"),
        (409, PROBLEM, "listings-gone"),
        (503, PROBLEM, "away"),
        (503, {"Content-Type": "text/html"}, "away"),
        (502, {"Content-Type": "text/html"}, "away"),
    ],
)
def test_each_status_has_its_screen(status: int, headers: dict[str, str], kind: str) -> None:
    body = json.dumps({"detail": "a sentence", "errors": None}).encode()
    with answering((status, headers, body)) as address, pytest.raises(ApiProblem) as problem:
        ApiClient(Settings(api_url=address)).model()
    assert (problem.value.kind, problem.value.sentence) == (kind, "a sentence")


def test_the_type_of_a_problem_ends_with_its_code() -> None:
    body = json.loads(bytes(Refusal("key-revoked").response().body))
    assert (body["type"], body["code"]) == (f"{TYPE_PREFIX}key-revoked", "key-revoked")
    assert {code for code, kind in PROBLEMS.items() if kind.status == 503} == UNAVAILABLE


@pytest.mark.parametrize("cause", get_args(UnavailableCode))
def test_each_cause_of_a_503_has_a_screen_of_its_own_in_both_languages(cause: UnavailableCode) -> None:
    assert PROBLEMS[cause].status == 503
    refusal = Refusal(cause, {"reason": "any", "version": "2"}, detail="a sentence without a hint").response()
    with (
        answering((503, PROBLEM, bytes(refusal.body))) as address,
        pytest.raises(ApiProblem) as problem,
    ):
        ApiClient(Settings(api_url=address)).model()
    assert problem.value.kind == cause
    titles = [screens.SCREENS[kind][1] for kind in screens.SCREENS]
    assert titles.count(screens.SCREENS[problem.value.kind][1]) == 1
    assert all(
        language.translations(other).gettext(text) != text
        for text in screens.SCREENS[problem.value.kind][1:]
        for other in ("en", "ar")
    )


@pytest.mark.parametrize(
    ("answers", "alias_set", "refused", "cause"),
    [
        (None, True, None, "loading"),
        (False, True, None, "registry-away"),
        (True, False, None, "no-model"),
        (True, True, None, "loading"),
        (True, True, RefusedVersion(("2", "run"), "no prices", datetime.now(UTC), 1, 0), "version-refused"),
    ],
)
def test_why_nothing_serves_is_named(
    answers: bool | None,
    alias_set: bool,
    refused: RefusedVersion | None,
    cause: UnavailableCode,
    tmp_path: Path,
) -> None:
    follower = Follower(DataRoot(str(tmp_path)), None, None, 1, False)  # type: ignore[arg-type]
    follower.mlflow_answers, follower.alias_set, follower.refused = answers, alias_set, refused
    assert why_unavailable(follower).code == cause
    assert why_unavailable(follower).detail == readiness(follower)["detail"]


def test_an_answer_that_is_no_json_is_a_service_that_is_away() -> None:
    with answering((200, {}, b"<html>")) as address, pytest.raises(ApiProblem) as problem:
        ApiClient(Settings(api_url=address)).model()
    assert problem.value.kind == "away"


def test_a_connection_that_the_api_closes_in_the_moment_of_a_request_is_no_api_that_is_away() -> None:
    """Each connection answers one request, promises to stay open, and closes at the next one."""
    connections = []

    class OneAnswer(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            connections.append(self.connection)
            for answer in (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", b""):
                while self.rfile.readline().strip():
                    pass
                self.wfile.write(answer)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), OneAnswer) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = ApiClient(Settings(api_url=f"http://127.0.0.1:{server.server_address[1]}"))
        assert [client.model(), client.model()] == [{}, {}]
        assert len(connections) == 2
        server.shutdown()


def test_a_batch_waits_where_it_is_told_to() -> None:
    busy = (429, PROBLEM | {"Retry-After": "0.1"}, b'{"detail": "slower"}')
    with answering(busy, busy, (200, {}, b'{"predictions": []}')) as address:
        assert ApiClient(Settings(api_url=address)).predict_csv(b"x")["predictions"] == []
    with answering(busy) as address, pytest.raises(ApiProblem, match="slower"):
        ApiClient(Settings(api_url=address)).predict_csv(b"x")


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:text/html,x",
        " javascript:alert(1)",
        "//host/x",
        "ftp://host",
        "http://",
        "",
        None,
    ],
)
def test_only_web_addresses_become_links(url: str | None) -> None:
    html = markup.cell_html(markup.Link("<b>ad</b>", url))
    assert html == "&lt;b&gt;ad&lt;/b&gt;"


def test_an_amount_stays_on_one_line_and_a_range_breaks_at_its_dash() -> None:
    html = markup.cell_html(markup.Figure("56\u202f834 – 80\u202f546\u00a0MAD"))
    assert html == (
        '<span class="cp-figure">56\u202f834</span> – <span class="cp-figure">80\u202f546\u00a0MAD</span>'
    )
    assert markup.cell_html(markup.Figure("")) == markup.cell_html("")


def test_a_web_address_becomes_a_link_that_cannot_leave_its_attribute() -> None:
    html = markup.cell_html(markup.Link("ad", 'https://host/"onclick="x'))
    assert html.startswith('<a href="https://host/&quot;onclick=&quot;x" target="_blank" rel="noopener')
