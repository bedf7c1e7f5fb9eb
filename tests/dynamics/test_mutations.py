"""Whatever is broken in a correct muP set-up, the coordinate check or verify finds it; here is which does.

Each mutation breaks one thing by a power of m = width / base width, so that nothing is wrong at the base.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

import pytest
import torch
from small_models import batch, build, loss_of
from torch import nn

import hptransfer as hpt
from hptransfer.errors import VerifyError
from hptransfer.parametrization.hooks import Factored

WIDTHS, LR = (16, 64, 256), 2.0**-6
BASE = WIDTHS[0]
RULE = "mup-tp5-table8"  # muP with the readout's multiplier in the forward pass

Groups = list[dict[str, Any]]
Break = Callable[[nn.Module, Groups, float], None]


def lr(pattern: str, power: float) -> Break:
    """The LR of the tensors of that name x m**power, in the live optimizer's groups."""

    def apply(model: nn.Module, groups: Groups, m: float) -> None:
        for group in list(groups):
            hit = [i for i, name in enumerate(group["names"]) if fnmatchcase(name, pattern)]
            broken = {**group, "lr": group["lr"] * m**power}
            for key in ("names", "params"):
                broken[key] = [group[key][i] for i in hit]
                group[key] = [x for i, x in enumerate(group[key]) if i not in hit]
            if hit:
                groups.append(broken)
        groups[:] = [group for group in groups if group["params"]]

    return apply


def init(pattern: str, power: float) -> Break:
    """Initial weights of that name x m**power."""

    @torch.no_grad()
    def apply(model: nn.Module, groups: Groups, m: float) -> None:
        for name, parameter in model.named_parameters():
            if fnmatchcase(name, pattern):
                parameter.mul_(m**power)

    return apply


def attention(power: float) -> Break:
    """The scale of the attention logits x m**power."""

    def apply(model: nn.Module, groups: Groups, m: float) -> None:
        for block in model.blocks:
            block.attn.scaling *= m**power

    return apply


def readout_multiplier(power: float) -> Break:
    """The forward multiplier of the readout x m**power."""

    def apply(model: nn.Module, groups: Groups, m: float) -> None:
        assert isinstance(model.readout, Factored) or m == 1.0
        if isinstance(model.readout, Factored):
            model.readout.factor_on_input *= m**power

    return apply


def one_lr(model: nn.Module, groups: Groups, m: float) -> None:
    """What a careless scheduler does: one LR for all groups."""
    for group in groups:
        group["lr"] = LR


def forgotten(model: nn.Module, groups: Groups, m: float) -> None:
    """The forward multipliers were never set, as after a checkpoint loaded without apply_."""
    if isinstance(model.readout, Factored):
        model.readout.factor_on_input = None


@dataclass(frozen=True)
class Mutation:
    name: str
    apply: Break
    found_by: str  # coordinates, verify, both


def lrs(pattern: str, *powers: float, found_by: str = "both") -> list[Mutation]:
    return [Mutation(f"lr {pattern} m^{p:g}", lr(pattern, p), found_by) for p in powers]


def inits(pattern: str, *powers: float) -> list[Mutation]:
    return [Mutation(f"init {pattern} m^{p:g}", init(pattern, p), "coordinates") for p in powers]


# A hidden or readout LR that is too small hides behind what the layers before it change; an attention scale
# or a readout that is too small is one that starts nearer to zero, which muP allows. Those are verify's.
MUTATIONS = [
    *lrs("tokens.weight", -1, -0.5, 0.5, 1),
    *lrs("positions.weight", -1, 0.5),
    *lrs("*.qkv.weight", 0.5, 1),
    *lrs("*.qkv.weight", -1, found_by="verify"),
    *lrs("*.out.weight", 1),
    *lrs("*.up.weight", 0.5, 1),
    *lrs("*.up.weight", -1, found_by="verify"),
    *lrs("*.down.weight", 1),
    *lrs("*.down.weight", -0.5, found_by="verify"),
    *lrs("readout.weight", 1),
    *lrs("readout.weight", -1, -0.5, found_by="verify"),
    *lrs("*norm*.weight", -1, 0.5),
    *lrs("*.bias", -0.5, 1),
    *inits("tokens.weight", -0.5, 0.5),
    *inits("*.qkv.weight", -0.5, 0.5),
    *inits("*.out.weight", 0.5),
    *inits("*.up.weight", -0.5, 0.5),
    *inits("*.down.weight", -0.5, 1),
    *inits("readout.weight", 0.5, 1),
    *(Mutation(f"attention m^{p:g}", attention(p), "both") for p in (0.5, 1)),
    Mutation("attention m^-0.5", attention(-0.5), "verify"),
    *(Mutation(f"readout multiplier m^{p:g}", readout_multiplier(p), "both") for p in (0.5, 1)),
    Mutation("readout multiplier m^-0.5", readout_multiplier(-0.5), "verify"),
    Mutation("one LR in all groups", one_lr, "both"),
    Mutation("multipliers forgotten", forgotten, "both"),
]


def small(width: int) -> nn.Module:
    model = build(width, depth=1)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # a drawn one keeps its size, and hides the output of weights that shrink
            nn.init.zeros_(parameter)
    return model


def check(apply: Break) -> hpt.CoordCheck:
    """The coordinate check of a set-up with something broken in it."""

    def optimizer(model: nn.Module, groups: Groups) -> torch.optim.Optimizer:
        apply(model, groups, model.norm.weight.shape[0] / BASE)
        return torch.optim.AdamW(groups, betas=(0.9, 0.95))

    return hpt.coord_check(
        small, WIDTHS, RULE, [batch(0)], steps=4, seeds=2, lr=LR, optimizer=optimizer, loss=loss_of
    )


def verified(apply: Break, width: int = WIDTHS[1]) -> bool:
    """Whether verify lets the same set-up pass."""
    model = small(width)
    scaling = hpt.parametrize(model, base=small(BASE), rule=RULE)
    scaling.init_(model, seed=0)
    groups = scaling.param_groups(model, lr=LR)
    apply(model, groups, width / BASE)
    try:
        scaling.verify(model, torch.optim.AdamW(groups))
    except VerifyError:
        return False
    return True


def test_what_is_not_broken_passes_both() -> None:
    def nothing(model: nn.Module, groups: Groups, m: float) -> None:
        pass

    found = check(nothing)
    assert found.passed, found
    assert sum(layer.verdict == "stable" for layer in found.layers) > 0.8 * len(found.layers)
    assert verified(nothing)


def test_there_are_enough_mutations() -> None:
    assert len(MUTATIONS) >= 20
    assert len({m.name for m in MUTATIONS}) == len(MUTATIONS)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda m: m.name)
def test_every_mutation_is_found(mutation: Mutation) -> None:
    assert verified(mutation.apply) == (mutation.found_by == "coordinates")
    if mutation.found_by != "verify":
        found = check(mutation.apply)
        assert not found.passed, found
