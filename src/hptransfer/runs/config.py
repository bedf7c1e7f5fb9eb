"""What a run is: plain, validated data, and the plain record that training returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import Field, model_validator

from hptransfer.runs.base import Config, spec_hash
from hptransfer.runs.budget import budget_steps
from hptransfer.runs.data_config import DataConfig
from hptransfer.runs.model_config import ModelConfig
from hptransfer.runs.probe_config import ProbeConfig
from hptransfer.runs.schedule import phases
from hptransfer.runs.train_config import TrainConfig
from hptransfer.words import rough

__all__ = ["DataConfig", "ModelConfig", "ProbeConfig", "RunRecord", "RunSpec", "Status", "TrainConfig"]

SCHEMA = 2  # of what a run's id is the hash of; raised when the same data comes to mean another run

Status = Literal["done", "diverged", "failed"]


class RunSpec(Config):
    """Everything that decides a run's numbers."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    rule: str = "sp"  # parametrization, by catalogue name
    base_width: int = Field(gt=0)  # width at which every rule is the same
    base_depth: int | None = Field(None, gt=0)  # where depth rules are alike; default: the model's own
    lr: float = Field(gt=0)  # eta in SP coordinates: the LR of the hidden matrices
    seed: int = Field(0, ge=0)  # of the initial weights
    data_seed: int = Field(0, ge=0)  # of the batches
    probes: ProbeConfig | None = None  # what is measured inside; decides no number, and is no part of the id

    @model_validator(mode="after")
    def _phases_fit(self) -> RunSpec:
        if self.tokens >= 2**63:
            raise ValueError(f"a run may train on at most 2^63 - 1 tokens, but got {rough(self.tokens)}")
        phases(self.train, self.steps)
        return self

    @property
    def run_id(self) -> str:
        """Hash of what this spec says beyond the defaults, 16 hex digits; new options leave old ids."""
        said = self.model_dump(mode="json", exclude_defaults=True, exclude={"probes"})
        return spec_hash({"schema": SCHEMA, **said})

    @property
    def steps(self) -> int:
        """Optimizer steps."""
        return budget_steps(self.model, self.train)

    @property
    def tokens(self) -> int:
        """Training tokens."""
        return self.steps * self.train.batch_size * self.model.context

    @property
    def width_ratio(self) -> float:
        """Width / base width, m."""
        return self.model.width / self.base_width

    @property
    def depth_ratio(self) -> float:
        """Depth / base depth."""
        return self.model.depth / (self.base_depth or self.model.depth)


@dataclass(frozen=True)
class RunRecord:
    """What a run gave."""

    run_id: str  # of the spec
    status: Status  # `done`; `diverged` (a result); `failed` (a fault, retried)
    loss: float  # final validation loss, nats per token; NaN where diverged or failed
    loss_se: float | None = None  # its standard error over validation sequences
    # Validation loss before the first step, on the first few of the held-out sequences.
    initial_loss: float | None = None
    # (step, training loss of that batch), thinned to at most some hundred points.
    curve: tuple[tuple[int, float], ...] = ()
    # (steps done, mean held-out loss), each time that it was measured.
    validation: tuple[tuple[int, float], ...] = ()
    best_loss: float | None = None  # the lowest of these; also of a run that diverged later
    best_step: int | None = None  # steps done when it was measured
    # Step from which on the run counts as diverged, see `hptransfer.runs.divergence.diverged_step`; None
    # where none, or where only the final loss says so.
    diverged_step: int | None = None
    tokens: int = 0  # training tokens
    params: int = 0  # trainable parameters
    flops: float = 0.0  # of training, forward and backward
    wall_s: float = 0.0  # this run's share of its stack's wall time, seconds
    # How it was trained (stack size, compiled, threads, device).
    engine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)  # of hptransfer, torch, python
    error: str | None = None  # one line, where failed
    # What was measured inside, as a `ProbeLog` is packed; None where nothing was.
    probes: Mapping[str, Any] | None = None
    # (start, peak, height, recovery) of each spike of the loss, every step looked at; None where that was
    # not done.
    spikes: tuple[tuple[int, int, float | None, int | None], ...] | None = None
