"""Sentences about drift, in plain words."""

from __future__ import annotations

import numpy as np

from carprice.formats import thousands
from carprice.monitoring.compared_columns import MILEAGE, PRICE, PRICE_LEVEL
from carprice.monitoring.verdict import DRIFTED, TOO_LITTLE, Change, Comparison, Finding

LABELS = {
    PRICE_LEVEL: "price of an equal car",
    MILEAGE: "mileage",
    PRICE: "asking price",
    "model_year": "model year",
    "fiscal_power_cv": "fiscal power",
    "first_owner": "first owner",
    "gps": "GPS",
    "abs": "ABS",
    "esp": "ESP",
    "cd_mp3_bluetooth": "CD, MP3 or Bluetooth",
    "onboard_computer": "on-board computer",
}
UNITS = {MILEAGE: " km", PRICE: " MAD", "fiscal_power_cv": " CV"}


# Sentences for one column, and columns named in a headline.
MOST_SENTENCES, MOST_NAMES = 4, 4


def headline(comparison: Comparison, file: str) -> str:
    """The verdict in one sentence."""
    if comparison.verdict == DRIFTED:
        names = [label(column) for column in comparison.drifted]
        more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
        return f"{file} differs from what production learned: {', '.join(names[:MOST_NAMES])}{more}"
    if comparison.verdict == TOO_LITTLE:
        return f"{file}: {comparison.rows_current} new listings are too few to say whether the market changed"
    return f"{file} is like what production learned"


def label(column: str) -> str:
    """A column's name for people."""
    return LABELS.get(column, column.replace("_", " "))


def sentence(column: str, change: Change) -> str:
    """A change in plain words."""
    name = label(column)
    was, now = short_percent(change.before), short_percent(change.after)
    match change.kind:
        case "empty":
            return f"{_capital(name)} is empty in {now} of the listings; it was in {was}."
        case "new value":
            return f"{change.value} is a {name} never seen before: {now} of the listings."
        case "share of a value" if change.value in ("yes", "no"):
            return f"{_capital(name)} is “{change.value}” in {now} of the listings; it was in {was}."
        case "share of a value":
            return f"{change.value} ({name}) makes up {now} of the listings; it was {was}."
        case "shares":
            return f"The mix of values of {name} changed: {now} of the listings moved to another value."
        case "steps":
            step, cars = ("bracket", " than in cars of similar age") if column == MILEAGE else ("value", "")
            direction = "higher" if change.after > 0 else "lower"
            rows = short_percent(abs(change.after))
            return f"{_capital(name)} is one {step} {direction}{cars} in about {rows} of the listings."
        case "price level":
            shift = float(np.expm1(change.after - change.before))
            more = "more" if shift > 0 else "less"
            return f"Sellers ask {short_percent(abs(shift))} {more} for an equal car than before."
        case "values":
            unit = UNITS.get(column, "")
            was, now = _amount(column, change.before), _amount(column, change.after)
            if was == now:
                return f"{_capital(name)} is spread differently around the same median of {now}{unit}."
            return f"The median {name} is {now}{unit}; it was {was}{unit}."


def odds(p_value: float) -> str:
    """How likely a change is by chance, in words."""
    if p_value >= 0.5:
        return "as likely as not"
    if p_value < 1e-6:
        return "< 1 in a million"
    return f"1 in {thousands(float(f'{1 / p_value:.1g}'))}"


def changes_to_report(finding: Finding) -> list[Change]:
    """The changes that get a sentence: the mix of values only if no single value explains it."""
    single = [change for change in finding.changes if change.kind != "shares"]
    return (single or finding.changes)[:MOST_SENTENCES]


def sentences(comparison: Comparison) -> list[str]:
    """All changes of all columns in plain words."""
    return [
        sentence(finding.column, change)
        for finding in comparison.findings
        for change in changes_to_report(finding)
    ]


def short_percent(share: float) -> str:
    """A share in percent, with a decimal below 10 %."""
    digits = 0 if share == 0 or share >= 0.1 else 1
    return f"{100 * share:.{digits}f} %"


def _amount(column: str, value: float) -> str:
    return f"{value:.0f}" if column == "model_year" else thousands(value)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
