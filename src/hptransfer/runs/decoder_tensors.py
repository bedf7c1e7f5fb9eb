"""The reference decoder's tensors as plain data: names, shapes, roles, initial weights. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from hptransfer.parametrization.rule import ROLES, Role
from hptransfer.runs.model_config import ModelConfig

Start = Literal["normal", "ones", "zeros"]
GROUPS: tuple[str, ...] = (*ROLES, *(f"blocks.{role}" for role in ROLES))  # tensors that a rule treats alike


@dataclass(frozen=True)
class TensorLayout:
    """One tensor of the decoder."""

    name: str  # as in the module's state dict
    # [out, in] for matrices, [rows, width] for embeddings, [width] or [1] for norm gains.
    shape: tuple[int, ...]
    role: Role  # what it is when width grows
    base_std: float = 0.0  # std of its initial weights under SP at this width; 0 where they are not drawn
    start: Start = "normal"  # normal draws, or what it starts at
    zero_rows: int = 0  # the first rows that start at zero all the same (zero query init)
    ends_branch: bool = False  # whether it is of the last layer of a residual branch

    @property
    def group(self) -> str:
        """Its role, and whether it is in a block: all that a rule tells tensors apart by."""
        return f"blocks.{self.role}" if self.name.startswith("blocks.") else self.role


def tensor_layout(model: ModelConfig, residual_depth: int | None = None) -> tuple[TensorLayout, ...]:
    """Every trainable tensor of the decoder, in forward order; a tied readout is no tensor of its own.

    SP: hidden and readout std 1/sqrt(fan_in), residual projections divided by sqrt(2 depth),
    embeddings `embedding_std` at every width.

    Args:
        model: its shape and options.
        residual_depth: depth that counts in the residual projections' std; default: the model's.
    """
    residual = 1 / math.sqrt(2 * (residual_depth or model.depth)) if model.residual_init == "depth" else 1.0
    return tuple(_tensors(model, residual))


def _tensors(model: ModelConfig, residual: float) -> Iterator[TensorLayout]:
    width = model.width
    yield TensorLayout("token_embedding.weight", (model.vocab, width), "embedding", model.embedding_std)
    if model.positions == "learned":
        table = (model.context, width)
        yield TensorLayout("position_embedding.weight", table, "embedding", model.embedding_std)
    if model.embedding_norm:
        yield from _norm(model, "embedding_norm", width)
    for block in range(model.depth):
        yield from _block(model, f"blocks.{block}", residual)
    yield from _norm(model, "norm", width)
    if not model.tied:
        yield TensorLayout("readout.weight", (model.vocab, width), "readout", width**-0.5)
    if "readout" in model.biases:
        yield TensorLayout("readout.bias", (model.vocab,), "scalar", start="zeros")


def _block(model: ModelConfig, prefix: str, residual: float) -> Iterator[TensorLayout]:
    width, hidden = model.width, model.hidden
    queries, keys = model.query_heads * model.d_head, model.key_heads * model.d_head
    inner = 2 * hidden if model.activation == "swiglu" else hidden
    zero = queries if model.zero_query_init else 0
    yield from _norm(model, f"{prefix}.attention_norm", width)
    yield from _linear(model, f"{prefix}.qkv", (queries + 2 * keys, width), width**-0.5, zero_rows=zero)
    if model.qk_norm:
        yield from _norm(model, f"{prefix}.query_norm", model.d_head, grows=model.head_dim is None)
        yield from _norm(model, f"{prefix}.key_norm", model.d_head, grows=model.head_dim is None)
    shape = (width, width)
    yield from _linear(model, f"{prefix}.projection", shape, residual * width**-0.5, ends_branch=True)
    yield from _norm(model, f"{prefix}.mlp_norm", width)
    yield from _linear(model, f"{prefix}.mlp_in", (inner, width), width**-0.5)
    shape = (width, hidden)
    yield from _linear(model, f"{prefix}.mlp_out", shape, residual * hidden**-0.5, ends_branch=True)


def _linear(
    model: ModelConfig,
    name: str,
    shape: tuple[int, int],
    std: float,
    *,
    zero_rows: int = 0,
    ends_branch: bool = False,
) -> Iterator[TensorLayout]:
    yield TensorLayout(f"{name}.weight", shape, "hidden", std, "normal", zero_rows, ends_branch)
    if "hidden" in model.biases:
        yield TensorLayout(f"{name}.bias", shape[:1], "vector", start="zeros", ends_branch=ends_branch)


def _norm(model: ModelConfig, name: str, length: int, *, grows: bool = True) -> Iterator[TensorLayout]:
    """Gain and bias of a norm; `grows`: whether its length does with width."""
    role: Role = "vector" if grows else "scalar"
    if model.gains == "vector":
        yield TensorLayout(f"{name}.weight", (length,), role, start="ones")
    elif model.gains == "scalar":
        yield TensorLayout(f"{name}.weight", (1,), "scalar", start="ones")
    if "norm" in model.biases:
        yield TensorLayout(f"{name}.bias", (length,), role, start="zeros")


def at_width(model: ModelConfig, width: int) -> ModelConfig:
    """The same model at another width: heads stay and the head dimension grows, or the other way round."""
    return model.model_copy(update={"width": width})


def parameter_count(model: ModelConfig) -> int:
    """Trainable parameters, embeddings and readout included; a tied tensor counts once."""
    return sum(math.prod(t.shape) for t in tensor_layout(model))


@lru_cache(maxsize=1024)  # a run asks for its number of steps at every step
def counted_parameters(model: ModelConfig, counted: Literal["all", "without_embeddings"]) -> int:
    """Trainable parameters as a budget counts them.

    `without_embeddings` leaves out the token and position embeddings, the readout and its bias, whose size
    goes with vocabulary and context.
    """
    if counted == "all":
        return parameter_count(model)
    outside = ("token_embedding.weight", "position_embedding.weight", "readout.weight", "readout.bias")
    return sum(math.prod(t.shape) for t in tensor_layout(model) if t.name not in outside)
