"""Layout of one tensor: which dimension is fan-in, which fan-out, and which of them grow with width."""

from __future__ import annotations

import re
from dataclasses import dataclass

from torch import nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from hptransfer.parametrization.parameters import NamedParameter

NORMS = (nn.LayerNorm, nn.RMSNorm, nn.GroupNorm, _NormBase)
# Under weight normalisation W = length x direction / |direction|: the two tensors, in both of torch's ways.
LENGTHS = {"weight_g": "weight_v", "weight.original0": "weight.original1"}
_EXPERTS_OUT = re.compile(r"down|w2|out")  # names of stacked matrices that write to the width


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
    # A layer's type outranks its shape: a linear layer to one output is a readout, one row is a table.
    is_vector = _depthwise(named.module, infinite) if fan_in is not None else len(wide) <= 1
    return Layer(kind, fan_in, fan_out, infinite, is_vector, f"{list(base)} -> {list(shape)}")


def _layout(named: NamedParameter, shape: tuple[int, ...]) -> tuple[str, int | None, int | None]:
    module, attribute = named.module, named.attribute
    if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) and attribute == "weight":
        return "embedding", 0, 1
    if isinstance(module, NORMS) or _is_gain(named):
        return "norm", None, None
    if "bias" in attribute and "table" not in attribute:
        return "bias", None, None
    if len(shape) < 2 or attribute in LENGTHS:
        return "parameter", None, None
    if isinstance(module, (nn.RNNBase, nn.RNNCellBase)) and attribute.startswith("weight_"):
        return "linear", 1, 0  # [gates x hidden, input]
    if isinstance(module, (nn.Linear, _ConvNd)) or is_transposed_linear(module) or _sized(module, shape):
        kind = "conv" if isinstance(module, _ConvNd) else "linear"
        transposed = isinstance(module, _ConvTransposeNd) or is_transposed_linear(module)
        return (kind, 0, 1) if transposed else (kind, 1, 0)
    if type(module).__name__.endswith("Experts") and len(shape) == 3:
        return ("experts", 1, 2) if _transposed_experts(module, attribute, shape) else ("experts", 2, 1)
    return "parameter", None, None


def _is_gain(named: NamedParameter) -> bool:
    """Whether a class of someone's own that is called a norm holds it, and nothing speaks against it."""
    if not re.search(r"norm(\dd)?$", type(named.module).__name__.lower()) or "bias" in named.attribute:
        return False
    tensor = named.parameter.detach()  # a gain starts constant, a matrix does not
    return tensor.is_meta or type(tensor).__name__ == "DTensor" or bool((tensor == tensor.flatten()[0]).all())


def _sized(module: nn.Module, shape: tuple[int, ...]) -> bool:
    """Whether it says its sizes as nn.Linear does, and its weight is laid out like one's."""
    sides = (getattr(module, "out_features", None), getattr(module, "in_features", None))
    return shape == sides


def _transposed_experts(module: nn.Module, attribute: str, shape: tuple[int, ...]) -> bool:
    """Whether a stack of matrices is [experts, in, out]."""
    width = getattr(module, "hidden_size", getattr(module, "hidden_dim", None))
    if not hasattr(module, "is_transposed") and (shape[1] == width) != (shape[2] == width):
        writes_width = bool(_EXPERTS_OUT.search(attribute))
        return (shape[1] == width) != writes_width
    return bool(getattr(module, "is_transposed", False))


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
