"""The model card: one page that says what a model learned from, how good it is, and where not."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from carprice.reports.html import templates


def render(
    run: Any,
    manifest: dict[str, Any],
    metrics: dict[str, float],
    slices: dict[str, dict[str, float]],
    pictures: Sequence[str],
    level: pd.DataFrame,
    lowest: float,
    labels: Sequence[dict[str, Any]] = (),
) -> str:
    """The card as a self-contained HTML page.

    `run` is the MLflow run, `metrics` and `slices` are what the evaluation found, `pictures` are PNG
    files, `level` is the market level as `market_level` gives it, `lowest` is the lowest asking price of the
    test rows in MAD, `labels` what became of the labels (`carprice.lifecycle.label_figures`).
    """
    return (
        templates()
        .get_template("model_card.html")
        .render(
            run_id=run.info.run_id,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            m={name: value for name, value in run.data.metrics.items() if name.startswith("oot_")} | metrics,
            coverage=float(run.data.params["training.interval_coverage"]),
            slice_min_rows=run.data.params["evaluation.slice_min_rows"],
            rows_train=run.data.metrics["train_rows"],
            rows_available=run.data.metrics.get("train_rows_available", run.data.metrics["train_rows"]),
            rows_flagged=int(run.data.metrics["train_rows_flagged"]),
            manifest=manifest,
            slices=slices,
            pictures={
                Path(picture).stem.replace("_", " "): base64.b64encode(Path(picture).read_bytes()).decode()
                for picture in pictures
            },
            market=_market(level),
            lowest=lowest,
            labels=labels,
            known_gone=any(each["gone"] for each in labels),
        )
    )


def _market(level: pd.DataFrame) -> dict[str, Any] | None:
    """The first and the newest day, the change of prices in between, and that of the extreme makes."""
    if level.empty:
        return None
    change = 1 / level.groupby("make")["level"].first() - 1
    makes = change.drop("").sort_values()
    return {
        "first": level["day"].min(),
        "newest": level["day"].max(),
        "change": float(change[""]),
        "lowest": (str(makes.index[0]), float(makes.iloc[0])),
        "highest": (str(makes.index[-1]), float(makes.iloc[-1])),
    }
