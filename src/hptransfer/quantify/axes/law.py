"""The law of a quantity over several axes: a plane in log-log, averaged over all that it may depart by.

y = c + sum_i a_i log2 n_i + departures. Flat on level and slopes; which slopes are 0, whether two axes
interact, how far points scatter and how the law turns along each axis are averaged over by their evidence.
Places without runs are predicted by kriging (generalised least squares, then the departures' own
correlation), one draw for each posterior draw of the optima (Matheron's rule).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from hptransfer.quantify.axes.departures import (
    Sizes,
    covariance,
    draw_walks,
    walk_covariances,
)
from hptransfer.quantify.basin import batched_linalg
from hptransfer.quantify.intervals import sample_settings
from hptransfer.quantify.law.scatter import LEAST_VARIANCE
from hptransfer.quantify.priors import LAW
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

INTERACTION = 0.1  # prior probability that some two axes interact
INTERACTION_SD = 0.1  # range of interactions against which none is weighed, octaves per octave^2
LEAST_SINGULAR = 0.05  # of the standardised columns, from which a term can be told from the others


@dataclass(frozen=True)
class Question:
    """What is asked of a law: F free axes, K points, M places, B draws."""

    z: FloatArray  # log2 of the free axes at the points, [K, F]
    y: FloatArray  # the quantity there, log units, [K]
    y_draws: FloatArray  # posterior draws of it, [B, K]
    places: FloatArray  # where it is predicted, log2, [M, F]
    sizes: Sizes  # of departures
    constant: float = (
        0.0  # prior probability that the quantity does not change along an axis; 0: not thought of
    )
    interactions: bool = False  # whether axes may interact


@dataclass(frozen=True)
class Term:
    """One way in which the law may hold: the columns it has beside its level."""

    slopes: tuple[int, ...]  # axes with a slope
    product: tuple[int, int] | None  # axes that interact
    log_prior: float


@dataclass(frozen=True)
class PlaneFit:
    """A law through K points with predictions at M places; F axes, B draws."""

    parameters: FloatArray  # level at `origin` and slopes, [1 + F]
    draws: FloatArray  # of them; a slope of 0 where the law is thought constant, [B, 1 + F]
    origin: FloatArray  # log2 of the place of the level, [F]
    at: FloatArray  # the quantity at the places, [M]
    at_draws: FloatArray  # of it, all departures included, [B, M]
    scatter_draws: FloatArray  # sd of single points, [B]
    wander_draws: FloatArray  # of the turning along each axis, [B, F]
    interacting: Mapping[tuple[int, int], float]  # probability that two axes interact

    def plane(self, z: FloatArray) -> FloatArray:
        """The plane at places z [P, F], without departures, [P]."""
        return np.asarray(self.parameters[0] + (z - self.origin) @ self.parameters[1:])

    def plane_draws(self, z: FloatArray) -> FloatArray:
        """Draws of the plane at places z [P, F], [B, P]."""
        return np.asarray(self.draws[:, :1] + self.draws[:, 1:] @ (z - self.origin).T)

    def subset(self, index: IntArray) -> PlaneFit:
        """The same with its draws resampled; estimates move to their means."""
        draws, at_draws = self.draws[index], self.at_draws[index]
        return replace(
            self,
            parameters=draws.mean(axis=0),
            draws=draws,
            at=at_draws.mean(axis=0),
            at_draws=at_draws,
            scatter_draws=self.scatter_draws[index],
            wander_draws=self.wander_draws[index],
        )


@dataclass(frozen=True)
class _Setting:
    """One sampled combination: the law's columns, sizes, and the point off the law (-1 for none)."""

    basis: FloatArray  # at the points, [K, P]
    ahead: FloatArray  # at the places, [M, P]
    inverse: FloatArray  # of the covariance of the estimates about the plane, [K, K]
    across: FloatArray  # covariance of departures at places and points, [M, K]

    def solved(self) -> tuple[FloatArray, FloatArray]:
        """What estimates [K] become: parameters, by [P, K], and values at the places, by [M, K]."""
        weighted = self.basis.T @ self.inverse
        project = np.linalg.solve(weighted @ self.basis, weighted)
        left = np.eye(len(self.inverse)) - self.basis @ project
        return np.asarray(project), self.ahead @ project + self.across @ (self.inverse @ left)


def fit_plane(q: Question, rng: np.random.Generator) -> PlaneFit:
    """Fits the law and predicts, every draw under a combination drawn by its evidence."""
    origin = q.z.mean(axis=0)
    errors = np.atleast_2d(np.cov(q.y_draws.T)) + LEAST_VARIANCE * np.eye(len(q.y))
    walks = walk_covariances(np.vstack([q.z, q.places]))[:, :, : len(q.z)]  # [F, K + M, K]
    here = walks[:, : len(q.z)]
    inverse, log_det = _inverse(covariance(errors, here, q.sizes.scatter, q.sizes.wander))
    terms = _terms(q, origin)
    judged = [_evidence(q, _basis(q.z - origin, term), inverse, log_det) + term.log_prior for term in terms]
    log = np.stack(judged)  # [T, S, 1 + K]
    log += q.sizes.log_prior[:, None]
    share = np.exp(log.ravel() - log.max())
    chosen = sample_settings(share / share.sum(), rng.random(len(q.y_draws)))
    term, size, off = np.unravel_index(chosen, log.shape)
    scatter, wander = q.sizes.scatter[size], q.sizes.wander[size]
    every = draw_walks(np.vstack([q.z, q.places]), wander, rng)
    single = rng.standard_normal(every.shape) * scatter[:, None]
    away = np.where(off > 0, LAW.outlier_scale_sd * rng.standard_normal(len(off)), 0.0)
    noisy = q.y_draws - (every + single)[:, : len(q.y)]
    noisy[np.arange(len(off)), np.maximum(off - 1, 0)] -= away
    ahead = (every + single)[:, len(q.y) :]
    draws = np.zeros((len(noisy), 1 + q.z.shape[1]))
    total, at = np.zeros(draws.shape[1]), np.zeros(len(q.places))
    for key, rows in _groups(term, size, off):
        t, s, o = key
        columns = [0, *(1 + i for i in terms[t].slopes)]
        project, values = _setting(q, terms[t], inverse[s], walks, (s, o - 1), origin).solved()
        draws[rows[:, None], columns] = (noisy[rows] @ project.T)[:, : len(columns)]
        ahead[rows] += noisy[rows] @ values.T
        total[columns] += len(rows) * (project @ q.y)[: len(columns)]
        at += len(rows) * (values @ q.y)
    pairs = {p: float(np.mean([terms[t].product == p for t in term])) for p in _pairs(q)}
    return PlaneFit(total / len(noisy), draws, origin, at / len(noisy), ahead, scatter, wander, pairs)


def _inverse(matrices: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Inverses and log determinants of matrices [S, K, K]; LAPACK's for large ones."""
    if matrices.shape[-1] <= 24:
        return batched_linalg.inverse(matrices)
    return np.asarray(np.linalg.inv(matrices)), np.asarray(np.linalg.slogdet(matrices)[1])


def _pairs(q: Question) -> list[tuple[int, int]]:
    return list(combinations(range(q.z.shape[1]), 2)) if q.interactions else []


def _terms(q: Question, origin: FloatArray) -> list[Term]:
    """Every set of slopes and at most one interaction that the points can tell."""
    axes = range(q.z.shape[1])
    out = []
    pairs = [p for p in _pairs(q) if told(q.z - origin, p)]
    for count in range(len(axes) + 1):
        for slopes in combinations(axes, count):
            left = len(axes) - count
            if left and q.constant == 0:
                continue
            log = left * np.log(q.constant) if left else 0.0
            log += count * (np.log1p(-q.constant) - np.log(LAW.slope_sd))
            held = [p for p in pairs if set(p) <= set(slopes)]
            out.append(Term(slopes, None, float(log + (np.log1p(-INTERACTION) if held else 0.0))))
            each = np.log(INTERACTION / max(len(held), 1)) - np.log(INTERACTION_SD)
            out += [Term(slopes, pair, float(log + each)) for pair in held]
    return out


def told(z: FloatArray, pair: tuple[int, int]) -> bool:
    """Whether points z [K, F] tell the product (or, of one axis with itself, the bend) from a plane."""
    columns = np.column_stack([z, z[:, pair[0]] * z[:, pair[1]]])
    if len(z) < columns.shape[1] + 3:
        return False
    centred = columns - columns.mean(axis=0)
    norm = np.linalg.norm(centred, axis=0)
    if (norm < 1e-9).any():
        return False
    return bool(np.linalg.svd(centred / norm, compute_uv=False)[-1] > LEAST_SINGULAR)


def _basis(z: FloatArray, term: Term) -> FloatArray:
    """Columns of a law at centred places z [P, F], the level first."""
    columns = [np.ones(len(z)), *(z[:, i] for i in term.slopes)]
    if term.product is not None:
        i, j = term.product
        columns.append(z[:, i] * z[:, j])
    return np.stack(columns, axis=1)


def _evidence(q: Question, basis: FloatArray, inverse: FloatArray, log_det: FloatArray) -> FloatArray:
    """Log probability of the estimates under each size, and with each point off the law, [S, 1 + K]."""
    weighted = inverse @ basis  # [S, K, P]
    gram = basis.T @ weighted
    small, gram_det = batched_linalg.inverse(gram)
    # Of the restricted likelihood's projection only its diagonal and its product with y are needed.
    spanned = weighted @ small  # [S, K, P]
    left = inverse @ q.y - (spanned @ (np.swapaxes(weighted, 1, 2) @ q.y)[..., None])[..., 0]  # [S, K]
    diagonal = np.einsum("skk->sk", inverse) - np.einsum("skp,skp->sk", spanned, weighted)
    none = -0.5 * (log_det + gram_det + left @ q.y)
    variance = LAW.outlier_scale_sd**2
    more = 1.0 + variance * diagonal
    one = none[:, None] - 0.5 * np.log(more) + 0.5 * variance * left**2 / more
    chance = LAW.outlier_scale_probability
    one += np.log(chance) - np.log1p(-chance)
    one[:, _outermost(q.z)] = -np.inf  # a prediction starts from where the optimum is now
    return np.concatenate([none[:, None], one], axis=1)


def _outermost(z: FloatArray) -> BoolArray:
    """Which points z [K, F] no other exceeds along every axis, [K]."""
    at_least = np.all(z[None] >= z[:, None], axis=2)
    more = np.any(z[None] > z[:, None], axis=2)
    return np.asarray(~np.any(at_least & more, axis=1))


def _groups(*parts: IntArray) -> list[tuple[tuple[int, ...], IntArray]]:
    """Rows that agree in all parts, by their values."""
    keys, back = np.unique(np.stack(parts, axis=1), axis=0, return_inverse=True)
    order = np.argsort(back.ravel(), kind="stable")
    ends = np.cumsum(np.bincount(back.ravel()))
    rows = np.split(order, ends[:-1])
    return [(tuple(int(v) for v in key), each) for key, each in zip(keys, rows, strict=True)]


def _setting(
    q: Question,
    term: Term,
    inverse: FloatArray,
    walks: FloatArray,
    chosen: tuple[int, int],
    origin: FloatArray,
) -> _Setting:
    """The matrices of a combination; `chosen` are the size and the point off the law, -1 for none."""
    s, off = chosen
    if off >= 0:
        gain = LAW.outlier_scale_sd**2 / (1.0 + LAW.outlier_scale_sd**2 * inverse[off, off])
        inverse = inverse - gain * np.outer(inverse[:, off], inverse[off])
    across = np.einsum("f,fmk->mk", q.sizes.wander[s] ** 2, walks[:, len(q.y) :])
    return _Setting(_basis(q.z - origin, term), _basis(q.places - origin, term), inverse, across)


def further_terms(
    q: Question, scatter: float, names: tuple[str, ...], rng: np.random.Generator
) -> dict[str, tuple[float, FloatArray]]:
    """Bends along each axis and interactions of each two: coefficient and its draws, by name.

    A bend is the second derivative of log2 eta* in log2 n, an interaction the mixed one; each is fitted
    beside
    the plane by generalised least squares with the scatter of single points. Only those that the points tell.
    """
    z = q.z - q.z.mean(axis=0)
    inverse = np.linalg.inv(
        np.atleast_2d(np.cov(q.y_draws.T)) + (scatter**2 + LEAST_VARIANCE) * np.eye(len(z))
    )
    noisy = q.y_draws + scatter * rng.standard_normal(q.y_draws.shape)
    out = {}
    for i in range(z.shape[1]):
        for j in range(i, z.shape[1]):
            if not told(z, (i, j)):
                continue
            column = z[:, i] * z[:, j] * (0.5 if i == j else 1.0)
            basis = np.column_stack([np.ones(len(z)), z, column])
            project = np.linalg.solve(basis.T @ inverse @ basis, basis.T @ inverse)[-1]
            name = f"bend {names[i]}" if i == j else f"{names[i]} x {names[j]}"
            out[name] = float(project @ q.y), np.asarray(noisy @ project)
    return out
