"""Two versions compared: on the prices that were paid, and on the listings that both of them priced."""

from __future__ import annotations

import statistics
from datetime import datetime

import sqlalchemy as sa

from price_api.database import feedback, predictions, reading
from price_api.prediction_log.queries import can_be_stored
from price_contract.answers import Agreement, Comparison, VersionErrors

COMPARED_ROWS = 50_000
NEAR_SHARE = 0.05


def comparison_of(
    engine: sa.Engine, production_version: str | None, staging_version: str | None
) -> Comparison:
    """How two versions did on the prices that were paid, and how close they are on the same listings.

    A version's predictions are those that it answered and those that it made in the shadow of another.
    Errors and differences are shares (0.1 is 10 %), None where there is nothing to compare. They cover
    the newest COMPARED_ROWS predictions that have the compared prices. A price paid that is far from the
    estimate does not count.
    """
    with reading(engine) as connection:
        return {
            "production": _errors_of(connection, production_version),
            "staging": _errors_of(connection, staging_version),
            "agreement": _agreement_of(connection, production_version, staging_version),
        }


def _errors_of(connection: sa.Connection, version: str | None) -> VersionErrors:
    """One version's predictions, and its errors on those whose price paid is known."""
    found: VersionErrors = {
        "version": version, "predictions": 0, "feedback": 0, "mape": None, "median_ape": None
    }  # fmt: skip
    if version is None or not can_be_stored(version):
        return found
    paid = feedback.c.price_paid_mad
    both = feedback.join(predictions, feedback.c.prediction_id == predictions.c.prediction_id)
    pairs: list[tuple[datetime, float, float]] = []
    # One query each: an index serves either condition, but not both at once.
    for made, price in (
        (predictions.c.version == version, predictions.c.price_mad),
        (predictions.c.shadow_version == version, predictions.c.shadow_price_mad),
    ):
        counted = sa.select(sa.func.count()).where(made)
        likely = feedback.c.unlikely.is_(False)
        found["predictions"] += connection.scalar(counted.select_from(predictions)) or 0
        found["feedback"] += connection.scalar(counted.where(likely).select_from(both)) or 0
        newest = sa.select(feedback.c.recorded_at, price, paid).select_from(both).where(made, likely)
        newest = newest.order_by(feedback.c.recorded_at.desc()).limit(COMPARED_ROWS)
        pairs += [(row[0], row[1], row[2]) for row in connection.execute(newest)]
    pairs.sort(reverse=True)
    errors = [abs(price_mad - paid_mad) / paid_mad for _, price_mad, paid_mad in pairs[:COMPARED_ROWS]]
    if errors:
        found["mape"], found["median_ape"] = statistics.fmean(errors), statistics.median(errors)
    return found


def _agreement_of(
    connection: sa.Connection, production_version: str | None, staging_version: str | None
) -> Agreement:
    """How close two versions are on the listings that both of them priced."""
    found: Agreement = {"pairs": 0, "median_abs_difference_share": None, "within_5_percent": None}
    if production_version is None or staging_version is None:
        return found
    if not (can_be_stored(production_version) and can_be_stored(staging_version)):
        return found
    pairs: list[tuple[datetime, float, float]] = []
    for answering, shadow in (
        (production_version, staging_version),
        (staging_version, production_version),
    ):
        newest = (
            sa.select(predictions.c.at, predictions.c.price_mad, predictions.c.shadow_price_mad)
            .where(predictions.c.version == answering, predictions.c.shadow_version == shadow)
            .where(predictions.c.price_mad > 0)
            .order_by(predictions.c.at.desc())
            .limit(COMPARED_ROWS)
        )
        pairs += [(row[0], row[1], row[2]) for row in connection.execute(newest)]
    pairs.sort(reverse=True)
    differences = [abs(shadow_mad - mad) / mad for _, mad, shadow_mad in pairs[:COMPARED_ROWS]]
    if differences:
        found = {
            "pairs": len(differences),
            "median_abs_difference_share": statistics.median(differences),
            "within_5_percent": sum(d <= NEAR_SHARE for d in differences) / len(differences),
        }
    return found
