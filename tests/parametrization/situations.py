"""A small model and how it is made ready, which the tests of situations share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

import hptransfer as hpt

VOCAB, BASE, WIDTH = 11, 16, 64
RULE = "mup-tp5-table8"  # whose readout has a factor, of BASE / WIDTH
IDS = torch.randint(VOCAB, (4, 6), generator=torch.Generator().manual_seed(0))


def ready(
    build: Callable[[int], nn.Module], rule: str = RULE, **how: Any
) -> tuple[nn.Module, hpt.Scaling, Any]:
    """A model with a rule applied and its optimizer."""
    torch.manual_seed(0)
    model, base = build(WIDTH), build(BASE)
    scaling = hpt.parametrize(model, base=base, rule=rule, **how)
    scaling.init_(model)
    return model, scaling, torch.optim.AdamW(scaling.param_groups(model, lr=1e-3, weight_decay=0.1))


class Simple(nn.Module):
    def __init__(self, n: int) -> None:
        super().__init__()
        self.emb, self.mix, self.norm = nn.Embedding(VOCAB, n), nn.Linear(n, n), nn.LayerNorm(n)
        self.head = nn.Linear(n, VOCAB, bias=False)

    def hidden(self, ids: Tensor) -> Tensor:
        h = self.emb(ids)
        return self.norm(h + self.mix(torch.relu(h)))

    def forward(self, ids: Tensor) -> Tensor:
        return self.head(self.hidden(ids))
