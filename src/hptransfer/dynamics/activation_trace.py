"""Activations of a model over its first training steps: sizes, and sizes of their change."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from hptransfer.dynamics.activations import layer_outputs
from hptransfer.errors import DynamicsError

FloatArray = NDArray[np.float64]
Batch = Any  # (inputs, targets), a mapping of a Hugging Face model's arguments, or what a user's loss takes
Loss = Callable[[nn.Module, Batch], Tensor]

ROUNDING = 1e-7  # a gradient this small beside the largest is float32 rounding
QUANTITIES = ("activation_rms", "activation_mean_abs", "change_rms", "change_mean_abs")


@dataclass(frozen=True)
class Trace:
    """One run's sizes."""

    # by layer, [steps + 1, quantities] in the order of QUANTITIES; row 0 is initialisation. Layers that
    # were not called each time, or whose output changed its shape, are left out
    sizes: dict[str, FloatArray]
    losses: FloatArray  # on the training batch before each step, shape [steps]
    # tables whose gradient is rounding alone, as of a bias on keys, which softmax does not see: Adam
    # makes a step of it that means nothing
    idle: frozenset[str]


def trace(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Sequence[Batch],
    steps: int,
    loss: Loss,
    tables: Mapping[str, Tensor],
) -> Trace:
    """Trains a model in place for a few steps, batches in turn, and measures sizes after each.

    They are those on the first batch, in evaluation mode, so that what the model learns of it is seen; tables
    are those of `layer_outputs`.
    """

    def probe() -> dict[str, Tensor]:
        return layer_outputs(model, lambda: loss(model, batches[0]), tables)

    start = probe()
    rows = {name: [_sizes(value, value)] for name, value in start.items()}
    losses: list[float] = []
    idle: frozenset[str] = frozenset()
    for step in range(steps):
        value = loss(model, batches[step % len(batches)])
        optimizer.zero_grad()
        value.backward()  # type: ignore[no-untyped-call]
        idle = idle or _idle(tables)
        optimizer.step()
        losses.append(float(value.detach()))
        now = probe()
        for name, at_start in start.items():
            if name in now and now[name].shape == at_start.shape:
                rows[name].append(_sizes(now[name], at_start))
    whole = {name: np.array(found) for name, found in rows.items() if len(found) == steps + 1}
    return Trace(whole, np.array(losses), idle)


def _idle(tables: Mapping[str, Tensor]) -> frozenset[str]:
    largest = {name: float(t.grad.abs().max()) for name, t in tables.items() if t.grad is not None}
    return frozenset(n for n, g in largest.items() if 0 < g < ROUNDING * max(largest.values()))


def _sizes(value: Tensor, start: Tensor) -> tuple[float, ...]:
    both = (value.double(), value.double() - start.double())
    return tuple(float(size) for x in both for size in (x.square().mean().sqrt(), x.abs().mean()))


def default_loss(model: nn.Module, batch: Batch) -> Tensor:
    """The `.loss` of a Hugging Face model; else cross-entropy, or squared error for real-valued targets.

    Raises:
        DynamicsError: neither can be had.
    """
    if isinstance(batch, Mapping):
        found = getattr(model(**batch), "loss", None)
        if not isinstance(found, Tensor):
            raise DynamicsError(
                "a batch of named arguments must make the model return `.loss` (are there labels in it?); "
                f"got none from {type(model).__name__}: give loss=function(model, batch)"
            )
        return found
    if not isinstance(batch, (tuple, list)) or len(batch) != 2:
        raise DynamicsError(
            "a batch must be (inputs, targets) or a mapping of the model's arguments, but got "
            f"{type(batch).__name__}; for others give loss=function(model, batch)"
        )
    inputs, targets = batch
    output = model(inputs)
    output = getattr(output, "logits", output)
    if not isinstance(output, Tensor):
        raise DynamicsError(
            f"the model must return a tensor or `.logits`, but {type(model).__name__} returns "
            f"{type(output).__name__}: give loss=function(model, batch)"
        )
    if targets.is_floating_point():
        return F.mse_loss(output, targets)
    return F.cross_entropy(output.flatten(0, -2), targets.flatten())
