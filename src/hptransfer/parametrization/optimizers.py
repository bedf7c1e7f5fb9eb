"""Optimizers as plain data: one entry each, for training, `verify` and coordinates. No torch here.

An optimizer that hptransfer trains with is an entry here and an update function in `hptransfer.lm.optimizer`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from hptransfer.errors import RuleError, one_of

Family = Literal["adam", "sgd"]
OptimizerName = Literal["adamw", "adam", "sgd", "lion", "muon"]
DecayKind = Literal["coupled", "independent", "mup", "sqrt-width", "inverse-width"]
Hyperparameter = Literal["betas", "eps", "momentum"]
MuonAdjust = Literal["original", "match_rms_adamw"]

FAMILIES: tuple[Family, ...] = get_args(Family)
DECAY_KINDS: tuple[DecayKind, ...] = get_args(DecayKind)


@dataclass(frozen=True)
class Optimizer:
    """What is to be known of an optimizer besides its arithmetic."""

    name: OptimizerName  # as specs and `param_groups` have it
    family: Family  # whose rules it goes by: `sgd` where an update grows with the gradient, else `adam`
    moments: int  # how many tensors it keeps beside each weight, of the weight's shape
    hyperparameters: frozenset[Hyperparameter]  # that it has besides LR and weight decay
    # Whether lambda x weight is added to the gradient, as Adam and SGD do; else a step takes LR x lambda of
    # the weight off, apart from the gradient.
    decay_in_gradient: bool
    class_word: str  # what names of classes that implement it hold, in lower case
    torch_class: str | None  # its name in `torch.optim`, where torch has it
    first_moment: Literal["beta1", "beta2", "momentum"]  # the rate at which the first moment forgets
    sums_gradients: bool = False  # whether the first moment is a sum of gradients, as SGD's, not their mean
    momentum: float | None = None  # its default, where it has one
    others: OptimizerName | None = None  # that trains all but the hidden matrices beside it, as Muon needs

    @property
    def matrices_only(self) -> bool:
        """Whether it trains hidden matrices alone, as Muon does."""
        return self.others is not None

    def takes_decay(self, kind: DecayKind) -> bool:
        """Whether it has a decay convention; Adam, which divides lambda by its denominator, has one alone."""
        return kind == "coupled" or not (self.decay_in_gradient and self.family == "adam")

    def of_role(self, role: str) -> Optimizer:
        """The optimizer that trains a tensor of that role: itself, or the one beside it."""
        return OPTIMIZERS[self.others] if self.others is not None and role != "hidden" else self


_MOMENTS: frozenset[Hyperparameter] = frozenset({"betas", "eps"})
_MOMENTUM: frozenset[Hyperparameter] = frozenset({"momentum"})
_ENTRIES = (
    Optimizer("adamw", "adam", 2, _MOMENTS, False, "adam", "AdamW", "beta1"),
    Optimizer("adam", "adam", 2, _MOMENTS, True, "adam", "Adam", "beta1"),
    Optimizer("sgd", "sgd", 1, _MOMENTUM, True, "sgd", "SGD", "momentum", sums_gradients=True, momentum=0.9),
    Optimizer("lion", "adam", 1, frozenset({"betas"}), False, "lion", None, "beta2"),
    Optimizer("muon", "adam", 1, _MOMENTUM, False, "muon", "Muon", "momentum", momentum=0.95, others="adamw"),
)
OPTIMIZERS: Mapping[str, Optimizer] = MappingProxyType({entry.name: entry for entry in _ENTRIES})


def get_optimizer(name: str) -> Optimizer:
    """The registry entry of that name.

    Raises:
        RuleError: there is none; the text lists all.
    """
    return OPTIMIZERS[one_of(name, OPTIMIZERS, "the optimizer", RuleError)]


def family(name: str) -> Family:
    """Whose rules and coordinates an optimizer goes by; raises RuleError where its name is unknown."""
    return get_optimizer(name).family


def word_in_class_name(class_name: str) -> str | None:
    """Which optimizer a class implements, by its name: an entry's `class_word`; None where none is in it."""
    # Adam last: what is named after another one too (as Muon with an Adam beside it) is the other.
    words = (entry.class_word for entry in reversed(_ENTRIES))
    return next((word for word in words if word in class_name.lower()), None)
