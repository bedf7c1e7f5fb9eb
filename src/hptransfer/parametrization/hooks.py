"""Forward multipliers on a live model: hooks on modules that apply a tensor, and attention's own scale."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd

from hptransfer.errors import RuleError
from hptransfer.parametrization.layers import is_transposed_linear
from hptransfer.parametrization.parameters import modules


@dataclass(frozen=True)
class Factor:
    """Factors on what one module reads and gives."""

    module: str  # canonical name
    on_input: float  # for a layer y = W x + b this is a multiplier on W alone
    on_output: float
    why: str  # what it is for, in messages


@dataclass(frozen=True)
class AttentionSite:
    """Where an attention module keeps the scale of its logits."""

    module: str  # canonical name
    attribute: str  # of the module
    value: float  # that the rule asks for


class ForwardFactor:
    """A hook that multiplies, and that knows whether its module was ever called: not every one is."""

    def __init__(self, factor: float) -> None:
        self.factor = factor
        self.was_called = False


class InputFactor(ForwardFactor):
    """A forward pre-hook that multiplies the module's first positional input."""

    def __call__(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """The input, multiplied."""
        self.was_called = True
        if not args:
            raise RuleError(f"{type(module).__name__} must be given its input by position to be multiplied")
        return (args[0] * self.factor, *args[1:])


class OutputFactor(ForwardFactor):
    """A forward hook that multiplies the module's output, or the first of several."""

    def __call__(self, module: nn.Module, _args: Any, output: Any) -> Any:
        """The output, multiplied."""
        self.was_called = True
        if isinstance(output, torch.Tensor):
            return output * self.factor
        if isinstance(output, tuple) and output and isinstance(output[0], torch.Tensor):
            return (output[0] * self.factor, *output[1:])
        raise RuleError(f"{type(module).__name__} must give a tensor to be multiplied, not {type(output)}")


def takes_factor(module: nn.Module, parent: nn.Module | None) -> str | None:
    """`input` or `output`: where a factor on the module equals a multiplier on its weight; None: nowhere.

    nn.MultiheadAttention reads its projections' weights without calling them, so no hook would fire.
    """
    if isinstance(parent, nn.MultiheadAttention):
        return None
    if isinstance(module, (nn.Linear, _ConvNd)) or is_transposed_linear(module):
        return "input"
    return "output" if isinstance(module, nn.Embedding) else None


def set_factors(model: nn.Module, factors: tuple[Factor, ...]) -> None:
    """Puts the factors on a model's modules, in place of any that stand there.

    Call it before torch.compile; hooks are kept by deepcopy, DDP and FSDP2, not by a state dict.
    """
    by_name = modules(model)
    for module in by_name.values():
        # Hooks are found by type, not by handle: a handle does not survive deepcopy or pickling.
        for hooks in (module._forward_pre_hooks, module._forward_hooks):
            for key in [key for key, hook in hooks.items() if isinstance(hook, ForwardFactor)]:
                del hooks[key]
    for factor in factors:
        module = by_name[factor.module]
        if factor.on_input != 1.0:
            module.register_forward_pre_hook(InputFactor(factor.on_input))
        if factor.on_output != 1.0:
            module.register_forward_hook(OutputFactor(factor.on_output))


def live_factors(module: nn.Module) -> tuple[float, float]:
    """The factors (on input, on output) that stand on a module; several multiply."""
    hooks = _standing(module)
    on_input = math.prod(hook.factor for hook in hooks if isinstance(hook, InputFactor))
    return on_input, math.prod(hook.factor for hook in hooks if isinstance(hook, OutputFactor))


def was_called(module: nn.Module) -> bool:
    """Whether a factor on the module has ever been applied in a forward pass."""
    return any(hook.was_called for hook in _standing(module))


def _standing(module: nn.Module) -> list[ForwardFactor]:
    hooks: list[object] = [*module._forward_pre_hooks.values(), *module._forward_hooks.values()]
    return [hook for hook in hooks if isinstance(hook, ForwardFactor)]


def set_attention(model: nn.Module, sites: tuple[AttentionSite, ...]) -> None:
    """Sets the scale of attention logits on the modules that keep one."""
    by_name = modules(model)
    for site in sites:
        setattr(by_name[site.module], site.attribute, site.value)
