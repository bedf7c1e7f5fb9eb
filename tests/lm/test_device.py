"""Devices without the device: the logic of sizes, halves and choices, on the CPU."""

import math
import os
from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.errors import ExecutorError
from hptransfer.lm import train as train_module
from hptransfer.lm.device import (
    CACHE_BYTES,
    SHARE,
    activation_bytes,
    cache_sized,
    chosen_device,
    reproducible,
    reproducibly,
    run_bytes,
    split_by_memory,
    train_with_oom_split,
)
from hptransfer.lm.stack import step_of
from hptransfer.lm.train import train_stack
from hptransfer.runs.config import ModelConfig, RunRecord, RunSpec, TrainConfig


@given(st.lists(st.integers(), min_size=1, max_size=40), st.integers(1, 40))
def test_out_of_memory_halves_and_goes_on(members: list[int], room: int) -> None:
    sizes: list[int] = []

    def train(part: list[int]) -> list[int]:
        sizes.append(len(part))
        if len(part) > room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [2 * member for member in part]

    with patch("hptransfer.lm.device.release_memory"):  # half a second, at every split of every example
        assert train_with_oom_split(train, members) == [2 * member for member in members]
    assert sizes[0] == len(members)
    assert max(size for size in sizes if size <= room) * 2 >= min(len(members), room)


def test_one_member_that_does_not_fit_is_an_error() -> None:
    def train(part: list[int]) -> list[int]:
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        train_with_oom_split(train, [1, 2])


def stack_of(tiny: RunSpec, count: int) -> list[RunSpec]:
    train = tiny.train.model_copy(update={"steps": 3})
    return [tiny.model_copy(update={"seed": i, "train": train}) for i in range(count)]


def test_a_stack_that_runs_out_of_memory_is_trained_in_halves(
    tiny: RunSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = stack_of(tiny, 5)
    whole = train_stack(runs, compiled=False)
    train = train_module._trained

    def small_machine(part: list[RunSpec], *rest: object) -> list[RunRecord]:
        if len(part) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return train(part, *rest)

    monkeypatch.setattr(train_module, "_trained", small_machine)
    halves = train_stack(runs, compiled=False)
    assert [r.run_id for r in halves] == [r.run_id for r in whole]
    assert [r.loss for r in halves] == pytest.approx([r.loss for r in whole], abs=1e-12)
    assert [r.engine["stack"] for r in halves] == [2, 2, 1, 2, 2]


def test_stacks_are_sized_to_the_free_memory(tiny: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    runs = stack_of(tiny, 5)
    one = run_bytes(tiny.model, tiny.train)
    assert [len(part) for part in split_by_memory(runs, math.inf)] == [5]
    assert [len(part) for part in split_by_memory(runs, 2.01 * one / SHARE)] == [1, 2, 2]
    assert [len(part) for part in split_by_memory(runs, 0.0)] == [1] * 5
    monkeypatch.setattr(train_module, "free_bytes", lambda device: 2.01 * one / SHARE)
    assert [r.engine["stack"] for r in train_stack(runs, compiled=False)] == [1, 2, 2, 2, 2]


def test_memory_of_a_member_grows_with_what_it_holds(tiny: RunSpec) -> None:
    base = run_bytes(tiny.model, tiny.train)
    for model, train in (
        ({"width": 32}, {}),
        ({"depth": 3}, {}),
        ({"vocab": 600}, {}),
        ({}, {"batch_size": 6}),
    ):
        bigger = run_bytes(tiny.model.model_copy(update=model), tiny.train.model_copy(update=train))
        assert bigger > base
    halved = tiny.train.model_copy(update={"dtype": "float32"})
    assert run_bytes(tiny.model, halved) == base / 2
    parts = tiny.train.model_copy(update={"accumulation": 3})
    assert run_bytes(tiny.model, parts) < base


def test_a_device_that_is_not_here_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HPTRANSFER_DEVICE", raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    assert chosen_device() == "cpu"
    with pytest.raises(ExecutorError, match="but got 'cuda'; valid: cpu"):
        chosen_device("cuda")
    with pytest.raises(ExecutorError, match="but got 'tpu'"):
        chosen_device("tpu")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert chosen_device() == "mps"
    assert chosen_device(dtype="float64") == "cpu"  # MPS has none
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert chosen_device() == "cuda"
    assert chosen_device("cuda:1") == "cuda:1"
    monkeypatch.setenv("HPTRANSFER_DEVICE", "cpu")
    assert chosen_device() == "cpu"


def test_autocast_changes_the_arithmetic_and_little_else(tiny: RunSpec) -> None:
    single = tiny.train.model_copy(update={"dtype": "float32"})
    exact = tiny.model_copy(update={"train": single})
    cast = tiny.model_copy(update={"train": single.model_copy(update={"autocast": True})})
    (a,), (b,) = (train_stack([run], compiled=False) for run in (exact, cast))
    assert a.run_id != b.run_id
    assert a.loss != b.loss
    assert b.loss == pytest.approx(a.loss, abs=0.02)
    assert (
        exact.run_id
        == exact.model_copy(update={"train": single.model_copy(update={"autocast": False})}).run_id
    )


def test_autocast_keeps_state_in_float32(tiny: RunSpec) -> None:
    from hptransfer.lm.run_tensors import stack_settings, stack_step_settings
    from hptransfer.lm.stack import initial_state

    train = tiny.train.model_copy(update={"dtype": "float32", "autocast": True})
    runs = [tiny.model_copy(update={"train": train})]
    shape, state = initial_state(runs)
    tokens = torch.randint(0, 280, (1, 3, 13), generator=torch.Generator().manual_seed(0))
    state, loss = step_of(shape, False, "cpu")(
        state, stack_settings(runs), stack_step_settings(runs, 0), tokens
    )
    kept = [*state.weights.values(), *(m for ms in state.moments.values() for m in ms), loss]
    assert {tensor.dtype for tensor in kept} == {torch.float32}


@given(count=st.integers(1, 40), width=st.sampled_from([16, 64, 256, 1024]))
def test_stacks_of_a_cpu_are_equal_and_whole(count: int, width: int) -> None:
    run = RunSpec(model=ModelConfig(width=width), base_width=16, lr=0.01)
    runs = [run.model_copy(update={"seed": seed}) for seed in range(count)]
    parts = cache_sized(runs)
    assert [run for part in parts for run in part] == runs
    assert len({len(part) for part in parts}) == 1
    fits = CACHE_BYTES / activation_bytes(run.model, run.train)
    assert all(
        abs(math.log(len(parts[0]) / fits)) <= abs(math.log(size / fits)) + 1e-12
        for size in range(1, count + 1)
        if count % size == 0
    )


@pytest.mark.parametrize(("autocast", "sizes"), [(False, [1, 1, 1, 1]), (True, [4, 2, 2, 1])])
def test_stacks_are_what_was_measured_to_be_quickest(autocast: bool, sizes: list[int]) -> None:
    """Of the eight LRs of a core, at widths 64 to 512."""
    found = []
    for width in (64, 128, 256, 512):
        train = TrainConfig(autocast=autocast)
        run = RunSpec(model=ModelConfig(width=width), train=train, base_width=64, lr=0.01)
        found.append(len(cache_sized([run.model_copy(update={"seed": i}) for i in range(8)])[0]))
    assert found == sizes


def test_a_stack_in_parts_tells_of_its_steps_as_one(tiny: RunSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    runs, told = stack_of(tiny, 4), []
    one = run_bytes(tiny.model, tiny.train)
    monkeypatch.setattr(train_module, "free_bytes", lambda device: 2.01 * one / SHARE)
    train_stack(runs, compiled=False, on_step=lambda step, losses: told.append((step, len(losses))))
    assert told == [(0, 2), (0, 2), (1, 2), (1, 2), (2, 2), (2, 2)]


def test_a_device_without_repeatable_kernels_trains_all_the_same() -> None:
    asked: list[bool] = []

    def train() -> str:
        asked.append(True)
        if len(asked) == 1:
            raise RuntimeError("scatter does not have a deterministic implementation")
        return "trained"

    with pytest.warns(UserWarning, match="cannot be repeated bit for bit"):
        assert reproducibly(train, "cpu") == "trained"

    def broken() -> str:
        raise RuntimeError("no such device")

    with pytest.raises(RuntimeError, match="no such device"):
        reproducibly(broken, "cpu")


def test_repeatable_kernels_are_asked_for_while_cuda_trains(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    with reproducible("cpu"):
        assert not torch.are_deterministic_algorithms_enabled()
    with reproducible("cuda:0"):
        assert torch.are_deterministic_algorithms_enabled()
        assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_part_that_is_finished_is_not_trained_again_after_a_kill(
    tiny: RunSpec, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    runs, file = stack_of(tiny, 4), tmp_path / "stack.safetensors"
    one = run_bytes(tiny.model, tiny.train)
    monkeypatch.setattr(train_module, "free_bytes", lambda device: 2.01 * one / SHARE)
    whole = train_stack(runs, compiled=False)
    steps: list[int] = []

    def killed(step: int, losses: object) -> None:
        steps.append(step)
        if len(steps) == 5:  # in the second part
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_stack(runs, compiled=False, on_step=killed, checkpoint=file, every_s=0.0)
    again: list[int] = []
    resumed = train_stack(
        runs,
        compiled=False,
        on_step=lambda step, losses: again.append(step),
        checkpoint=file,
        every_s=0.0,
    )
    assert len(again) < 3  # of six steps; those of the first part are not among them
    assert [(r.loss, r.curve) for r in resumed] == [(r.loss, r.curve) for r in whole]
    assert resumed[0].engine["resumed_at"] == 3
