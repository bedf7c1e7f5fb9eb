"""A variant's basins put together from the posterior of its batch: means, and draws that belong together."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.basin.checks import check_basins
from hptransfer.quantify.basin.model import LOCAL, SHARED
from hptransfer.quantify.basin.own_runs import with_own_runs
from hptransfer.quantify.basin.posterior import Posterior, draw_parameters
from hptransfer.quantify.basin.shape import FEATURES
from hptransfer.quantify.basin.window import BasinWindow
from hptransfer.quantify.intervals import sample_settings
from hptransfer.sweep.table import BoolArray, FloatArray


@dataclass(frozen=True)
class DrawPlan:
    """How the draws of one variant are made."""

    draws: int  # B
    seed: int  # of the whole fit
    variant: int  # the variant's place among all
    common: float  # fraction of the draws' variance that is the same for every variant


def empty_basins(cells: Cells, windows: list[BasinWindow], draws: int) -> Basins:
    """Basins of which only the windows, one a scale, are known; `fitted` says where a fit belongs."""
    scales = len(cells.scale)
    point, drawn = np.full(scales, np.nan), np.full((draws, scales), np.nan)
    return Basins(
        cells=cells,
        fitted=np.array([len(w.slots) > 0 for w in windows]),
        edge=np.array([w.edge for w in windows]),
        low=np.array([w.low for w in windows]),
        high=np.array([w.high for w in windows]),
        first=np.array([_outermost(cells, k, w, 0) for k, w in enumerate(windows)]),
        last=np.array([_outermost(cells, k, w, -1) for k, w in enumerate(windows)]),
        x=point,
        loss=point,
        log_curvature=point,
        by_law=point,
        cov_given_shape=np.full((scales, LOCAL, LOCAL), np.nan),
        shape=np.zeros(FEATURES),
        x_draws=drawn,
        loss_draws=drawn,
        log_curvature_draws=drawn,
        shape_draws=np.zeros((draws, FEATURES)),
        noise=float("nan"),
        misfit=float("nan"),
        apart=point,
        flags=tuple(w.flags for w in windows),
    )


def _outermost(cells: Cells, k: int, window: BasinWindow, end: int) -> float:
    """log2 eta of the first (`end` 0) or last (-1) cell of the window of scale k, NaN where it is empty."""
    return float(cells.x[k, window.slots[end]]) if len(window.slots) else float("nan")


def assembled(empty: Basins, posterior: Posterior, i: int, t: FloatArray, plan: DrawPlan) -> Basins:
    """The basins of the i-th variant of a batch.

    Args:
        empty: the variant's windows, and which of its scales are in the batch.
        posterior: of the batch.
        i: the variant's place in the batch.
        t: log2 n of its scales, centred, padded, shape [K of the batch].
        plan: of its draws.
    """
    fitted = empty.fitted
    scales, weight = int(fitted.sum()), posterior.weight[i]
    t, low, high = t[:scales], empty.low[fitted], empty.high[fitted]
    mean_local, mean_shared = _posterior_mean(posterior, i, scales)
    local, shared = _posterior_draws(posterior, i, scales, plan)  # [B, scales, 3], [B, SHARED]
    x, x_draws = _widened(fitted, np.clip(mean_local[:, 1], low, high), np.clip(local[..., 1], low, high))
    loss, loss_draws = _widened(fitted, mean_local[:, 0], local[..., 0])
    log_curvature, log_curvature_draws = _widened(
        fitted,
        mean_shared[0] + mean_shared[1] * t + mean_local[:, 2],
        shared[:, :1] + shared[:, 1:2] * t + local[..., 2],
    )
    cov_given_shape = empty.cov_given_shape.copy()
    cov_given_shape[fitted] = np.einsum("g,gkpq->kpq", weight, posterior.normal.cov_given_shape[i])[:scales]
    inflation = posterior.misfit_inflation[i]
    misfit = np.exp(weight @ np.log(posterior.noise.misfit[i]))
    basins = replace(
        empty,
        cov_given_shape=cov_given_shape,
        x=x,
        loss=loss,
        log_curvature=log_curvature,
        shape=mean_shared[2:],
        x_draws=x_draws,
        loss_draws=loss_draws,
        log_curvature_draws=log_curvature_draws,
        shape_draws=shared[:, 2:],
        noise=float(np.exp(weight @ np.log(posterior.noise.sigma[i]))),
        misfit=float(misfit * np.sqrt(np.mean(inflation[:scales] ** 2))),
    )
    rng = np.random.default_rng([plan.seed, 5, plan.variant])
    return with_own_runs(check_basins(basins, inflation, posterior.variance_factor[i]), rng)


def _posterior_mean(posterior: Posterior, i: int, scales: int) -> tuple[FloatArray, FloatArray]:
    """Means over the noise settings of the i-th variant's parameters: local [scales, 3], shared [SHARED]."""
    weight, state = posterior.weight[i], posterior.state
    return np.einsum("g,gkp->kp", weight, state.local[i])[:scales], weight @ state.shared[i]


def _posterior_draws(
    posterior: Posterior, i: int, scales: int, plan: DrawPlan
) -> tuple[FloatArray, FloatArray]:
    """Draws of the i-th variant's parameters: local [B, scales, 3], shared [B, SHARED].

    Where variants share noise they share the uncertainty about its size, too: the same noise settings.
    """
    rng = np.random.default_rng([plan.seed, 0, 0 if plan.common > 0 else plan.variant])
    setting = sample_settings(posterior.weight[i], rng.random(plan.draws))
    return draw_parameters(posterior, i, setting, *_normals(scales, plan))


def _normals(scales: int, plan: DrawPlan) -> tuple[FloatArray, FloatArray]:
    """Standard normal draws [B, SHARED] and [B, scales, 3], in part the same for every variant."""
    rng = np.random.default_rng([plan.seed, 1, plan.variant])
    shape, local_shape = (plan.draws, SHARED), (plan.draws, scales, LOCAL)
    shared, local = rng.standard_normal(shape), rng.standard_normal(local_shape)
    if plan.common > 0:
        rng = np.random.default_rng([plan.seed, 2])
        common = rng.standard_normal(shape), rng.standard_normal(local_shape)
        own_part, common_part = np.sqrt(1 - plan.common), np.sqrt(plan.common)
        shared = own_part * shared + common_part * common[0]
        local = own_part * local + common_part * common[1]
    return shared, local


def _widened(fitted: BoolArray, point: FloatArray, drawn: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Values [scales] and draws [B, scales] of the fitted scales, at their place among all; else NaN."""
    full, every = np.full(len(fitted), np.nan), np.full((len(drawn), len(fitted)), np.nan)
    full[fitted], every[:, fitted] = point, drawn
    return full, every
