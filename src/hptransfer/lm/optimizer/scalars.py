"""What an optimizer's step takes and gives, for one tensor of one run."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeAlias

from torch import Tensor

Moments: TypeAlias = tuple[Tensor, ...]  # what is remembered of a tensor; each of its shape, zero at first


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
