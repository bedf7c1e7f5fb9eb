"""Laws for batch and tokens: complete, sourced, and consistent with each other."""

import pytest

from hptransfer.errors import RuleError
from hptransfer.parametrization.axis_laws import DEFAULTS, LAWS, get_law


def test_every_law_has_a_source_and_says_what_it_assumes() -> None:
    assert all(law.source or law.name == "none" for law in LAWS.values())
    assert all(law.assumes for law in LAWS.values())
    assert {axis for axis, _ in LAWS} == {"batch", "tokens", "experts", "top_k"}
    assert all(get_law(axis, None, family).axis == axis for axis, family in DEFAULTS)


def test_adam_s_noise_counts_batch_over_tokens() -> None:
    batch, tokens = LAWS["batch", "sqrt"], LAWS["tokens", "sqrt"]
    for field in ("lr", "weight_decay", "eps", "memory"):
        assert getattr(batch, field) == -getattr(tokens, field)
    assert batch.lr + batch.weight_decay == batch.memory  # a step of twice the batch forgets twice as much


def test_what_is_refused() -> None:
    with pytest.raises(RuleError, match="the law for batch must be one of linear, timescale, none"):
        get_law("batch", "sqrt", "sgd")
    with pytest.raises(RuleError, match="the law for top_k must be one of none"):
        get_law("top_k", "sum", "sgd")
