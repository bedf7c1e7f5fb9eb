"""Layout of one tensor: which dimension is fan-in, which fan-out, and which of them grow with width."""

from __future__ import annotations

from dataclasses import dataclass

from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from hptransfer.parametrization.parameters import NamedParameter


@dataclass(frozen=True)
class Layer:
    """How a tensor's module lays it out."""

    kind: str  # norm, embedding, linear, conv, experts, bias or parameter (of a module that says no more)
    fan_in: int | None  # its input dimension, where known
    fan_out: int | None  # its output dimension, where known
    infinite: frozenset[int]  # the dimensions that grow
    is_vector: bool  # whether only one dimension is longer than one, or each channel has its own
    change: str  # its two shapes, for messages


def layer_of(named: NamedParameter, shape: tuple[int, ...], base: tuple[int, ...]) -> Layer:
    """The layout of a tensor that has one shape in the model and another in the base."""
    infinite = frozenset(d for d, (a, b) in enumerate(zip(shape, base, strict=True)) if a != b)
    kind, fan_in, fan_out = _layout(named, shape)
    wide = [d for d in range(len(shape)) if shape[d] > 1 or base[d] > 1]
    is_vector = len(wide) <= 1 or _depthwise(named.module, infinite)
    return Layer(kind, fan_in, fan_out, infinite, is_vector, f"{list(base)} -> {list(shape)}")


def _layout(named: NamedParameter, shape: tuple[int, ...]) -> tuple[str, int | None, int | None]:
    module = named.module
    if "norm" in type(module).__name__.lower():
        return "norm", None, None
    if isinstance(module, nn.Embedding) and named.attribute == "weight":
        return "embedding", 0, 1
    if len(shape) < 2:
        return "bias" if named.attribute == "bias" else "parameter", None, None
    if isinstance(module, (nn.Linear, _ConvNd)) or is_transposed_linear(module):
        kind = "conv" if isinstance(module, _ConvNd) else "linear"
        transposed = isinstance(module, _ConvTransposeNd) or is_transposed_linear(module)
        return (kind, 0, 1) if transposed else (kind, 1, 0)
    if type(module).__name__.endswith("Experts") and len(shape) == 3:
        transposed = bool(getattr(module, "is_transposed", False))
        return ("experts", 1, 2) if transposed else ("experts", 2, 1)
    return "parameter", None, None


def is_transposed_linear(module: nn.Module) -> bool:
    """Whether it is GPT-2's Conv1D: a linear layer whose weight is [in, out]; told without transformers."""
    return (
        type(module).__name__ == "Conv1D" and hasattr(module, "nf") and getattr(module.weight, "ndim", 0) == 2
    )


def _depthwise(module: nn.Module, infinite: frozenset[int]) -> bool:
    """Whether a convolution gives each channel its own filter: one infinite dimension in all."""
    if not isinstance(module, _ConvNd) or module.groups == 1:
        return False
    return len(infinite) == 1 and module.groups == module.in_channels
