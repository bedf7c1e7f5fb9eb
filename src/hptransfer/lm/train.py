"""Stacked training: the runs of one `stack_key` trained together by one process."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from hptransfer.lm.checkpoint import Progress, read_checkpoint, write_checkpoint
from hptransfer.lm.data import Corpus, batch, load_corpus, validation_sequences
from hptransfer.lm.device import (
    cache_sized,
    chosen_device,
    device_facts,
    free_bytes,
    mark_static,
    move,
    release_memory,
    reproducibly,
    split_by_memory,
    train_with_oom_split,
)
from hptransfer.lm.evaluate import CHUNK, FloatArray, Losses, evaluate, evaluation_steps, record
from hptransfer.lm.probing import Prober
from hptransfer.lm.run_tensors import RunSettings, stack_settings, stack_step_settings
from hptransfer.lm.stack import compiler_found, initial_state, many_compiled, stack_key, step_of, template
from hptransfer.lm.step import RunState, Step
from hptransfer.runs.config import RunRecord, RunSpec

__all__ = ["OnStep", "compiler_found", "initial_state", "stack_key", "template", "train_stack"]

OnStep = Callable[[int, Sequence[float]], None]


def train_stack(
    runs: Sequence[RunSpec],
    *,
    compiled: bool,
    on_step: OnStep | None = None,
    checkpoint: Path | None = None,
    every_s: float = 600.0,
    device: str | None = None,
) -> list[RunRecord]:
    """Train runs together and say what became of each.

    A member's numbers do not depend on the others' LR, rule, decay or seeds; a member that diverges stands
    still and is recorded as diverged. Floating-point rounding may depend on the size of the stack and on
    `compiled`, so a study fixes both in its plan. On a CPU a compiled stack is trained in parts that its
    caches hold. On CUDA a stack that the free memory does not hold is trained in several, and one that runs
    out of memory in halves; `engine` in the record says how.

    Args:
        runs: with one `stack_key`.
        compiled: compile the step with `torch.compile`; eager, with a warning, where no compiler is found.
        on_step: called after every step with the step's number and the members' training losses; where the
            stack is trained in parts, with the share of all their steps, as a step's number.
        checkpoint: file to resume from and to write; a stack of the same runs that was killed resumes from it
            as if nothing had been, bit for bit on the same machine. Whoever has kept the records deletes it.
        every_s: seconds between two writings; a stack that takes less writes nothing.
        device: see `hptransfer.lm.device.chosen_device`.

    Returns:
        One record a run, in order.

    Raises:
        ValueError: the runs do not share a key, or there are none.
        DataError: the text cannot be read or is too short.
        CheckpointError: the checkpoint cannot be written; the one before is kept.
        ExecutorError: there is no such device.
        torch.OutOfMemoryError: a single run does not fit.
    """
    if len({stack_key(run) for run in runs}) != 1:
        raise ValueError("the runs of a stack must share their model, data, optimizer, batch size and steps")
    device = chosen_device(device, runs[0].train.dtype)
    corpus = load_corpus(runs[0].data, runs[0].model)
    plan = _Plan(corpus, compiled and compiler_found(device), device, on_step, checkpoint, every_s)
    groups = _groups(runs, plan)

    def train(number: int) -> list[RunRecord]:
        told = replace(plan, on_step=_overall(on_step, number, len(groups), runs[0].steps))
        return train_with_oom_split(lambda part: _trained(part, runs, told), groups[number])

    return [one for number in range(len(groups)) for one in reproducibly(partial(train, number), device)]


def _overall(on_step: OnStep | None, number: int, parts: int, steps: int) -> OnStep | None:
    """Tells of the steps of one part as of a share of those of all."""
    if on_step is None or parts == 1:
        return on_step
    return lambda step, losses: on_step((number * steps + step) // parts, losses)


def _groups(runs: Sequence[RunSpec], plan: _Plan) -> list[Sequence[RunSpec]]:
    """The runs as they are trained together on this device."""
    if plan.device == "cpu" and plan.compiled:
        return cache_sized(runs)
    groups = split_by_memory(runs, free_bytes(plan.device))
    if len(groups) > 1:
        release_memory()
        groups = split_by_memory(runs, free_bytes(plan.device))
    return groups


@dataclass(frozen=True)
class _Plan:
    """How a stack is trained: what does not change where it is trained in parts."""

    corpus: Corpus
    compiled: bool
    device: str
    on_step: OnStep | None
    checkpoint: Path | None
    every_s: float
    started: float = field(default_factory=time.perf_counter)  # of the whole stack's training, seconds

    def file(self, part: Sequence[RunSpec], whole: Sequence[RunSpec]) -> Path | None:
        """The checkpoint of a part, beside that of the whole."""
        if self.checkpoint is None or len(part) == len(whole):
            return self.checkpoint
        return self.checkpoint.with_name(f"{self.checkpoint.name}.{part[0].run_id}-{len(part)}")


class _Training:
    """A stack in the middle of its training."""

    def __init__(self, runs: Sequence[RunSpec], plan: _Plan, file: Path | None) -> None:
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
        seen = template(self.key, plan.device, fused=False)  # probes look at attention spelled out
        self.prober = Prober(runs, self.key, self.settings, seen, plan.corpus) if first.probes else None
        self.state: RunState = self._resumed(state)
        mark_static(self.state, plan.device)
        self.since = self.written = time.perf_counter()
        if self.step == 0:  # no need to know it well
            self.arrays["initial"] = self._held_out(self.held_out[:CHUNK]).mean(axis=1)

    def train(self) -> None:
        """Take the steps that are left."""
        step = step_of(self.key, self.plan.compiled, self.plan.device)
        with many_compiled():
            while self.step < self.runs[0].steps:
                self._take(step)
                if self.file and time.perf_counter() - self.written >= self.plan.every_s:
                    self.write()
                if self.plan.on_step is not None:
                    self.plan.on_step(self.step - 1, self.arrays["training"][self.step - 1].tolist())
                if not bool(self.state.alive.any()):
                    break

    def records(self) -> list[RunRecord]:
        """One a run."""
        engine = {
            "stack": len(self.runs),
            "compiled": self.plan.compiled,
            "threads": torch.get_num_threads(),
            "device": self.plan.device,
            **device_facts(self.plan.device),
            "corpus": self.plan.corpus.sha256[:16],
            **({"resumed_at": self.resumed_at} if self.resumed_at else {}),
            **_floors(self.plan.corpus),
        }
        wall = (self.wall_s + time.perf_counter() - self.since) / len(self.runs)
        found = [record(run, self._losses(i), engine, wall) for i, run in enumerate(self.runs)]
        if self.prober is None:
            return found
        return [replace(one, probes=log) for one, log in zip(found, self.prober.logs(), strict=True)]

    def write(self) -> None:
        """Put everything on disk, where a checkpoint is kept."""
        if self.file is None:
            return
        now = time.perf_counter()
        progress = Progress(
            self._ids(),
            self.plan.corpus.sha256,
            self.step,
            self.wall_s + now - self.since,
            None if self.prober is None else self.prober.state_dict(),
        )
        write_checkpoint(self.file, self.state, self.arrays, progress)
        self.written = time.perf_counter()

    def _take(self, step: Step) -> None:
        """One step of every member, and an evaluation where one is due."""
        runs, number = self.runs, self.step
        tokens: Tensor = move(batches(runs, self.plan.corpus, number), self.plan.device)
        now = move(stack_step_settings(runs, number), self.plan.device)
        before = self.prober.snapshot(number, self.state) if self.prober is not None else None
        self.state, loss = step(self.state, self.settings, now, tokens)
        if self.prober is not None and before is not None:
            self.prober.measure(number, before, self.state, now, tokens)
        self.arrays["training"][number] = torch.where(self.state.alive, loss, math.nan).cpu().numpy()
        self.step = number + 1
        if self.step in self.evaluated:
            self.arrays["held_out"][self.evaluated.index(self.step)] = self._held_out(self.held_out)

    def _held_out(self, sequences: Tensor) -> FloatArray:
        return evaluate(self.model, self.key, self.state, self.settings, sequences)

    def _losses(self, member: int) -> Losses:
        a = self.arrays
        return Losses(
            a["training"][:, member], float(a["initial"][member]), self.evaluated, a["held_out"][:, member]
        )

    def _resumed(self, state: RunState) -> RunState:
        """The state to begin with: that of the checkpoint, where there is one of these runs."""
        found = None
        if self.file is not None:
            found = read_checkpoint(self.file, state, self._ids(), self.plan.corpus.sha256)
        if found is None:
            begun: RunState = move(state, self.plan.device)
            return begun
        state, self.arrays, progress = found
        self.step = self.resumed_at = progress.step
        self.wall_s = progress.wall_s
        if self.prober is not None and progress.probes is not None:
            self.prober.restore(progress.probes)
        resumed: RunState = move(state, self.plan.device)
        return resumed

    def _ids(self) -> tuple[str, ...]:
        return tuple(run.run_id for run in self.runs)


def batches(runs: Sequence[RunSpec], corpus: Corpus, step: int) -> Tensor:
    """Token ids of a step, [runs, batch, context + 1]; drawn once per data seed.

    Args:
        runs: of a stack.
        corpus: to draw from.
        step: counted from 0.
    """
    size, model = runs[0].train.batch_size, runs[0].model
    drawn = {seed: batch(corpus, model, size, seed, step) for seed in {run.data_seed for run in runs}}
    return torch.from_numpy(np.stack([drawn[run.data_seed] for run in runs]))


def _trained(runs: Sequence[RunSpec], whole: Sequence[RunSpec], plan: _Plan) -> list[RunRecord]:
    training = _Training(runs, plan, plan.file(runs, whole))
    training.train()
    if len(runs) < len(whole) and time.perf_counter() - plan.started >= plan.every_s:
        training.write()  # a part that is finished is not trained again where the stack is killed later
    return training.records()


def _floors(corpus: Corpus) -> dict[str, Any]:
    """What no model can beat, where the source says so."""
    names: Iterable[str] = ("entropy_rate", "validation_floor")
    return {name: found for name in names if (found := getattr(corpus, name)) is not None}
