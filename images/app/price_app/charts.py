"""The drawings: the price in its range, the steps from base to price, price curves, importance."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import altair as alt
import pandas as pd

from price_contract import formats
from price_contract.answers import CurvePoint, Priced
from price_contract.language import _, current

UP, DOWN, TOTAL, BAND, ASKED = "#0B6B4B", "#B8442B", "#4B5650", "#7DBFA2", "#2F45C5"
# An asking price beyond this many times the range is drawn at the edge.
_EDGE = 1.2


def price_range(estimate: Priced, step: int) -> str:
    """The interval as a band, the price in it and, where one is known, the asking price; HTML.

    Amounts of the estimate are written in whole `step`s of MAD.
    """
    low, high, price = estimate["low_mad"], estimate["high_mad"], estimate["price_mad"]
    if low is None or high is None:
        return ""
    asking = None if estimate["asking_price"] is None else estimate["asking_price"]["price_mad"]
    margin = max((high - low) * 0.35, 1.0)
    left, right = low - margin, high + margin
    if asking is not None:
        span = (high - low) * _EDGE
        left = min(left, max(asking - margin * 0.3, low - span))
        right = max(right, min(asking + margin * 0.3, high + span))

    def place(mad: float) -> float:
        return round(min(max((mad - left) / (right - left), 0.0), 1.0) * 100, 2)

    def written(mad: float) -> str:
        return formats.money(formats.rounded(mad, step))

    parts = [
        '<div class="cp-line"></div>',
        f'<div class="cp-band" style="left:{place(low)}%;width:{round(place(high) - place(low), 2)}%"></div>',
        f'<div class="cp-here" style="left:{place(price)}%"></div>',
        *(
            f'<div class="cp-end" style="left:{place(mad)}%">{escape(written(mad))}'
            f"<small>{escape(word)}</small></div>"
            for mad, word in ((low, _("bas")), (high, _("haut")))
        ),
    ]
    said = _(
        "Fourchette de {low} à {high}, prix estimé {price}.",
        low=written(low),
        high=written(high),
        price=written(price),
    )
    if asking is not None:
        at = place(asking)
        side = f"left:{at}%;transform:translateX(-50%)" if 25 < at < 75 else (
            f"left:{at}%" if at <= 25 else f"right:{round(100 - at, 2)}%"
        )  # fmt: skip
        label = _("Prix demandé {price}", price=formats.money(asking))
        parts.append(f'<div class="cp-asked" style="left:{at}%"></div>')
        parts.append(f'<div class="cp-asked-label" style="{side}">{escape(label)}</div>')
        said += f" {label}."
    return f'<div class="cp-range" role="img" aria-label="{escape(said, quote=True)}">{"".join(parts)}</div>'


def waterfall(base_mad: float, price_mad: float, steps: Sequence[tuple[str, float]]) -> alt.LayerChart:
    """From the base to the price: one bar per step (name, MAD), in the order given."""
    rows: list[dict[str, Any]] = [
        _bar(_("Prix typique du marché"), 0.0, base_mad, "total", formats.number(base_mad))
    ]
    at = base_mad
    for name, mad in steps:
        rows.append(_bar(name, at, at + mad, "up" if mad >= 0 else "down", formats.signed_number(mad)))
        at += mad
    rows.append(_bar(_("Prix estimé"), 0.0, price_mad, "total", formats.number(price_mad)))
    data = pd.DataFrame(rows)
    data["end"] = data[["from", "to"]].max(axis=1)
    order = list(data["name"])
    y = alt.Y(
        "name:N",
        sort=order,
        title=None,
        axis=alt.Axis(labelLimit=150, ticks=False, domain=False, labelPadding=8),
    )
    highest = float(data["end"].max())
    bars = (
        alt.Chart(data)
        .mark_bar(cornerRadius=3, height=alt.RelativeBandSize(0.62))
        .encode(
            x=alt.X(
                "from:Q",
                title=formats.currency(),
                axis=money_axis(),
                scale=alt.Scale(domain=[0, highest * 1.34], nice=False),
            ),
            x2="to:Q",
            y=y,
            color=alt.Color(
                "kind:N",
                legend=None,
                scale=alt.Scale(domain=["up", "down", "total"], range=[UP, DOWN, TOTAL]),
            ),
            tooltip=[alt.Tooltip("name:N", title=" "), alt.Tooltip("text:N", title=" ")],
        )
    )
    labels = (
        alt.Chart(data)
        .mark_text(align="left", dx=5, fontSize=12, color="#1F2A26")
        .encode(x="end:Q", y=y, text="text:N")
    )
    return styled((bars + labels).properties(height=36 * len(rows) + 30))


def curve(
    points: Sequence[CurvePoint], field: str, title: str, here: tuple[int, int] | None, step: int
) -> alt.LayerChart:
    """The price (with its interval) over `field` (mileage_km or model_year).

    `here` is (place, MAD) of the car, None where nobody knows its place. Amounts are written in
    whole `step`s.
    """
    data = pd.DataFrame(points)
    unit = formats.kilometres if field == "mileage_km" else str
    data["where"] = [unit(int(value)) for value in data[field]]
    data["price"] = [formats.money(formats.rounded(mad, step)) for mad in data["price_mad"]]
    data["between"] = [
        formats.money_range(formats.rounded(low, step), formats.rounded(high, step))
        for low, high in zip(data["low_mad"], data["high_mad"], strict=True)
    ]
    axis = (
        alt.Axis(labelExpr=grouped("datum.value"), tickCount=5, grid=False)
        if field == "mileage_km"
        else alt.Axis(format="d", tickMinStep=1, tickCount=6, grid=False)
    )
    x = alt.X(f"{field}:Q", title=title, axis=axis, scale=alt.Scale(zero=False, nice=False))
    tooltip = [
        alt.Tooltip("where:N", title=title),
        alt.Tooltip("price:N", title=_("Prix estimé")),
        alt.Tooltip("between:N", title=_("Fourchette")),
    ]
    base = alt.Chart(data).encode(x=x)
    band = base.mark_area(color=BAND, opacity=0.32, interpolate="monotone").encode(
        y=alt.Y("low_mad:Q", title=None, axis=money_axis(), scale=alt.Scale(zero=True)), y2="high_mad:Q"
    )
    line = base.mark_line(color=UP, strokeWidth=2.5, interpolate="monotone").encode(y="price_mad:Q")
    touch = base.mark_point(opacity=0, size=300).encode(y="price_mad:Q", tooltip=tooltip)
    if here is None:
        return styled((band + line + touch).properties(height=270))
    now = pd.DataFrame(
        [{field: here[0], "price_mad": here[1], "text": formats.money(formats.rounded(here[1], step))}]
    )
    mark = (
        alt.Chart(now)
        .mark_point(filled=True, size=130, color=UP, stroke="white", strokeWidth=2, opacity=1)
        .encode(x=f"{field}:Q", y="price_mad:Q")
    )
    label = (
        alt.Chart(now)
        .mark_text(dy=-16, fontSize=13, fontWeight="bold", color="#1F2A26")
        .encode(x=f"{field}:Q", y="price_mad:Q", text="text:N")
    )
    return styled((band + line + touch + mark + label).properties(height=270))


def importance(rows: Sequence[tuple[str, float]]) -> alt.LayerChart:
    """How much each characteristic matters (name, share of 1), most first."""
    data = pd.DataFrame(
        [{"name": name, "value": value, "text": formats.share(value, 1)} for name, value in rows]
    )
    y = alt.Y(
        "name:N",
        sort=list(data["name"]),
        title=None,
        axis=alt.Axis(labelLimit=170, ticks=False, domain=False, labelPadding=8),
    )
    highest = float(data["value"].max())
    bars = (
        alt.Chart(data)
        .mark_bar(color=UP, cornerRadius=3, height=alt.RelativeBandSize(0.6))
        .encode(
            x=alt.X("value:Q", title=None, axis=None, scale=alt.Scale(domain=[0, (highest or 1) * 1.22])),
            y=y,
            tooltip=[alt.Tooltip("name:N", title=" "), alt.Tooltip("text:N", title=" ")],
        )
    )
    labels = (
        alt.Chart(data).mark_text(align="left", dx=5, fontSize=12).encode(x="value:Q", y=y, text="text:N")
    )
    return styled((bars + labels).properties(height=30 * len(data) + 20))


def money_axis() -> alt.Axis:
    """An axis of amounts, with the language's own grouping."""
    return alt.Axis(
        labelExpr=grouped("datum.value"), tickCount=4, gridColor="#EFECE3", domain=False, ticks=False
    )


def grouped(value: str) -> str:
    """A Vega expression: a number with the language's own grouping."""
    mark = "," if current() == "en" else "\u202f"
    return f"replace(format({value}, ',.0f'), /,/g, '{mark}')"


def styled(chart: alt.LayerChart) -> alt.LayerChart:
    """A drawing in the style of the app."""
    drawing: alt.LayerChart = chart.configure_view(stroke=None).configure_axis(
        labelFontSize=12, labelColor="#3D4741", titleFontSize=12, titleFontWeight="normal"
    )
    return drawing


def _bar(name: str, start: float, end: float, kind: str, text: str) -> dict[str, Any]:
    return {"name": name, "from": start, "to": end, "kind": kind, "text": text}
