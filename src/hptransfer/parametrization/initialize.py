"""Initial weights and forward multipliers, set on a live model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from hptransfer.errors import RuleError
from hptransfer.parametrization.hooks import record_batch, set_attention, set_factors
from hptransfer.parametrization.initial_values import is_trained_copy
from hptransfer.parametrization.layers import LENGTHS, is_transposed_linear, layer_of
from hptransfer.parametrization.parameters import NamedParameter, shape_of
from hptransfer.parametrization.plan import ModelPlan, TensorPlan

MATRIX_ROLES = ("embedding", "hidden", "readout")


def base_std(parameter: torch.Tensor) -> float | None:
    """Std of a tensor's weights; 0 for a constant one (a gain, a zero bias), None on the meta device."""
    if parameter.is_meta:
        return None
    if parameter.numel() < 2:
        return 0.0
    return float(parameter.detach().double().std(correction=0))


def apply_(plan: ModelPlan, model: nn.Module) -> nn.Module:
    """Sets forward multipliers and attention scales; see `Scaling.apply_`."""
    plan.live_parameters(model)
    set_factors(model, plan.factors)
    set_attention(model, plan.attention)
    record_batch(model)
    return model


@torch.no_grad()
def init_(plan: ModelPlan, model: nn.Module, seed: int | None, std: Literal["base", "rule"]) -> nn.Module:
    """Sets initial weights and forward multipliers; see `Scaling.init_`."""
    if std not in ("base", "rule"):
        raise RuleError(f"std must be 'base' or 'rule', but got {std!r}")
    live = plan.live_parameters(model)
    for tensor in plan.tensors:
        named = live[tensor.name]
        if not named.parameter.requires_grad or is_trained_copy(named, live):
            continue  # pretrained weights, or a table that is fixed
        if tensor.role in MATRIX_ROLES:
            _check_place(tensor.name, named.parameter, seed)
            wanted = _rule_std(tensor, named) if std == "rule" else _ratio_std(tensor)
        elif _is_drawn(tensor, named) and tensor.base_std is not None:
            wanted = tensor.base_std * tensor.factors.init
        else:
            continue
        if wanted and seed is not None:
            _redraw(named, wanted, seed)
        elif wanted and (found := base_std(named.parameter)):
            named.parameter.mul_(wanted / found)
    for named in live.values():
        if named.attribute in LENGTHS and named.parameter.requires_grad:
            _keep_length(named, live)
    return apply_(plan, model)


def _is_drawn(plan: TensorPlan, named: NamedParameter) -> bool:
    """Whether a vector or scalar gets the rule's std: a random bias, or any whose init the rule scales.

    A bias that starts around another value than zero, as that of Mamba's step sizes, is left alone.
    """
    weight = named.parameter
    if weight.is_meta or weight.numel() < 2 or _is_sharded(weight):
        return False
    if plan.factors.init != 1.0:
        return True
    layer = isinstance(
        named.module, (nn.Linear, _ConvNd, nn.RNNBase, nn.RNNCellBase)
    ) or is_transposed_linear(named.module)
    values = weight.detach().double()
    return layer and "bias" in named.attribute and bool(values.mean().abs() < values.std(correction=0))


def _keep_length(named: NamedParameter, live: Mapping[str, NamedParameter]) -> None:
    """Under weight normalisation: each row's length becomes that of its direction, which the rule has set."""
    direction = live[named.name.removesuffix(named.attribute) + LENGTHS[named.attribute]].parameter
    columns = [d for d in range(direction.ndim) if named.parameter.shape[d] == 1]
    named.parameter.copy_(torch.linalg.vector_norm(direction, dim=columns, keepdim=True))


def _ratio_std(plan: TensorPlan) -> float:
    if plan.base_std is None:
        raise RuleError(
            "the base must have weights for its init to be kept, but it is on the meta device: build it on "
            "the CPU, or take the rule's own init with std='rule'"
        )
    return plan.base_std * plan.factors.init


def _rule_std(plan: TensorPlan, named: NamedParameter) -> float:
    if plan.base_std == 0.0:  # a constant tensor, as LoRA's B, starts where its author put it
        return 0.0
    if plan.role == "embedding":
        return plan.factors.init
    shape = plan.tensor.base_shape
    layer = layer_of(named, plan.tensor.shape, shape)
    if layer.fan_in is None and len(shape) > 2 and shape[-1] != shape[-2]:
        raise RuleError(
            f"std='rule' must know the fan-in, but the module of {plan.name} {list(shape)} does not say "
            "which dimension it is: take std='base'"
        )
    fan_in = shape[-1 if layer.fan_in is None else layer.fan_in]
    if isinstance(named.module, _ConvNd):
        fan_in *= math.prod(shape[2:])
    return float(fan_in**-0.5) * plan.factors.init


def _redraw(named: NamedParameter, wanted: float, seed: int) -> None:
    """Normal draws by seed and name, so that another order, device or sharding changes none."""
    weight = named.parameter
    digest = hashlib.sha256(f"{seed}:{named.name}".encode()).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest[:8], "big") >> 1)
    draws = torch.randn(shape_of(weight), generator=generator, dtype=torch.float64) * wanted
    padding = getattr(named.module, "padding_idx", None)
    if padding is not None:
        draws[padding] = 0
    draws = draws.to(weight.dtype)
    if _is_sharded(weight):
        from torch.distributed.tensor import DTensor, distribute_tensor

        assert isinstance(weight, DTensor)
        # Every process draws all of the tensor and keeps its part: nothing need be sent.
        mesh, placements = weight.device_mesh, weight.placements
        draws = distribute_tensor(draws.to(weight.device), mesh, placements, src_data_rank=None)
    weight.copy_(draws)


def _is_sharded(weight: torch.Tensor) -> bool:
    """Whether it is a DTensor, as under FSDP2."""
    return type(weight.data).__name__ == "DTensor"


def _check_place(name: str, weight: torch.Tensor, seed: int | None) -> None:
    if weight.is_meta:
        raise RuleError(f"the model must have weights to be initialised, but {name} is on the meta device")
    if seed is None and _is_sharded(weight):
        raise RuleError(
            f"init_ must come before fully_shard or be given a seed, but {name} is sharded already: its own "
            "draws cannot be rescaled part by part"
        )
