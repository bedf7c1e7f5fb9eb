"""Schedules and budgets: goldens, shapes, torch's own schedulers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hptransfer.runs.config import RunSpec, TrainConfig
from hptransfer.runs.schedule import phases, schedule_factor


def course(steps: int, **train: Any) -> list[float]:
    config = TrainConfig(**train)
    return [schedule_factor(config, steps, step) for step in range(steps)]


def test_wsd_golden() -> None:
    values = course(10, warmup=0.2, decay=0.3)
    assert values == pytest.approx([1 / 3, 2 / 3, 1, 1, 1, 1, 1, 3 / 4, 2 / 4, 1 / 4])
    assert values == course(10, warmup_steps=2, decay_steps=3)


def test_linear_and_constant_golden() -> None:
    assert course(6, warmup_steps=1, schedule="linear") == pytest.approx(
        [1 / 2, 1, 4 / 5, 3 / 5, 2 / 5, 1 / 5]
    )
    assert course(5, warmup_steps=1, schedule="constant") == pytest.approx([1 / 2, 1, 1, 1, 1])


def test_cosine_is_half_a_cosine() -> None:
    wanted = [(1 + math.cos(math.pi * k / 8)) / 2 for k in range(8)]
    assert course(8, warmup=0.0, schedule="cosine") == pytest.approx(wanted)
    assert course(10, warmup_steps=2, schedule="cosine")[2:] == pytest.approx(wanted)


def test_final_lr_is_what_the_course_falls_towards() -> None:
    for schedule in ("wsd", "cosine", "linear"):
        without, ending = (
            course(50, schedule=schedule, warmup=0.0),
            course(50, schedule=schedule, warmup=0.0, final_lr=0.1),
        )
        assert ending == pytest.approx([0.1 + 0.9 * value for value in without])


def test_linear_with_lingles_end() -> None:
    """arXiv:2404.05728's code: 1 -> 1e-4 over the steps after the warmup."""
    values = course(125_000, schedule="linear", warmup_steps=10_000, final_lr=1e-4)
    assert values[10_000] == 1.0
    wanted = [1 - (1 - 1e-4) * k / 115_000 for k in range(115_000)]
    np.testing.assert_allclose(values[10_000:], wanted, atol=1e-9)


def test_cosine_is_torchs() -> None:
    import torch

    weight = torch.nn.Parameter(torch.zeros(1))
    optimizer = torch.optim.SGD([weight], lr=1.0)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=30, eta_min=0.05)
    found = []
    for _ in range(30):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert course(30, schedule="cosine", warmup=0.0, final_lr=0.05) == pytest.approx(found)


@given(
    schedule=st.sampled_from(["wsd", "cosine", "linear", "constant"]),
    steps=st.integers(1, 300),
    warmup=st.floats(0, 0.6),
    final_lr=st.floats(0, 0.5),
)
def test_every_course_rises_and_falls_between_zero_and_one(
    schedule: str, steps: int, warmup: float, final_lr: float
) -> None:
    values = course(steps, schedule=schedule, warmup=warmup, final_lr=final_lr)
    assert all(0 < value <= 1 for value in values)
    peak = int(np.argmax(values))
    assert values[: peak + 1] == sorted(values[: peak + 1])
    assert values[peak:] == sorted(values[peak:], reverse=True)
    rising, _ = phases(TrainConfig(schedule=schedule, warmup=warmup), steps)
    assert rising == round(warmup * steps)
    if schedule != "wsd" and rising < steps:
        assert values[rising] == 1.0


def test_phases_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"warmup and decay must fit .* got 80 \+ 40 of 100 steps"):
        RunSpec(train=TrainConfig(steps=100, warmup_steps=80, decay_steps=40), base_width=32, lr=1.0)
    with pytest.raises(ValidationError, match=r"warmup \+ decay <= 1 must hold"):
        TrainConfig(warmup=0.8, decay=0.4)
