"""The reference decoder: pre-norm residual blocks of attention and MLP, by the options of its config."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hptransfer.lm.fused import fused_attention
from hptransfer.runs.model_config import Activation, ModelConfig

# Shapes in names: B sequences, T tokens, D width, H heads, G key-value heads, K head dimension, V vocabulary.


class Norm(nn.Module):
    """The norm that a config asks for, over the last dimension."""

    def __init__(self, config: ModelConfig, length: int) -> None:
        super().__init__()
        self.centered, self.eps, self.length = config.norm == "layernorm", config.norm_eps, length
        gains = {"none": None, "scalar": 1, "vector": length}[config.gains]
        self.weight = None if gains is None else nn.Parameter(torch.ones(gains))
        self.bias = nn.Parameter(torch.zeros(length)) if "norm" in config.biases else None

    def forward(self, x: Tensor) -> Tensor:
        """Each vector x along the last dimension, normed; same shape."""
        if x.dtype == torch.bfloat16:  # queries and keys under autocast, where norms are in float32
            x = x.float()
        if not self.centered:
            normed = x * torch.rsqrt(x.square().mean(dim=-1, keepdim=True) + self.eps)
            return normed if self.weight is None else normed * self.weight
        vector = self.weight is not None and self.weight.shape[-1] == self.length
        if vector or self.weight is None:
            return F.layer_norm(x, (self.length,), self.weight, self.bias, self.eps)
        normed = F.layer_norm(x, (self.length,), None, None, self.eps) * self.weight
        return normed if self.bias is None else normed + self.bias


class Block(nn.Module):
    """Attention and MLP, each behind a norm and added to the residual stream."""

    cos: Tensor
    sin: Tensor

    def __init__(self, config: ModelConfig, fused: bool = False) -> None:
        super().__init__()
        self.fused = fused
        width, hidden, biases = config.width, config.hidden, "hidden" in config.biases
        self.activation: Activation = config.activation
        self.heads, self.key_heads = config.query_heads, config.key_heads
        self.rope, self.qk_norm = config.positions == "rope", config.qk_norm
        self.attention_norm = Norm(config, width)
        self.qkv = nn.Linear(width, (self.heads + 2 * self.key_heads) * config.d_head, bias=biases)
        if self.qk_norm:
            self.query_norm, self.key_norm = Norm(config, config.d_head), Norm(config, config.d_head)
        self.projection = nn.Linear(width, width, bias=biases)
        self.mlp_norm = Norm(config, width)
        inner = 2 * hidden if config.activation == "swiglu" else hidden
        self.mlp_in = nn.Linear(width, inner, bias=biases)
        self.mlp_out = nn.Linear(hidden, width, bias=biases)
        if self.rope:
            cos, sin = rotary_table(config.context, config.d_head, config.rope_base)
            self.register_buffer("cos", cos, persistent=False)
            self.register_buffer("sin", sin, persistent=False)

    def forward(self, x_BTD: Tensor, mask_TT: Tensor, attention_scale: Tensor) -> Tensor:
        """The block applied to the residual stream, [sequences, context, width].

        Args:
            x_BTD: the stream.
            mask_TT: 0 where a token may look, -inf where not.
            attention_scale: factor on attention logits, zero-dimensional.
        """
        x_BTD = x_BTD + self._attention(self.attention_norm(x_BTD), mask_TT, attention_scale)
        hidden = activated(self.mlp_in(self.mlp_norm(x_BTD)), self.activation)
        out_BTD: Tensor = x_BTD + self.mlp_out(hidden)
        return out_BTD

    def _attention(self, x_BTD: Tensor, mask_TT: Tensor, scale: Tensor) -> Tensor:
        heads_BHTK = self.qkv(x_BTD).unflatten(-1, (self.heads + 2 * self.key_heads, -1)).transpose(-3, -2)
        q, k, v = heads_BHTK.split([self.heads, self.key_heads, self.key_heads], dim=-3)
        if self.qk_norm:
            q, k = self.query_norm(q), self.key_norm(k)
        if self.rope:
            q, k = rotate(q, self.cos, self.sin), rotate(k, self.cos, self.sin)
        out_BHTK = causal_attention(q, k, v, mask_TT, scale, self.fused)
        projected_BTD: Tensor = self.projection(out_BHTK.transpose(-3, -2).flatten(-2))
        return projected_BTD


class Decoder(nn.Module):
    """Decoder language model; its initial weights come from `stack.initial_weights`, not from here.

    Args:
        config: its shape and options.
        fused: whether attention is one kernel, see `hptransfer.lm.fused`; not seen by probes.
    """

    mask_TT: Tensor

    def __init__(self, config: ModelConfig, fused: bool = False) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab, config.width)
        self.position_embedding = (
            nn.Embedding(config.context, config.width) if config.positions == "learned" else None
        )
        self.embedding_norm = Norm(config, config.width) if config.embedding_norm else None
        self.blocks = nn.ModuleList(Block(config, fused) for _ in range(config.depth))
        self.norm = Norm(config, config.width)
        self.readout = nn.Linear(config.width, config.vocab, bias="readout" in config.biases)
        if config.tied:
            self.readout.weight = self.token_embedding.weight
        mask = torch.full((config.context, config.context), -math.inf).triu(1)
        self.register_buffer("mask_TT", mask, persistent=False)

    def forward(
        self, tokens_BT: Tensor, attention_scale: Tensor, logits_scale: Tensor | None = None
    ) -> Tensor:
        """Logits of the next token.

        Args:
            tokens_BT: token ids, int64, [sequences, context].
            attention_scale: factor on the attention logits, zero-dimensional.
            logits_scale: factor on the readout's input, zero-dimensional; None: one.

        Returns:
            Logits, [sequences, context, vocab].
        """
        x_BTD = self.embed(tokens_BT)
        for block in self.blocks:
            x_BTD = block(x_BTD, self.mask_TT, attention_scale)
        x_BTD = self.norm(x_BTD)
        logits_BTV: Tensor = self.readout(x_BTD if logits_scale is None else x_BTD * logits_scale)
        return logits_BTV

    def embed(self, tokens_BT: Tensor) -> Tensor:
        """The residual stream before the first block, [sequences, context, width]."""
        x_BTD: Tensor = self.token_embedding(tokens_BT)
        if self.position_embedding is not None:
            x_BTD = x_BTD + self.position_embedding.weight
        return x_BTD if self.embedding_norm is None else self.embedding_norm(x_BTD)


def activated(x: Tensor, activation: Activation) -> Tensor:
    """The MLP's hidden layer; SwiGLU (arXiv:2002.05202) gates the second half of x by the first."""
    if activation == "swiglu":
        gate, up = x.chunk(2, dim=-1)
        return F.silu(gate) * up
    if activation == "gelu":
        return F.gelu(x)
    return F.relu(x) if activation == "relu" else F.relu(x).square()


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
