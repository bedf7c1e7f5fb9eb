"""Causal attention: heads that share keys and values, and rotary positions."""

from __future__ import annotations

import torch
from torch import Tensor

from hptransfer.lm.fused import fused_attention

# Shapes in names: B sequences, T tokens, H heads, G key-value heads, K head dimension.


def causal_attention(
    q_BHTK: Tensor,
    k_BGTK: Tensor,
    v_BGTK: Tensor,
    mask_TT: Tensor,
    scale: Tensor,
    fused: bool = False,
) -> Tensor:
    """softmax(scale x q k + mask) v, [B, H, T, K].

    Args:
        q_BHTK: queries; G divides H, and H / G heads in a row share a key-value head.
        k_BGTK: keys.
        v_BGTK: values.
        mask_TT: 0 where a token may look, -inf where not.
        scale: factor on the logits, zero-dimensional.
        fused: in one kernel that never holds [T, T]; else spelled out, faster on a CPU at short contexts.
    """
    shared = q_BHTK.shape[-3] // k_BGTK.shape[-3]
    if shared > 1:
        k_BGTK, v_BGTK = (x.repeat_interleave(shared, dim=-3) for x in (k_BGTK, v_BGTK))
    if fused:
        return fused_attention(q_BHTK, k_BGTK, v_BGTK, scale)
    logits_BHTT = (q_BHTK * scale) @ k_BGTK.transpose(-2, -1) + mask_TT
    return torch.softmax(logits_BHTT, dim=-1) @ v_BGTK


def rotary_table(length: int, d_head: int, base: float) -> tuple[Tensor, Tensor]:
    """Cosines and sines of RoPE's angles (arXiv:2104.09864), each [length, d_head / 2], float64.

    Angle of position t in the i-th of d_head / 2 planes: t x base**(-2 i / d_head).

    Args:
        length: positions.
        d_head: head dimension, even.
        base: of the angles.
    """
    planes = torch.arange(0, d_head, 2, dtype=torch.float64) / d_head
    angles = torch.arange(length, dtype=torch.float64)[:, None] * base**-planes
    return angles.cos(), angles.sin()


def rotate(x_BHTK: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Every head's vector rotated by its position; plane i is of the elements i and i + K/2, as in Llama.

    Args:
        x_BHTK: queries or keys.
        cos: from `rotary_table`, [T, K / 2].
        sin: likewise.
    """
    first, second = x_BHTK.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=-1)
