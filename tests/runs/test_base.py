from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hptransfer.runs.base import Config, Pairs, spec_hash, with_defaults


class Example(Config):
    size: int = 1
    environment: Pairs = ()


def test_a_config_is_immutable_and_knows_its_keys() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Example().size = 2
    with pytest.raises(ValidationError, match="Extra inputs"):
        Example.model_validate({"sise": 2})


def test_a_mapping_becomes_sorted_pairs_of_text() -> None:
    example = Example.model_validate({"environment": {"b": 1, "a": None}})
    assert example.environment == (("a", ""), ("b", "1"))
    assert hash(example) == hash(Example(environment=(("a", ""), ("b", "1"))))
    assert Example.model_validate(example.model_dump(mode="json")) == example


def test_a_hash_does_not_change_and_does_not_depend_on_order() -> None:
    assert spec_hash({"a": 1, "b": [1.5, None]}) == "993a7a2ceb877d40"
    assert spec_hash({"b": [1.5, None], "a": 1}) == "993a7a2ceb877d40"
    with pytest.raises(ValueError, match="JSON compliant"):
        spec_hash({"a": float("nan")})


@given(st.dictionaries(st.text(), st.integers()), st.dictionaries(st.text(), st.integers()))
def test_other_data_has_another_hash(one: dict[str, int], other: dict[str, int]) -> None:
    assert (spec_hash(one) == spec_hash(other)) == (one == other)


def test_a_default_counts_where_its_alternative_is_not_given() -> None:
    steps = {"steps": (300, "tokens_per_param")}
    assert with_defaults({}, steps) == {"steps": 300}
    assert with_defaults({"steps": None, "tokens_per_param": 20}, steps)["steps"] is None
    assert with_defaults({"steps": 5}, steps) == {"steps": 5}
    with pytest.raises(
        ValueError, match=r"only one of steps and tokens_per_param .* steps=5, tokens_per_param=20"
    ):
        with_defaults({"steps": 5, "tokens_per_param": 20}, steps)
    assert with_defaults("no mapping", steps) == "no mapping"
