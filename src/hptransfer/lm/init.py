"""Initial weights: drawn from the run's seed, scaled by its rule."""

from __future__ import annotations

import torch
from torch import Tensor

from hptransfer.lm.rule import init_stds
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import tensor_layout


def initial_weights(run: RunSpec) -> dict[str, Tensor]:
    """Initial weights by tensor name, in the run's dtype.

    The normal draws depend on the seed and the shapes only; the rule scales them. So variants of one width
    and seed start from the same draws, and a difference between them is the rule's.
    """
    generator = torch.Generator().manual_seed(run.seed)
    stds = init_stds(run)
    dtype = getattr(torch, run.train.dtype)
    weights = {}
    for tensor in tensor_layout(run.model):
        if tensor.start == "normal":
            draws = torch.randn(tensor.shape, generator=generator, dtype=torch.float64) * stds[tensor.name]
            draws[: tensor.zero_rows] = 0
            weights[tensor.name] = draws.to(dtype)
        else:
            weights[tensor.name] = torch.full(tensor.shape, float(tensor.start == "ones"), dtype=dtype)
    return weights
