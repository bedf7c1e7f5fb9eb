"""Rules: what each role of tensor gets as the model grows, as plain data. No torch here.

A rule names, for every role, exponents of the width ratio m = width / base width. At the base width
m = 1 and every rule is the same model, optimizer and trajectory; only ratios matter.
"""

from __future__ import annotations

import difflib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from types import MappingProxyType
from typing import Literal

from hptransfer.errors import RuleError

Role = Literal["embedding", "hidden", "readout", "vector", "scalar"]
Coordinates = Literal["sp", "mup"]

ROLES: tuple[Role, ...] = ("embedding", "hidden", "readout", "vector", "scalar")


@dataclass(frozen=True)
class Exponents:
    """Exponents of m in what one role gets; each setting is (its value at the base) x m**exponent."""

    init: float = 0.0  # std of the initial weights
    multiplier: float = 0.0  # factor on the tensor in the forward pass
    lr: float = 0.0  # learning rate
    weight_decay: float = 0.0  # AdamW's lambda (each step shrinks by lr x lambda)
    eps: float = 0.0  # Adam's epsilon


@dataclass(frozen=True)
class Rule:
    """A parametrization.

    Attributes:
        name: in the catalogue.
        roles: exponents by role.
        attention: exponent of (head dimension / its value at the base) in the scale of attention logits.
        coordinates: `sp` where eta is the hidden matrices' LR, `mup` where hidden LR is eta / m.
        source: the paper it comes from.
    """

    name: str
    roles: Mapping[Role, Exponents]
    attention: float = -0.5
    coordinates: Coordinates = "sp"
    source: str = ""


@dataclass(frozen=True)
class RoleSettings:
    """What a role gets at one width, relative to the base width; all dimensionless factors."""

    init: float
    multiplier: float
    lr: float
    weight_decay: float
    eps: float


STANDARD: Mapping[Role, Exponents] = MappingProxyType(
    {
        "embedding": Exponents(),
        "hidden": Exponents(init=-0.5),
        "readout": Exponents(init=-0.5),
        "vector": Exponents(),
        "scalar": Exponents(),
    }
)
KALRA = "Kalra & Barkeshli, arXiv:2605.21486"
SWITCHES = ("embd", "ln", "attn", "last")


def switched(name: str, switches: frozenset[str]) -> Rule:
    """SP with some of the four switches of arXiv:2605.21486 thrown, in SP coordinates.

    Args:
        name: of the rule.
        switches: of `embd` (embedding LR x m), `ln` (LR of norm gains and biases x m), `attn` (attention
            logits scaled by 1/head_dim, equal at the base) and `last` (readout init variance 1/n^2).
    """
    roles = dict(STANDARD)
    if "embd" in switches:
        roles["embedding"] = Exponents(lr=1.0)
    if "ln" in switches:
        roles["vector"] = Exponents(lr=1.0)
    if "last" in switches:
        roles["readout"] = Exponents(init=-1.0)
    attention = -1.0 if "attn" in switches else -0.5
    return Rule(name, MappingProxyType(roles), attention, "sp", KALRA)


def _variants() -> dict[str, Rule]:
    """The 16 variants by name: from `sp` through `sp+embd` ... and `mup-embd` ... to `mup`."""
    rules = {}
    for count in range(len(SWITCHES) + 1):
        for chosen in combinations(SWITCHES, count):
            missing = [s for s in SWITCHES if s not in chosen]
            name = (
                "mup" + "".join(f"-{s}" for s in missing) if len(missing) <= 1 else "+".join(("sp", *chosen))
            )
            rules[name] = switched(name, frozenset(chosen))
    return rules


RULES: Mapping[str, Rule] = MappingProxyType(_variants())


def get_rule(name: str) -> Rule:
    """The rule of that name.

    Raises:
        RuleError: no rule has that name; the text lists the closest and all valid ones.
    """
    if name in RULES:
        return RULES[name]
    close = difflib.get_close_matches(name, RULES, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise RuleError(f"the rule must be in the catalogue, but got {name!r}{hint}; valid: {', '.join(RULES)}")


def in_coordinates(rule: Rule, coordinates: Coordinates) -> Rule:
    """The same rule with eta relabelled: eta_mup = eta_sp x m, so every LR exponent shifts by one.

    Training is unchanged when eta is converted along (`convert_lr`).
    """
    if coordinates == rule.coordinates:
        return rule
    shift = -1.0 if coordinates == "mup" else 1.0
    roles = {role: replace(e, lr=e.lr + shift) for role, e in rule.roles.items()}
    return replace(rule, roles=MappingProxyType(roles), coordinates=coordinates)


def convert_lr(lr: float, ratio: float, source: Coordinates, target: Coordinates) -> float:
    """The LR eta in another coordinate; `ratio` is m = width / base width. Exact: eta_mup = eta_sp x m."""
    if source == target:
        return lr
    return lr * ratio if target == "mup" else lr / ratio


def role_settings(rule: Rule, role: Role, ratio: float) -> RoleSettings:
    """Factors that a role gets at m = `ratio`, relative to the base width.

    Raises:
        RuleError: the ratio is not positive and finite.
    """
    if not (ratio > 0 and math.isfinite(ratio)):
        raise RuleError(f"width / base width must be positive and finite, but got {ratio}")
    e = rule.roles[role]
    return RoleSettings(
        init=ratio**e.init,
        multiplier=ratio**e.multiplier,
        lr=ratio**e.lr,
        weight_decay=ratio**e.weight_decay,
        eps=ratio**e.eps,
    )


def attention_scale(rule: Rule, head_dim: float, base_head_dim: float) -> float:
    """Factor on attention logits: 1/sqrt(base_head_dim) at the base, then by the rule's exponent.

    SP's -1/2 gives 1/sqrt(head_dim); the `attn` switch gives sqrt(base_head_dim)/head_dim.
    """
    return float(base_head_dim**-0.5 * (head_dim / base_head_dim) ** rule.attention)
