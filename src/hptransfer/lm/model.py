"""The reference decoder: pre-norm residual blocks of attention and MLP, by the options of its config."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hptransfer.lm.attention import causal_attention, rotary_table, rotate
from hptransfer.lm.norm import Norm
from hptransfer.runs.model_config import Activation, ModelConfig

# Shapes in names: B sequences, T tokens, D width, H heads, K head dimension, V vocabulary.


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
    """Decoder language model; its initial weights come from `init.initial_weights`, not from here.

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
