"""Imports what `price_api serve` has imported by its first price; `forked_api` forks after that."""

from price_api.__main__ import _prepare

_prepare()  # numerical libraries read these variables at their import

import httptools  # noqa: F401
import mlflow.sklearn  # noqa: F401
import uvicorn  # noqa: F401
import uvloop  # noqa: F401

import price_api.application  # noqa: F401
from carprice.lifecycle import registry, saved_models  # noqa: F401
from carprice.model import comparables, explanation, form_options, price_model  # noqa: F401
