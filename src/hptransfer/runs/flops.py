"""Floating-point operations of a run: two per multiply-add, matrices and attention only."""

from __future__ import annotations

import math

from hptransfer.runs.config import ModelConfig, RunSpec
from hptransfer.runs.decoder_tensors import tensor_layout


def forward_flops(model: ModelConfig) -> float:
    """Of one token's forward pass.

    Every matrix but the embeddings (a lookup), and attention's two products over the whole context
    (not halved for the causal mask: the explicit product computes the masked half too).
    """
    matrices = sum(math.prod(t.shape) for t in tensor_layout(model) if t.role in ("hidden", "readout"))
    if model.tied:  # the readout is a product all the same
        matrices += model.vocab * model.width
    attention = 2 * model.depth * model.context * model.width
    return 2.0 * (matrices + attention)


def run_flops(run: RunSpec) -> float:
    """Of a whole training run: forward and backward (twice the forward), validation left out."""
    return 3.0 * forward_flops(run.model) * run.tokens
