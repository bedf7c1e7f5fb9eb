"""Learn what moves an optimum at its own scale: the numbers of `priors.OWN_RUNS` and `priors.SEEDS`.

    python benchmarks/learn_optima.py

Each scale of each corpus series, as an estimator sees it (one to three seeds), against the optimum by all
seeds. The numbers maximise the probability of what all seeds say under a t distribution, a project counting
with the root of its number of scales, under weak priors about a first guess. Printed beside them: how often
the optimum lies within 1.96 sd when its project is left out.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import t as student

from hptransfer.quantify.basin import assemble
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.basin.own_runs import own_optima
from hptransfer.quantify.priors import SEEDS
from learn import sweep_of
from real_series import Series, corpus_series, truth_at

FREEDOM = 5.0  # of the t distribution: real optima are further off than a normal one allows
NAMES = ("share", "noise", "error", "optimum_sd", "by_curvature", "freedom")
# First guess and sd of the normal prior: of the logit of the share, the power itself, the log of the others.
GUESS = np.array([0.2, np.log(0.2), np.log(0.5), np.log(0.15), 0.25, np.log(4.0)])
GUESS_SD = np.array([1.0, 0.7, 0.7, 0.7, 0.2, 0.7])

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Fitted:
    """What the numbers act on, of the scales of one series."""

    tilt: Array  # [K]
    freedom: Array  # [K]
    curvature: Array  # [K]


def shared_shape_only(series: Series) -> Basins:
    """The basins of a series before its own runs are looked at."""
    own, assemble.with_own_runs = assemble.with_own_runs, lambda basins, _: basins
    try:
        return fit_basins(list(cells_of(sweep_of(series.runs))), 1000, 0)[0]
    finally:
        assemble.with_own_runs = own


def scales() -> pd.DataFrame:
    """One row for each scale of each view of each series that has an optimum and a truth."""
    rows = []
    for series in corpus_series():
        basins = shared_shape_only(series)
        own, inside = own_optima(basins), basins.fitted
        cells, curvature = basins.cells, np.exp(basins.log_curvature[inside])
        fitted = Fitted(cells.tilt[inside], cells.tilt_freedom[inside].astype(float), curvature)
        for place, k in enumerate(np.flatnonzero(inside)):
            truth = truth_at(series.every, float(cells.scale[k]))
            if truth is None:
                continue
            known = np.isfinite(own.x[k])
            rows.append(
                {
                    "project": series.project,
                    "x": basins.x[k],
                    "variance": basins.x_draws[:, k].var(),
                    "own": own.x[k] if known else basins.x[k],
                    "own_sd": own.sd[k] if known else np.inf,
                    "seeds": cells.count[k].max(),
                    "place": place,
                    "fitted": fitted,
                    "truth": truth.x,
                    "truth_sd": truth.sd,
                }
            )
    return pd.DataFrame(rows)


def numbers(parameters: Array) -> dict[str, float]:
    """The numbers by name."""
    share, power = 1 / (1 + np.exp(-parameters[0])), parameters[4]
    others = np.exp(parameters[[1, 2, 3, 5]])
    return dict(zip(NAMES, (share, others[0], others[1], others[2], power, others[3]), strict=True))


def standardised(rows: pd.DataFrame, parameters: Array) -> tuple[Array, Array]:
    """Distance from the truth in its sd, and that sd, [rows]: as `own_runs` and `seeds` have them."""
    p = numbers(parameters)
    trust, away = 1 / (1 + (rows["own_sd"] / p["noise"]) ** 2), rows["own"] - rows["x"]
    centre = rows["x"] + p["share"] * trust * away
    by_seeds = [
        _seed_variance(one, place, p) for one, place in zip(rows["fitted"], rows["place"], strict=True)
    ]
    variance = rows["variance"] + (p["error"] * away) ** 2 * trust + np.array(by_seeds) / rows["seeds"]
    sd = np.sqrt(variance + rows["truth_sd"] ** 2)
    return ((rows["truth"] - centre) / sd).to_numpy(), sd.to_numpy()


def _seed_variance(fitted: Fitted, place: int, p: dict[str, float]) -> float:
    usual = p["optimum_sd"] * (SEEDS.curvature / fitted.curvature) ** p["by_curvature"]
    moved = np.minimum(np.sqrt(fitted.tilt) / fitted.curvature / usual, SEEDS.most)
    ratio = (p["freedom"] + fitted.freedom @ moved**2) / (p["freedom"] + fitted.freedom.sum())
    return float(usual[place] ** 2 * ratio)


def learned(rows: pd.DataFrame) -> Array:
    """The parameters of highest posterior density."""
    weight = rows.groupby("project")["x"].transform("size") ** -0.5

    def cost(parameters: Array) -> float:
        z, sd = standardised(rows, parameters)
        prior = 0.5 * (((parameters - GUESS) / GUESS_SD) ** 2).sum()
        return float(prior - (weight * (student.logpdf(z, FREEDOM) - np.log(sd))).sum())

    options = {"maxiter": 500, "xatol": 0.02, "fatol": 0.01}
    return np.asarray(minimize(cost, GUESS, method="Nelder-Mead", options=options).x)


def main() -> None:
    rows = scales()
    for name, value in numbers(learned(rows)).items():
        print(f"{name} {value:.3f}")
    held = []
    for project in rows["project"].unique():
        z, _ = standardised(rows[rows["project"] == project], learned(rows[rows["project"] != project]))
        held.append(np.abs(z) < 1.96)
    share, projects = np.concatenate(held).mean(), rows["project"].nunique()
    print(f"{len(rows)} scales of {projects} projects, left out: {share:.3f} hold")


if __name__ == "__main__":
    main()
