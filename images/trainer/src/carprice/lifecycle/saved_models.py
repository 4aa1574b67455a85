"""Saved models: which types one may be made of, and how one is loaded from its files."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from carprice.errors import CarpriceError

if TYPE_CHECKING:
    import pandas as pd
    from sklearn.pipeline import Pipeline

TRUSTED_TYPES = [
    "carprice.model.features.ListingFeatures",
    "carprice.model.kernel_regression.KernelRegressor",
    "carprice.model.price_model.PriceModel",
]
"""What a saved pipeline may be made of besides what skops trusts by itself.

A file that asks for anything else is not loaded, whatever its own list of trusted types says.
"""

EARLIER_TYPES: Mapping[str, str] = {
    "carprice.features.ListingFeatures": "carprice.model.features",
    "carprice.kernel_regression.KernelRegressor": "carprice.model.kernel_regression",
    "carprice.model.PriceModel": "carprice.model.price_model",
}
"""The same types under the names of version 0.1, each with the module that holds it now.

A model that was trained before an upgrade stays in production until a better one replaces it.
"""


@dataclass(frozen=True)
class LoadedModel:
    """A registered model in memory, with the signature and input example logged beside it."""

    pipeline: Pipeline
    signature: Any
    example: pd.DataFrame


def load_folder(folder: str, name: str) -> LoadedModel:
    """The model whose files lie in `folder`; messages call it `name`.

    Raises `CarpriceError` for one that was not saved with skops or asks for types this system does not
    trust: such a file is not loaded.
    """
    import mlflow.sklearn
    import skops.io
    import yaml
    from mlflow.models import Model

    with open(os.path.join(folder, "MLmodel")) as file:
        flavour = yaml.safe_load(file)["flavors"]["sklearn"]
    if flavour.get("serialization_format") != mlflow.sklearn.SERIALIZATION_FORMAT_SKOPS:
        raise CarpriceError(
            f"a model saved with skops was expected at {name}, found "
            f"{flavour.get('serialization_format')}; it was not loaded, train it again with this system"
        )
    path = os.path.join(folder, flavour["pickled_model"])
    needed = set(skops.io.get_untrusted_types(file=path))
    earlier = needed & EARLIER_TYPES.keys()
    unknown = needed - set(TRUSTED_TYPES) - earlier
    if unknown:
        raise CarpriceError(
            f"a model made of this system's own types was expected at {name}, found "
            f"{', '.join(sorted(unknown))}; it was not loaded, train it again with this system"
        )
    described = Model.load(folder)
    _import_earlier_names(earlier)
    pipeline = skops.io.load(path, trusted=[*TRUSTED_TYPES, *earlier])
    return LoadedModel(
        pipeline,
        described.signature,
        described.load_input_example(folder),
    )


def _import_earlier_names(names: Iterable[str]) -> None:
    """Make types of `EARLIER_TYPES` importable under their earlier names."""
    for name in names:
        earlier, _, type_name = name.rpartition(".")
        module = sys.modules.setdefault(earlier, ModuleType(earlier))
        setattr(module, type_name, getattr(import_module(EARLIER_TYPES[name]), type_name))
