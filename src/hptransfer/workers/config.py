"""Executor config: which engine trains a study's stacks, and what each stack gets of it."""

from __future__ import annotations

import re
from typing import Any, Literal

from pydantic import Field, model_validator

from hptransfer.runs.base import Config, Pairs

# What may stand in a line of an sbatch script: no blanks, no quotes, nothing that ends the line.
PLAIN = re.compile(r"[A-Za-z0-9@%+=:,./_\[\]()&|*!-]+")
_ONLY = {
    "address": "ray",
    "gpus": "ray and slurm",
    "memory_gb": "ray and slurm",
    "minutes": "slurm",
    "partition": "slurm",
    "account": "slurm",
    "qos": "slurm",
    "requeues": "slurm",
    "poll": "slurm",
    "sbatch": "slurm",
}


class ExecutorConfig(Config):
    """The engine; nothing here changes a run's identity."""

    kind: Literal["local", "ray", "slurm"] = "local"  # processes here, a Ray cluster, or Slurm jobs
    cpus: int = Field(1, ge=1, le=1024)  # cores, and threads, that a stack trains on
    gpus: float | None = Field(None, ge=0, le=64)  # that a stack trains on; below 1: stacks share one (ray)
    memory_gb: float | None = Field(None, gt=0)  # that a stack may use; the engine's default where None
    address: str | None = None  # ray: of a running cluster, or `auto`; None starts one on this machine
    minutes: int | None = Field(None, ge=1)  # slurm: time limit of a stack; 60 where None
    partition: str | None = None  # slurm
    account: str | None = None  # slurm
    qos: str | None = None  # slurm
    requeues: int | None = Field(None, ge=0)  # slurm: times a job is queued again at its time limit; 3
    poll: float | None = Field(None, gt=0, le=3600)  # slurm: seconds between two looks at the queue; 10
    sbatch: Pairs = ()  # slurm: further options, `constraint: a100`

    @model_validator(mode="after")
    def _fits(self) -> ExecutorConfig:
        for name, kinds in _ONLY.items():
            if getattr(self, name) not in (None, ()) and self.kind not in kinds:
                raise ValueError(f"`{name}` must be given for kind {kinds} only, but kind is {self.kind!r}")
        if self.kind == "slurm" and self.gpus and self.gpus != int(self.gpus):
            raise ValueError(f"Slurm gives whole GPUs, but got gpus={self.gpus:g}")
        for name, value in self._lines():
            if not PLAIN.fullmatch(value):
                raise ValueError(
                    f"`{name}` goes into a batch script, so it must be without blanks and quotes, "
                    f"but got {value!r}"
                )
        return self

    def _lines(self) -> list[tuple[str, Any]]:
        given = [(name, getattr(self, name)) for name in ("partition", "account", "qos")]
        named = [(f"sbatch.{key}", part) for key, value in self.sbatch for part in (key, value)]
        return [(name, value) for name, value in (*given, *named) if value is not None]
