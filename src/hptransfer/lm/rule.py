"""What a run's rule gives every tensor of the decoder, as plain numbers. No torch here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from hptransfer.parametrization.constants import Constants
from hptransfer.parametrization.optimizers import OptimizerName, family, get_optimizer
from hptransfer.parametrization.rule import Role, Rule
from hptransfer.parametrization.rule_arithmetic import (
    attention_scale,
    get_rule,
    in_coordinates,
    without_multipliers,
)
from hptransfer.parametrization.tensor_settings import (
    GroupSettings,
    Growth,
    TrainingSettings,
    group_settings,
)
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import GROUPS, TensorLayout, at_width, tensor_layout

_MATRICES: Role = "hidden"  # the role of the decoder's tensors that Muon trains


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
    if not get_optimizer(optimizer).matrices_only:
        return rule
    return replace(rule, roles={**rule.roles, _MATRICES: without_multipliers(rule).roles[_MATRICES]})


def decoder_settings(run: RunSpec) -> dict[str, GroupSettings]:
    """What every group of tensors gets in a run, by `TensorLayout.group`."""
    rule, train = decoder_rule(run.rule, run.train.optimizer), run.train
    training = TrainingSettings(
        optimizer=train.optimizer,
        lr=run.lr * train.lr_batch_factor,
        weight_decay=train.weight_decay,
        eps=train.eps,
        decay=train.decay_kind,
        eps_rule=train.eps_rule,
        muon_adjust=train.muon_adjust,
        others_lr=train.adamw_lr,
    )
    factors = {} if train.lr_factors is None else train.lr_factors.model_dump()
    growths = {group: _growth(run, group) for group in GROUPS}
    return {
        group: group_settings(rule, growth, training, Constants(factors.get(growth.role, 1.0)))
        for group, growth in growths.items()
    }


def _growth(run: RunSpec, group: str) -> Growth:
    """How a group's tensors grow; in the decoder all dimensions that grow do so by one ratio."""
    role: Role = group.removeprefix("blocks.")  # type: ignore[assignment]
    m = run.width_ratio
    depth_ratio = run.depth_ratio if group != role else 1.0
    # Fewer than two dimensions: the usual choice is not to decay them.
    decays = role not in ("vector", "scalar")
    return Growth(role, m, m, depth_ratio, longest_ratio=m, decays=decays, tied=run.model.tied)


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
    depth = run.base_depth if rule.scales_depth else None
    base = tensor_layout(at_width(run.model, run.base_width), depth)
    settings = decoder_settings(run)
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
