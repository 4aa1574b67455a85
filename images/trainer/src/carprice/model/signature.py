"""What the registered model takes and gives, in the words of MLflow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from carprice.model.features import INPUTS, TEXT_INPUTS


def model_signature() -> Any:
    """What the registered model takes and gives: every input optional, a price in MAD."""
    return _signature_of(INPUTS)


def is_known_signature(signature: Any) -> bool:
    """Whether a registered model has the signature of this release, or of an earlier one that still prices.

    Models of earlier releases do not take `asked_on`: they know no market level.
    """
    return any(signature == _signature_of(inputs) for inputs in (INPUTS, INPUTS[:-1]))


def _signature_of(columns: Sequence[str]) -> Any:
    from mlflow.models import ModelSignature
    from mlflow.types.schema import ColSpec, ParamSchema, ParamSpec, Schema

    inputs = [
        ColSpec("string" if column in TEXT_INPUTS else "double", column, required=False) for column in columns
    ]
    return ModelSignature(
        inputs=Schema(inputs),
        outputs=Schema([ColSpec("double", "predicted_price_mad")]),
        params=ParamSchema([ParamSpec("return_interval", "boolean", False)]),
    )
