"""What becomes of a raw file: how many rows have which fate and why, and whether the file can be used."""

from __future__ import annotations

import itertools
import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from carprice.errors import DataRefused
from carprice.formats import thousands
from carprice.history.snapshots import NO_NAMES, KnownNames
from carprice.listings.columns import Recognised, recognise, refusal_of
from carprice.listings.parsed import Unreadable
from carprice.listings.problems import RowProblem
from carprice.listings.reading import Note, RawChunk, RawTable, open_raw
from carprice.listings.reading.raw_table import index_column
from carprice.listings.title_facts import Contradiction
from carprice.listings.vocabulary import Vocabulary, extended
from carprice.params import QualityParams
from carprice.quality.hold import HoldEvidence
from carprice.quality.judging import FATES, WHOLE_FILE, WHOLE_FILE_REFUSED, JudgedRows, judge
from carprice.quality.repeats import Hashes
from carprice.quality.sampling import Examples, RowSample

Source = bytes | str | os.PathLike[str]
"""The bytes of a file, or its path."""

Sink = Callable[[JudgedRows], None]
"""Takes the rows of a file as they are judged."""

_MOST_EXAMPLES = 3
_KEY_FIELDS = ("make", "model", "model_year", "mileage", "price_mad")


@dataclass
class Outcome:
    """What became of a file and of its rows.

    `known` are the names that titles are read by beside those that ship. `raw` and `found` are None when
    reading stopped before them; `first_chunks` are the rows for `read`.
    `fates` counts the rows of each of `FATES`; `partial` are the accepted rows without mileage or fuel.
    `reasons` counts the quarantined rows of each reason, `aside` the rows that are no listings for another
    reason, most frequent first; a row with two reasons counts under both. `unreadable` are values of optional
    columns that are unknown because they can't be read. `shared` are the links and ids that stand in rows of
    several cars; `identify` replaces them. The evidence, the sample and the examples are of the
    whole file. Dates such as "3 hours ago" count from `written_at`.
    """

    file: str
    known: KnownNames = NO_NAMES
    written_at: datetime | None = None
    raw: RawTable | None = None
    first_chunks: Iterator[RawChunk] | None = None
    found: Recognised | None = None
    rows: int = 0
    fates: Counter[str] = field(default_factory=Counter)
    partial: int = 0
    reasons: Counter[RowProblem] = field(default_factory=Counter)
    aside: Counter[RowProblem] = field(default_factory=Counter)
    unreadable: dict[RowProblem, Unreadable] = field(default_factory=dict)
    contradictions: dict[str, Contradiction] = field(default_factory=dict)
    evidence: HoldEvidence | None = None
    shared: Hashes | None = None
    rows_with_shared_ids: int = 0
    sample: RowSample = field(default_factory=RowSample)
    examples: Examples | None = None
    refusal: DataRefused | None = None

    @cached_property
    def _vocabulary(self) -> Vocabulary:
        return extended(self.known.names)

    @property
    def notes(self) -> list[Note]:
        """Lines of the file that are no rows."""
        return [] if self.raw is None else self.raw.notes

    @property
    def index_column(self) -> str | None:
        """The unnamed row-number column, if the file has one."""
        return None if self.raw is None else index_column(self.raw.header, self.raw.columns)

    def columns(self) -> dict[str, str]:
        """Each column of the file and what it was taken for: a field, or why it is not used."""
        if self.raw is None or self.found is None:
            return {}
        return {use.column: use.taken_for for use in self.found.uses}

    def key_columns(self) -> list[str]:
        """The columns that help the owner of the file to find a row: its title and main values."""
        if self.found is None:
            return []
        fields = [self.found.columns[name] for name in _KEY_FIELDS if name in self.found.columns]
        return [*self.found.of("title"), *self.found.of("make_and_model"), *fields]

    def read(self, sinks: Iterable[Sink] = ()) -> None:
        """Read and count all rows. `sinks` take them with the fates that they have if the file is used."""
        with self.refusing():
            for rows in self._judged(self.first_chunks):
                self._count(rows)
                for sink in sinks:
                    sink(rows)
        if self.evidence is not None and self.refusal is None:
            shared = self.evidence.identities.shared()
            if len(shared):
                self.shared = shared
                self.rows_with_shared_ids = self.evidence.identities.rows_of(shared)

    def identify(self, sinks: Iterable[Sink] = ()) -> None:
        """Read the rows again, where links or ids tell no ad: their rows are known by their content.

        `sinks` take the rows with the same fates and other ids.
        """
        if self.raw is None or self.evidence is None:
            return
        self.evidence = HoldEvidence(self.evidence.most_prices)
        for rows in self._judged(self.raw.chunks()):
            self._add_evidence(rows)
            for sink in sinks:
                sink(rows)

    @contextmanager
    def refusing(self) -> Iterator[None]:
        """A refusal raised by the block is that of the file."""
        try:
            yield
        except DataRefused as error:
            self.refusal = DataRefused(f"{error}.", code=error.code, params=error.params)

    @property
    def has_other_fates_now(self) -> bool:
        """Whether rows that `read` gave as accepted are quarantined, because the file is refused."""
        return self.evidence is not None and self.reasons[WHOLE_FILE_REFUSED] > 0

    def refused_rows(self) -> Iterator[JudgedRows]:
        """The rows of a file that is refused, read again: those that could be used are quarantined."""
        for rows in self._judged(None if self.raw is None else self.raw.chunks()):
            usable = rows.of("accepted")
            rows.fates[usable] = "quarantined"
            rows.reasons[usable] = WHOLE_FILE
            yield rows

    def _judged(self, chunks: Iterator[RawChunk] | None) -> Iterator[JudgedRows]:
        if self.raw is None or chunks is None:
            return iter(())
        return judge(
            self.raw, chunks, None if self.evidence is None else self.found, self.shared, self._vocabulary
        )

    def _count(self, rows: JudgedRows) -> None:
        self.rows += len(rows.table)
        self.fates.update(rows.fates.tolist())
        self.sample.add(rows)
        if rows.parsed is None:
            self.reasons[WHOLE_FILE_REFUSED] += int(rows.of("quarantined").sum())
            return
        self.partial += int(rows.parsed.partial.sum())
        self.reasons.update(rows.parsed.reasons)
        self.aside.update(rows.parsed.aside)
        for found in rows.parsed.unreadable:
            before = self.unreadable.get(found.problem)
            if before is not None:
                examples = tuple(dict.fromkeys((*before.examples, *found.examples)))[:_MOST_EXAMPLES]
                found = replace(found, rows=before.rows + found.rows, examples=examples)
            self.unreadable[found.problem] = found
        for told in rows.parsed.contradictions:
            known = self.contradictions.get(told.column)
            if known is not None:
                cases = tuple(dict.fromkeys((*known.examples, *told.examples)))[:_MOST_EXAMPLES]
                told = replace(told, rows=known.rows + told.rows, examples=cases)
            self.contradictions[told.column] = told
        if self.examples is not None:
            self.examples.add(rows)
        self._add_evidence(rows)

    def _add_evidence(self, rows: JudgedRows) -> None:
        if self.evidence is not None and rows.ids is not None:
            self.evidence.add(rows.listings, rows.ids)

    def close(self, params: QualityParams, rejection: DataRefused | None = None) -> None:
        """Decide about the file, after its last row. `rejection` refuses a file that could be used."""
        if self.refusal is None:
            self.refusal = self._too_many_refused(params) or self._too_few(params) or rejection
        usable = self.fates["accepted"]
        if self.refusal is not None and usable:
            self.fates["quarantined"] += usable
            self.fates["accepted"] = self.partial = 0
            self.reasons[WHOLE_FILE_REFUSED] += usable
        self.reasons = _most_frequent_first(self.reasons)
        self.aside = _most_frequent_first(self.aside)

    @property
    def distinct_listings(self) -> int:
        """How many ads the rows are that can be used, whether the file is refused or not."""
        return 0 if self.evidence is None else self.evidence.distinct_listings

    def identity(self) -> dict[str, Any]:
        """How the ads among the rows that can be used are told apart, as JSON.

        `rules` counts them by rule; `shared` says how many links or ids were given up and how many rows have
        one.
        """
        return {
            "rules": {} if self.evidence is None else self.evidence.identities.by_rule(),
            "shared": {
                "ids": 0 if self.shared is None else len(self.shared),
                "rows": self.rows_with_shared_ids,
            },
        }

    def counts(self) -> dict[str, int]:
        """The rows of each of `FATES`."""
        return {fate: self.fates[fate] for fate in FATES}

    def _too_many_refused(self, params: QualityParams) -> DataRefused | None:
        refused, rows = self.fates["quarantined"], self.rows - self.fates["repeated"]
        if refused <= params.max_refused_share * rows:
            return None
        problem, times = _most_frequent_first(self.reasons).most_common(1)[0]
        reason = problem.sentence()
        share = refused / rows
        return DataRefused(
            f"In {self.file} {thousands(refused)} of {thousands(rows)} rows ({share:.0%}) can't be used, but "
            f"at most {params.max_refused_share:.0%} was expected (quality.max_refused_share). The most "
            f"frequent reason is: {reason} ({thousands(times)} rows). Correct the rows and land the file "
            "again.",
            code="too_many_refused_rows",
            params={
                "refused": refused,
                "rows": rows,
                "share": share,
                "most_share": params.max_refused_share,
                "reason": reason,
                "times": times,
            },
        )

    def _too_few(self, params: QualityParams) -> DataRefused | None:
        usable, distinct, least = self.fates["accepted"], self.distinct_listings, params.min_rows
        if distinct >= least:
            return None
        advice = "Land a file with more listings, or lower quality.min_rows in params.yaml."
        for problem, times in _most_frequent_first(self.reasons + self.aside).most_common(1):
            if times >= usable:
                reason = f"The most frequent reason of the others is: {problem.sentence()}"
                advice = f"{reason} ({thousands(times)} rows). {advice}"
        if usable < least:
            rows = "row" if usable == 1 else "rows"
            return DataRefused(
                f"{self.file} holds {usable} usable {rows}, but at least {least} were expected "
                f"(quality.min_rows). {advice}",
                code="too_few_rows",
                params={"usable": usable, "least": least},
            )
        listings = "listing" if distinct == 1 else "listings"
        return DataRefused(
            f"{self.file} holds only {distinct} different {listings} in {thousands(usable)} usable rows, but "
            f"at least {least} were expected (quality.min_rows). {advice}",
            code="too_few_listings",
            params={"distinct": distinct, "usable": usable, "least": least},
        )


def opened(
    source: Source,
    file: str,
    params: QualityParams,
    known: KnownNames = NO_NAMES,
    written_at: datetime | None = None,
) -> Outcome:
    """A raw file whose columns are known and whose rows are still to be read; sentences call it `file`.

    Dates such as "3 hours ago" count from `written_at` (with a zone) and are unknown without it.
    """
    outcome = Outcome(file, known, written_at)
    with outcome.refusing():
        raw = open_raw(source, file)
        chunks = raw.chunks()
        first = next(chunks)
        outcome.raw, outcome.first_chunks = raw, itertools.chain([first], chunks)
        outcome.found = recognise(first.table).written(written_at)
        refusal = refusal_of(outcome.found, raw.header, file)
        if refusal is not None:
            outcome.refusal = refusal
        else:
            outcome.evidence = HoldEvidence(params.hold_max_rows)
            outcome.examples = Examples(outcome.key_columns(), params.example_rows)
    return outcome


def _most_frequent_first(counted: Counter[RowProblem]) -> Counter[RowProblem]:
    return Counter(dict(sorted(counted.items(), key=lambda each: (-each[1], each[0].sentence()))))
