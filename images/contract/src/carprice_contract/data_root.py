"""The layout of the data root: which folder holds what. Paths are relative to it, separated by `/`."""

from collections.abc import Mapping
from types import MappingProxyType

RAW = "raw"
RECEIPTS = "receipts"
LISTINGS = "listings"
QUARANTINE = "quarantine"
SNAPSHOTS = "snapshots"
LINKS = "links"
REPORTS = "reports"
ALERTS = "alerts"
METRICS = "metrics"
MONITORING = "monitoring"
QUESTIONS = "asked"
SERVING = "serving"
MLFLOW = "mlflow"
COLLECTED = "collected"
MARKET = "market"
WATCHES = "watches"
STEP_RESULTS = "step-results"
LANDING = "landing"

FOLDERS: Mapping[str, str] = MappingProxyType(
    {
        RAW: "The files as they landed; they are never changed.",
        RECEIPTS: "<sha256>.json says what became of the file with these bytes.",
        LISTINGS: "<sha256>.parquet holds a file's accepted rows.",
        QUARANTINE: "<sha256>.csv holds a file's refused rows, each with the reason.",
        SNAPSHOTS: "<id>/ holds the listings that a training used; latest.json is the newest snapshot.",
        LINKS: "cuts/ holds the links between ads that people cut.",
        REPORTS: "The HTML pages that people read, and the JSON documents behind them.",
        ALERTS: "One record for each cause that people are told of.",
        METRICS: "The gauges that Prometheus reads.",
        MONITORING: "Evidently's workspace.",
        QUESTIONS: "The cars that the price API was asked about, for the drift report.",
        SERVING: "The price API's own state: the last good models and, without a database, its log.",
        MARKET: "<id>/ holds the listings on offer with their labels; latest.json is the newest market.",
        WATCHES: "<id>.json is a saved search; told/ says which offers it was told of.",
        COLLECTED: "What the collector's runs cover, the runs that it holds, and where unfinished ones are.",
        MLFLOW: "MLflow's database and artifacts, where no server elsewhere keeps them.",
    }
)
"""The folders that exist from the start, each with a sentence about what it holds.

Whoever sets a local data root up makes all of them. `STEP_RESULTS` is only in an object store, and only
while a step of Kubernetes runs. So is `LANDING`, while a file is landed.
"""

RECEIPT_SUMMARIES = f"{RECEIPTS}/.summaries.json"
"""The receipts in short, so that nobody reads all of them; it can be deleted and is made again.

By SHA-256: `version` of the receipt's file, and `summary` with some of its keys, `fingerprints` among them.
"""

LINK_CUTS = f"{LINKS}/cuts"
LATEST_SNAPSHOT = f"{SNAPSHOTS}/latest.json"
LATEST_MARKET = f"{MARKET}/latest.json"
TOLD = f"{WATCHES}/told"
MOST_WATCHES = 500
"""The API saves no more, and no more are looked at when the market is rated."""
REPORT_INDEX = f"{REPORTS}/index.html"
GAUGES = f"{METRICS}/carprice.prom"
COLLECTOR_GAUGES = f"{METRICS}/collector.prom"
EVIDENTLY_WORKSPACE = f"{MONITORING}/evidently"

REPORT_KINDS = ("quality", "pipeline", "drift", "models", "live")
"""The folders in `REPORTS`."""


def sqlite_url(path: str) -> str:
    """The address of a SQLite database for SQLAlchemy 2.1 and MLflow; `path` is absolute and may hold `?`."""
    quoted = path.replace("%", "%25").replace("?", "%3F")
    # MLflow would make the quoted folder of a plain address.
    return f"sqlite:///{path}" if quoted == path else f"sqlite+pysqlite:///{quoted}"


def snapshot_manifest(snapshot_id: str) -> str:
    """The list of the files that a snapshot is made of."""
    return f"{SNAPSHOTS}/{snapshot_id}/manifest.json"


def snapshot_table(snapshot_id: str, table: str) -> str:
    """A table of a snapshot, by its name: `listings`, `reference`, ..."""
    return f"{SNAPSHOTS}/{snapshot_id}/{table}.parquet"


def market_manifest(market_id: str) -> str:
    """What a market is made of, and how many offers it has."""
    return f"{MARKET}/{market_id}/manifest.json"


def market_table(market_id: str, table: str) -> str:
    """A table of a market, by its name: `offers` or `level`."""
    return f"{MARKET}/{market_id}/{table}.parquet"


def watch(watch_id: str) -> str:
    """A saved search."""
    return f"{WATCHES}/{watch_id}.json"


def told(watch_id: str) -> str:
    """The offers that a saved search was told of."""
    return f"{TOLD}/{watch_id}.json"


def receipt(sha256: str) -> str:
    """The receipt of the file with these bytes; a file without one waits to be claimed."""
    return f"{RECEIPTS}/{sha256}.json"
