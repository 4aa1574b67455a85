"""An ad as the collector writes it: the canonical columns of a listing, and where and when it was seen."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from datetime import datetime
from typing import Self

from carprice_collector.personal_data import address_without_personal_data, without_personal_data

_LONGEST_TITLE = 150
_LONGEST_TEXT = 60


@dataclass(frozen=True)
class Ad:
    """One ad. A field that the page does not tell is None.

    There is no field for what the collector must not keep: names, telephone numbers, descriptions, pictures.
    Prices are in dirhams, mileages in kilometres; `posted_at` is an ISO date, with the time where it is
    known.
    """

    listing_id: str | None
    url: str
    title: str | None = None
    make: str | None = None
    model: str | None = None
    trim: str | None = None
    model_year: int | None = None
    mileage_km_min: int | None = None
    mileage_km_max: int | None = None
    fuel: str | None = None
    gearbox: str | None = None
    fiscal_power_cv: int | None = None
    doors: int | None = None
    origin: str | None = None
    first_owner: str | None = None
    condition: str | None = None
    city: str | None = None
    district: str | None = None
    price_mad: int | None = None
    old_price_mad: int | None = None
    seller_kind: str | None = None
    category: str | None = None
    posted_at: str | None = None

    @property
    def key(self) -> str:
        """What tells the ad from others of its source."""
        return self.listing_id or self.url

    def cleaned(self) -> Self:
        """The same ad without personal data and with texts of a bounded length."""
        listing_id = self.listing_id
        if listing_id is not None and without_personal_data(listing_id) != listing_id.strip():
            # A long number is what a site's own number looks like; anything else is no id.
            listing_id = (
                listing_id if listing_id.isascii() and listing_id.isdigit() and listing_id[0] != "0" else None
            )
        changed: dict[str, str | None] = {
            "listing_id": listing_id,
            "url": address_without_personal_data(self.url, listing_id),
        }
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name in changed or not isinstance(value, str):
                continue
            longest = _LONGEST_TITLE if field.name == "title" else _LONGEST_TEXT
            text = value if field.name == "posted_at" else without_personal_data(value)
            changed[field.name] = text[:longest].strip() or None
        return replace(self, **changed)  # type: ignore[arg-type]

    def completed(self, other: Ad) -> Ad:
        """This ad, with the fields of `other` where `other` knows them."""
        known = {
            field.name: getattr(other, field.name)
            for field in fields(other)
            if getattr(other, field.name) is not None
        }
        return replace(self, **known)


FIELDS: tuple[str, ...] = tuple(field.name for field in fields(Ad))

COLUMNS: tuple[str, ...] = ("source", *FIELDS, "scraped_at")
"""The header of a collected file."""


def row(ad: Ad, source: str, scraped_at: datetime) -> dict[str, str]:
    """The ad as a row of text in `COLUMNS`; what is unknown is empty."""
    told = {name: getattr(ad, name) for name in FIELDS}
    written = {name: "" if value is None else str(value) for name, value in told.items()}
    return {"source": source, **written, "scraped_at": scraped_at.isoformat(timespec="seconds")}
