"""Probes: pure functions of one run's tensors around one update; `torch.func.vmap` lifts them over a stack.

Each gives zero-dimensional tensors by probe name (see `hptransfer.runs.probe_names`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional as F

Values = dict[str, Tensor]

QUARTERS = 4


def tensor_probes(
    before: Tensor,
    after: Tensor,
    grad: Tensor | None = None,
    second: Tensor | None = None,
    eps: Tensor | float | None = None,
) -> Values:
    """Sizes of one tensor, its gradient and its update.

    `second` is Adam's second moment after the step, corrected for its start at zero, or its mean.
    """
    size, moved = rms(before), rms(after - before)
    found = {"weight_rms": size, "update_rms": moved, "relative_update": moved / size}
    if grad is not None:
        found["grad_rms"] = rms(grad)
    if second is not None and eps is not None:
        found["grad_over_eps"] = second.mean().sqrt() / eps
    return found


def linear_probes(weight: Tensor, delta: Tensor, inputs: Tensor, outputs: Tensor | None = None) -> Values:
    """How the update delta of a linear layer changes its output on its own inputs [..., in].

    The weight is that before the update, [out, in]. Outputs, if at hand (no bias), spare a product.
    """
    output = F.linear(inputs, weight) if outputs is None else outputs
    changed = F.linear(inputs, delta)
    aligned = rms(changed) / (rms(delta) * rms(inputs))
    return _change(norm(output), norm(changed), norm(weight), norm(delta), norm(inputs)) | {
        "log_alignment": aligned.log() / math.log(weight.shape[1])
    }


def embedding_probes(weight: Tensor, delta: Tensor, tokens: Tensor) -> Values:
    """The same of an embedding [rows, width], whose inputs are one-hot; tokens are ids of any shape."""
    output, changed = F.embedding(tokens, weight), F.embedding(tokens, delta)
    size = torch.tensor(float(tokens.numel()), dtype=weight.dtype, device=weight.device).sqrt()
    return _change(norm(output), norm(changed), norm(weight), norm(delta), size)


def _change(output: Tensor, changed: Tensor, weight: Tensor, delta: Tensor, inputs: Tensor) -> Values:
    update_alignment = changed / (delta * inputs)
    weight_alignment = output / (weight * inputs)
    return {
        "relative_change": changed / output,
        "update_alignment": update_alignment,
        "weight_alignment": weight_alignment,
        "alignment_ratio": update_alignment / weight_alignment,
    }


def row_probes(weight: Tensor, tokens: Tensor, quarter: Tensor | None) -> Values:
    """Rows of the token embedding: how many a batch touches, and how large they are by token frequency.

    Args:
        weight: [rows, width].
        tokens: ids of the whole batch, any shape.
        quarter: of each row, 0 (most frequent) to 3, from `quarters`; None where frequencies are not known.
    """
    ones = torch.ones(tokens.numel(), dtype=weight.dtype, device=weight.device)
    hit = torch.zeros(weight.shape[0], dtype=weight.dtype, device=weight.device)
    found = {"rows_touched": hit.scatter(0, tokens.flatten(), ones).mean()}
    if quarter is None:
        return found
    sizes = weight.square().mean(dim=1).sqrt()
    for i in range(QUARTERS):
        inside = (quarter == i).to(weight.dtype)
        found[f"row_rms_q{i + 1}"] = (sizes * inside).sum() / inside.sum()
    return found


def quarters(counts: Tensor) -> Tensor:
    """The quarter of the vocabulary that each token is in by its count, 0 the most frequent, [rows]."""
    rank = torch.empty_like(counts, dtype=torch.long)
    order = torch.argsort(counts, descending=True, stable=True)
    rank[order] = torch.arange(len(counts), device=counts.device)
    return rank * QUARTERS // len(counts)


def attention_probes(logits: Tensor) -> Values:
    """Largest logit and mean entropy of an attention layer.

    Logits are [..., queries, keys], -inf where masked; a query must see at least one key.
    """
    logged = torch.log_softmax(logits, dim=-1)
    weights = logged.exp()
    entropy = -(weights * logged.masked_fill(weights == 0, 0.0)).sum(dim=-1)
    return {"attention_logit_max": logits.amax(), "attention_entropy": entropy.mean()}


def readout_probes(logits: Tensor) -> Values:
    """Mean log of the partition function; logits are [..., vocabulary]."""
    return {"log_z": torch.logsumexp(logits, dim=-1).mean()}


def grad_norm(grads: Mapping[str, Tensor]) -> Tensor:
    """Norm of the whole gradient."""
    return torch.stack([norm(grad) for grad in grads.values()]).square().sum().sqrt()


def rms(value: Tensor) -> Tensor:
    """Root mean square."""
    return norm(value) / math.sqrt(value.numel())


def norm(value: Tensor) -> Tensor:
    """Frobenius norm, in one pass over the tensor."""
    size: Tensor = torch.linalg.vector_norm(value)
    return size
