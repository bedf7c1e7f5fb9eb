"""Optimizer groups: LR, decay and eps of every tensor, merged where they are equal."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, get_args

from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.initialize import matched
from hptransfer.parametrization.optimizers import Family
from hptransfer.parametrization.parameters import Owned
from hptransfer.parametrization.rule_arithmetic import in_coordinates, role_settings, scaled_eps

if TYPE_CHECKING:
    from hptransfer.parametrization.scaling import Scaling, TensorPlan

Kind = Literal["adamw", "adam", "lion", "sgd"]
Decay = Literal["coupled", "independent", "mup"]
Eps = Literal["rule", "fixed", "scaled"]


@dataclass(frozen=True)
class Expected:
    """What one tensor's optimizer group must hold before any scheduler.

    Attributes:
        kind: of its optimizer: adamw, adam, lion, sgd or muon.
        lr: learning rate.
        weight_decay: lambda, as the optimizer takes it.
        eps: Adam's; None where the optimizer has none.
    """

    kind: str
    lr: float
    weight_decay: float
    eps: float | None


def optimizer_groups(
    scaling: Scaling,
    model: nn.Module,
    lr: float,
    weight_decay: float,
    eps: float,
    optimizer: Kind | None,
    decay: Decay,
    eps_rule: Eps,
    no_decay: tuple[str, ...],
    matrices: bool,
) -> list[dict[str, Any]]:
    """Groups for one optimizer; see `Scaling.param_groups`."""
    kind = _kind(scaling, optimizer)
    _one_of(decay, get_args(Decay), "decay")
    _one_of(eps_rule, get_args(Eps), "eps_rule")
    _check(lr=lr, weight_decay=weight_decay, eps=eps)
    if kind == "adam" and weight_decay and decay != "coupled":
        raise RuleError(
            f"decay={decay!r} must be decoupled from the gradient, but torch.optim.Adam adds it there; "
            "use AdamW"
        )
    live = matched(scaling, model)
    _check_patterns(no_decay, live)
    wanted = {}
    for plan in scaling.tensors:
        if not live[plan.name].parameter.requires_grad or (not matrices and is_matrix(plan)):
            continue
        tensor_lr = lr * plan.factors.lr
        decays = len(plan.tensor.shape) >= 2 and not any(fnmatchcase(plan.name, p) for p in no_decay)
        factor = _decay_factor(scaling, plan, decay, tensor_lr) if decays else 0.0
        has_eps = kind in ("adamw", "adam")
        wanted[plan.name] = Expected(
            kind=kind,
            lr=tensor_lr,
            weight_decay=weight_decay * factor,
            eps=eps * _eps_factor(scaling, plan, eps_rule) if has_eps else None,
        )
    scaling.expected = {
        n: e for n, e in scaling.expected.items() if e.kind == "muon" and not matrices
    } | wanted
    return _merged(wanted, live, scaling.ramp)


def muon_groups(
    scaling: Scaling, model: nn.Module, lr: float, weight_decay: float, adjust: str
) -> list[dict[str, Any]]:
    """Groups of hidden matrices for Muon; see `Scaling.muon_groups`."""
    _one_of(adjust, ("original", "match_rms_adamw"), "adjust")
    _check(lr=lr, weight_decay=weight_decay)
    live = matched(scaling, model)
    wanted = {}
    for plan in scaling.tensors:
        if not live[plan.name].parameter.requires_grad or not is_matrix(plan):
            continue
        if plan.factors.multiplier != 1.0:
            raise RuleError(
                f"Muon has its own width rule, but {scaling.rule.name} puts a multiplier on {plan.name}; use "
                "hpt.without_multipliers(rule)"
            )
        longest = max(plan.tensor.shape) / max(plan.tensor.base_shape)
        factor = (longest**-0.5 if adjust == "match_rms_adamw" else 1.0) * _depth_lr(scaling, plan)
        wanted[plan.name] = Expected("muon", lr * factor, weight_decay, None)
    if not wanted:
        raise RuleError("Muon must have hidden matrices to train, but the model has none of two dimensions")
    scaling.expected = {n: e for n, e in scaling.expected.items() if n not in wanted} | wanted
    return _merged(wanted, live, scaling.ramp)


def is_matrix(plan: TensorPlan) -> bool:
    """Whether Muon takes it: a hidden tensor of exactly two dimensions."""
    return plan.role == "hidden" and len(plan.tensor.shape) == 2


def _merged(
    wanted: dict[str, Expected], live: dict[str, Owned], ramp: Callable[[str, float], float]
) -> list[dict[str, Any]]:
    by_settings: dict[tuple[Expected, float], list[str]] = {}
    for name, expected in wanted.items():
        by_settings.setdefault((expected, ramp(name, 1.0)), []).append(name)
    groups = []
    for (expected, _), names in by_settings.items():
        group: dict[str, Any] = {
            "params": [live[name].parameter for name in names],
            "lr": expected.lr,
            "weight_decay": expected.weight_decay,
            "names": names,
        }
        if expected.eps is not None:
            group["eps"] = expected.eps
        groups.append(group)
    return groups


def _decay_factor(scaling: Scaling, plan: TensorPlan, decay: Decay, lr: float) -> float:
    if decay == "coupled":
        return plan.factors.weight_decay
    if decay == "independent":
        return 1 / lr
    mup = in_coordinates(scaling.rule, "mup")
    return 1 / (role_settings(mup, plan.role, plan.tensor.ratio, scaling.ratio).lr * _depth_lr(scaling, plan))


def _depth_lr(scaling: Scaling, plan: TensorPlan) -> float:
    """The factor that the model's depth puts on a tensor's LR, whatever its optimizer."""
    deep = scaling.rule.depth.get(plan.role) if plan.tensor.block else None
    return 1.0 if deep is None else float(scaling.depth_ratio**deep.lr)


def _eps_factor(scaling: Scaling, plan: TensorPlan, eps_rule: Eps) -> float:
    if eps_rule == "scaled":
        return float(plan.tensor.ratio ** scaled_eps(scaling.rule, plan.role))
    return plan.factors.eps if eps_rule == "rule" else 1.0


def _kind(scaling: Scaling, optimizer: Kind | None) -> Kind:
    family = scaling.rule.optimizer
    if optimizer is None:
        return "sgd" if family == "sgd" else "adamw"
    _one_of(optimizer, get_args(Kind), "optimizer")
    needs: Family = "sgd" if optimizer == "sgd" else "adam"
    if needs != family:
        raise RuleError(
            f"the scaling must be for the optimizer's family, but it is for {family} and {optimizer} is "
            f"{needs}: parametrize(..., optimizer={needs!r})"
        )
    return optimizer


def _check(**settings: float) -> None:
    for name, value in settings.items():
        low_enough = value > 0 or (value == 0 and name == "weight_decay")
        if not (low_enough and value < float("inf")):
            raise RuleError(f"{name} must be positive and finite, but got {value!r}")


def _check_patterns(patterns: Sequence[str], names: Iterable[str]) -> None:
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise RuleError(f"a no_decay pattern must match a tensor, but {pattern!r} matches none")


def _one_of(value: object, valid: tuple[Any, ...], place: str) -> None:
    if value not in valid:
        raise RuleError(f"{place} must be one of {', '.join(map(str, valid))}, but got {value!r}")
