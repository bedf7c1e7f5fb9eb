"""Joint basins at the points of several axes, and the laws of hyperparameters and combinations over them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.axes.asked import Asked, asked_places
from hptransfer.quantify.axes.design import OFF_PATH, Points
from hptransfer.quantify.axes.model import AxesModel, AxesSettings, Basis, fit_model
from hptransfer.quantify.joint.basins import JointBasins
from hptransfer.quantify.joint.combination import Combination
from hptransfer.quantify.joint.laws import Quantity, quantities_of
from hptransfer.quantify.joint.points import Axes
from hptransfer.quantify.joint.suggest import basis_of
from hptransfer.quantify.joint_axes.points import Numbered
from hptransfer.sweep.table import FloatArray


@dataclass(frozen=True)
class JointAxesContext:
    """What the fits of all variants have in common."""

    table: Numbered  # losses in the unit of a fit
    values: FloatArray  # of the hyperparameters, [runs, d]
    hps: Axes
    combinations: tuple[Combination, ...]
    settings: AxesSettings  # tolerance in the unit of a fit
    unit: float  # what one unit of the table's losses is in that of a fit


@dataclass(frozen=True)
class PlaneLaw:
    """The law of one quantity: a hyperparameter, or a combination of several."""

    quantity: Quantity
    basis: Basis  # the quantity as if it were the one hyperparameter, at its best over all else
    asked: Asked | None = None  # places that the law was asked for; None without a law
    model: AxesModel | None = None  # None where too few points have an optimum for a law


@dataclass(frozen=True)
class JointPlanes:
    """The laws of one variant; d hyperparameters, then combinations."""

    points: Points
    basins: JointBasins
    laws: tuple[PlaneLaw, ...]

    @property
    def d(self) -> int:
        """Number of hyperparameters."""
        return self.basins.layout.d

    @property
    def together(self) -> list[AxesModel] | None:
        """The laws of all hyperparameters; None where one is missing."""
        found = [law.model for law in self.laws[: self.d] if law.model is not None]
        return found if len(found) == self.d else None

    def on_path(self, z: FloatArray) -> bool:
        """Whether a place z [A] lies on the path that tied axes share, by every hyperparameter's law."""
        away = (float(law.basis.design.off_path(z[None])[0]) for law in self.laws[: self.d])
        return max(away) <= OFF_PATH


def fit_planes(
    context: JointAxesContext, points: Points, basins: JointBasins, rng: np.random.Generator
) -> JointPlanes:
    """The laws of all quantities of one variant."""
    found = quantities_of(basins, context.table.sweep, context.combinations)
    laws = tuple(plane_law(points, basins, q, context.settings, rng) for q in found)
    return JointPlanes(points, basins, laws)


def plane_law(
    points: Points, basins: JointBasins, q: Quantity, s: AxesSettings, rng: np.random.Generator
) -> PlaneLaw:
    """The law of one quantity, asked for the targets and for what figures show."""
    basis = basis_of(points, basins, q)
    if not basis.enough:
        return PlaneLaw(q, basis)
    asked = asked_places(basis, s)
    return PlaneLaw(q, basis, asked, fit_model(basis, asked.every, rng))
