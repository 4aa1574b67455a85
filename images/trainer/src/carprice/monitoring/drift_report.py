"""The pages a reviewer reads about drift: our own, in plain words, and Evidently's beside it."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from carprice.listings.schema import FEATURES
from carprice.model.metrics import Floats
from carprice.monitoring.drift_tests import (
    DRIFTED,
    MILEAGE,
    PRICE_LEVEL,
    TOO_LITTLE,
    Change,
    Comparison,
    Finding,
    before_and_after,
    is_number,
    values_of,
)
from carprice.monitoring.live_accuracy import WORSE, Accuracy, Scored
from carprice.reports.html import templates

if TYPE_CHECKING:
    from evidently.core.report import Snapshot

LABELS = {
    PRICE_LEVEL: "price of an equal car",
    MILEAGE: "mileage",
    "price_mad": "asking price",
    "model_year": "model year",
    "fiscal_power_cv": "fiscal power",
    "first_owner": "first owner",
    "gps": "GPS",
    "abs": "ABS",
    "esp": "ESP",
    "cd_mp3_bluetooth": "CD, MP3 or Bluetooth",
    "onboard_computer": "on-board computer",
}
UNITS = {MILEAGE: " km", "price_mad": " MAD", "fiscal_power_cv": " CV"}
BEFORE, AFTER, INK = "#9fb3c8", "#2f6fab", "#52606d"
# Evidently draws a bar per value; with hundreds of them nobody sees any, and the file grows.
MOST_VALUES, LONGEST_VALUE = 12, 40


def label(column: str) -> str:
    """A column's name for people."""
    return LABELS.get(column, column.replace("_", " "))


def sentence(column: str, change: Change) -> str:
    """What changed, in plain words."""
    name = label(column)
    was, now = _percent(change.before), _percent(change.after)
    if change.kind == "empty":
        return f"{_capital(name)} is empty in {now} of the listings; it was in {was}."
    if change.kind == "new value":
        return f"{change.value} is a {name} never seen before: {now} of the listings."
    if change.kind == "share of a value":
        if change.value in ("yes", "no"):
            return f"{_capital(name)} is “{change.value}” in {now} of the listings; it was in {was}."
        return f"{change.value} ({name}) makes up {now} of the listings; it was {was}."
    if change.kind == "shares":
        return f"The mix of values of {name} changed: {now} of the listings hold another one than expected."
    if change.kind == "steps":
        like = " than in cars of like age" if column == MILEAGE else ""
        step = "bracket" if column == MILEAGE else "value"
        direction = "higher" if change.after > 0 else "lower"
        rows = _percent(abs(change.after))
        return f"{_capital(name)} is one {step} {direction}{like} in about {rows} of the listings."
    if change.kind == "price level":
        shift = float(np.expm1(change.after - change.before))
        more = "more" if shift > 0 else "less"
        return f"Sellers ask {_percent(abs(shift))} {more} for an equal car than before."
    unit = UNITS.get(column, "")
    was, now = _amount(column, change.before), _amount(column, change.after)
    if was == now:
        return f"{_capital(name)} is spread otherwise than before, around the same median of {now}{unit}."
    return f"The median {name} is {now}{unit}; it was {was}{unit}."


def odds(chance: float) -> str:
    """How likely a change is by chance, in words."""
    if chance >= 0.5:
        return "as likely as not"
    if chance < 1e-6:
        return "< 1 in a million"
    rounded = float(f"{1 / chance:.1g}")
    return f"1 in {rounded:,.0f}".replace(",", " ")


# A comparison with its two tables, before and now.
Compared = tuple[Comparison, pd.DataFrame, pd.DataFrame]


def render(
    report: dict[str, Any],
    compared: Compared,
    scored: tuple[Scored, Scored],
    accuracy: Accuracy,
    asked: Compared | None,
) -> str:
    """Our page. `scored` are the listings that the model's errors come from, before and now."""
    errors = scored[0].error, scored[1].error
    return (
        templates()
        .get_template("drift.html")
        .render(
            report=report,
            changes=_cards(compared, errors),
            columns=_rows(compared, errors),
            accuracy=accuracy,
            advice=_advice(compared[0], accuracy),
            asked_changes=_cards(asked, None) if asked else [],
            asked_rows=_rows(asked, None) if asked else [],
            label=label,
        )
    )


def told(finding: Finding, most: int = 4) -> list[Change]:
    """The changes worth a sentence: the mix of values only where no single value explains it."""
    single = [c for c in finding.changes if c.kind != "shares"]
    return (single or finding.changes)[:most]


def _cards(compared: Compared, errors: tuple[Floats, Floats] | None) -> list[dict[str, Any]]:
    """One card per drifted column: its sentences, how sure each is, and a picture."""
    comparison, before, now = compared
    return [
        {
            "column": finding.column,
            "sentences": [(sentence(finding.column, c), odds(c.chance)) for c in told(finding)],
            "picture": picture(finding, before, now, errors),
        }
        for finding in comparison.findings
        if finding.verdict == DRIFTED
    ]


def _rows(compared: Compared, errors: tuple[Floats, Floats] | None) -> list[dict[str, Any]]:
    """One row per column for the table of all."""
    comparison, before, now = compared

    def size(finding: Finding, effect: float) -> str:
        return _percent(float(np.expm1(effect))) if finding.column == PRICE_LEVEL else f"{effect:.2f}"

    strongest = {f.column: f.changes[0] if f.changes else f.strongest for f in comparison.findings}
    return [
        {
            "finding": f,
            "effect": size(f, change.effect) if (change := strongest[f.column]) else "",
            "detectable": size(f, f.detectable) if f.detectable < 9 else "–",
            "odds": odds(f.chance),
            "picture": picture(f, before, now, errors, width=150, height=44),
        }
        for f in comparison.findings
    ]


def _advice(comparison: Comparison, accuracy: Accuracy) -> list[str]:
    """What to do, in plain words."""
    kinds = {c.kind for f in comparison.findings for c in told(f)}
    found = [
        text
        for asked_for, text in (
            (
                {"price level"},
                "Prices moved for equal cars: until a model trained on these listings is in production, read "
                "its prices with this shift in mind. The gates compare the next candidate by themselves.",
            ),
            (
                {"empty"},
                "A column that empties is mostly the scraper's doing: look at the raw file, its quality page "
                "and the site, before its rows teach a model that nothing is known.",
            ),
            (
                {"new value"},
                "For a value never seen the model takes what is nearest, and its interval is too confident. "
                "See whether it is a new spelling of an old value; if it is real, training takes it up.",
            ),
            (
                {"steps", "values"},
                "Numbers that moved are a changed market, a changed selection or a changed unit: compare a "
                "few ads with the site. Where the ads are right, training on them is the remedy.",
            ),
            (
                {"share of a value", "shares"},
                "Another mix of cars is no fault: see in the model card how well it prices those that grew.",
            ),
        )
        if kinds & asked_for
    ]
    if accuracy.verdict == WORSE:
        found.append("The model in production is worse than promised: see that a candidate replaces it.")
    if not found and comparison.verdict == TOO_LITTLE:
        found.append("Wait: the next files are added until there are enough new listings to say.")
    return found or ["Nothing. The next file is compared as soon as it lands."]


# --- pictures


def picture(
    finding: Finding,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    errors: tuple[Floats, Floats] | None,
    width: int = 420,
    height: int = 150,
) -> Markup:
    """Before and after of one column, as an SVG of about `width` by `height` pixels."""
    small = height < 100
    if finding.column == PRICE_LEVEL:
        if errors is None or min(map(len, errors)) == 0:
            return Markup()
        shown = [100 * np.expm1(e) for e in errors]
        shown = [s[np.abs(s) <= 50] for s in shown]
        if min(map(len, shown)) == 0:
            return Markup()
        return _histogram(shown, width, height, "" if small else "%", centre=True)
    before, after = (values_of(table, finding.column) for table in (reference, current))
    empties_only = finding.changes and all(c.kind == "empty" for c in finding.changes)
    if is_number(finding.column) and not empties_only:
        numbers = [s.dropna().to_numpy(dtype=np.float64) for s in (before, after)]
        if min(map(len, numbers)) == 0:
            return Markup()
        if finding.column == "price_mad":
            return _histogram(
                [np.log10(n) for n in numbers],
                width,
                height,
                UNITS["price_mad"] if not small else "",
                log=True,
            )
        return _histogram(numbers, width, height, "" if small else UNITS.get(finding.column, ""))
    if is_number(finding.column):
        empty = finding.empty_reference, finding.empty_current
        bars = {"(empty)": empty, "filled": (1 - empty[0], 1 - empty[1])}
    else:
        named = [c.value for c in finding.changes if c.value]
        bars = dict(before_and_after(before, after, 4 if small else 7, named))
    if not small:
        return _bars(bars, width)
    return _thin_bars({name: pair for name, pair in bars.items() if "other" not in name}, width, height)


def _bars(shares: dict[str, tuple[float, float]], width: int) -> Markup:
    """Two bars for each value, its share before above its share now."""
    row, left, right = 26, 130, 96
    largest = max(max(pair) for pair in shares.values()) or 1.0
    scale = (width - left - right) / largest
    parts = []
    for i, (name, (was, now)) in enumerate(shares.items()):
        y = i * row + 2
        short = name if len(name) <= 18 else name[:17] + "…"
        parts.append(
            f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(short)}</text>'
            f'<rect x="{left}" y="{y + 1}" width="{was * scale:.1f}" height="9" fill="{BEFORE}" rx="1"/>'
            f'<rect x="{left}" y="{y + 11}" width="{now * scale:.1f}" height="9" fill="{AFTER}" rx="1"/>'
            f'<text x="{left + max(was, now) * scale + 6:.1f}" y="{y + 15}">'
            f"{_percent(was)} → {_percent(now)}</text>"
        )
    return _svg(width, row * len(shares) + 4, parts, "shares before and now")


def _thin_bars(shares: dict[str, tuple[float, float]], width: int, height: int) -> Markup:
    """Columns side by side, before and now, without words."""
    largest = max(max(pair) for pair in shares.values()) or 1.0
    step = width / max(len(shares), 1)
    parts = []
    for i, (name, (was, now)) in enumerate(shares.items()):
        bar = min(step * 0.36, 22)
        for offset, share, colour in ((0.0, was, BEFORE), (bar, now, AFTER)):
            tall = share / largest * (height - 3)
            parts.append(
                f'<rect x="{i * step + offset + 2:.1f}" y="{height - tall:.1f}" width="{bar:.1f}" '
                f'height="{tall:.1f}" fill="{colour}">'
                f"<title>{escape(name)}: {_percent(was)} → {_percent(now)}</title></rect>"
            )
    return _svg(width, height, parts, "shares before and now")


def _histogram(
    numbers: Sequence[Floats],
    width: int,
    height: int,
    unit: str,
    log: bool = False,
    centre: bool = False,
) -> Markup:
    """Two histograms over each other: before filled, now as a line; medians as dashes."""
    before, after = numbers
    both = np.concatenate([before, after])
    levels = np.unique(both)
    low, high = np.quantile(both, (0.005, 0.995))
    if centre:
        edges = np.linspace(-50, 50, 34 if height > 100 else 26)
    elif len(levels) <= 40:
        edges = np.append(levels, levels[-1] + (levels[-1] - levels[-2] if len(levels) > 1 else 1))
    else:
        edges = np.linspace(low, high if high > low else low + 1, 33 if height > 100 else 25)
    floor = 20 if height > 100 else 2
    shares = [_density(n, edges) for n in (before, after)]
    top = max(float(s.max()) for s in shares) or 1.0
    x = (edges - edges[0]) / (edges[-1] - edges[0]) * width
    y = [(height - floor) * (1 - s / top * 0.94) for s in shares]
    base = height - floor
    outlines = [
        f"M{x[0]:.1f},{base} "
        + " ".join(f"V{v:.1f} H{right:.1f}" for v, right in zip(ys, x[1:], strict=True))
        + f" V{base}"
        for ys in y
    ]
    parts = [
        f'<path d="{outlines[0]}Z" fill="{BEFORE}" opacity=".6"/>',
        f'<path d="{outlines[1]}" fill="none" stroke="{AFTER}" stroke-width="{2 if floor > 2 else 1.4}"/>',
    ]
    if floor > 2:
        for values, colour in ((before, INK), (after, AFTER)):
            at = float(np.clip((np.median(values) - edges[0]) / (edges[-1] - edges[0]), 0, 1)) * width
            parts.append(
                f'<line x1="{at:.1f}" x2="{at:.1f}" y1="4" y2="{base}" stroke="{colour}" '
                'stroke-dasharray="4 3"/>'
            )
        parts.append(f'<line x1="0" x2="{width}" y1="{base}" y2="{base}" stroke="#d9e2ec"/>')
        for place, anchor in ((0.0, "start"), (0.5, "middle"), (1.0, "end")):
            value = edges[0] + place * (edges[-1] - edges[0])
            parts.append(
                f'<text x="{place * width:.0f}" y="{height - 5}" text-anchor="{anchor}">'
                f"{_tick(10**value if log else value, centre)}{escape(unit)}</text>"
            )
    return _svg(width, height, parts, "distribution before and now")


def _density(values: Floats, edges: Floats) -> Floats:
    """The share of the values per unit of the axis in each bin; what lies outside counts at the ends."""
    counts = np.histogram(np.clip(values, edges[0], np.nextafter(edges[-1], edges[0])), edges)[0]
    found: Floats = counts / max(len(values), 1) / np.diff(edges)
    return found


def _tick(value: float, centre: bool) -> str:
    if centre:
        return f"{value:+.0f} "
    if abs(value) >= 1900 and abs(value) < 2100:
        return f"{value:.0f}"
    rounded = float(f"{value:.2g}")
    return f"{rounded:,.0f}".replace(",", " ")


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> Markup:
    return Markup(  # noqa: S704 (every word from data is escaped above)
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{title}" font-size="12" fill="{INK}">' + "".join(parts) + "</svg>"
    )


def _percent(share: float) -> str:
    digits = 0 if share == 0 or share >= 0.1 else 1
    return f"{100 * share:.{digits}f} %"


def _amount(column: str, value: float) -> str:
    return f"{value:.0f}" if column == "model_year" else f"{value:,.0f}".replace(",", " ")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


# --- Evidently


def evidently_report(
    comparison: Comparison, before: Scored, now: Scored, rows: int
) -> tuple[Snapshot, list[str]]:
    """Evidently's run over at most `rows` listings of each side, and the columns it could not take.

    Summary of the data, drift of every column and regression performance of the production model. Where
    it says that a column drifted, that is our verdict and the score our effect: two verdicts on one page
    would be one too many. An empty column is left out, an unknown category is a value of its own, rare
    values of a category count as one, and "<" in a value reads "‹".
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")
    import plotly.io
    from evidently import DataDefinition, Dataset, Regression, Report
    from evidently.presets import DataDriftPreset, DataSummaryPreset, RegressionPreset

    # Plotly's default style is 7 kB, and Evidently writes it into each of some hundred figures.
    plotly.io.templates.default = "none"
    sides = [_drawn(side, rows) for side in (before, now)]
    findings = {f.column: f for f in comparison.findings}
    wanted = [c for c in FEATURES if c not in ("mileage_km_min", "mileage_km_max")]
    columns = [c for c in (*wanted, MILEAGE, "price_mad") if c in findings]
    tables = [pd.DataFrame({c: values_of(s.listings, c).to_numpy() for c in columns}) for s in sides]
    left_out = [c for c in columns if any(not table[c].notna().any() for table in tables)]
    columns = [c for c in columns if c not in left_out]
    numbers = [c for c in columns if is_number(c)]
    categories = [c for c in columns if c not in numbers]
    for column in categories:
        frequent = pd.concat([t[column] for t in tables]).fillna("unknown").value_counts().index[:MOST_VALUES]
        named = {c.value for c in findings[column].changes}
        for table in tables:
            values = table[column].astype(object).where(table[column].notna(), "unknown")
            shown = values.where(values.isin(frequent) | values.isin(named), "other values")
            # Evidently writes values as they are into a script of its page, which a tag of theirs would end.
            table[column] = shown.str.slice(0, LONGEST_VALUE).str.replace("<", "‹")
    for table, side in zip(tables, sides, strict=True):
        table[numbers] = table[numbers].astype(np.float64)
        table["predicted_mad"] = side.predicted
    definition = DataDefinition(
        numerical_columns=[*numbers, "predicted_mad"],
        categorical_columns=categories,
        regression=[Regression(target="price_mad", prediction="predicted_mad")],
    )
    methods = {c: _as_evidently_test(findings[c]) for c in columns}
    report = Report(
        [
            # Its word on all columns together is ours as well: one drifted column is drift.
            DataDriftPreset(
                columns=columns, per_column_method=methods, drift_share=1 / (2 * max(len(columns), 1))
            ),
            RegressionPreset(),
            DataSummaryPreset(columns=columns),
        ]
    )
    reference, current = (
        Dataset.from_pandas(table[[*columns, "predicted_mad"]], data_definition=definition)
        for table in tables
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of what Evidently does inside, nobody here can repair it
        return report.run(current, reference), [*comparison.left_out, *left_out]


def evidently_page(snapshot: Snapshot) -> bytes:
    """Evidently's run as one self-contained HTML file."""
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "report.html")
        snapshot.save_html(path)
        with open(path, "rb") as file:
            return file.read()


def _drawn(side: Scored, rows: int) -> Scored:
    n = len(side.asked)
    chosen = np.sort(np.random.default_rng(0).permutation(n)[:rows])
    # An absurd price flattens every picture; the quality page names those.
    chosen = chosen[~side.flagged[chosen]] if (~side.flagged[chosen]).sum() > 1 else chosen
    return Scored(
        side.listings.iloc[chosen].reset_index(drop=True),
        side.asked[chosen],
        side.predicted[chosen],
        side.low[chosen],
        side.high[chosen],
        side.flagged[chosen],
    )


def _as_evidently_test(finding: Finding) -> str:
    """Register our verdict on a column as a test that Evidently can show; returns its name."""
    from evidently.legacy.calculations.stattests import StatTest, register_stattest
    from evidently.legacy.core import ColumnType

    strongest = finding.changes[0] if finding.changes else finding.strongest
    effect = strongest.effect if strongest else 0.0
    drifted = finding.verdict == DRIFTED

    def as_found(
        reference: pd.Series, current: pd.Series, kind: ColumnType, threshold: float
    ) -> tuple[float, bool]:
        return effect, drifted

    test = StatTest(
        name=f"carprice_{finding.column}",
        display_name="effect size (see the page in plain words)",
        allowed_feature_types=[ColumnType.Numerical, ColumnType.Categorical],
        default_threshold=strongest.threshold if strongest else 0.2,
    )
    register_stattest(test, default_impl=as_found)
    return str(test.name)
