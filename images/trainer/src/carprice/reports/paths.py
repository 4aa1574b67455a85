"""Where reports lie under the data root, for everybody who writes, lists or links them."""

from __future__ import annotations

from carprice_contract.data_root import REPORTS

PRODUCTION_HISTORY = f"{REPORTS}/production.json"
"""A copy of the registry's history of production, for readers that must not wait for the registry."""


def model_card(run_id: str) -> str:
    """The model card of a training run."""
    return f"{REPORTS}/models/{run_id}.html"


def relative_to_index(path: str) -> str:
    """A page under the data root, as a link on the index."""
    return path.removeprefix(f"{REPORTS}/")
