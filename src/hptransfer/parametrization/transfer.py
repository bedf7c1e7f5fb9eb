"""Carry an LR from one width to another under a rule, with what that assumes. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hptransfer.errors import RuleError
from hptransfer.parametrization.coordinates import Coordinates, convert_lr
from hptransfer.parametrization.custom import as_rule
from hptransfer.parametrization.optimizers import Family
from hptransfer.parametrization.rule import ROLES, Role, Rule
from hptransfer.parametrization.rule_arithmetic import attention_scale, in_coordinates
from hptransfer.parametrization.tensor_settings import width_settings


@dataclass(frozen=True)
class LRTransfer:
    """An LR carried to another width.

    Attributes:
        rule: by name.
        ratio: m = to_width / from_width.
        lrs: LR of every role at the new width.
        eta: the LR to give at the new width, by the coordinates it is read in.
        init: factor on the init std of every role.
        multiplier: factor in the forward pass, by role.
        attention: factor on the scale of attention logits, where head dimension grows with width.
        assumptions: what has to hold for the optimum to move like this.
    """

    rule: str
    ratio: float
    lrs: Mapping[Role, float]
    eta: Mapping[Coordinates, float]
    init: Mapping[Role, float]
    multiplier: Mapping[Role, float]
    attention: float
    assumptions: tuple[str, ...]

    def __str__(self) -> str:
        lines = [f"{self.rule}, m = {self.ratio:g}"]
        lines += [
            f"  {role:<10} lr {self.lrs[role]:<12.6g} init x {self.init[role]:<10.4g} "
            f"multiplier x {self.multiplier[role]:.4g}"
            for role in ROLES
        ]
        return "\n".join([*lines, "assuming:", *(f"  - {line}" for line in self.assumptions)])


def transfer_lr(
    lr: float,
    *,
    rule: Rule | str | Path | Mapping[str, Any] = "mup",
    from_width: float,
    to_width: float,
    optimizer: Family = "adam",
) -> LRTransfer:
    """The LR of every role at `to_width`, for an eta tuned at `from_width`.

    The width it was tuned at is the base, where every rule gives every tensor eta itself. The optimum is
    taken to stand still in muP coordinates (hidden LR eta / m under Adam); in SP coordinates eta falls
    like 1/m.

    Args:
        lr: eta, tuned at `from_width`.
        rule: catalogue name, Rule, mapping or YAML file.
        from_width: where eta was tuned.
        to_width: where it is to be used.
        optimizer: family of the optimizer, adam (also AdamW, Lion) or sgd.

    Raises:
        RuleError: a number is not positive, or the rule is unknown.
    """
    for name, value in (("lr", lr), ("from_width", from_width), ("to_width", to_width)):
        if not 0 < value < float("inf"):
            raise RuleError(f"{name} must be positive and finite, but got {value!r}")
    chosen = in_coordinates(as_rule(rule, optimizer), "mup")
    ratio = to_width / from_width
    settings = {role: width_settings(chosen, role, ratio) for role in ROLES}
    return LRTransfer(
        rule=chosen.name,
        ratio=ratio,
        lrs={role: lr * s.lr for role, s in settings.items()},
        eta={"mup": lr, "sp": convert_lr(lr, ratio, "mup", "sp", optimizer)},
        init={role: s.init for role, s in settings.items()},
        multiplier={role: s.multiplier for role, s in settings.items()},
        attention=attention_scale(chosen, ratio, 1.0),
        assumptions=_assumptions(chosen, from_width),
    )


def _assumptions(rule: Rule, from_width: float) -> tuple[str, ...]:
    shared = (
        f"eta was tuned at width {from_width:g} with one LR for every tensor; that width is the base",
        "the optimum stands still in muP coordinates: the rule's promise, not a measurement; sweep two "
        "widths to see the drift",
        "depth, batch size, tokens, schedule and weight decay are the same at both widths (weight decay "
        "coupled to the LR weakens where the LR falls)",
        "every width grows by the same ratio, and the larger model has the rule's init and multipliers too",
    )
    if rule.attention != -0.5:
        return (*shared, "attention logits are scaled as the rule says where the head dimension grows")
    return shared
