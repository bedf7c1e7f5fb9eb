"""Fused causal attention as an operator that vmap can lift: the stack is folded into the batch.

vmap has no rule for the backward pass of `scaled_dot_product_attention` and would loop over the runs. Here
both passes are operators of their own with such a rule, so that a whole stack is one kernel call, and
attention's weights [context, context] are never in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

# Shapes in names: B sequences, H heads, T tokens, K head dimension.
_aten = torch.ops.aten
_Pair = tuple[Tensor, Tensor]
_Triple = tuple[Tensor, Tensor, Tensor]


def fused_attention(q_BHTK: Tensor, k_BHTK: Tensor, v_BHTK: Tensor, scale: Tensor) -> Tensor:
    """softmax(scale x q k, causal) v, [B, H, T, K]; the scale is put on the queries, as it may differ by run.

    Args:
        q_BHTK: queries.
        k_BHTK: keys, of as many heads.
        v_BHTK: values.
        scale: factor on the logits, zero-dimensional.
    """
    dtype = v_BHTK.dtype  # under autocast norms and rotations have put queries and keys back into float32
    q_BHTK = (q_BHTK * scale.to(q_BHTK.dtype)).to(dtype)
    out_BHTK: Tensor = _attention(q_BHTK, k_BHTK.to(dtype), v_BHTK)
    return out_BHTK


def aligned(d_head: int) -> bool:
    """Whether CUDA's kernel takes this head dimension in every precision: it reads eight at a time."""
    return d_head % 8 == 0


def _forward_kernel(q: Tensor, k: Tensor, v: Tensor) -> _Pair:
    """Output, and log-sum-exp of the logits for the backward pass."""
    q, k, v = (x.contiguous() for x in (q, k, v))
    if q.device.type == "cuda":
        out, logsumexp, _, _ = _aten._scaled_dot_product_efficient_attention(
            q, k, v, None, True, 0.0, True, scale=1.0
        )
    else:
        out, logsumexp = _aten._scaled_dot_product_flash_attention_for_cpu(q, k, v, 0.0, True, scale=1.0)
    return out.contiguous(), logsumexp.contiguous()


def _backward_kernel(
    grad: Tensor, q: Tensor, k: Tensor, v: Tensor, out: Tensor, logsumexp: Tensor
) -> _Triple:
    """Gradients of queries, keys and values."""
    grad, q, k, v = (x.contiguous() for x in (grad, q, k, v))
    if q.device.type == "cuda":
        none = torch.zeros((), dtype=torch.int64, device=q.device)  # seed and offset of a dropout that is not
        mask = [True, True, True, False]
        found = _aten._scaled_dot_product_efficient_attention_backward(
            grad, q, k, v, None, out, logsumexp, none, none, 0.0, mask, True, scale=1.0
        )[:3]
    else:
        found = _aten._scaled_dot_product_flash_attention_for_cpu_backward(
            grad, q, k, v, out, logsumexp, 0.0, True, scale=1.0
        )
    dq, dk, dv = (x.contiguous() for x in found)
    return dq, dk, dv


def _forward_fake(q: Tensor, *_: Tensor) -> _Pair:
    length = q.shape[2]
    if q.device.type == "cuda":
        length = (length + 31) // 32 * 32  # that kernel pads
    single = torch.float32 if q.dtype in (torch.bfloat16, torch.float16) else q.dtype
    return torch.empty_like(q, memory_format=torch.contiguous_format), q.new_empty(
        (q.shape[0], q.shape[1], length), dtype=single
    )


def _backward_fake(_: Tensor, *inputs: Tensor) -> _Triple:
    dq, dk, dv = (torch.empty_like(x, memory_format=torch.contiguous_format) for x in inputs[:3])
    return dq, dk, dv


def _folded(operator: Any, info: Any, in_dims: Sequence[int | None], *args: Tensor) -> Any:
    """An operator on [stack, B, ...] tensors as one on [stack x B, ...]."""
    size = info.batch_size
    whole = [
        x.unsqueeze(0).expand(size, *x.shape) if dim is None else x.movedim(dim, 0)
        for x, dim in zip(args, in_dims, strict=True)
    ]
    found = operator(*(x.flatten(0, 1) for x in whole))
    return tuple(x.unflatten(0, (size, -1)) for x in found), tuple(0 for _ in found)


# Not `custom_op`, whose own autograd kernel `torch.func.grad` refuses.
_library: Any = torch.library.Library("hptransfer", "DEF")  # type: ignore[no-untyped-call]
_library.define("causal_attention(Tensor q, Tensor k, Tensor v) -> (Tensor, Tensor)")
_library.define(
    "causal_attention_backward(Tensor grad, Tensor q, Tensor k, Tensor v, Tensor out, Tensor logsumexp)"
    " -> (Tensor, Tensor, Tensor)"
)
for _name, _kernel, _fake in (
    ("causal_attention", _forward_kernel, _forward_fake),
    ("causal_attention_backward", _backward_kernel, _backward_fake),
):
    _library.impl(_name, _kernel, "CompositeExplicitAutograd")
    torch.library.register_fake(f"hptransfer::{_name}", _fake, lib=_library)
    _operator = getattr(torch.ops.hptransfer, _name)
    torch.library.register_vmap(f"hptransfer::{_name}", partial(_folded, _operator), lib=_library)
_forward = torch.ops.hptransfer.causal_attention
_backward = torch.ops.hptransfer.causal_attention_backward


class _Attention(torch.autograd.Function):
    """Ties the two operators together: `torch.func.grad` takes no operator's own gradient, but this."""

    generate_vmap_rule = True  # of both passes, from the operators' own rules

    @staticmethod
    def forward(*inputs: Tensor) -> _Pair:
        """See `_forward`."""
        found: _Pair = _forward(*inputs)
        return found

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, ...], output: _Pair) -> None:
        """Keep everything."""
        ctx.mark_non_differentiable(output[1])
        ctx.save_for_backward(*inputs, *output)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> _Triple:
        """See `_backward`."""
        found: _Triple = _backward(grads[0], *ctx.saved_tensors)
        return found


# Else the compiler rewrites the class, and loses its rule for vmap.
@torch.compiler.allow_in_graph  # type: ignore[untyped-decorator]
def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    out: Tensor = _Attention.apply(q, k, v)[0]  # type: ignore[no-untyped-call]
    return out
