"""How the error falls with the number of listings learned: the model, the reference recipe and boosting.

make bench-accuracy DATA=listings.csv SIZES="500 4000" [SEEDS=5 MODELS=model,LightGBM PICTURE=curve.svg]
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
import pandas as pd

from benchmarks.boosting import BOOSTING
from benchmarks.reference import reference
from carprice.history.splitting import is_test
from carprice.lifecycle import training
from carprice.model.features import features_of
from carprice.params import Params

Floats = npt.NDArray[np.float64]
Pricing = Callable[[pd.DataFrame, pd.DataFrame], Floats]


def pricings(params: Params) -> dict[str, Pricing]:
    """What is compared: training and test listings in, prices of the latter in MAD out."""

    def model(train: pd.DataFrame, test: pd.DataFrame) -> Floats:
        predicted: Floats = np.asarray(training.fit(train, params).predict(features_of(test)))
        return predicted

    def forest(train: pd.DataFrame, test: pd.DataFrame) -> Floats:
        return reference(train, test)[0]

    return {"model": model, "reference recipe": forest, **BOOSTING}


def learning_curve(
    listings: pd.DataFrame, params: Params, seeds: int, sizes: Sequence[int], names: Sequence[str]
) -> pd.DataFrame:
    """The mean relative error on all test rows in percent, and the seconds of one core.

    One row for each of `names`, size and split seed: columns `name`, `rows`, `seed`, `error`, `seconds`. The
    training rows of a size are drawn with the seed; a size above all training rows stands for all of them.
    """
    compared = pricings(params)
    found = []
    for seed in range(seeds):
        in_test = is_test(listings["listing_id"], params.evaluation.test_share, seed)
        test = listings[in_test].reset_index(drop=True)
        train = listings[~in_test].sample(frac=1, random_state=seed).reset_index(drop=True)
        price = test["price_mad"].to_numpy(dtype=np.float64)
        for rows in sorted({min(size, len(train)) for size in sizes}):
            for name in names:
                begun = time.process_time()
                predicted = compared[name](train.head(rows), test)
                seconds = time.process_time() - begun
                error = 100 * float((np.abs(predicted - price) / price).mean())
                found.append((name, rows, seed, error, seconds))
                print(f"{name}, {rows} rows, seed {seed}: {error:.3f} %", file=sys.stderr)
    return pd.DataFrame(found, columns=["name", "rows", "seed", "error", "seconds"])


def print_curve(curve: pd.DataFrame) -> None:
    """Print the errors, and the seconds, as tables for a document: a row for each size."""
    for value, title in (("error", "mean relative error, %"), ("seconds", "seconds of one core")):
        table = curve.pivot_table(index="rows", columns="name", values=value, aggfunc="mean", sort=False)
        print(f"\n| listings learned, {title} | " + " | ".join(map(str, table)) + " |")
        print("|--:|" + "--:|" * len(table.columns))
        for rows, line in table.iterrows():
            print(
                f"| {rows:,} | "
                + " | ".join(f"{v:.2f}" if value == "error" else f"{v:.0f}" for v in line)
                + " |"
            )


def draw_curve(curve: pd.DataFrame, path: str) -> None:
    """Draw the errors against the size as a picture."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4), layout="constrained")
    for name, part in curve.groupby("name", sort=False):
        mean = part.groupby("rows")["error"].mean()
        axes.plot(mean.index, mean, marker="o", label=str(name))
    axes.set(xscale="log", xlabel="listings learned", ylabel="mean relative error, %")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path)
    pyplot.close(figure)
