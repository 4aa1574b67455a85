"""The drawings of the market: a price over time, prices by year and by mileage, the market's level."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from price_app.charts import ASKED, BAND, TOTAL, UP, grouped, money_axis, styled
from price_contract import formats
from price_contract.language import _, current
from price_contract.offer_answers import MarketLevel, OfferDetails

_HEIGHT = 280
# A longer drawing needs years on its axis.
_LONG_DAYS = 300
# More amounts would cover each other.
_MOST_WRITTEN = 8


def price_history(offer: OfferDetails) -> alt.LayerChart | None:
    """The asking price as steps, and the estimates with their ranges; None without any time."""
    end = _naive(offer["gone_since"] or offer["last_seen_at"])
    asked: list[dict[str, Any]] = [
        {"at": at, "mad": change["price_mad"], "text": formats.money(change["price_mad"])}
        for change in offer["prices"]
        if (at := _naive(change["at"])) is not None
    ]
    if not asked or end is None:
        return None
    # A listing that was seen once has a line all the same.
    end = max(end, asked[0]["at"] + datetime.timedelta(days=1), asked[-1]["at"])
    start: datetime.datetime = asked[0]["at"]
    asked.append({**asked[-1], "at": end})
    said = _estimates(offer, start, end)
    x = alt.X("at:T", title=None, axis=_day_axis((end - start).days))
    y_scale = alt.Scale(zero=False, nice=True, padding=12)
    layers: list[alt.Chart] = []
    if said:
        estimates = alt.Chart(pd.DataFrame(said)).encode(x=x)
        layers.append(
            estimates.mark_area(color=BAND, opacity=0.3, interpolate="step-after").encode(
                y=alt.Y("low:Q", title=None, axis=money_axis(), scale=y_scale), y2="high:Q"
            )
        )
        layers.append(
            estimates.mark_line(color=UP, strokeWidth=2, strokeDash=[6, 4], interpolate="step-after").encode(
                y=alt.Y("mad:Q", title=None, axis=money_axis(), scale=y_scale),
                tooltip=[
                    alt.Tooltip("day:N", title=" "),
                    alt.Tooltip("text:N", title=_("Estimation")),
                    alt.Tooltip("range:N", title=_("Fourchette")),
                ],
            )
        )
    price = alt.Chart(pd.DataFrame(asked)).encode(
        x=x, y=alt.Y("mad:Q", title=None, axis=money_axis(), scale=y_scale)
    )
    layers.append(price.mark_line(color=ASKED, strokeWidth=3, interpolate="step-after"))
    changes = alt.Chart(
        pd.DataFrame([{**each, "day": formats.day(each["at"].date())} for each in asked[:-1]])
    ).encode(x=x, y="mad:Q")
    layers.append(
        changes.mark_point(filled=True, size=90, color=ASKED, opacity=1).encode(
            tooltip=[
                alt.Tooltip("day:N", title=" "),
                alt.Tooltip("text:N", title=_("Prix demandé")),
            ]
        )
    )
    if len(asked) <= _MOST_WRITTEN:
        written = changes.encode(text="text:N")
        look: dict[str, Any] = {"dy": -14, "dx": 5, "fontSize": 12, "fontWeight": "bold", "align": "left"}
        layers.append(written.mark_text(**look, color="#FFFFFF", stroke="#FFFFFF", strokeWidth=4))
        layers.append(written.mark_text(**look, color=ASKED))
    return _drawing(layers, _HEIGHT)


def groups(rows: Sequence[dict[str, Any]], title: str) -> alt.LayerChart:
    """Median asking prices with the middle half: rows of `name`, `median`, `q1`, `q3`, `offers`, in order."""
    data = pd.DataFrame(rows)
    data["text"] = [formats.money(mad) for mad in data["median"]]
    data["half"] = [formats.money_range(low, high) for low, high in zip(data["q1"], data["q3"], strict=True)]
    data["count"] = [formats.number(n) for n in data["offers"]]
    base = alt.Chart(data).encode(
        x=alt.X(
            "name:N",
            sort=list(data["name"]),
            title=title,
            axis=alt.Axis(labelAngle=0, labelOverlap=True, ticks=False, domain=False, labelPadding=6),
        )
    )
    tooltip = [
        alt.Tooltip("name:N", title=title),
        alt.Tooltip("text:N", title=_("Prix médian")),
        alt.Tooltip("half:N", title=_("La moitié entre")),
        alt.Tooltip("count:N", title=_("Annonces")),
    ]
    half = base.mark_bar(color=BAND, opacity=0.55, cornerRadius=4, width={"band": 0.62}).encode(
        y=alt.Y("q1:Q", title=None, axis=money_axis(), scale=alt.Scale(zero=True, nice=True)),
        y2="q3:Q",
        tooltip=tooltip,
    )
    middle = base.mark_tick(color=UP, thickness=3, opacity=1, width={"band": 0.62}).encode(
        y="median:Q", tooltip=tooltip
    )
    return _drawing([half, middle], _HEIGHT)


def level(rows: Sequence[MarketLevel]) -> alt.LayerChart:
    """The price of an equal car over time, 100 on the newest day, with its band."""
    data = pd.DataFrame(
        [
            {
                "at": datetime.datetime.fromisoformat(row["day"]),
                "level": 100 * row["level"],
                "low": 100 * row["low"],
                "high": 100 * row["high"],
                "day": formats.day(datetime.date.fromisoformat(row["day"])),
                "text": formats.number(100 * row["level"], 1),
                "range": f"{formats.number(100 * row['low'], 1)} – {formats.number(100 * row['high'], 1)}",
            }
            for row in rows
        ]
    )
    days = (data["at"].max() - data["at"].min()).days
    scale = alt.Scale(zero=False, nice=True, padding=10)
    axis = alt.Axis(
        labelExpr=grouped("datum.value"), tickCount=5, gridColor="#EFECE3", domain=False, ticks=False
    )
    base = alt.Chart(data).encode(x=alt.X("at:T", title=None, axis=_day_axis(days)))
    band = base.mark_area(color=BAND, opacity=0.35, interpolate="monotone").encode(
        y=alt.Y("low:Q", title=None, axis=axis, scale=scale), y2="high:Q"
    )
    line = base.mark_line(color=UP, strokeWidth=2.5, interpolate="monotone").encode(y="level:Q")
    touch = base.mark_point(opacity=0, size=300).encode(
        y="level:Q",
        tooltip=[
            alt.Tooltip("day:N", title=" "),
            alt.Tooltip("text:N", title=_("Niveau")),
            alt.Tooltip("range:N", title=_("Marge d'erreur")),
        ],
    )
    even = (
        alt.Chart(pd.DataFrame([{"level": 100}]))
        .mark_rule(color=TOTAL, strokeDash=[3, 3], opacity=0.6)
        .encode(y="level:Q")
    )
    return _drawing([band, even, line, touch], 240)


def _drawing(layers: Sequence[alt.Chart], height: int) -> alt.LayerChart:
    drawing: alt.LayerChart = alt.LayerChart(layer=list(layers)).properties(height=height)
    return styled(drawing)


def _estimates(offer: OfferDetails, start: datetime.datetime, end: datetime.datetime) -> list[dict[str, Any]]:
    """The estimates as they held from `start` to `end`, each until the next one; the last to the end."""
    found = [
        (at, each["estimate_mad"], each["low_mad"], each["high_mad"])
        for each in offer["estimates"]
        if (at := _naive(each["at"])) is not None
        and None not in (each["estimate_mad"], each["low_mad"], each["high_mad"])
    ]
    if not found and None not in (offer["estimate_mad"], offer["low_mad"], offer["high_mad"]):
        found = [(start, offer["estimate_mad"], offer["low_mad"], offer["high_mad"])]
    rows = [
        {
            # What the first model said of the car is drawn from the first day on.
            "at": start if place == 0 else min(max(at, start), end),
            "mad": mad,
            "low": low,
            "high": high,
            "text": formats.money(formats.rounded(mad, step)),
            "range": formats.money_range(formats.rounded(low, step), formats.rounded(high, step)),
            "day": formats.day(at.date()),
        }
        for place, (at, mad, low, high) in enumerate(found)
        if mad is not None and low is not None and high is not None
        for step in [formats.step_of(mad, low, high)]
    ]
    return [*rows, {**rows[-1], "at": end}] if rows else []


def _naive(iso: str | None) -> datetime.datetime | None:
    """A moment on Morocco's clock, without a zone: a browser writes it so wherever it stands."""
    at = formats.parse_moment(iso)
    return None if at is None else at.replace(tzinfo=None)


def _day_axis(days: int) -> alt.Axis:
    # The names of months are English in Vega.
    short = "%b %-d" if current() == "en" else "%d/%m"
    long = "%b %Y" if current() == "en" else "%m/%Y"
    return alt.Axis(
        format=long if days > _LONG_DAYS else short, tickCount=6, grid=False, labelOverlap=True, ticks=False
    )
