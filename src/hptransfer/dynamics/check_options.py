"""What a coordinate check may be told: steps, learning rate, optimizer, seeds, what counts as flat."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from hptransfer.dynamics.activation_trace import Loss
from hptransfer.errors import DynamicsError
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.parametrization.optimizers import OPTIMIZERS, OptimizerName
from hptransfer.words import precise

Groups = list[dict[str, Any]]
MakeOptimizer = Callable[[nn.Module, Groups], torch.optim.Optimizer]
NAMED = tuple(name for name, o in OPTIMIZERS.items() if o.torch_class and not o.matrices_only)
FLAT = (-0.25, 0.1)  # slopes that count as flat


@dataclass(frozen=True)
class CheckOptions:
    """How a coordinate check is made.

    Attributes:
        steps: optimizer steps.
        lr: eta, in the coordinates of the check; small enough for the narrowest width to train.
        optimizer: adamw, adam or sgd; or a function of (model, groups) that makes one, so that a training
            script's own can be checked.
        base_width: where every rule is the same; default: the smallest width.
        seeds: of initial weights, at each width.
        level: of the intervals.
        threshold: lowest and highest slope that counts as flat, or one number for both ways.
        loss: of (model, batch); default: `.loss`, cross-entropy for whole-number targets, squared error.
        coordinates: of eta. Default: mup, in which one eta is meant to serve all widths; for `sp` itself sp,
            one LR for all tensors and widths; for a rule of your own, those it is written in.

    Raises:
        DynamicsError: one of them is out of range.
    """

    steps: int = 10
    lr: float = 2.0**-7
    optimizer: OptimizerName | MakeOptimizer = "adamw"
    base_width: int | None = None
    seeds: int = 3
    level: float = 0.95
    threshold: float | tuple[float, float] = FLAT
    loss: Loss | None = None
    coordinates: Coordinates | None = None

    def __post_init__(self) -> None:
        for name, value in (("seeds", self.seeds), ("steps", self.steps)):
            if value < 1:
                raise DynamicsError(f"{name} must be at least 1, but got {value}")
        if not (self.lr > 0 and math.isfinite(self.lr)):
            raise DynamicsError(f"lr must be positive and finite, but got {self.lr}")
        if not 0 < self.level < 1:
            raise DynamicsError(f"level must lie between 0 and 1, but got {self.level}")
        if not callable(self.optimizer) and self.optimizer not in NAMED:
            raise DynamicsError(
                f"the optimizer must be one of {', '.join(NAMED)} or a function, but got {self.optimizer!r}"
            )
        low, high = self.flat
        if not low <= 0 <= high:
            raise DynamicsError(
                f"the threshold must hold zero, low <= 0 <= high, but got {precise(low)} and {precise(high)}"
            )

    @property
    def flat(self) -> tuple[float, float]:
        """The lowest and the highest slope that count as flat."""
        if isinstance(self.threshold, (int, float)):
            return -float(self.threshold), float(self.threshold)
        low, high = self.threshold
        return float(low), float(high)
