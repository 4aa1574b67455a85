"""The replica on a port of this machine: `python3 -m demo.replica`, until Ctrl-C."""

from __future__ import annotations

import argparse
import threading

from demo.replica.market import Market
from demo.replica.server import FIRST_PAGES, Replica


def main() -> None:
    """Serve the market and print the first page of each source."""
    parser = argparse.ArgumentParser(
        prog="python3 -m demo.replica",
        description="Serve a market of invented cars in the pages of the collector's sources, until Ctrl-C.",
    )
    parser.add_argument("--port", type=int, default=8765, help="the port on 127.0.0.1 (default: %(default)s)")
    parser.add_argument("--ads", type=int, default=120, help="about how many ads (default: %(default)s)")
    parser.add_argument("--day", type=int, default=0, help="the day of the market (default: %(default)s)")
    given = parser.parse_args()
    try:
        site = Replica(Market(size=given.ads), given.port)
    except OSError as problem:
        parser.error(f"a free port was expected, found {given.port} ({problem.strerror}); name another")
    with site as replica:
        replica.day = given.day
        for source, path in FIRST_PAGES.items():
            print(f"--source {source} --start '{replica.address}{path}'", flush=True)  # noqa: T201
        try:
            threading.Event().wait()
        except KeyboardInterrupt:
            print(f"{len(replica.arrivals)} requests were answered")  # noqa: T201


if __name__ == "__main__":
    main()
