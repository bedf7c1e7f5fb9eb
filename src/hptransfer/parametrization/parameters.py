"""Parameters of a model by canonical name: wrappers' prefixes removed, shared tensors once."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from hptransfer.errors import RuleError

# What torch.compile, DDP, FSDP and activation checkpointing put into names.
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?:\.|$)")


@dataclass(frozen=True)
class NamedParameter:
    """One parameter and the modules that hold it.

    Attributes:
        name: canonical; the first of its names.
        parameter: the live tensor, perhaps on the meta device, perhaps a DTensor.
        module: that holds it under its first name.
        attribute: its name there.
        aliases: other names of the same tensor, as of a tied readout.
    """

    name: str
    parameter: nn.Parameter
    module: nn.Module
    attribute: str
    aliases: tuple[str, ...]


def unwrapped(model: nn.Module) -> nn.Module:
    """The user's module inside DistributedDataParallel, torch.compile and the like."""
    while True:
        if isinstance(model, (nn.parallel.DistributedDataParallel, nn.DataParallel)):
            model = model.module
        elif isinstance(getattr(model, "_orig_mod", None), nn.Module):
            model = model._orig_mod  # type: ignore[assignment]
        else:
            return model


def canonical(name: str) -> str:
    """A name without what wrappers put into it."""
    return _WRAPPERS.sub("", name).rstrip(".")


def modules(model: nn.Module) -> dict[str, nn.Module]:
    """Every module by canonical name; of a wrapper and what it wraps, the wrapped."""
    return {canonical(name): module for name, module in unwrapped(model).named_modules()}


def parameters(model: nn.Module) -> dict[str, NamedParameter]:
    """Every parameter by canonical name, shared ones once.

    Raises:
        RuleError: the model has no parameters, or lazy ones without a shape.
    """
    names: dict[int, list[tuple[str, nn.Module, str, nn.Parameter]]] = {}
    for name, module, attribute, parameter in _holders(unwrapped(model)):
        if isinstance(parameter, nn.parameter.UninitializedParameter):
            raise RuleError(f"every tensor must have a shape, but {name} is lazy; run the model once first")
        names.setdefault(id(parameter), []).append((name, module, attribute, parameter))
    if not names:
        raise RuleError(f"a model must have parameters, but {type(model).__name__} has none")
    named = {}
    for held in names.values():
        # The embedding comes first where a readout shares its tensor: the tensor has the embedding's role.
        held.sort(key=lambda h: not isinstance(h[1], nn.Embedding))
        name, module, attribute, parameter = held[0]
        named[name] = NamedParameter(name, parameter, module, attribute, tuple(h[0] for h in held[1:]))
    return named


def _holders(model: nn.Module) -> Iterator[tuple[str, nn.Module, str, nn.Parameter]]:
    for path, module in model.named_modules():
        for attribute, parameter in module._parameters.items():
            if parameter is not None:
                yield canonical(f"{path}.{attribute}" if path else attribute), module, attribute, parameter


def shape_of(parameter: torch.Tensor) -> tuple[int, ...]:
    """The global shape, also of a sharded tensor."""
    return tuple(int(n) for n in parameter.shape)
