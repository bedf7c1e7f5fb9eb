"""Named rules of the literature beside the law: what they say, their cost, whether the runs reject them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from hptransfer.quantify.axes.model import AxesSettings, Basis
from hptransfer.quantify.axes.result import RuleCheck
from hptransfer.sweep.names import base_name, hp_rank, joined, word_set, words
from hptransfer.sweep.table import BoolArray, FloatArray, IntArray

KINDS = {
    "width": word_set("width dmodel hiddensize modeldim nembd embeddim hiddendim dim channels"),
    "params": word_set(
        "params nparams numparams parameters nparameters n modelsize nonembeddingparams modelparams"
    ),
    "depth": word_set("depth nlayer nlayers numlayers layers numhiddenlayers"),
    "tokens": word_set("tokens ntokens numtokens trainingtokens traintokens d datasetsize"),
    "batch": word_set("batchsize batch bs globalbatchsize batchtokens"),
    "compute": word_set("flops compute c trainingflops"),
}
HP_KINDS = {**dict.fromkeys(range(4), "lr"), 4: "weight decay", 5: "batch"}  # by the line of `hp_rank`
LEAST_VARIANCE = 1e-6  # of an exponent; keeps the covariance of exponents invertible
Cost = Callable[[int, float], float]  # of log2 of a value at a point


class Fitted(Protocol):
    """A plane, or a line, that rules are held against; F free axes, B draws."""

    @property
    def parameters(self) -> FloatArray:
        """Level at `origin` and slopes, [1 + F]."""

    @property
    def draws(self) -> FloatArray:
        """Of them, [B, 1 + F]."""

    @property
    def origin(self) -> FloatArray:
        """log2 of the place of the level, [F]."""

    @property
    def scatter_draws(self) -> FloatArray:
        """Sd of single points about it, [B]."""


class Law(Protocol):
    """The law of one quantity, as `AxesModel` has it."""

    @property
    def basis(self) -> Basis:
        """The basins."""

    @property
    def hp(self) -> Fitted:
        """The plane through their optima."""


@dataclass(frozen=True)
class Rule:
    """The optimum is a level times a product of the axes to these powers."""

    name: str
    source: str
    exponents: Mapping[str, float]  # by kind of axis; of other axes it says nothing
    log2_level: float | None = None  # None: exponents only
    note: str = ""
    of: str = "lr"  # kind of hyperparameter
    tokens: bool = False  # whether the level is of a batch in tokens
    apart_from: tuple[str, ...] = ()  # kinds of axes that it says do not matter


RULES = (
    Rule("step-law LR", "arXiv:2503.04715", {"params": -0.713, "tokens": 0.307}, float(np.log2(1.79)),
         "params without the embedding"),
    Rule("DeepSeek LR", "arXiv:2401.02954", {"params": -0.125, "tokens": -0.125},
         float(np.log2(0.3118) - 0.125 * np.log2(6.0)), "C = 6 N D"),
    Rule("DeepSeek LR", "arXiv:2401.02954", {"compute": -0.125}, float(np.log2(0.3118))),
    Rule("LR ~ tokens^-0.32", "arXiv:2409.19913", {"tokens": -0.32}),
    Rule("LR ~ batch^0.5", "arXiv:2205.10287", {"batch": 0.5}),
    Rule("LR ~ batch", "arXiv:1706.02677", {"batch": 1.0}),
    Rule("LR ~ batch / tokens", "arXiv:2505.13738", {"batch": 1.0, "tokens": -1.0},
         None, "constant timescale, decay fixed"),
    Rule("LR ~ 1 / tokens", "arXiv:2505.13738", {"tokens": -1.0},
         None, "timescale; decay, batch fixed"),
    Rule("muP, LR as its user sets it", "arXiv:2203.03466", {"width": 0.0}, None, "LR in muP coordinates"),
    Rule("muP, LR of hidden, Adam", "arXiv:2203.03466", {"width": -1.0}, None,
         "LR in SP coordinates"),
    Rule("step-law batch", "arXiv:2503.04715", {"tokens": 0.571}, float(np.log2(0.58)), "batch in tokens",
         "batch", tokens=True, apart_from=("params", "width", "depth")),
    Rule("DeepSeek batch", "arXiv:2401.02954", {"params": 0.3271, "tokens": 0.3271},
         float(np.log2(0.292) + 0.3271 * np.log2(6.0)), "C = 6 N D, batch in tokens", "batch",
         tokens=True),
    Rule("DeepSeek batch", "arXiv:2401.02954", {"compute": 0.3271},
         float(np.log2(0.292)), "batch in tokens", "batch", tokens=True),
    Rule("batch ~ tokens^0.38", "arXiv:2505.13738", {"tokens": 0.38}, of="batch"),
    Rule("decay ~ 1 / tokens", "arXiv:2405.13698", {"tokens": -1.0}, None,
         "timescale; LR and batch fixed", "weight decay"),
)  # fmt: skip


def kind_of(axis: str) -> str | None:
    """What an axis is by its name: width, params, depth, tokens, batch or compute; None where unknown."""
    name = joined(base_name(axis))
    return next((kind for kind, names in KINDS.items() if name in names), None)


def hp_kind(name: str) -> str | None:
    """What a hyperparameter is by its name: lr, batch or weight decay; None where unknown."""
    found = hp_rank(name)
    return "batch" if kind_of(name) == "batch" else None if found is None else HP_KINDS.get(found[0])


def check_rules(model: Law, s: AxesSettings, cost: Cost | None = None) -> tuple[RuleCheck, ...]:
    """Every rule that speaks of this hyperparameter and these axes.

    Args:
        model: of the hyperparameter's law.
        s: `hp` names the hyperparameter; rules are also asked for the targets.
        cost: loss given up at a point by log2 of a value; None: as the basins have it.
    """
    design, kind = model.basis.design, hp_kind(s.hp)
    kinds = {kind_of(axis): axis for axis in design.axes}
    paid = cost or own_cost(model)
    out = []
    for rule in RULES:
        if rule.of == kind and set(rule.exponents) <= kinds.keys() and not _told_better(rule, kinds):
            powers = {**dict.fromkeys(rule.apart_from, 0.0), **rule.exponents}
            by_axis = {kinds[name]: power for name, power in powers.items() if name in kinds}
            out.append(check_rule(model, rule, by_axis, s, paid))
    return (*out, same_everywhere(model, s, paid))


def same_everywhere(model: Law, s: AxesSettings, cost: Cost) -> RuleCheck:
    """The rule that a value is the same at every point."""
    rule = Rule(f"constant {s.hp}", "", {})
    return check_rule(model, rule, dict.fromkeys(model.basis.design.axes, 0.0), s, cost)


def own_cost(model: Law) -> Cost:
    """As the basins have it."""
    return lambda k, x: float(model.basis.basins.regret_at(k, np.array([x]))[0])


def _told_better(rule: Rule, kinds: Mapping[str | None, str]) -> bool:
    """Whether another form of the rule speaks about more of the axes."""
    return rule.name.endswith("1 / tokens") and "batch" in kinds


def _level(rule: Rule, hp: str) -> float | None:
    """The rule's own level; None where it has none in the unit of the hyperparameter."""
    return rule.log2_level if not rule.tokens or "tokens" in words(hp) else None


def check_rule(
    model: Law, rule: Rule, by_axis: Mapping[str, float], s: AxesSettings, cost: Cost
) -> RuleCheck:
    """One rule, its exponents by axis; where it says nothing of an axis, the law's own exponent is taken."""
    basis, hp = model.basis, model.hp
    design, whole = basis.design, basis.points.z
    powers = np.array([by_axis.get(axis, np.nan) for axis in design.axes])
    fixed = np.flatnonzero(np.isfinite(powers))
    said, unsaid = _in_free(model, np.where(np.isfinite(powers), powers, 0.0), fixed)

    def value(z: FloatArray) -> FloatArray:
        free = design.coordinates(z)
        return np.asarray(
            z @ np.where(np.isfinite(powers), powers, 0.0) + free @ np.where(unsaid, hp.parameters[1:], 0)
        )

    inside = basis.inside
    x = value(whole[inside])
    constant = _level(rule, s.hp) if not unsaid.any() else None
    level_at = float(np.mean(basis.basins.x[inside] - x)) if constant is None else constant
    costs = [cost(int(k), float(at + level_at)) for k, at in zip(inside, x, strict=True)]
    chance = _probability(model, said, ~unsaid, constant, value)
    places = np.log2(np.array([[target[axis] for axis in design.axes] for target in s.targets]))
    places = places.reshape(-1, len(powers))
    return RuleCheck(
        name=rule.name,
        source=rule.source,
        exponents=dict(by_axis),
        level="its own" if constant is not None else "fitted",
        cost=float(np.mean(costs)),
        worst=float(np.max(costs)),
        probability=chance,
        rejected=chance < 1.0 - s.level,
        predictions=tuple(float(v) for v in np.exp2(value(places) + level_at)),
        note="" if rule.tokens and constant is None else rule.note,
    )


def _in_free(model: Law, powers: FloatArray, fixed: IntArray) -> tuple[FloatArray, BoolArray]:
    """A rule's exponents along the free axes, tied ones included, [F]; and of which it says nothing, [F]."""
    design = model.basis.design
    said = powers[list(design.free)].copy()
    unsaid = np.array([i not in fixed for i in design.free])
    for j, line in design.tied.items():
        said += powers[j] * line[1:]
        if j in fixed:
            unsaid &= ~(np.abs(line[1:]) > 0)
    return said, unsaid


def _probability(
    model: Law,
    said: FloatArray,
    held: BoolArray,
    constant: float | None,
    value: Callable[[FloatArray], FloatArray],
) -> float:
    """Of a law as far from the rule as the runs' is, or further, were the rule true."""
    from scipy.special import gammaincc  # here, so that importing the package stays quick

    hp = model.hp
    columns = [1 + int(i) for i in np.flatnonzero(held)]
    aim = [float(said[i - 1]) for i in columns]
    if constant is not None:
        centre = _whole(model, hp.origin)
        columns, aim = [0, *columns], [float(value(centre[None])[0]) + constant, *aim]
    draws = hp.draws[:, columns]
    away = hp.parameters[columns] - np.array(aim)
    covariance = np.atleast_2d(np.cov(draws.T)) + LEAST_VARIANCE * np.eye(len(columns))
    if constant is not None:  # the plane's level is known no better than points scatter
        covariance[0, 0] += float(np.mean(hp.scatter_draws**2))
    chi2 = float(away @ np.linalg.solve(covariance, away))
    return float(gammaincc(len(columns) / 2, chi2 / 2))


def _whole(model: Law, free: FloatArray) -> FloatArray:
    """All axes at free coordinates [F], tied ones on the shared path, [A]."""
    design = model.basis.design
    out = np.zeros(len(design.axes))
    out[list(design.free)] = free
    for j, line in design.tied.items():
        out[j] = line[0] + free @ line[1:]
    return out
