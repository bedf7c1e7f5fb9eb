"""Roles where no width grows: by the type of each tensor's module, as depth alone changes."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping

from torch import nn
from torch.nn.modules.conv import _ConvNd

from hptransfer.parametrization.layers import NORMS, Layer, layer_of
from hptransfer.parametrization.pairing import Pairing
from hptransfer.parametrization.parameters import NamedParameter, shape_of
from hptransfer.parametrization.roles import (
    TensorRole,
    by_convention,
    check_overrides,
    narrowing,
    overridden,
    unclear,
)
from hptransfer.parametrization.rule import Role

_PER_HEAD = re.compile(r"(^|[._])[qk]_?(norm|ln|layernorm)|head")  # norms over a head, not over the width


def roles_by_type(pairing: Pairing, overrides: Mapping[str, Role | str]) -> tuple[TensorRole, ...]:
    """The role of every tensor of a model that has its base's width.

    Which side of a matrix is the width is told by its type and by the lengths of norms and embeddings: a
    side that is shorter than the width of its block is taken to stay when width grows.

    Raises:
        RuleError: an override is unknown or matches nothing, or a role is ambiguous.
    """
    check_overrides(overrides, pairing)
    widths = _Widths(pairing)
    found = []
    for name, named in pairing.tensors.items():
        shape = shape_of(named.parameter)
        role, reason = overridden(named, overrides) or _role(named, pairing, widths)
        inside = name in pairing.in_blocks
        found.append(TensorRole(name, role, shape, shape, None, inside, named.aliases, reason))
    return tuple(found)


class _Widths:
    """The width of the model, and of each block, as their norms and tables say it."""

    def __init__(self, pairing: Pairing) -> None:
        self._blocks: dict[str, list[int]] = {}
        tables, sides = [], list[int]()
        for name, named in pairing.tensors.items():
            if isinstance(named.module, nn.Embedding):
                tables.append(named.module.embedding_dim)
            elif isinstance(named.module, NORMS) and not _PER_HEAD.search(name):
                self._blocks.setdefault(_block(name), []).append(max(shape_of(named.parameter)))
            elif isinstance(named.module, (nn.Linear, _ConvNd)) and name in pairing.in_blocks:
                sides += shape_of(named.parameter)[:2]
        norms = [length for lengths in self._blocks.values() for length in lengths]
        lengths = tables or norms or sides or [1]
        self._model = Counter(lengths).most_common(1)[0][0]
        self.all = {self._model, *tables, *norms}

    def at(self, name: str) -> int:
        """The width of the block that a tensor is in."""
        return min(self._blocks.get(_block(name), [self._model]))


def _block(name: str) -> str:
    """A tensor's name up to the last number in it: the block that holds it."""
    return re.match(r"(.*\.\d+(?=\.)|)", name)[0]  # type: ignore[index]


def _role(named: NamedParameter, pairing: Pairing, widths: _Widths) -> tuple[Role, str]:
    shape = shape_of(named.parameter)
    layer = layer_of(named, shape, shape)
    why = f"{layer.kind}, by its type, since no width grows"
    if named.parameter.numel() == 1 and layer.fan_in is None:
        return "scalar", why
    if layer.kind in ("norm", "bias") or layer.is_vector or _is_depthwise(named):
        return "vector", why
    if layer.kind == "embedding":
        return "embedding", why
    if layer.fan_in is None or layer.fan_out is None:
        return by_convention(named.name) or unclear(named, layer, "no width grows")
    return _matrix(named, layer, pairing, widths)


def _matrix(named: NamedParameter, layer: Layer, pairing: Pairing, widths: _Widths) -> tuple[Role, str]:
    """A layer's weight. In a block, a side shorter than its width is fixed; outside, any that is no width."""
    assert layer.fan_in is not None
    assert layer.fan_out is not None
    shape, block = shape_of(named.parameter), pairing.is_in_stack(named.name)
    fan_in = shape[layer.fan_in] * (named.module.groups if isinstance(named.module, _ConvNd) else 1)
    fan_out, width = shape[layer.fan_out], widths.at(named.name)
    reads, writes = (side >= width if block else side in widths.all for side in (fan_in, fan_out))
    if named.name in pairing.outputs:
        return "readout", "the model's output layer"
    if reads and writes:
        return "hidden", f"{layer.kind}, both of whose sides are widths of norms"
    if writes:
        return "embedding", f"{layer.kind}, whose output alone is a width of norms"
    if reads:
        return narrowing(named, layer, block, pairing)
    return by_convention(named.name) or unclear(named, layer, "neither side is a width that norms have")


def _is_depthwise(named: NamedParameter) -> bool:
    module = named.module
    return isinstance(module, _ConvNd) and 1 < module.groups == module.in_channels
