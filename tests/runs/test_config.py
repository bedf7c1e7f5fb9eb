"""Run specs: defaults, alternatives, what is refused, and the ids that must not change."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

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


MODEL_REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"width": 96, "heads": 5}, r"heads must divide width, but got width=96, heads=5; valid: 1, 2, 3, 4, 6"),
    (
        {"width": 96, "head_dim": 64},
        r"head_dim must divide width, but got .* head_dim=64; valid: 1, 2",
    ),
    (
        {"heads": 4, "head_dim": 32},
        r"only one of heads and head_dim may be given, but got heads=4",
    ),
    ({"heads": 4, "kv_heads": 3}, r"kv_heads must divide the number of heads, .* heads=4; valid: 1, 2, 4"),
    ({"width": 12, "heads": 4, "positions": "rope"}, r"head dimension must be even .* but it is 3"),
    ({"norm": "rmsnorm", "biases": ("norm",)}, r"biases of norms must go with norm: layernorm"),
    ({"biases": ("norm", "norm")}, r"every place of biases must be given once"),
    ({"tied": True, "readout_init": "zero"}, r"readout_init must be 'rule' where tied is true"),
    ({"attention_scale": -1.0}, r"it must be rule, sqrt_d, d or a positive number, but got -1"),
    ({"readout_init": 0.0}, r"it must be rule, sqrt_n, n, zero or a positive number, but got 0"),
    ({"width": 8, "heads": 2, "mlp_ratio": 0.1}, r"mlp_ratio x width >= 1 must hold"),
    ({"attention_scale": "1/d"}, r"it must be rule, sqrt_d, d or a positive number, but got '1/d'"),
    ({"activation": "swish"}, r"'gelu', 'relu', 'relu2' or 'swiglu'"),
    ({"norm": "batchnorm"}, r"'layernorm' or 'rmsnorm'"),
    ({"biases": ("readout", "mlp")}, r"'hidden', 'norm' or 'readout'"),
]
TRAIN_REFUSALS: list[tuple[dict[str, Any], str]] = [
    ({"steps": 0}, r"greater than 0"),
    ({"steps": 5, "tokens_per_param": 1.0}, r"only one of steps and tokens_per_param may be given"),
    ({"warmup": 0.1, "warmup_steps": 3}, r"only one of warmup and warmup_steps may be given"),
    ({"batch_size": 8, "accumulation": 3}, r"accumulation must divide batch_size"),
    ({"schedule": "cosine", "decay": 0.2}, r"decay must go with schedule: wsd, but got schedule='cosine'"),
    ({"schedule": "step"}, r"'wsd', 'cosine', 'linear' or 'constant'"),
    ({"optimizer": "adagrad"}, r"'adamw', 'adam', 'sgd', 'lion' or 'muon'"),
    ({"optimizer": "adam", "decay_kind": "mup"}, r"decay_kind must be 'coupled' with adam"),
    ({"optimizer": "adam", "decay_kind": "independent"}, r"with every kind: adamw, sgd, lion, muon"),
    ({"momentum": 0.9}, r"momentum must go with sgd or muon, but got optimizer='adamw'"),
    ({"betas": (0.9, 1.0)}, r"0 <= beta < 1 must hold for both betas"),
    ({"lr_batch_rule": "sqrt"}, r"base_batch_size must be given with lr_batch_rule"),
    ({"base_batch_size": 4}, r"base_batch_size must be given with lr_batch_rule"),
    ({"clip": 0.0}, r"greater than 0"),
]


@pytest.mark.parametrize(("fields", "text"), MODEL_REFUSALS)
def test_an_impossible_model_is_refused_with_what_is_valid(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        ModelConfig(**fields)


@pytest.mark.parametrize(("fields", "text"), TRAIN_REFUSALS)
def test_impossible_training_is_refused_with_what_is_valid(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        TrainConfig(**fields)


def test_heads_or_head_dimension_stay_as_width_grows() -> None:
    counts = [ModelConfig(width=width, heads=4) for width in (64, 128)]
    assert [(m.query_heads, m.d_head) for m in counts] == [(4, 16), (4, 32)]
    dimensions = [ModelConfig(width=width, head_dim=16, kv_heads=2) for width in (64, 128)]
    assert [(m.query_heads, m.d_head, m.key_heads) for m in dimensions] == [(4, 16, 2), (8, 16, 2)]


def test_every_option_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "options.md").read_text(encoding="utf-8")
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    fields = (set(ModelConfig.model_fields) | set(TrainConfig.model_fields)) - {"width"}
    assert rows - {"coupled", "independent", "mup"} == fields
