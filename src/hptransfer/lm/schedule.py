"""Learning-rate schedules: the factor on the peak LR at each step."""

from __future__ import annotations


def warmup_stable_decay(step: int, steps: int, warmup: float, decay: float) -> float:
    """Factor in (0, 1] on the peak LR at `step` (0-based) of `steps`.

    Linear rise over the first `warmup` share of the steps, constant, then linear fall over the last
    `decay` share; neither end reaches zero, so that no step is wasted.
    """
    rising, falling = round(warmup * steps), round(decay * steps)
    up = (step + 1) / (rising + 1)
    down = (steps - step) / (falling + 1)
    return min(1.0, up, down)
