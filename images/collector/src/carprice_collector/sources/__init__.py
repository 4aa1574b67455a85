"""The sources that listings come from: one module each, named in `SOURCES`."""

from __future__ import annotations

from carprice_collector.sources.avito import Avito
from carprice_collector.sources.jsonld import JsonLd
from carprice_collector.sources.moteur import Moteur
from carprice_collector.sources.source import Source

SOURCES: dict[str, type[Source]] = {source.kind: source for source in (Avito, Moteur, JsonLd)}
"""Each source by its name on the command line."""

__all__ = ["SOURCES", "Source"]
