"""Named rules of the literature beside the law: what they say, their cost, whether the runs reject them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from hptransfer.quantify.axes.model import AxesModel
from hptransfer.quantify.axes.result import Place, RuleCheck
from hptransfer.sweep.names import base_name, joined, word_set
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
LEAST_VARIANCE = 1e-6  # of an exponent; keeps the covariance of exponents invertible


@dataclass(frozen=True)
class Rule:
    """eta* = level x product of the axes to these powers."""

    name: str
    source: str
    exponents: Mapping[str, float]  # by kind of axis; of other axes it says nothing
    log2_level: float | None = None  # None: exponents only
    note: str = ""


RULES = (
    Rule("step-law", "arXiv:2503.04715", {"params": -0.713, "tokens": 0.307}, float(np.log2(1.79)),
         "params without the embedding"),
    Rule("DeepSeek compute law", "arXiv:2401.02954", {"params": -0.125, "tokens": -0.125},
         float(np.log2(0.3118) - 0.125 * np.log2(6.0)), "C = 6 params tokens"),
    Rule("DeepSeek compute law", "arXiv:2401.02954", {"compute": -0.125}, float(np.log2(0.3118))),
    Rule("longer horizon, LR ~ tokens^-0.32", "arXiv:2409.19913", {"tokens": -0.32}),
    Rule("square root of batch", "arXiv:2205.10287", {"batch": 0.5}),
    Rule("linear in batch", "arXiv:1706.02677", {"batch": 1.0}),
    Rule("constant decay timescale, LR ~ batch / tokens", "arXiv:2505.13738", {"batch": 1.0, "tokens": -1.0},
         None, "weight decay fixed, batch and tokens together"),
    Rule("constant decay timescale, LR ~ 1 / tokens", "arXiv:2505.13738", {"tokens": -1.0},
         None, "weight decay and batch fixed"),
    Rule("muP, LR as its user sets it", "arXiv:2203.03466", {"width": 0.0}, None, "LR in muP coordinates"),
    Rule("muP, LR of hidden weights under Adam", "arXiv:2203.03466", {"width": -1.0}, None,
         "LR in SP coordinates"),
    Rule("the same LR everywhere", "", dict.fromkeys(KINDS, 0.0)),
)  # fmt: skip


def kind_of(axis: str) -> str | None:
    """What an axis is by its name: width, params, depth, tokens, batch or compute; None where unknown."""
    name = joined(base_name(axis))
    return next((kind for kind, names in KINDS.items() if name in names), None)


def check_rules(model: AxesModel, targets: tuple[Place, ...], level: float) -> tuple[RuleCheck, ...]:
    """Every rule that speaks about these axes."""
    design = model.basis.design
    kinds = {kind_of(axis): axis for axis in design.axes}
    out = []
    for rule in RULES:
        if rule.name == "the same LR everywhere":
            out.append(_check(model, rule, dict.fromkeys(design.axes, 0.0), targets, level))
        elif set(rule.exponents) <= kinds.keys() and not _told_better(rule, kinds):
            by_axis = {kinds[kind]: power for kind, power in rule.exponents.items()}
            out.append(_check(model, rule, by_axis, targets, level))
    return tuple(out)


def _told_better(rule: Rule, kinds: Mapping[str | None, str]) -> bool:
    """Whether another form of the rule speaks about more of the axes."""
    return rule.name.endswith("1 / tokens") and "batch" in kinds


def _check(
    model: AxesModel, rule: Rule, by_axis: Mapping[str, float], targets: tuple[Place, ...], level: float
) -> RuleCheck:
    """One rule, its exponents by axis; where it says nothing of an axis, the law's own exponent is taken."""
    basis, hp = model.basis, model.hp
    design, whole = basis.design, basis.points.z
    own = rule.log2_level is not None
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
    constant = rule.log2_level if own and not unsaid.any() else None
    level_at = float(np.mean(basis.basins.x[inside] - x)) if constant is None else constant
    costs = [
        float(basis.basins.regret_at(int(k), np.array([at + level_at]))[0])
        for k, at in zip(inside, x, strict=True)
    ]
    chance = _probability(model, said, ~unsaid, constant, value)
    places = np.log2(np.array([[target[axis] for axis in design.axes] for target in targets])).reshape(
        -1, len(powers)
    )
    return RuleCheck(
        name=rule.name,
        source=rule.source,
        exponents=dict(by_axis),
        level="its own" if constant is not None else "fitted to these runs",
        cost=float(np.mean(costs)),
        worst=float(np.max(costs)),
        probability=chance,
        rejected=chance < 1.0 - level,
        predictions=tuple(float(v) for v in np.exp2(value(places) + level_at)),
        note=rule.note,
    )


def _in_free(model: AxesModel, powers: FloatArray, fixed: IntArray) -> tuple[FloatArray, BoolArray]:
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
    model: AxesModel,
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


def _whole(model: AxesModel, free: FloatArray) -> FloatArray:
    """All axes at free coordinates [F], tied ones on the shared path, [A]."""
    design = model.basis.design
    out = np.zeros(len(design.axes))
    out[list(design.free)] = free
    for j, line in design.tied.items():
        out[j] = line[0] + free @ line[1:]
    return out
