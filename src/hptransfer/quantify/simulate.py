"""Runs that were not made, drawn from what a fit allows: to see what they would settle."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from hptransfer.quantify.priors import ADVICE
from hptransfer.quantify.result import Optimum, SuggestedRun, VariantFit
from hptransfer.sweep.table import FloatArray, SweepTable

Curve = Callable[[float], float]  # loss against log2 eta

_NORMAL = 3.92  # sd that a 95% interval is wide
_MEDIAN = 1.4826  # sd of what is normal, over the median of its size
_UNUSABLE = ("at_edge", "thin", "all_diverged", "below_observed")


def is_usable(o: Optimum) -> bool:
    """Whether a scale has an optimum inside its grid."""
    return o.hp.value is not None and not set(o.flags) & set(_UNUSABLE)


def simulated(
    sweep: SweepTable, fit: VariantFit, runs: tuple[SuggestedRun, ...], rng: np.random.Generator
) -> SweepTable:
    """The table with those runs made in one of the worlds that the fit allows."""
    scale = np.repeat([run.scale for run in runs], [run.seeds for run in runs])
    hp = np.repeat([run.hp for run in runs], [run.seeds for run in runs])
    truth = _world(fit, np.unique(scale), rng)
    noise = run_noise(sweep, fit)
    loss = np.array([truth[float(n)](np.log2(eta)) for n, eta in zip(scale, hp, strict=True)])
    lost = sweep.diverged
    for n in np.unique(scale):
        dead = sweep.hp[lost & (sweep.scale == n)]
        loss[(scale == n) & (hp >= dead.min(initial=np.inf))] = np.nan
    new = len(loss)
    labels = np.array([f"new {i}" for i in range(new)])
    return replace(
        sweep,
        variant=np.concatenate([sweep.variant, np.full(new, fit.name)]),
        scale=np.concatenate([sweep.scale, scale]),
        hp=np.concatenate([sweep.hp, hp]),
        seed=np.concatenate([sweep.seed, labels]),
        loss=np.concatenate([np.where(lost, np.nan, sweep.loss), loss + noise * rng.standard_normal(new)]),
        extra={},
    )


def _world(fit: VariantFit, scales: FloatArray, rng: np.random.Generator) -> dict[float, Curve]:
    """By scale, loss against log2 eta, the optima drawn from their intervals or from a line through them."""
    usable = [o for o in fit.optima if is_usable(o)]
    sources = usable or [o for o in fit.optima if o.hp.value is not None]
    drawn = {o.scale: _draw(o, rng) for o in usable}
    t = np.log2(list(drawn))
    line = np.polyfit(t, list(drawn.values()), 1) if len(t) > 1 else np.array([rng.normal(-0.5, 0.5), 0.0])
    if len(t) < 2 and sources:  # a line through what there is
        first = sources[0]
        line[1] = drawn.get(first.scale, np.log2(first.hp.value or 1.0)) - line[0] * np.log2(first.scale)
    out = {}
    for n in scales:
        ahead = max(np.abs(np.log2(n) - t).min(initial=np.inf), 0.0) if len(t) else 1.0
        x = drawn.get(
            float(n),
            float(np.polyval(line, np.log2(n)) + ADVICE.simulated_scatter * np.sqrt(ahead) * rng.normal()),
        )
        near = min(sources, key=lambda o: abs(np.log(o.scale / n)), default=None)
        out[float(n)] = _curve(near, x, _level(fit, float(n), near))
    return out


def _draw(o: Optimum, rng: np.random.Generator) -> float:
    assert o.hp.value is not None  # it is usable
    low, high = o.hp.low or o.hp.value, o.hp.high or o.hp.value
    return float(np.log2(o.hp.value) + np.log2(high / low) / _NORMAL * rng.standard_normal())


def _level(fit: VariantFit, n: float, near: Optimum | None) -> float:
    """Loss at the optimum of a scale, by the loss law where there is one, else the nearest scale's."""
    law = fit.laws.get("loss")
    if law is not None and law.parameters:
        limit, gain = law.parameters["L_inf"].value or 0.0, law.parameters["A"].value or 0.0
        return float(limit + gain * n ** (law.exponent.value or 0.0))
    return (near.loss.value or 0.0) if near else 0.0


def _curve(near: Optimum | None, x: float, level: float) -> Curve:
    """The fitted curve of a scale moved to an optimum at x; straight beyond its ends."""
    if near is None or near.curve_hp is None or near.curve_loss is None or near.hp.value is None:
        return lambda at: level + 0.05 * (at - x) ** 2
    u = np.log2(near.curve_hp) - np.log2(near.hp.value)
    above = near.curve_loss - (near.loss.value or 0.0)
    slopes = (above[1] - above[0]) / (u[1] - u[0]), (above[-1] - above[-2]) / (u[-1] - u[-2])

    def loss(at: float) -> float:
        d = at - x
        end = slopes[0] * min(d - u[0], 0.0) + slopes[1] * max(d - u[-1], 0.0)
        return float(level + np.interp(d, u, above) + end)

    return loss


def run_noise(sweep: SweepTable, fit: VariantFit) -> float:
    """Sd of one run, from repeats where there are any, else from the scatter about the fitted curves.

    By the median of what runs are off by: the noise near an optimum counts, and up a cliff it is many times
    as large.
    """
    cells: dict[tuple[float, float], list[float]] = {}
    for n, eta, y in zip(sweep.scale, sweep.hp, sweep.loss, strict=True):
        if np.isfinite(y):
            cells.setdefault((float(n), float(eta)), []).append(float(y))
    repeated = [y for y in cells.values() if len(y) > 1]
    if sum(len(y) - 1 for y in repeated) >= ADVICE.spare_runs:
        off = [np.sqrt(len(y) / (len(y) - 1)) * (one - np.mean(y)) for y in repeated for one in y]
    else:
        off = [
            float(np.mean(y)) - float(np.interp(np.log2(eta), np.log2(o.curve_hp), o.curve_loss))
            for o in fit.optima
            if o.curve_hp is not None and o.curve_loss is not None and len(o.curve_hp)
            for (n, eta), y in cells.items()
            if n == o.scale and o.curve_hp[0] <= eta <= o.curve_hp[-1]
        ]
    return max(_MEDIAN * float(np.median(np.abs(off))) if off else 0.0, ADVICE.least_noise)
