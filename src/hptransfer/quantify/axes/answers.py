"""The two answers over several axes: may the small models' value be kept, may its law be followed?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from hptransfer.quantify.axes.model import AxesModel, AxesSettings, Basis
from hptransfer.quantify.axes.result import Place, PlaceAnswer, PlaceHoldOut, PlacePrediction
from hptransfer.quantify.basin.shape import excess
from hptransfer.quantify.intervals import estimate, missing
from hptransfer.quantify.predict import regret_between
from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Estimate
from hptransfer.words import rough, scale_text

COST = "{cost}"  # stands for the cost in a reason, until the unit is known


def written(at: Place) -> str:
    """A place in words: `params 1.07B, tokens 20B`."""
    return ", ".join(f"{axis} {scale_text(value)}" for axis, value in at.items())


def keep_answer(basis: Basis, s: AxesSettings) -> PlaceAnswer:
    """Whether the optimum of the smallest point costs less than the tolerance at every other."""
    if not len(basis.inside):
        return PlaceAnswer(
            "not known", missing("no_optimum"), None, "no point has an optimum inside its grid"
        )
    start = int(basis.inside[np.argmin(basis.points.z[basis.inside].sum(axis=1))])
    x = float(basis.basins.x[start])
    costs = [
        (regret_between(basis.basins, int(k), x, np.full(s.draws, x), s.level), basis.points.at(int(k)))
        for k in range(len(basis.points.values))
        if k != start
    ]
    return by_cost(costs, s.tolerance, f"keeping the optimum of {written(basis.points.at(start))}")


def extrapolate_answer(
    model: AxesModel | None, holdouts: Sequence[PlaceHoldOut], predictions: Sequence[PlacePrediction],
    s: AxesSettings, bent: Sequence[str],
) -> PlaceAnswer:  # fmt: skip
    """Whether the law's values cost less than the tolerance at the points left out, and at the targets."""
    if model is None:
        return PlaceAnswer("not known", missing("no_laws"), None, "too few points have an optimum for a law")
    costs = [(check.regret, check.at) for check in holdouts if check.regret.value is not None]
    if not costs:
        return PlaceAnswer(
            "not known", missing("no_holdout"), None, "no points could be left out to check the law"
        )
    costs += [
        (cost, p.at) for i, p in enumerate(predictions) if (cost := _at_target(model, i, p, s)) is not None
    ]
    found = by_cost(costs, s.tolerance, "following the law")
    missed = [check for check in holdouts if check.covered is False]
    return doubted(found, bent, 2 * len(missed) > len(holdouts))


def doubted(found: PlaceAnswer, bent: Sequence[str], missed: bool) -> PlaceAnswer:
    """The answer, no yes where the law bends or most points left out lie outside its intervals."""
    if found.value == "yes" and (bent or missed):
        why = (
            f"but it bends ({', '.join(bent)})"
            if bent
            else "but most points left out lie outside its intervals"
        )
        return PlaceAnswer("not known", found.cost, found.at, f"{found.reason}, {why}")
    return found


def _at_target(model: AxesModel, i: int, prediction: PlacePrediction, s: AxesSettings) -> Estimate | None:
    """Of the recommended value at the i-th target."""
    if prediction.hp_recommended is None:
        return None
    basins, away = model.basis.basins, np.log2(prediction.hp_recommended)
    h = model.log_curvature.at_draws[:, i]
    cost = excess(away - model.hp.at_draws[:, i], h, basins.shape_draws[model.index])
    value = float(excess(np.array(away - model.hp.at[i]), np.array(model.log_curvature.at[i]), basins.shape))
    return estimate(value, np.minimum(cost, ADVICE.most_cost), s.level)


def by_cost(costs: Sequence[tuple[Estimate, Place]], tolerance: float, what: str) -> PlaceAnswer:
    """By the place where the cost is largest; yes only where every upper limit is below the tolerance."""
    sure = [(cost.low, cost, at) for cost, at in costs if cost.low is not None and cost.low > tolerance]
    if sure:
        _, cost, at = max(sure, key=lambda item: item[0])
        return PlaceAnswer("no", cost, at, f"{what} costs {COST} at {written(at)}")
    open_ = [(cost, at) for cost, at in costs if cost.high is None or cost.high >= tolerance]
    if open_ or not costs:
        cost, at = max(
            open_, key=lambda item: np.inf if item[0].high is None else item[0].high, default=(missing(), {})
        )
        words = f"{what} may cost {COST} at {written(at)}" if costs else f"{what} could be judged nowhere"
        return PlaceAnswer("not known", cost, at or None, words)
    cost, at = max(costs, key=lambda item: item[0].high or 0.0)
    return PlaceAnswer("yes", cost, at, f"{what} costs {COST} at most, at {written(at)}")


def with_cost(answer: PlaceAnswer, unit: str) -> PlaceAnswer:
    """The answer with its cost written into its reason."""
    cost = answer.cost
    if cost.value is None:
        text = "an amount that the runs do not bound"
    else:
        high = "inf" if cost.high is None else rough(cost.high, 2)
        text = f"{rough(cost.value, 2)} {unit} [{rough(cost.low or 0, 2)}, {high}]"
    return replace(answer, reason=answer.reason.replace(COST, text))
