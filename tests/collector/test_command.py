"""The command line and what the documents show of it."""

import re
import subprocess
from pathlib import Path

import pytest

from carprice_collector.__main__ import main, parser
from carprice_collector.sources import SOURCES

REPOSITORY = Path(__file__).resolve().parents[2]


def test_every_option_in_the_document_is_one_of_the_command() -> None:
    shown = (REPOSITORY / "docs/collecting.md").read_text()
    calls = re.findall(r"bin/carprice collect ([^#\n]*)", shown)
    accepted = parser().format_help()
    assert len(calls) >= 4
    options = {option for call in calls for option in re.findall(r"--[a-z-]+", call)}
    assert options | {"--start", "--sitemap", "--details"} <= set(re.findall(r"--[a-z-]+", accepted))
    for kind in SOURCES:
        assert f"`{kind}`" in shown


@pytest.mark.parametrize(
    "arguments",
    [[], ["--source", "nothing"], ["--source", "avito", "--pages", "0"], ["--source", "avito", "--held"]],
)
def test_a_wrong_command_line_is_refused(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2


def test_carprice_collect_runs_in_the_environment_of_the_collector() -> None:
    done = subprocess.run(
        [REPOSITORY / "bin/carprice", "collect", "--source", "jsonld"],
        env={"PATH": "/usr/bin:/bin", "CARPRICE_COLLECT_CONTACT": "ops@example.ma"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "--start" in done.stderr
