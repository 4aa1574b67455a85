"""The command line as a stranger meets it: real processes, their output and exit status."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from base64 import b64decode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pandas as pd
import pytest
from servers import http_sink
from systems import System

from carprice.cli.secret_files import read_secret_files
from carprice_contract.variables import SECRET_FILES, file_variable

REPOSITORY = Path(__file__).resolve().parents[2]


def carprice(data: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if k not in ("MLFLOW_TRACKING_URI", "CARPRICE_PARAMS")}
    return subprocess.run(
        [str(REPOSITORY / "bin" / "carprice"), *arguments],
        env=inherited | {"DATA_DIR": str(data)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_help_lists_every_command_and_exit_status(tmp_path: Path) -> None:
    told = carprice(tmp_path, "--help")
    assert told.returncode == 0
    for command in (
        "sample", "land", "check", "check-data-quality", "train-model", "evaluate-model",
        "promote-to-staging",
        "validate-staging-model", "promote-to-production", "send-pipeline-report", "detect-drift", "rollback",
        "history", "predict", "run", "tune", "alert", "check-freshness",
    ):  # fmt: skip
        assert command in told.stdout
    assert "65 the data was refused" in told.stdout


def test_a_wrong_key_in_params_is_refused_with_exit_2_and_named(tmp_path: Path) -> None:
    params = tmp_path / "params.yaml"
    params.write_text("promotion: {max_mapee: 0.1}")
    told = carprice(tmp_path, "claim-files", CARPRICE_PARAMS_FILE=str(params))
    assert told.returncode == 2
    assert "promotion.max_mapee" in told.stderr
    assert "max_mape" in told.stderr


def test_nothing_to_claim_is_exit_99(tmp_path: Path) -> None:
    assert carprice(tmp_path, "claim-files").returncode == 99


@pytest.mark.parametrize("where", ["", "local://"], ids=["file", "url"])
def test_a_refused_file_is_exit_65_with_its_receipt_as_result(tmp_path: Path, where: str) -> None:
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "empty.csv").write_bytes(b"")
    result = tmp_path / "result.json"
    sha = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    told = carprice(
        tmp_path, "check-data-quality", "--file", "empty.csv", "--sha256", sha, "--result", f"{where}{result}"
    )
    assert told.returncode == 65
    assert json.loads(result.read_text())["status"] == "refused"
    assert told.stderr.strip().splitlines()[-1].startswith("carprice: ")


def test_a_server_that_is_away_is_exit_75(tmp_path: Path) -> None:
    told = carprice(
        tmp_path, "history", MLFLOW_TRACKING_URI="http://127.0.0.1:9", MLFLOW_HTTP_REQUEST_MAX_RETRIES="0"
    )
    assert told.returncode == 75
    assert "see that the server runs" in told.stderr


def test_a_secret_is_read_from_the_file_that_a_variable_names(tmp_path: Path) -> None:
    seen: list[str] = []

    class Login(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append(b64decode(self.headers.get("Authorization", "").removeprefix("Basic ")).decode())
            self.send_error(403)

        do_POST = do_GET  # noqa: N815 - as http.server calls it

    with ThreadingHTTPServer(("127.0.0.1", 0), Login) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        (tmp_path / "password").write_text("from-the-file\n")
        carprice(
            tmp_path,
            "history",
            MLFLOW_TRACKING_URI=f"http://127.0.0.1:{server.server_address[1]}",
            MLFLOW_TRACKING_USERNAME="pipeline",
            MLFLOW_TRACKING_PASSWORD_FILE=str(tmp_path / "password"),
        )
        server.shutdown()

    assert set(seen) == {"pipeline:from-the-file"}


@pytest.mark.parametrize("name", SECRET_FILES)
def test_each_secret_of_the_contract_is_read_from_its_file(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "secret").write_text("hidden\n")
    for other in SECRET_FILES:
        monkeypatch.delenv(other, raising=False)
        monkeypatch.delenv(file_variable(other), raising=False)
    monkeypatch.setenv(file_variable(name), str(tmp_path / "secret"))
    read_secret_files()
    assert os.environ.pop(name) == "hidden"


def test_an_empty_file_is_no_secret(tmp_path: Path) -> None:
    (tmp_path / "webhook_url").write_text("")
    with http_sink() as (port, posts):
        named = {"CARPRICE_WEBHOOK_URL_FILE": str(tmp_path / "webhook_url")}
        plain = {"CARPRICE_WEBHOOK_URL": f"http://127.0.0.1:{port}/"}
        assert "webhook" not in carprice(tmp_path, "alert", "--test", **named).stdout
        assert posts == []
        assert "webhook: ok" in carprice(tmp_path, "alert", "--test", **named, **plain).stdout

    assert len(posts) == 1


def test_a_secrets_file_that_cannot_be_read_or_differs_from_the_variable_is_exit_2(tmp_path: Path) -> None:
    key = tmp_path / "key"
    named = {"AWS_ACCESS_KEY_ID_FILE": str(key)}
    missing = carprice(tmp_path, "history", **named)
    assert missing.returncode == 2
    assert "AWS_ACCESS_KEY_ID_FILE must name a readable file" in missing.stderr
    assert f"found {key}: No such file" in missing.stderr
    key.write_bytes(b"\xff")
    assert "it is no UTF-8" in carprice(tmp_path, "history", **named).stderr
    key.write_text("hidden")
    twice = carprice(tmp_path, "history", AWS_ACCESS_KEY_ID="another", **named)
    assert twice.returncode == 2
    assert "AWS_ACCESS_KEY_ID and AWS_ACCESS_KEY_ID_FILE are both set, and differ" in twice.stderr
    assert "hidden" not in twice.stderr


def test_history_before_the_first_promotion_says_so(tmp_path: Path) -> None:
    told = carprice(tmp_path, "history")
    assert told.returncode == 0
    assert told.stdout.strip() == "No model has been in production yet."


def test_predict_keeps_every_row_in_order_and_says_why_one_has_no_price(
    system: System, tmp_path: Path
) -> None:
    source, target = tmp_path / "in.csv", tmp_path / "out.csv"
    source.write_bytes(
        "Marque;Modèle;Année-Modèle;Kilométrage;Type de carburant;Note\r\n"
        "Dacia;Logan;2015;100 000 - 109 999;Diesel;première\r\n"
        "Fiat;;abc;;;\r\n"
        "Renault;Clio;2012;173.000 km;Essence;;de trop\r\n"
        'Renault;Clio;2012;173.000 km;Essence;"a;b"\r\n'.encode("cp1252")
    )
    told = carprice(system.folder, "predict", str(source), "-o", str(target))
    assert told.returncode == 0, told.stderr
    out = pd.read_csv(target, sep=";", dtype=str, keep_default_na=False)
    assert list(out["Marque"]) == ["Dacia", "Fiat", "Renault", "Renault"]
    assert out.loc[0, "Note"] == "première"
    assert out.loc[3, "Note"] == "a;b"
    priced = out.iloc[[0, 3]]
    low, price, high = (priced[c].astype(int) for c in ("low_mad", "predicted_price_mad", "high_mad"))
    assert ((low < price) & (price < high)).all()
    assert (priced["problem"] == "").all()
    assert list(out.iloc[[1, 2]]["predicted_price_mad"]) == ["", ""]
    assert "Année-Modèle: not a year" in out.loc[1, "problem"]
    assert out.loc[2, "problem"] != ""


@pytest.mark.parametrize("content", [b"", b"\x00\x01binary"])
def test_predict_refuses_what_is_no_table_and_writes_nothing(
    system: System, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "in.csv").write_bytes(content)
    told = carprice(system.folder, "predict", str(tmp_path / "in.csv"), "-o", str(tmp_path / "out.csv"))
    assert told.returncode == 65
    assert not (tmp_path / "out.csv").exists()


def test_rollback_without_a_previous_version_is_exit_99(system: System) -> None:
    told = carprice(system.folder, "rollback")
    assert told.returncode == 99
    assert "previous" in told.stderr


def test_a_step_that_does_not_need_them_imports_no_heavy_library() -> None:
    code = (
        "import sys; from carprice.cli.application import parser; parser()\n"
        "import carprice.landing.claim, carprice.landing.land, carprice.pipeline.run_report\n"
        "print([m for m in ('pandas', 'numpy', 'mlflow', 'sklearn', 'evidently') if m in sys.modules])"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
