"""Schedules and budgets: goldens, shapes, torch's own schedulers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hptransfer.runs.budget import budget_steps
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig
from hptransfer.runs.decoder_tensors import counted_parameters, parameter_count
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


def test_tokens_per_parameter_golden() -> None:
    model = ModelConfig(width=64, depth=2, context=32, vocab=300)
    blocks = 2 * (12 * 64**2 + 2 * 64) + 64
    assert counted_parameters(model, "without_embeddings") == blocks
    assert counted_parameters(model, "all") == parameter_count(model) == blocks + (300 + 32 + 300) * 64
    train = TrainConfig(tokens_per_param=20, batch_size=8, params_counted="without_embeddings")
    assert budget_steps(model, train) == math.ceil(20 * blocks / (8 * 32))
    everything = train.model_copy(update={"params_counted": "all"})
    assert budget_steps(model, everything) == math.ceil(20 * parameter_count(model) / (8 * 32))
    run = RunSpec(model=model, train=train, base_width=32, lr=1.0)
    assert 20 * blocks <= run.tokens < 20 * blocks + 8 * 32


@given(width=st.sampled_from([32, 64, 96, 256]), ratio=st.floats(0.01, 50), batch=st.integers(1, 64))
def test_a_budget_is_met_to_less_than_a_step(width: int, ratio: float, batch: int) -> None:
    model = ModelConfig(width=width)
    run = RunSpec(
        model=model, train=TrainConfig(tokens_per_param=ratio, batch_size=batch), base_width=32, lr=1.0
    )
    wanted = ratio * parameter_count(model)
    assert wanted <= run.tokens * (1 + 1e-12)
    assert run.tokens < wanted + batch * model.context


def test_a_tied_tensor_and_a_readout_bias_are_counted_once() -> None:
    tied = ModelConfig(width=64, vocab=300, tied=True, biases=("readout",))
    untied = ModelConfig(width=64, vocab=300)
    assert parameter_count(untied) - parameter_count(tied) == 300 * 64 - 300
    assert counted_parameters(tied, "without_embeddings") == counted_parameters(untied, "without_embeddings")
