"""The routes of prices and of the model under /v1, and the routes for machines."""

from __future__ import annotations

import time
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse, JSONResponse

from carprice.lifecycle.registry import MODEL, PRODUCTION
from price_api import metrics, schemas
from price_api.caching import cacheable
from price_api.direct_routes import (
    PAGE,
    STICKY_KEY,
    DirectRoute,
    Endpoint,
    add_direct_route,
    body_schema,
    path_name,
)
from price_api.model_story import promoted
from price_api.prediction_log.records import Prediction
from price_api.pricing import Json, answer_of, json_body, new_id, now, pricing_request
from price_api.problems import RETRY_SECONDS, Refusal
from price_api.readiness import readiness
from price_api.services import Services, log_state
from price_contract.answers import FormOptions, Health, ModelAbout, Priced, Readiness


def add_pricing(app: FastAPI, services: Services) -> None:
    """POST /v1/predict, the route that must be fast."""
    predictor, staging, counted = services.predictor, services.staging, services.metrics

    async def predict(request: Request) -> Response:
        """Price one listing, under canonical names or the French headers of listing sites.

        The answer has the price, an interval, the model's version and warnings. If the listing has an
        asking price (`price_mad`, `Prix`), the answer has a verdict on it. If a share of the requests goes
        to the staging version, the header `X-Sticky-Key` keeps a caller with one of the two versions; the
        service does not store it.
        """
        begun = time.perf_counter()
        production = services.serving()
        requested = pricing_request(await json_body(request))
        serving = staging.answers(production, request.headers.get("x-sticky-key"))
        price = await predictor.price(serving, requested.listing)
        answer = answer_of(serving, requested, price, new_id())
        taken = time.perf_counter() - begun
        counted.count_predictions(serving.version, serving.alias, "predict")
        counted.observe_prediction(taken)
        staging.record(
            Prediction(
                prediction_id=answer["prediction_id"],
                at=now(),
                listing=requested.listing,
                asking_price_mad=requested.asking_price_mad,
                price_mad=answer["price_mad"],
                low_mad=round(price[1]),
                high_mad=round(price[2]),
                evidence=answer["evidence"],
                version=serving.version,
                alias=serving.alias,
                source="predict",
                latency_ms=round(1000 * taken, 3),
                shadow_version=None,
                shadow_price_mad=None,
                key_name=request.state.key_name,
            )
        )
        return Json(answer)

    add_direct_route(
        app, "/v1/predict", predict, "POST", Priced, (422,),
        summary="Price one listing",
        openapi_extra=body_schema("Listing", schemas.LISTING_EXAMPLES) | {"parameters": [STICKY_KEY]},
    )  # fmt: skip


def add_model(app: FastAPI, services: Services) -> None:
    """The model in production, its card, and what a form can offer."""

    async def model(request: Request) -> Response:
        """The version in production: figures, gates, training data, and its promotion."""
        serving = services.serving()
        about = serving.about
        refused = services.follower.refused
        about_it = Json(
            ModelAbout(
                name=MODEL,
                version=serving.version,
                alias=PRODUCTION,
                run_id=serving.run_id,
                loaded_at=serving.loaded_at.isoformat(timespec="seconds"),
                source=serving.source,
                metrics=about["metrics"],
                interval_coverage=serving.interval_coverage,
                gates=about["gates"],
                training=about["training"],
                promoted=promoted(about["history"], serving.version),
                history=about["history"],
                importance=about["importance"],
                refused=refused.record() if refused else None,
                staging=services.staging.state(),
            )
        )
        return cacheable(request, about_it)

    async def card(request: Request) -> Response:
        """The model card, as a page."""
        serving = services.serving()
        if serving.card is None:
            raise Refusal("model-card-missing", {"version": serving.version})
        return cacheable(request, pipeline_page(serving.card))

    async def choices(request: Request) -> Response:
        """What a form can offer: makes with their models, years, fuels and more, most frequent first."""
        serving = services.serving()
        found = await services.work(lambda: serving.training_data.form_options)
        return cacheable(request, Json({**found, "model": serving.named}))

    add_direct_route(
        app, "/v1/model", model, "GET", ModelAbout, (), tag="model", summary="The model in production",
        kept=True,
    )  # fmt: skip
    add_direct_route(
        app, "/v1/model/card", card, "GET", None, (404,), tag="model", summary="Its card", answer=PAGE,
        kept=True,
    )  # fmt: skip
    add_direct_route(
        app, "/v1/choices", choices, "GET", FormOptions, (409,), tag="model",
        summary="What a form can offer", kept=True,
    )  # fmt: skip


def add_health(app: FastAPI, services: Services) -> None:
    """The routes for machines: alive, ready, metrics."""

    async def healthz(request: Request) -> Response:
        """Whether the process answers."""
        return Json({"status": "ok"})

    async def readyz(request: Request) -> Response:
        """Whether the service can give prices, where the model comes from, and the state of the log."""
        state = readiness(services.follower)
        state["prediction_log"] = log_state(services.predictions)
        if state["status"] == "unavailable":
            return Json(state, 503, headers={"Retry-After": RETRY_SECONDS})
        return Json(state)

    async def counted(request: Request) -> Response:
        """All metrics, in Prometheus's text format."""
        page = await services.read(services.metrics_page)
        return Response(page, headers={"Content-Type": metrics.CONTENT_TYPE})

    text = {"description": "All metrics.", "content": {"text/plain": {"schema": {"type": "string"}}}}
    paths: tuple[tuple[str, Endpoint, dict[int | str, dict[str, Any]], type[Response]], ...] = (
        ("/healthz", healthz, {200: {"model": Health}}, JSONResponse),
        ("/readyz", readyz, {200: {"model": Readiness}, 503: {"model": Readiness}}, JSONResponse),
        ("/metrics", counted, {200: text}, Response),
    )
    for path, endpoint, answers, kind in paths:
        app.router.routes.append(
            DirectRoute(
                path,
                endpoint,
                methods=["GET"],
                response_model=None,
                responses=answers,
                response_class=kind,
                tags=["health"],
                operation_id=path_name(path),
            )
        )


def pipeline_page(html: str) -> Response:
    """A page that the pipeline wrote: its scripts may draw, but reach nothing else."""
    return HTMLResponse(
        html,
        headers={
            "Content-Security-Policy": "sandbox allow-scripts; default-src 'unsafe-inline' data: blob:",
            "X-Content-Type-Options": "nosniff",
        },
    )
