"""The pictures a run carries: importance, predicted against actual, residuals, market. PNG files."""

from __future__ import annotations

import os

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from carprice.model.metrics import Floats

INK, GRID, BLUE, RED = "#1f2933", "#d9e2ec", "#2f6fab", "#c0392b"


def importance(table: pd.DataFrame, folder: str) -> str:
    """Bars of the fifteen most important features; returns the file's path."""
    top = table.head(15).iloc[::-1]
    figure, axes = _figure("Feature importance", "increase of the mean absolute log error when shuffled", "")
    axes.barh(top["feature"], top["importance"], xerr=top["spread"], color=BLUE, ecolor=INK)
    return _saved(figure, folder, "importance.png")


def predicted_against_actual(
    actual_mad: Floats, predicted_mad: Floats, flagged: np.ndarray, folder: str
) -> str:
    """A point for each test listing on logarithmic axes in MAD; returns the file's path."""
    figure, axes = _figure("Predicted against asked", "asking price (MAD)", "predicted price (MAD)")
    axes.set(xscale="log", yscale="log")
    _points(axes, actual_mad, predicted_mad, flagged)
    ends = [predicted_mad.min(), predicted_mad.max()]
    axes.plot(ends, ends, color=INK, linewidth=1)
    return _saved(figure, folder, "predicted_against_actual.png")


def residuals(actual_mad: Floats, predicted_mad: Floats, flagged: np.ndarray, folder: str) -> str:
    """The relative error of each test listing over its predicted price; returns the file's path."""
    figure, axes = _figure("Residuals", "predicted price (MAD)", "(asked − predicted) / predicted")
    axes.set_xscale("log")
    _points(axes, predicted_mad, np.clip(actual_mad / predicted_mad - 1, -1, 2), flagged)
    axes.axhline(0, color=INK, linewidth=1)
    return _saved(figure, folder, "residuals.png")


def market(level: pd.DataFrame, folder: str) -> str:
    """The level of all cars that `market_level` gives, in percent of the newest day; the file's path."""
    figure, axes = _figure("Market level", "day", "price of an equal car, newest day = 100")
    of_all = level[level["make"] == ""]
    axes.plot(pd.to_datetime(of_all["day"]), 100 * of_all["level"], color=BLUE, linewidth=2)
    axes.axhline(100, color=INK, linewidth=1)
    figure.autofmt_xdate()
    return _saved(figure, folder, "market_level.png")


def _points(axes: Axes, x: Floats, y: Floats, flagged: np.ndarray) -> None:
    axes.scatter(x[~flagged], y[~flagged], s=9, alpha=0.5, color=BLUE, linewidths=0, label="listing")
    if flagged.any():
        axes.scatter(
            x[flagged], y[flagged], s=16, color=RED, marker="x", label="price looks like a typing error"
        )
    axes.legend(frameon=False)


def _figure(title: str, x: str, y: str) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7.5, 5), dpi=110, layout="constrained")
    axes = figure.add_subplot()
    axes.set_title(title, loc="left", color=INK, fontweight="bold")
    axes.set(xlabel=x, ylabel=y)
    axes.grid(color=GRID, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _saved(figure: Figure, folder: str, name: str) -> str:
    path = os.path.join(folder, name)
    figure.savefig(path)
    return path
