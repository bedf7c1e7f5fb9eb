"""Layouts of tensors: which dimension is fan-in, by the module that holds it."""

import pytest
import torch
from torch import nn

from hptransfer.parametrization.layers import is_transposed_linear, layer_of
from hptransfer.parametrization.parameters import NamedParameter


class Conv1D(nn.Module):
    """GPT-2's linear layer, whose weight is [in, out]."""

    def __init__(self) -> None:
        super().__init__()
        self.nf, self.weight = 8, nn.Parameter(torch.empty(3, 8))


class Experts(nn.Module):
    """A stack of matrices, [experts, out, in]; transposed: [experts, in, out]."""

    def __init__(self, transposed: bool = False) -> None:
        super().__init__()
        self.weight, self.is_transposed = nn.Parameter(torch.empty(2, 8, 3)), transposed


class LlamaExperts(nn.Module):
    """A stack that reads the width, and says only how large the width is."""

    def __init__(self) -> None:
        super().__init__()
        self.hidden_size, self.weight = 4, nn.Parameter(torch.empty(2, 4, 24))


class Holder(nn.Module):
    """Holds a tensor and says no more."""

    def __init__(self, *shape: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(*shape))


@pytest.mark.parametrize(
    ("module", "kind", "fan_in", "fan_out"),
    [
        (nn.Linear(3, 8), "linear", 1, 0),
        (nn.Conv2d(3, 8, 5), "conv", 1, 0),
        (nn.ConvTranspose2d(3, 8, 5), "conv", 0, 1),
        (Conv1D(), "linear", 0, 1),
        (nn.Embedding(3, 8), "embedding", 0, 1),
        (Experts(), "experts", 2, 1),
        (Experts(transposed=True), "experts", 1, 2),
        (nn.LayerNorm(8), "norm", None, None),
        (Holder(3, 8), "parameter", None, None),
        (LlamaExperts(), "experts", 1, 2),
        (Holder(8), "parameter", None, None),
    ],
)
def test_layouts(module: nn.Module, kind: str, fan_in: int | None, fan_out: int | None) -> None:
    named = NamedParameter("x.weight", module.weight, module, "weight", ())
    shape = tuple(module.weight.shape)
    found = layer_of(named, shape, shape)
    assert (found.kind, found.fan_in, found.fan_out) == (kind, fan_in, fan_out)
    assert found.infinite == frozenset()
    assert is_transposed_linear(module) == isinstance(module, Conv1D)


def test_a_bias_and_what_grows() -> None:
    module = nn.Linear(8, 16)
    bias = layer_of(NamedParameter("bias", module.bias, module, "bias", ()), (16,), (4,))
    assert (bias.kind, bias.infinite, bias.is_vector, bias.change) == ("bias", {0}, True, "[4] -> [16]")
    weight = NamedParameter("weight", module.weight, module, "weight", ())
    both = layer_of(weight, (16, 8), (4, 2))
    assert (both.infinite, both.is_vector, both.change) == ({0, 1}, False, "[4, 2] -> [16, 8]")
    assert layer_of(weight, (16, 8), (4, 8)).infinite == {0}
    # A layer's type outranks a dimension of one; a bare tensor with one long dimension is a vector.
    assert not layer_of(weight, (16, 1), (4, 1)).is_vector
    holder = Holder(16, 1)
    bare = NamedParameter("weight", holder.weight, holder, "weight", ())
    assert layer_of(bare, (16, 1), (4, 1)).is_vector
    assert not layer_of(weight, (16, 1), (4, 2)).is_vector


@pytest.mark.parametrize(("groups", "is_vector"), [(8, True), (4, False), (1, False)])
def test_a_filter_of_each_channel_is_a_vector(groups: int, is_vector: bool) -> None:
    module = nn.Conv1d(8, 8, 3, groups=groups)
    named = NamedParameter("weight", module.weight, module, "weight", ())
    shape = tuple(module.weight.shape)
    assert layer_of(named, shape, (4, *shape[1:])).is_vector == is_vector
