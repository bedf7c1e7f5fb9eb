from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from hptransfer.runs.config import ModelConfig

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


@pytest.mark.parametrize(("fields", "text"), MODEL_REFUSALS)
def test_an_impossible_model_is_refused_with_what_is_valid(fields: dict[str, Any], text: str) -> None:
    with pytest.raises(ValidationError, match=text):
        ModelConfig(**fields)


def test_heads_or_head_dimension_stay_as_width_grows() -> None:
    counts = [ModelConfig(width=width, heads=4) for width in (64, 128)]
    assert [(m.query_heads, m.d_head) for m in counts] == [(4, 16), (4, 32)]
    dimensions = [ModelConfig(width=width, head_dim=16, kv_heads=2) for width in (64, 128)]
    assert [(m.query_heads, m.d_head, m.key_heads) for m in dimensions] == [(4, 16, 2), (8, 16, 2)]
