"""Lowest losses of loss-LR curves from a few learning rates and seeds, and lines through them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
import pandas as pd
from scipy.stats import t as student

from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import FloatArray
from papers.data import DRAWS, LEVEL, Draws

Key = tuple[float | str, ...]


def vertex(x: FloatArray, loss: FloatArray) -> tuple[float, float]:
    """The bottom of a curve, place and loss: of the parabola through its lowest point and the two beside it.

    At an end of the curve, or where a neighbour has no loss, the lowest point itself. x ascends.
    """
    best = int(np.nanargmin(loss))
    around = slice(best - 1, best + 2)
    if not 0 < best < len(x) - 1 or not np.isfinite(loss[around]).all():
        return float(x[best]), float(loss[best])
    a, b, c = np.polyfit(x[around] - x[best], loss[around], 2)
    if a <= 0:
        return float(x[best]), float(loss[best])
    return float(x[best] - b / (2 * a)), float(c - b * b / (4 * a))


def at_end(frame: pd.DataFrame, keys: Sequence[str]) -> int:
    """Curves (mean over seeds) whose lowest loss is at an end of the learning rates."""
    ends = 0
    for _, curve in frame.groupby(list(keys)):
        mean = curve.groupby("lr_mup")["loss"].agg(lambda s: s.mean(skipna=False)).dropna()
        ends += mean.idxmin() in (min(curve["lr_mup"]), max(curve["lr_mup"]))
    return ends


def bests(frame: pd.DataFrame, keys: Sequence[str]) -> dict[Key, dict[int, float]]:
    """The lowest loss of every curve, by what `keys` say and by seed."""
    found: dict[Key, dict[int, float]] = {}
    for key_and_seed, curve in frame.sort_values("lr_mup").groupby([*keys, "seed"]):
        *key, seed = cast(tuple[Any, ...], key_and_seed)
        x, loss = np.log2(curve["lr_mup"].to_numpy()), curve["loss"].to_numpy()
        if np.isfinite(loss).any():
            found.setdefault(tuple(key), {})[int(seed)] = vertex(x, loss)[1]
    return found


def paired(a: Mapping[int, float], b: Mapping[int, float]) -> list[float]:
    """First minus second, seed by seed."""
    return [a[seed] - b[seed] for seed in a if seed in b]


def with_pooled_noise(values: Mapping[Key, Sequence[float]]) -> dict[Key, Estimate]:
    """The mean of every group with an interval by Student's t, from the spread within all groups together."""
    freedom = sum(len(group) - 1 for group in values.values())
    squares = sum(float(np.sum((np.array(group) - np.mean(group)) ** 2)) for group in values.values())
    if not freedom:
        return {key: Estimate(float(np.mean(group))) for key, group in values.items()}
    half = float(student.ppf((1 + LEVEL) / 2, freedom)) * np.sqrt(squares / freedom)
    found = {}
    for key, group in values.items():
        mean, side = float(np.mean(group)), float(half / np.sqrt(len(group)))
        found[key] = Estimate(mean, mean - side, mean + side)
    return found


def slopes(values: Mapping[Key, Sequence[float]], x: Mapping[Key, Sequence[float]]) -> list[Estimate]:
    """Least squares of every value on its group's x, beside a constant; intervals by Student's t."""
    rows = np.array([[1.0, *x[key]] for key, group in values.items() for _ in group])
    y = np.array([value for group in values.values() for value in group])
    freedom = len(y) - rows.shape[1]
    inverse = np.linalg.pinv(rows.T @ rows)
    found = inverse @ rows.T @ y
    if freedom < 1:
        return [Estimate(float(v)) for v in found[1:]]
    left = y - rows @ found
    half = student.ppf((1 + LEVEL) / 2, freedom) * np.sqrt(left @ left / freedom * np.diag(inverse))
    return [Estimate(float(v), float(v - h), float(v + h)) for v, h in zip(found[1:], half[1:], strict=True)]


def moving_valley(z: FloatArray, w: FloatArray, group: Sequence[Key], loss: FloatArray) -> Draws | None:
    """How fast the bottom of a valley moves: d z* / d w, from parabolas in z of one curvature.

    Every group has a level of its own; the bottom is at z* = b + e w, and e is what is returned. None where
    the points do not say that there is a valley.
    """
    levels = sorted(set(group))
    own = np.array([[float(g == level) for level in levels] for g in group])
    design = np.column_stack([own, z, z * z, z * w])
    freedom = len(loss) - design.shape[1]
    if freedom < 1 or np.linalg.matrix_rank(design) < design.shape[1]:
        return None
    inverse = np.linalg.inv(design.T @ design)
    found = inverse @ design.T @ loss
    left = loss - design @ found
    rng = np.random.default_rng(0)
    spread = np.linalg.cholesky(inverse[-2:, -2:] * (left @ left) / freedom)
    steps = rng.standard_normal((DRAWS, 2)) / np.sqrt(rng.chisquare(freedom, DRAWS) / freedom)[:, None]
    square, cross = (found[-2:] + steps @ spread.T).T
    if found[-2] <= 0 or np.mean(square > 0) < LEVEL:
        return None
    square = np.where(square > 0, square, np.nan)
    return Draws(float(-found[-1] / (2 * found[-2])), -cross / (2 * square))
