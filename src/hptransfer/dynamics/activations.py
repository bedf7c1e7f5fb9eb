"""Activations of a forward pass, layer by layer, by hooks; the model's code is not touched."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from hptransfer.parametrization.parameters import modules

MASKED = -1e9  # logits at or below it are masked out, whatever way a model writes its mask
SOFTMAX = (torch.softmax, Tensor.softmax, F.softmax)
_PASSING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


@torch.no_grad()
def activations(
    model: nn.Module, forward: Callable[[], Any], tables: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """What every layer gives in one forward pass in evaluation mode, in the order of the calls.

    Layers are modules without children, or with tensors of their own; one that is called several times has
    its outputs joined. Beside them stand the logits that a softmax or scaled_dot_product_attention reads,
    under the innermost module that calls it; masked ones are zero. Attention inside fused kernels of other
    kinds (nn.MultiheadAttention, flash-attn) is not seen.

    Args:
        model: plain, not compiled.
        forward: calls the model on a fixed batch.
        tables: embeddings and vectors by name. They stand for themselves beside the layers: vectors (gains,
            biases) always, since in an output they are lost; others where their module is never called.

    Returns:
        By layer, a float tensor of one dimension.
    """
    parts: dict[str, list[Tensor]] = {}
    called: set[str] = set()
    inside: list[str] = []  # names of the modules being run, outermost first

    def keep(name: str, value: Tensor) -> None:
        parts.setdefault(name, []).append(value.detach().float().flatten().clone())

    with ExitStack() as stack:
        stack.enter_context(_hooks(model, inside, called, keep))
        stack.enter_context(_LogitsMode(inside, keep))
        stack.enter_context(evaluating(model))
        forward()
    for name, tensor in (tables or {}).items():
        if tensor.ndim < 2 or name.rpartition(".")[0] not in called:
            keep(name, tensor)
    return {name: torch.cat(pieces) for name, pieces in parts.items()}


@contextmanager
def _hooks(
    model: nn.Module, inside: list[str], called: set[str], keep: Callable[[str, Tensor], None]
) -> Iterator[None]:
    handles = []

    def enter(name: str) -> Callable[..., None]:
        return lambda _module, _args: inside.append(name)

    def leave(name: str, kept: bool) -> Callable[..., None]:
        def hook(_module: nn.Module, _args: Any, output: Any) -> None:
            inside.pop()
            called.add(name)
            value = _first_tensor(output)
            if kept and value is not None:
                keep(name, value)

        return hook

    for name, module in modules(model).items():
        handles.append(module.register_forward_pre_hook(enter(name)))
        handles.append(module.register_forward_hook(leave(name, _is_layer(module))))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _is_layer(module: nn.Module) -> bool:
    if isinstance(module, _PASSING):
        return False
    return next(module.children(), None) is None or any(p is not None for p in module._parameters.values())


def _first_tensor(output: Any) -> Tensor | None:
    """The output, or the first of several; None where it holds no real numbers."""
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if isinstance(output, Tensor) and output.is_floating_point() and output.numel() else None


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Evaluation mode, so that dropout is no change; every module's own mode afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


class _LogitsMode(TorchFunctionMode):
    """Sees every call of a softmax or of scaled_dot_product_attention, and the logits it reads."""

    def __init__(self, inside: Sequence[str], keep: Callable[[str, Tensor], None]) -> None:
        super().__init__()
        self.inside, self.keep = inside, keep

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            self._see(attention_logits(*args, **kwargs), "attention logits")
        elif func in SOFTMAX:
            value = args[0] if args else kwargs["input"]
            self._see(value, "attention logits" if value.ndim == 4 else "softmax input")
        return func(*args, **kwargs)

    def _see(self, logits: Tensor, what: str) -> None:
        place = self.inside[-1] if self.inside else ""
        self.keep(f"{place} {what}".strip(), logits.masked_fill(logits <= MASKED, 0.0))


def attention_logits(
    query: Tensor,
    key: Tensor,
    _value: Tensor | None = None,
    attn_mask: Tensor | None = None,
    _dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
    **_others: object,
) -> Tensor:
    """The logits inside torch's scaled_dot_product_attention, -inf where masked, [..., queries, keys]."""
    if enable_gqa:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), dim=-3)
    logits = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.size(-1)) if scale is None else scale)
    if is_causal:
        ones = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(~ones.tril(), -math.inf)
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        logits = logits.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        logits = logits + attn_mask
    return logits
