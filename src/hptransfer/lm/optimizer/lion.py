"""Lion (arXiv:2302.06675, Algorithm 2)."""

from __future__ import annotations

from torch import Tensor

from hptransfer.lm.optimizer.scalars import Moments, Scalars


def lion(weight: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
    """One step: the sign of a mean of moment and gradient (by beta1); the moment moves by 1 - beta2."""
    sign = moments[0].lerp(grad, 1 - s.beta1).sign()
    return weight * (1 - s.decay) - s.lr * sign, (moments[0].lerp(grad, 1 - s.beta2),)
