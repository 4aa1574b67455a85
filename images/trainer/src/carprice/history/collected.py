"""What the runs of the collector tell of the market: which ads are new, changed their price, or are gone.

An ad that is in no new file may still be there: most files cover a part of the market. A complete run of the
collector covers all of its scope, so an ad of an earlier run of that scope which it lacks is gone.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

from carprice.store import DataRoot
from carprice_contract.data_root import COLLECTED, RAW

Document = dict[str, Any]


def changes(root: DataRoot) -> list[Document]:
    """For each landed run but the first of its scope, oldest first, what it found changed.

    Each has `run`, `source`, `at`, `complete`, `ads`, the counts `new`, `back` (gone before), `cheaper` and
    `dearer`, and `gone`: the ads that are gone since, each with `listing_id`, `url`, `price_mad` and
    `last_seen_at`. A run that is not complete says of no ad that it is gone. Prices are in dirhams; None
    where none is asked.
    """
    return [change for change, _, is_first in _all_changes(root) if not is_first]


def gone(root: DataRoot) -> list[Document]:
    """The ads that are gone now, each with `gone_since`: the start of the first run that lacks it.

    A later run of any scope that has the ad takes it back.
    """
    found: dict[tuple[str, str], Document] = {}
    for change, urls, _ in _all_changes(root):
        for url in urls:
            found.pop((change["source"], url), None)
        for ad in change["gone"]:
            found[change["source"], ad["url"]] = ad | {"source": change["source"], "gone_since": change["at"]}
    return sorted(found.values(), key=lambda ad: (ad["gone_since"], ad["source"], ad["url"]))


def _all_changes(root: DataRoot) -> Iterator[tuple[Document, list[str], bool]]:
    """What each run found changed, the addresses of its ads, and whether it is the first of its scope."""
    seen: dict[str, dict[str, Document]] = {}
    for manifest in _runs(root):
        scope, ads = _scope(manifest), dict(_ads(root, manifest))
        is_first = scope not in seen
        yield _change(seen.setdefault(scope, {}), ads, manifest), list(ads), is_first


def _change(known: dict[str, Document], ads: dict[str, Document], manifest: Document) -> Document:
    """What a run changes in the ads `known` of its scope by their addresses, which is brought up to date."""
    counts = dict.fromkeys(("new", "back", "cheaper", "dearer"), 0)
    for url, ad in ads.items():
        before = known.get(url)
        if before is None:
            counts["new"] += 1
            continue
        counts["back"] += before["is_gone"]
        if ad["price_mad"] and before["price_mad"]:
            counts["cheaper"] += ad["price_mad"] < before["price_mad"]
            counts["dearer"] += ad["price_mad"] > before["price_mad"]
    missing = (
        []
        if not manifest["complete"]
        else [ad for url, ad in known.items() if url not in ads and not ad["is_gone"]]
    )
    left = [{key: value for key, value in ad.items() if key != "is_gone"} for ad in missing]
    for ad in missing:
        ad["is_gone"] = True
    known.update(ads)
    return {
        "run": manifest["run"],
        "source": manifest["source"],
        "at": manifest["started_at"],
        "complete": manifest["complete"],
        "ads": len(ads),
        **counts,
        "gone": left,
    }


def _runs(root: DataRoot) -> list[Document]:
    """The manifests of the runs whose file is in raw/, by the time of their start."""
    names = root.names(COLLECTED, ".json")
    found = [root.read_json(f"{COLLECTED}/{name}") for name in names]
    landed = [run for run in found if root.exists(f"{RAW}/{run['file']}")]
    return sorted(landed, key=lambda run: (run["started_at"], run["run"]))


def _scope(manifest: Document) -> str:
    return json.dumps([manifest["source"], manifest["scope"]], sort_keys=True)


def _ads(root: DataRoot, manifest: Document) -> Iterator[tuple[str, Document]]:
    """The ads of a run by their addresses."""
    text = root.read_bytes(f"{RAW}/{manifest['file']}").decode()
    for row in csv.DictReader(io.StringIO(text, newline="")):
        yield (
            row["url"],
            {
                "listing_id": row["listing_id"],
                "url": row["url"],
                "price_mad": int(row["price_mad"]) if row["price_mad"] else None,
                "last_seen_at": row["scraped_at"],
                "is_gone": False,
            },
        )
