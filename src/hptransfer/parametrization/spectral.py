"""The spectral condition for a matrix of any shape, as factors. No torch here.

Yang, Simon & Bernstein, arXiv:2310.17813: the spectral norms of a weight and of its update are both to be of
the order of sqrt(fan_out / fan_in).
"""

from __future__ import annotations

import math
from typing import Literal

from hptransfer.errors import RuleError, one_of
from hptransfer.parametrization.tensor_settings import RoleSettings

Shape = tuple[int, int]  # (fan_out, fan_in)
_OPTIMIZERS = ("adam", "sgd", "muon")


def spectral_condition(
    shape: Shape, base: Shape, optimizer: Literal["adam", "sgd", "muon"] = "adam"
) -> RoleSettings:
    """Factors on a matrix's initial std and LR, from its shape at the base to that at hand.

    Args:
        shape: (fan_out, fan_in) at hand; any two ratios.
        base: the same at the base.
        optimizer: adam (an update of entries of size LR), sgd (aligned with its inputs), or muon (orthogonal,
            of length sqrt(max(1, fan_out / fan_in))).

    Raises:
        RuleError: a dimension is not positive, or the optimizer is not known.
    """
    one_of(optimizer, _OPTIMIZERS, "the optimizer", RuleError)
    for sides in (shape, base):
        if len(sides) != 2 or not all(0 < side < math.inf for side in sides):
            raise RuleError(f"a shape must be (fan_out, fan_in), both positive, but got {sides!r}")
    return RoleSettings(init=_std(*shape) / _std(*base), lr=_lr(*shape, optimizer) / _lr(*base, optimizer))


def _std(fan_out: float, fan_in: float) -> float:
    """Entries of this std give a matrix of spectral norm sqrt(fan_out / fan_in)."""
    return math.sqrt(fan_out / fan_in) / (math.sqrt(fan_in) + math.sqrt(fan_out))


def _lr(fan_out: float, fan_in: float, optimizer: str) -> float:
    wanted = math.sqrt(fan_out / fan_in)
    if optimizer == "sgd":
        return fan_out / fan_in
    update = math.sqrt(fan_out * fan_in) if optimizer == "adam" else math.sqrt(max(1.0, fan_out / fan_in))
    return wanted / update
