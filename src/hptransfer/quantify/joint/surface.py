"""The shape of a joint basin: quadratic in the logs of the hyperparameters, every direction skewed.

Of u, octaves from the optimum, each coordinate is first stretched, w_j = u_j exp(skew_j T(u_j) / 2).
Coordinates are then mixed, v = U w with U unit upper triangular: the coupling b_ij in U is by how much the
best w_i falls per unit of w_j, so that v_i is how far hyperparameter i lies from its best value given those
after it. Each v_i is stretched again, z_i = v_i exp((tilt_i T(v_i) + bend_i B(v_i)) / 2), with T and B those
of a basin of one hyperparameter, and the loss above the optimum's is 1/2 sum exp(c_i) z_i^2, times exp of a
sum of small corrections that vanishes at the optimum. So a cliff may follow one hyperparameter, or the ridge
of two.
At the optimum the curvature is U'DU, D holding exp(c): positive definite whatever the parameters are.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import combinations

import numpy as np

from hptransfer.quantify.priors import SHAPE
from hptransfer.sweep.table import FloatArray

MOST_EXPONENT = 30.0  # of e; keeps squares of the loss finite
TILT_ENDS, BEND_ENDS = (-0.5, 0.5), (-0.4, 3.0)  # within which the stretch is monotone


def pairs(d: int) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of d hyperparameters, in the order of couplings."""
    return list(combinations(range(d), 2))


@dataclass(frozen=True)
class Surface:
    """One shape, or many: leading axes broadcast with each other and with those of u."""

    c: FloatArray  # log curvatures, log(nats per octave^2), [..., d]
    b: FloatArray  # couplings, [..., P]
    skew: FloatArray  # of each coordinate by itself, [..., d]
    tilt: FloatArray  # of each given those after it, [..., d]
    bend: FloatArray  # likewise, [..., d]
    bump: FloatArray  # coefficients of the corrections of the log shape, [..., M]

    def excess(self, u: FloatArray) -> FloatArray:
        """Loss above the optimum's, nats, at u [..., d] octaves from it; [...]."""
        z = warp(mixed(self.b, warp(u, self.skew)), self.tilt, self.bend)
        smooth = 0.5 * np.sum(np.exp(np.minimum(self.c, MOST_EXPONENT)) * z * z, axis=-1)
        return np.asarray(smooth * np.exp(correction(u, self.bump)))

    def curvature(self) -> FloatArray:
        """d2L/dx dx' at the optimum, nats per octave^2, [..., d, d]."""
        d = self.c.shape[-1]
        upper = np.zeros((*np.broadcast_shapes(self.c.shape[:-1], self.b.shape[:-1]), d, d))
        upper[..., range(d), range(d)] = 1.0
        for p, (i, j) in enumerate(pairs(d)):
            upper[..., i, j] = self.b[..., p]
        weighted = np.exp(self.c)[..., None] * upper
        return np.asarray(np.swapaxes(upper, -1, -2) @ weighted)


@cache
def bump_line(d: int) -> tuple[FloatArray, float]:
    """Centres of the corrections along each coordinate, in asinh(u), and their width."""
    return (np.linspace(-2.2, 2.2, 5), 1.0) if d == 2 else (np.linspace(-1.8, 1.8, 3), 1.6)


def bump_count(d: int) -> int:
    """M, the number of corrections: one at every crossing of the centres."""
    return int(len(bump_line(d)[0]) ** d)


def _nearness(u: FloatArray) -> FloatArray:
    """Of each coordinate of u [..., d] to each centre, [..., d, centres]."""
    line, width = bump_line(u.shape[-1])
    return np.asarray(np.exp(-0.5 * ((np.arcsinh(u)[..., None] - line) / width) ** 2))


@cache
def _at_optimum(d: int) -> FloatArray:
    """The corrections' features at u = 0 before they are made to vanish there, [M]."""
    return _products(_nearness(np.zeros(d)))


def _products(near: FloatArray) -> FloatArray:
    """Of the coordinates' nearnesses [..., d, centres], one from each; [..., M]."""
    out = near[..., 0, :]
    for j in range(1, near.shape[-2]):
        out = (out[..., :, None] * near[..., j, None, :]).reshape(*near.shape[:-2], -1)
    return out


def corrections(u: FloatArray) -> FloatArray:
    """Features of the corrections at u [..., d]; all are zero at u = 0; [..., M]."""
    return _products(_nearness(u)) - _at_optimum(u.shape[-1])


def correction(u: FloatArray, bump: FloatArray) -> FloatArray:
    """Log of the corrections' factor at u [..., d], of coefficients [..., M]; [...]."""
    d = u.shape[-1]
    line, _ = bump_line(d)
    near, names = _nearness(u), "abc"[:d]
    cube = bump.reshape(*bump.shape[:-1], *[len(line)] * d)
    total = cube
    for j in reversed(range(d)):  # one coordinate after the other: far fewer products than all M at once
        total = np.einsum(f"...{names[: j + 1]},...{names[j]}->...{names[:j]}", total, near[..., j, :])
    there = bump @ _at_optimum(d)
    return np.asarray(np.clip(total - there, -MOST_EXPONENT, MOST_EXPONENT))


def correction_slopes(u: FloatArray, bump: FloatArray) -> FloatArray:
    """Derivative of the corrections' sum in u, [..., d]; `bump` is [M]."""
    d = u.shape[-1]
    line, width = bump_line(d)
    near = _nearness(u)
    away = (np.arcsinh(u)[..., None] - line) / width
    out = []
    for j in range(d):
        turned = near.copy()
        turned[..., j, :] *= -away[..., j, :] / width
        out.append(_products(turned) @ bump)
    return np.stack(out, axis=-1) / np.sqrt(1.0 + u * u)


def stretch_features(u: FloatArray) -> tuple[FloatArray, FloatArray]:
    """T and B of u: odd and even features of the log stretch, zero at u = 0."""
    tilt = SHAPE.tilt_octaves
    return tilt * np.arcsinh(u / tilt), 0.5 * np.log1p(u * u)


def warp(u: FloatArray, tilt: FloatArray, bend: FloatArray | float = 0.0) -> FloatArray:
    """Coordinates u stretched, [..., d]."""
    odd, even = stretch_features(u)
    return np.asarray(u * np.exp(np.minimum(0.5 * (tilt * odd + bend * even), MOST_EXPONENT)))


def warp_slope(u: FloatArray, tilt: FloatArray, bend: FloatArray | float = 0.0) -> FloatArray:
    """Derivative of `warp` in u."""
    odd, even = stretch_features(u)
    inner = tilt * u / np.sqrt(1.0 + (u / SHAPE.tilt_octaves) ** 2) + bend * u * u / (1.0 + u * u)
    scale = np.exp(np.minimum(0.5 * (tilt * odd + bend * even), MOST_EXPONENT))
    return np.asarray(scale * (1.0 + 0.5 * inner))


def mixed(b: FloatArray, w: FloatArray) -> FloatArray:
    """Mixed coordinates v = U w of stretched coordinates w [..., d]."""
    v = np.array(np.broadcast_to(w, (*np.broadcast_shapes(w.shape[:-1], b.shape[:-1]), w.shape[-1])))
    for p, (i, j) in enumerate(pairs(w.shape[-1])):
        v[..., i] += b[..., p] * w[..., j]
    return v
