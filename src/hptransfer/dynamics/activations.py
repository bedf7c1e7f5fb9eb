"""Activations of a forward pass, layer by layer, by hooks; the model's code is not touched.

`observe` is the one place that looks inside a forward pass. `record_forward` keeps what the probes need of
the last call of every layer; `layer_outputs` copies every call's output, for the coordinate check.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode

from hptransfer.parametrization.layers import is_transposed_linear
from hptransfer.parametrization.parameters import modules

MASKED = -1e9  # logits at or below it are masked out, whatever way a model writes its mask
SOFTMAX = (torch.softmax, Tensor.softmax, F.softmax)
LOGITS = "logits"  # the row of a model's output that no layer gives
_PASSING = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d)


class Call(NamedTuple):
    """One call of a module."""

    name: str  # of the module
    module: nn.Module
    arguments: tuple[Any, ...]  # positional
    output: Any


OnCall = Callable[[Call], None]
OnLogits = Callable[[str, Tensor], None]  # name of the innermost module, and what its softmax reads, detached


@contextmanager
def observe(model: nn.Module, on_call: OnCall, on_logits: OnLogits | None = None) -> Iterator[None]:
    """Tells of every call of a module, and of every softmax, in the forward passes inside.

    Attention inside fused kernels other than scaled_dot_product_attention (nn.MultiheadAttention,
    flash-attn) is not seen.

    Args:
        model: plain; the inside of a compiled one is not seen.
        on_call: called when a module returns, inner modules first.
        on_logits: called with the logits of every softmax and scaled_dot_product_attention; for the latter
            they are computed once more. None spares that.
    """
    inside: list[str] = []  # names of the modules being run, outermost first
    with ExitStack() as stack:
        for handle in _hooks(model, inside, on_call):
            stack.callback(handle.remove)
        if on_logits is not None:
            stack.enter_context(_SoftmaxMode(inside, on_logits))
        yield


@dataclass
class ForwardRecord:
    """What was seen in the last forward pass; nothing is copied."""

    # of every layer with a weight, by module name; token ids for embeddings
    inputs: dict[str, Tensor] = field(default_factory=dict)
    outputs: dict[str, Tensor] = field(default_factory=dict)  # of the same
    # of every attention, by the innermost module that computes it, [..., queries, keys]; masked: -inf
    logits: dict[str, Tensor] = field(default_factory=dict)

    def clear(self) -> None:
        """Forget everything, so that activations can be freed."""
        for seen in (self.inputs, self.outputs, self.logits):
            seen.clear()


@contextmanager
def record_forward(model: nn.Module) -> Iterator[ForwardRecord]:
    """A record of every forward pass inside, the last call of each layer in it."""
    record = ForwardRecord()

    def on_call(call: Call) -> None:
        value = call.arguments[0] if call.arguments else None
        if layer_kind(call.module) and isinstance(value, Tensor) and isinstance(call.output, Tensor):
            record.inputs[call.name], record.outputs[call.name] = value.detach(), call.output.detach()

    def on_logits(name: str, logits: Tensor) -> None:
        if logits.ndim == 4:  # attention; fewer: a classifier's softmax
            record.logits[name] = logits.masked_fill(logits <= MASKED, -torch.inf)

    with observe(model, on_call, on_logits):
        yield record


@torch.no_grad()
def layer_outputs(
    model: nn.Module, forward: Callable[[], Any], tables: Mapping[str, Tensor] | None = None
) -> dict[str, Tensor]:
    """What every layer gives in one forward pass in evaluation mode, in the order of the calls.

    Layers are modules without children, or with tensors of their own; one that is called several times has
    its outputs joined. Beside them stand the logits that a softmax or scaled_dot_product_attention reads,
    under the innermost module that calls it; masked ones are zero.

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

    def keep(name: str, value: Tensor) -> None:
        parts.setdefault(name, []).append(value.detach().float().flatten().clone())

    seen: dict[int, Tensor] = {}  # the layers' outputs by id, which `parts` has copies of

    def on_call(call: Call) -> None:
        called.add(call.name)
        value = _first_tensor(call.output)
        if value is not None and _is_layer(call.module):
            keep(call.name, value)
            seen[id(value)] = value
        elif call.module is model:
            logits = getattr(call.output, "logits", call.output)
            if isinstance(logits, Tensor) and logits.ndim > 1 and id(logits) not in seen:
                keep(LOGITS, logits)  # no layer gives them: they are computed in the model's own code

    def on_logits(name: str, logits: Tensor) -> None:
        what = "attention logits" if logits.ndim == 4 else "softmax input"
        keep(f"{name} {what}".strip(), logits.masked_fill(logits <= MASKED, 0.0))

    with observe(model, on_call, on_logits), evaluating(model):
        forward()
    for name, tensor in (tables or {}).items():
        if tensor.ndim < 2 or name.rpartition(".")[0] not in called:
            keep(name, tensor)
    return {name: torch.cat(pieces) for name, pieces in parts.items()}


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


def layer_kind(module: nn.Module) -> str | None:
    """`linear`, `transposed` (GPT-2's Conv1D), `embedding` or `other`; None for a module without a weight."""
    if not isinstance(getattr(module, "weight", None), Tensor):
        return None
    if isinstance(module, (nn.Linear, nn.Embedding)):
        return "linear" if isinstance(module, nn.Linear) else "embedding"
    return "transposed" if is_transposed_linear(module) else "other"


# More than six parameters: they are those of torch's function, in its order.
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
    """The logits inside torch's scaled_dot_product_attention, whose arguments it takes, [..., queries, keys].

    Masked ones are -inf, or as low as the mask puts them.
    """
    if enable_gqa:
        key = key.repeat_interleave(query.size(-3) // key.size(-3), dim=-3)
    logits = query @ key.transpose(-2, -1) * (1 / math.sqrt(query.size(-1)) if scale is None else scale)
    if is_causal:
        ones = torch.ones(logits.shape[-2:], dtype=torch.bool, device=logits.device)
        logits = logits.masked_fill(~ones.tril(), -math.inf)
    if attn_mask is None:
        return logits
    return logits.masked_fill(~attn_mask, -math.inf) if attn_mask.dtype == torch.bool else logits + attn_mask


def _hooks(model: nn.Module, inside: list[str], on_call: OnCall) -> Iterator[Any]:
    """Handles of two hooks a module, hung as they are asked for."""

    def enter(name: str) -> Callable[..., None]:
        return lambda _module, _arguments: inside.append(name)

    def leave(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, arguments: tuple[Any, ...], output: Any) -> None:
            if inside:  # the outermost may have been entered before it had hooks
                inside.pop()
            on_call(Call(name, module, arguments, output))

        return hook

    for name, module in modules(model).items():
        yield module.register_forward_pre_hook(enter(name))
        yield module.register_forward_hook(leave(name))


class _SoftmaxMode(TorchFunctionMode):
    """Sees every call of a softmax or of scaled_dot_product_attention, and the logits it reads."""

    def __init__(self, inside: Sequence[str], on_logits: OnLogits) -> None:
        super().__init__()
        self.inside, self.on_logits = inside, on_logits

    def __torch_function__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.scaled_dot_product_attention:
            with torch.no_grad():
                self._tell(attention_logits(*args, **kwargs))
        elif func in SOFTMAX:
            self._tell(args[0] if args else kwargs["input"])
        return func(*args, **kwargs)

    def _tell(self, logits: Tensor) -> None:
        self.on_logits(self.inside[-1] if self.inside else "", logits.detach())


def _is_layer(module: nn.Module) -> bool:
    if isinstance(module, _PASSING):
        return False
    return next(module.children(), None) is None or any(p is not None for p in module._parameters.values())


def _first_tensor(output: Any) -> Tensor | None:
    """The output, or the first of several; None where it holds no real numbers."""
    while isinstance(output, (tuple, list)) and output:
        output = output[0]
    return output if isinstance(output, Tensor) and output.is_floating_point() and output.numel() else None
