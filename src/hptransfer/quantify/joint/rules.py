"""Named rules beside the laws of several hyperparameters over one axis of scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.quantify.axes.design import Points
from hptransfer.quantify.axes.model import AxesSettings, Basis
from hptransfer.quantify.axes.result import RuleCheck
from hptransfer.quantify.axes.rules import check_rules, own_cost, same_everywhere
from hptransfer.quantify.joint.basins import JointBasins
from hptransfer.quantify.joint.laws import QuantityLaw, fit_law
from hptransfer.quantify.joint.relations import Ahead, check_relations
from hptransfer.quantify.joint.suggest import basis_of
from hptransfer.quantify.settings import Settings
from hptransfer.sweep.table import FloatArray, SweepTable


@dataclass(frozen=True)
class _Line:
    """The power law as a plane over one axis; see `axes.rules.Fitted`."""

    parameters: FloatArray
    draws: FloatArray
    origin: FloatArray
    scatter_draws: FloatArray


@dataclass(frozen=True)
class _LineLaw:
    """A law over one axis as rules are held against it."""

    basis: Basis
    hp: _Line


@dataclass(frozen=True)
class NamedRules:
    """The rules that speak of one variant; losses in the unit of the table."""

    by_quantity: dict[str, tuple[RuleCheck, ...]]  # of hyperparameters and combinations that have a law
    relations: tuple[RuleCheck, ...]  # that tie hyperparameters to each other


def named_rules(
    basins: JointBasins,
    laws: Sequence[QuantityLaw | None],
    sweep: SweepTable,
    s: Settings,
    ahead: Sequence[Ahead],
) -> NamedRules:
    """Every rule that speaks of these hyperparameters and this axis.

    Args:
        basins: of one variant.
        laws: of the hyperparameters, then of combinations.
        sweep: the runs.
        s: settings of the fit.
        ahead: log2 of the scale [1] and of the optimum [d] at every target; None without laws.
    """
    asked = _settings(sweep.columns.scale, s)
    rng = np.random.default_rng([s.seed, 15])  # of its own, so that nothing else moves
    every = {
        law.quantity.name: _checked(basins, j, law, asked) for j, law in enumerate(laws) if law is not None
    }
    related = check_relations(
        basins,
        sweep,
        asked,
        ahead,
        lambda q: _as_plane(basins, fit_law(basins, q, s.family, s.level, rng), asked),
    )
    return NamedRules(
        {name: _in_unit(found, s.unit) for name, found in every.items()}, _in_unit(related, s.unit)
    )


def _settings(scale: str, s: Settings) -> AxesSettings:
    """The settings as those of a study over several axes, of which there is one."""
    targets = tuple({scale: float(n)} for n in s.targets)
    return AxesSettings((scale,), targets, None, s.level, s.tolerance, s.draws, s.seed, None, s.filter)


def _checked(basins: JointBasins, j: int, law: QuantityLaw, s: AxesSettings) -> tuple[RuleCheck, ...]:
    """The rules of the j-th quantity."""
    model, named = _as_plane(basins, law, s), replace(s, hp=law.quantity.name)
    if model is None:
        return ()
    if j < basins.layout.d:
        return check_rules(model, named, lambda k, x: basins.profile(k, j, x))
    return (same_everywhere(model, named, own_cost(model)),)


def _as_plane(basins: JointBasins, law: QuantityLaw | None, s: AxesSettings) -> _LineLaw | None:
    if law is None:
        return None
    power = law.laws.families["power"]
    points = Points(s.axes, basins.points.scale[:, None])
    line = _Line(power.parameters, power.draws, np.array([power.origin]), power.scatter_draws)
    return _LineLaw(basis_of(points, basins, law.quantity), line)


def _in_unit(found: tuple[RuleCheck, ...], unit: float) -> tuple[RuleCheck, ...]:
    return tuple(replace(r, cost=(r.cost or 0.0) / unit, worst=(r.worst or 0.0) / unit) for r in found)
