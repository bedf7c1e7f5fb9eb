"""What every tensor gets under a rule, as rows to print or compare."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

from hptransfer.parametrization.rule import Role, Rule
from hptransfer.parametrization.rule_arithmetic import role_settings


class Tensor(Protocol):
    """What a row needs to know of a tensor; read-only."""

    @property
    def name(self) -> str:
        """As in the model's state dict."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its shape at the width in question."""

    @property
    def role(self) -> Role:
        """What it is when width grows."""

    @property
    def base_std(self) -> float:
        """Std of its initial weights at the base width; 0 where it starts at one."""


@dataclass(frozen=True)
class TensorSettings:
    """What one tensor gets at one width.

    Attributes:
        tensor: its name.
        role: embedding, hidden, readout, vector or scalar.
        shape: at this width.
        init_std: std of its initial weights; 0 means ones.
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


def tensor_settings(
    rule: Rule, tensors: Iterable[Tensor], base: Iterable[Tensor], ratio: float
) -> list[TensorSettings]:
    """What every tensor gets.

    Args:
        rule: in the coordinates that eta is to be read in.
        tensors: of the model at the width in question.
        base: the same tensors at the base width, in the same order; their `base_std` is what is scaled.
        ratio: m, width / base width.

    Raises:
        RuleError: the ratio is not positive and finite.
    """
    return [_settings(rule, tensor, at_base, ratio) for tensor, at_base in zip(tensors, base, strict=True)]


def _settings(rule: Rule, tensor: Tensor, at_base: Tensor, ratio: float) -> TensorSettings:
    factors = role_settings(rule, tensor.role, ratio)
    return TensorSettings(
        tensor=tensor.name,
        role=tensor.role,
        shape=tensor.shape,
        init_std=at_base.base_std * factors.init,
        multiplier=factors.multiplier,
        lr=factors.lr,
        weight_decay=factors.weight_decay if len(tensor.shape) >= 2 else 0.0,
        eps=factors.eps,
    )
