"""Pictures of a column before and now, as SVG."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from markupsafe import Markup, escape

from carprice.formats import thousands
from carprice.model.metrics import Floats
from carprice.monitoring.compared_columns import PRICE, PRICE_LEVEL, is_number, shares_of_values, values_of
from carprice.monitoring.drift_sentences import UNITS, short_percent
from carprice.monitoring.verdict import Finding

BEFORE, AFTER, INK = "#9fb3c8", "#2f6fab", "#52606d"


def picture(
    finding: Finding,
    reference: pd.DataFrame,
    current: pd.DataFrame,
    errors: tuple[Floats, Floats] | None,
    width: int = 420,
    height: int = 150,
) -> Markup:
    """One column before and now, as an SVG of about `width` by `height` pixels; without words if below 100.

    `errors` are log(asking price / predicted price) before and now. Empty if a side has nothing to draw.
    """
    small = height < 100
    unit = "" if small else UNITS.get(finding.column, "")
    if finding.column == PRICE_LEVEL:
        return _price_level(errors, width, height, "" if small else "%") if errors else Markup()
    before, after = (values_of(table, finding.column) for table in (reference, current))
    only_empty = finding.changes and all(change.kind == "empty" for change in finding.changes)
    if is_number(finding.column) and not only_empty:
        numbers = [side.dropna().to_numpy(dtype=np.float64) for side in (before, after)]
        if min(map(len, numbers)) == 0:
            return Markup()
        if finding.column == PRICE:
            return _histogram([np.log10(side) for side in numbers], width, height, unit, log=True)
        return _histogram(numbers, width, height, unit)
    if is_number(finding.column):
        empty = finding.empty_reference, finding.empty_current
        bars = {"(empty)": empty, "filled": (1 - empty[0], 1 - empty[1])}
    else:
        named = [change.value for change in finding.changes if change.value]
        bars = dict(shares_of_values(before, after, 4 if small else 7, named))
    if not small:
        return _bars(bars, width)
    return _thin_bars({name: pair for name, pair in bars.items() if "other" not in name}, width, height)


def _price_level(errors: tuple[Floats, Floats], width: int, height: int, unit: str) -> Markup:
    """How far asking prices are from predicted ones, in percent; beyond 50 % is left out."""
    percents = [100 * np.expm1(side) for side in errors]
    shown = [side[np.abs(side) <= 50] for side in percents]
    if min(map(len, shown)) == 0:
        return Markup()
    return _histogram(shown, width, height, unit, centre=True)


def _bars(shares: dict[str, tuple[float, float]], width: int) -> Markup:
    """Two bars for each value, the share before above the share now."""
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
            f"{short_percent(was)} → {short_percent(now)}</text>"
        )
    return _svg(width, row * len(shares) + 4, parts, "shares before and now")


def _thin_bars(shares: dict[str, tuple[float, float]], width: int, height: int) -> Markup:
    """Narrow bars side by side, before and now, without words."""
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
                f"<title>{escape(name)}: {short_percent(was)} → {short_percent(now)}</title></rect>"
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
    """Two histograms over each other: before as an area, now as a line, the medians as dashed lines."""
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
    """The share of the values per unit of the axis in each bin; values outside count in an end bin."""
    counts = np.histogram(np.clip(values, edges[0], np.nextafter(edges[-1], edges[0])), edges)[0]
    found: Floats = counts / max(len(values), 1) / np.diff(edges)
    return found


def _tick(value: float, centre: bool) -> str:
    if centre:
        return f"{value:+.0f} "
    if abs(value) >= 1900 and abs(value) < 2100:
        return f"{value:.0f}"
    rounded = float(f"{value:.2g}")
    return thousands(rounded)


def _svg(width: int, height: int, parts: Sequence[str], title: str) -> Markup:
    return Markup(  # noqa: S704 (the functions above escape every word that comes from data)
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{title}" font-size="12" fill="{INK}">' + "".join(parts) + "</svg>"
    )
