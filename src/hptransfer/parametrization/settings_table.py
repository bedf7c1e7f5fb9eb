"""What every tensor gets under a rule, as rows to print or compare. No torch here."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hptransfer.parametrization.rule import Role
from hptransfer.parametrization.tensor_settings import RoleSettings


@dataclass(frozen=True)
class TensorSettings:
    """What one tensor gets at one width.

    Attributes:
        tensor: its name.
        role: embedding, hidden, readout, vector or scalar.
        shape: at this width.
        init_std: std of its initial weights; 0 means ones, NaN that it is not known.
        multiplier: factor on it in the forward pass.
        lr: its learning rate, in units of eta.
        weight_decay: its decay, in units of lambda; 0 for tensors of fewer than two dimensions.
        eps: its Adam epsilon, in units of the base's.
    """

    tensor: str
    role: Role
    shape: tuple[int, ...]
    init_std: float
    multiplier: float
    lr: float
    weight_decay: float
    eps: float

    @classmethod
    def of(
        cls, tensor: str, role: Role, shape: tuple[int, ...], base_std: float | None, factors: RoleSettings
    ) -> TensorSettings:
        """The row of one tensor.

        Args:
            tensor: its name.
            role: what it is when width grows.
            shape: at the width in question.
            base_std: std of its initial weights at the base; None where it is not known.
            factors: on what it has at the base.
        """
        return cls(
            tensor=tensor,
            role=role,
            shape=shape,
            init_std=math.nan if base_std is None else base_std * factors.init,
            multiplier=factors.multiplier,
            lr=factors.lr,
            weight_decay=factors.weight_decay if len(shape) >= 2 else 0.0,
            eps=factors.eps,
        )
