"""The application: routes, refusals and access control around one set of services."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic import TypeAdapter
from pydantic.json_schema import JsonSchemaMode
from starlette.types import ASGIApp

from price_api import batch, documentation, history, insight, problems, report_pages, routes, schemas
from price_api.access import AccessMiddleware
from price_api.conventions import with_conventions
from price_api.market.routes import add_market
from price_api.services import Services
from price_api.settings import Settings
from price_api.watches.routes import add_watches
from price_contract.answers import Problem

DESCRIPTION = (
    "What a used car in Morocco is worth: prices in MAD with an interval, by the model in production. "
    "Every refusal is `application/problem+json` with a code, its parameters and one sentence."
)


def build(settings: Settings) -> ASGIApp:
    """The whole service as an ASGI application; its lifespan starts and stops what it needs."""
    services = Services(settings)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        services.start()
        yield
        await services.stop()

    app = FastAPI(
        title="Car prices",
        version="1",
        description=DESCRIPTION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    problems.install(app)
    routes.add_pricing(app, services)
    batch.add_batch(app, services)
    insight.add_insight(app, services)
    add_market(app, services)
    add_watches(app, services)
    routes.add_model(app, services)
    history.add_history(app, services)
    report_pages.add_reports(app, services)
    routes.add_health(app, services)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    documentation.add_docs(app, app.openapi)
    guarded = AccessMiddleware(app, settings, services.keys, services.metrics)
    return with_conventions(guarded, settings)


def _openapi(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document of the routes, with the schemas of the bodies that routes read themselves."""
    if app.openapi_schema is None:
        document = get_openapi(
            title=app.title, version=app.version, description=app.description, routes=app.routes
        )
        described: list[tuple[Any, JsonSchemaMode, TypeAdapter[Any]]] = [
            (model, "validation", TypeAdapter(model)) for model in (*schemas.REQUESTS, Problem)
        ]
        _, found = TypeAdapter.json_schemas(described, ref_template="#/components/schemas/{model}")
        components = document.setdefault("components", {})
        described_schemas = components.setdefault("schemas", {})
        described_schemas.update(found["$defs"])
        for name, codes in schemas.CODES.items():
            described_schemas[name]["properties"]["code"]["enum"] = sorted(codes)
        components["securitySchemes"] = {
            "bearer": {"type": "http", "scheme": "bearer"},
            "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
        }
        document["security"] = [{}, {"bearer": []}, {"key": []}]
        app.openapi_schema = document
    return app.openapi_schema
