"""Learning-rate schedules: the factor on the peak LR at each step. No torch here."""

from __future__ import annotations

import math

from hptransfer.runs.train_config import TrainConfig


def phases(train: TrainConfig, steps: int) -> tuple[int, int]:
    """Steps with rising and with falling LR.

    All after the warmup but the first fall under `cosine` and `linear`, none under `constant`.

    Raises:
        ValueError: the two do not fit into the steps.
    """
    rising = _steps(train.warmup, train.warmup_steps, steps)
    if train.schedule == "wsd":
        falling = _steps(train.decay, train.decay_steps, steps)
    else:
        falling = 0 if train.schedule == "constant" else max(0, steps - rising - 1)
    in_shares = train.warmup_steps is None and train.decay_steps is None  # these may overlap by a rounding
    if rising + falling > steps and not in_shares:
        raise ValueError(
            f"warmup and decay must fit into the steps, but got {rising} + {falling} of {steps} steps"
        )
    return rising, falling


def schedule_factor(train: TrainConfig, steps: int, step: int) -> float:
    """Factor in (0, 1] on the peak LR at `step` (0-based) of `steps`.

    A linear rise, then the schedule's course towards `final_lr` x the peak: linear over the decay's share
    (`wsd`), linear or half a cosine over all that is left, or none. Neither end is reached, so that no step
    is wasted: the rise takes its steps in equal parts from 0 (not included) to 1, a fall likewise.
    """
    rising, falling = phases(train, steps)
    up = (step + 1) / (rising + 1)
    left = min(1.0, (steps - step) / (falling + 1)) if falling else 1.0
    if train.schedule == "cosine":
        left = (1 - math.cos(math.pi * left)) / 2
    return min(1.0, up, train.final_lr + (1 - train.final_lr) * left)


def _steps(fraction: float | None, given: int | None, steps: int) -> int:
    return given if given is not None else round((fraction or 0.0) * steps)
