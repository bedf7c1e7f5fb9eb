"""Small models that the parametrization tests share."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import hptransfer as hpt

VOCAB, CONTEXT = 11, 6
BASE, WIDTH = 16, 64


class Attention(nn.Module):
    """Causal attention whose scale is an attribute, `scaling`; the number of heads is fixed."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.head_dim = heads, width // heads
        self.scaling = self.head_dim**-0.5
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (p.unflatten(-1, (self.heads, -1)).transpose(1, 2) for p in self.qkv(x).chunk(3, -1))
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True, scale=self.scaling)
        return self.out(y.transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attn = Attention(width, heads)
        self.up, self.down = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class Transformer(nn.Module):
    """Embeddings, blocks, norm, readout; tied where asked."""

    def __init__(self, width: int, depth: int = 2, heads: int = 2, tied: bool = False) -> None:
        super().__init__()
        self.tokens = nn.Embedding(VOCAB, width)
        self.positions = nn.Embedding(CONTEXT, width)
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.readout = nn.Linear(width, VOCAB, bias=False)
        if tied:
            self.readout.weight = self.tokens.weight

    def forward(self, ids: Tensor) -> Tensor:
        x = self.tokens(ids) + self.positions(torch.arange(ids.shape[1]))
        for block in self.blocks:
            x = block(x)
        return self.readout(self.norm(x))


def build(width: int, seed: int = 0, dtype: torch.dtype = torch.float32, **shape: int) -> Transformer:
    torch.manual_seed(seed)
    return Transformer(width, **shape).to(dtype)


def batch(step: int) -> Tensor:
    generator = torch.Generator().manual_seed(1000 + step)
    return torch.randint(VOCAB, (4, CONTEXT), generator=generator)


def loss_of(model: nn.Module, ids: Tensor) -> Tensor:
    return F.cross_entropy(model(ids)[:, :-1].flatten(0, 1), ids[:, 1:].flatten())


def train(model: nn.Module, optimizer: torch.optim.Optimizer, steps: int) -> list[float]:
    losses = []
    for step in range(steps):
        loss = loss_of(model, batch(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def scaled(rule="mup", width: int = WIDTH, **kwargs) -> tuple[Transformer, hpt.Scaling]:
    model = build(width)
    return model, hpt.parametrize(model, base=build(BASE, seed=1), rule=rule, **kwargs)


def stds(model: nn.Module) -> dict[str, float]:
    return {n: p.detach().double().std(correction=0).item() for n, p in model.named_parameters()}


def settings(groups: list[dict], key: str) -> dict[str, float]:
    return {n: g[key] for g in groups for n in g["names"]}
