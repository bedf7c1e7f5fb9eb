"""Adam (arXiv:1412.6980) and AdamW (arXiv:1711.05101), as torch.optim has them."""

from __future__ import annotations

from torch import Tensor

from hptransfer.lm.optimizer.scalars import Moments, Scalars


def adamw(weight: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
    """One step with decay apart from the gradient."""
    return _adam(weight * (1 - s.decay), grad, moments, s)


def adam(weight: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
    """One step with decay added to the gradient."""
    return _adam(weight, grad + s.decay * weight, moments, s)


def _adam(kept: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
    first = moments[0].lerp(grad, 1 - s.beta1)
    second = moments[1].lerp(grad * grad, 1 - s.beta2)
    denominator = (second / s.correction2).sqrt() + s.eps
    return kept.addcdiv(first * (-s.lr / s.correction1), denominator), (first, second)
