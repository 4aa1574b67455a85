"""The assets that link the DAGs. Every name and URI is defined here and nowhere else.

An event of an asset carries, in `extra`, the result of the step that emitted it.
"""

from airflow.sdk import Asset, AssetWatcher

from include.landing import LandingTrigger

raw_listings = Asset(
    name="raw_listings",
    uri="carprice://data/raw",
    watchers=[AssetWatcher(name="landing", trigger=LandingTrigger())],
)
"""A CSV landed in raw/. The event only wakes the pipeline; the receipts decide what is left to do."""

collected_listings = Asset(name="collected_listings", uri="carprice://data/collected")
"""The collector landed the ads of a source; the event says which part of the market the file covers."""

listings = Asset(name="listings", uri="carprice://data/snapshots")
"""A snapshot of all accepted listings was made."""

candidate_model = Asset(name="candidate_model", uri="carprice://models/candidate")
"""A model was trained and evaluated."""

production_model = Asset(name="production_model", uri="carprice://models/production")
"""Another model version is in production."""

drift_report = Asset(name="drift_report", uri="carprice://data/reports/drift")
"""Drift was measured and its report published."""

market = Asset(name="market", uri="carprice://data/market")
"""The listings on offer were rated."""
