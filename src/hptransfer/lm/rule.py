"""What a run's rule gives every tensor of the decoder, as plain numbers. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from types import MappingProxyType

from hptransfer.parametrization.optimizers import OptimizerName, family
from hptransfer.parametrization.rule import Exponents, Role, RoleSettings, Rule
from hptransfer.parametrization.rule_arithmetic import (
    attention_scale,
    get_rule,
    in_coordinates,
    role_settings,
    scaled_eps,
    without_multipliers,
)
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import GROUPS, TensorLayout, at_width, tensor_layout

_L2 = ("adam", "sgd")  # optimizers that add their decay to the gradient
_MATRICES: Role = "hidden"  # the role that Muon trains


@dataclass(frozen=True)
class GroupSettings:
    """What a group of tensors gets in one run; absolute numbers but for `init`.

    Attributes:
        init: factor on the std of the initial weights at the base width (and base depth).
        multiplier: factor on the weights in the forward pass.
        lr: peak learning rate.
        decay: lambda where the optimizer adds it to the gradient (Adam, SGD); else the share of the weight
            that a step at the schedule's peak takes off.
        eps: Adam's.
    """

    init: float
    multiplier: float
    lr: float
    decay: float
    eps: float


@dataclass(frozen=True)
class ForwardScales:
    """Factors in the forward pass that are on no tensor.

    Attributes:
        attention: on the attention logits.
        residual: on every residual branch.
        logits: on the readout's input where it is tied to the embedding; else 1.
    """

    attention: float
    residual: float
    logits: float


def decoder_rule(name: str, optimizer: OptimizerName = "adamw") -> Rule:
    """The rule of that name in SP coordinates, as training reads it.

    Under Muon the hidden matrices' own multiplier is shifted into their init, because Muon's update does not
    know of it.

    Raises:
        RuleError: there is none, or it says nothing about that family of optimizers.
    """
    rule = in_coordinates(get_rule(name, family(optimizer)), "sp")
    if optimizer != "muon":
        return rule
    roles = {**rule.roles, _MATRICES: without_multipliers(rule).roles[_MATRICES]}
    return replace(rule, roles=MappingProxyType(roles))


def group_settings(run: RunSpec) -> dict[str, GroupSettings]:
    """What every group of tensors gets in a run."""
    rule = decoder_rule(run.rule, run.train.optimizer)
    return {group: _group(run, rule, group) for group in GROUPS}


def _group(run: RunSpec, rule: Rule, group: str) -> GroupSettings:
    role: Role = group.removeprefix("blocks.")  # type: ignore[assignment]
    deep = rule.depth.get(role, Exponents()) if group != role else Exponents()
    factors = _factors(run, rule, role, deep)
    lr = _peak_lr(run, role, factors.lr, run.depth_ratio**deep.lr)
    return GroupSettings(
        init=factors.init,
        multiplier=factors.multiplier,
        lr=lr,
        decay=_decay(run, role, factors.weight_decay, lr),
        eps=run.train.eps * _eps(run, rule, role, factors.eps),
    )


def _factors(run: RunSpec, rule: Rule, role: Role, deep: Exponents) -> RoleSettings:
    """The rule's factors for the width ratio times those for the depth ratio."""
    width = role_settings(rule, role, run.width_ratio)
    d = run.depth_ratio
    return RoleSettings(
        init=width.init * d**deep.init,
        multiplier=width.multiplier * d**deep.multiplier,
        lr=width.lr * d**deep.lr,
        weight_decay=width.weight_decay * d**deep.weight_decay,
        eps=width.eps * d**deep.eps,
    )


def _peak_lr(run: RunSpec, role: Role, factor: float, by_depth: float) -> float:
    """Of a role: eta x the rule's factor; of Muon's matrices: eta in muP coordinates x Muon's own width rule.

    An orthogonalised update's spectral norm is free of width under `original`, so its LR stays; under
    `match_rms_adamw` it grows like sqrt(width), so its LR falls like m**-1/2. The rule's factor for depth
    counts, because an update of fixed length adds up over blocks as Adam's does.
    """
    train = run.train
    eta = run.lr * train.lr_batch_factor
    if train.optimizer != "muon":
        return eta * factor
    if role != _MATRICES:
        return eta * factor * train.adamw_lr
    power = 1.0 if train.muon_adjust == "original" else 0.5
    return eta * math.pow(run.width_ratio, power) * by_depth


def _decay(run: RunSpec, role: Role, factor: float, lr: float) -> float:
    train = run.train
    if role in ("vector", "scalar"):  # fewer than two dimensions: the usual choice is not to decay them
        return 0.0
    if train.optimizer in _L2:
        return train.weight_decay * factor
    if train.decay_kind == "independent":
        return train.weight_decay
    if train.decay_kind == "mup":  # eta in muP coordinates x lambda, whatever the role's own LR
        return train.weight_decay * run.lr * train.lr_batch_factor * run.width_ratio
    if train.optimizer == "muon" and role == _MATRICES:  # a rule's factor makes up for its own LR, not Muon's
        return train.weight_decay * lr
    return train.weight_decay * lr * factor


def _eps(run: RunSpec, rule: Rule, role: Role, by_rule: float) -> float:
    if run.train.eps_rule == "scaled":
        return float(run.width_ratio ** scaled_eps(rule, role))
    return by_rule if run.train.eps_rule == "rule" else 1.0


def forward_scales(run: RunSpec) -> ForwardScales:
    """Factors on attention logits, residual branches and tied logits of a run."""
    rule = decoder_rule(run.rule, run.train.optimizer)
    base = at_width(run.model, run.base_width)
    d_head, chosen = run.model.d_head, run.model.attention_scale
    base_d_head = base.head_dim or run.base_width / base.query_heads
    by_name = {"rule": attention_scale(rule, d_head, base_d_head), "sqrt_d": d_head**-0.5, "d": 1 / d_head}
    return ForwardScales(
        attention=by_name[chosen] if isinstance(chosen, str) else chosen,
        residual=float(run.depth_ratio**rule.residual),
        # The embedding's own multiplier is on the tensor, so the tied readout has it already.
        logits=float(run.width_ratio ** (rule.tied or 0.0)) if run.model.tied else 1.0,
    )


def init_stds(run: RunSpec) -> dict[str, float]:
    """Std of every tensor's initial weights under the run's rule; 0 where they are not drawn.

    The rule scales the std at the base width: std(n) = std(n0) x m**init. Under a rule that says something
    of depth, residual projections start as at the base depth.
    """
    rule = decoder_rule(run.rule, run.train.optimizer)
    depth = run.base_depth if rule.depths else None
    base = tensor_layout(at_width(run.model, run.base_width), depth)
    settings = group_settings(run)
    return {
        tensor.name: _std(run, at_base, settings[at_base.group])
        for tensor, at_base in zip(tensor_layout(run.model), base, strict=True)
    }


def _std(run: RunSpec, at_base: TensorLayout, settings: GroupSettings) -> float:
    chosen = run.model.readout_init
    if at_base.role != "readout" or chosen == "rule":
        return at_base.base_std * settings.init
    width = run.model.width
    by_name = {"sqrt_n": width**-0.5, "n": 1 / width, "zero": 0.0}
    return (by_name[chosen] if isinstance(chosen, str) else chosen) / settings.multiplier
