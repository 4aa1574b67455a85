"""Every setting of the pipeline: its default, its limits and what it means.

`params.yaml` at the root of the repository lists all of them; `carprice.params_file` reads it.
"""

from __future__ import annotations

import difflib
from itertools import pairwise
from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, model_validator

from carprice_contract.landing import SETTLE_SECONDS, SETTLE_SECONDS_RENAMED

if TYPE_CHECKING:
    pass

FILE_NAME = "params.yaml"


class Section(BaseModel):
    """A group of settings: immutable, no unknown keys, no silent conversion of values."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class LandingParams(Section):
    """When a file in `raw/` counts as complete and is claimed."""

    settle_seconds_renamed: float = Field(
        default=SETTLE_SECONDS_RENAMED,
        ge=0,
        description="Seconds without a change after which a renamed file is complete.",
    )
    settle_seconds: float = Field(
        default=SETTLE_SECONDS,
        ge=0,
        description="Seconds without a change after which a file written in place is complete.",
    )
    reclaim_seconds: float = Field(
        default=900.0,
        ge=0,
        description="Seconds after which an accepted file that is in no snapshot is claimed again, "
        "because the run that should have assembled it died.",
    )
    most_files: int = Field(
        default=1000,
        ge=1,
        description="Files that one run takes; the next run takes the rest. Airflow maps 1,024 at most.",
    )
    files_alone: int = Field(
        default=20,
        ge=0,
        description="Number of files up to which each file of a run is checked in a step of its own. If "
        "there are more, small files share steps.",
    )
    files_per_step: int = Field(
        default=100, ge=1, description="Largest number of small files that share a step."
    )
    bytes_per_step: int = Field(
        default=4_000_000,
        ge=0,
        description="Largest number of bytes in a step that files share. A larger file has its own step, and "
        "so has a compressed one.",
    )


class QualityParams(Section):
    """When a whole file is refused, and what its quality page shows."""

    min_rows: int = Field(default=50, ge=1, description="Fewest different listings of a file.")
    max_refused_share: float = Field(
        default=0.5, ge=0, le=1, description="Largest share of the not repeated rows that may be quarantined."
    )
    example_rows: int = Field(
        default=20, ge=0, le=1000, description="Refused rows shown on the quality page."
    )
    hold_min_rows: int = Field(
        default=30, ge=5, description="Fewest listings whose prices are compared with the production model's."
    )
    hold_max_rows: int = Field(
        default=2000, ge=100, le=100_000, description="Listings drawn for that where there are more."
    )
    hold_price_factor: float = Field(
        default=1.5,
        gt=1,
        description="A file is held if more than half of its prices are off by this factor in one direction.",
    )
    hold_far_factor: float = Field(
        default=2.0, gt=1, description="A price that is off by this factor, up or down, stands far."
    )
    hold_far_share: float = Field(
        default=0.15, gt=0, lt=1, description="A file is held if a larger share of its prices stands far."
    )
    hold_least_usual_price: int = Field(
        default=10_000, ge=0, description="A file is held if the median of its prices is below this, in MAD."
    )
    hold_most_usual_price: int = Field(
        default=2_000_000,
        ge=1,
        description="A file is held if the median of its prices is above this, in MAD.",
    )
    hold_odd_price_share: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="A file is held if one amount that is no multiple of 500 is the price of a larger share.",
    )
    hold_round_price_share: float = Field(
        default=0.25,
        gt=0,
        lt=1,
        description="A file is held if one multiple of 500 is the price of a larger share.",
    )
    hold_merged_share: float = Field(
        default=0.05,
        gt=0,
        lt=1,
        description="A file is held if a larger share of its rows is merged with ads of other cars.",
    )


class SnapshotParams(Section):
    """What a snapshot keeps beside the list of its files."""

    reference_rows: int = Field(
        default=1000,
        ge=100,
        le=5000,
        description="Listings in the reference sample, whose cars the app explains a price against.",
    )
    reference_seed: int = Field(default=0, ge=0, description="Seed of the draw of the reference sample.")


class KernelTerm(Section):
    """One effect on the log price, or on the log size of an error."""

    sd: float = Field(gt=0, description="Standard deviation of the effect.")
    same: list[str] = Field(description="Columns in which cars must be the same to inform each other.")
    near: dict[str, float] = Field(description="Columns compared: weight of the squared difference.")

    @model_validator(mode="after")
    def _known_columns(self) -> KernelTerm:
        for name in (*self.same, *self.near):
            if name not in KERNEL_COLUMNS:
                close = difflib.get_close_matches(name, KERNEL_COLUMNS, n=1)
                hint = f"did you mean {close[0]!r}?" if close else f"known are {', '.join(KERNEL_COLUMNS)}"
                raise ValueError(f"{name!r} is not a column that cars are compared in ({hint})")
        if any(weight < 0 for weight in self.near.values()):
            raise ValueError("a weight must be >= 0")
        return self


KERNEL_COLUMNS = (
    "make", "root", "model", "year", "km", "power", "rarity", "km_doubt",
    "fuel", "gearbox", "first_owner", "condition", "city", "origin", "doors", "price", "month",
)  # fmt: skip

TERMS = (
    KernelTerm(sd=0.4, same=[], near={"year": 0.12, "power": 0.03, "fuel": 0.05, "gearbox": 0.04}),
    KernelTerm(sd=0.15, same=[], near={"km": 0.02}),
    KernelTerm(sd=0.06, same=[], near={"year": 0.8, "power": 0.4, "fuel": 0.5, "gearbox": 1.0}),
    KernelTerm(
        sd=0.04,
        same=[],
        near={"year": 0.4, "km": 0.15, "km_doubt": 0.6, "first_owner": 0.06, "condition": 0.16},
    ),
    KernelTerm(sd=0.2, same=["make"], near={"year": 0.1, "power": 0.02, "fuel": 0.1, "gearbox": 0.01}),
    KernelTerm(sd=0.05, same=["root"], near={"year": 0.2, "power": 0.2, "fuel": 0.3, "gearbox": 0.05}),
    KernelTerm(sd=0.15, same=["model"], near={"year": 0.06, "power": 0.08}),
    KernelTerm(sd=0.03, same=["model"], near={"km": 0.05}),
    KernelTerm(sd=0.09, same=["model", "fuel"], near={"year": 1.7, "power": 0.15}),
    KernelTerm(
        sd=0.03,
        same=["model"],
        near={"year": 2.5, "km": 0.1, "power": 0.7, "fuel": 0.6, "gearbox": 0.25, "km_doubt": 0.4},
    ),
)

# A price moves with the market over years and over weeks, and that of a make a little differently.
MARKET_TERMS = (
    KernelTerm(sd=0.2, same=[], near={"month": 0.0035}),
    KernelTerm(sd=0.05, same=[], near={"month": 0.22}),
    KernelTerm(sd=0.05, same=["make"], near={"month": 0.014}),
)

SPREAD_TERMS = (
    KernelTerm(sd=0.3, same=[], near={"rarity": 0.3, "year": 0.1, "km_doubt": 0.1, "gearbox": 0.05}),
    KernelTerm(sd=0.3, same=[], near={"price": 0.5}),
    KernelTerm(sd=0.25, same=["make"], near={"year": 0.1}),
    KernelTerm(sd=0.15, same=["model"], near={"year": 0.6}),
)


STARTS = (
    *("noise", "nu", "rounds", "make_shrinkage", "extra_sd", "extra_weight", "spread_noise"),
    *("terms", "spread_terms", "market_terms"),
)
"""Settings of `training` that `params.yaml` leaves out, because nobody sets them by thought.

They are what is assumed of prices before any listing is seen. `carprice tune` compares others and prints
them; the file may hold them.
"""


class TrainingParams(Section):
    """How the model learns."""

    min_rows: int = Field(default=30, ge=10, description="Fewest distinct listings to train on.")
    max_rows: int = Field(default=800_000, ge=100, le=1_000_000, description="Most listings to train on.")
    drawing_seed: int = Field(
        default=0, ge=0, description="Seed of the draw of listings where there are more."
    )
    learning_rows: int = Field(
        default=5000,
        ge=500,
        description="Fewest listings from which noise and effects are learned.",
    )
    typing_error_log_distance: float = Field(
        default=0.6, gt=0, description="Distance in log price at which a price counts as a typing error."
    )
    interval_coverage: float = Field(
        default=0.9, gt=0, lt=1, description="Share of asking prices that the interval is to cover."
    )
    noise: float = Field(default=0.104, gt=0, description="Standard deviation among equal cars.")
    nu: float = Field(default=4.0, gt=0, description="Degrees of freedom of the noise.")
    rounds: int = Field(default=5, ge=1, le=50, description="Rounds of reweighting.")
    make_shrinkage: float = Field(default=30.0, ge=0, description="Listings that balance a make with all.")
    partial_weight: float = Field(
        default=0.7, ge=0, le=1, description="Weight of a listing without mileage or fuel; 0 leaves it out."
    )
    extra_sd: float = Field(default=0.08, gt=0, description="Effect of equipment and the like together.")
    extra_weight: float = Field(default=0.1, ge=0, description="Weight of a difference in one of them.")
    spread_noise: float = Field(default=0.62, gt=0, description="Deviation of the log size of an error.")
    terms: list[KernelTerm] = Field(
        default=list(TERMS), min_length=1, description="Effects that add up to a log price."
    )
    spread_terms: list[KernelTerm] = Field(
        default=list(SPREAD_TERMS), min_length=1, description="Effects that add up to the size of an error."
    )
    market_terms: list[KernelTerm] = Field(
        default=list(MARKET_TERMS),
        description="Effects of the day of asking, which add up to the market level.",
    )


class EvaluationParams(Section):
    """Which listings are test rows, and how small a slice may be."""

    test_share: float = Field(default=0.2, gt=0, lt=1, description="Share of listings kept for testing.")
    split_seed: int = Field(default=0, ge=0, description="Another seed chooses other test rows.")
    slice_min_rows: int = Field(default=30, ge=2, description="Fewest rows of a make, price or age slice.")
    recent_rows: int = Field(
        default=1000,
        ge=20,
        description="The newest test rows that make up the recent window; those of one time count together.",
    )
    time_folds: int = Field(
        default=3,
        ge=0,
        le=50,
        description="Times that the history is cut to judge by what came after; 0 leaves it out.",
    )
    time_fold_rows: int = Field(
        default=5000, ge=100, description="Most listings that are learned for each of these."
    )


class PromotionParams(Section):
    """The gates between a candidate and production."""

    min_test_rows: int = Field(default=20, ge=2, description="Fewest test rows the figures rest on.")
    max_mape: float = Field(default=0.2, gt=0, description="Largest mean relative error.")
    max_median_ape: float = Field(default=0.14, gt=0, description="Largest median relative error.")
    min_r2_log: float = Field(default=0.75, le=1, description="Smallest R² of the log price.")
    max_flagged_share: float = Field(
        default=0.1,
        ge=0,
        le=1,
        description="Largest share of prices, learned and tested, that look like typing errors.",
    )
    production_confidence: float = Field(
        default=0.8,
        ge=0,
        le=1,
        description="Confidence with which a candidate must be better, or not worse, than production.",
    )
    production_margin: float = Field(
        default=0.0,
        gt=-1,
        description="How much worse than production, as a share, still counts as better, where a candidate "
        "learned nothing newer.",
    )
    newer_margin: float = Field(
        default=0.03,
        ge=0,
        description="How much worse than production, as a share, a candidate may be that learned newer "
        "listings.",
    )
    newer_rows: int = Field(
        default=30,
        ge=1,
        description="Fewest newer listings that a candidate must have learned to be allowed `newer_margin`.",
    )
    bootstrap_resamples: int = Field(default=2000, ge=100, description="Resamples of the paired bootstrap.")
    bootstrap_seed: int = Field(default=0, ge=0, description="Seed of the resampling.")
    max_slice_loss: float = Field(
        default=0.25, ge=0, description="Largest loss against production in any slice, as a share."
    )
    max_prediction_ms: float = Field(
        default=100.0, gt=0, description="Most processor time of one prediction, in milliseconds."
    )
    approve_after_drift: bool = Field(
        default=False,
        description="Whether a person approves a promotion while production is known to have drifted.",
    )


class DriftParams(Section):
    """When new listings count as drifted away from what the production model learned."""

    min_rows: int = Field(default=50, ge=10, description="Fewest rows on either side to say anything.")
    enough_rows: int = Field(
        default=500,
        ge=10,
        description="New listings at which no older file that production has not seen is added.",
    )
    max_rows: int = Field(
        default=20000, ge=100, description="Rows drawn on either side where there are more."
    )
    report_rows: int = Field(
        default=2000, ge=100, le=5000, description="Rows drawn on either side for Evidently's report."
    )
    false_alarms: float = Field(
        default=0.03,
        gt=0,
        lt=0.5,
        description="Share of files in which any column at all may alarm though nothing changed.",
    )
    effect: float = Field(
        default=0.2, gt=0, description="Smallest effect of an alarm; 0.2 is small, 0.5 medium, 0.8 large."
    )
    effect_not_to_miss: float = Field(
        default=0.5, gt=0, description="With too few rows to see this effect nothing is called stable."
    )
    price_shift: float = Field(
        default=0.05, gt=0, description="Smallest alarming shift of prices at an equal car, as a share."
    )
    price_shift_not_to_miss: float = Field(
        default=0.1, gt=0, description="With too few rows to see this shift prices are not called stable."
    )
    asked_days: int = Field(default=30, ge=1, description="Days of questions to the API that are compared.")


class LiveParams(Section):
    """When the prices of new listings show that the production model is worse than promised."""

    min_rows: int = Field(default=50, ge=10, description="Fewest new listings to say anything.")
    max_rows: int = Field(default=20000, ge=100, description="New listings drawn where there are more.")
    max_mape: float = Field(default=0.2, gt=0, description="Largest mean relative error.")
    max_loss: float = Field(
        default=0.25, ge=0, description="Largest growth of it against promotion, as a share of it."
    )
    max_bias: float = Field(
        default=0.05, gt=0, description="Largest distance of asked from predicted prices, in the median."
    )
    max_coverage_loss: float = Field(
        default=0.07, gt=0, le=1, description="Largest loss of prices inside their interval, as a share."
    )
    max_flagged_share: float = Field(
        default=0.1, gt=0, le=1, description="Largest share of prices that look mistyped."
    )
    confidence: float = Field(
        default=0.95, gt=0.5, lt=1, description="Confidence with which a figure must be past its limit."
    )
    bootstrap_resamples: int = Field(default=2000, ge=100, description="Resamples of the bootstrap.")
    bootstrap_seed: int = Field(default=0, ge=0, description="Seed of the resampling.")


class MarketParams(Section):
    """How listings on offer are labelled, and when one is taken to be gone."""

    label_positions: list[float] = Field(
        default=[0.1, 0.3, 0.7, 0.9],
        min_length=4,
        max_length=4,
        description="Where the labels change: shares of the prices that the model holds possible.",
    )
    hysteresis: float = Field(
        default=0.03,
        ge=0,
        le=0.1,
        description="How far a position must leave its class before the label of the same price changes.",
    )
    least_comparables: int = Field(
        default=5, ge=1, description="Fewest learned listings of the model, of about the year, for a label."
    )
    on_offer_days: float = Field(
        default=30.0,
        gt=0,
        description="Days after which a listing is gone that is in no newer file of its source.",
    )
    far_factor: float = Field(
        default=1.5,
        gt=1,
        description="A price is suspicious if it is this many times as far from the estimate as the interval "
        "reaches.",
    )
    least_km_a_year: float = Field(
        default=1000.0, ge=0, description="A mileage of fewer kilometres a year is not believed, on old cars."
    )
    most_km_a_year: float = Field(
        default=100_000.0, gt=0, description="A mileage of more kilometres a year is not believed."
    )

    @model_validator(mode="after")
    def _rising_shares(self) -> MarketParams:
        edges = [0.0, *self.label_positions, 1.0]
        if any(low >= high for low, high in pairwise(edges)):
            found = ", ".join(map(str, self.label_positions))
            raise ValueError(f"label_positions must rise between 0 and 1, found {found}")
        return self


class AlertParams(Section):
    """What people are told without asking."""

    send_reports: bool = Field(
        default=True, description="Whether the report of a promotion is sent when nothing is wrong, too."
    )
    send_seconds: float = Field(
        default=5.0, gt=0, le=60, description="Seconds that each channel may take in one step."
    )
    mail_seconds: float = Field(
        default=30.0, gt=0, le=300, description="The same for a mail server, once it has been reached."
    )
    nothing_landed_days: float = Field(
        default=14.0, gt=0, description="Days without a landed file after which an alert is raised."
    )


class Params(Section):
    """All settings, one attribute per section of `params.yaml`."""

    landing: LandingParams = LandingParams()
    quality: QualityParams = QualityParams()
    snapshots: SnapshotParams = SnapshotParams()
    training: TrainingParams = TrainingParams()
    evaluation: EvaluationParams = EvaluationParams()
    promotion: PromotionParams = PromotionParams()
    drift: DriftParams = DriftParams()
    live: LiveParams = LiveParams()
    market: MarketParams = MarketParams()
    alerts: AlertParams = AlertParams()
