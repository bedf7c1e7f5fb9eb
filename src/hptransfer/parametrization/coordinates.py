"""The coordinates that a learning rate is given in, and how one becomes the other. No torch here.

In SP coordinates eta is the learning rate of the hidden matrices; in muP coordinates a hidden matrix trains
with eta / m, where m = width / base width. So eta_mup = eta_sp x m: another label for the same training.
Under SGD the hidden matrices' learning rate in muP is eta itself, so its two coordinates are one.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Literal, TypeVar, get_args

from hptransfer.parametrization.optimizers import Family

Coordinates = Literal["sp", "mup"]
COORDINATES: tuple[Coordinates, ...] = get_args(Coordinates)

Number = TypeVar("Number", float, Fraction)


def coordinate_exponent(source: Coordinates, target: Coordinates, family: Family) -> int:
    """The exponent e of eta_target = eta_source x m**e: 1 from SP to muP, -1 back, 0 under SGD."""
    if source == target or family == "sgd":
        return 0
    return 1 if target == "mup" else -1


def convert_lr(
    lr: Number, width_ratio: Number, source: Coordinates, target: Coordinates, family: Family
) -> Number:
    """Eta in the coordinates `target`, at m = `width_ratio`; exact where numbers are fractions."""
    exponent = coordinate_exponent(source, target, family)
    if exponent == 0:
        return lr
    return lr * width_ratio if exponent > 0 else lr / width_ratio
