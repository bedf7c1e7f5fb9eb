"""Optimizer, schedule and budget of a run, as plain, validated data. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from hptransfer.parametrization.optimizers import OPTIMIZERS, DecayKind, MuonAdjust, OptimizerName
from hptransfer.runs.base import Config, with_defaults

ScheduleName = Literal["wsd", "cosine", "linear", "constant"]

_ALTERNATIVES = {
    "steps": (300, "tokens_per_param"),
    "warmup": (0.1, "warmup_steps"),
    "decay": (0.2, "decay_steps"),
}


class RampConfig(Config):
    """How a role's learning rate leaves the rule's in the course of training: x m**(exponent x progress)."""

    exponent: float = Field(allow_inf_nan=False)  # of m at the end; -1: an embedding from LR x m to LR x 1
    begin: float = Field(0.0, ge=0, lt=1)  # share of the steps at which it sets out
    end: float = Field(1.0, gt=0, le=1)  # share at which it has arrived

    @model_validator(mode="after")
    def _ordered(self) -> RampConfig:
        if not self.begin < self.end:
            raise ValueError(f"begin < end must hold, but got begin={self.begin}, end={self.end}")
        return self


class RampsConfig(Config):
    """Ramps by role."""

    embedding: RampConfig | None = None
    hidden: RampConfig | None = None
    readout: RampConfig | None = None
    vector: RampConfig | None = None
    scalar: RampConfig | None = None


class FactorsConfig(Config):
    """Constants on learning rates by role, the same at every width."""

    embedding: float = Field(1.0, gt=0, allow_inf_nan=False)
    hidden: float = Field(1.0, gt=0, allow_inf_nan=False)
    readout: float = Field(1.0, gt=0, allow_inf_nan=False)
    vector: float = Field(1.0, gt=0, allow_inf_nan=False)
    scalar: float = Field(1.0, gt=0, allow_inf_nan=False)


class TrainSettings(Config):
    """How the runs of a study are trained, all but their learning rate and weight decay."""

    steps: int | None = Field(None, gt=0, le=10**12)  # optimizer steps; default 300
    tokens_per_param: float | None = Field(None, gt=0, le=1e9)  # tokens / parameters, instead of steps
    # What tokens_per_param counts: every trainable parameter, or all but token and position embeddings and
    # the readout.
    params_counted: Literal["all", "without_embeddings"] = "all"
    batch_size: int = Field(8, gt=0, le=1 << 30)  # sequences a step
    accumulation: int = Field(1, gt=0)  # equal parts that a batch is worked through in, to save memory
    lr_batch_rule: Literal["none", "sqrt", "linear"] = "none"  # LR x (batch / base batch)**0, 1/2, 1
    base_batch_size: int | None = Field(None, gt=0)  # sequences a step at which that factor is one
    schedule: ScheduleName = "wsd"  # of the LR, after its warmup; wsd: warmup, stable, decay
    warmup: float | None = Field(None, ge=0, le=1)  # share of the steps with linearly rising LR; 0.1
    warmup_steps: int | None = Field(None, ge=0)  # the same in steps, instead
    decay: float | None = Field(None, ge=0, le=1)  # wsd: share of the steps, at the end, with falling LR; 0.2
    decay_steps: int | None = Field(None, ge=0)  # the same in steps, instead
    lr_ramps: RampsConfig | None = (
        None  # LRs that move away from the rule's in the course of training, by role
    )
    lr_factors: FactorsConfig | None = None  # constants on LRs by role, such as {embedding: 10}
    final_lr: float = Field(0.0, ge=0, le=1)  # share of the peak LR that the schedule falls towards
    # muon: of hidden matrices, AdamW of the rest; a list makes a variant of each.
    optimizer: OptimizerName | tuple[OptimizerName, ...] = "adamw"
    # A step shrinks a weight by its LR x lambda (coupled), by schedule x lambda (independent), or by as much
    # as at the base width (mup). SGD adds decay to the gradient: its steps sum both over 1 / (1 - momentum)
    # steps. Adam adds lambda x weight to the gradient, coupled alone.
    decay_kind: DecayKind = "coupled"
    betas: tuple[float, float] = (0.9, 0.95)  # decay rates of AdamW's, Adam's and Lion's moments
    eps: float = Field(1e-8, gt=0)  # Adam's epsilon
    eps_rule: Literal["rule", "fixed", "scaled"] = "rule"  # with width: by the rule, not, as gradients
    momentum: float | None = Field(None, ge=0, lt=1)  # of SGD (0.9) and Muon (0.95)
    # Muon's orthogonal update x 0.2 sqrt(longer side), or x sqrt(max(1, rows / columns)).
    muon_adjust: MuonAdjust = "match_rms_adamw"
    adamw_lr: float = Field(1.0, gt=0)  # with Muon: LR of the tensors that AdamW trains / LR of the matrices
    clip: float | None = Field(None, gt=0)  # largest norm of a run's whole gradient
    z_loss: float = Field(0.0, ge=0)  # weight of the mean squared log Z of the readout in what is minimised
    dtype: Literal["float32", "float64"] = "float32"  # of weights and arithmetic
    autocast: bool = False  # whether matrix products are in bfloat16, all else in dtype
    evaluations: int = Field(1, ge=1)  # validations, evenly spread over the steps; the last is the final loss

    @field_validator("optimizer", mode="before")
    @classmethod
    def _known_optimizers(cls, value: object) -> object:
        names = list(value) if isinstance(value, list | tuple) else [value]
        if not names or not all(isinstance(name, str) and name in OPTIMIZERS for name in names):
            *first, last = map(repr, OPTIMIZERS)
            more = ", or a list of them" if cls is TrainSettings else ""
            raise ValueError(f"must be {', '.join(first)} or {last}{more}, but got {value!r:.60}")
        if len({*names}) < len(names):
            raise ValueError(f"every optimizer must be given once, but got {', '.join(map(str, names))}")
        return value

    @property
    def optimizers(self) -> tuple[OptimizerName, ...]:
        """Those that are compared, or the one that trains every run."""
        return self.optimizer if isinstance(self.optimizer, tuple) else (self.optimizer,)

    def of_optimizer(self, name: OptimizerName) -> dict[str, Any]:
        """The settings of the runs that one of them trains; a momentum is that of those which have one."""
        able = [each for each in self.optimizers if OPTIMIZERS[each].momentum is not None]
        momentum = self.momentum if name in able or not able else None
        return {**self.model_dump(), "optimizer": name, "momentum": momentum}


class TrainConfig(TrainSettings):
    """How a run is trained, all but its learning rate.

    A run's id leaves out what has its default: a default may never change.
    """

    optimizer: OptimizerName = "adamw"  # that trains the run
    weight_decay: float = Field(0.0, ge=0)  # lambda, of tensors of two dimensions or more

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: Any) -> Any:
        if isinstance(data, Mapping) and data.get("schedule", "wsd") != "wsd":
            return with_defaults(data, {k: v for k, v in _ALTERNATIVES.items() if k != "decay"})
        return with_defaults(data, _ALTERNATIVES)

    @model_validator(mode="after")
    def _possible(self) -> TrainConfig:
        warmup, decay = self.warmup or 0.0, self.decay or 0.0
        if self.schedule == "wsd" and warmup + decay > 1:
            raise ValueError(f"warmup + decay <= 1 must hold, but got warmup={warmup}, decay={decay}")
        if self.schedule != "wsd" and (self.decay is not None or self.decay_steps is not None):
            raise ValueError(
                f"decay must go with schedule: wsd, but got schedule={self.schedule!r}, whose course has none"
            )
        if self.batch_size % self.accumulation:
            raise ValueError(
                f"accumulation must divide batch_size, but got batch_size={self.batch_size}, "
                f"accumulation={self.accumulation}"
            )
        if (self.lr_batch_rule == "none") != (self.base_batch_size is None):
            raise ValueError(
                "base_batch_size must be given with lr_batch_rule: sqrt or linear and only then, but got "
                f"lr_batch_rule={self.lr_batch_rule!r}, base_batch_size={self.base_batch_size}"
            )
        if self.autocast and self.dtype != "float32":
            raise ValueError(f"autocast must go with dtype: float32, but got dtype={self.dtype!r}")
        self._check_optimizer()
        return self

    def _check_optimizer(self) -> None:
        chosen = OPTIMIZERS[self.optimizer]
        if not chosen.takes_decay(self.decay_kind):
            able = ", ".join(o.name for o in OPTIMIZERS.values() if o.takes_decay(self.decay_kind))
            raise ValueError(
                f"decay_kind must be 'coupled' with {self.optimizer}, which divides decay and gradient by "
                f"one denominator, but got {self.decay_kind!r}; optimizers with every kind: {able}"
            )
        if self.momentum is not None and chosen.momentum is None:
            able = " or ".join(o.name for o in OPTIMIZERS.values() if o.momentum is not None)
            raise ValueError(
                f"momentum must go with {able}, but got optimizer={self.optimizer!r}, whose rates are betas"
            )
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"0 <= beta < 1 must hold for both betas, but got {list(self.betas)}")

    @property
    def momentum_rate(self) -> float:
        """Momentum of SGD or Muon; 0 where the optimizer has none."""
        return (OPTIMIZERS[self.optimizer].momentum or 0.0) if self.momentum is None else self.momentum

    @property
    def lr_batch_factor(self) -> float:
        """Factor on every LR that the batch size brings."""
        if self.base_batch_size is None:
            return 1.0
        power = {"none": 0.0, "sqrt": 0.5, "linear": 1.0}[self.lr_batch_rule]
        return float((self.batch_size / self.base_batch_size) ** power)

    def structure(self) -> TrainConfig:
        """The same with what enters a step as numbers at its default, and on where it is on.

        Runs of one structure and one number of steps train in one stack and share a compiled step.
        """
        kept = ("batch_size", "accumulation", "optimizer", "muon_adjust", "dtype", "autocast")
        on = {"clip": 1.0 if self.clip else None, "z_loss": 1.0 if self.z_loss else 0.0}
        return TrainConfig(steps=1, **{name: getattr(self, name) for name in kept}, **on)
