"""What a rule is made of: roles, exponents, and the rule itself, as plain data. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal, get_args

from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.parametrization.optimizers import Family

Role = Literal["embedding", "hidden", "readout", "vector", "scalar"]
ROLES: tuple[Role, ...] = get_args(Role)


@dataclass(frozen=True)
class Exponents:
    """Exponents of m in what one role gets; each setting is (its value at the base) x m**exponent."""

    init: float = 0.0  # std of the initial weights
    multiplier: float = 0.0  # factor on the tensor in the forward pass
    lr: float = 0.0  # learning rate
    weight_decay: float = 0.0  # AdamW's lambda (each step shrinks by lr x lambda)
    eps: float = 0.0  # Adam's epsilon


@dataclass(frozen=True)
class Ramp:
    """How a role's learning rate leaves the rule's in the course of training: x m**(exponent x progress)."""

    exponent: float  # of m at the end; -1 takes an embedding from LR x m to LR x 1
    begin: float = 0.0  # share of the training at which it sets out
    end: float = 1.0  # share at which it has arrived

    def factor(self, ratio: float, share: float) -> float:
        """The factor on the LR at m = `ratio`, after `share` of the training; log-linear between the ends."""
        progress = (share - self.begin) / (self.end - self.begin)
        return float(ratio ** (self.exponent * min(max(progress, 0.0), 1.0)))


@dataclass(frozen=True)
class Rule:
    """A parametrization for one family of optimizers.

    Attributes:
        name: in the catalogue.
        roles: exponents by role, of the tensor's own width ratio (fan-in for hidden and readout, else its
            one infinite dimension).
        attention: exponent of (head dimension / its value at the base) in the scale of attention logits.
        coordinates: `sp` where eta is the hidden matrices' LR, `mup` where hidden LR is eta / m.
        source: the paper it comes from.
        optimizer: `adam` (also AdamW, Lion: updates that do not scale with the gradient) or `sgd`.
        lr_exponent: of the model's width ratio in every LR; a relabelling of eta (`in_coordinates`).
        tied: exponent of the extra factor on the logits where readout and embedding share one tensor;
            None leaves the logits as the architecture has them.
        keeps_native_multipliers: whether width-dependent multipliers that the architecture has by itself
            stay; SP alone.
        residual: exponent of the depth ratio in the factor on every residual branch.
        depth: exponents of the depth ratio, by role, for tensors inside the repeated blocks.
        scales_depth: whether the rule says anything about depth; else a model of another depth is refused.
        scales_sides: whether a hidden LR goes by fan_out / fan_in where they grow differently: muP with SGD.
        ramps: how the LR of a role moves in the course of training; none in the catalogue.
    """

    name: str
    roles: Mapping[Role, Exponents]
    attention: float = -0.5
    coordinates: Coordinates = "sp"
    source: str = ""
    optimizer: Family = "adam"
    lr_exponent: float = 0.0
    tied: float | None = None
    keeps_native_multipliers: bool = False
    residual: float = 0.0
    depth: Mapping[Role, Exponents] = field(default_factory=dict)
    scales_depth: bool = False
    scales_sides: bool = False
    ramps: Mapping[Role, Ramp] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in _MAPPINGS:
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def __getstate__(self) -> dict[str, Any]:
        # A read-only view of a mapping cannot be copied or pickled, what it shows can.
        return vars(self) | {name: dict(getattr(self, name)) for name in _MAPPINGS}

    def __setstate__(self, state: dict[str, Any]) -> None:
        Rule.__init__(self, **state)


_MAPPINGS = ("roles", "depth", "ramps")  # fields of a rule, of which it keeps read-only copies


def role_map(
    embedding: Exponents,
    hidden: Exponents,
    readout: Exponents,
    vector: Exponents = Exponents(),
    scalar: Exponents = Exponents(),
) -> dict[Role, Exponents]:
    """Exponents of m of all five roles; vectors and scalars stay as at the base where nothing is said."""
    return dict(zip(ROLES, (embedding, hidden, readout, vector, scalar), strict=True))
