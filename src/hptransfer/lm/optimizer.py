"""AdamW written for one run on plain tensors, so that vmap can lift it over a stack."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class Moments(NamedTuple):
    """Adam's running moments of one tensor, same shape as the tensor."""

    first: Tensor
    second: Tensor


class AdamWScalars(NamedTuple):
    """What one tensor's step needs besides the gradient; zero-dimensional tensors, or floats."""

    lr: Tensor | float  # scheduled LR of this tensor
    weight_decay: Tensor | float  # lambda; the step shrinks weights by lr x lambda
    beta1: float
    beta2: float
    eps: float
    correction1: Tensor | float  # 1 - beta1**t, with t counted from 1
    correction2: Tensor | float  # 1 - beta2**t


def adamw(weight: Tensor, grad: Tensor, moments: Moments, s: AdamWScalars) -> tuple[Tensor, Moments]:
    """One step of AdamW (arXiv:1711.05101) with decay coupled to the LR, as torch does it.

    Returns:
        The new weight and moments; nothing is changed in place.
    """
    first = moments.first.lerp(grad, 1 - s.beta1)
    second = (s.beta2 * moments.second).addcmul(grad, grad, value=1 - s.beta2)
    denominator = (second / s.correction2).sqrt() + s.eps
    kept = weight * (1 - s.lr * s.weight_decay)
    return kept.addcdiv(first * (-s.lr / s.correction1), denominator), Moments(first, second)
