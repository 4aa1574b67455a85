"""What a source is: where its pages are, how an ad is read from one, and what its ads usually tell."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar
from urllib.parse import urljoin, urlsplit

from parsel import Selector

from carprice_collector.pages import Link, Page, PageContent


class SourceProblem(ValueError):
    """A source can't start with what it was given."""


class Source(ABC):
    """One kind of site.

    Its selectors stand in one place of its module. `read` is a pure function from a page to its ads.
    """

    kind: ClassVar[str]
    """The name on the command line, and in the column `source` of the file."""

    start: ClassVar[str] = ""
    """The first search page, unless another is given."""

    least_filled: ClassVar[Mapping[str, float]]
    """The schema: each field that the source reads, with the least share of ads that must have it.

    A run with a lower share is not landed. 0 for a field that may be missing everywhere.
    """

    has_details: ClassVar[bool] = False
    """Whether `read` knows the pages of single ads, which `with_details` asks for."""

    def __init__(self, start: str = "", sitemap: str = "", with_details: bool = False) -> None:
        if with_details and not self.has_details:
            raise SourceProblem(f"{self.kind} reads no pages of single ads: leave --details out.")
        self.sitemap = sitemap
        self.first_page = start or ("" if sitemap else self.start)
        self.with_details = with_details
        for address in filter(None, (self.first_page, sitemap)):
            if urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname:
                raise SourceProblem(
                    f"An address like https://host/path was expected for {self.kind}, found {address!r}."
                )
        if not self.first_page and not sitemap:
            raise SourceProblem(
                f"{self.kind} has no first page of its own: name one with --start or --sitemap."
            )

    @property
    def name(self) -> str:
        """What the column `source` says."""
        return self.kind

    @property
    def site(self) -> str:
        """The host, with its port, that all pages are on."""
        return urlsplit(self.first_page or self.sitemap).netloc

    def first_links(self) -> list[Link]:
        """The pages that a run begins with."""
        links = [Link("search", self.first_page)] if self.first_page else []
        return links + ([Link("sitemap", self.sitemap)] if self.sitemap else [])

    @abstractmethod
    def read(self, page: Page, kind: str) -> PageContent:
        """What a page tells. Raises `ShapeMoved` and `BrokenPage`."""

    def same_site(self, page: Page, href: str | None) -> str | None:
        """The whole address of a link, without fragment; None where it leads to another host."""
        if not href:
            return None
        address = urljoin(page.address, href).partition("#")[0]
        return address if urlsplit(address).netloc == self.site else None

    def next_page(self, page: Page, selector: Selector) -> list[Link]:
        """The search page after this one, by `rel=next`."""
        address = self.same_site(
            page, selector.css("link[rel~=next]::attr(href), a[rel~=next]::attr(href)").get()
        )
        return [Link("search", address)] if address and address != page.address else []
