from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch

from hptransfer.lm import pace
from hptransfer.runs.config import DataConfig, ModelConfig, RunSpec, TrainConfig

RUN = RunSpec(
    model=ModelConfig(width=16, depth=1, heads=2, context=16, vocab=300),
    data=DataConfig(source="synthetic", tokens=4096, validation_tokens=16),
    train=TrainConfig(steps=6),
    base_width=16,
    lr=2.0**-8,
)


def test_a_real_step_takes_some_time_and_the_threads_are_given_back() -> None:
    threads = torch.get_num_threads()
    assert 1e-5 < pace.seconds_per_step(RUN) < 5.0
    assert torch.get_num_threads() == threads


def test_the_median_of_the_steps_after_the_first_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([9.0, 10.0, 12.0, 13.0, 113.0, 114.0])  # steps of 1, 2, 1, 100 and 1 s

    def train(
        runs: Sequence[RunSpec], *, compiled: bool, on_step: Callable[[int, list[float]], None]
    ) -> None:
        assert (list(runs), compiled, torch.get_num_threads()) == ([RUN], False, 1)
        for step in range(6):
            on_step(step, [5.0])

    monkeypatch.setattr(pace, "train_stack", train)
    monkeypatch.setattr(pace.time, "perf_counter", lambda: next(clock))
    assert pace.seconds_per_step(RUN) == 1.0
