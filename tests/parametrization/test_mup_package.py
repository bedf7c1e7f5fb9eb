"""Against the `mup` package of Tensor Programs V's authors, tensor by tensor.

Known differences, by choice: `mup` scales weight decay of hidden matrices by m (the convention `mup` here)
unless decoupled_wd=True; its readout is a forward multiplier (table 8); it names no rule for attention.
"""

import pytest
import torch
from small_models import VOCAB, Transformer, build
from torch import nn

import hptransfer as hpt

mup = pytest.importorskip("mup")
BASE, WIDTH = 16, 64


class WithMuReadout(Transformer):
    """The same model as a user of `mup` writes it."""

    def __init__(self, width: int) -> None:
        super().__init__(width)
        self.readout = mup.MuReadout(width, VOCAB, bias=False, readout_zero_init=False)


def theirs(width: int) -> nn.Module:
    torch.manual_seed(0)
    return WithMuReadout(width)


@pytest.fixture
def shaped() -> nn.Module:
    model = theirs(WIDTH)
    return mup.set_base_shapes(model, theirs(BASE), delta=theirs(32))


@pytest.fixture
def ours() -> tuple[nn.Module, hpt.Scaling]:
    model = build(WIDTH)
    return model, hpt.parametrize(model, base=build(BASE, seed=1), rule="mup-tp5-table8")


def lrs(model: nn.Module, optimizer: torch.optim.Optimizer, key: str = "lr") -> dict[str, float]:
    names = {id(p): n for n, p in model.named_parameters()}
    return {names[id(p)]: g[key] for g in optimizer.param_groups for p in g["params"]}


def test_the_same_lr_for_every_tensor_under_adam(shaped: nn.Module, ours) -> None:
    model, scaling = ours
    mine = lrs(model, torch.optim.AdamW(scaling.param_groups(model, lr=0.01)))
    assert mine == pytest.approx(lrs(shaped, mup.MuAdamW(shaped.parameters(), lr=0.01)))
    assert len(set(mine.values())) == 2


def test_the_same_lr_for_every_tensor_under_sgd(shaped: nn.Module) -> None:
    model = build(WIDTH)
    scaling = hpt.parametrize(model, base=build(BASE), rule="mup-tp5-table8", optimizer="sgd")
    mine = lrs(model, torch.optim.SGD(scaling.param_groups(model, lr=0.01)))
    assert mine == pytest.approx(lrs(shaped, mup.MuSGD(shaped.parameters(), lr=0.01)))
    assert len(set(mine.values())) == 2


def test_the_same_readout_multiplier(shaped: nn.Module, ours) -> None:
    model, scaling = ours
    scaling.init_(model)
    x = torch.randn(3, WIDTH)
    with torch.no_grad():
        shaped.readout.weight.copy_(model.readout.weight)
        torch.testing.assert_close(model.readout(x), shaped.readout(x))


def test_the_same_init_std(shaped: nn.Module) -> None:
    """`mup.init.normal_` takes the std at the base; so does a base drawn with that std."""
    std = 0.05
    for tensor in shaped.parameters():
        if tensor.dim() >= 2:
            mup.init.normal_(tensor, std=std)
    model, base = build(WIDTH), build(BASE)
    for tensor in base.parameters():
        if tensor.dim() >= 2:
            nn.init.normal_(tensor, std=std)
    hpt.parametrize(model, base=base, rule="mup-tp5-table8").init_(model, seed=0)
    theirs_std = {n: p.std().item() for n, p in shaped.named_parameters() if p.dim() >= 2}
    for name, tensor in model.named_parameters():
        if tensor.dim() >= 2:
            assert tensor.std().item() == pytest.approx(theirs_std[name], rel=0.2), name
    assert theirs_std["blocks.0.up.weight"] == pytest.approx(std / 2, rel=0.1)  # m = 4
    assert theirs_std["readout.weight"] == pytest.approx(std, rel=0.1)


def test_weight_decay_is_theirs_under_the_mup_convention(shaped: nn.Module, ours) -> None:
    model, scaling = ours
    mine = lrs(
        model,
        torch.optim.AdamW(scaling.param_groups(model, lr=0.01, weight_decay=0.1, decay="mup")),
        "weight_decay",
    )
    other = lrs(shaped, mup.MuAdamW(shaped.parameters(), lr=0.01, weight_decay=0.1), "weight_decay")
    matrices = [name for name, tensor in model.named_parameters() if tensor.dim() >= 2]
    assert {n: mine[n] for n in matrices} == pytest.approx({n: other[n] for n in matrices})
    # The difference that stays: they decay gains and biases, we do not by default.
    assert mine["norm.weight"] == 0
    assert other["norm.weight"] == 0.1
