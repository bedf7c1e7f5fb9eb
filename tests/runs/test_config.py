"""Run specs: defaults, alternatives, what is refused, and the ids that must not change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from hptransfer.runs.config import ModelConfig, RunSpec, TrainConfig

# Ids of stored runs: a default that changes, or a field whose data changes, would lose them.
GOLDEN: dict[str, tuple[str, dict[str, Any]]] = {
    "default": ("6a534c7b501499ae", {}),
    "seeds": ("24c4c02967ed13cf", {"seed": 1, "data_seed": 2, "rule": "mup"}),
    "model": (
        "6ba3f4d37a15acf8",
        {"model": {"width": 64, "head_dim": 16, "norm": "rmsnorm", "biases": ["hidden"]}},
    ),
    "train": (
        "74007687acd4c031",
        {"train": {"tokens_per_param": 20, "schedule": "cosine", "optimizer": "lion"}},
    ),
    "text": ("5512bcb5eb410ab2", {"data": {"source": "text", "files": "*.txt"}, "base_depth": 4}),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_ids_do_not_change(name: str) -> None:
    wanted, fields = GOLDEN[name]
    assert RunSpec.model_validate({"base_width": 32, "lr": 0.01} | fields).run_id == wanted


def test_an_id_is_of_the_meaning_not_of_the_spelling() -> None:
    run = RunSpec(base_width=32, lr=0.01)
    said = RunSpec(
        model=ModelConfig(heads=4, norm="layernorm", mlp_ratio=4.0, biases=()),
        train=TrainConfig(steps=300, warmup=0.1, decay=0.2, optimizer="adamw", weight_decay=0),
        base_width=32,
        lr=0.01,
    )
    assert said == run
    assert said.run_id == run.run_id
    assert RunSpec.model_validate_json(run.model_dump_json()).run_id == run.run_id


@pytest.mark.parametrize(
    "train",
    [
        {"tokens_per_param": 3.0},
        {"schedule": "cosine", "warmup_steps": 5},
        {"optimizer": "muon"},
        {"clip": 1.0},
    ],
)
@pytest.mark.parametrize("model", [{"head_dim": 16}, {"biases": ("hidden",), "attention_scale": 0.5}, {}])
def test_a_spec_survives_json(model: dict[str, Any], train: dict[str, Any]) -> None:
    run = RunSpec(model=ModelConfig(**model), train=TrainConfig(**train), base_width=32, lr=0.01)
    again = RunSpec.model_validate_json(run.model_dump_json())
    assert again == run
    assert again.run_id == run.run_id
    assert run.run_id != RunSpec(base_width=32, lr=0.01).run_id


def test_every_option_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "options.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    fields = (set(ModelConfig.model_fields) | set(TrainConfig.model_fields)) - {"width"}
    assert rows - {"coupled", "independent", "mup"} == fields
