"""Commands about files of listings: landing, checking, assembling, the sample."""

from __future__ import annotations

import argparse
import os
from typing import Any

from carprice.cli.commands import Commands
from carprice.errors import UsageProblem
from carprice.pipeline import ingestion
from carprice.pipeline.context import Context


def add_commands(commands: Commands) -> None:
    """Add this module's commands."""
    added = commands.by_hand(
        "run", _run, "run every step on FILE in this process, from landing to the report"
    )
    added.add_argument("file", metavar="FILE", help="a CSV file of scraped listings")

    added = commands.by_hand(
        "land", _land, "put FILE into raw/, complete or not at all, where the pipeline finds it"
    )
    added.add_argument("file", metavar="FILE")
    added.add_argument("--name", help="its name in raw/ (default: its own)")

    added = commands.by_hand(
        "check", _check, "show what would become of FILE, without landing it; needs no data root", _summary
    )
    added.add_argument("file", metavar="FILE", help="a file of scraped listings")
    added.add_argument("--json", action="store_true", help="print one JSON object instead of a summary")
    added.add_argument(
        "--rows",
        metavar="OUT",
        help="write every row to this CSV file, with its line, outcome, reason and canonical columns",
    )

    added = commands.by_hand("sample", _sample, "write seeded synthetic listings in the scraper's layout")
    added.add_argument("-o", "--output", metavar="OUT", default="synthetic_listings.csv")
    added.add_argument("--rows", type=int, default=3000, help="rows, repeated ones included (default 3000)")
    added.add_argument("--seed", type=int, default=0, help="the same seed gives the same file (default 0)")

    commands.step("claim-files", _claim_files, "list the landed files that wait to be checked")

    added = commands.step(
        "check-data-quality",
        _check_data_quality,
        "accept, quarantine or refuse landed files, each for itself",
    )
    added.add_argument("--file", required=True, action="append", help="its name in raw/; again for each file")
    added.add_argument(
        "--sha256",
        required=True,
        action="append",
        help="the SHA-256 that its bytes must have; again for each file",
    )

    added = commands.step("release", _release, "release a held file, which the next claim then uses")
    _add_decision(added)

    added = commands.step("reject", _reject, "reject a held file, which is then refused")
    _add_decision(added)

    added = commands.step("assemble-listings", _assemble_listings, "make a snapshot of all accepted listings")
    added.add_argument("--sha256", nargs="+", required=True, help="the files just checked")

    added = commands.by_hand(
        "rebuild", _rebuild, "make a snapshot again from the files in raw/, and say whether it is the same"
    )
    added.add_argument("snapshot", metavar="SNAPSHOT", nargs="?", default="latest")

    added = commands.by_hand(
        "cut-link", _cut_link, "say that two linked ads are two; the next snapshot does not link them"
    )
    _add_ads(added)
    added.add_argument("--by", default=os.environ.get("USER") or "unknown", help="who decided it")
    added.add_argument("--reason", default="decided by hand", help="why; it is kept with the cut")

    commands.by_hand(
        "collected",
        _collected,
        "show what the collector's runs found changed: new ads, other prices, gone ads",
    )

    added = commands.by_hand("restore-link", _restore_link, "forget that a link was cut")
    _add_ads(added)


def _run(arguments: argparse.Namespace, context: Context) -> Any:
    from carprice.pipeline import whole_run

    return whole_run.run(context.root, context.params, context.registry, arguments.file)


def _land(arguments: argparse.Namespace, context: Context) -> Any:
    return ingestion.land(context, arguments.file, arguments.name)


def _check(arguments: argparse.Namespace, context: Context) -> Any:
    if arguments.json:
        arguments.printed = None
    return ingestion.check_file(context, arguments.file, arguments.rows)


def _summary(receipt: dict[str, Any]) -> str:
    from carprice.quality.summary import summary

    return summary(receipt)


def _sample(arguments: argparse.Namespace, context: Context) -> Any:
    from carprice.listings import sample

    sample.write_sample(arguments.output, arguments.rows, arguments.seed)
    return {"file": arguments.output, "rows": arguments.rows, "seed": arguments.seed}


def _claim_files(arguments: argparse.Namespace, context: Context) -> Any:
    return ingestion.claim_steps(context)


def _check_data_quality(arguments: argparse.Namespace, context: Context) -> Any:
    from carprice.pipeline.checking import check_files

    files, shas = arguments.file, arguments.sha256
    if len(files) != len(shas):
        raise UsageProblem(
            f"One --sha256 was expected for each --file, found {len(shas)} for {len(files)}; give both for "
            "each file."
        )
    return check_files(context, list(zip(files, shas, strict=True)))


def _add_decision(added: argparse.ArgumentParser) -> None:
    added.add_argument("file", metavar="FILE", help="its name in raw/, or the beginning of its SHA-256")
    added.add_argument("--by", default=os.environ.get("USER") or "unknown", help="who decided it")
    added.add_argument("--reason", default="decided by hand", help="why; it is kept in the receipt")


def _release(arguments: argparse.Namespace, context: Context) -> Any:
    return ingestion.decide_held_file(context, "release", arguments.file, arguments.by, arguments.reason)


def _reject(arguments: argparse.Namespace, context: Context) -> Any:
    return ingestion.decide_held_file(context, "reject", arguments.file, arguments.by, arguments.reason)


def _rebuild(arguments: argparse.Namespace, context: Context) -> Any:
    return ingestion.rebuild(context, arguments.snapshot)


def _add_ads(added: argparse.ArgumentParser) -> None:
    for name in ("one", "other"):
        added.add_argument(name, metavar=name.upper(), help="the listing_id of an ad")


def _cut_link(arguments: argparse.Namespace, context: Context) -> Any:
    return ingestion.cut_link(context, arguments.one, arguments.other, arguments.by, arguments.reason)


def _collected(arguments: argparse.Namespace, context: Context) -> Any:
    from carprice.history import collected

    return {"runs": collected.changes(context.root), "gone_now": collected.gone(context.root)}


def _restore_link(arguments: argparse.Namespace, context: Context) -> Any:
    return ingestion.restore_link(context, arguments.one, arguments.other)


def _assemble_listings(arguments: argparse.Namespace, context: Context) -> Any:
    return ingestion.assemble_listings(context, arguments.sha256)
