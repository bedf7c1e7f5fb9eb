"""Precision: what a run's arithmetic is done in."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from hptransfer.runs.train_config import TrainConfig


def arithmetic(train: TrainConfig, device: str) -> AbstractContextManager[object]:
    """The context that a forward pass runs in.

    With `autocast` its matrix products are in bfloat16; weights, moments, norms, softmax, the residual stream
    and the loss stay in float32. The cache of cast weights is off: each weight is cast once a step anyway,
    and a cached one would outlive the transform that it was made in.

    Args:
        train: of the run.
        device: of its tensors, `cpu`, `cuda` or `mps`.
    """
    if not train.autocast:
        return nullcontext()
    return torch.autocast(device, dtype=torch.bfloat16, cache_enabled=False)
