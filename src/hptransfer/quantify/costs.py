"""What it costs to carry a value up, at every scale that is judged: those measured, and the targets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.shape import excess
from hptransfer.quantify.intervals import MetricDraws, measured, missing
from hptransfer.quantify.law.laws import Laws
from hptransfer.quantify.predict import optimum_at, optimum_draws, regret_between, scale_factor
from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Estimate, Prediction
from hptransfer.sweep.table import FloatArray


@dataclass(frozen=True)
class Cost:
    """Loss given up at one scale."""

    scale: float
    paid: MetricDraws  # nats; without an upper limit where the runs do not bound it
    best: float | None  # loss at the optimum there, nats
    measured: bool = True  # whether runs were made there


@dataclass(frozen=True)
class Target:
    """What the laws say of a scale nobody ran: B draws."""

    scale: float
    x: float  # log2 eta*
    x_draws: FloatArray  # of it, [B]
    best: float  # loss at the optimum, nats


def targets_of(laws: Laws | None, scales: Iterable[float], rng: np.random.Generator) -> list[Target]:
    """The targets, in their order; none without laws."""
    if laws is None:
        return []
    return [
        Target(n, optimum_at(laws, n), optimum_draws(laws, n, rng), float(laws.loss.at(n))) for n in scales
    ]


def kept_costs(
    basins: Basins, laws: Laws | None, targets: Sequence[Target], exponent: int, level: float
) -> list[Cost]:
    """Of keeping the smallest scale's optimum at every larger measured scale and at the targets.

    What is kept is the number that was found, not the optimum that it estimates. `exponent` is e of
    eta_own = eta x m**e, where eta_own is what is kept.
    """
    scale = basins.cells.scale
    x = float(basins.x[0])
    if not basins.fitted[0]:
        return [Cost(float(n), MetricDraws(missing("no_optimum")), None) for n in scale[1:]]
    out = []
    for k in range(1, len(scale)):
        shift = -exponent * float(np.log2(scale[k] / scale[0]))
        paid = _paid(basins, k, x + shift, np.full(len(basins.x_draws), x + shift), level)
        out.append(Cost(float(scale[k]), paid, _best(basins, k)))
    for target in targets:
        shift = -exponent * float(np.log2(target.scale / scale[0]))
        assert laws is not None  # there are no targets without
        out.append(_at_target(basins, laws, target, x + shift, level))
    return out


def law_costs(basins: Basins, laws: Laws | None, level: float) -> list[Cost]:
    """Of the value that the law itself gives at the scales it was fitted to."""
    if laws is None:
        return []
    out = []
    for k in map(int, np.flatnonzero(basins.fitted)):
        scale = float(basins.cells.scale[k])
        x = float(laws.hp.at(scale))
        paid = _paid(basins, k, x, np.full(len(basins.x_draws), x), level)
        out.append(Cost(scale, paid, _best(basins, k)))
    return out


def predicted_costs(
    basins: Basins,
    laws: Laws | None,
    targets: Sequence[Target],
    predictions: Sequence[Prediction],
    level: float,
) -> list[Cost]:
    """Of the recommended value at each target."""
    out = []
    for target, prediction in zip(targets, predictions, strict=True):
        assert laws is not None  # there are no targets without
        assert prediction.hp_recommended is not None
        out.append(_at_target(basins, laws, target, float(np.log2(prediction.hp_recommended)), level))
    return out


def doubled_cost(basins: Basins, level: float) -> Estimate:
    """Of a value twice too large or too small, the worse of the two, at the largest scale with an optimum."""
    if not basins.fitted.any():
        return missing("no_optimum")
    k = int(np.flatnonzero(basins.fitted)[-1])
    either = [
        _paid(basins, k, basins.x[k] + side, basins.x_draws[:, k] + side, level) for side in (-1.0, 1.0)
    ]
    return max((one.estimate for one in either), key=lambda e: np.inf if e.value is None else e.value)


def factor_of(cost: Cost, laws: Laws | None, level: float) -> Estimate:
    """A cost as the factor of scale that it wastes on the loss law."""
    if laws is None or cost.paid.draws is None:
        return missing("no_laws")
    draws = cost.paid.draws
    paid = MetricDraws(cost.paid.estimate, draws[laws.index] if cost.measured else draws)
    return scale_factor(laws.loss, cost.scale, paid, level)


def _best(basins: Basins, k: int) -> float | None:
    return float(basins.loss[k]) if basins.fitted[k] else None


def _paid(basins: Basins, k: int, x: float, x_draws: FloatArray, level: float) -> MetricDraws:
    """At scale k; a value where runs diverged costs what a diverged run counts for, or more."""
    if not basins.fitted[k]:
        return MetricDraws(regret_between(basins, k, x, x_draws, level))
    edge, least = basins.divergence_edge(k), ADVICE.diverged_cost
    value = float(basins.regret_at(k, np.array([x]))[0])
    draws = basins.regret_draws(k, x_draws)
    draws = np.where(x_draws > edge, np.maximum(draws, least), draws)
    flags = ("diverged",) if x > edge else ()
    return measured(max(value, least) if flags else value, draws, level, *flags)


def _at_target(basins: Basins, laws: Laws, target: Target, x: float, level: float) -> Cost:
    """Of log2 eta = x at a target."""
    log_curvature = laws.log_curvature.draws_at(target.scale)
    shape = basins.shape_draws[laws.index]
    draws = np.minimum(excess(x - target.x_draws, log_curvature, shape), ADVICE.most_cost)
    at = laws.log_curvature.at(target.scale)
    value = float(excess(np.array(x - target.x), np.asarray(at), basins.shape))
    paid = measured(min(value, ADVICE.most_cost), draws, level)
    return Cost(target.scale, paid, target.best, measured=False)
