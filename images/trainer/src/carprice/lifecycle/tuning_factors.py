"""The factors that a search of settings scales terms by."""

from __future__ import annotations

from collections.abc import Sequence

from carprice.model.features import NUMBERS
from carprice.params import KernelTerm

# What is searched, as factors of the current settings: between the two, evenly on a log scale. A factor
# of 1 is the setting that is there. The terms are scaled in groups: sixty numbers of their own would
# fit the folds, not the market.
FACTORS = {
    "noise": (0.7, 1.4),
    "nu": (0.5, 3.0),
    "extra_sd": (0.4, 2.5),
    "sd_of_all": (0.6, 1.6),
    "sd_of_makes": (0.6, 1.6),
    "sd_of_models": (0.6, 1.6),
    "weights_of_numbers": (0.4, 2.5),
    "weights_of_categories": (0.4, 2.5),
    "sd_of_market": (0.4, 2.5),
    "weights_of_market": (0.1, 10.0),
}
ROUNDS = (3, 5, 8)


def deviation_factor(term: KernelTerm) -> str:
    """The factor that scales a term's standard deviation: of the market, all cars, makes or models."""
    if "month" in term.near:
        return "sd_of_market"
    if "model" in term.same:
        return "sd_of_models"
    return "sd_of_makes" if {"make", "root"} & set(term.same) else "sd_of_all"


def weight_factor(column: str) -> str:
    """The factor that scales the weight of a column."""
    if column == "month":
        return "weights_of_market"
    return "weights_of_numbers" if column in NUMBERS else "weights_of_categories"


def matters(factor: str, terms: Sequence[KernelTerm], with_extra: bool) -> bool:
    """Whether a factor changes anything about these terms and listings."""
    if factor == "extra_sd":
        return with_extra
    if factor.startswith("sd_of_"):
        return factor in {deviation_factor(term) for term in terms}
    if factor.startswith("weights_of_"):
        return factor in {weight_factor(column) for term in terms for column in term.near}
    return True
