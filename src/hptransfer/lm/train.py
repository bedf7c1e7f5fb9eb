"""Stacked training: the runs of one `stack_key` trained together by one process."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from hptransfer.lm.data import load_corpus
from hptransfer.lm.device import (
    cache_sized,
    chosen_device,
    free_bytes,
    release_memory,
    reproducibly,
    split_by_memory,
    train_with_oom_split,
)
from hptransfer.lm.stack import compiler_found, stack_key
from hptransfer.lm.training import OnStep, Plan, Training
from hptransfer.runs.config import RunRecord, RunSpec


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

    A run's numbers do not depend on the others' LR, rule, decay or seeds; a run that diverges stands
    still and is recorded as diverged. Floating-point rounding may depend on the size of the stack and on
    `compiled`, so a study fixes both in its plan. On a CPU a compiled stack is trained in parts that its
    caches hold. On CUDA a stack that the free memory does not hold is trained in several, and one that runs
    out of memory in halves; `engine` in the record says how.

    Args:
        runs: with one `stack_key`.
        compiled: compile the step with `torch.compile`; eager, with a warning, where no compiler is found.
        on_step: called after every step with the step's number and the runs' training losses; where the
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
    plan = Plan(corpus, compiled and compiler_found(device), device, on_step, checkpoint, every_s)
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


def _groups(runs: Sequence[RunSpec], plan: Plan) -> list[Sequence[RunSpec]]:
    """The runs as they are trained together on this device."""
    if plan.device == "cpu" and plan.compiled:
        return cache_sized(runs)
    groups = split_by_memory(runs, free_bytes(plan.device))
    if len(groups) > 1:
        release_memory()
        groups = split_by_memory(runs, free_bytes(plan.device))
    return groups


def _trained(runs: Sequence[RunSpec], whole: Sequence[RunSpec], plan: Plan) -> list[RunRecord]:
    training = Training(runs, plan, plan.file(runs, whole))
    training.train()
    if len(runs) < len(whole) and time.perf_counter() - plan.started >= plan.every_s:
        training.write()  # a part that is finished is not trained again where the stack is killed later
    return training.records()
