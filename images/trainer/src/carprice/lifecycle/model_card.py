"""The model card: one page that says what a model learned from, how good it is, and where not."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from carprice.reports.html import templates


def render(
    run: Any,
    manifest: dict[str, Any],
    metrics: dict[str, float],
    slices: dict[str, dict[str, float]],
    pictures: Sequence[str],
    lowest: float,
) -> str:
    """The card as a self-contained HTML page.

    `run` is the MLflow run, `metrics` and `slices` are what the evaluation found, `pictures` are PNG
    files, `lowest` is the lowest asking price of the test rows in MAD.
    """
    return (
        templates()
        .get_template("model_card.html")
        .render(
            run_id=run.info.run_id,
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            m=metrics,
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
            lowest=lowest,
        )
    )
