"""A stack in the middle of its training: its state, what is measured of it, its checkpoint."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hptransfer.lm.checkpoint import Checkpoint, Progress, read_checkpoint, write_checkpoint
from hptransfer.lm.data import Corpus, batch, validation_sequences
from hptransfer.lm.device import device_facts, mark_static, move
from hptransfer.lm.evaluate import CHUNK, FloatArray, Losses, evaluate, evaluation_steps, record
from hptransfer.lm.probing import Prober
from hptransfer.lm.run_tensors import RunSettings, stack_settings, stack_step_settings
from hptransfer.lm.stack import initial_state, many_compiled, step_of, template, write_state
from hptransfer.lm.step import RunState, Step
from hptransfer.runs.config import RunRecord, RunSpec

OnStep = Callable[[int, Sequence[float]], None]
_FLOORS = ("entropy_rate", "validation_floor")  # what no model can beat, where the source says so


@dataclass(frozen=True)
class Plan:
    """How a stack is trained: what does not change where it is trained in parts."""

    corpus: Corpus
    compiled: bool  # whether its step is
    device: str
    on_step: OnStep | None  # called after every step with its number and the runs' training losses
    checkpoint: Path | None  # file to resume from and to write
    every_s: float  # seconds between two writings
    started: float = field(default_factory=time.perf_counter)  # of the whole stack's training, seconds

    def file(self, part: Sequence[RunSpec], whole: Sequence[RunSpec]) -> Path | None:
        """The checkpoint of a part, beside that of the whole."""
        if self.checkpoint is None or len(part) == len(whole):
            return self.checkpoint
        return self.checkpoint.with_name(f"{self.checkpoint.name}.{part[0].run_id}-{len(part)}")


class Training:
    """A stack in the middle of its training.

    Args:
        runs: of the stack, with one `stack_key`.
        plan: how they are trained.
        file: checkpoint of these runs; None: none is kept.
    """

    def __init__(self, runs: Sequence[RunSpec], plan: Plan, file: Path | None) -> None:
        self.runs, self.plan, self.file = runs, plan, file
        first = runs[0]
        self.key, state = initial_state(runs)
        self.model = template(self.key, plan.device)
        self.settings: RunSettings = move(stack_settings(runs), plan.device)
        held_out = torch.from_numpy(validation_sequences(plan.corpus, first.data, first.model))
        self.held_out: Tensor = move(held_out, plan.device)
        self.evaluated = evaluation_steps(first.steps, first.train.evaluations)
        self.arrays = {
            "training": np.full((first.steps, len(runs)), np.nan),
            "held_out": np.full((len(self.evaluated), len(runs), len(held_out)), np.nan),
            "initial": np.full(len(runs), np.nan),
        }
        self.step, self.wall_s, self.resumed_at = 0, 0.0, 0
        self.prober = self.made_prober()
        self.state = self.placed(state)
        if (found := self.kept()) is not None:
            self._resume(*found)
        mark_static(self.state, plan.device)
        self.since = self.written = time.perf_counter()
        if self.step == 0:  # no need to know it well
            self.arrays["initial"] = self.losses(self.held_out[:CHUNK]).mean(axis=1)

    def train(self) -> None:
        """Take the steps that are left."""
        step = self.step_function()
        with many_compiled():
            while self.step < self.runs[0].steps:
                self._take(step)
                if self.due():
                    self.write()
                if self.plan.on_step is not None:
                    self.plan.on_step(self.step - 1, self.arrays["training"][self.step - 1].tolist())
                if not bool(self.state.alive.any()):
                    break

    def records(self) -> list[RunRecord]:
        """One a run."""
        engine, a = self.engine(), self.arrays
        wall = (self.wall_s + time.perf_counter() - self.since) / len(self.runs)
        found = []
        for i, run in enumerate(self.runs):
            seen = Losses(a["training"][:, i], float(a["initial"][i]), self.evaluated, a["held_out"][:, i])
            found.append(record(run, seen, engine, wall))
        if self.prober is None:
            return found
        return [replace(one, probes=log) for one, log in zip(found, self.prober.logs(), strict=True)]

    def write(self) -> None:
        """Put everything on disk, where a checkpoint is kept."""
        if self.file is None:
            return
        wall_s = self.wall_s + time.perf_counter() - self.since
        probes = None if self.prober is None else self.prober.state_dict()
        progress = Progress(self._ids(), self.mark(), self.step, wall_s, probes)
        write_checkpoint(self.file, self.state, self.arrays, progress)
        self.written = time.perf_counter()

    # What training on several processes (`hptransfer.lm.distributed`) does in its own way.

    def made_prober(self) -> Prober | None:
        """What measures the runs' probes, where they have any."""
        if not self.runs[0].probes:
            return None
        seen = template(self.key, self.plan.device, fused=False)  # probes look at attention spelled out
        return Prober(self.runs, self.key, self.settings, seen, self.plan.corpus)

    def placed(self, state: RunState) -> RunState:
        """The state before the first step, on the device."""
        return move(state, self.plan.device)

    def step_function(self) -> Step:
        """One step of the stack."""
        return step_of(self.key, self.plan.compiled, self.plan.device)

    def tokens(self) -> Tensor:
        """Token ids of the next step, [runs, sequences, context + 1]."""
        return batches(self.runs, self.plan.corpus, self.step)

    def losses(self, sequences: Tensor) -> FloatArray:
        """Held-out loss of every sequence, nats per token, [runs, sequences]."""
        return evaluate(self.model, self.key, self.state, self.settings, sequences)

    def due(self) -> bool:
        """Whether a checkpoint is to be written."""
        return self.file is not None and time.perf_counter() - self.written >= self.plan.every_s

    def kept(self) -> Checkpoint | None:
        """What the checkpoint holds, where there is one of these runs."""
        if self.file is None:
            return None
        return read_checkpoint(self.file, self.state, self._ids(), self.mark())

    def mark(self) -> str:
        """What, beside the runs, a checkpoint must have in common with this training."""
        return self.plan.corpus.sha256

    def engine(self) -> dict[str, Any]:
        """How the runs were trained, for their records."""
        corpus = self.plan.corpus
        return {
            "stack": len(self.runs),
            "compiled": self.plan.compiled,
            "threads": torch.get_num_threads(),
            "device": self.plan.device,
            **device_facts(self.plan.device),
            "corpus": corpus.sha256[:16],
            **({"resumed_at": self.resumed_at} if self.resumed_at else {}),
            **{name: found for name in _FLOORS if (found := getattr(corpus, name)) is not None},
        }

    def _take(self, step: Step) -> None:
        """One step of every run, and an evaluation where one is due."""
        number, device = self.step, self.plan.device
        tokens, now = move(self.tokens(), device), move(stack_step_settings(self.runs, number), device)
        before = self.prober.snapshot(number, self.state) if self.prober is not None else None
        self.state, loss = step(self.state, self.settings, now, tokens)
        if self.prober is not None and before is not None:
            self.prober.measure(number, before, self.state, now, tokens)
        self.arrays["training"][number] = torch.where(self.state.alive, loss, math.nan).cpu().numpy()
        self.step = number + 1
        if self.step in self.evaluated:
            self.arrays["held_out"][self.evaluated.index(self.step)] = self.losses(self.held_out)

    def _resume(self, state: RunState, arrays: dict[str, FloatArray], progress: Progress) -> None:
        with torch.no_grad():
            write_state(self.state, state)
        self.arrays = arrays
        self.step = self.resumed_at = progress.step
        self.wall_s = progress.wall_s
        if self.prober is not None and progress.probes is not None:
            self.prober.restore(progress.probes)

    def _ids(self) -> tuple[str, ...]:
        return tuple(run.run_id for run in self.runs)


def batches(runs: Sequence[RunSpec], corpus: Corpus, step: int) -> Tensor:
    """Token ids of a step (counted from 0), [runs, batch, context + 1]; drawn once per data seed."""
    size, model = runs[0].train.batch_size, runs[0].model
    drawn = {seed: batch(corpus, model, size, seed, step) for seed in {run.data_seed for run in runs}}
    return torch.from_numpy(np.stack([drawn[run.data_seed] for run in runs]))
