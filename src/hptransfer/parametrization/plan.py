"""The plan of a model under a rule: plain data by tensor name, which outlives wrappers and checkpoints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.hooks import AttentionSite, Factor
from hptransfer.parametrization.parameters import NamedParameter, parameters, shape_of
from hptransfer.parametrization.roles import TensorRole
from hptransfer.parametrization.rule import Role, Rule
from hptransfer.parametrization.tensor_settings import Growth, RoleSettings, TensorSettings
from hptransfer.words import plural, precise


@dataclass(frozen=True)
class TensorPlan:
    """What one tensor is and gets.

    Attributes:
        tensor: its role, shapes and own ratio.
        growth: how it grows from the base, as the rule reads it.
        factors: on its settings at the base.
        base_std: std of its initial weights in the base; None where the base is on the meta device.
        frozen: whether it is not trained, as pretrained weights under LoRA: then nothing is done to it.
    """

    tensor: TensorRole
    growth: Growth
    factors: RoleSettings
    base_std: float | None
    frozen: bool = False

    @property
    def name(self) -> str:
        """Canonical name."""
        return self.tensor.name

    @property
    def role(self) -> Role:
        """What it is when width grows."""
        return self.tensor.role

    @property
    def is_matrix(self) -> bool:
        """Whether Muon takes it: a hidden tensor of exactly two dimensions."""
        return self.role == "hidden" and len(self.tensor.shape) == 2


@dataclass(eq=False)
class ModelPlan:
    """What a rule asks of one model.

    Attributes:
        rule: in the coordinates that `lr` is read in.
        ratio: m, the model's width / base width.
        depth_ratio: blocks / blocks of the base.
        tensors: every tensor's plan, in the model's order.
        factors: forward multipliers, by module; those of one are left out.
        attention: where attention logits are scaled, and by how much.
        heads_known: names of attention modules whose head dimension is known; None where the user said that
            attention takes care of itself.
        native: by embedding module, how much more than the base's the model multiplies its output by itself.
    """

    rule: Rule
    ratio: float
    depth_ratio: float
    tensors: tuple[TensorPlan, ...]
    factors: tuple[Factor, ...]
    attention: tuple[AttentionSite, ...]
    heads_known: frozenset[str] | None = frozenset()
    native: Mapping[str, float] = field(default_factory=dict)

    def live_parameters(self, model: nn.Module) -> dict[str, NamedParameter]:
        """The live model's tensors by name, checked to be those that were scaled.

        Raises:
            RuleError: a tensor is missing, new, or of another shape.
        """
        live = parameters(model)
        known = {plan.name: plan.tensor.shape for plan in self.tensors}
        for name in [*known, *live]:
            if name not in live:
                fault = "is not in the model given"
            elif name not in known:
                fault = "was not in the one that was scaled"
            elif (shape := shape_of(live[name].parameter)) != known[name]:
                fault = f"is {shape}, not {known[name]}"
            else:
                continue
            raise RuleError(f"the model must be the one that was scaled, but {name} {fault}")
        return live

    def ramp(self, name: str, share: float) -> float:
        """The factor on the LR of a tensor, by its name, after `share` of the training; 1 without a ramp."""
        if not self.rule.ramps:
            return 1.0
        plan = next(plan for plan in self.tensors if plan.name == name)
        ramp = self.rule.ramps.get(plan.role)
        return 1.0 if ramp is None else ramp.factor(plan.growth.ratio, share)

    def table(self) -> list[TensorSettings]:
        """What every tensor gets, in units of eta, lambda and the base's eps."""
        return [
            TensorSettings.of(plan.name, plan.growth, plan.tensor.shape, plan.base_std, plan.factors)
            for plan in self.tensors
        ]

    def __repr__(self) -> str:
        counts = Counter(plan.role for plan in self.tensors)
        roles = ", ".join(f"{count} {role}" for role, count in counts.items())
        return (
            f"{type(self).__name__}({self.rule.name}, {self.rule.coordinates} coordinates, "
            f"{self.rule.optimizer}; m = {precise(self.ratio)}, depth x {precise(self.depth_ratio)}; "
            f"{roles}; {plural(len(self.factors), 'forward multiplier')}, "
            f"{plural(len(self.attention), 'attention scale')})"
        )
