"""Optimizers written for one tensor of one run, so that vmap can lift them over a stack.

What is to be known of each besides its update stands in `hptransfer.parametrization.optimizers`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from torch import Tensor

from hptransfer.parametrization.optimizers import MuonAdjust, Optimizer, get_optimizer
from hptransfer.runs.decoder_tensors import TensorLayout
from hptransfer.runs.train_config import TrainConfig

Moments: TypeAlias = tuple[Tensor, ...]  # what is remembered of a tensor; each of its shape, zero at first
COEFFICIENTS = (3.4445, -4.7750, 2.0315)  # of Muon's quintic; steepest at 0, so singular values end near 1
ITERATIONS = 5
_SMALLEST = 1e-7  # a matrix of a smaller norm is not blown up


class Scalars(NamedTuple):
    """Numbers of one tensor's step; zero-dimensional tensors."""

    lr: Tensor  # scheduled LR of this tensor
    decay: Tensor  # share of the weight that this step takes off; of Adam and SGD: lambda
    beta1: Tensor
    beta2: Tensor
    eps: Tensor
    correction1: Tensor  # 1 - beta1**t, with t counted from 1
    correction2: Tensor  # 1 - beta2**t
    momentum: Tensor


# Weight, gradient, moments, numbers -> new weight and moments; nothing is changed in place.
Update: TypeAlias = Callable[[Tensor, Tensor, Moments, Scalars], tuple[Tensor, Moments]]


def optimizer_of(train: TrainConfig, tensor: TensorLayout) -> Optimizer:
    """The optimizer of a tensor: Muon takes the hidden matrices, and leaves the rest to AdamW."""
    return get_optimizer(train.optimizer).of_role(tensor.role)


def update_for(train: TrainConfig, tensor: TensorLayout) -> Update:
    """The update function of a tensor."""
    name = optimizer_of(train, tensor).name
    return muon(train.muon_adjust) if name == "muon" else _UPDATES[name]


def adamw(weight: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
    """AdamW (arXiv:1711.05101) as in torch.optim: decay is apart from the gradient."""
    return _adam(weight * (1 - s.decay), grad, moments, s)


def adam(weight: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
    """Adam (arXiv:1412.6980) as in torch.optim: decay is added to the gradient."""
    return _adam(weight, grad + s.decay * weight, moments, s)


def _adam(kept: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
    first = moments[0].lerp(grad, 1 - s.beta1)
    second = moments[1].lerp(grad * grad, 1 - s.beta2)
    denominator = (second / s.correction2).sqrt() + s.eps
    return kept.addcdiv(first * (-s.lr / s.correction1), denominator), (first, second)


def sgd(weight: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
    """SGD with momentum as in torch.optim (no dampening, no Nesterov); decay is added to the gradient."""
    momentum = s.momentum * moments[0] + grad + s.decay * weight
    return weight - s.lr * momentum, (momentum,)


def lion(weight: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
    """Lion (arXiv:2302.06675, Algorithm 2).

    A step is the sign of a mean of moment and gradient (by beta1); the moment moves by 1 - beta2.
    """
    sign = moments[0].lerp(grad, 1 - s.beta1).sign()
    return weight * (1 - s.decay) - s.lr * sign, (moments[0].lerp(grad, 1 - s.beta2),)


_UPDATES: dict[str, Update] = {"adamw": adamw, "adam": adam, "sgd": sgd, "lion": lion}


def muon(adjust: MuonAdjust) -> Update:
    """Muon (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon) as in torch.optim.

    The step of a matrix [rows, columns] with Nesterov momentum; decay is apart from the gradient. The
    arithmetic is in the gradient's own dtype, where torch's always goes through bfloat16.

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
