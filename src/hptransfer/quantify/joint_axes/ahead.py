"""What joint laws say of places without runs: all hyperparameters together, and the point to use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.axes.result import AxesLaws, Place, PlacePrediction
from hptransfer.quantify.intervals import missing
from hptransfer.quantify.joint.costs import least_cost, paid_ahead
from hptransfer.quantify.joint_axes.model import JointAxesContext, JointPlanes
from hptransfer.quantify.joint_axes.result import JointPlacePrediction
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import FloatArray


@dataclass(frozen=True)
class Ahead:
    """The hyperparameters together at one place, d of them, B draws."""

    at: Place
    z: FloatArray  # log2 of the axes there, [A]
    x: FloatArray  # log2 of the predicted optimum, [d]
    x_draws: FloatArray  # of it, [B, d]
    best: FloatArray  # log2 of the point with the least expected loss, [d]
    regret: float  # that loss, nats


def aheads(
    context: JointAxesContext, planes: JointPlanes, rng: np.random.Generator
) -> tuple[Ahead | None, ...]:
    """At every target; None where a hyperparameter has no law, or the place is off the runs' path."""
    models = planes.together
    out: list[Ahead | None] = []
    for i, target in enumerate(context.settings.targets):
        z = np.log2([target[axis] for axis in context.settings.axes])
        if models is None or not planes.on_path(z):
            out.append(None)
            continue
        x = np.array([model.hp.at[i] for model in models])
        draws = np.stack([model.hp.at_draws[:, i] for model in models], axis=1)
        out.append(Ahead(target, z, x, draws, *least_cost(planes.basins, z, x, draws, rng)))
    return tuple(out)


def cost_ahead(planes: JointPlanes, ahead: Ahead, x: FloatArray, level: float) -> Estimate:
    """Loss given up there by the point x [d], nats."""
    return paid_ahead(planes.basins, ahead.z, x, ahead.x, ahead.x_draws, level).estimate


def recommended(context: JointAxesContext, ahead: Ahead | None) -> dict[str, float] | None:
    """The point to use, by hyperparameter."""
    names = context.hps.names
    return None if ahead is None else dict(zip(names, np.exp2(ahead.best).tolist(), strict=True))


def with_recommended(
    laws: AxesLaws, name: str, found: tuple[Ahead | None, ...], context: JointAxesContext
) -> AxesLaws:
    """A law's predictions with what is to be used there, all hyperparameters considered, in nats."""
    out = []
    for p, ahead in zip(laws.predictions, found, strict=True):
        use = recommended(context, ahead)
        regret = None if ahead is None else ahead.regret
        out.append(replace(p, hp_recommended=None if use is None else use.get(name), regret=regret))
    return replace(laws, predictions=tuple(out))


def joint_prediction(
    context: JointAxesContext, laws: Mapping[str, AxesLaws], i: int, ahead: Ahead | None
) -> JointPlacePrediction:
    """The i-th target, all quantities together; losses in the unit of the table."""
    each: dict[str, PlacePrediction] = {q: law.predictions[i] for q, law in laws.items()}
    names = context.hps.names
    first = each[names[0]]
    flags = dict.fromkeys(flag for name in names for flag in each[name].flags)
    return JointPlacePrediction(
        at=context.settings.targets[i],
        hp={name: each[name].hp for name in names},
        combinations={name: p.hp for name, p in each.items() if name not in names},
        recommended=recommended(context, ahead),
        loss=first.loss if ahead is not None else missing(*(first.flags or ("no_laws",))),
        regret=None if ahead is None else ahead.regret / context.unit,
        covariance=None if ahead is None else np.cov(ahead.x_draws.T),
        beyond=first.beyond,
        flags=tuple(flags),
    )
