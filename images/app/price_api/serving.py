"""One version of the model in memory, ready to price."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from carprice.errors import CarpriceError
from carprice.lifecycle.registry import MODEL
from carprice.lifecycle.saved_models import LoadedModel
from carprice.model.features import features_of
from carprice.model.signature import is_known_signature
from price_contract.answers import ModelVersion

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

    from carprice.model.comparables import Comparables
    from carprice.model.explanation import Explainer

log = logging.getLogger(__name__)

BACKGROUND_ROWS = 100
BACKGROUND_SEED = 0


class NoSnapshot(Exception):
    """The listings that a model was trained on can't be found. The message is one sentence."""


@dataclass(frozen=True)
class Tables:
    """A training snapshot: its id, the listings that cars are compared with, and the reference sample.

    `options` are what a form can offer, where `listings` are not all that the snapshot has.
    """

    snapshot_id: str
    listings: pd.DataFrame
    reference: pd.DataFrame
    options: dict[str, Any] | None = None


class TrainingData:
    """The listings that a model was trained on, and what explanations and forms need of them.

    Each property is made at its first use and kept. That takes seconds: call it from a thread, never from
    the event loop. Every property raises `NoSnapshot` where the listings can't be found, and looks for
    them again the next time.
    """

    def __init__(self, pipeline: Pipeline, load: Callable[[], Tables]) -> None:
        self._pipeline = pipeline
        self._load = load
        self._lock = threading.RLock()
        self._made: dict[str, Any] = {}

    def _once(self, name: str, make: Callable[[], Any]) -> Any:
        with self._lock:
            if name not in self._made:
                self._made[name] = make()
            return self._made[name]

    @property
    def tables(self) -> Tables:
        """The snapshot."""
        return self._once("tables", self._load)  # type: ignore[no-any-return]

    @property
    def comparables(self) -> Comparables:
        """The snapshot's listings, to look for similar ones in."""
        from carprice.model.comparables import Comparables

        return self._once(  # type: ignore[no-any-return]
            "comparables", lambda: Comparables(self._pipeline, self.tables.listings)
        )

    @property
    def background(self) -> pd.DataFrame:
        """The listings that an explanation compares with: features of a seeded sample."""

        def sample() -> pd.DataFrame:
            reference = self.tables.reference
            return features_of(
                reference.sample(min(BACKGROUND_ROWS, len(reference)), random_state=BACKGROUND_SEED)
            ).reset_index(drop=True)

        return self._once("background", sample)  # type: ignore[no-any-return]

    @property
    def explainer(self) -> Explainer:
        """Explains prices against the background."""
        from carprice.model.explanation import Explainer

        return self._once("explainer", lambda: Explainer(self._pipeline, self.background))  # type: ignore[no-any-return]

    @property
    def form_options(self) -> dict[str, Any]:
        """What a form can offer, without `model`."""
        from carprice.model.form_options import form_options_of

        def options() -> dict[str, Any]:
            return self.tables.options or form_options_of(self.tables.listings)

        return self._once("form_options", options)  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Serving:
    """A checked version in memory. `about` describes it: it is the `meta.json` of the cache.

    Two are the same model when `version` and `run_id` are equal: a new registry counts from 1 again.
    """

    version: str
    run_id: str
    alias: str
    pipeline: Pipeline
    about: dict[str, Any]
    card: str | None
    training_data: TrainingData
    loaded_at: datetime
    source: Literal["registry", "cache"]

    @property
    def key(self) -> tuple[str, str]:
        """What identifies this model."""
        return self.version, self.run_id

    @cached_property
    def named(self) -> ModelVersion:
        """The model as answers name it."""
        return {"name": MODEL, "version": self.version, "alias": self.alias}

    @property
    def interval_coverage(self) -> float:
        """The share of asking prices that the interval is meant to cover."""
        return float(self.pipeline.named_steps["price"].coverage)


def check(loaded: LoadedModel, version: str) -> None:
    """Price the model's own input example. Raises `CarpriceError` with the reason it must not serve."""
    if not is_known_signature(loaded.signature):
        raise CarpriceError(
            f"expected version {version} to have the signature of this release or of one before it, "
            "found another; train it again with this release of carprice"
        )
    if loaded.example is None or not len(loaded.example):
        raise CarpriceError(
            f"expected version {version} to have an input example, found none; train it again"
        )
    prices = loaded.pipeline.predict(features_of(loaded.example), return_interval=True)
    ordered = (prices[:, 1] <= prices[:, 0]) & (prices[:, 0] <= prices[:, 2])
    if prices.shape != (len(loaded.example), 3) or not (
        np.isfinite(prices).all() and (prices > 0).all() and ordered.all()
    ):
        raise CarpriceError(
            f"expected version {version} to price its input example with low <= price <= high above "
            f"zero, found {np.round(prices[:3]).tolist()}; train it again"
        )
