"""Calls the API with the generated client, as a caller's program would: `ask.py FOLDER ADDRESS`.

Exits 0 if every answer is an object of its type.
"""

from __future__ import annotations

import sys

sys.path.insert(0, sys.argv[1])

from car_prices_client import models
from car_prices_client.api.health import readyz
from car_prices_client.api.history import feedback, predictions
from car_prices_client.api.market import listing as one_listing
from car_prices_client.api.market import listings, market
from car_prices_client.api.model import choices, model
from car_prices_client.api.prices import batch, comparables, explain, predict, what_if
from car_prices_client.api.watches import remove_watch, save_watch, watch, watch_feed, watches
from car_prices_client.client import Client

client = Client(base_url=sys.argv[2], httpx_args={"trust_env": False})
car = {"make": "Dacia", "model": "Logan", "model_year": 2015, "mileage": 120_000, "fuel": "Diesel"}
listing = models.ListingIn.from_dict(car)

first = predict.sync(client=client, body=models.ListingIn.from_dict(car))
assert isinstance(first, models.Priced)
asked = car | {"asking_price": first.price_mad}
price = predict.sync(client=client, body=models.ListingIn.from_dict(asked))
assert isinstance(price, models.Priced)
assert price.low_mad < price.price_mad < price.high_mad
assert price.asking_price.verdict == "fair"
assert (price.evidence, price.model.version) == ("usual", "1")
assert price.warnings == []

refused = predict.sync_detailed(client=client, body=models.ListingIn.from_dict(car | {"model_year": 3000}))
assert refused.status_code == 422
assert isinstance(refused.parsed, models.Problem)
assert refused.parsed.errors[0].code == "out_of_range"
assert refused.parsed.request_id == refused.headers["X-Request-ID"]

paid = models.FeedbackIn(prediction_id=price.prediction_id, price_paid_mad=91_000)
told = [feedback.sync_detailed(client=client, body=paid) for _ in range(2)]
assert [answer.status_code for answer in told] == [201, 200]
assert all(isinstance(answer.parsed, models.Feedback) for answer in told)

french = models.RawListingIn.from_dict(
    {"Marque": "Renault", "Modèle": "Clio", "Année-Modèle": 2016, "Kilométrage": "90 000 - 94 999"}
)
many = batch.sync(client=client, body=models.BatchIn(listings=[listing, french]))
assert isinstance(many, models.Batch)
assert (many.rows, many.priced) == (2, 2)

assert isinstance(explain.sync(client=client, body=listing), models.Explained)
curves = what_if.sync(
    client=client, body=models.WhatIfIn(listing=listing, mileage_km=[50_000], model_year=[2016])
)
assert isinstance(curves, models.WhatIf)
near = comparables.sync(client=client, make="Dacia", model="Logan", model_year="2015", count=3)
assert isinstance(near, models.Comparables)
assert len(near.comparables) == 3
assert isinstance(choices.sync(client=client), models.FormOptions)
assert isinstance(model.sync(client=client), models.ModelAbout)
page = predictions.sync(client=client, page_size=1)
assert isinstance(page, models.PredictionsPage)
assert isinstance(page.next_cursor, str)
offers = listings.sync(client=client, status=models.ListingsStatus.ALL, limit=2)
assert isinstance(offers, models.OffersPage)
assert isinstance(offers.next_, str)
following = listings.sync(client=client, status=models.ListingsStatus.ALL, limit=2, cursor=offers.next_)
assert isinstance(following, models.OffersPage)
assert following.total == offers.total
one = one_listing.sync(client=client, listing_id=offers.listings[0].listing_id)
assert isinstance(one, models.OfferDetails)
assert isinstance(market.sync(client=client, make="Dacia"), models.MarketFigures)
saved = save_watch.sync(
    client=client, body=models.WatchIn.from_dict({"make": "Dacia", "labels": ["good_price"]})
)
assert isinstance(saved, models.NewWatch)
assert isinstance(watch.sync(client=client, secret=saved.secret), models.Watch)
assert watch_feed.sync_detailed(client=client, secret=saved.secret).status_code == 200
assert isinstance(watches.sync(client=client), models.Watches)
assert remove_watch.sync_detailed(client=client, secret=saved.secret).status_code == 204
ready = readyz.sync(client=client)
assert isinstance(ready, models.Readiness)
assert (ready.status, ready.prediction_log.dropped) == ("ready", 0)
