"""Fitted basins and laws as the plain data of a `SweepFit`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.exponents import LN2, exponents
from hptransfer.quantify.intervals import bands, estimate, missing
from hptransfer.quantify.law.laws import Laws
from hptransfer.quantify.predict import bends, optimum_draws
from hptransfer.quantify.result import Estimate, Law, Optimum
from hptransfer.quantify.settings import Settings
from hptransfer.sweep.table import FloatArray

CURVE_POINTS = 61
CURVE_OCTAVES = 3.0  # either side of the optimum
LAW_POINTS = 17


def optimum(basins: Basins, k: int, level: float, unpooled: Basins | None = None) -> Optimum:
    """The basin at scale k, pooled where the variant has laws; `unpooled` are then the basins before."""
    cells, flags = basins.cells, basins.flags[k]
    scale, runs, diverged = float(cells.scale[k]), int(cells.runs[k]), int(cells.diverged[k])
    if not basins.fitted[k]:
        hp, loss = _bounded(basins, k)
        nothing = missing(*flags)
        return Optimum(scale, hp, loss, nothing, nothing, runs, diverged, flags)
    x, x_draws = float(basins.x[k]), basins.x_draws[:, k]
    h, h_draws = float(np.exp(basins.log_curvature[k])), np.exp(basins.log_curvature_draws[:, k])
    raw, raw_draws = _raw(h, x), _raw(h_draws, x_draws)
    usable = cells.x[k, cells.usable[k]]
    grid = np.linspace(max(usable[0], x - CURVE_OCTAVES), min(usable[-1], x + CURVE_OCTAVES), CURVE_POINTS)
    return Optimum(
        scale,
        optimal_hp(basins, k, level),
        estimate(float(basins.loss[k]), basins.loss_draws[:, k], level),
        estimate(float(raw), raw_draws, level),
        estimate(h, h_draws, level),
        runs,
        diverged,
        flags,
        np.exp2(grid),
        basins.loss[k] + basins.excess_at(k, grid),
        optimal_hp(unpooled, k, level) if unpooled else None,
    )


def optimal_hp(basins: Basins, k: int, level: float) -> Estimate:
    """The optimum's hyperparameter at scale k, as `optimum` has it."""
    if not basins.fitted[k]:
        return _bounded(basins, k)[0]
    return estimate(float(np.exp2(basins.x[k])), np.exp2(basins.x_draws[:, k]), level)


def _bounded(basins: Basins, k: int) -> tuple[Estimate, Estimate]:
    """An optimum on the edge of the grid, with the bounds there are: by the law, else the best run."""
    cells, flags = basins.cells, basins.flags[k]
    if not basins.edge[k]:
        return missing(*flags), missing(*flags)
    best = int(np.nanargmin(cells.loss[k]))
    low, high = (float(np.exp2(b)) if np.isfinite(b) else None for b in (basins.low[k], basins.high[k]))
    loss = float(cells.loss[k, best])
    known = np.isfinite(basins.by_law[k])
    x = float(basins.by_law[k] if known else cells.x[k, best])
    hp = Estimate(float(np.exp2(x)), low, high, (*flags, "by_law") if known else flags)
    return hp, Estimate(loss, None, loss, flags)


def _raw(h: FloatArray | float, x: FloatArray | float) -> FloatArray:
    """Raw curvature d2L/d eta2 from the log curvature d2L/dx2, x = log2 eta, at the optimum."""
    with np.errstate(over="ignore", divide="ignore"):  # infinite is no limit
        return np.asarray(h / (np.exp2(x) * LN2) ** 2)


def laws_of(
    basins: Basins, laws: Laws, s: Settings, rng: np.random.Generator, beyond: Laws | None = None
) -> dict[str, Law]:
    """The three laws with their bands, from the smallest of the basins' scales to the largest target.

    The optimum's curve and band are those of `beyond`, what predictions go by; None for `laws` itself.
    """
    scale, level = basins.cells.scale, s.level
    grid = np.geomspace(scale[0], max([float(scale[-1]), *s.targets]), LAW_POINTS)
    hp = _hp_law(laws, grid, level, rng)
    if beyond is not None and beyond is not laws:
        ahead = _hp_law(beyond, grid, level, rng)
        hp = replace(hp, value=ahead.value, low=ahead.low, high=ahead.high)
    return {
        "hp": hp,
        "loss": _loss_law(laws, grid, level, rng),
        "curvature": _curvature_law(laws, grid, level),
    }


def _hp_law(laws: Laws, grid: FloatArray, level: float, rng: np.random.Generator) -> Law:
    """The optimum's law."""
    low, high = bands(np.exp2(optimum_draws(laws, grid, rng)), level)
    flags = list(laws.flags)
    if bends(laws, level):
        flags.append("bend")
    if laws.family == "const":
        exponent = Estimate(0.0, 0.0, 0.0, ("const",))
    else:
        drift = exponents(laws).drift
        exponent = estimate(drift.value, drift.draws, level)
    parameters = _hp_parameters(laws, level)
    if any("at_bound" in p.flags for p in parameters.values()):
        flags.append("at_bound")
    value = np.exp2(laws.hp.at(grid))
    return Law(
        laws.family, exponent, parameters, laws.aicc, laws.hp.scatter, tuple(flags), grid, value, low, high
    )


def _hp_parameters(laws: Laws, level: float) -> dict[str, Estimate]:
    law = laws.hp
    if laws.family == "offset":
        eta, rate, fraction = np.exp2(law.parameters[0]), float(law.parameters[1]), law.parameters[2]
        etas, fractions = np.exp2(law.draws[:, 0]), law.draws[:, 2]
        return {
            "eta_inf": estimate(float(eta), etas, level),
            "B": estimate(float(eta * fraction), etas * fractions, level),
            "beta": estimate(rate, law.draws[:, 1], level, *law.flags),
        }
    with np.errstate(over="ignore"):  # at n = 1, far from all that was measured: infinite is no limit
        out = {"C": estimate(float(np.exp2(law.at(1.0))), np.exp2(law.draws_at(1.0)), level)}
    if laws.family == "power":
        out["beta"] = estimate(-float(law.parameters[1]), -law.draws[:, 1], level)
    return out


def _loss_law(laws: Laws, grid: FloatArray, level: float, rng: np.random.Generator) -> Law:
    """The loss law."""
    loss = laws.loss
    scatter = loss.scatter * rng.standard_normal(len(loss.draws))
    low, high = bands(loss.draws_at(grid) + scatter, level)
    bound = loss.flags
    # A belongs to n in the user's units, not to n / n0 as it is fitted.
    with np.errstate(over="ignore"):  # at n = 1, far from all that was measured: infinite is no limit
        amplitude = loss.parameters[1] * loss.origin ** loss.parameters[2]
        amplitudes = loss.draws[:, 1] * loss.origin ** loss.draws[:, 2]
    parameters = {
        "L_inf": estimate(float(loss.parameters[0]), loss.draws[:, 0], level, *bound),
        "A": estimate(float(amplitude), amplitudes, level, *bound),
        "alpha": estimate(loss.alpha, loss.alpha_draws, level, *bound),
    }
    exponent = estimate(-loss.alpha, -loss.alpha_draws, level, *bound)
    return Law("power_offset", exponent, parameters, {}, loss.scatter, bound, grid, loss.at(grid), low, high)


def _curvature_law(laws: Laws, grid: FloatArray, level: float) -> Law:
    """The law of the raw curvature."""
    h = laws.log_curvature
    power = laws.families["power"]
    low, high = bands(_raw(np.exp(h.draws_at(grid)), power.draws_at(grid)), level)
    value = _raw(np.exp(h.at(grid)), power.at(grid))
    at_one = float(_raw(float(np.exp(h.at(1.0))), float(power.at(1.0))))
    draws = _raw(np.exp(h.draws_at(1.0)), power.draws_at(1.0))
    parameters = {"H0": estimate(at_one, draws, level)}
    gamma = exponents(laws).gamma
    exponent = estimate(gamma.value, gamma.draws, level)
    return Law("power", exponent, parameters, {}, h.scatter, (), grid, value, low, high)
