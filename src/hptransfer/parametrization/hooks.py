"""Forward multipliers on a live model, and attention's own scale.

A module that carries a factor becomes an object of a subclass made for it, whose `forward` multiplies.
Unlike a hook, which torch.compile takes for granted once it has compiled the code, a class and its attributes
are guarded: a factor acts whenever it is set, also after another model of the same shape has been compiled.
"""

from __future__ import annotations

import copy
import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvNd
from torch.utils._pytree import tree_leaves, tree_map

from hptransfer.errors import RuleError
from hptransfer.parametrization.layers import is_transposed_linear
from hptransfer.parametrization.parameters import modules, unwrapped

KEPT_ROWS = 2  # of a batch, for the proof that factors act


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
    native: float = field(default=1.0, compare=False)  # that the model has by itself
    divides: bool = field(default=False, compare=False)  # whether logits are divided by it


class Factored(nn.Module):
    """What a module with a factor becomes: its own class, whose input or output is multiplied.

    Attributes:
        factor_on_input, factor_on_output: None where there is none.
    """

    factor_on_input: float | Tensor | None = None
    factor_on_output: float | Tensor | None = None
    _plain: type[nn.Module]  # the class that the module had
    _first: str  # name of its forward pass's first argument

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """The module's own forward pass, with the factors."""
        factor = self.factor_on_input
        if factor is not None:
            if args:
                args = (args[0] * factor, *args[1:])
            elif self._first in kwargs:
                kwargs = {**kwargs, self._first: kwargs[self._first] * factor}
            else:
                raise RuleError(f"{type(self).__name__} must be given {self._first}, to be multiplied")
        output = super().forward(*args, **kwargs)
        factor = self.factor_on_output
        if factor is None:
            return output
        if isinstance(output, Tensor):
            return output * factor
        if isinstance(output, tuple) and output and isinstance(output[0], Tensor):
            return (output[0] * factor, *output[1:])
        raise RuleError(f"{type(self).__name__} must give a tensor to be multiplied, not {type(output)}")

    def __reduce_ex__(self, protocol: Any) -> Any:
        """Copied and pickled by its own class: the subclass has no name to be imported by."""
        return _remake, (self._plain,), self.__dict__


_CLASSES: dict[type[nn.Module], type[Factored]] = {}  # made so far, by the class that a module had


def _factored(plain: type[nn.Module]) -> type[Factored]:
    if plain in _CLASSES:
        return _CLASSES[plain]
    first = next((name for name in inspect.signature(plain.forward).parameters if name != "self"), "input")
    names = {"_plain": plain, "_first": first, "__module__": plain.__module__, "__doc__": plain.__doc__}
    _CLASSES[plain] = type(plain.__name__, (Factored, plain), names)
    return _CLASSES[plain]


def _remake(plain: type[nn.Module]) -> nn.Module:
    made = _factored(plain)
    return made.__new__(made)


def takes_factor(module: nn.Module, parent: nn.Module | None) -> str | None:
    """`input` or `output`: where a factor on the module equals a multiplier on its weight; None: nowhere.

    nn.MultiheadAttention reads its projections' weights without calling them, so no factor would act.
    """
    if isinstance(parent, nn.MultiheadAttention):
        return None
    if isinstance(module, (nn.Linear, _ConvNd)) or is_transposed_linear(module):
        return "input"
    return "output" if isinstance(module, (nn.Embedding, nn.EmbeddingBag)) else None


def set_factors(model: nn.Module, factors: tuple[Factor, ...]) -> None:
    """Puts the factors on a model's modules, in place of any that stand there.

    They are kept by deepcopy, pickle, DDP, FSDP2, torch.compile and torch.export, not by a state dict.
    """
    by_name = modules(model)
    for module in by_name.values():
        if isinstance(module, Factored):
            module.factor_on_input = module.factor_on_output = None
            if "_plain" in vars(type(module)):  # not where FSDP2 has made its own class of it since
                module.__class__ = module._plain  # type: ignore[assignment]
        for key in [key for key, hook in module._forward_pre_hooks.items() if hook is _called_as_a_layer]:
            del module._forward_pre_hooks[key]
    for factor in factors:
        module = by_name[factor.module]
        if isinstance(by_name.get(factor.module.rpartition(".")[0]), nn.TransformerEncoderLayer):
            module.register_forward_pre_hook(_called_as_a_layer)
        if "forward" in vars(module):
            raise RuleError(
                f"{factor.module or 'the model'} must have its own forward pass to be multiplied, but "
                "something has replaced it on the object (accelerate does): call init_ or apply_ before"
            )
        if not isinstance(module, Factored):
            module.__class__ = _factored(type(module))
        assert isinstance(module, Factored)
        module.factor_on_input = factor.on_input if factor.on_input != 1.0 else None
        module.factor_on_output = factor.on_output if factor.on_output != 1.0 else None


def _called_as_a_layer(_module: nn.Module, _args: Any) -> None:
    """A hook that does nothing: with one, torch's encoder layer leaves its fast path of evaluation.

    That path reads the weights of its layers without calling them, so that no factor would act.
    """


def live_factors(module: nn.Module) -> tuple[float, float]:
    """The factors (on input, on output) that stand on a module."""
    found = (getattr(module, "factor_on_input", None), getattr(module, "factor_on_output", None))
    on_input, on_output = (1.0 if factor is None else float(factor) for factor in found)
    return (on_input, on_output) if isinstance(module, Factored) else (1.0, 1.0)


def set_attention(model: nn.Module, sites: tuple[AttentionSite, ...]) -> None:
    """Sets the scale of attention logits on the modules that keep one."""
    by_name = modules(model)
    for site in sites:
        set_scale(by_name[site.module], site.attribute, site.value)


def set_scale(module: nn.Module, attribute: str, value: float) -> None:
    """Sets a number that a module keeps, as a tensor where it is one."""
    found = getattr(module, attribute)
    setattr(module, attribute, torch.full_like(found, value) if isinstance(found, Tensor) else value)


@dataclass
class Batch:
    """What a model is called with."""

    args: tuple[Any, ...] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)


class BatchRecorder:
    """A forward pre-hook of the whole model that keeps the first batch, or two rows of it, for the proof."""

    def __init__(self) -> None:
        self.batch: Batch | None = None
        self.is_open = True  # until a batch has been kept, and the proof made

    def __call__(self, _module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Keeps the batch; nothing while torch.compile or torch.export reads the code."""
        if torch.compiler.is_compiling() or not self.is_open or self.batch is not None:
            return
        self.batch = Batch(*_few_rows(args, kwargs))

    def __reduce__(self) -> Any:
        """A copied or saved model starts anew."""
        return BatchRecorder, ()


def _few_rows(args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """The first rows of every tensor, copied, where all have as many; else what was given."""
    tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
    if len({tensor.shape[:1] for tensor in tensors}) != 1 or tensors[0].ndim == 0:
        return args, kwargs

    def few(leaf: Any) -> Any:
        return leaf.detach()[:KEPT_ROWS].clone() if isinstance(leaf, Tensor) else leaf

    return tree_map(few, args), tree_map(few, kwargs)


def own_containers(value: Any, *, tensors: bool = False, _done: dict[int, Any] | None = None) -> Any:
    """Arguments whose lists, mappings and caches are copies that a pass may add to.

    Tensors are shared, or, with `tensors`, copied too: a forward pass may work in place on its batch.
    """
    done = {} if _done is None else _done
    if id(value) in done:
        return done[id(value)]
    own = partial(own_containers, tensors=tensors, _done=done)
    if isinstance(value, tuple):
        parts = [own(part) for part in value]
        if all(part is copied for part, copied in zip(value, parts, strict=True)):
            return value  # a size, or another kind of tuple with numbers
        return type(value)(*parts) if hasattr(value, "_fields") else tuple(parts)
    if isinstance(value, (list, dict)):
        done[id(value)] = made = copy.copy(value)
        for key, part in value.items() if isinstance(value, dict) else enumerate(value):
            made[key] = own(part)
        return made
    if isinstance(value, Tensor) and tensors:
        done[id(value)] = value.detach().clone().requires_grad_(value.requires_grad)
        return done[id(value)]
    if isinstance(value, Tensor) or callable(value) or not hasattr(value, "__dict__"):
        return value
    try:
        done[id(value)] = made = copy.copy(value)
    except (TypeError, copy.Error):
        return value  # files, modules and the like
    vars(made).update({key: own(part) for key, part in vars(value).items()})
    return made


def record_batch(model: nn.Module) -> None:
    """Has the model keep the first batch that it is called with from now on."""
    if (recorder := batch_recorder(model)) is None:
        unwrapped(model).register_forward_pre_hook(BatchRecorder(), with_kwargs=True)
    else:
        recorder.batch, recorder.is_open = None, True


def batch_recorder(model: nn.Module) -> BatchRecorder | None:
    """The model's recorder, where `init_` or `apply_` has put one."""
    hooks: list[object] = list(unwrapped(model)._forward_pre_hooks.values())
    return next((hook for hook in hooks if isinstance(hook, BatchRecorder)), None)
