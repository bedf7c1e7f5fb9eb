"""What the laws predict at a scale without runs, and the expected loss of using the prediction."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.shape import excess
from hptransfer.quantify.intervals import MetricDraws, estimate, limits, measured, missing, unknown
from hptransfer.quantify.law.laws import HpLaws, Laws
from hptransfer.quantify.law.loss_law import LossFit
from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Estimate, Prediction, Regret
from hptransfer.sweep.table import FloatArray

# Values that a recommendation is chosen from: about the predicted optimum, in sd of the prediction. They
# reach further to the left, since the cliff is on the right.
CANDIDATES = np.linspace(-3.0, 1.5, 61)
LEAST_SPREAD, MOST_SPREAD = 0.02, 3.0  # octaves, of that sd
ENOUGH_DRAWS = 500  # give the mean cost to a few per cent


def optimum_draws(laws: HpLaws, scale: FloatArray | float, rng: np.random.Generator) -> FloatArray:
    """Draws of log2 eta*, [B], or [P, B].

    They hold the law's own error, the choice of law, the scatter of scales, and the law's turning beyond.
    """
    draws = len(laws.hp.draws)
    names = list(laws.mixture)
    chosen = [laws.families[name] for name in names]
    second = rng.random(draws) < (laws.mixture[names[1]] if len(names) > 1 else 0.0)

    def of_mixture(parts: list[FloatArray]) -> FloatArray:
        return np.where(second, parts[-1], parts[0])

    law = of_mixture([fit.draws_at(scale) for fit in chosen])
    scatter = of_mixture([fit.scatter_draws for fit in chosen])
    wander = of_mixture([fit.wander_draws for fit in chosen])
    beyond = np.maximum(np.log2(np.asarray(scale, dtype=np.float64)) - laws.largest, 0.0)
    turned = wander * rng.standard_normal(draws) * np.sqrt(beyond)[..., None]
    return np.asarray(law + scatter * rng.standard_normal(draws) + turned)


def optimum_at(laws: HpLaws, scale: float) -> float:
    """The predicted log2 eta*: by the law, or by both where neither is known to be the right one."""
    return float(sum(share * laws.families[name].at(scale) for name, share in laws.mixture.items()))


def predict(basins: Basins, laws: Laws, scale: float, level: float, rng: np.random.Generator) -> Prediction:
    """Prediction at a scale n from the pooled basins of a variant and its laws."""
    x = optimum_draws(laws, scale, rng)
    centre = optimum_at(laws, scale)
    shape = basins.shape_draws[laws.index]
    candidates, cost = expected_regret(basins, shape, x, laws.log_curvature.draws_at(scale), centre)
    best = int(np.argmin(cost))
    flags = list(laws.flags)
    if scale > ADVICE.long_extrapolation * float(basins.cells.scale.max()):
        flags.append("long_extrapolation")
    if bends(laws, level) and scale > float(basins.cells.scale[basins.fitted].max()):
        flags.append("bend")
    noisy = laws.loss.draws_at(scale) + laws.loss.scatter * rng.standard_normal(len(x))
    return Prediction(
        scale=scale,
        hp=estimate(float(np.exp2(centre)), np.exp2(x), level),
        hp_recommended=float(np.exp2(candidates[best])),
        loss=estimate(float(laws.loss.at(scale)), noisy, level),
        regret=float(cost[best]),
        flags=tuple(flags),
    )


def no_prediction(scale: float) -> Prediction:
    """The answer where there are no laws."""
    return Prediction(scale, missing("no_laws"), None, missing("no_laws"), None, ("no_laws",))


def bends(laws: Laws, level: float) -> bool:
    """Whether the optimum's law bends in log-log by more than its interval allows."""
    if laws.bend is None:
        return False
    low, high = limits(laws.bend[1], level)
    return not low <= 0.0 <= high


def expected_regret(
    basins: Basins, shape: FloatArray, x: FloatArray, log_curvature: FloatArray, centre: float
) -> tuple[FloatArray, FloatArray]:
    """Candidate values of log2 eta and the loss each is expected to give up, nats; both [candidates].

    From draws of the basins' shape [B, FEATURES], of log2 eta* and of the log curvature [B] at a scale whose
    law says `centre`.
    """
    spread = min(max(float(np.std(x)), LEAST_SPREAD), MOST_SPREAD)
    candidates = centre + spread * CANDIDATES
    some = slice(None, None, max(len(x) // ENOUGH_DRAWS, 1))
    u = candidates - x[some, None]  # [draws, candidates]
    cost = np.minimum(excess(u, log_curvature[some, None], shape[some, None]), ADVICE.most_cost)
    # How far right of the optimum runs diverged at the scales that were measured.
    edges = np.array([basins.divergence_edge(int(k)) - basins.x[k] for k in np.flatnonzero(basins.fitted)])
    edges = edges[np.isfinite(edges)]
    if len(edges):
        cost = cost + ADVICE.diverged_cost * (u > edges.min())
    return candidates, cost.mean(axis=0)


def regret_between(basins: Basins, k: int, x: float, x_draws: FloatArray, level: float) -> Estimate:
    """Loss given up at scale k by using log2 eta = x, nats; where k has no optimum, as its runs found it.

    `x_draws` [B] are draws of x.
    """
    return _regrets(basins, k, np.array([x]), x_draws[:, None], level)[0].estimate


def _regrets(basins: Basins, k: int, x: FloatArray, x_draws: FloatArray, level: float) -> list[MetricDraws]:
    """As `regret_between`, for several values x [P] with draws [B, P]; each with its draws, if any."""
    if not basins.fitted[k]:
        return [
            MetricDraws(_regret_as_run(basins, k, float(at), x_draws[:, p], level)) for p, at in enumerate(x)
        ]
    values, draws, edge = basins.regret_at(k, x), basins.regret_draws(k, x_draws), basins.divergence_edge(k)
    out: list[MetricDraws] = []
    for p, at in enumerate(x):
        if not np.isfinite(at):
            out.append(unknown("no_optimum"))
        elif at > edge:
            out.append(unknown("diverged"))
        else:
            out.append(measured(float(values[p]), draws[:, p], level))
    return out


def _regret_as_run(basins: Basins, k: int, x: float, x_draws: FloatArray, level: float) -> Estimate:
    """Where scale k has no fit: its runs interpolated, against the best of them."""
    usable = basins.cells.usable[k]
    if not np.isfinite(x):
        return missing("no_optimum")
    if not usable.any():
        return missing("all_diverged")
    grid, loss = basins.cells.x[k, usable], basins.cells.loss[k, usable]
    if not grid[0] <= x <= grid[-1]:
        return missing("outside_grid")
    value = float(np.interp(x, grid, loss) - loss.min())
    low, _ = limits(np.interp(x_draws, grid, loss) - loss.min(), level)
    # The best run bounds the optimum's loss from above, so the regret from below only.
    return Estimate(value, min(max(low, 0.0), value), None, flags=("at_edge",))


def kept_elsewhere(basins: Basins, exponent: int, level: float) -> Estimate:
    """Regret at the largest scale of keeping the smallest's optimum unchanged in other coordinates.

    Args:
        basins: of all scales of one variant.
        exponent: e of eta_other = eta x m**e (see `coordinate_exponent`): keeping eta_other multiplies eta by
            the ratio of scales to the power -e.
        level: of the interval.
    """
    k = len(basins.cells.scale) - 1
    shift = -exponent * float(np.log2(basins.cells.scale[k] / basins.cells.scale[0]))
    return regret_between(basins, k, basins.x[0] + shift, basins.x_draws[:, 0] + shift, level)


def scale_factor(loss: LossFit | None, scale: float, regret: MetricDraws, level: float) -> Estimate:
    """A regret as the factor of scale it costs on the loss law: how much smaller a well-tuned model does it.

    Where the regret exceeds all that the law gains from the smallest conceivable scale on, the factor is
    unbounded and the estimate's upper limit is None.

    Args:
        loss: the loss law; None where there is none.
        scale: at which the regret was paid.
        regret: nats.
        level: of the interval.
    """
    if loss is None or regret.draws is None:
        return missing("no_laws")
    paid = regret.estimate
    if paid.value is None or loss.parameters[1] <= 0:
        return missing(*(paid.flags or ("at_bound",)))
    value = _factor(loss.parameters[None], loss.origin, scale, np.array([paid.value]))[0]
    return estimate(float(value), _factor(loss.draws, loss.origin, scale, regret.draws), level)


def _factor(parameters: FloatArray, origin: float, scale: float, regret: FloatArray) -> FloatArray:
    """The factor of scale that each regret [R], nats, costs on the loss law of parameters [R, 3]; [R]."""
    _, gain, alpha = parameters.T
    gap = gain * (scale / origin) ** -alpha
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        return np.asarray(np.where(gap > 0, (1.0 + regret / gap) ** (1.0 / alpha), np.inf))


def all_regrets(basins: Basins, loss: LossFit | None, level: float) -> tuple[Regret, ...]:
    """Regret of every pair of scales, smaller to larger; without a loss law no factor of scale is known."""
    out = []
    scale = basins.cells.scale
    for k in range(1, len(scale)):
        found = _regrets(basins, k, basins.x[:k], basins.x_draws[:, :k], level)
        for j, regret in enumerate(found):
            factor = scale_factor(loss, float(scale[k]), regret, level)
            out.append(Regret(float(scale[j]), float(scale[k]), regret.estimate, factor))
    return tuple(out)
