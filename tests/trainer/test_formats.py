"""Numbers for people: one separator between thousands, on every page, picture and sentence."""

from __future__ import annotations

import html
import re

import numpy as np
import pytest
from systems import System
from test_drift import dearer, landed

from carprice.formats import thousands
from carprice.monitoring import drift, live_accuracy, publishing
from carprice.reports.html import templates

# Other ways to write 12 345. A point may also begin decimals and is not looked for.
_OTHER_SEPARATOR = re.compile(r"(?<![\d.,])\d{1,3}(?:[ ,'\u00a0\u2009]\d{3})+(?!\d)")
_SEPARATOR = re.compile(r"\d\u202f\d{3}")


def words_of(page: str) -> str:
    """What the system writes on a page, in pictures too: no tags, scripts, styles and words of the file."""
    shown = re.sub(r"<(script|style)\b.*?</\1>", "", page, flags=re.DOTALL)
    words = html.unescape(re.sub(r"<[^>]+>", "|", shown))
    return re.sub(r"(\d[\d ]+ - |Plus de )\d[\d ]+", "(a mileage of the file)", words)


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0, "0"),
        (999, "999"),
        (12345, "12\u202f345"),
        (-1234567.4, "-1\u202f234\u202f567"),
        (np.float64(999.6), "1\u202f000"),
        (np.int64(1000), "1\u202f000"),
        (10**12, "1\u202f000\u202f000\u202f000\u202f000"),
    ],
)
def test_thousands_are_separated_by_a_narrow_no_break_space(number: float, written: str) -> None:
    assert thousands(number) == written
    assert templates().from_string("{{ n|thousands }}").render(n=number) == written


def test_every_page_of_the_pipeline_writes_thousands_alike(system: System) -> None:
    sha256 = landed(system, 1200, 2, dearer)
    live_accuracy.score_new_listings(system.root, system.params, system.registry, [sha256])
    drift.detect_drift(system.root, system.params, system.registry, "latest")
    publishing.publish(system.root)
    pages = {
        f"{kind}/{name}": words_of(system.root.read_bytes(f"reports/{kind}/{name}").decode())
        for kind in ("pipeline", "live", "drift", "quality", "models", ".")
        for name in system.root.names(f"reports/{kind}", ".html")
        if not name.endswith(".evidently.html")  # another program's page
    }
    assert len({name.partition("/")[0] for name in pages}) == 6
    for name, words in pages.items():
        assert _OTHER_SEPARATOR.findall(words) == [], name
        assert _SEPARATOR.search(words), name
