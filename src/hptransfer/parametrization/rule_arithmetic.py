"""Rules looked up, converted and evaluated: what each role of tensor gets as the model grows. No torch here.

A rule names, for every role, exponents of the width ratio m = width / base width. At the base width
m = 1 and every rule is the same model, optimizer and trajectory; only ratios matter.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import replace

from hptransfer.errors import RuleError
from hptransfer.parametrization.catalogue import CATALOGUE, RULES, completep
from hptransfer.parametrization.coordinates import Coordinates, coordinate_exponent
from hptransfer.parametrization.optimizers import FAMILIES, Family
from hptransfer.parametrization.rule import Exponents, Role, Rule
from hptransfer.words import precise


def get_rule(name: str, optimizer: Family = "adam") -> Rule:
    """The rule of that name for that family of optimizers.

    Raises:
        RuleError: no rule has that name (the text lists the closest and all valid ones), or it says
            nothing about that family.
    """
    if (name, optimizer) in CATALOGUE:
        return CATALOGUE[name, optimizer]
    if optimizer == "adam" and (alpha := re.fullmatch(r"completep-([01]?\.\d+)", name)):
        return completep(float(alpha[1]))
    if optimizer not in FAMILIES:
        raise RuleError(f"the optimizer family must be one of {', '.join(FAMILIES)}, but got {optimizer!r}")
    valid = [known for known, family in CATALOGUE if family == optimizer]
    if name in RULES:
        raise RuleError(
            f"a rule must cover the optimizer, but {name} says nothing about {optimizer}; "
            f"valid for {optimizer}: {', '.join(valid)}"
        )
    hint = did_you_mean(name, valid)
    raise RuleError(f"the rule must be in the catalogue, but got {name!r}{hint}; valid: {', '.join(valid)}")


def did_you_mean(name: str, valid: Sequence[str]) -> str:
    """A hint at the valid name that is closest, for an error's text; empty where none is close."""
    close = difflib.get_close_matches(name, valid, n=1)
    return f" (did you mean {close[0]!r}?)" if close else ""


def in_coordinates(rule: Rule, coordinates: Coordinates) -> Rule:
    """The same rule with eta relabelled: eta_mup = eta_sp x m, so every LR exponent shifts by one.

    Training is unchanged when eta is converted along (`convert_lr`). Under SGD the hidden LR of muP is eta
    itself, so the two coordinates are one.
    """
    exponent = coordinate_exponent(rule.coordinates, coordinates, rule.optimizer)
    return replace(rule, lr_exponent=rule.lr_exponent - exponent, coordinates=coordinates)


def attention_scale(rule: Rule, head_dim: float, base_head_dim: float) -> float:
    """Factor on attention logits: 1/sqrt(base_head_dim) at the base, then by the rule's exponent.

    SP's -1/2 gives 1/sqrt(head_dim); the `attn` switch gives sqrt(base_head_dim)/head_dim.
    """
    return float(base_head_dim**-0.5 * (head_dim / base_head_dim) ** rule.attention)


def scaled_eps_exponent(rule: Rule, role: Role, tied: bool = False) -> float:
    """Exponent of m that keeps Adam's eps in proportion to the gradient it is added to.

    The gradient behind the readout is as large as the readout's effective weights, m**(init + multiplier);
    the readout's own gradient does not shrink; a multiplier on a tensor multiplies its gradient. For
    CompleteP this gives back its published eps exponents. A tied readout's weights are the embedding's, times
    the rule's factor on tied logits.
    """
    own = rule.roles[role].multiplier
    if role == "readout":
        return own
    if tied:
        table = rule.roles["embedding"]
        return table.init + table.multiplier + (rule.tied or 0.0) + own
    readout = rule.roles["readout"]
    return readout.init + readout.multiplier + own


def check_depth(rule: Rule, depth_ratio: float) -> None:
    """Raises RuleError where model and base differ in depth, and the rule says nothing of it."""
    if depth_ratio != 1.0 and not rule.scales_depth:
        raise RuleError(
            f"model and base must have the same depth under {rule.name}, which says nothing about depth, "
            f"but the model has {precise(depth_ratio)} times the base's blocks; completep, depth-mup "
            "and u-mup scale depth"
        )


def without_multipliers(rule: Rule) -> Rule:
    """The same rule with every forward multiplier shifted into init, LR, decay and eps (the abc shift).

    multiplier / theta, init x theta, LR x theta (Adam; eps / theta) or x theta^2 (SGD), decay by what keeps
    LR x lambda: training is unchanged (arXiv:2203.03466, section J.2.1). Gains and biases hold by their
    role's own multiplier, which is zero in the catalogue. Exponents of depth are shifted alike.
    """
    depth = {role: _shifted(e, rule) for role, e in rule.depth.items()}
    return replace(rule, roles={role: _shifted(e, rule) for role, e in rule.roles.items()}, depth=depth)


def _shifted(e: Exponents, rule: Rule) -> Exponents:
    theta = e.multiplier
    in_lr = theta * (2.0 if rule.optimizer == "sgd" else 1.0)
    return Exponents(e.init + theta, 0.0, e.lr + in_lr, e.weight_decay - in_lr, e.eps - theta)
