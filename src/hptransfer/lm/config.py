"""What a run is: plain, validated data, and the plain record that training returns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Status = Literal["done", "diverged", "failed"]


class Config(BaseModel):
    """Base of every config: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ModelConfig(Config):
    """Shape of the decoder."""

    width: int = Field(128, gt=0)  # residual stream, the scale n
    depth: int = Field(2, gt=0)  # blocks
    heads: int = Field(4, gt=0)  # attention heads; must divide the width
    context: int = Field(64, gt=0)  # tokens a sequence
    vocab: int = Field(512, ge=257, le=65536)  # BPE vocabulary: 256 bytes, at least one merge, 16 bits
    mlp_ratio: int = Field(4, gt=0)  # MLP hidden size / width
    embedding_std: float = Field(1.0, gt=0)  # init std of token and position embeddings, at every width

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelConfig:
        if self.width % self.heads:
            raise ValueError(f"heads must divide width, but got width={self.width}, heads={self.heads}")
        return self

    @property
    def head_dim(self) -> int:
        """Dimension of one attention head."""
        return self.width // self.heads


class DataConfig(Config):
    """Where the text comes from."""

    source: Literal["python-stdlib", "text"] = (
        "python-stdlib"  # the interpreter's own source files, or `files`
    )
    files: str | None = None  # glob of text files; for source `text`
    validation_fraction: float = Field(0.05, gt=0, lt=1)  # share of the files held out
    validation_tokens: int = Field(16384, gt=0)  # tokens of the held-out text a final loss is measured on

    @model_validator(mode="after")
    def _files_with_text(self) -> DataConfig:
        if (self.source == "text") != (self.files is not None):
            raise ValueError(
                f"`files` must be given with source `text` and only then, but got source={self.source!r}, "
                f"files={self.files!r}"
            )
        return self


class TrainConfig(Config):
    """Optimizer, schedule and budget of one run, all but its learning rate."""

    steps: int = Field(300, gt=0)  # optimizer steps
    batch_size: int = Field(8, gt=0)  # sequences a step
    warmup: float = Field(0.1, ge=0, le=1)  # share of the steps with linearly rising LR
    decay: float = Field(0.2, ge=0, le=1)  # share of the steps, at the end, with linearly falling LR
    weight_decay: float = Field(0.0, ge=0)  # AdamW's lambda, coupled (each step shrinks by lr x lambda)
    betas: tuple[float, float] = (0.9, 0.95)  # AdamW's moment decay rates
    eps: float = Field(1e-8, gt=0)  # AdamW's epsilon
    dtype: Literal["float32", "float64"] = "float32"  # of weights and arithmetic

    @model_validator(mode="after")
    def _phases_fit(self) -> TrainConfig:
        if self.warmup + self.decay > 1:
            raise ValueError(
                f"warmup + decay <= 1 must hold, but got warmup={self.warmup}, decay={self.decay}"
            )
        return self


class RunSpec(Config):
    """Everything that decides a run's numbers."""

    model: ModelConfig = ModelConfig()
    data: DataConfig = DataConfig()
    train: TrainConfig = TrainConfig()
    rule: str = "sp"  # parametrization, by catalogue name
    base_width: int = Field(gt=0)  # width at which every rule is the same
    lr: float = Field(gt=0)  # eta in SP coordinates: the LR of the hidden matrices
    seed: int = Field(0, ge=0)  # of the initial weights
    data_seed: int = Field(0, ge=0)  # of the batches

    @property
    def run_id(self) -> str:
        """Hash of this spec, 16 hex digits."""
        return spec_hash(self.model_dump(mode="json"))

    @property
    def tokens(self) -> int:
        """Training tokens."""
        return self.train.steps * self.train.batch_size * self.model.context


@dataclass(frozen=True)
class RunRecord:
    """What a run gave.

    Attributes:
        run_id: of the spec.
        status: `done`; `diverged` (a result); `failed` (a fault, retried).
        loss: final validation loss, nats per token; NaN where diverged or failed.
        loss_se: its standard error over validation sequences.
        initial_loss: validation loss before the first step, on the first few of the held-out sequences.
        curve: (step, training loss of that batch), thinned to at most some hundred points.
        diverged_step: first step whose loss was not finite, where there was one.
        tokens: training tokens.
        params: trainable parameters.
        flops: of training, forward and backward.
        wall_s: this run's share of its stack's wall time, seconds.
        engine: how it was trained (stack size, compiled, threads, device).
        versions: of hptransfer, torch, python.
        error: one line, where failed.
    """

    run_id: str
    status: Status
    loss: float
    loss_se: float | None = None
    initial_loss: float | None = None
    curve: tuple[tuple[int, float], ...] = ()
    diverged_step: int | None = None
    tokens: int = 0
    params: int = 0
    flops: float = 0.0
    wall_s: float = 0.0
    engine: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None


def spec_hash(data: Mapping[str, Any]) -> str:
    """Hash of plain data in canonical JSON, 16 hex digits of sha256."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
