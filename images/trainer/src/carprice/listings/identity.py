"""Which ad a listing is."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
import pandas as pd

from carprice.listings.schema import FEATURES
from carprice.listings.text import tidy

_ORDINARY_LINK = re.compile(r"https?://([a-z0-9.-]+)(/[^?#\s]*)?(?:[?#]\S*)?")


def listing_ids(table: Mapping[str, Any]) -> npt.NDArray[Any]:
    """The id of each row of canonical columns (arrays, n rows).

    A row has the id it brings, else that of its link, else a hash of its car. The hash covers every
    feature and leaves out the price, so that a new price is no new ad.
    """
    ids = np.array(table["listing_id"], dtype=object)
    urls = table["url"]
    for row in np.flatnonzero(pd.isna(ids)):
        if urls[row] is not None:
            ids[row] = listing_id_of_url(urls[row])
    without = np.flatnonzero(pd.isna(ids))
    if len(without):
        columns = []
        for name in FEATURES:
            codes, uniques = pd.factorize(np.asarray(table[name])[without])
            words = [tidy(str(value)).casefold() for value in uniques]
            columns.append([words[code] if code >= 0 else "" for code in codes])
        for row, said in zip(without, zip(*columns, strict=True), strict=True):
            ids[row] = "row-" + hashlib.sha256("\x1f".join(said).encode()).hexdigest()[:20]
    return ids


def listing_id_of_url(url: str) -> str:
    """The identity of an ad: its site and the last number of its link, else a hash of the link.

    The words of a link change when a seller edits the title; the number stays.
    """
    host, path = _host_and_path(url)
    host = host.removeprefix("www.").removeprefix("m.")
    number = re.search(r"(\d{5,})(?!.*\d{5})", path)
    if host and number:
        return f"{host}-{number[1]}"
    return "link-" + hashlib.sha256(f"{host}{path}".encode()).hexdigest()[:20]


def _host_and_path(url: str) -> tuple[str, str]:
    # urlsplit takes most of the time of reading a file; an ordinary link does without it
    if ordinary := _ORDINARY_LINK.fullmatch(url):
        return ordinary[1], ordinary[2] or ""
    try:
        parts = urlsplit(url if "//" in url else f"//{url}")
        return parts.hostname or "", parts.path
    except ValueError:
        return "", url
