"""Taps: what a forward pass feeds its layers, and the logits of its attention, by hooks."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

from hptransfer.dynamics.activations import MASKED, SOFTMAX, attention_logits
from hptransfer.parametrization.layers import is_transposed_linear
from hptransfer.parametrization.parameters import modules


@dataclass
class Taps:
    """What was seen in the last forward pass.

    Attributes:
        inputs: of every layer with a weight, by module name; token ids for embeddings.
        outputs: of the same.
        logits: of every attention, by the innermost module that computes it; -inf where masked.
    """

    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)
    logits: dict[str, Tensor] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget everything, so that activations can be freed."""
        for seen in (self.inputs, self.outputs, self.logits):
            seen.clear()


@contextmanager
def tapped(model: nn.Module, *, attention: bool = True) -> Iterator[Taps]:
    """Taps of every forward pass inside; the model's code is not touched.

    Args:
        model: plain; the inside of a compiled one is not seen.
        attention: whether to look for attention logits, which costs a second product of queries and keys
            where attention is fused.
    """
    taps = Taps()
    inside: list[str] = []
    with ExitStack() as stack:
        for handle in _hooked(model, taps, inside):
            stack.callback(handle.remove)
        if attention:
            stack.enter_context(_AttentionMode(inside, taps.logits))
        yield taps


def layer_weight(module: nn.Module) -> str | None:
    """`linear`, `transposed` (GPT-2's Conv1D), `embedding` or `other`; None for a module without a weight."""
    if not isinstance(getattr(module, "weight", None), Tensor):
        return None
    if isinstance(module, nn.Linear):
        return "linear"
    if isinstance(module, nn.Embedding):
        return "embedding"
    return "transposed" if is_transposed_linear(module) else "other"


def _hooked(model: nn.Module, taps: Taps, inside: list[str]) -> Iterator[Any]:
    def enter(name: str) -> Callable[..., None]:
        return lambda _module, _args: inside.append(name)

    def leave(name: str, kept: bool) -> Callable[..., None]:
        def hook(_module: nn.Module, args: Any, output: Any) -> None:
            if inside:  # the outermost may have been entered before it had hooks
                inside.pop()
            if kept and args and isinstance(args[0], Tensor) and isinstance(output, Tensor):
                taps.inputs[name], taps.outputs[name] = args[0].detach(), output.detach()

        return hook

    for name, module in modules(model).items():
        yield module.register_forward_pre_hook(enter(name))
        yield module.register_forward_hook(leave(name, layer_weight(module) is not None))


class _AttentionMode(TorchFunctionMode):
    """Sees every attention: a softmax of four-dimensional logits, or scaled_dot_product_attention."""

    def __init__(self, inside: Sequence[str], seen: dict[str, Tensor]) -> None:
        super().__init__()
        self.inside, self.seen = inside, seen

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is torch.nn.functional.scaled_dot_product_attention:
            with torch.no_grad():
                self._see(attention_logits(*args, **kwargs))
        elif func in SOFTMAX:
            value = args[0] if args else kwargs["input"]
            if value.ndim == 4:
                self._see(value)
        return func(*args, **kwargs)

    def _see(self, logits: Tensor) -> None:
        place = self.inside[-1] if self.inside else ""
        logits = logits.detach()
        self.seen[place] = logits.masked_fill(logits <= MASKED, -torch.inf)
