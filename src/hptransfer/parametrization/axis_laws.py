"""Laws for batch size and tokens, as data: what they do to LR, decay and Adam's constants. No torch here.

Each setting is (its value before) x ratio**exponent, where the ratio is of batches or of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from hptransfer.errors import RuleError, one_of
from hptransfer.parametrization.optimizers import Family

Axis = Literal["batch", "tokens"]

SDE = "Malladi et al., arXiv:2205.10287; Complete(d)P, arXiv:2512.22382"
TIMESCALE = "Wang & Aitchison, arXiv:2405.13698; Bergsma et al., arXiv:2505.13738"


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
)
LAWS: Mapping[tuple[Axis, str], AxisLaw] = MappingProxyType({(law.axis, law.name): law for law in _LAWS})
DEFAULTS: Mapping[tuple[Axis, Family], str] = MappingProxyType(
    {
        ("batch", "adam"): "sqrt",
        ("tokens", "adam"): "sqrt",
        ("batch", "sgd"): "linear",
        ("tokens", "sgd"): "none",
    }
)
_ADAM = ("sqrt",)  # laws of Adam's noise; SGD's is another


def get_law(axis: Axis, name: str | None, family: Family) -> AxisLaw:
    """The law of that name along an axis; by default the family's usual one.

    Raises:
        RuleError: there is none, or it does not hold for the family; the text lists the valid ones.
    """
    valid = [n for a, n in LAWS if a == axis and not (family == "sgd" and n in _ADAM)]
    return LAWS[axis, one_of(name or DEFAULTS[axis, family], valid, f"the law for {axis}", RuleError)]
