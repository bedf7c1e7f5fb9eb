"""parametrize(): a rule applied to a model, from its shapes at two widths."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.attention import attention_sites, known_heads
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.parametrization.custom import as_rule
from hptransfer.parametrization.hf_models import at_another_width, build_at_width
from hptransfer.parametrization.initial_values import check_initial_values
from hptransfer.parametrization.initialize import base_std
from hptransfer.parametrization.layers import layer_of
from hptransfer.parametrization.multipliers import module_factors, native_embeddings
from hptransfer.parametrization.optimizers import Family
from hptransfer.parametrization.pairing import Pairing, pair
from hptransfer.parametrization.parameters import shape_of, unwrapped
from hptransfer.parametrization.plan import TensorPlan
from hptransfer.parametrization.roles import TensorRole, paired_roles
from hptransfer.parametrization.rule import Role, Rule
from hptransfer.parametrization.rule_arithmetic import check_depth, in_coordinates
from hptransfer.parametrization.scaling import Scaling
from hptransfer.parametrization.tensor_settings import Growth, decays, tensor_factors
from hptransfer.parametrization.typed_roles import roles_by_type


def parametrize(
    model: nn.Module,
    *,
    base: nn.Module | None = None,
    rule: Rule | str | Path | Mapping[str, Any] = "mup",
    optimizer: Family = "adam",
    coordinates: Coordinates | None = None,
    base_width: int | None = None,
    width: int | None = None,
    base_depth: int | None = None,
    heads: Literal["grow", "fixed"] = "grow",
    other: nn.Module | None = None,
    overrides: Mapping[str, Role | str] | None = None,
    attention: Mapping[str, str] | bool | None = None,
    residual: Sequence[str] = (),
    width_ratio: float | None = None,
    narrower: bool = False,
) -> Scaling:
    """Applies a rule to a model, given the same model at the base width. Changes nothing yet.

    Args:
        model: at the width to train; the meta device will do.
        base: the same model at the base width, built as it is trained (its init std are measured); on the
            meta device it gives shapes alone.
        rule: catalogue name, Rule, mapping or YAML file.
        optimizer: adam (also AdamW, Lion) or sgd.
        coordinates: that `lr` will be read in; default: the rule's own.
        base_width: instead of `base`, for a Hugging Face model: its config is scaled down and built.
        width: the model's, where given it is checked.
        base_depth: with `base_width`: number of blocks of the base; default: the model's.
        heads: with `base_width`: whether heads grow with width (head dimension stays) or stay.
        other: a build at any other width, to tell roles by; needed where the model is the base itself. Where
            depth alone grows, roles go by the config or by the types of modules without it.
        overrides: name pattern -> role, first match wins.
        attention: module pattern -> attribute with the logits' scale; False: leave attention alone.
        residual: patterns of the last modules of residual branches, for rules with depth.
        width_ratio: m, where the model's dimensions do not all grow by one ratio.
        narrower: allow a model narrower than its base.

    Raises:
        RuleError: the rule is unknown; the two builds are not one architecture at two widths (names, shapes,
            depth, direction); a role is ambiguous; a forward multiplier has no place.
    """
    chosen = as_rule(rule, optimizer)
    chosen = in_coordinates(chosen, coordinates) if coordinates else chosen
    base = _base(base, base_width, lambda n: build_at_width(model, n, width, heads, base_depth))
    pairing = pair(model, base, same_width=other is not None)
    for ratio in pairing.depth_ratios.values():
        check_depth(chosen, ratio)
    if other is None and pairing.is_one_width:
        other = at_another_width(base)
    if other is not None:
        tensors = _from_other(pairing, pair(other, base), overrides or {})
    elif pairing.is_one_width:
        tensors = roles_by_type(pairing, overrides or {})
    else:
        tensors = paired_roles(pairing, overrides or {})
    _check_direction(tensors, narrower)
    ratio = _model_ratio(tensors) if width_ratio is None else width_ratio
    check_initial_values(tensors, pairing, chosen, ratio)
    spared = _spared(model, pairing)
    plans = tuple(_plan(t, chosen, ratio, pairing, spared) for t in tensors)
    native = native_embeddings(pairing)
    return Scaling(
        rule=chosen,
        ratio=ratio,
        depth_ratio=pairing.depth_ratio,
        tensors=plans,
        factors=module_factors(model, pairing, plans, chosen, residual),
        attention=attention_sites(pairing, chosen, attention),
        heads_known=None if attention is False else known_heads(pairing),
        native=native,
    )


def _base(base: nn.Module | None, base_width: int | None, build: Callable[[int], nn.Module]) -> nn.Module:
    if base is not None and base_width is None:
        return base
    if base_width is None or base is not None:
        raise RuleError("one of base= (a model) and base_width= (for Hugging Face models) must be given")
    return build(base_width)


def _from_other(
    pairing: Pairing, third: Pairing, overrides: Mapping[str, Role | str]
) -> tuple[TensorRole, ...]:
    """Roles from a third width, with the shapes of the model in question."""
    by_base = {third.base_of[t.name].name: t for t in paired_roles(third, overrides)}
    found = []
    for name, named in pairing.tensors.items():
        at_base = pairing.base_of[name]
        shape, base_shape = shape_of(named.parameter), shape_of(at_base.parameter)
        role = by_base[at_base.name]
        found.append(replace(role, name=name, shape=shape, base_shape=base_shape, aliases=named.aliases))
    return tuple(found)


def _check_direction(tensors: Sequence[TensorRole], narrower: bool) -> None:
    wider = next((t for t in tensors if t.ratio > 1), None)
    thinner = next((t for t in tensors if t.ratio < 1), None)
    if wider and thinner:
        raise RuleError(
            f"every width must grow the same way, but {wider.name} grows {wider.base_shape} -> {wider.shape} "
            f"and {thinner.name} shrinks {thinner.base_shape} -> {thinner.shape}"
        )
    if thinner and not narrower:
        raise RuleError(
            f"the model must be wider than its base, but {thinner.name} is {thinner.base_shape} in the base "
            f"and {thinner.shape} in the model: are the two swapped? (narrower=True if it is meant)"
        )


def _model_ratio(tensors: Sequence[TensorRole]) -> float:
    growing = [t for t in tensors if t.dimension is not None]
    ratios = {t.ratio for t in growing if t.role == "embedding"} or {t.ratio for t in growing}
    if len(ratios) > 1:
        raise RuleError(
            f"the model's width ratio must be clear, but its dimensions grow by {sorted(ratios)}; give "
            "width_ratio="
        )
    return ratios.pop() if ratios else 1.0  # none where depth alone grows


def _plan(
    tensor: TensorRole, rule: Rule, ratio: float, pairing: Pairing, spared: Collection[str]
) -> TensorPlan:
    named = pairing.tensors[tensor.name]
    layer = layer_of(named, tensor.shape, tensor.base_shape)
    out = layer.fan_out if tensor.role == "hidden" else None
    growth = Growth(
        role=tensor.role,
        # A tensor of fixed length has no width of its own: its settings go by the model's.
        ratio=ratio if tensor.role == "scalar" else tensor.ratio,
        model_ratio=ratio,
        depth_ratio=pairing.depth_of(tensor.name),
        longest_ratio=max(tensor.shape, default=1) / max(tensor.base_shape, default=1),
        decays=decays(tensor.role, tensor.shape) and tensor.name not in spared,
        fan_out_ratio=None if out is None else tensor.shape[out] / tensor.base_shape[out],
        tied=pairing.tied,
    )
    std = base_std(pairing.base_of[tensor.name].parameter)
    factors = tensor_factors(rule, growth)
    return TensorPlan(tensor, growth, factors, std, frozen=not named.parameter.requires_grad)


def _spared(model: nn.Module, pairing: Pairing) -> set[str]:
    """Tensors that the model itself marks as not to be decayed."""
    marked = {
        n for n, named in pairing.tensors.items() if getattr(named.parameter, "_no_weight_decay", False)
    }
    listed = getattr(unwrapped(model), "no_weight_decay", None)
    return marked | set(listed() if callable(listed) else ())
