"""Whether a site changed: a run is compared with what its source expects and with earlier runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import Any

from carprice_collector.summary import Filling

_FEWEST_ADS = 20
_FALL = 0.25
_EARLIER_RUNS = 5
_MOVED_SHARE = 0.05


def _ads_of_complete_run(run: Mapping[str, Any]) -> float | None:
    return float(run["ads"]) if run["complete"] else None


def _ads_on_a_page(run: Mapping[str, Any]) -> float | None:
    pages = run["search_pages"]
    return float(run["ads_on_search_pages"] / pages) if pages > 1 else None


def _said_total(run: Mapping[str, Any]) -> float | None:
    return None if run["said_total"] is None else float(run["said_total"])


_MEASURES: tuple[tuple[str, str, Callable[[Mapping[str, Any]], float | None]], ...] = (
    ("said_total", "ads in all, as the site says,", _said_total),
    ("ads", "ads in a complete run", _ads_of_complete_run),
    ("ads_on_a_page", "ads on a search page", _ads_on_a_page),
)
"""What halves when a site shows something else: its code, its words, and its value in a manifest."""


def findings(
    manifest: Mapping[str, Any],
    filled: Filling,
    least_filled: Mapping[str, float],
    moved: Sequence[tuple[str, str]],
    earlier: Sequence[Mapping[str, Any]],
) -> list[dict[str, Any]]:
    """What changed, each with a code, a sentence and up to two example addresses. Empty: nothing did.

    `moved` are pages of another shape with the reason; `earlier` are the manifests of landed runs with the
    same scope, oldest first. Fewer than 20 ads tell nothing of shares.
    """
    found: list[dict[str, Any]] = []
    before = list(earlier)[-_EARLIER_RUNS:]
    pages = manifest["pages_read"] + sum(manifest["pages_lost"].values())
    if moved and len(moved) >= max(1, _MOVED_SHARE * pages):
        found.append(_finding("page_moved", moved[0][1], [address for address, _ in moved]))
    if manifest["search_pages"] and not filled.ads:
        sentence = f"Ads were expected on {manifest['search_pages']} search pages, found none."
        found.append(_finding("no_ads", sentence, []))
    if filled.ads >= _FEWEST_ADS:
        for field, least in least_filled.items():
            if fallen := _fallen(field, filled.share(field), least, before):
                found.append(_finding("field_missing", fallen, filled.without[field]) | {"field": field})
    found += _halved(manifest, before)
    return found


def _fallen(field: str, share: float, least: float, before: Sequence[Mapping[str, Any]]) -> str | None:
    if share < least:
        return f"{field} was expected in at least {least:.0%} of the ads, found in {share:.0%}."
    usual = [run["filled"][field] for run in before if run["ads"] >= _FEWEST_ADS and field in run["filled"]]
    if usual and share < median(usual) - _FALL:
        return (
            f"{field} was expected in about {median(usual):.0%} of the ads as before, found in {share:.0%}."
        )
    return None


def _halved(manifest: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """A site that suddenly has half the ads, or half of them on a page, shows us another page than before."""
    first_pages = [manifest["scope"]["first_page"] or manifest["scope"]["sitemap"]]
    for measure, words, value in _MEASURES:
        now = value(manifest)
        usual = [known for run in before if (known := value(run))]
        if now is not None and usual and median(usual) >= _FEWEST_ADS / 2 and now < median(usual) / 2:
            sentence = f"About {median(usual):,.0f} {words} were expected as before, found {now:,.0f}."
            return [_finding("ads_halved", sentence, first_pages) | {"measure": measure}]
    return []


def _finding(code: str, sentence: str, addresses: Sequence[str]) -> dict[str, Any]:
    return {"code": code, "sentence": sentence, "examples": list(addresses)[:2]}
