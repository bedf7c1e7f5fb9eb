"""The joint basins of one variant: optima, losses and surfaces of every scale, with draws of all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from hptransfer.errors import QuantifyError
from hptransfer.quantify.joint.minima import has_two_minima
from hptransfer.quantify.joint.model import Layout, State, surface_of
from hptransfer.quantify.joint.points import Points, surface_coefficients, windows
from hptransfer.quantify.joint.posterior import Posterior, fit_posterior
from hptransfer.quantify.joint.priors import JOINT
from hptransfer.quantify.joint.profile import profiled
from hptransfer.quantify.joint.start import batch_of
from hptransfer.quantify.joint.surface import Surface
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray


class TooFewRunsError(QuantifyError):
    """A variant has too few runs, or runs too much alike, for a surface."""


@dataclass(frozen=True)
class JointBasins:
    """K scales, d hyperparameters, B draws. A scale without a fit has NaN."""

    points: Points  # what was fitted
    kept: BoolArray  # points that counted, [K, N]
    fitted: BoolArray  # scales with a fit, [K]
    edge: IntArray  # -1 or +1 where the optimum lies beyond the lowest or highest value that was run, [K, d]
    low: FloatArray  # lowest value that was run, log2, [K, d]
    high: FloatArray  # highest value that was run, log2, [K, d]
    x: FloatArray  # log2 of the optimum, [K, d]
    loss: FloatArray  # loss there, nats, [K]
    surface: Surface  # of each scale, [K, ...]
    x_draws: FloatArray  # [B, K, d]
    loss_draws: FloatArray  # [B, K]
    surface_draws: Surface  # [B, K, ...]
    draws: State  # of the parameters, of the fitted scales only: local [B, K', local], shared [B, shared]
    mean: State  # likewise
    t_mean: FloatArray  # mean place of the fitted scales, log2 of the scale's axes, [F]
    noise: float  # sd of one run near the optimum, nats
    misfit: float  # sd of the shape's relative error
    factor: FloatArray  # on the variance of outlying points, [K, N]; NaN where a point did not count
    flags: tuple[tuple[str, ...], ...]  # of each scale

    @property
    def layout(self) -> Layout:
        """Of the parameters."""
        return Layout(self.points.x.shape[-1], len(self.t_mean))

    @property
    def inside(self) -> IntArray:
        """Scales at which every hyperparameter has an optimum within what was run."""
        return np.flatnonzero(self.fitted & (self.edge == 0).all(axis=1))

    def profile(self, k: int, j: int, x: float) -> float:
        """Loss above the optimum of scale k with hyperparameter j at x, the others at their best, nats."""
        return float(profiled(part(self.surface, k), (j,), np.array([[x - self.x[k, j]]]))[0])

    def surface_at(self, place: FloatArray) -> tuple[Surface, Surface]:
        """The surface at any place [F] by the line of log curvatures: the point estimate, and draws [B]."""
        t = place - self.t_mean
        size = self.layout.local
        zero, shared = np.zeros(size), self.draws.shared
        rng = np.random.default_rng(len(shared))
        p = self.layout.couplings
        own = np.zeros((len(shared), size))
        sd = np.repeat([JOINT.curvature_scatter, JOINT.coupling_scatter], [self.layout.d, p])
        own[:, 1 + self.layout.d :] = sd * rng.standard_normal((len(shared), len(sd)))
        return surface_of(self.layout, zero, self.mean.shared, t), surface_of(self.layout, own, shared, t)

    def regret(self, k: int, x: FloatArray) -> tuple[float, FloatArray]:
        """Loss above the optimum of scale k at x [d], log2, nats: point estimate, draws [B]."""
        return (
            float(part(self.surface, k).excess(x - self.x[k])),
            part(self.surface_draws, (slice(None), k)).excess(x - self.x_draws[:, k]),
        )


def part(surface: Surface, index: Any) -> Surface:
    """Some of many surfaces, by an index of their leading axes."""
    fields = (np.broadcast_to(f, (*surface.c.shape[:-1], f.shape[-1])) for f in vars(surface).values())
    return Surface(*(f[index] for f in fields))


def fit_joint(points: Points, draws: int, rng: np.random.Generator) -> JointBasins:
    """Fits every scale of a variant.

    Raises:
        QuantifyError: no scale has runs enough for a surface.
    """
    kept = windows(points)
    _check_enough(points, kept)
    batch, start = batch_of(points, kept)
    posterior = fit_posterior(batch, start)
    mean, drawn = posterior.mean(), posterior.draws(draws, rng)
    layout, fitted = batch.layout, np.asarray(kept.any(axis=1))
    a, x, _, _ = layout.split_local(mean.local)
    a_draws, x_draws, _, _ = layout.split_local(drawn.local)
    usable = points.usable[..., None]
    low = np.min(np.where(usable, points.x, np.inf), axis=1)
    high = np.max(np.where(usable, points.x, -np.inf), axis=1)
    basins = JointBasins(
        points=points,
        kept=kept,
        fitted=fitted,
        edge=np.zeros(low.shape, dtype=np.int64),
        low=low,
        high=high,
        x=_wide(x, fitted, 0),
        loss=_wide(a, fitted, 0),
        surface=_wide_surface(surface_of(layout, mean.local, mean.shared, batch.t), fitted, 0),
        x_draws=_wide(x_draws, fitted, 1),
        loss_draws=_wide(a_draws, fitted, 1),
        surface_draws=_wide_surface(
            surface_of(layout, drawn.local, drawn.shared[:, None], batch.t), fitted, 1
        ),
        draws=drawn,
        mean=mean,
        t_mean=points.place[fitted].mean(axis=0),
        noise=_mixed(posterior, "sigma"),
        misfit=_mixed(posterior, "misfit"),
        factor=_factors(posterior, kept, fitted),
        flags=((),) * len(fitted),
    )
    return _flagged(basins)


def _check_enough(points: Points, kept: BoolArray) -> None:
    d, names = points.x.shape[-1], points.axes.names
    needed = surface_coefficients(d) + 1
    if int(kept.sum(axis=1).max()) >= needed:
        return
    best, what = int(points.usable.sum(axis=1).max()), " and ".join(names)
    constant = [name for j, name in enumerate(names) if best and np.ptp(points.x[points.usable][:, j]) < 1e-6]
    if constant:
        raise TooFewRunsError(f"{constant[0]} has one value in all runs of {points.variant!r}")
    raise TooFewRunsError(
        f"a surface in {what} has {needed - 1} coefficients, so some scale needs finished runs at {needed} "
        f"or more points of {what} that do not lie on one line, but {points.variant!r} has at most {best} at "
        f"one scale"
    )


def _mixed(posterior: Posterior, name: str) -> float:
    return float(np.exp(posterior.weight @ np.log([getattr(n, name) for n in posterior.noise])))


def _wide(values: FloatArray, fitted: BoolArray, axis: int) -> FloatArray:
    """Values of the fitted scales at their place among all, else NaN; scales on an axis."""
    values = np.asarray(values)
    out = np.full((*values.shape[:axis], len(fitted), *values.shape[axis + 1 :]), np.nan)
    out[(slice(None),) * axis + (fitted,)] = values
    return out


def _wide_surface(surface: Surface, fitted: BoolArray, axis: int) -> Surface:
    lead = surface.c.shape[:-1]
    whole = (np.broadcast_to(f, (*lead, f.shape[-1])) for f in vars(surface).values())
    return Surface(*(_wide(f, fitted, axis) for f in whole))


def _factors(posterior: Posterior, kept: BoolArray, fitted: BoolArray) -> FloatArray:
    out = np.full(kept.shape, np.nan)
    for row, k in enumerate(np.flatnonzero(fitted)):
        out[k, kept[k]] = posterior.factor[row, : int(kept[k].sum())]
    return out


def _flagged(b: JointBasins) -> JointBasins:
    """The basins with optima beyond what was run marked, and every scale's warnings."""
    edge = b.edge.copy()
    flags: list[tuple[str, ...]] = []
    d = b.points.x.shape[-1]
    for k, fitted in enumerate(b.fitted):
        if not fitted:
            every_diverged = not b.points.usable[k].any()
            flags.append(("all_diverged" if every_diverged else "thin",))
            continue
        found = []
        beyond = np.mean(b.x_draws[:, k] > b.high[k], axis=0), np.mean(b.x_draws[:, k] < b.low[k], axis=0)
        edge[k] = np.where(beyond[0] > JOINT.edge_share, 1, np.where(beyond[1] > JOINT.edge_share, -1, 0))
        for j, name in enumerate(b.points.axes.names):
            if b.points.axes.near_zero(j, b.x[k, j]):
                edge[k, j] = -1
                found.append(f"near_zero: {name}")
            elif edge[k, j]:
                found.append(f"at_edge: {name}")
        if b.kept[k].sum() <= surface_coefficients(d):
            found.append("thin")
        usable = b.points.usable[k]
        if has_two_minima(b.points.x[k, usable], b.points.loss[k, usable], b.noise):
            found.append("two_minima")
        if np.nanmax(b.factor[k]) > 3.0:
            found.append("outliers")
        flags.append(tuple(found))
    return replace(b, edge=edge, flags=tuple(flags))
