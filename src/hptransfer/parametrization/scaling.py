"""Scaling: what a user does with a rule applied to a model: init, optimizer groups, verification."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import torch
from torch import nn

from hptransfer.errors import RuleError
from hptransfer.parametrization.constants import Factors
from hptransfer.parametrization.groups import (
    Groups,
    OneOptimizer,
    for_one_optimizer,
    merged,
    muon_settings,
    optimizer_settings,
)
from hptransfer.parametrization.initialize import apply_, init_
from hptransfer.parametrization.multipliers import tied_readouts
from hptransfer.parametrization.optimizers import DecayKind, MuonAdjust, OptimizerName
from hptransfer.parametrization.parameters import modules
from hptransfer.parametrization.plan import ModelPlan
from hptransfer.parametrization.proof import prove
from hptransfer.parametrization.tensor_settings import EpsRule, GroupSettings, TrainingSettings
from hptransfer.parametrization.verify import Verification, verify


@dataclass(eq=False, repr=False)
class Scaling(ModelPlan):
    """A rule applied to one model; plain data by tensor name, so it outlives wrappers and checkpoints.

    Attributes:
        expected: by tensor name, what its optimizer group must hold; filled by `param_groups`. The others are
            those of `ModelPlan`.
    """

    expected: dict[str, GroupSettings] = field(default_factory=dict)

    def init_(
        self,
        model: nn.Module,
        *,
        seed: int | None = None,
        std: Literal["base", "rule"] = "base",
        batch: Any = None,
    ) -> nn.Module:
        """Sets initial weights and forward multipliers in place; a second call changes nothing.

        Args:
            model: whose tensors are on a real device; sharded by FSDP2 only with a seed.
            seed: of normal draws, by tensor name, the same however the model is sharded; None keeps the
                model's own draws and rescales them.
            std: `base`: the base model's measured std x the rule's factor, tensor by tensor; `rule`: what
                the rule starts from (hidden and readout 1/sqrt(base fan-in), embeddings one) x its factor.
                Biases that are drawn keep the base's std (Tensor Programs V, Table 3); constant tensors
                (gains, zero biases), other vectors and scalars, and frozen tensors stay as they are.
            batch: what the model is called with: a tensor, a tuple of arguments or a mapping of named ones.
                Where it is given, one forward pass proves that every factor acts.

        Raises:
            RuleError: the model is not the one that was scaled, is on the meta device, or sharded without
                a seed; or `std` is `base` and the base was on the meta device.
            VerifyError: a factor does not act on `batch`; see `verify`.
        """
        init_(self, model, seed, std)
        if batch is not None:
            prove(self, model, batch)
        return model

    def apply_(self, model: nn.Module) -> nn.Module:
        """Sets forward multipliers alone, for weights that come from a checkpoint; repeatable."""
        return apply_(self, model)

    def param_groups(
        self,
        model: nn.Module,
        *,
        lr: float,
        weight_decay: float = 0.0,
        eps: float | None = 1e-8,
        optimizer: OptimizerName | None = None,
        decay: DecayKind = "coupled",
        eps_rule: EpsRule = "rule",
        no_decay: Sequence[str] = (),
        matrices: bool = True,
        factors: Factors | None = None,
    ) -> Groups:
        """Groups for a torch optimizer: tensors with equal settings merged, their names under `names`.

        Args:
            model: the live model, wrapped or sharded as it will be trained.
            lr: eta, in the rule's coordinates.
            weight_decay: lambda.
            eps: Adam's, at the base; None for an optimizer that has none, or another one, such as Adafactor.
            optimizer: adamw, adam, lion (update sizes free of the gradient's) or sgd; default by the rule.
            decay: `coupled`: group decay = lambda x the rule's factor (each step shrinks by LR x lambda);
                `independent`: each step shrinks by schedule x lambda whatever the LR; `mup`: LR x lambda is
                that of the base in muP coordinates (lambda x m on hidden matrices); `sqrt-width` and
                `inverse-width`: the same, but on hidden matrices LR x lambda falls like m**-1/2 or 1/m.
            eps_rule: `rule`: as the rule says (most: fixed); `fixed`; `scaled`: in proportion to gradients.
            no_decay: name patterns that do not decay, besides vectors, tensors of fewer than two dimensions,
                and those that the model marks (`_no_weight_decay` on a tensor, as Mamba's code does; names
                that its method `no_weight_decay` gives, as timm's do).
            matrices: False leaves out hidden matrices, and what `muon_groups` took, for Muon beside it; then
                `lr` is eta in muP coordinates, as Muon's is, whatever the rule's.
            factors: constants, the same at every width, by role, or pattern of a tensor's or a layer's name:
                on the LR, or on several settings, such as {"embedding": 10, "*.wq": {"lr": 0.5,
                "weight_decay": 2, "eps": 4}}; the first match wins.

        Raises:
            RuleError: the model is not the one that was scaled, or a setting is out of range.
        """
        training = TrainingSettings(
            optimizer=optimizer or ("sgd" if self.rule.optimizer == "sgd" else "adamw"),
            lr=lr,
            weight_decay=weight_decay,
            eps=eps,
            decay=decay,
            eps_rule=eps_rule,
        )
        beside = {} if matrices else {n: e for n, e in self.expected.items() if e.optimizer == "muon"}
        taken = None if matrices else {*beside, *(plan.name for plan in self.tensors if plan.is_matrix)}
        wanted = optimizer_settings(self, model, training, factors or {}, no_decay, taken)
        self.expected = beside | wanted
        return merged(self, model, wanted)

    def muon_groups(
        self,
        model: nn.Module,
        *,
        lr: float,
        weight_decay: float = 0.0,
        decay: DecayKind = "coupled",
        adjust: MuonAdjust = "original",
        stacks: Sequence[str] = (),
        factors: Factors | None = None,
    ) -> Groups:
        """Groups of the hidden matrices for torch.optim.Muon; `param_groups(matrices=False)` has the rest.

        An orthogonalised update has its own width rule, so the rule's Adam exponents are not applied to it:
        with `original` Muon itself scales by sqrt(max(1, fan_out / fan_in)) and LR stays; with
        `match_rms_adamw` the update's spectral norm grows like sqrt(width), so LR falls like 1/sqrt(m).

        Args:
            model: the live model, wrapped or sharded as it will be trained.
            lr: Muon's eta at the base width.
            weight_decay: lambda; each step shrinks a matrix by its LR x lambda.
            decay: as in `param_groups`: `coupled` gives every group lambda, `mup` keeps LR x lambda,
                `inverse-width` has it fall like 1/m (arXiv:2512.05620).
            adjust: length of the orthogonal update, torch.optim.Muon's `adjust_lr_fn`; the groups carry it.
            stacks: name patterns of stacked matrices ([experts, out, in]) that the optimizer orthogonalises
                one by one; torch.optim.Muon takes none, and without a pattern they are left to AdamW.
            factors: constants on the LR, as those of `param_groups`.

        Raises:
            RuleError: as `param_groups`; or the rule puts a multiplier on hidden matrices.
        """
        training = TrainingSettings("muon", lr, weight_decay, decay=decay, muon_adjust=adjust)
        wanted = muon_settings(self, model, training, factors or {}, stacks)
        self.expected = self.expected | wanted
        return merged(self, model, wanted)

    def one_optimizer_groups(
        self,
        model: nn.Module,
        *,
        lr: float,
        others_lr: float,
        style: OneOptimizer = "use_muon",
        muon: Mapping[str, Any] | None = None,
        **others: Any,
    ) -> Groups:
        """Groups for one class that is Muon for hidden matrices and AdamW for the rest.

        Args:
            model: the live model, wrapped or sharded as it will be trained.
            lr: Muon's eta at the base width.
            others_lr: AdamW's eta, in muP coordinates.
            style: how the class is told: `use_muon` (MuonWithAuxAdam, DeepSpeed, Moonlight) or `algorithm`
                (Dion and its Muon).
            muon: further arguments of `muon_groups`, such as `stacks` or `adjust`.
            **others: further arguments of `param_groups`; `weight_decay` and `decay` count for both.

        Raises:
            RuleError: as `muon_groups` and `param_groups`.
        """
        shared = {key: value for key, value in others.items() if key in ("weight_decay", "decay")}
        matrices = self.muon_groups(model, lr=lr, **{**shared, **(muon or {})})
        return for_one_optimizer(
            [*matrices, *self.param_groups(model, lr=others_lr, matrices=False, **others)], style
        )

    def verify(
        self,
        model: nn.Module,
        optimizers: torch.optim.Optimizer | Iterable[torch.optim.Optimizer],
        batch: Any = None,
        *,
        share: float = 0.0,
    ) -> Verification:
        """Checks the live optimizer and model against the rule; see `hptransfer.parametrization.verify`.

        Args:
            model: live.
            optimizers: live.
            batch: what the model is called with, to prove by a forward pass that every factor acts: a tensor,
                a tuple of arguments or a mapping of named ones. Where it is not given, the first batch that
                the model has been called with since `init_` or `apply_` serves.
            share: of the training that is done; counts where the rule has ramps alone.
        """
        now = {name: replace(e, lr=e.lr * self.ramp(name, share)) for name, e in self.expected.items()}
        return verify(self, now, model, optimizers, batch)

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
