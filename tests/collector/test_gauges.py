"""The figures of a run reach Prometheus."""

from __future__ import annotations

import re

from demo.replica.market import Market
from demo.replica.server import AVITO, Answer, Replica
from running import Operator

from carprice_collector.gauges import HELP


def figures(operator: Operator) -> dict[tuple[str, str], float]:
    """The samples that the collector wrote, by name and source."""
    text = (operator.data / "metrics/collector.prom").read_text()
    found = re.findall(r'^(\w+)\{source="([^"]+)"\} (\S+)$', text, re.MULTILINE)
    for line in text.splitlines():
        assert re.fullmatch(r'# (HELP|TYPE) \w+ .+|\w+\{source="[^"]+"\} [0-9.e+-]+', line), line
    return {(name, source): float(value) for name, source, value in found}


def test_each_source_has_the_figures_of_its_newest_run(operator: Operator, replica: Replica) -> None:
    busy = Answer(429, headers=(("Retry-After", "0"),))
    replica.fault = lambda path, number: busy if path == AVITO and number == 1 else None
    first = operator.collect(replica)
    assert first.status == 0, first.said
    assert first.result["refusals"] == 1
    other = operator.collect(replica, "--pages", "1", source="moteur")
    assert other.status == 0, other.said

    found = figures(operator)

    assert {name for name, _ in found} == set(HELP)
    ads = len(replica.ads())
    told = {
        name: found[f"carprice_collect_{name}", "avito"] for name in ("pages", "ads", "refusals", "complete")
    }
    assert told == {"pages": first.result["pages_read"], "ads": ads, "refusals": 1, "complete": 1}
    assert found["carprice_collect_unpriced", "avito"] == first.result["unpriced"]
    assert found["carprice_collect_seconds", "avito"] < 60
    assert found["carprice_collect_ended_timestamp_seconds", "avito"] > 1_700_000_000
    assert (found["carprice_collect_ads", "moteur"], found["carprice_collect_complete", "moteur"]) == (30, 0)


def test_a_held_run_and_one_without_an_ad_are_figures_too(operator: Operator) -> None:
    with Replica(Market(size=60, unpriced=0.9)) as replica:
        assert operator.collect(replica).status == 65
        assert figures(operator)["carprice_collect_held", "avito"] == 1
        replica.robots = Answer(body=b"User-agent: *\nDisallow: /\n")
        assert operator.collect(replica).status == 65
    found = figures(operator)
    assert (found["carprice_collect_held", "avito"], found["carprice_collect_ads", "avito"]) == (0, 0)
    assert found["carprice_collect_pages_lost", "avito"] == 1
