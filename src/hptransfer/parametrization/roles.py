"""Roles of any module tree's tensors, from the same model at two widths (meta device suffices)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import NoReturn, cast

from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.layers import LENGTHS, Layer, layer_of
from hptransfer.parametrization.pairing import Pairing, pair
from hptransfer.parametrization.parameters import NamedParameter, shape_of
from hptransfer.parametrization.rule import ROLES, Role

# Names decide only where module type and shape leave it open; first match wins.
CONVENTIONS: tuple[tuple[str, Role, str], ...] = (
    ("*lora_A*", "hidden", "LoRA's A reads the whole width (arXiv:2402.12354)"),
    ("*lora_B*", "embedding", "LoRA's B writes to the width from a fixed rank"),
    ("*lora_embedding_B*", "embedding", "LoRA's B writes to the width from a fixed rank"),
    ("*.router.*", "readout", "a router's logits are a readout of the stream"),
    ("*.gate.weight", "readout", "a router's logits are a readout of the stream"),
    ("*_a_proj*.weight", "hidden", "a latent of fixed rank inside attention"),
    ("*relative_position_bias_table*", "embedding", "a table of biases on attention logits"),
    ("*[kv]_proj.weight", "hidden", "keys and values of a fixed number of heads are internal"),
    ("*.key.weight", "hidden", "keys of a fixed number of heads are internal"),
    ("*.value.weight", "hidden", "values of a fixed number of heads are internal"),
    ("*pos_emb*", "embedding", "a positional table"),
    ("*position*", "embedding", "a positional table"),
    ("*rg_lru.*_gate_weight", "vector", "a gate of fixed blocks, a few inputs a channel"),
    ("*A_log", "vector", "state-space decay, one row a channel"),
    ("*.D", "vector", "state-space skip, one value a channel"),
    ("*dt_bias", "vector", "state-space step bias"),
)
_MIXTURE = re.compile(r"expert|router|gate|score", re.IGNORECASE)  # in names of tensors of a mixture
_KEYS = re.compile(r"(^|\.)(key|value)\.weight$")


@dataclass(frozen=True)
class TensorRole:
    """What one tensor is when width grows.

    Attributes:
        name: canonical; the embedding's where a readout shares the tensor.
        role: embedding, hidden, readout, vector or scalar.
        shape: in the model.
        base_shape: in the base.
        dimension: whose ratio counts: fan-in for hidden and readout, else the one that grows; None: none.
        block: whether it lies in a repeated block (of a ModuleList, or of a Sequential of like blocks).
        aliases: other names of the same tensor.
        reason: what decided.
    """

    name: str
    role: Role
    shape: tuple[int, ...]
    base_shape: tuple[int, ...]
    dimension: int | None
    block: bool
    aliases: tuple[str, ...]
    reason: str

    @property
    def ratio(self) -> float:
        """Its own width ratio, m."""
        return 1.0 if self.dimension is None else self.shape[self.dimension] / self.base_shape[self.dimension]


def find_roles(
    model: nn.Module, base: nn.Module, overrides: Mapping[str, Role | str] | None = None
) -> tuple[TensorRole, ...]:
    """The role of every tensor.

    Module type decides first, shapes second, names by convention last; an override by name pattern
    (shell-style, first match wins) goes before all.

    Args:
        model: at the width in question; may be on the meta device, compiled or wrapped.
        base: the same model at another width.
        overrides: pattern -> role.

    Raises:
        RuleError: the two are not the same model at two widths, an override is unknown or matches nothing,
            or a tensor's role is ambiguous; the text names the tensor and the override to write.
    """
    return paired_roles(pair(model, base), overrides or {})


def paired_roles(pairing: Pairing, overrides: Mapping[str, Role | str]) -> tuple[TensorRole, ...]:
    """Roles of tensors already matched with the base's; as `find_roles`."""
    check_overrides(overrides, pairing)
    return tuple(_tensor_role(name, pairing, overrides) for name in pairing.tensors)


def _tensor_role(name: str, pairing: Pairing, overrides: Mapping[str, Role | str]) -> TensorRole:
    named, block = pairing.tensors[name], name in pairing.in_blocks
    shape, base_shape = shape_of(named.parameter), shape_of(pairing.base_of[name].parameter)
    layer = _of_one_expert(layer_of(named, shape, base_shape), named, base_shape, pairing)
    chosen = overridden(named, overrides)
    if chosen is None and named.attribute in LENGTHS and not layer.infinite:
        _no_readout_lengths(named, pairing)
    role, reason = chosen or _decide(named, layer, block, pairing)
    dimension = _own_dimension(named, role, layer, shape, base_shape)
    return TensorRole(name, role, shape, base_shape, dimension, block, named.aliases, reason)


def _of_one_expert(
    layer: Layer, named: NamedParameter, base_shape: tuple[int, ...], pairing: Pairing
) -> Layer:
    """The layout where the number of experts is another in the base: that is no width."""
    if not pairing.experts or not _MIXTURE.search(named.name):
        return layer
    sizes = list(zip(shape_of(named.parameter), base_shape, strict=True))
    return replace(layer, infinite=frozenset(d for d in layer.infinite if sizes[d] not in pairing.experts))


def overridden(named: NamedParameter, overrides: Mapping[str, Role | str]) -> tuple[Role, str] | None:
    """The role that the user has given, and by what pattern; None where there is none."""
    for pattern, role in overrides.items():
        if any(fnmatchcase(name, pattern) for name in (named.name, *named.aliases)):
            return cast(Role, role), f"override {pattern}"
    return None


def _decide(named: NamedParameter, layer: Layer, block: bool, pairing: Pairing) -> tuple[Role, str]:
    if not layer.infinite:
        return "scalar", "no dimension grows"
    if layer.kind in ("norm", "bias") or layer.is_vector:
        return "vector", f"{layer.kind}, one value a channel"
    if layer.kind == "embedding":
        if 0 not in layer.infinite:
            return "embedding", "an embedding table"
        raise RuleError(
            f"an embedding's number of rows must not grow with width, but {named.name} {layer.change} does; "
            "use the same vocabulary in both builds"
        )
    if layer.fan_in is None:
        return _raw(named, layer)
    grows_in, grows_out = layer.fan_in in layer.infinite, layer.fan_out in layer.infinite
    if grows_in and grows_out:
        return "hidden", f"{layer.kind}, both sides grow"
    if grows_out:
        return "embedding", f"{layer.kind}, only its output grows"
    return narrowing(named, layer, block, pairing)


def _raw(named: NamedParameter, layer: Layer) -> tuple[Role, str]:
    """A parameter whose module type says nothing of which side is which."""
    if len(layer.infinite) >= 2:
        return "hidden", "two dimensions grow"
    why = "one dimension grows, and its module does not say which side it is"
    return by_convention(named.name) or unclear(named, layer, why)


def _likely(named: NamedParameter, layer: Layer) -> Role:
    """What a bare parameter most probably is, for the line that an error says to write."""
    attribute = named.attribute.lower()
    if re.search(r"bias|norm|gain|scale|gamma|beta|(^|_)b(_|$)", attribute):
        return "vector"
    if re.search(r"unemb|head|logit|readout|classif|(^|_)(u|out|output|cls)(_|$)", attribute):
        return "readout"
    last = max(named.parameter.ndim - 1, 0)
    if (
        re.search(r"emb|pos|tok|quer|prompt|latent|table|memory|(^|_)e(_|$)", attribute)
        or last not in layer.infinite
    ):
        return "embedding"
    return "readout"  # [out, in], torch's order


def narrowing(named: NamedParameter, layer: Layer, block: bool, pairing: Pairing) -> tuple[Role, str]:
    """A matrix whose input alone grows: the network's output, or a bottleneck inside it."""
    if named.name in pairing.outputs:
        return "readout", "the model's output layer"
    one_output = layer.fan_out is not None and named.parameter.shape[layer.fan_out] == 1
    if one_output and "lora_" not in named.name:
        return "readout", f"{layer.kind}, to one output"
    found = by_convention(named.name)
    if found and not block and _KEYS.search(named.name):  # attention outside a stack, or a head of values?
        why = "only its input grows: attention's keys or values (hidden), or an output (readout)?"
        _ambiguous(named, layer, why, "readout")
    if found or not block:
        return found or ("readout", f"{layer.kind}, only its input grows")
    why = "only its input grows, and it lies inside a repeated block: a readout or hidden?"
    rows = {m.num_embeddings for m in pairing.modules.values() if isinstance(m, nn.Embedding)}
    gives_tokens = layer.fan_out is not None and named.parameter.shape[layer.fan_out] in rows
    return _ambiguous(named, layer, why, "readout" if gives_tokens else "hidden")


def by_convention(name: str) -> tuple[Role, str] | None:
    """The role that a tensor's name says, and why."""
    fits = (fnmatchcase(f".{name}", pattern) for pattern, _, _ in CONVENTIONS)
    return next(((role, why) for (_, role, why), fit in zip(CONVENTIONS, fits, strict=True) if fit), None)


def unclear(named: NamedParameter, layer: Layer, why: str) -> NoReturn:
    """The error for a tensor of whose role only a guess can be made.

    Raises:
        RuleError: always; its text has the line to write.
    """
    _ambiguous(named, layer, why, _likely(named, layer))


def _ambiguous(named: NamedParameter, layer: Layer, why: str, likely: Role) -> NoReturn:
    parts = named.name.split(".")
    numbers = [i for i, part in enumerate(parts) if part.isdigit()]
    # A further number at the end is the layer's place in an nn.Sequential, whose others have other roles.
    blocks = numbers[:-1] if len(numbers) > 1 and numbers[-1] == len(parts) - 2 else numbers
    pattern = ".".join("*" if i in blocks else part for i, part in enumerate(parts))
    raise RuleError(
        f"the role of {named.name} {layer.change} ({type(named.module).__name__}) is ambiguous: {why}; "
        f"say which, as overrides={{{pattern!r}: {likely!r}}} (roles: {', '.join(ROLES)}; an embedding's "
        "output is the width, a readout's input)"
    )


def _no_readout_lengths(named: NamedParameter, pairing: Pairing) -> None:
    """Weight normalisation of a readout: its length would have to fall with width, which no role says."""
    direction = named.name.removesuffix(named.attribute) + LENGTHS[named.attribute]
    here, there = (shape_of(at[direction].parameter) for at in (pairing.tensors, pairing.base_of))
    if here != there:
        raise RuleError(
            f"a readout must have no weight normalisation, but {direction} {list(there)} -> {list(here)} "
            f"has its length apart, in {named.name}: leave it off this layer, or say "
            f"overrides={{{named.name!r}: 'scalar'}}"
        )


def _own_dimension(
    named: NamedParameter, role: Role, layer: Layer, shape: tuple[int, ...], base: tuple[int, ...]
) -> int | None:
    if not layer.infinite:
        return None
    if role in ("hidden", "readout") and layer.fan_in is not None:
        if layer.fan_in not in layer.infinite:
            raise RuleError(
                f"a tensor that is {role} must grow on its input side, but {named.name} {layer.change} "
                "grows on its output side alone, as an embedding does: say 'embedding'"
            )
        return layer.fan_in
    if role == "embedding" and layer.fan_out is not None and layer.fan_out in layer.infinite:
        return layer.fan_out
    if len({shape[d] / base[d] for d in layer.infinite}) > 1:
        raise RuleError(
            f"the growing dimensions of {named.name} {layer.change} must grow alike, since its module does "
            "not say which is its fan-in; build both models with one ratio"
        )
    return max(layer.infinite)


def check_overrides(overrides: Mapping[str, Role | str], pairing: Pairing) -> None:
    """Raises RuleError where the user's overrides name an unknown role, or match no tensor."""
    names = [name for named in pairing.tensors.values() for name in (named.name, *named.aliases)]
    for pattern, role in overrides.items():
        if role not in ROLES:
            raise RuleError(f"a role must be one of {', '.join(ROLES)}, but {pattern!r} is given {role!r}")
        if not any(fnmatchcase(name, pattern) for name in names):
            raise RuleError(
                f"an override must match a tensor, but {pattern!r} matches none of {len(names)} "
                f"(such as {names[0]})"
            )
