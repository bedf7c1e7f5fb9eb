"""Parameters of a model by canonical name: wrappers' prefixes removed, shared tensors once."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from fnmatch import fnmatchcase

import torch
from torch import nn

from hptransfer.errors import RuleError

# What torch.compile, DDP, FSDP and activation checkpointing put into names.
_WRAPPERS = re.compile(r"(?:^|(?<=\.))(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)(?:\.|$)")


@dataclass(frozen=True)
class NamedParameter:
    """One parameter and the module that holds it."""

    name: str  # canonical; the first of its names
    parameter: nn.Parameter  # the live tensor, perhaps on the meta device, perhaps a DTensor
    module: nn.Module  # that holds it under its first name
    attribute: str  # its name there
    aliases: tuple[str, ...]  # other names of the same tensor, as of a tied readout


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
    held: dict[int, list[tuple[str, nn.Module, str, nn.Parameter]]] = {}
    by_path = dict(unwrapped(model).named_modules())
    for path, module in by_path.items():
        for attribute, parameter in module._parameters.items():
            if parameter is None:
                continue
            name = canonical(f"{path}.{attribute}" if path else attribute)
            # What torch's parametrizations (weight_norm) hold belongs to the layer that they act on.
            owner, of, acted_on = path.rpartition("parametrizations.")
            if of:
                module, attribute = by_path[owner.rstrip(".")], f"{acted_on}.{attribute}"
            if isinstance(parameter, nn.parameter.UninitializedParameter):
                raise RuleError(
                    f"every tensor must have a shape, but {name} is lazy; run the model once first"
                )
            held.setdefault(id(parameter), []).append((name, module, attribute, parameter))
    if not held:
        raise RuleError(f"a model must have parameters, but {type(model).__name__} has none")
    named = {}
    for places in held.values():
        # The embedding comes first where a readout shares its tensor: the tensor has the embedding's role.
        places.sort(key=lambda place: not isinstance(place[1], nn.Embedding))
        name, module, attribute, parameter = places[0]
        aliases = tuple(alias for alias, *_ in places[1:])
        named[name] = NamedParameter(name, parameter, module, attribute, aliases)
    return named


def matching(pattern: str, names: Iterable[str], what: str) -> list[str]:
    """Names that fit a shell-style pattern; an error where none does, which says that `what` must."""
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        raise RuleError(f"{what}, but {pattern!r} matches none")
    return found


def shape_of(parameter: torch.Tensor) -> tuple[int, ...]:
    """The global shape, also of a sharded tensor."""
    return tuple(int(n) for n in parameter.shape)
