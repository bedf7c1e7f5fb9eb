"""Bases and models over several axes made by hand, so that what is computed from them is known."""

from __future__ import annotations

import numpy as np

from hptransfer.quantify.axes.departures import Sizes
from hptransfer.quantify.axes.design import Points, find_design
from hptransfer.quantify.axes.law import PlaneFit, Question
from hptransfer.quantify.axes.loss import LossSurface
from hptransfer.quantify.axes.model import AxesModel, AxesSettings, Basis
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.basin.shape import FEATURES

H = 0.1  # curvature of every basin, nats per octave^2
B = 400  # draws


def settings(axes, targets=(), **options):
    """Settings with a tolerance of 0.01."""
    return AxesSettings(axes, tuple(targets), None, 0.95, 0.01, B, 0, None, 1.35, **options)


def basins(x, loss=None, sd=0.02, runs=5, seed=0):
    """Quadratic basins with optima x [K] on a grid of five runs each, errors independent."""
    x = np.asarray(x, float)
    k, rng = len(x), np.random.default_rng(seed)
    loss = np.full(k, 2.0) if loss is None else np.asarray(loss, float)
    grid = x[:, None] + np.arange(-2.0, 3.0)
    cells = Cells(
        variant="all", scale=np.arange(1.0, k + 1), x=grid,
        loss=loss[:, None] + 0.5 * H * (grid - x[:, None]) ** 2,
        count=np.ones((k, 5), int), spread=np.zeros((k, 5)), censored=np.zeros((k, 5), bool),
        runs=np.full(k, runs), diverged=np.zeros(k, int), tilt=np.zeros(k), tilt_freedom=np.zeros(k, int),
    )  # fmt: skip
    far = np.full(k, np.inf)
    return Basins(
        cells=cells, fitted=np.ones(k, bool), edge=np.zeros(k, int), low=-far, high=far, first=-far, last=far,
        x=x, loss=loss, log_curvature=np.full(k, np.log(H)), by_law=np.full(k, np.nan),
        cov_given_shape=np.full((k, 3, 3), np.nan), shape=np.zeros(FEATURES),
        x_draws=x + sd * rng.standard_normal((B, k)), loss_draws=loss + 0.001 * rng.standard_normal((B, k)),
        log_curvature_draws=np.full((B, k), np.log(H)), shape_draws=np.zeros((B, FEATURES)), noise=0.001,
        misfit=0.01, apart=np.full(k, np.nan), flags=((),) * k,
    )  # fmt: skip


def basis(values, x, axes=("params", "tokens"), **options):
    """Points at values [K, A] with optima x [K]."""
    points = Points(axes, np.asarray(values, float))
    return Basis(points, find_design(points), basins(x, **options), np.zeros(len(axes)))


def plane(z, slopes, level=-8.0, sd=(0.1, 0.05, 0.05), scatter=0.0, wander=0.0, places=None):
    """A law with slopes [F] through points z [K, F], parameters uncertain by `sd`."""
    slopes, rng = np.asarray(slopes, float), np.random.default_rng(1)
    mean = np.concatenate([[level], slopes])
    draws = mean + np.asarray(sd)[: len(mean)] * rng.standard_normal((B, len(mean)))
    origin = z.mean(axis=0)
    places = np.zeros((0, z.shape[1])) if places is None else np.asarray(places, float)
    away = np.column_stack([np.ones(len(places)), places - origin])
    return PlaneFit(
        mean, draws, origin, away @ mean, draws @ away.T, np.full(B, scatter),
        np.full((B, len(slopes)), wander), {},
    )  # fmt: skip


def model(values, slopes, axes=("params", "tokens"), off=None, places=None, **options):
    """A model whose optima lie on a law exactly, or off it by `off` [K]."""
    points = Points(axes, np.asarray(values, float))
    z = find_design(points).coordinates(points.z)
    fit = plane(z, slopes, places=places, **options)
    x = fit.plane(z) + (0.0 if off is None else np.asarray(off))
    made = basis(values, x, axes)
    f = z.shape[1]
    none = Sizes(np.zeros(1), np.zeros((1, f)), np.zeros(1))
    question = Question(z, x, made.basins.x_draws, np.zeros((0, f)), none)
    known = np.log(np.array([2.0, *[0.5] * f, *[0.3] * f]))
    loss = LossSurface(known, np.tile(known, (B, 1)), 0.0, z.min(axis=0), np.ones(f, bool))
    curvature = plane(z, [0.1] * f, np.log(H), sd=(0.0, 0.01, 0.01), places=places)
    return AxesModel(made, question, fit, curvature, loss, np.arange(B), (), fit)
