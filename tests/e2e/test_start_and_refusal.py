"""A demo with input it cannot use says so and ends with a status other than 0."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from demo.settings import REPOSITORY
from running_demo import Demo


@pytest.fixture
def demo(tmp_path: Path) -> Demo:
    return Demo(tmp_path, runtime="process")


def run_demo(demo: Demo) -> subprocess.CompletedProcess[str]:
    """Run a demo that ends before it starts a service."""
    return subprocess.run(
        [sys.executable, "-m", "demo"],
        cwd=REPOSITORY,
        env=demo.environment(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.mark.parametrize(
    ("section", "key", "value", "sentence"),
    [
        ("training", "sed", 1, "training.sed is not a setting"),
        ("promotion", "max_mape", "low", "promotion.max_mape must be a number > 0, found 'low'"),
    ],
)
def test_a_wrong_key_or_value_in_params_is_named_before_anything_starts(
    demo: Demo, section: str, key: str, value: object, sentence: str
) -> None:
    demo.edit_params(**{section: {key: value}})

    ended = run_demo(demo)

    assert ended.returncode == 2
    assert sentence in ended.stdout
    assert "Traceback" not in ended.stdout + ended.stderr
    assert not demo.state.exists()


def test_a_file_of_13_rows_is_refused_as_too_few_and_the_status_is_not_0(demo: Demo) -> None:
    try:
        demo.start(demo.synthetic("wide.csv", 13, seed=1), once=True)
        status = demo.wait_for_end(900)
        (receipt,) = demo.receipts().values()

        assert status == 65
        assert receipt["status"] == "refused"
        assert receipt["rows_in"] == 13
        assert "at least 50 were expected (quality.min_rows)" in receipt["refusal"]
        assert f"REFUSED: {receipt['refusal']}" in demo.output
        assert "No model is in production" in demo.output
    finally:
        demo.close()
