from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hptransfer.runs.config import TrainConfig

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


@pytest.mark.parametrize(("fields", "text"), TRAIN_REFUSALS)
def test_impossible_training_is_refused_with_what_is_valid(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        TrainConfig(**fields)
