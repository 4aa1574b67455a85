"""Findings about a file stay on its quality page, with the model that found them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from carprice.lifecycle.typing_error_page import publish, read
from carprice.store import DataRoot

OLD, NEW = "a" * 64, "b" * 64


@pytest.fixture
def root(tmp_path: Path) -> DataRoot:
    root = DataRoot(str(tmp_path))
    for sha256 in (OLD, NEW):
        root.write_text(f"reports/quality/{sha256}.html", "<html><body><h1>Quality</h1></body></html>")
    return root


def findings(*rows: tuple[str, str, float, str]) -> pd.DataFrame:
    """Listings as (id, file, price, suggestion)."""
    return pd.DataFrame(
        [
            {"listing_id": name, "url": "", "make": "Dacia", "model": name, "model_year": 2015.0,
             "price_mad": price, "source_sha256": sha256, "expected_mad": 80_000.0, "suggestion": suggestion}
            for name, sha256, price, suggestion in rows
        ],
        columns=["listing_id", "url", "make", "model", "model_year", "price_mad", "source_sha256",
                 "expected_mad", "suggestion"],
    )  # fmt: skip


def page(root: DataRoot, sha256: str) -> str:
    return root.read_bytes(f"reports/quality/{sha256}.html").decode()


def listed(root: DataRoot, sha256: str) -> pd.DataFrame:
    return read(root.path(f"reports/quality/{sha256}-typing-errors.csv")).set_index("listing_id")


def test_findings_of_older_files_stay_when_a_model_learns_other_listings(root: DataRoot) -> None:
    publish(root, findings(("Logan", OLD, 8e5, "800 000 looks like 80 000")), [OLD], "run-1")
    publish(root, findings(("Duster", NEW, 8e3, "")), [OLD, NEW], "run-2")
    assert "Dacia Logan" in page(root, OLD)
    assert "models/run-1.html" in page(root, OLD)
    assert list(listed(root, OLD)["found_by"]) == ["run-1"]
    assert "Dacia Duster" in page(root, NEW)
    assert "Logan" not in page(root, NEW)
    publish(root, findings(), [OLD, NEW], "run-3")
    for sha256, car in ((OLD, "Dacia Logan"), (NEW, "Dacia Duster")):
        assert page(root, sha256).count(car) == 1
        assert page(root, sha256).count("look mistyped</h2>") == 1


def test_a_finding_stays_with_the_run_that_made_it_until_the_price_is_another(root: DataRoot) -> None:
    publish(root, findings(("Logan", OLD, 8e5, ""), ("Sandero", OLD, 9e6, "")), [OLD], "run-1")
    publish(root, findings(("Logan", OLD, 8e5, "")), [OLD], "run-2")
    assert dict(listed(root, OLD)["found_by"]) == {"Sandero": "run-1", "Logan": "run-1"}
    for _ in range(2):
        publish(root, findings(("Logan", OLD, 8e6, "")), [OLD], "run-3")
    assert dict(listed(root, OLD)["found_by"]) == {"Sandero": "run-1", "Logan": "run-3"}
    assert page(root, OLD).count("Dacia Logan") == 1


def test_where_nothing_fits_no_suggestion_is_shown(root: DataRoot) -> None:
    for run in ("run-1", "run-2"):
        publish(root, findings(("Logan", OLD, 8e5, "")), [OLD], run)
    assert ">nan<" not in page(root, OLD)
    assert "<td>—</td>" in page(root, OLD)


def test_a_file_without_findings_keeps_its_page_as_it_is(root: DataRoot) -> None:
    before = page(root, OLD)
    publish(root, findings(), [OLD, "c" * 64], "run-1")
    assert page(root, OLD) == before
    assert root.names("reports/quality", ".csv") == []
