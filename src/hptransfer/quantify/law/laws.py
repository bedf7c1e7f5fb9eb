"""The three laws of one variant, fitted together on the same posterior draws."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.law.departure import departure
from hptransfer.quantify.law.loss_law import LossFit, fit_loss
from hptransfer.quantify.law.optimum_law import LineFit, fit_bend, fit_line, fit_offset
from hptransfer.quantify.law.scatter import Departure, curvature_scatter, scatters
from hptransfer.quantify.law.siblings import MIN_SCALES, TablePrior, departures_of
from hptransfer.quantify.priors import LAW
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray


@dataclass(frozen=True)
class HpLaws:
    """The optimum's law of one variant."""

    families: Mapping[str, LineFit]  # the law in each family tried (`const`, `power`, `offset`)
    family: str  # the one chosen
    aicc: Mapping[str, float]  # of each family
    # Probability of each family in the draws of a prediction; one family unless two are close.
    mixture: Mapping[str, float]
    largest: float  # log2 of the largest scale with an optimum
    # Rows of the basins' draws behind the laws' draws, [B]; not 0..B-1 where a censored optimum reweighted
    # them.
    index: IntArray
    flags: tuple[str, ...]  # warnings

    @property
    def hp(self) -> LineFit:
        """The optimum's law in the chosen family."""
        return self.families[self.family]


@dataclass(frozen=True)
class Laws(HpLaws):
    """All laws of one variant, on the same draws."""

    loss: LossFit  # the loss law
    log_curvature: LineFit  # log of h = d2L/dx2 against log2 n, a straight line
    # Second derivative of log2 eta* in log2 n, and its draws [B]; None with fewer than 4 scales.
    bend: tuple[float, FloatArray] | None


def fit_hp_laws(
    basins: Basins, family: str | None, rng: np.random.Generator, others: TablePrior | None = None
) -> HpLaws | None:
    """Fits the optimum's law on scales with an optimum inside the grid; None with fewer than 3 of them.

    Args:
        basins: of one variant.
        family: `const`, `power` or `offset`; None lets AICc choose.
        rng: source of the scatter draws.
        others: what the other variants say of it; None for nothing.
    """
    inside = basins.fitted
    if inside.sum() < MIN_SCALES:
        return None
    t = np.log2(basins.cells.scale[inside])
    x, x_draws = basins.x[inside], basins.x_draws[:, inside]
    prior = departure(basins)
    every = departures_of(basins, others.sizes if others else None)
    families = {name: fit_line(x, x_draws, every, name, rng, others) for name in ("const", "power")}
    if len(t) > MIN_SCALES or family == "offset":
        families["offset"] = fit_offset(t, x, x_draws, families["power"], prior.scatter)
    aicc = _aicc(families, int(basins.cells.usable[inside].sum()))
    sharp = float(families["power"].draws[:, 1].std()) < LAW.constant_slope_sd
    chosen = family or _choose(aicc, len(t), sharp)
    mixture = {chosen: 1.0} if family or chosen == "offset" else _weights(families, prior.constant)
    index, flags = _censoring(basins, basins.edge != 0, families[chosen], rng)
    if flags:
        families = {name: fit.subset(index) for name, fit in families.items()}
    return HpLaws(families, chosen, aicc, mixture, float(t[-1]), index, flags)


def fit_laws(
    basins: Basins, family: str | None, rng: np.random.Generator, others: TablePrior | None = None
) -> Laws | None:
    """Fits all laws on the scales with an optimum inside the grid; arguments as for `fit_hp_laws`."""
    hp = fit_hp_laws(basins, family, rng, others)
    if hp is None:
        return None
    inside = basins.fitted
    scale = basins.cells.scale[inside]
    t = np.log2(scale)
    h_draws = basins.log_curvature_draws[:, inside]
    every = scatters(t, h_draws, Departure(curvature_scatter(basins.misfit)))
    log_curvature = fit_line(basins.log_curvature[inside], h_draws, every, "power", rng)
    loss = fit_loss(scale, basins.loss[inside], basins.loss_draws[:, inside])
    scatter = hp.families["power"].scatter
    bend = fit_bend(t, basins.x[inside], basins.x_draws[:, inside], scatter, rng)
    if hp.flags:
        log_curvature, loss = log_curvature.subset(hp.index), replace(loss, draws=loss.draws[hp.index])
        bend = (bend[0], bend[1][hp.index]) if bend else None
    parts = {f.name: getattr(hp, f.name) for f in fields(hp)}
    return Laws(**parts, loss=loss, log_curvature=log_curvature, bend=bend)


def laws_beyond(
    laws: Laws, basins: Basins, family: str | None, rng: np.random.Generator, others: TablePrior
) -> Laws | None:
    """The laws by what the other variants say as well; the loss and curvature laws are as they were.

    Arguments as for `fit_hp_laws`; `laws` are those of the same basins by themselves.
    """
    if basins.edge.any():  # which draws respect an edge's bounds changes: all laws are on the same draws
        return fit_laws(basins, family, rng, others)
    hp = fit_hp_laws(basins, family, rng, others)
    return replace(laws, **{f.name: getattr(hp, f.name) for f in fields(HpLaws)}) if hp else None


def _weights(families: Mapping[str, LineFit], constant: float) -> dict[str, float]:
    """Probabilities of `const` and `power`: a drift too small to see is not thereby known to be 0."""
    odds = families["power"].evidence - families["const"].evidence + np.log(1.0 / constant - 1.0)
    power = 1.0 / (1.0 + np.exp(-np.clip(odds, -50, 50)))
    return {"const": float(1.0 - power), "power": float(power)}


def _aicc(families: Mapping[str, LineFit], points: int) -> dict[str, float]:
    """AICc of each family; the sample is the cells that the optima and their errors came from."""
    out = {}
    for name, fit in families.items():
        k = len(fit.parameters)
        out[name] = -2 * fit.log_likelihood + 2 * k + 2 * k * (k + 1) / max(points - k - 1, 1)
    return out


def _choose(aicc: Mapping[str, float], scales: int, sharp: bool) -> str:
    """Lowest AICc; `const` only where a drift would be seen (`sharp`), `offset` only where it wins clearly.

    An offset law bends where nobody looked. With 4 to 7 optima a bend is too easily seen in noise, and a
    prediction made from it is far off.
    """
    simple = "const" if sharp and aicc["const"] < aicc["power"] else "power"
    spare = scales - 5  # three parameters and the scatter, one more for the correction
    if "offset" not in aicc or spare < 1:
        return simple
    handicap = 2 * 4 * 5 / spare - 2 * 3 * 4 / (spare + 1)
    return "offset" if aicc["offset"] + handicap + LAW.offset_aicc_margin < aicc[simple] else simple


def _censoring(
    basins: Basins, edges: BoolArray, law: LineFit, rng: np.random.Generator
) -> tuple[IntArray, tuple[str, ...]]:
    """Rows of the draws [B] resampled by how well the law respects the bounds of edge optima, and flags."""
    draws = len(law.draws)
    everything = np.arange(draws)
    if not edges.any():
        return everything, ()
    log_weight = np.zeros(draws)
    for k in np.flatnonzero(edges):
        x = law.draws_at(basins.cells.scale[k]) + law.scatter_draws * rng.standard_normal(draws)
        outside = np.maximum(np.maximum(basins.low[k] - x, x - basins.high[k]), 0.0)
        log_weight -= 0.5 * (outside / LAW.edge_sd) ** 2
    weight = np.exp(log_weight - log_weight.max())
    effective = weight.sum() ** 2 / (weight**2).sum()  # Kish's effective number of draws
    if log_weight.max() < -LAW.edge_least_weight or effective < LAW.edge_least_effective * draws:
        return everything, ("edge_contradicts_law",)
    return rng.choice(draws, size=draws, p=weight / weight.sum()), ("edge_censored",)
