"""What tells the runs of a stack apart, as tensors."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from hptransfer.lm.run_tensors import (
    RESIDUAL,
    multiplied,
    ramp_factors,
    stack_settings,
    stack_step_settings,
)
from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig
from hptransfer.runs.schedule import schedule_factor


def run_of(rule: str = "sp", lr: float = 0.01, **train: Any) -> RunSpec:
    return RunSpec(
        model=ModelConfig(width=32, depth=1, heads=4, context=8, vocab=300),
        train=TrainConfig.model_validate({"dtype": "float64", "steps": 20} | train),
        rule=rule,
        base_width=8,
        lr=lr,
    )


def test_settings_stand_in_the_order_of_the_runs() -> None:
    runs = [run_of("sp", 0.01), run_of("mup", 0.02, betas=(0.8, 0.9), clip=0.5, z_loss=1e-3)]
    found = stack_settings(runs)
    assert found.lr["blocks.hidden"].tolist() == pytest.approx([0.01, 0.02])
    assert found.lr["embedding"].tolist() == pytest.approx([0.01, 0.02 * 4])  # in SP coordinates, m = 4
    assert found.beta1.tolist() == [0.9, 0.8]
    assert found.beta2.tolist() == [0.95, 0.9]
    assert found.clip.tolist() == [float("inf"), 0.5]
    assert found.z_loss.tolist() == [0, 1e-3]
    assert {tensor.dtype for tensor in torch.utils._pytree.tree_leaves(found)} == {torch.float64}
    assert {tensor.shape for tensor in torch.utils._pytree.tree_leaves(found)} == {(2,)}


@pytest.mark.parametrize("step", [0, 3, 19])
def test_step_settings_are_the_schedule_and_adams_corrections(step: int) -> None:
    runs = [run_of(), run_of(betas=(0.5, 0.75), schedule="linear")]
    found = stack_step_settings(runs, step)
    assert found.schedule.tolist() == [schedule_factor(run.train, run.steps, step) for run in runs]
    assert found.correction1.tolist() == pytest.approx([1 - 0.9 ** (step + 1), 1 - 0.5 ** (step + 1)])
    assert found.correction2.tolist() == pytest.approx([1 - 0.95 ** (step + 1), 1 - 0.75 ** (step + 1)])
    assert found.ramp == {}


def test_only_groups_that_some_rule_multiplies_are_multiplied() -> None:
    assert multiplied([run_of("sp"), run_of("mup")]) == frozenset()
    ours = multiplied([run_of("sp"), run_of("mup-tp5-table8")])
    assert "readout" in ours
    assert RESIDUAL not in ours
    factors = stack_settings([run_of("sp"), run_of("mup-tp5-table8")]).multiplier
    assert {group for group, factor in factors.items() if (factor != 1).any()} == ours


def test_a_ramp_of_the_spec_acts_from_its_start_to_its_end() -> None:
    assert ramp_factors(run_of(), 0) == {}
    ramped = run_of(steps=21, lr_ramps={"hidden": {"exponent": -1, "begin": 0.25, "end": 0.75}})
    found = [ramp_factors(ramped, step) for step in (0, 5, 10, 15, 20)]
    assert set(found[0]) == {"hidden", "blocks.hidden"}
    assert [factors["blocks.hidden"] for factors in found] == pytest.approx([1, 1, 0.5, 0.25, 0.25])
    ramp = stack_step_settings([run_of(), ramped], 10).ramp["blocks.hidden"]
    assert ramp.tolist() == pytest.approx([1, 0.5])
