"""The reference decoder: GPT-style, pre-norm, GELU, learned positions, untied readout, no biases."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hptransfer.lm.config import ModelConfig

# Shapes in names: B sequences, T tokens, D width, H heads, K head dimension, V vocabulary.


class Block(nn.Module):
    """Attention and MLP, each behind a LayerNorm and added to the residual stream."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        width, hidden = config.width, config.mlp_ratio * config.width
        self.heads = config.heads
        self.attention_norm = nn.LayerNorm(width, bias=False)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.projection = nn.Linear(width, width, bias=False)
        self.mlp_norm = nn.LayerNorm(width, bias=False)
        self.mlp_in = nn.Linear(width, hidden, bias=False)
        self.mlp_out = nn.Linear(hidden, width, bias=False)

    def forward(self, x_BTD: Tensor, mask_TT: Tensor, attention_scale: Tensor) -> Tensor:
        """The block applied to the residual stream."""
        x_BTD = x_BTD + self._attention(self.attention_norm(x_BTD), mask_TT, attention_scale)
        hidden = F.gelu(self.mlp_in(self.mlp_norm(x_BTD)))
        out_BTD: Tensor = x_BTD + self.mlp_out(hidden)
        return out_BTD

    def _attention(self, x_BTD: Tensor, mask_TT: Tensor, attention_scale: Tensor) -> Tensor:
        # Spelled out because vmap has no rule for CPU flash attention and would fall back to a slow loop.
        q, k, v = (
            part.unflatten(-1, (self.heads, -1)).transpose(-3, -2)
            for part in self.qkv(x_BTD).chunk(3, dim=-1)
        )
        logits_BHTT = (q * attention_scale) @ k.transpose(-2, -1) + mask_TT
        out_BHTK = torch.softmax(logits_BHTT, dim=-1) @ v
        projected_BTD: Tensor = self.projection(out_BHTK.transpose(-3, -2).flatten(-2))
        return projected_BTD


class Decoder(nn.Module):
    """Decoder language model; its initial weights come from `init.initial_weights`, not from here."""

    mask_TT: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.token_embedding = nn.Embedding(config.vocab, config.width)
        self.position_embedding = nn.Embedding(config.context, config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.depth))
        self.norm = nn.LayerNorm(config.width, bias=False)
        self.readout = nn.Linear(config.width, config.vocab, bias=False)
        mask = torch.full((config.context, config.context), -math.inf).triu(1)
        self.register_buffer("mask_TT", mask, persistent=False)

    def forward(self, tokens_BT: Tensor, attention_scale: Tensor) -> Tensor:
        """Logits of the next token.

        Args:
            tokens_BT: token ids, int64, [sequences, context].
            attention_scale: factor on the attention logits, zero-dimensional.

        Returns:
            Logits, [sequences, context, vocab].
        """
        x_BTD = self.token_embedding(tokens_BT) + self.position_embedding.weight
        for block in self.blocks:
            x_BTD = block(x_BTD, self.mask_TT, attention_scale)
        logits_BTV: Tensor = self.readout(self.norm(x_BTD))
        return logits_BTV
