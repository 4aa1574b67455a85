"""How well copies of known ads are found, and at what cost.

    make bench-linking DATA="one.csv other.csv" [ROWS="100000 1000000"] [SEEDS=3]

Real listings of each file are laid out anew, with the changes of sellers, and linked (`benchmarks.ad_pairs`).
Precision is the share of links that are right, recall the share of copies that are linked. `not found` are
copies that count as new; the other copies without a link are ambiguous. With two files, the second is linked
with the first as well: as it is, and with the same changes. Synthetic listings of `ROWS` rows show the cost.
Exits 1 if a figure is worse than its limit.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.ad_pairs import LAYOUTS, Pairs, changed_pairs, distinct, pairs_of, plain_copies, read_rows
from carprice.history.copies import find_copies
from carprice.listings import sample
from carprice.listings.tables import as_canonical, parse

LEAST_PRECISION, LEAST_RECALL, MOST_AMBIGUOUS = 0.99, 0.95, 0.01
MOST_MIB_PER_MILLION = 2048.0


class Tally:
    """Counts of links and copies, summed over layouts and seeds."""

    def __init__(self) -> None:
        self.links = self.right = self.copies = self.not_found = self.changed = self.changed_right = 0

    def add(self, pairs: Pairs) -> None:
        """Link, and count."""
        found = find_copies(pairs.known, pairs.new)
        linked = found.links.set_index("new")["known"]
        right = linked.reindex(pairs.copies.index) == pairs.copies
        changed = pairs.changed.reindex(pairs.copies.index).to_numpy()
        self.links += len(linked)
        self.right += int(right.sum())
        self.copies += len(pairs.copies)
        self.not_found += int(pairs.copies.index.isin(found.new).sum())
        self.changed += int(changed.sum())
        self.changed_right += int(right[changed].sum())

    def line(self, name: str) -> str:
        """One row of the table."""
        same, same_right = self.copies - self.changed, self.right - self.changed_right
        return (
            f"{name:<40} {self.copies:>7,} {self.precision:>10.2%} {self.recall:>8.2%} "
            f"{same_right / max(same, 1):>10.2%} {self.changed_right / max(self.changed, 1):>8.2%} "
            f"{self.not_found / max(self.copies, 1):>10.2%}"
        )

    @property
    def precision(self) -> float:
        """The share of links that are right."""
        return self.right / max(self.links, 1)

    @property
    def recall(self) -> float:
        """The share of copies that are linked."""
        return self.right / max(self.copies, 1)


def main() -> int:
    """Print the tables; returns 1 where a figure is worse than its limit, else 0."""
    paths = (os.environ.get("DATA") or "").split()
    if not paths:
        print(
            "bench-linking: DATA must name one or two CSV files of listings, found nothing", file=sys.stderr
        )
        return 2
    problems = []
    seeds = int(os.environ.get("SEEDS") or 3)
    print(
        f"{'layout of the new file':<40} {'copies':>7} {'precision':>10} {'recall':>8} "
        f"{'unchanged':>10} {'changed':>8} {'not found':>10}"
    )
    tables = [read_rows(path) for path in paths]
    everything = Tally()
    for path, table in zip(paths, tables, strict=True):
        print(Path(path).name)
        for layout in LAYOUTS:
            tally = Tally()
            for seed in range(seeds):
                pairs = pairs_of(distinct(table), layout, seed)
                tally.add(pairs)
                everything.add(pairs)
            print(tally.line(f"  {layout}"), flush=True)
    if len(tables) > 1:
        tally = Tally()
        for seed in range(seeds):
            for pairs in real_pairs(tables[0], tables[1], seed):
                tally.add(pairs)
                everything.add(pairs)
        print(tally.line("the second, changed, with 2/3 of the first"))
    print(everything.line("all"))
    if everything.precision < LEAST_PRECISION or everything.recall < LEAST_RECALL:
        problems.append(f"precision {everything.precision:.2%}, recall {everything.recall:.2%} of all")
    if len(tables) > 1:
        found = find_copies(tables[0], tables[1])
        ads = tables[1]["listing_id"].nunique()
        ambiguous = found.ambiguous["new"].nunique()
        print(
            f"the second file as it is: {ads:,} listings, {len(found.links):,} linked with the first, "
            f"{ambiguous:,} ambiguous, {len(found.new):,} new"
        )
        if ambiguous > MOST_AMBIGUOUS * ads:
            problems.append(f"{ambiguous} of {ads} listings are ambiguous")
    problems += list(cost([int(rows) for rows in (os.environ.get("ROWS") or "100000 1000000").split()]))
    for problem in problems:
        print(f"bench-linking: worse than the limit: {problem}", file=sys.stderr)
    return 1 if problems else 0


def real_pairs(first: pd.DataFrame, second: pd.DataFrame, seed: int) -> Iterator[Pairs]:
    """The second file with changes, and two thirds of the first; the copies are those that equality tells."""
    random = np.random.default_rng(seed)
    known, new = distinct(first), distinct(second)
    truth = plain_copies(known, new)
    new = new[new["listing_id"].isin(truth.index)].reset_index(drop=True)
    known = known.sample(frac=2 / 3, random_state=seed)
    originals = new["listing_id"].map(truth)
    originals = originals.where(originals.isin(known["listing_id"]), None)
    yield changed_pairs(known.reset_index(drop=True), new, originals, "as it is", random)


def cost(sizes: list[int]) -> Iterator[str]:
    """Print seconds and memory for synthetic listings of each size; what is worse than the limit."""
    with tempfile.TemporaryDirectory(prefix="carprice-bench-") as folder:
        for rows in sizes:
            path = Path(folder) / f"{rows}.parquet"
            for what in ("write", "link"):
                command = [sys.executable, "-m", "benchmarks.linking", what, str(path), str(rows)]
                done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
            print(done.stdout, end="", flush=True)
            mib = float(done.stdout.split()[-1])
            if mib > max(MOST_MIB_PER_MILLION, MOST_MIB_PER_MILLION * rows / 1e6):
                yield f"{mib:,.0f} MiB for {rows:,} rows, the limit is {MOST_MIB_PER_MILLION:,.0f}"


def write_synthetic(path: str, rows: int) -> None:
    """Write distinct synthetic listings in canonical columns."""
    raw = sample.generate(round(rows * 1.15), seed=7).drop(columns="").drop_duplicates()
    parsed = parse(raw, require_price=True)
    distinct(parsed.listings[parsed.good]).head(rows).to_parquet(path)


def link_synthetic(path: str, rows: int) -> None:
    """Link a third of the listings and copies of a third with the other two thirds, and print the cost."""
    pairs = pairs_of(as_canonical(pd.read_parquet(path)), "exact mileage", 0)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    started = time.process_time()
    tally = Tally()
    tally.add(pairs)
    seconds = time.process_time() - started
    mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{len(pairs.new):,} synthetic listings with {len(pairs.known):,} others: "
        f"precision {tally.precision:.2%}, recall {tally.recall:.2%}, {seconds:.1f} s of a core, "
        f"MiB before {before:,.0f}, at the peak {mib:.0f}"
    )


if __name__ == "__main__":
    if sys.argv[1:2] == ["write"]:
        write_synthetic(sys.argv[2], int(sys.argv[3]))
    elif sys.argv[1:2] == ["link"]:
        link_synthetic(sys.argv[2], int(sys.argv[3]))
    else:
        sys.exit(main())
