"""Laws for batch size, tokens, experts and top-k, as data: what they do to LR, decay and eps. No torch here.

Each setting is (its value before) x ratio**exponent, where the ratio is of batches, tokens, and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from hptransfer.errors import RuleError, one_of
from hptransfer.parametrization.optimizers import Family

Axis = Literal["batch", "tokens", "experts", "top_k"]
LAW_AXES: tuple[Axis, ...] = get_args(Axis)

SDE = "Malladi et al., arXiv:2205.10287; Complete(d)P, arXiv:2512.22382"
TIMESCALE = "Wang & Aitchison, arXiv:2405.13698; Bergsma et al., arXiv:2505.13738"


MIXTURE = "Jiang et al., arXiv:2601.20205; Complete-muE, arXiv:2605.23893; exponents derived in docs/rules.md"


@dataclass(frozen=True)
class AxisLaw:
    """What one law does along one axis: exponents of the ratio."""

    name: str
    axis: Axis
    source: str
    assumes: str  # in words, as `transfer_lr` lists it
    lr: float = 0.0  # learning rate
    weight_decay: float = 0.0  # lambda, of which a step takes LR x lambda
    eps: float = 0.0  # Adam's
    memory: float = 0.0  # 1 - beta of Adam's moments
    multiplier: float = 0.0  # factor on what the tensors give in the forward pass
    of_experts: bool = False  # whether it moves the tensors of experts alone


_BATCH = "the batch stays below the critical one, where twice the batch halves the steps"
_NOISE = "LR x sqrt(B), lambda x sqrt(B), eps / sqrt(B), 1 - beta x B"
_LENGTH = "LR / sqrt(D), lambda / sqrt(D), eps x sqrt(D), 1 - beta / D"
_FITTED = "LR x D^-0.32, fitted at 760M to 2.7B parameters"
_RATE = "decay forgets at the same share of the training: B / (LR x lambda x D) stays"
_LAWS = (
    AxisLaw(
        "sqrt",
        "batch",
        SDE,
        f"{_NOISE}; {_BATCH}",
        0.5,
        0.5,
        -0.5,
        1,
    ),
    AxisLaw("linear", "batch", "Goyal et al., arXiv:1706.02677", f"LR x B; {_BATCH}", 1.0),
    AxisLaw("timescale", "batch", TIMESCALE, f"LR stays, lambda x B; {_RATE}", 0.0, 1.0),
    AxisLaw("none", "batch", "", "LR does not move with the batch"),
    AxisLaw(
        "sqrt",
        "tokens",
        SDE,
        "LR / sqrt(D), lambda / sqrt(D), eps x sqrt(D), 1 - beta / D",
        -0.5,
        -0.5,
        0.5,
        -1,
    ),
    AxisLaw(
        "power",
        "tokens",
        "Bjorck et al., arXiv:2409.19913",
        "LR x D^-0.32, fitted at 760M to 2.7B parameters",
        -0.32,
    ),
    AxisLaw("timescale", "tokens", TIMESCALE, f"LR stays, lambda / D; {_RATE}", 0.0, -1.0),
    AxisLaw("none", "tokens", "", "LR does not move with the number of tokens"),
    AxisLaw(
        "average",
        "experts",
        MIXTURE,
        "LR stays: the gates of the active experts sum to one, and an expert sees a share of the tokens, in "
        "a step and in all, that falls like 1 / experts: its noise stays; its gradient, and eps, fall alike",
        eps=-1.0,
        of_experts=True,
    ),
    AxisLaw("none", "experts", "", "nothing moves with the number of experts"),
    AxisLaw(
        "average",
        "top_k",
        MIXTURE,
        "LR stays: the gates of the active experts sum to one, so that the layer gives their average",
    ),
    AxisLaw(
        "sum",
        "top_k",
        MIXTURE,
        "the gates of the active experts do not sum to one: the layer's output, whose terms grow aligned, is "
        "multiplied by 1 / top_k, and LR stays",
        multiplier=-1.0,
        of_experts=True,
    ),
    AxisLaw("none", "top_k", "", "nothing moves with the number of active experts"),
)
LAWS: Mapping[tuple[Axis, str], AxisLaw] = MappingProxyType({(law.axis, law.name): law for law in _LAWS})
DEFAULTS: Mapping[tuple[Axis, Family], str] = MappingProxyType(
    {
        ("batch", "adam"): "sqrt",
        ("tokens", "adam"): "sqrt",
        ("batch", "sgd"): "linear",
        ("tokens", "sgd"): "none",
        ("experts", "adam"): "average",
        ("top_k", "adam"): "average",
        ("experts", "sgd"): "none",
        ("top_k", "sgd"): "none",
    }
)
_ADAM = ("sqrt", "average", "sum")  # laws of updates whose size is free of the gradient's


def get_law(axis: Axis, name: str | None, family: Family) -> AxisLaw:
    """The law of that name along an axis; by default the family's usual one.

    Raises:
        RuleError: there is none, or it does not hold for the family; the text lists the valid ones.
    """
    valid = [n for a, n in LAWS if a == axis and not (family == "sgd" and n in _ADAM)]
    return LAWS[axis, one_of(name or DEFAULTS[axis, family], valid, f"the law for {axis}", RuleError)]
