"""Optimizer groups: LR, decay and eps of every tensor, merged where they are equal."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import Any, Literal, get_args

from torch import nn

from hptransfer.errors import RuleError, one_of
from hptransfer.parametrization.constants import NONE, Constants, Factors, tensor_constants
from hptransfer.parametrization.optimizers import DECAY_KINDS, OPTIMIZERS, MuonAdjust, get_optimizer
from hptransfer.parametrization.parameters import matching
from hptransfer.parametrization.plan import ModelPlan, TensorPlan
from hptransfer.parametrization.rule import Rule
from hptransfer.parametrization.rule_arithmetic import in_coordinates
from hptransfer.parametrization.tensor_settings import (
    EpsRule,
    GroupSettings,
    TrainingSettings,
    group_settings,
)

Groups = list[dict[str, Any]]
OneOptimizer = Literal["use_muon", "algorithm"]  # the key by which a class of Muon and AdamW tells its groups
Wanted = dict[str, GroupSettings]  # by tensor name


def optimizer_settings(
    plan: ModelPlan,
    model: nn.Module,
    training: TrainingSettings,
    constants: Factors,
    no_decay: Sequence[str],
    without: Collection[str] | None,
) -> Wanted:
    """What every trainable tensor's group must hold before any schedule; see `Scaling.param_groups`.

    Tensors `without` are Muon's. Its eta is in muP coordinates, and then so is that of all others.
    """
    _check_training(plan.rule, training)
    rule = plan.rule if without is None else in_coordinates(plan.rule, "mup")
    live = plan.live_parameters(model)
    kept = {n for p in no_decay for n in matching(p, live, "a no_decay pattern must match a tensor")}
    by_name = _constants(plan, constants)
    wanted = {}
    for tensor in plan.tensors:
        if live[tensor.name].parameter.requires_grad and tensor.name not in (without or ()):
            _thawed(plan, tensor)
            growth = replace(tensor.growth, decays=tensor.growth.decays and tensor.name not in kept)
            wanted[tensor.name] = group_settings(rule, growth, training, by_name.get(tensor.name, NONE))
    return wanted


def _constants(plan: ModelPlan, constants: Factors) -> dict[str, Constants]:
    return tensor_constants({t.name: (t.role, t.tensor.aliases) for t in plan.tensors}, constants)


def _thawed(plan: ModelPlan, tensor: TensorPlan) -> None:
    if tensor.frozen:
        raise RuleError(
            f"a tensor that is trained must not have been frozen when {plan.rule.name} was applied, but "
            f"{tensor.name} was: call hpt.parametrize again, with requires_grad as it is in training"
        )


def muon_settings(
    plan: ModelPlan,
    model: nn.Module,
    training: TrainingSettings,
    constants: Factors,
    stacks: Sequence[str] = (),
) -> Wanted:
    """The same of hidden matrices under Muon, with eta in muP coordinates; see `Scaling.muon_groups`."""
    one_of(training.muon_adjust, get_args(MuonAdjust), "adjust", RuleError)
    _check(lr=training.lr, weight_decay=training.weight_decay)
    one_of(training.decay, DECAY_KINDS, "decay", RuleError)
    live, rule = plan.live_parameters(model), in_coordinates(plan.rule, "mup")
    by_name = _constants(plan, constants)
    stacked = {n for p in stacks for n in matching(p, live, "a pattern of stacks must match a tensor")}
    wanted = {}
    for tensor in plan.tensors:
        of_stack = tensor.role == "hidden" and tensor.name in stacked
        if not live[tensor.name].parameter.requires_grad or not (tensor.is_matrix or of_stack):
            continue
        if tensor.factors.multiplier != 1.0:
            raise RuleError(
                f"Muon has its own width rule, but {rule.name} puts a multiplier on {tensor.name}; use "
                "hpt.without_multipliers(rule)"
            )
        _thawed(plan, tensor)
        wanted[tensor.name] = group_settings(rule, tensor.growth, training, by_name.get(tensor.name, NONE))
    if not wanted:
        raise RuleError("Muon must have hidden matrices to train, but the model has none of two dimensions")
    return wanted


def merged(plan: ModelPlan, model: nn.Module, wanted: Wanted) -> Groups:
    """Groups for a torch optimizer: tensors with equal settings together, their names under `names`."""
    by_settings: dict[tuple[float | None, ...], list[str]] = {}
    for name, settings in wanted.items():
        key = (settings.lr, settings.weight_decay, settings.eps, plan.ramp(name, 1.0))
        by_settings.setdefault(key, []).append(name)
    live, groups = plan.live_parameters(model), []
    for (lr, weight_decay, eps, _), names in by_settings.items():
        group: dict[str, Any] = {"params": [live[name].parameter for name in names]}
        group |= {"lr": lr, "weight_decay": weight_decay, "names": names}
        adjust = wanted[names[0]].muon_adjust
        group |= {} if eps is None else {"eps": eps}
        groups.append(group if adjust is None else group | {"adjust_lr_fn": adjust})
    return groups


def for_one_optimizer(groups: Groups, style: OneOptimizer) -> Groups:
    """Groups of Muon and of AdamW as a class that does both takes them, each marked for what trains it."""
    one_of(style, get_args(OneOptimizer), "style", RuleError)
    found = []
    for group in groups:
        muon = "adjust_lr_fn" in group
        # Such classes check or pass on the keys of a group, so that there may be none of ours.
        kept = {key: value for key, value in group.items() if key not in ("names", "adjust_lr_fn")}
        if style == "use_muon":
            found.append({**kept, "use_muon": muon})
        else:
            spelt = {"epsilon" if key == "eps" else key: value for key, value in kept.items()}
            found.append({**spelt, "algorithm": "muon" if muon else "adamw"})
    return found


def _check_training(rule: Rule, training: TrainingSettings) -> None:
    valid = [name for name, entry in OPTIMIZERS.items() if not entry.matrices_only]
    one_of(training.optimizer, valid, "optimizer", RuleError)
    optimizer = get_optimizer(training.optimizer)
    if optimizer.family != rule.optimizer:
        raise RuleError(
            f"the scaling must be for the optimizer's family, but it is for {rule.optimizer} and "
            f"{optimizer.name} is {optimizer.family}: parametrize(..., optimizer={optimizer.family!r})"
        )
    one_of(training.decay, DECAY_KINDS, "decay", RuleError)
    one_of(training.eps_rule, get_args(EpsRule), "eps_rule", RuleError)
    _check(lr=training.lr, weight_decay=training.weight_decay)
    if training.eps is not None:
        _check(eps=training.eps)
    if training.weight_decay and not optimizer.takes_decay(training.decay):
        raise RuleError(
            f"decay={training.decay!r} must be free of the gradient, but {optimizer.name} adds decay to "
            "the gradient and divides both by its denominator; use AdamW"
        )


def _check(**settings: float) -> None:
    for name, value in settings.items():
        low_enough = value > 0 or (value == 0 and name == "weight_decay")
        if not (low_enough and value < float("inf")):
            raise RuleError(f"{name} must be positive and finite, but got {value!r}")
