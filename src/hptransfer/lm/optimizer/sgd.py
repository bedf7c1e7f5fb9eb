"""SGD with momentum, as torch.optim.SGD has it (no dampening, no Nesterov)."""

from __future__ import annotations

from torch import Tensor

from hptransfer.lm.optimizer.scalars import Moments, Scalars


def sgd(weight: Tensor, grad: Tensor, moments: Moments, s: Scalars) -> tuple[Tensor, Moments]:
    """One step; decay is added to the gradient."""
    momentum = s.momentum * moments[0] + grad + s.decay * weight
    return weight - s.lr * momentum, (momentum,)
