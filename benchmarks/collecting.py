"""How fast the collector reads and how much memory it takes, against the replica and without a delay.

    make bench-collect [ADS=100000] [SOURCE=avito]

The replica shows a market of `ADS` ads; one run of the collector, on one core, reads all of its search pages
and lands them. Exits 1 below 200 ads a second or above 300 MiB, when an ad is missing or there twice, or when
two requests came at once.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from demo.replica.market import Market
from demo.replica.server import FIRST_PAGES, Replica
from demo.settings import python_of

LEAST_ADS_A_SECOND, MOST_MIB = 200, 300


def main() -> int:
    """Print the figures; returns 1 where one is worse than its limit, else 0."""
    ads, source = int(os.environ.get("ADS") or 100_000), os.environ.get("SOURCE") or "avito"
    with (
        tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder,
        Replica(Market(size=ads)) as replica,
    ):
        expected = {str(ad.number) for ad in replica.ads()}
        command = [
            "-m",
            "carprice_collector",
            "--source",
            source,
            "--start",
            replica.address + FIRST_PAGES[source],
        ]
        environment = os.environ | {
            "DATA_DIR": folder,
            "CARPRICE_COLLECT_CONTACT": "bench@example.org",
            "CARPRICE_COLLECT_DELAY_SECONDS": "0",
            "CARPRICE_COLLECT_PAGES_PER_DAY": "100000",
        }
        started = time.monotonic()
        process = subprocess.Popen(
            [python_of("collector"), *command, "--result", f"{folder}/result.json"],
            env=environment,
            stderr=subprocess.DEVNULL,
        )
        os.sched_setaffinity(process.pid, {max(os.sched_getaffinity(0))})
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - started
        if status:
            print(f"the collector ended with status {os.waitstatus_to_exitcode(status)}")
            return 1
        result = json.loads(Path(f"{folder}/result.json").read_text())
        with open(f"{folder}/raw/{result['file']}", encoding="utf-8") as file:
            landed = [row["listing_id"] for row in csv.DictReader(file)]
    core, mib = usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024
    print(f"{len(landed):,} ads of {result['pages_read']:,} pages in {seconds:.0f} s, {core:.0f} s of a core")
    print(
        f"{len(landed) / seconds:,.0f} ads/s, {len(landed) / core:,.0f} for a second of a core, {mib:.0f} MiB"
    )
    whole = set(landed) == expected and len(landed) == len(expected) and replica.most_at_once == 1
    if not whole:
        print(f"{len(expected):,} ads were expected, each once, and one request at a time")
    return 0 if whole and len(landed) / seconds >= LEAST_ADS_A_SECOND and mib < MOST_MIB else 1


if __name__ == "__main__":
    sys.exit(main())
