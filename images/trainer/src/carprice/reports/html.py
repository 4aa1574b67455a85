"""The HTML pages' common ground."""

from __future__ import annotations

import jinja2


def templates() -> jinja2.Environment:
    """The package's HTML templates; whatever comes from data is escaped."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("carprice.reports"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["thousands"] = lambda number: f"{number:,.0f}".replace(",", " ")
    environment.filters["percent"] = lambda share: f"{100 * share:.1f} %"
    return environment
