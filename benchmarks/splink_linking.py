"""Splink on the pairs of `bench-linking`, for the comparison in docs/decisions.md.

    .venv/tools/bin/uv venv .venv/splink
    .venv/tools/bin/uv pip install -p .venv/splink splink==5.0.0 pyarrow
    DATA=one.csv SPLINK=.venv/splink/bin/python .venv/trainer/bin/python -m benchmarks.splink_linking

Prints precision and recall at several thresholds for each layout. A link is a pair that is the only best one
of both its listings. The columns are compared as `carprice.history.evidence` compares them: with term
frequencies, null levels, brackets that overlap, and steps of prices. Splink runs in its own environment.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

THRESHOLDS = (0.5, 0.9, 0.97, 0.99)
VALUES = (
    "fuel",
    "fiscal_power_cv",
    "gearbox",
    "doors",
    "origin",
    "first_owner",
    "condition",
    "city",
    "equipment",
)


def main() -> int:
    """Make the pairs, let Splink link them, and print the table."""
    import pandas as pd

    from benchmarks.ad_pairs import LAYOUTS, distinct, pairs_of, read_rows

    if not os.environ.get("DATA") or not os.environ.get("SPLINK"):
        print("splink_linking: DATA and SPLINK were expected, see the head of this file", file=sys.stderr)
        return 2
    listings = distinct(read_rows(os.environ["DATA"]))
    print("layout, then precision / recall at a probability of " + ", ".join(map(str, THRESHOLDS)))
    for layout in LAYOUTS:
        pairs = pairs_of(listings, layout, 1)
        with tempfile.TemporaryDirectory() as folder:
            files = [str(Path(folder) / name) for name in ("known.parquet", "new.parquet", "found.parquet")]
            for side, file in zip((pairs.known, pairs.new), files, strict=False):
                _for_splink(side).to_parquet(file, index=False)
            started = time.time()
            subprocess.run([os.environ["SPLINK"], __file__, *files], check=True, stderr=subprocess.DEVNULL)
            seconds = time.time() - started
            found = pd.read_parquet(files[2])
        print(
            f"{layout:<30}",
            *(_figures(found, pairs.copies, least) for least in THRESHOLDS),
            f"{seconds:.1f} s",
        )
    return 0


def _for_splink(listings: Any) -> Any:
    import numpy as np

    from carprice.history.mileage_steps import step_of
    from carprice.listings.schema import EQUIPMENT

    flags = listings[list(EQUIPMENT)]
    pattern = flags.fillna(-1).astype(int).astype(str).agg("".join, axis=1)
    low, high = listings["mileage_km_min"], listings["mileage_km_max"]
    table = listings.assign(
        car=listings["make"] + "|" + listings["model"],
        step=step_of(low.to_numpy(), high.to_numpy()),
        high=high.fillna(np.inf).where(low.notna()),
        low=low,
        equipment=pattern.where(flags.notna().any(axis=1), None),
    )
    return table[["listing_id", "car", "model_year", "price_mad", "low", "high", "step", *VALUES]]


def _figures(found: Any, copies: Any, least: float) -> str:
    pairs = found[found["probability"] >= least]
    for side in ("known", "new"):
        pairs = pairs[pairs["probability"] >= pairs.groupby(side)["probability"].transform("max") - 1e-9]
    pairs = pairs[~pairs["known"].duplicated(keep=False) & ~pairs["new"].duplicated(keep=False)]
    right = (copies.reindex(pairs["new"]).to_numpy() == pairs["known"].to_numpy()).sum()
    return f"{right / max(len(pairs), 1):7.2%} /{right / len(copies):7.2%}  "


def link(known_path: str, new_path: str, found_path: str) -> None:
    """Link two Parquet files with Splink and write the pairs; runs where only Splink is installed."""
    import pyarrow as pa
    import pyarrow.parquet as pq
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on
    from splink import comparison_level_library as level
    from splink.comparison_library import CustomComparison

    def exact(name: str, **fixed: float) -> Any:
        same, other = level.ExactMatchLevel(name, term_frequency_adjustments=True), level.ElseLevel()
        if fixed:
            same = same.configure(m_probability=fixed["m"], fix_m_probability=True)
            other = other.configure(m_probability=1 - fixed["m"], fix_m_probability=True)
        return CustomComparison(
            output_column_name=name, comparison_levels=[level.NullLevel(name), same, other]
        )

    tables = [pq.read_table(path) for path in (known_path, new_path)]
    ratio = "abs(ln(price_mad_l / price_mad_r))"
    comparisons = [
        CustomComparison(
            output_column_name="price",
            comparison_levels=[
                level.NullLevel("price_mad"),
                level.ExactMatchLevel("price_mad", term_frequency_adjustments=True),
                level.CustomLevel(f"{ratio} < 0.06", "within 6 %"),
                level.CustomLevel(f"{ratio} < 0.2", "within 20 %"),
                level.ElseLevel(),
            ],
        ),
        CustomComparison(
            output_column_name="mileage",
            comparison_levels=[
                level.CustomLevel("low_l is null or low_r is null", "unknown").configure(is_null_level=True),
                level.CustomLevel("low_l <= high_r and low_r <= high_l", "overlap").configure(
                    tf_adjustment_column="step", disable_tf_exact_match_detection=True
                ),
                level.CustomLevel("abs(step_l - step_r) <= 1", "next"),
                level.ElseLevel(),
            ],
        ),
        exact("car", m=0.99),
        exact("model_year", m=0.99),
        *(exact(name) for name in VALUES if all(t[name].null_count < len(t) for t in tables)),
    ]
    same_price, same_step = block_on("car", "model_year", "price_mad"), block_on("car", "model_year", "step")
    driven = "l.car = r.car and l.model_year = r.model_year and l.step = r.step - 1"
    settings = SettingsCreator(
        link_type="link_only",
        unique_id_column_name="listing_id",
        comparisons=comparisons,
        blocking_rules_to_generate_predictions=[same_price, same_step, driven],
        retain_matching_columns=False,
    )
    api = DuckDBAPI()
    sides = [
        api.register(path, dataset_display_name=n) for path, n in zip(tables, ("known", "new"), strict=True)
    ]
    linker = Linker(sides, settings, log_level=None)
    linker.training.estimate_probability_two_random_records_match(
        [block_on("car", "model_year", "price_mad", "step")], recall=0.8
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    linker.training.estimate_parameters_using_expectation_maximisation(same_price)
    linker.training.estimate_parameters_using_expectation_maximisation(same_step)
    found = linker.inference.predict(threshold_match_probability=0.01).as_record_list()
    columns = {"known": "listing_id_l", "new": "listing_id_r", "probability": "match_probability"}
    pq.write_table(pa.table({name: [row[key] for row in found] for name, key in columns.items()}), found_path)


if __name__ == "__main__":
    if len(sys.argv) == 4:
        link(*sys.argv[1:])
    else:
        sys.exit(main())
