"""The paths under /v1, and those that machines ask."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute

from carprice.lifecycle.registry import MODEL, PRODUCTION
from price_api import metrics, schemas
from price_api.answers import Json, answer_of, asked_of, json_body, new_id, now
from price_api.model_story import promoted
from price_api.prediction_log import Prediction
from price_api.problems import Refusal
from price_api.services import Services, log_state

Endpoint = Callable[[Request], Awaitable[Response]]

_REFUSALS: dict[int, str] = {
    400: "The body can't be read.",
    401: "No key, or an unknown one.",
    403: "A revoked key.",
    404: "Nothing of that name.",
    409: "The listings that the model was trained on can't be found.",
    413: "The body is too large.",
    415: "Another content type.",
    422: "Values that can't be used; `errors` names them.",
    429: "Too many requests.",
    503: "Something is missing that the answer needs; `type` ends with what: no-model, database-away, …",
}


class DirectRoute(APIRoute):
    """A route whose endpoint gets the request and gives the response, with nothing in between.

    The framework's reading and checking of bodies costs more than a price does.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """The endpoint itself."""
        return self.endpoint


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What /openapi.json says of refusals."""
    problem = {"$ref": "#/components/schemas/Problem"}
    return {
        status: {
            "description": _REFUSALS[status],
            "content": {"application/problem+json": {"schema": problem}},
        }
        for status in statuses
    }


def body(model: type[Any], examples: dict[str, Any], **other: Any) -> dict[str, Any]:
    """What /openapi.json says of a JSON body (and of `other` content types)."""
    schema = {"$ref": f"#/components/schemas/{model.__name__}"}
    content = {"application/json": {"schema": schema, "examples": examples}} | other
    return {"requestBody": {"required": True, "content": content}}


def direct(
    app: FastAPI,
    path: str,
    endpoint: Endpoint,
    method: str,
    model: Any,
    statuses: tuple[int, ...],
    **more: Any,
) -> None:
    """Add a `DirectRoute`; its endpoint's docstring is its description."""
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
    """POST /v1/predict, the path that everything else waits for."""
    predictor, staging, counted = services.predictor, services.staging, services.metrics

    async def predict(request: Request) -> Response:
        """Price one listing, under canonical names or the French headers of listing sites.

        The answer has the price, an interval, the model's version and warnings. With an asking price
        (`price_mad`, `Prix`) there is a verdict on it. Where a share of the requests goes to the staging
        version, the header `X-Sticky-Key` keeps a caller with one of the two; it is not stored.
        """
        begun = time.perf_counter()
        production = services.serving()
        asked = asked_of(await json_body(request))
        serving = staging.answers(production, request.headers.get("x-sticky-key"))
        price = await predictor.price(serving, asked.listing)
        answer = answer_of(serving, asked, price, new_id())
        taken = time.perf_counter() - begun
        counted.count_predictions(serving.version, serving.alias, "predict")
        counted.observe_prediction(taken)
        staging.record(
            Prediction(
                prediction_id=answer["prediction_id"],
                at=now(),
                listing=asked.listing,
                asking_price_mad=asked.asking_price_mad,
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

    direct(
        app, "/v1/predict", predict, "POST", schemas.Priced, (400, 413, 415, 422, 503),
        summary="Price one listing", openapi_extra=body(schemas.ListingIn, schemas.LISTING_EXAMPLES),
    )  # fmt: skip


def add_model(app: FastAPI, services: Services) -> None:
    """The model's story, its card, and what forms can offer."""

    async def model(request: Request) -> Response:
        """The version in production: figures, gates, training data, when and by whom it was promoted."""
        serving = services.serving()
        about = serving.about
        refused = services.follower.refused
        return Json(
            {
                "name": MODEL,
                "version": serving.version,
                "alias": PRODUCTION,
                "run_id": serving.run_id,
                "loaded_at": serving.loaded_at.isoformat(timespec="seconds"),
                "source": serving.source,
                "metrics": about["metrics"],
                "interval_coverage": serving.interval_coverage,
                "gates": about["gates"],
                "training": about["training"],
                "promoted": promoted(about["history"], serving.version),
                "history": about["history"],
                "importance": about["importance"],
                "refused": refused.record() if refused else None,
                "staging": services.staging.record_of(),
            }
        )

    async def card(request: Request) -> Response:
        """The model card, as a page."""
        found = services.serving().card
        if found is None:
            raise Refusal(404, "a model card was expected for this version, found none in the data root")
        return page_of_ours(found)

    async def choices(request: Request) -> Response:
        """What a form can offer: makes with their models, years, fuels and more, most frequent first."""
        serving = services.serving()
        found = await services.work(lambda: serving.surroundings.choices)
        return Json({**found, "model": serving.named})

    page = {"description": "A page.", "content": {"text/html": {"schema": {"type": "string"}}}}
    anything = {
        "description": "Makes, models and values.",
        "content": {"application/json": {"schema": {"type": "object"}}},
    }
    direct(
        app,
        "/v1/model",
        model,
        "GET",
        schemas.ModelAbout,
        (503,),
        tag="model",
        summary="The model in production",
    )
    direct(app, "/v1/model/card", card, "GET", None, (404, 503), tag="model", summary="Its card", answer=page)
    direct(
        app, "/v1/choices", choices, "GET", None, (409, 503), tag="model", summary="What a form can offer",
        answer=anything,
    )  # fmt: skip


def add_health(app: FastAPI, services: Services) -> None:
    """What machines ask: alive, ready, counted."""

    async def healthz(request: Request) -> Response:
        """Whether the process answers."""
        return Json({"status": "ok"})

    async def readyz(request: Request) -> Response:
        """Whether prices can be given, from where the model is, and how the log fares."""
        state = services.follower.state()
        state["mlflow"] = services.follower.mlflow_said
        state["prediction_log"] = log_state(services.predictions)
        return Json(state, 503 if state["status"] == "unavailable" else 200)

    async def counted(request: Request) -> Response:
        """Everything that is counted, in Prometheus's text format."""
        page = await services.read(services.metrics_page)
        return Response(page, headers={"Content-Type": metrics.CONTENT_TYPE})

    for path, endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", counted)):
        app.router.routes.append(
            DirectRoute(path, endpoint, methods=["GET"], response_model=None, tags=["health"])
        )


def page_of_ours(html: str) -> Response:
    """A page that the pipeline wrote: it may draw, and reach nothing and nobody."""
    return HTMLResponse(
        html,
        headers={
            "Content-Security-Policy": "sandbox allow-scripts; default-src 'unsafe-inline' data: blob:",
            "X-Content-Type-Options": "nosniff",
        },
    )
