"""What a variant's loss is measured from over several axes: the best of all variants at each point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.axes.loss import LossSurface, fit_loss_surface
from hptransfer.quantify.axes.model import AxesModel, Basis
from hptransfer.quantify.intervals import estimate, missing
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import FloatArray


@dataclass(frozen=True)
class Envelope:
    """Best losses by point; K points, B draws."""

    z: FloatArray  # log2 of all axes, [K, A]
    loss: FloatArray  # [K]
    draws: FloatArray  # [B, K]


def envelope_of(bases: Sequence[Basis], reference: str | None) -> Envelope | None:
    """The lower envelope of all variants, or one variant's losses; None where there is but one variant."""
    if len(bases) < 2:
        return None
    best: dict[tuple[float, ...], tuple[float, FloatArray]] = {}
    for basis in bases:
        if reference is not None and basis.basins.cells.variant != reference:
            continue
        for k in basis.inside:
            key = tuple(basis.points.z[k])
            loss, draws = float(basis.basins.loss[k]), basis.basins.loss_draws[:, k]
            old = best.get(key)
            best[key] = (loss, draws) if old is None else (min(old[0], loss), np.minimum(old[1], draws))
    if not best:
        return None
    z = np.array(list(best))
    return Envelope(
        z, np.array([v for v, _ in best.values()]), np.stack([d for _, d in best.values()], axis=1)
    )


def penalties(model: AxesModel, envelope: Envelope | None, level: float) -> dict[str, Estimate]:
    """R_n at the farthest point that both have, and R_inf: of all that the loss law extrapolates."""
    if envelope is None:
        return {}
    basis = model.basis
    at = {tuple(z): i for i, z in enumerate(envelope.z)}
    both = [(float(basis.points.z[k].sum()), k) for k in basis.inside if tuple(basis.points.z[k]) in at]
    if not both:
        return {"R_n": missing("no_optimum"), "R_inf": missing("no_optimum")}
    k = max(both)[1]
    i = at[tuple(basis.points.z[k])]
    value = float(basis.basins.loss[k] - envelope.loss[i])
    found = estimate(value, basis.basins.loss_draws[:, k] - envelope.draws[:, i], level)
    free = basis.design.coordinates(envelope.z)
    if len(free) < free.shape[1] + 2:
        return {"R_n": found, "R_inf": missing("no_laws")}
    best: LossSurface = fit_loss_surface(free, envelope.loss, envelope.draws)
    ends = np.exp(model.loss.parameters[0]) - np.exp(best.parameters[0])
    draws = np.exp(model.loss.draws[:, 0]) - np.exp(best.draws[:, 0])
    return {"R_n": found, "R_inf": estimate(float(ends), draws, level)}
