"""Carry an LR to another width, depth, batch and number of tokens, with what that assumes. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hptransfer.errors import RuleError
from hptransfer.parametrization.axis_laws import LAW_AXES, AxisLaw, get_law
from hptransfer.parametrization.coordinates import Coordinates, convert_lr
from hptransfer.parametrization.custom import as_rule
from hptransfer.parametrization.optimizers import Family
from hptransfer.parametrization.rule import ROLES, Role, Rule
from hptransfer.parametrization.rule_arithmetic import attention_scale, did_you_mean, in_coordinates
from hptransfer.parametrization.tensor_settings import RoleSettings, depth_settings, width_settings
from hptransfer.words import precise, rough

AXES = ("width", "depth", *LAW_AXES)


@dataclass(frozen=True)
class LRTransfer:
    """An LR carried to another size.

    Attributes:
        rule: by name.
        ratios: of what changes, by axis.
        lrs: LR of every role outside the repeated blocks.
        block_lrs: the same of tensors inside them.
        block_eps: factor on Adam's eps of every role inside them.
        eta: the LR to give at the new size, by the coordinates it is read in.
        weight_decay: factor on lambda of every role, where a step takes LR x lambda of the weight.
        eps: factor on Adam's eps of every role.
        memory: factor on 1 - beta of Adam's moments.
        init: factor on the init std of every role.
        multiplier: factor in the forward pass, by role.
        residual: factor on every residual branch.
        experts: further factors on the tensors of experts, where their number or top-k changes.
        attention: factor on the scale of attention logits, where head dimension grows with width.
        assumptions: what has to hold for the optimum to move like this.
    """

    rule: str
    ratios: Mapping[str, float]
    lrs: Mapping[Role, float]
    block_lrs: Mapping[Role, float]
    block_eps: Mapping[Role, float]
    eta: Mapping[Coordinates, float]
    weight_decay: Mapping[Role, float]
    eps: Mapping[Role, float]
    memory: float
    init: Mapping[Role, float]
    multiplier: Mapping[Role, float]
    residual: float
    experts: RoleSettings
    attention: float
    assumptions: tuple[str, ...]

    @property
    def ratio(self) -> float:
        """M, the width / the width it was tuned at."""
        return self.ratios.get("width", 1.0)

    def __str__(self) -> str:
        others = "".join(
            f", {axis} x {precise(ratio)}" for axis, ratio in self.ratios.items() if axis != "width"
        )
        lines = [f"{self.rule}, m = {precise(self.ratio)}{others}"]
        lines += [
            f"  {role:<10} lr {precise(self.lrs[role]):<12} lambda x {rough(self.weight_decay[role], 4):<8} "
            f"eps x {rough(self.eps[role], 4):<8} init x {rough(self.init[role], 4):<8} "
            f"multiplier x {rough(self.multiplier[role], 4)}"
            for role in ROLES
        ]
        if self.block_lrs != self.lrs:
            inside = (f"{role} {precise(lr)}" for role, lr in self.block_lrs.items() if lr != self.lrs[role])
            lines.append(f"  in blocks: lr {', '.join(inside)}")
        if self.block_eps != self.eps:
            inside = (f"{role} x {rough(x, 4)}" for role, x in self.block_eps.items() if x != self.eps[role])
            lines.append(f"  in blocks: eps {', '.join(inside)}")
        if self.residual != 1.0:
            lines.append(f"  residual branches x {rough(self.residual, 4)}")
        if self.experts != RoleSettings():
            lines.append(
                f"  of experts: eps x {rough(self.experts.eps, 4)}, "
                f"output x {rough(self.experts.multiplier, 4)}"
            )
        if self.memory != 1.0:
            lines.append(f"  1 - beta of Adam's moments x {rough(self.memory, 4)}")
        return "\n".join([*lines, "assuming:", *(f"  - {line}" for line in self.assumptions)])


def transfer_lr(
    lr: float,
    *,
    at: Mapping[str, float],
    to: Mapping[str, float],
    rule: Rule | str | Path | Mapping[str, Any] = "mup",
    optimizer: Family = "adam",
    laws: Mapping[str, str] | None = None,
) -> LRTransfer:
    """The LR of every role at another size, for an eta tuned at one.

    The size it was tuned at is the base, where every rule gives every tensor eta itself. The optimum is taken
    to stand still in muP coordinates (hidden LR eta / m under Adam); in SP coordinates eta falls like 1/m.

    Args:
        lr: eta, tuned at `at`.
        at: the size it was tuned at, by axis: width, depth (blocks), batch, tokens (of the whole training),
            experts, top_k (experts that a token goes through).
        to: the size to use it at: the same axes, or some of them; the others stay.
        rule: catalogue name, Rule, mapping or YAML file, for width and depth.
        optimizer: family of the optimizer, adam (also AdamW, Lion) or sgd.
        laws: how LR moves with `batch` (sqrt, linear, timescale, none), `tokens` (sqrt, power, timescale,
            none), `experts` (average, none) and `top_k` (average, sum, none). By default sqrt and average
            under Adam, linear and none under SGD.

    Raises:
        RuleError: a number is not positive, an axis is not in both, the rule says nothing about depth, or a
            rule, axis or law is unknown.
    """
    ratios = _ratios(lr, at, to)
    chosen = in_coordinates(as_rule(rule, optimizer), "mup")
    m, deeper = ratios.get("width", 1.0), ratios.get("depth", 1.0)
    if deeper != 1.0 and not chosen.scales_depth:
        raise RuleError(
            f"a rule must say what depth does, but {chosen.name} does not; use completep, depth-mup or u-mup"
        )
    used = _laws(laws or {}, ratios, optimizer)
    common, experts = (
        _moved((law for law in used if law.of_experts is own), ratios) for own in (False, True)
    )
    outside = {role: width_settings(chosen, role, m) * common for role in ROLES}
    inside = {role: s * depth_settings(chosen, role, deeper) for role, s in outside.items()}
    eta = lr * common.lr
    return LRTransfer(
        rule=chosen.name,
        ratios=ratios,
        lrs={role: lr * s.lr for role, s in outside.items()},
        block_lrs={role: lr * s.lr for role, s in inside.items()},
        block_eps={role: s.eps for role, s in inside.items()},
        eta={"mup": eta, "sp": convert_lr(eta, m, "mup", "sp", optimizer)},
        weight_decay={role: s.weight_decay for role, s in outside.items()},
        eps={role: s.eps for role, s in outside.items()},
        memory=_product(ratios[law.axis] ** law.memory for law in used),
        init={role: s.init for role, s in outside.items()},
        multiplier={role: s.multiplier for role, s in outside.items()},
        residual=deeper**chosen.residual,
        attention=attention_scale(chosen, m, 1.0),
        experts=experts,
        assumptions=_assumptions(chosen, at, ratios, used),
    )


def _moved(laws: Iterable[AxisLaw], ratios: Mapping[str, float]) -> RoleSettings:
    found = RoleSettings()
    for law in laws:
        x = ratios[law.axis]
        decay, eps = x**law.weight_decay, x**law.eps
        found = found * RoleSettings(1.0, x**law.multiplier, x**law.lr, decay, eps)
    return found


def _product(factors: Any) -> float:
    found = 1.0
    for factor in factors:
        found *= factor
    return found


def _ratios(lr: float, at: Mapping[str, float], to: Mapping[str, float]) -> dict[str, float]:
    for name, value in (("lr", lr), *at.items(), *to.items()):
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if not number or not 0 < value < float("inf"):
            raise RuleError(f"{name} must be positive and finite, but got {value!r}")
    for axis in (*at, *to):
        if axis not in AXES:
            raise RuleError(
                f"an axis must be one of {', '.join(AXES)}, but got {axis!r}{did_you_mean(str(axis), AXES)}"
            )
    if missing := next((axis for axis in to if axis not in at), None):
        raise RuleError(f"every axis of `to` must be in `at`, where the LR was tuned, but {missing} is not")
    return {axis: to[axis] / at[axis] for axis in AXES if axis in to}


def _laws(given: Mapping[str, str], ratios: Mapping[str, float], optimizer: Family) -> list[AxisLaw]:
    for axis in given:
        if axis not in LAW_AXES:
            raise RuleError(
                f"laws must be for {', '.join(LAW_AXES)}, but got {axis!r}; width and depth have the rule"
            )
    return [get_law(axis, given.get(axis), optimizer) for axis in LAW_AXES if axis in ratios]


def _assumptions(
    rule: Rule, at: Mapping[str, float], ratios: Mapping[str, float], laws: list[AxisLaw]
) -> tuple[str, ...]:
    where = ", ".join(f"{axis} {precise(value)}" for axis, value in at.items())
    mixture = [axis for axis in ("experts", "top_k") if axis in at]
    same = [axis for axis in ("depth", "batch", "tokens", *mixture) if axis not in ratios]
    found = [
        f"eta was tuned at {where} with one LR for every tensor; that size is the base",
        "the optimum stands still in muP coordinates: the rule's promise, not a measurement; sweep two "
        "sizes to see the drift",
        f"{', '.join([*same, 'schedule'])} and weight decay, but for the factors above, are the same at both "
        "(weight decay coupled to the LR weakens where the LR falls)",
        "every width grows by the same ratio, and the larger model has the rule's init and multipliers too",
    ]
    if rule.attention != -0.5:
        found.append("attention logits are scaled as the rule says where the head dimension grows")
    if "depth" in ratios:
        branches = f"residual branches x depth^{precise(rule.residual)}"
        found.append(f"depth is scaled as {rule.name} says: {branches} ({rule.source})")
    found += [f"{law.axis}: {law.assumes}" + f" ({law.source})" * bool(law.source) for law in laws]
    return tuple(found)
