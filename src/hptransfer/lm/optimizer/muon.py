"""Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon), as torch.optim.Muon has it."""

from __future__ import annotations

import math

from torch import Tensor

from hptransfer.lm.optimizer.scalars import Moments, Scalars, Update
from hptransfer.parametrization.optimizers import MuonAdjust

COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of the quintic; steepest at zero, so singular values end near one
ITERATIONS = 5
_SMALLEST = 1e-7  # a matrix of a smaller norm is not blown up


def muon(adjust: MuonAdjust) -> Update:
    """The step of a matrix [rows, columns] with Nesterov momentum; decay is apart from the gradient.

    The arithmetic is in the gradient's own dtype, where torch's always goes through bfloat16.

    Args:
        adjust: the orthogonal update's length: `original`: x sqrt(max(1, rows / columns));
            `match_rms_adamw` (arXiv:2502.16982): x 0.2 sqrt(max(rows, columns)), an RMS as AdamW's.
    """

    def step(weight: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
        momentum = moments[0].lerp(grad, 1 - s.momentum)
        update = orthogonalised(grad.lerp(momentum, s.momentum))
        rows, columns = weight.shape[-2:]
        length = max(1.0, rows / columns) if adjust == "original" else 0.04 * max(rows, columns)
        return weight * (1 - s.decay) - s.lr * math.sqrt(length) * update, (momentum,)

    return step


def orthogonalised(matrix: Tensor) -> Tensor:
    """About U V' where the matrix is U S V': five steps of a quintic Newton-Schulz iteration."""
    tall = matrix.shape[-2] > matrix.shape[-1]
    x = matrix.mT if tall else matrix
    x = x / x.square().sum(dim=(-2, -1), keepdim=True).sqrt().clamp(min=_SMALLEST)
    a, b, c = COEFFICIENTS
    for _ in range(ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x
