"""From a landed file to a snapshot of all accepted listings."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Literal

from carprice.errors import CarpriceError, DataRefused
from carprice.pipeline.context import Context

if TYPE_CHECKING:
    from carprice.quality.hold import KnownPrices, PriceSource

log = logging.getLogger(__name__)


def land(context: Context, path: str, name: str | None = None) -> dict[str, Any]:
    """Put the local file at `path` into `raw/`, complete or not at all."""
    from carprice.landing import land as landing

    return landing.land(context.root, path, name)


def check_file(context: Context, path: str, row_list: str | None = None) -> dict[str, Any]:
    """What would become of the local file at `path` if it landed: its receipt. Nothing is recorded.

    `row_list` names a CSV file for the fate of every row. Raises `DataRefused` with the receipt as its result
    when the file would be refused as a whole, and `UsageProblem` when `path` can't be read or `row_list`
    can't be written.
    """
    from carprice import local_files
    from carprice.history import snapshots
    from carprice.quality import check

    if row_list is not None:
        local_files.require_place_for(row_list, "--rows")
    local_files.require_readable(path)
    known = snapshots.names(context.root)
    receipt = check.try_file(
        path, context.params.quality, lambda: production_prices(context), row_list, known
    )
    if receipt["status"] == "refused":
        raise DataRefused(f"{receipt['file']} would be refused.", receipt, receipt["refusal_code"])
    return receipt


def claim_files(context: Context) -> list[dict[str, str]]:
    """The landed files that wait to be checked. Raises `NothingToDo` when there is none."""
    from carprice.landing.claim import claim

    return claim(context.root, context.params)


def claim_steps(context: Context) -> list[list[dict[str, str]]]:
    """The landed files that wait to be checked, those of each step together. Raises `NothingToDo`."""
    from carprice.landing.sharing import steps_of

    return steps_of(context.root, context.params.landing, claim_files(context))


def check_data_quality(
    context: Context, file: str, sha256: str, prices: PriceSource | None = None
) -> dict[str, Any]:
    """Accept, quarantine or refuse the rows of one landed file; returns its receipt.

    `prices` are by default those of the model in production. Raises `DataRefused` with the receipt as its
    result when the whole file is refused, and `FileHeld` when a person has to decide about it. Both are
    recorded as an alert, which a later step sends.
    """
    from carprice.alerts import events
    from carprice.quality import check

    with _refusal_recorded(context):
        receipt = check.check_data_quality(
            context.root, context.params, file, sha256, prices or (lambda: production_prices(context))
        )
    events.file_accepted(context.root, receipt["sha256"])
    return receipt


def decide_held_file(
    context: Context, action: Literal["release", "reject"], file: str, by: str, reason: str
) -> dict[str, Any]:
    """Release or reject a held file, named by its name or SHA-256; returns its receipt."""
    from carprice.alerts import events
    from carprice.quality import decision

    receipt = decision.decide(context.root, context.params.quality, action, file, by, reason)
    events.held_file_decided(context.root, receipt["sha256"])
    return receipt


def assemble_listings(context: Context, sha256: list[str]) -> dict[str, Any]:
    """Make a snapshot of all accepted listings; `sha256` names the files just checked."""
    from carprice.history import assembling

    return assembling.assemble(context.root, context.params, sha256)


def rebuild(context: Context, snapshot_id: str) -> dict[str, Any]:
    """Make a snapshot again from the files in `raw/`, and say whether it is the same."""
    from carprice.history import rebuilding

    return rebuilding.rebuild(context.root, context.params, snapshot_id)


def cut_link(context: Context, one: str, other: str, by: str, reason: str) -> dict[str, Any]:
    """Record that two ads are not one; the next snapshot does not link them."""
    from carprice.history import cuts

    return cuts.cut(context.root, one, other, by, reason)


def restore_link(context: Context, one: str, other: str) -> dict[str, Any]:
    """Forget that a person cut a link."""
    from carprice.history import cuts

    return cuts.restore(context.root, one, other)


def production_prices(context: Context) -> KnownPrices | str:
    """The prices of the model in production, or why there are none: a file never waits for MLflow."""
    if not context.has_registry:
        return "no model is in production"
    from carprice.lifecycle.registry import PRODUCTION
    from carprice.listings.asked_days import ASKED_ON, days_of
    from carprice.model.features import features_of
    from carprice.quality.hold import KnownPrices

    try:
        production = context.registry.version_of(PRODUCTION)
        if production is None:
            return "no model is in production"
        pipeline = context.registry.load_version(PRODUCTION).pipeline
    except CarpriceError as error:
        log.warning("prices are not compared with those of the production model: %s", error)
        return f"the model in production could not be loaded: {error}"
    return KnownPrices(
        str(production.version),
        # an old scrape is compared with the prices of its own days
        lambda listings: pipeline.predict(
            features_of(listings.assign(**{ASKED_ON: days_of(listings["scraped_at"])})), return_interval=True
        ),
    )


@contextlib.contextmanager
def _refusal_recorded(context: Context) -> Iterator[None]:
    from carprice.alerts import events
    from carprice.quality.check import FileHeld

    try:
        yield
    except DataRefused as refused:
        if isinstance(refused.result, dict) and refused.result.get("status") == "refused":
            events.file_refused(context.root, refused.result)
        raise
    except FileHeld as held:
        events.file_held(context.root, held.result)
        raise
