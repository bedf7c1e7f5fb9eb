"""What a user does with a scaling, from four lines to a whole training."""

import copy
import math

import pytest
import torch
from small_models import BASE, WIDTH, batch, build, scaled, settings, train

import hptransfer as hpt


def test_the_four_lines() -> None:
    model = build(64)
    scaling = hpt.parametrize(model, base=build(16), rule="sp+embd")
    scaling.init_(model)
    optimizer = torch.optim.AdamW(scaling.param_groups(model, lr=3e-3, weight_decay=0.1))
    done = scaling.verify(model, optimizer)
    assert (done.tensors, done.lr_factor, done.modules) == (len(list(model.parameters())), 1.0, 2)
    lrs = {n: g["lr"] for g in optimizer.param_groups for n in g["names"]}
    assert lrs["tokens.weight"] == lrs["positions.weight"] == 3e-3 * 4
    assert {lr for n, lr in lrs.items() if n not in ("tokens.weight", "positions.weight")} == {3e-3}
    assert "m = 4" in repr(scaling)


class Lion(torch.optim.Optimizer):
    """Sign momentum (arXiv:2302.06675), as packages write it."""

    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99), weight_decay=0.0) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure=None) -> None:
        for group in self.param_groups:
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.mul_(1 - group["lr"] * group["weight_decay"])
                p.sub_((m * group["betas"][0] + p.grad * (1 - group["betas"][0])).sign(), alpha=group["lr"])
                m.mul_(group["betas"][1]).add_(p.grad, alpha=1 - group["betas"][1])


@pytest.mark.parametrize(
    ("kind", "make", "family"),
    [
        ("adamw", torch.optim.AdamW, "adam"),
        ("adam", torch.optim.Adam, "adam"),
        ("lion", Lion, "adam"),
        ("sgd", torch.optim.SGD, "sgd"),
    ],
)
def test_optimizers(kind: str, make, family: str) -> None:
    model, scaling = scaled("mup-tp5-table8", optimizer=family)
    scaling.init_(model)
    optimizer = make(scaling.param_groups(model, lr=1e-3, weight_decay=0.01, optimizer=kind), lr=1.0)
    losses = train(model, optimizer, 3)
    assert all(math.isfinite(loss) for loss in losses)
    scaling.verify(model, optimizer)


def test_depth_under_completep() -> None:
    model = build(WIDTH, depth=8)
    scaling = hpt.parametrize(
        model, base=build(BASE, depth=2), rule="completep", residual=["blocks.*.attn.out", "blocks.*.down"]
    )
    assert (scaling.ratio, scaling.depth_ratio) == (4, 4)
    plain = copy.deepcopy(model.blocks[7].down)
    scaling.init_(model)
    with torch.no_grad():
        plain.load_state_dict(model.blocks[7].down.state_dict())
    x = torch.randn(2, 2 * WIDTH)
    torch.testing.assert_close(model.blocks[7].down(x), plain(x) / 4)
    model(batch(0))
    groups = scaling.param_groups(model, lr=1.0, eps=1.0)
    assert settings(groups, "eps")["blocks.5.up.weight"] == pytest.approx(1 / 16)
    assert settings(groups, "eps")["tokens.weight"] == pytest.approx(1 / 4)
    assert settings(groups, "lr")["blocks.5.up.weight"] == pytest.approx(1 / 4)
    scaling.verify(model, torch.optim.AdamW(groups))
