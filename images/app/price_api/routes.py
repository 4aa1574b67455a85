"""The routes of prices and of the model under /v1, and the routes for machines."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute

from carprice.lifecycle.registry import MODEL, PRODUCTION
from price_api import metrics, schemas
from price_api.model_story import promoted
from price_api.prediction_log.records import Prediction
from price_api.pricing import Json, answer_of, json_body, new_id, now, pricing_request
from price_api.problems import Refusal
from price_api.readiness import readiness
from price_api.services import Services, log_state
from price_contract.answers import FormOptions, ModelAbout, Priced

Endpoint = Callable[[Request], Awaitable[Response]]

_REFUSALS: dict[int, str] = {
    400: "The body can't be read.",
    401: "No key, or an unknown one.",
    403: "A revoked key.",
    404: "Nothing has this name.",
    409: "What is there already does not allow it: listings-gone, feedback-of-another.",
    413: "The body is too large.",
    415: "Another content type.",
    422: "Values that can't be used; `errors` names them.",
    429: "Too many requests.",
    503: "The answer needs something that is missing; `code` says what: no-model, database-away, …",
}


class DirectRoute(APIRoute):
    """A route that hands the request to its endpoint and returns the endpoint's response.

    It leaves out the framework's reading and checking of bodies, which costs more than a price does.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        return self.endpoint


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The refusals as /openapi.json describes them."""
    problem = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": _REFUSALS[status],
            "content": {"application/problem+json": {"schema": problem}},
        }
        for status in statuses
    }


def body_schema(model: type[Any], examples: dict[str, Any], **other: Any) -> dict[str, Any]:
    """A JSON body (and `other` content types) as /openapi.json describes it."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    content = {"application/json": {"schema": schema, "examples": examples}} | other
    return {"requestBody": {"required": True, "content": content}}


def add_direct_route(
    app: FastAPI,
    path: str,
    endpoint: Endpoint,
    method: str,
    model: Any,
    statuses: tuple[int, ...],
    **more: Any,
) -> None:
    """Add a `DirectRoute`; the docstring of its endpoint becomes its description."""
    responses = refusals(*statuses, 401, 403, 429)
    responses[more.pop("success", 200)] = more.pop("answer", None) or {"model": model}
    app.router.routes.append(
        DirectRoute(
            path,
            endpoint,
            methods=[method],
            response_model=None,
            responses=responses,
            tags=[more.pop("tag", "prices")],
            **more,
        )
    )


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
                low_mad=answer["low_mad"],
                high_mad=answer["high_mad"],
                version=serving.version,
                alias=serving.alias,
                source="predict",
                latency_ms=round(1000 * taken, 3),
                shadow_version=None,
                shadow_price_mad=None,
            )
        )
        return Json(answer)

    add_direct_route(
        app, "/v1/predict", predict, "POST", Priced, (400, 413, 415, 422, 503),
        summary="Price one listing",
        openapi_extra=body_schema(schemas.ListingIn, schemas.LISTING_EXAMPLES),
    )  # fmt: skip


def add_model(app: FastAPI, services: Services) -> None:
    """The model in production, its card, and what a form can offer."""

    async def model(request: Request) -> Response:
        """The version in production: figures, gates, training data, and its promotion."""
        serving = services.serving()
        about = serving.about
        refused = services.follower.refused
        return Json(
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

    async def card(request: Request) -> Response:
        """The model card, as a page."""
        serving = services.serving()
        if serving.card is None:
            raise Refusal("model-card-missing", {"version": serving.version})
        return pipeline_page(serving.card)

    async def choices(request: Request) -> Response:
        """What a form can offer: makes with their models, years, fuels and more, most frequent first."""
        serving = services.serving()
        found = await services.work(lambda: serving.training_data.form_options)
        return Json({**found, "model": serving.named})

    page = {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}}
    add_direct_route(
        app, "/v1/model", model, "GET", ModelAbout, (503,), tag="model", summary="The model in production"
    )
    add_direct_route(
        app, "/v1/model/card", card, "GET", None, (404, 503), tag="model", summary="Its card", answer=page
    )
    add_direct_route(
        app, "/v1/choices", choices, "GET", FormOptions, (409, 503), tag="model",
        summary="What a form can offer",
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
        return Json(state, 503 if state["status"] == "unavailable" else 200)

    async def counted(request: Request) -> Response:
        """All metrics, in Prometheus's text format."""
        page = await services.read(services.metrics_page)
        return Response(page, headers={"Content-Type": metrics.CONTENT_TYPE})

    for path, endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", counted)):
        app.router.routes.append(
            DirectRoute(path, endpoint, methods=["GET"], response_model=None, tags=["health"])
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
