"""One variant's basins and laws over several axes, with what they say of other places."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.axes.basins import fit_points, some_points
from hptransfer.quantify.axes.departures import Sizes, sizes
from hptransfer.quantify.axes.design import Design, Points, find_design
from hptransfer.quantify.axes.law import PlaneFit, Question, fit_plane
from hptransfer.quantify.axes.loss import LossSurface, fit_loss_surface
from hptransfer.quantify.axes.result import Place
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import Cells
from hptransfer.quantify.law.departure import departure
from hptransfer.quantify.law.scatter import NO_WANDER, SizePrior, curvature_scatter
from hptransfer.quantify.priors import AXES, LAW
from hptransfer.sweep.table import FloatArray, IntArray

SPARE = 2  # points with an optimum beyond the free axes, without which there is no law


@dataclass(frozen=True)
class AxesSettings:
    """As `quantify` takes them; see there for their meaning."""

    axes: tuple[str, ...]
    targets: tuple[Place, ...]
    path: Place | None
    level: float
    tolerance: float
    draws: int
    seed: int
    reference: str | None
    filter: float
    hp: str = "lr"  # name of the hyperparameter: which named rules apply goes by it


@dataclass(frozen=True)
class Basis:
    """The basins of one variant's points; K points, A axes."""

    points: Points  # every point
    design: Design  # of those with an optimum
    basins: Basins  # of every point
    direction: FloatArray  # along which curvatures go, [A]

    @property
    def inside(self) -> IntArray:
        """The points with an optimum inside the grid."""
        return np.flatnonzero(self.basins.fitted)

    @property
    def z(self) -> FloatArray:
        """log2 of the free axes at those points, [k, F]."""
        return self.design.coordinates(self.points.z[self.inside])

    @property
    def enough(self) -> bool:
        """Whether there are points enough for a law."""
        return len(self.inside) >= len(self.design.free) + SPARE


@dataclass(frozen=True)
class AxesModel:
    """The laws through the basins, and the optimum at M places asked for."""

    basis: Basis
    question: Question  # of the optimum's law
    hp: PlaneFit  # of the optimum, log2
    log_curvature: PlaneFit  # of log h, natural
    loss: LossSurface  # of the loss at the optimum
    index: IntArray  # rows of the basins' draws behind those of the laws
    flags: tuple[str, ...]
    straight: PlaneFit  # the optimum's law if it turns along no axis


def find_basis(
    points: Points, cells: Cells, settings: AxesSettings, direction: FloatArray | None = None
) -> Basis:
    """The basins of all points of one variant."""
    basins, direction = fit_points(points, cells, settings.draws, settings.seed, direction)
    inside = np.flatnonzero(basins.fitted)
    return Basis(points, find_design(points.take(inside) if len(inside) > 1 else points), basins, direction)


def without(basis: Basis, cells: Cells, rows: Sequence[int], settings: AxesSettings) -> Basis:
    """The basis refitted without some points."""
    left = np.setdiff1d(np.arange(len(basis.points.values)), rows)
    return find_basis(basis.points.take(left), some_points(cells, left), settings, basis.direction)


@dataclass(frozen=True)
class OptimumLaw:
    """The optimum's law alone, which is all that a hold-out asks for."""

    question: Question
    hp: PlaneFit
    index: IntArray  # rows of the basins' draws behind those of the law
    flags: tuple[str, ...]


def fit_optimum(basis: Basis, places: FloatArray, rng: np.random.Generator) -> OptimumLaw:
    """The optimum's law of a basis with points enough; places [M, A] are log2 of all axes."""
    basins, inside, design = basis.basins, basis.inside, basis.design
    z, asked = basis.z, design.coordinates(places)
    edges = np.flatnonzero((basins.edge != 0) & ~basins.fitted)
    every = np.vstack([asked, design.coordinates(basis.points.z[edges])])
    prior = departure(basins)
    axes, count = len(design.free), len(inside)
    wander = SizePrior(
        AXES.wander * prior.wander.median / np.sqrt(axes), AXES.wander_log_sd, AXES.wander_none
    )
    scatter = SizePrior(prior.scatter.median, prior.scatter.log_sd, prior.scatter.none)
    question = Question(
        z, basins.x[inside], basins.x_draws[:, inside], every,
        sizes(scatter, wander, axes, count, prior.steady), prior.constant, interactions=True,
    )  # fmt: skip
    hp = fit_plane(question, rng)
    index, flags = _censored(basis, edges, hp.at_draws[:, len(asked) :], rng)
    hp = _first(hp, len(asked))
    return OptimumLaw(question, hp.subset(index) if flags == ("edge_censored",) else hp, index, flags)


def fit_model(basis: Basis, places: FloatArray, rng: np.random.Generator) -> AxesModel:
    """All laws of a basis with points enough, and predictions at places [M, A] of log2 of the axes."""
    law = fit_optimum(basis, places, rng)
    basins, inside, z = basis.basins, basis.inside, basis.z
    asked, axes, count = basis.design.coordinates(places), len(basis.design.free), len(inside)
    h = Question(
        z, basins.log_curvature[inside], basins.log_curvature_draws[:, inside], asked,
        sizes(curvature_scatter(basins.misfit), NO_WANDER, axes, count, 0.0),
    )  # fmt: skip
    log_curvature = fit_plane(h, rng)
    loss = fit_loss_surface(z, basins.loss[inside], basins.loss_draws[:, inside])
    return AxesModel(
        basis, law.question, law.hp, log_curvature, loss, law.index, law.flags, _straight(law.question)
    )


def _straight(q: Question) -> PlaneFit:
    """The law with every size of turning taken as none: what a plane fitted by itself would claim."""
    none = (q.sizes.wander == 0).all(axis=1)
    sizes = Sizes(q.sizes.scatter[none], q.sizes.wander[none], q.sizes.log_prior[none])
    return fit_plane(replace(q, sizes=sizes, interactions=False), np.random.default_rng(len(q.y)))


def _first(fit: PlaneFit, count: int) -> PlaneFit:
    """The fit with its first places only."""
    return replace(fit, at=fit.at[:count], at_draws=fit.at_draws[:, :count])


def _censored(
    basis: Basis, edges: IntArray, x: FloatArray, rng: np.random.Generator
) -> tuple[IntArray, tuple[str, ...]]:
    """Rows of the draws resampled by how well predictions x [B, E] respect the bounds of edge optima."""
    everything = np.arange(len(x))
    if not len(edges):
        return everything, ()
    low, high = basis.basins.low[edges], basis.basins.high[edges]
    outside = np.maximum(np.maximum(low - x, x - high), 0.0)
    log_weight = -0.5 * ((outside / LAW.edge_sd) ** 2).sum(axis=1)
    weight = np.exp(log_weight - log_weight.max())
    effective = weight.sum() ** 2 / (weight**2).sum()  # Kish's effective number of draws
    if log_weight.max() < -LAW.edge_least_weight or effective < LAW.edge_least_effective * len(x):
        return everything, ("edge_contradicts_law",)
    return rng.choice(len(x), size=len(x), p=weight / weight.sum()), ("edge_censored",)
