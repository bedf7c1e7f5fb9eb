"""The reference decoder's tensors as plain data: names, shapes, roles, base initialisation. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from hptransfer.errors import RuleError
from hptransfer.lm.config import ModelConfig, RunSpec
from hptransfer.parametrization.rules import (
    RULES,
    Role,
    Rule,
    attention_scale,
    get_rule,
    in_coordinates,
    role_settings,
)


@dataclass(frozen=True)
class TensorLayout:
    """One tensor of the decoder.

    Attributes:
        name: as in the module's state dict.
        shape: [out, in] for matrices, [rows, width] for embeddings, [width] for norm gains.
        role: what it is when width grows.
        base_std: std of its initial weights under SP at this width; 0 for gains, which start at one.
    """

    name: str
    shape: tuple[int, ...]
    role: Role
    base_std: float


def tensor_layout(model: ModelConfig) -> tuple[TensorLayout, ...]:
    """Every trainable tensor of the decoder, in forward order.

    SP: hidden and readout std 1/sqrt(fan_in), residual projections divided by sqrt(2 depth),
    embeddings `embedding_std` at every width.
    """
    width = model.width
    return (
        TensorLayout("token_embedding.weight", (model.vocab, width), "embedding", model.embedding_std),
        TensorLayout("position_embedding.weight", (model.context, width), "embedding", model.embedding_std),
        *(tensor for block in range(model.depth) for tensor in _block(model, f"blocks.{block}")),
        TensorLayout("norm.weight", (width,), "vector", 0.0),
        TensorLayout("readout.weight", (model.vocab, width), "readout", width**-0.5),
    )


def _block(model: ModelConfig, prefix: str) -> Iterator[TensorLayout]:
    width, hidden = model.width, model.mlp_ratio * model.width
    residual = 1 / math.sqrt(2 * model.depth)
    yield TensorLayout(f"{prefix}.attention_norm.weight", (width,), "vector", 0.0)
    yield TensorLayout(f"{prefix}.qkv.weight", (3 * width, width), "hidden", width**-0.5)
    yield TensorLayout(f"{prefix}.projection.weight", (width, width), "hidden", residual * width**-0.5)
    yield TensorLayout(f"{prefix}.mlp_norm.weight", (width,), "vector", 0.0)
    yield TensorLayout(f"{prefix}.mlp_in.weight", (hidden, width), "hidden", width**-0.5)
    yield TensorLayout(f"{prefix}.mlp_out.weight", (width, hidden), "hidden", residual * hidden**-0.5)


def decoder_rule(name: str) -> Rule:
    """The rule of that name in SP coordinates, as training reads it.

    Raises:
        RuleError: there is none, or it needs what this trainer does not do: forward multipliers on tensors
            or residual branches, or a scaled Adam epsilon.
    """
    rule = get_rule(name)
    if not _by_init_and_lr(rule):
        valid = ", ".join(known for known, other in RULES.items() if _by_init_and_lr(other))
        raise RuleError(
            f"the reference decoder trains rules made of init, LR, decay and attention scale, but {name} "
            f"needs forward multipliers or a scaled eps; valid: {valid}"
        )
    return in_coordinates(rule, "sp")


def _by_init_and_lr(rule: Rule) -> bool:
    return (
        rule.residual == 0
        and not rule.depths
        and all(e.multiplier == e.eps == 0 for e in rule.roles.values())
    )


def init_stds(run: RunSpec) -> dict[str, float]:
    """Std of every tensor's initial weights under the run's rule; 0 means ones (a gain).

    The rule scales the std at the base width: std(n) = std(n0) x m**init.
    """
    rule = decoder_rule(run.rule)
    base = {t.name: t.base_std for t in tensor_layout(at_width(run.model, run.base_width))}
    ratio = run.model.width / run.base_width
    return {t.name: base[t.name] * role_settings(rule, t.role, ratio).init for t in tensor_layout(run.model)}


def run_attention_scale(run: RunSpec, rule: Rule) -> float:
    """Factor on the attention logits of this run."""
    return attention_scale(rule, run.model.head_dim, run.base_width / run.model.heads)


def at_width(model: ModelConfig, width: int) -> ModelConfig:
    """The same model at another width; the number of heads stays, so the head dimension grows with width."""
    return model.model_copy(update={"width": width})


def parameter_count(model: ModelConfig) -> int:
    """Trainable parameters, embeddings and readout included."""
    return sum(math.prod(t.shape) for t in tensor_layout(model))
