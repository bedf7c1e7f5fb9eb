"""What a tensor gets: rule x role x width x depth x optimizer, worked out here alone. No torch here.

Models of any kind (`hptransfer.parametrization.groups`) and the reference decoder (`hptransfer.lm.rule`) both
ask `group_settings`.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import Literal

from hptransfer.errors import RuleError
from hptransfer.parametrization.constants import NONE, Constants
from hptransfer.parametrization.coordinates import convert_lr
from hptransfer.parametrization.optimizers import DecayKind, MuonAdjust, get_optimizer
from hptransfer.parametrization.rule import Exponents, Role, Rule
from hptransfer.parametrization.rule_arithmetic import scaled_eps_exponent

EpsRule = Literal["rule", "fixed", "scaled"]


@dataclass(frozen=True)
class RoleSettings:
    """Dimensionless factors on a role's settings at the base; factors for width and for depth multiply."""

    init: float = 1.0  # on the std of the initial weights
    multiplier: float = 1.0  # on the tensor in the forward pass
    lr: float = 1.0  # on eta
    weight_decay: float = 1.0  # on lambda
    eps: float = 1.0  # on Adam's epsilon

    def __mul__(self, other: RoleSettings) -> RoleSettings:
        """Both together."""
        return RoleSettings(**{name: value * getattr(other, name) for name, value in vars(self).items()})


@dataclass(frozen=True)
class Growth:
    """How one tensor grows from the base to the model; ratios are dimensionless."""

    role: Role
    ratio: float  # m of the tensor itself: of its fan-in (hidden, readout), else of the dimension that grows
    model_ratio: float  # m of the model, width / base width; eta's coordinates go by it
    depth_ratio: float = 1.0  # blocks / blocks of the base; 1 for a tensor outside the repeated blocks
    longest_ratio: float = 1.0  # longer side / that in the base, which an update of fixed RMS goes by
    decays: bool = True  # whether weight decay acts on it
    fan_out_ratio: float | None = None  # of a hidden tensor's output side, where it is not `ratio`
    tied: bool = False  # whether the model's readout and embedding share one tensor


@dataclass(frozen=True)
class TrainingSettings:
    """What the user chooses for all tensors; a rule makes of it what each of them gets."""

    optimizer: str  # by its name in the registry
    lr: float  # eta, in the rule's coordinates
    weight_decay: float = 0.0  # lambda
    eps: float | None = 1e-8  # Adam's, at the base; None leaves it to the optimizer
    decay: DecayKind = "coupled"
    eps_rule: EpsRule = "rule"  # as the rule says; `fixed`; or `scaled`, in proportion to gradients
    muon_adjust: MuonAdjust = "original"  # length of Muon's orthogonal update
    others_lr: float = 1.0  # with Muon, the eta of the tensors that the optimizer beside it trains / eta


@dataclass(frozen=True)
class GroupSettings:
    """What one tensor gets; in an optimizer group, before any schedule.

    Attributes:
        optimizer: name of the one that trains it.
        init: factor on the std of the initial weights at the base.
        multiplier: factor on the weights in the forward pass.
        lr: peak learning rate.
        weight_decay: lambda as the optimizer takes it: a step shrinks the weight by LR x lambda, or adds
            lambda x weight to the gradient.
        eps: Adam's; None where the optimizer has none.
        muon_adjust: how long Muon makes its update; None under another optimizer.
    """

    optimizer: str
    init: float
    multiplier: float
    lr: float
    weight_decay: float
    eps: float | None
    muon_adjust: MuonAdjust | None = None


@dataclass(frozen=True)
class TensorSettings:
    """What one tensor gets at one width, as a row to print or compare."""

    tensor: str  # its name
    role: Role
    shape: tuple[int, ...]  # at this width
    init_std: float  # std of its initial weights; 0 means ones, NaN that it is not known
    multiplier: float  # factor on it in the forward pass
    lr: float  # its learning rate, in units of eta
    weight_decay: float  # in units of lambda; 0 for vectors and tensors of fewer than two dimensions
    eps: float  # its Adam epsilon, in units of the base's

    @classmethod
    def of(
        cls,
        tensor: str,
        growth: Growth,
        shape: tuple[int, ...],
        base_std: float | None,
        factors: RoleSettings,
    ) -> TensorSettings:
        """The row of one tensor, from the std of its initial weights at the base, where it is known."""
        return cls(
            tensor=tensor,
            role=growth.role,
            shape=shape,
            init_std=math.nan if base_std is None else base_std * factors.init,
            multiplier=factors.multiplier,
            lr=factors.lr,
            weight_decay=factors.weight_decay if growth.decays else 0.0,
            eps=factors.eps,
        )


def decays(role: Role, shape: tuple[int, ...]) -> bool:
    """Whether weight decay acts on a tensor by default: not on vectors, nor on fewer than two dimensions."""
    return len(shape) >= 2 and role != "vector"


def width_settings(rule: Rule, role: Role, ratio: float, model_ratio: float | None = None) -> RoleSettings:
    """Factors that a role gets at m = `ratio`, relative to the base width.

    Args:
        rule: of the catalogue, or the user's.
        role: of the tensor.
        ratio: the tensor's own width ratio.
        model_ratio: the model's, where it differs; eta's coordinates go by this one.

    Raises:
        RuleError: a ratio is not positive and finite.
    """
    model_ratio = ratio if model_ratio is None else model_ratio
    for m in (ratio, model_ratio):
        if not (m > 0 and math.isfinite(m)):
            raise RuleError(f"width / base width must be positive and finite, but got {m}")
    e = rule.roles[role]
    if ratio == model_ratio:  # one power, not two: exponents that cancel give exactly one
        return _powers(ratio, replace(e, lr=e.lr + rule.lr_exponent))
    return _powers(ratio, e) * RoleSettings(lr=model_ratio**rule.lr_exponent)


def depth_settings(rule: Rule, role: Role, depth_ratio: float) -> RoleSettings:
    """Factors that a role gets inside the repeated blocks, at a ratio of blocks to blocks of the base."""
    return _powers(depth_ratio, rule.depth.get(role, Exponents()))


def _powers(ratio: float, exponents: Exponents) -> RoleSettings:
    return RoleSettings(**{name: ratio**exponent for name, exponent in asdict(exponents).items()})


def tensor_factors(rule: Rule, growth: Growth) -> RoleSettings:
    """Factors on everything that a tensor has at the base, whatever optimizer of the family trains it.

    Where the dimensions of a model grow by different ratios, Adam's updates of a vector, and of an embedding
    without a multiplier, do not depend on its own: their factors go by the model's ratio. Under SGD the LR of
    a hidden tensor in muP goes by fan_out / fan_in, as in the mup package.
    """
    e, ratio = rule.roles[growth.role], growth.ratio
    of_own_size = growth.role == "embedding" and (e.multiplier or e.init)
    if rule.optimizer == "adam" and growth.role in ("vector", "embedding") and not of_own_size:
        ratio = growth.model_ratio
    width = width_settings(rule, growth.role, ratio, growth.model_ratio)
    if growth.role == "hidden" and growth.fan_out_ratio is not None and rule.scales_sides:
        width = width * RoleSettings(lr=growth.fan_out_ratio / growth.ratio)
    return width * depth_settings(rule, growth.role, growth.depth_ratio)


def group_settings(
    rule: Rule, growth: Growth, training: TrainingSettings, own: Constants = NONE
) -> GroupSettings:
    """What one tensor gets under a rule, which is in the coordinates that `training.lr` is read in.

    `own` has further factors, the same at every width. Decay in the `mup` convention does not go by that on
    LR, so that a step's decay has the factor too; an `independent` one does.

    Raises:
        RuleError: a ratio is not positive and finite, or the optimizer is not known.
    """
    chosen = get_optimizer(training.optimizer)
    optimizer = chosen.of_role(growth.role)
    eta_mup = convert_lr(training.lr, growth.model_ratio, rule.coordinates, "mup", optimizer.family)
    factors = tensor_factors(rule, growth)
    if optimizer.matrices_only:
        lr = eta_mup * _muon_factor(rule, growth, training.muon_adjust)
        coupled = 1.0  # the rule's factor makes up for the rule's own LR, not for Muon's
    else:
        lr = training.lr * (1.0 if optimizer is chosen else training.others_lr) * factors.lr
        coupled = factors.weight_decay
    # What a step takes off a hidden matrix, beside what it takes off the base's.
    falls = {"sqrt-width": -0.5, "inverse-width": -1.0}.get(training.decay, 0.0) * (growth.role == "hidden")
    decay = {"coupled": coupled, "independent": 1.0 / (lr * own.lr)}.get(
        training.decay, eta_mup / lr * growth.ratio**falls
    )
    return GroupSettings(
        optimizer=optimizer.name,
        init=factors.init,
        multiplier=factors.multiplier,
        lr=lr * own.lr,
        weight_decay=training.weight_decay * decay * own.weight_decay if growth.decays else 0.0,
        eps=_eps(rule, growth, training, factors.eps, own.eps)
        if "eps" in optimizer.hyperparameters
        else None,
        muon_adjust=training.muon_adjust if optimizer.matrices_only else None,
    )


def step_decay(settings: GroupSettings) -> float:
    """The decay of a step at the schedule's peak.

    It is lambda where decay is added to the gradient, else the share of the weight that is taken off.
    """
    apart = not get_optimizer(settings.optimizer).decay_in_gradient
    return settings.weight_decay * settings.lr if apart else settings.weight_decay


def _muon_factor(rule: Rule, growth: Growth, adjust: MuonAdjust) -> float:
    """Factor on eta in muP coordinates, by Muon's own width rule.

    An orthogonalised update's spectral norm is free of width under `original`, so its LR stays; under
    `match_rms_adamw` it grows like sqrt(width), so its LR falls like m**-1/2. The rule's factor for depth
    counts, because an update of fixed length adds up over blocks as Adam's does.
    """
    width = 1.0 if adjust == "original" else growth.longest_ratio**-0.5
    return width * depth_settings(rule, growth.role, growth.depth_ratio).lr


def _eps(rule: Rule, growth: Growth, training: TrainingSettings, by_rule: float, own: float) -> float | None:
    if training.eps is None:
        return None
    if training.eps_rule == "scaled":
        exponent = scaled_eps_exponent(rule, growth.role, growth.tied)
        # A branch's share of the output, and so the gradient inside it, falls like 1 / depth.
        depth = 1.0 / growth.depth_ratio if rule.residual else 1.0
        return training.eps * own * float(growth.model_ratio**exponent) * depth
    return training.eps * own * (by_rule if training.eps_rule == "rule" else 1.0)
