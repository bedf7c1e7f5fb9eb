"""What tells the runs of a stack apart, as tensors, so that one compiled step serves them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from hptransfer.lm.rule import decoder_rule, decoder_settings, forward_scales
from hptransfer.parametrization.rule import ROLES, Ramp, Role
from hptransfer.parametrization.tensor_settings import step_decay
from hptransfer.runs.config import RunSpec
from hptransfer.runs.decoder_tensors import GROUPS
from hptransfer.runs.schedule import schedule_factor

Grouped = dict[str, Tensor]  # by `TensorLayout.group`
RESIDUAL = "residual"  # in `multiplied`: whether some run scales its residual branches


class RunSettings(NamedTuple):
    """Numbers of a run that stay through training; zero-dimensional tensors, or [runs] for a stack."""

    lr: Grouped  # peak LR
    decay: Grouped  # of a step at the schedule's peak, see `step_decay`
    eps: Grouped  # Adam's
    multiplier: Grouped  # factor on the weights in the forward pass
    attention: Tensor  # factor on attention logits
    residual: Tensor  # factor on every residual branch
    logits: Tensor  # factor on the input of a tied readout
    beta1: Tensor
    beta2: Tensor
    momentum: Tensor
    clip: Tensor  # largest norm of the gradient; not read where no run is clipped
    z_loss: Tensor  # weight of the mean squared log Z; not read where no run has one


class StepSettings(NamedTuple):
    """Numbers of a run that change from step to step; zero-dimensional tensors, or [runs] for a stack."""

    schedule: Tensor  # factor on the peak LR
    correction1: Tensor  # 1 - beta1**t
    correction2: Tensor  # 1 - beta2**t
    ramp: Grouped  # factor on the LR of the groups that have one
    decay_ramp: Grouped  # the same on what a step takes off the weights, where that goes with the LR


def stack_settings(runs: Sequence[RunSpec]) -> RunSettings:
    """The settings of a stack, in its runs' order; every tensor [runs].

    Raises:
        RuleError: a rule is unknown, or says nothing about the runs' optimizer.
    """
    groups, scales = [decoder_settings(run) for run in runs], [forward_scales(run) for run in runs]

    def column(values: Sequence[float]) -> Tensor:
        return torch.tensor(values, dtype=getattr(torch, runs[0].train.dtype))

    def grouped(name: str) -> Grouped:
        return {group: column([getattr(found[group], name) or 0.0 for found in groups]) for group in GROUPS}

    return RunSettings(
        lr=grouped("lr"),
        decay={group: column([step_decay(found[group]) for found in groups]) for group in GROUPS},
        eps=grouped("eps"),
        multiplier=grouped("multiplier"),
        attention=column([found.attention for found in scales]),
        residual=column([found.residual for found in scales]),
        logits=column([found.logits for found in scales]),
        beta1=column([run.train.betas[0] for run in runs]),
        beta2=column([run.train.betas[1] for run in runs]),
        momentum=column([run.train.momentum_rate for run in runs]),
        clip=column([run.train.clip or float("inf") for run in runs]),
        z_loss=column([run.train.z_loss for run in runs]),
    )


def multiplied(runs: Sequence[RunSpec]) -> frozenset[str]:
    """Groups whose weights some run multiplies in the forward pass; the others are spared the product."""
    found = {
        group
        for settings in map(decoder_settings, runs)
        for group, values in settings.items()
        if values.multiplier != 1.0
    }
    return frozenset(
        found | ({RESIDUAL} if any(forward_scales(run).residual != 1.0 for run in runs) else set())
    )


def stack_step_settings(runs: Sequence[RunSpec], step: int) -> StepSettings:
    """What changes with the step, of a stack at `step`, counted from 0; every tensor [runs]."""
    rows = [
        (
            schedule_factor(run.train, run.steps, step),
            1 - run.train.betas[0] ** (step + 1),
            1 - run.train.betas[1] ** (step + 1),
        )
        for run in runs
    ]
    dtype = getattr(torch, runs[0].train.dtype)
    factors = [ramp_factors(run, step) for run in runs]
    groups = sorted({group for found in factors for group in found})
    lr = {group: [found.get(group, 1.0) for found in factors] for group in groups}
    coupled = [run.train.decay_kind == "coupled" for run in runs]
    decay = {group: [f if c else 1.0 for f, c in zip(lr[group], coupled, strict=True)] for group in groups}
    schedule, correction1, correction2 = torch.tensor(rows, dtype=dtype).unbind(dim=1)
    return StepSettings(
        schedule,
        correction1,
        correction2,
        {group: torch.tensor(values, dtype=dtype) for group, values in lr.items()},
        {group: torch.tensor(values, dtype=dtype) for group, values in decay.items()},
    )


def ramp_factors(run: RunSpec, step: int) -> dict[str, float]:
    """Factor on the LR at a step, of every group of a run that has a ramp: the spec's, else the rule's."""
    ramps = run_ramps(run)
    share = step / max(run.steps - 1, 1)
    factors: dict[str, float] = {role: ramp.factor(run.width_ratio, share) for role, ramp in ramps.items()}
    return {group: factors[role] for group in GROUPS if (role := group.removeprefix("blocks.")) in factors}


def run_ramps(run: RunSpec) -> dict[Role, Ramp]:
    """The ramps of a run by role."""
    said = run.train.lr_ramps
    given = {} if said is None else {role: getattr(said, role) for role in ROLES}
    own = {role: Ramp(**config.model_dump()) for role, config in given.items() if config is not None}
    return {**decoder_rule(run.rule, run.train.optimizer).ramps, **own}
