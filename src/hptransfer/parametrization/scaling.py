"""Scaling: a rule applied to a model, from its shapes at two widths."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.attention import attention_sites
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.parametrization.custom import as_rule
from hptransfer.parametrization.groups import Decay, Eps, Expected, Kind, muon_groups, optimizer_groups
from hptransfer.parametrization.hooks import AttentionSite, Factor
from hptransfer.parametrization.initialize import apply_, base_std, init_
from hptransfer.parametrization.multipliers import module_factors, tied_readouts
from hptransfer.parametrization.optimizers import Family
from hptransfer.parametrization.pairing import Pairing, pair
from hptransfer.parametrization.parameters import modules
from hptransfer.parametrization.roles import TensorRole, paired_roles
from hptransfer.parametrization.rule import Role, RoleSettings, Rule
from hptransfer.parametrization.rule_arithmetic import in_coordinates, role_settings
from hptransfer.parametrization.settings_table import TensorSettings
from hptransfer.parametrization.verify import Verification, verify


@dataclass(frozen=True)
class TensorPlan:
    """What one tensor is and gets.

    Attributes:
        tensor: its role, shapes and own ratio.
        factors: on its settings at the base.
        base_std: std of its initial weights in the base; None where the base is on the meta device.
    """

    tensor: TensorRole
    factors: RoleSettings
    base_std: float | None

    @property
    def name(self) -> str:
        """Canonical name."""
        return self.tensor.name

    @property
    def role(self) -> Role:
        """What it is when width grows."""
        return self.tensor.role


@dataclass(eq=False)
class Scaling:
    """A rule applied to one model; plain data by tensor name, so it outlives wrappers and checkpoints.

    Attributes:
        rule: in the coordinates that `lr` is read in.
        ratio: m, the model's width / base width.
        depth_ratio: blocks / blocks of the base.
        tensors: every tensor's plan, in the model's order.
        factors: forward multipliers, by module; those of one are left out.
        attention: where attention logits are scaled, and by how much.
        expected: by tensor name, what its optimizer group must hold; filled by `param_groups`.
    """

    rule: Rule
    ratio: float
    depth_ratio: float
    tensors: tuple[TensorPlan, ...]
    factors: tuple[Factor, ...]
    attention: tuple[AttentionSite, ...]
    expected: dict[str, Expected] = field(default_factory=dict)

    def init_(
        self, model: nn.Module, *, seed: int | None = None, std: Literal["base", "rule"] = "base"
    ) -> nn.Module:
        """Sets initial weights and forward multipliers in place; a second call changes nothing.

        Args:
            model: whose tensors are on a real device; sharded by FSDP2 only with a seed.
            seed: of normal draws, by tensor name, the same however the model is sharded; None keeps the
                model's own draws and rescales them.
            std: `base`: the base model's measured std x the rule's factor, tensor by tensor; `rule`: what
                the rule starts from (hidden and readout 1/sqrt(base fan-in), embeddings one) x its factor.
                Constant tensors (gains, zero biases), vectors and scalars stay as they are.

        Raises:
            RuleError: the model is not the one that was scaled, is on the meta device, or sharded without
                a seed; or `std` is `base` and the base was on the meta device.
        """
        return init_(self, model, seed, std)

    def apply_(self, model: nn.Module) -> nn.Module:
        """Sets forward multipliers alone, for weights that come from a checkpoint; repeatable."""
        return apply_(self, model)

    def param_groups(
        self,
        model: nn.Module,
        *,
        lr: float,
        weight_decay: float = 0.0,
        eps: float = 1e-8,
        optimizer: Kind | None = None,
        decay: Decay = "coupled",
        eps_rule: Eps = "rule",
        no_decay: Sequence[str] = (),
        matrices: bool = True,
    ) -> list[dict[str, Any]]:
        """Groups for a torch optimizer: tensors with equal settings merged, their names under `names`.

        Args:
            model: the live model, wrapped or sharded as it will be trained.
            lr: eta, in the rule's coordinates.
            weight_decay: lambda.
            eps: Adam's, at the base.
            optimizer: adamw, adam, lion (update sizes free of the gradient's) or sgd; default by the rule.
            decay: `coupled`: group decay = lambda x the rule's factor (each step shrinks by LR x lambda);
                `independent`: each step shrinks by schedule x lambda whatever the LR; `mup`: LR x lambda is
                that of the base in muP coordinates (lambda x m on hidden matrices).
            eps_rule: `rule`: as the rule says (most: fixed); `fixed`; `scaled`: in proportion to gradients.
            no_decay: name patterns that do not decay, besides tensors of fewer than two dimensions.
            matrices: False leaves hidden matrices out, for `muon_groups` beside it.

        Raises:
            RuleError: the model is not the one that was scaled, or a setting is out of range.
        """
        return optimizer_groups(
            self, model, lr, weight_decay, eps, optimizer, decay, eps_rule, tuple(no_decay), matrices
        )

    def muon_groups(
        self,
        model: nn.Module,
        *,
        lr: float,
        weight_decay: float = 0.0,
        adjust: Literal["original", "match_rms_adamw"] = "original",
    ) -> list[dict[str, Any]]:
        """Groups of the hidden matrices for torch.optim.Muon; `param_groups(matrices=False)` has the rest.

        An orthogonalised update has its own width rule, so the rule's Adam exponents are not applied to it:
        with `original` Muon itself scales by sqrt(max(1, fan_out / fan_in)) and LR stays; with
        `match_rms_adamw` the update's spectral norm grows like sqrt(width), so LR falls like 1/sqrt(m).

        Raises:
            RuleError: as `param_groups`; or the rule puts a multiplier on hidden matrices.
        """
        return muon_groups(self, model, lr, weight_decay, adjust)

    def verify(
        self,
        model: nn.Module,
        optimizers: torch.optim.Optimizer | Iterable[torch.optim.Optimizer],
        *,
        share: float = 0.0,
    ) -> Verification:
        """Checks the live optimizer and model against the rule; see `hptransfer.parametrization.verify`.

        Args:
            model: live.
            optimizers: live.
            share: of the training that is done; counts where the rule has ramps alone.
        """
        if not self.rule.ramps:
            return verify(self, model, optimizers)
        now = {name: replace(e, lr=e.lr * self.ramp(name, share)) for name, e in self.expected.items()}
        return verify(replace(self, expected=now), model, optimizers)

    def ramp(self, name: str, share: float) -> float:
        """The factor on the LR of a tensor, by its name, after `share` of the training; 1 without a ramp."""
        plan = next(plan for plan in self.tensors if plan.name == name)
        ramp = self.rule.ramps.get(plan.role)
        return 1.0 if ramp is None else ramp.factor(plan.tensor.ratio, share)

    def lr_lambdas(
        self,
        optimizer: torch.optim.Optimizer,
        steps: int,
        schedule: Callable[[int], float] = lambda _step: 1.0,
    ) -> list[Callable[[int], float]]:
        """For `torch.optim.lr_scheduler.LambdaLR`: the schedule times the rule's ramps, one a group.

        Args:
            optimizer: of the groups that `param_groups` gave.
            steps: of the whole training.
            schedule: factor on every LR at a step.

        Raises:
            RuleError: a group has no `names`, or its tensors have different ramps.
        """

        def factors(group: dict[str, Any]) -> Callable[[int], float]:
            names = group.get("names", ())
            if not names or len({self.ramp(name, 1.0) for name in names}) != 1:
                raise RuleError(f"a group must hold tensors with one ramp, by name, but got {list(names)}")
            return lambda step: schedule(step) * self.ramp(names[0], step / max(steps - 1, 1))

        return [factors(group) for group in optimizer.param_groups]

    def table(self) -> list[TensorSettings]:
        """What every tensor gets, in units of eta, lambda and the base's eps."""
        return [
            TensorSettings(
                tensor=plan.name,
                role=plan.role,
                shape=plan.tensor.shape,
                init_std=float("nan") if plan.base_std is None else plan.base_std * plan.factors.init,
                multiplier=plan.factors.multiplier,
                lr=plan.factors.lr,
                weight_decay=plan.factors.weight_decay if len(plan.tensor.shape) >= 2 else 0.0,
                eps=plan.factors.eps,
            )
            for plan in self.tensors
        ]

    def tied_factors(self, model: nn.Module) -> list[tuple[str, float]]:
        """Layers that apply an embedding's tensor as a readout, each with the factor on its input."""
        here = modules(model)
        factors = {factor.module: factor.on_input for factor in self.factors}
        return [
            (layer, factors.get(layer, 1.0))
            for plan in self.tensors
            if plan.role == "embedding"
            for layer in tied_readouts(plan.tensor, here)
        ]

    def __repr__(self) -> str:
        counts = Counter(plan.role for plan in self.tensors)
        roles = ", ".join(f"{count} {role}" for role, count in counts.items())
        return (
            f"Scaling({self.rule.name}, {self.rule.coordinates} coordinates, {self.rule.optimizer}; "
            f"m = {self.ratio:g}, depth x {self.depth_ratio:g}; {roles}; {len(self.factors)} forward "
            f"multipliers, {len(self.attention)} attention scales)"
        )


def parametrize(
    model: nn.Module,
    *,
    base: nn.Module | None = None,
    rule: Rule | str | Path | Mapping[str, Any] = "mup",
    optimizer: Family = "adam",
    coordinates: Coordinates | None = None,
    base_width: int | None = None,
    width: int | None = None,
    heads: Literal["grow", "fixed"] = "grow",
    other: nn.Module | None = None,
    overrides: Mapping[str, Role | str] | None = None,
    attention: Mapping[str, str] | bool | None = None,
    residual: Sequence[str] = (),
    width_ratio: float | None = None,
    narrower: bool = False,
) -> Scaling:
    """Applies a rule to a model, given the same model at the base width. Changes nothing yet.

    Args:
        model: at the width to train; the meta device will do.
        base: the same model at the base width, built as it is trained (its init std are measured); on the
            meta device it gives shapes alone.
        rule: catalogue name, Rule, mapping or YAML file.
        optimizer: adam (also AdamW, Lion) or sgd.
        coordinates: that `lr` will be read in; default: the rule's own.
        base_width: instead of `base`, for a Hugging Face model: its config is scaled down and built.
        width: the model's, where given it is checked.
        heads: with `base_width`: whether heads grow with width (head dimension stays) or stay.
        other: a build at any other width; needed where the model is at the base width itself.
        overrides: name pattern -> role, first match wins.
        attention: module pattern -> attribute with the logits' scale; False: leave attention alone.
        residual: patterns of the last modules of residual branches, for rules with depth.
        width_ratio: m, where the model's dimensions do not all grow by one ratio.
        narrower: allow a model narrower than its base.

    Raises:
        RuleError: the rule is unknown; the two builds are not one architecture at two widths (names, shapes,
            depth, direction); a role is ambiguous; a forward multiplier has no place.
    """
    chosen = as_rule(rule, optimizer)
    chosen = in_coordinates(chosen, coordinates) if coordinates else chosen
    base = _base(model, base, base_width, width, heads)
    pairing = pair(model, base, same_width=other is not None)
    tensors = (
        paired_roles(pairing, overrides or {})
        if other is None
        else _from_other(pairing, base, other, overrides)
    )
    _check_depth(chosen, pairing)
    _check_direction(tensors, narrower)
    ratio = _model_ratio(tensors, width_ratio)
    plans = tuple(_plan(t, chosen, ratio, pairing) for t in tensors)
    return Scaling(
        rule=chosen,
        ratio=ratio,
        depth_ratio=pairing.depth_ratio,
        tensors=plans,
        factors=module_factors(model, base, pairing, tensors, chosen, residual),
        attention=attention_sites(model, base, pairing, chosen, attention),
    )


def _base(
    model: nn.Module, base: nn.Module | None, base_width: int | None, width: int | None, heads: str
) -> nn.Module:
    if (base is None) == (base_width is None):
        raise RuleError("one of base= (a model) and base_width= (for Hugging Face models) must be given")
    if base is not None:
        return base
    from hptransfer.parametrization.hf_models import build_at_width

    assert base_width is not None
    return build_at_width(model, base_width, width, heads)


def _from_other(
    pairing: Pairing, base: nn.Module, other: nn.Module, overrides: Mapping[str, Role | str] | None
) -> tuple[TensorRole, ...]:
    """Roles from a third width, with the shapes of the model in question."""
    third = pair(other, base)
    by_base = {third.base_of[t.name].name: t for t in paired_roles(third, overrides or {})}
    found = []
    for name, owned in pairing.tensors.items():
        at_base = pairing.base_of[name]
        role = by_base[at_base.name]
        shapes = tuple(owned.parameter.shape), tuple(at_base.parameter.shape)
        found.append(replace(role, name=name, shape=shapes[0], base_shape=shapes[1], aliases=owned.aliases))
    return tuple(found)


def _check_depth(rule: Rule, pairing: Pairing) -> None:
    if pairing.depth_ratio != 1.0 and not rule.depths:
        raise RuleError(
            f"model and base must have the same depth under {rule.name}, which says nothing about depth, but "
            f"the model has {pairing.depth_ratio:g} times the base's blocks; "
            "completep, depth-mup and u-mup scale depth"
        )


def _check_direction(tensors: Sequence[TensorRole], narrower: bool) -> None:
    wider = next((t for t in tensors if t.ratio > 1), None)
    thinner = next((t for t in tensors if t.ratio < 1), None)
    if wider and thinner:
        raise RuleError(
            f"every width must grow the same way, but {wider.name} grows {wider.base_shape} -> {wider.shape} "
            f"and {thinner.name} shrinks {thinner.base_shape} -> {thinner.shape}"
        )
    if thinner and not narrower:
        raise RuleError(
            f"the model must be wider than its base, but {thinner.name} is {thinner.base_shape} in the base "
            f"and {thinner.shape} in the model: are the two swapped? (narrower=True if it is meant)"
        )


def _model_ratio(tensors: Sequence[TensorRole], given: float | None) -> float:
    if given is not None:
        return given
    growing = [t for t in tensors if t.dimension is not None]
    ratios = {t.ratio for t in growing if t.role == "embedding"} or {t.ratio for t in growing}
    if len(ratios) > 1:
        raise RuleError(
            f"the model's width ratio must be clear, but its dimensions grow by {sorted(ratios)}; give "
            "width_ratio="
        )
    return ratios.pop() if ratios else 1.0


def _plan(tensor: TensorRole, rule: Rule, ratio: float, pairing: Pairing) -> TensorPlan:
    # A tensor of fixed length has no width of its own: its settings go by the model's.
    own = ratio if tensor.role == "scalar" else tensor.ratio
    factors = role_settings(rule, tensor.role, own, ratio)
    deep = rule.depth.get(tensor.role) if tensor.block else None
    if deep is not None:
        d = pairing.depth_ratio
        factors = RoleSettings(
            init=factors.init * d**deep.init,
            multiplier=factors.multiplier * d**deep.multiplier,
            lr=factors.lr * d**deep.lr,
            weight_decay=factors.weight_decay * d**deep.weight_decay,
            eps=factors.eps * d**deep.eps,
        )
    return TensorPlan(tensor, factors, base_std(pairing.base_of[tensor.name].parameter))
