"""The one Jinja environment that every HTML page is rendered with."""

from __future__ import annotations

import jinja2

from carprice.formats import decimals, figure, percent, thousands


def templates() -> jinja2.Environment:
    """The package's HTML templates. Values are escaped, and a name that a template lacks is an error."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("carprice.reports"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["thousands"] = thousands
    environment.filters["percent"] = percent
    environment.filters["decimals"] = decimals
    environment.filters["figure"] = figure
    return environment
