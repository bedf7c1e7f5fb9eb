"""Exponents and kappa along every axis, and along paths of several."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.axes.model import AxesModel, AxesSettings
from hptransfer.quantify.axes.result import AxisLaw, Place
from hptransfer.quantify.axes.rules import kind_of
from hptransfer.quantify.exponents import LN2
from hptransfer.quantify.intervals import estimate
from hptransfer.sweep.table import FloatArray
from hptransfer.words import rough


def axis_laws(model: AxesModel, s: AxesSettings) -> tuple[AxisLaw, ...]:
    """Along each free axis, fixed tokens per parameter where both are axes, and the user's path."""
    free = model.basis.design.names
    out = []
    for i, axis in enumerate(free):
        constant = float(np.mean(model.hp.draws[:, 1 + i] == 0.0))
        alone = {axis: 1.0} | {tied: float(line[1 + i]) for tied, line in _tied(model).items() if line[1 + i]}
        name = axis if len(alone) == 1 else _path_name(alone)
        out.append(_law(model, s, name, alone, constant, float(np.median(model.hp.wander_draws[:, i]))))
    kinds = {kind_of(axis): axis for axis in free}
    if {"params", "tokens"} <= kinds.keys():
        together = {kinds["params"]: 1.0, kinds["tokens"]: 1.0}
        out.append(_law(model, s, "fixed tokens per parameter", together))
    if s.path is not None:
        out.append(_law(model, s, _path_name({a: v for a, v in s.path.items() if v}), s.path))
    return tuple(out)


def _tied(model: AxesModel) -> dict[str, FloatArray]:
    design = model.basis.design
    return {design.axes[j]: line for j, line in design.tied.items()}


def _path_name(path: Place) -> str:
    return " ".join(f"{axis}^{rough(value, 2)}" for axis, value in path.items())


def _law(
    model: AxesModel, s: AxesSettings, name: str, direction: Place, constant: float | None = None,
    wander: float | None = None,
) -> AxisLaw:  # fmt: skip
    """Exponents along a direction, octaves of each axis per octave of the path."""
    free = model.basis.design.names
    way = np.array([direction.get(axis, 0.0) for axis in free])
    flags = () if model.basis.design.tied == {} else ("collinear",)
    drift, drifts = float(model.hp.parameters[1:] @ way), model.hp.draws[:, 1:] @ way
    h = float(model.log_curvature.parameters[1:] @ way) / LN2
    # The curvature's law has every draw of its own; an edge may have resampled those of the optimum.
    hs = model.log_curvature.draws[model.index, 1:] @ way / LN2
    z = model.basis.z
    single = np.flatnonzero(way)
    if len(single) == 1 and way[single[0]] == 1.0:
        alpha, alphas = model.loss.alpha(int(single[0]))
    else:
        alpha, alphas = model.loss.along(way, z[np.argmax(z.sum(axis=1))])
    alphas = alphas[model.index]
    return AxisLaw(
        name=name,
        direction=dict(direction),
        drift=estimate(drift, drifts, s.level, *flags),
        alpha=estimate(alpha, alphas, s.level, *(flags if np.isfinite(alpha) else ("no_gain",))),
        gamma=estimate(h - 2 * drift, hs - 2 * drifts, s.level, *flags),
        kappa=estimate(alpha + h, alphas + hs, s.level, *flags),
        constant=constant,
        wander=wander,
    )
