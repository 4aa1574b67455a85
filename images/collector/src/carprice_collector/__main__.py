"""The command line: `carprice collect`."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import uuid
from typing import Any

from carprice.errors import CarpriceError, UsageProblem
from carprice.store import DataRoot
from carprice_collector.settings import SettingError, Settings
from carprice_collector.sources import SOURCES
from carprice_collector.sources.source import SourceProblem
from carprice_contract.steps import StepName

DESCRIPTION = """\
Read used-car listings from a site, politely, and land them as a file in the data root.

It obeys robots.txt, says who it is, asks for one page at a time and seldom, and stops when a site
does not want it. CARPRICE_COLLECT_CONTACT must be set. Read docs/collecting.md first: you are the
one who answers for what you collect.
"""

EPILOG = """\
exit status:
  0 landed   2 wrong usage or setting   65 held because the site changed, or nothing may be read
  75 a service is away   99 the site is not to be asked now
"""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit status. In Airflow the name of the step stands before the options."""
    words = sys.argv[1:] if arguments is None else arguments
    given = parser().parse_args(words[1:] if words[:1] == [StepName.COLLECT_LISTINGS] else words)
    logging.basicConfig(
        level=logging.INFO,
        format="%(asctime)s %(levelname)s %(message)s",
        datefmt="%H:%M:%S",
        stream=sys.stderr,
    )
    for handler in logging.getLogger().handlers:
        # Scrapy sets the levels of its loggers itself.
        handler.addFilter(_is_worth_reading)
    os.umask(0o002)
    result: Any = None
    try:
        try:
            result = _run(given)
        except (SettingError, SourceProblem) as problem:
            raise UsageProblem(str(problem)) from problem
    except CarpriceError as error:
        if error.result is not None:
            _write(given.result, error.result)
        print(f"carprice: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code
    _write(given.result, result)
    return 0


def parser() -> argparse.ArgumentParser:
    """The command line of `carprice collect`."""
    made = argparse.ArgumentParser(
        prog="carprice collect",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = made.add_mutually_exclusive_group(required=True)
    what.add_argument("--source", choices=sorted(SOURCES), help="the kind of site to read")
    what.add_argument("--held", action="store_true", help="list the runs held because a site changed")
    what.add_argument("--release", metavar="RUN", help="land a held run: the site is right")
    what.add_argument("--discard", metavar="RUN", help="delete a held run: the site is wrong")
    made.add_argument("--pages", type=_count, default=0, metavar="N", help="the most pages (default: all)")
    made.add_argument("--start", default="", metavar="URL", help="the first search page, filters included")
    made.add_argument("--sitemap", default="", metavar="URL", help="a sitemap of pages of cars (jsonld)")
    made.add_argument("--details", action="store_true", help="read the page of each ad, too (avito)")
    made.add_argument("--result", metavar="FILE", help="file where the JSON result goes (default: printed)")
    return made


def _run(given: argparse.Namespace) -> Any:
    from carprice_collector import delivery
    from carprice_collector.collecting import collect

    settings = Settings.from_environment()
    root = DataRoot(settings.data_root)
    if given.held:
        return delivery.held(root)
    if given.release:
        return delivery.release(root, given.release, settings.state_folder)
    if given.discard:
        delivery.discard(root, given.discard)
        return {"discarded": given.discard}
    source = SOURCES[given.source](given.start, given.sitemap, given.details)
    return collect(settings, source, given.pages)


def _is_worth_reading(record: logging.LogRecord) -> bool:
    return record.levelno >= logging.ERROR or record.name.startswith("carprice")


def _write(target: str | None, result: Any) -> None:
    text = json.dumps(result, indent=2, ensure_ascii=False)
    if target is None:
        print(text)  # noqa: T201
        return
    partial = f"{target}.{uuid.uuid4().hex[:8]}.part"
    with open(partial, "w", encoding="utf-8") as file:
        file.write(text + "\n")
    os.replace(partial, target)


def _count(text: str) -> int:
    if not text.isdigit() or not 1 <= int(text) <= 1_000_000:
        raise argparse.ArgumentTypeError(f"a whole number from 1 was expected, found {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
