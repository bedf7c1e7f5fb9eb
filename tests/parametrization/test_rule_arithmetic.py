import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.errors import RuleError
from hptransfer.parametrization.catalogue import KALRA, RULES
from hptransfer.parametrization.coordinates import convert_lr
from hptransfer.parametrization.rule import ROLES
from hptransfer.parametrization.rule_arithmetic import (
    attention_scale,
    get_rule,
    in_coordinates,
)
from hptransfer.parametrization.tensor_settings import width_settings

NAMES = {
    "sp", "sp+embd", "sp+ln", "sp+attn", "sp+last",
    "sp+embd+ln", "sp+embd+attn", "sp+embd+last", "sp+ln+attn", "sp+ln+last", "sp+attn+last",
    "mup-embd", "mup-ln", "mup-attn", "mup-last", "mup",
}  # fmt: skip

# rule: (embedding LR, vector LR, readout init std, attention scale) at m = 4, base head dimension 16
GOLDEN = {
    "sp": (1, 1, 1 / 2, 1 / 8),
    "sp+embd": (4, 1, 1 / 2, 1 / 8),
    "sp+ln": (1, 4, 1 / 2, 1 / 8),
    "sp+attn": (1, 1, 1 / 2, 1 / 16),
    "sp+last": (1, 1, 1 / 4, 1 / 8),
    "mup": (4, 4, 1 / 4, 1 / 16),
    "mup-embd": (1, 4, 1 / 4, 1 / 16),
    "mup-ln": (4, 1, 1 / 4, 1 / 16),
    "mup-attn": (4, 4, 1 / 4, 1 / 8),
    "mup-last": (4, 4, 1 / 2, 1 / 16),
}


def test_the_sixteen_variants() -> None:
    assert {name for name, rule in RULES.items() if rule.source == KALRA} == NAMES
    assert all(rule.name == name for name, rule in RULES.items())


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_settings(name: str) -> None:
    rule = get_rule(name)
    embedding, vector, readout, scale = GOLDEN[name]
    assert width_settings(rule, "embedding", 4).lr == embedding
    assert width_settings(rule, "vector", 4).lr == vector
    assert width_settings(rule, "readout", 4).init == readout
    assert attention_scale(rule, 64, 16) == pytest.approx(scale)
    hidden = width_settings(rule, "hidden", 4)
    assert (hidden.lr, hidden.init) == (1, 0.5)


@pytest.mark.parametrize("name", sorted(NAMES))
def test_every_rule_is_the_same_at_the_base(name: str) -> None:
    rule = get_rule(name)
    for role in ROLES:
        assert width_settings(rule, role, 1.0) == width_settings(get_rule("sp"), role, 1.0)
    assert attention_scale(rule, 16, 16) == 0.25


@given(name=st.sampled_from(sorted(NAMES)), ratio=st.floats(1e-3, 1e3), lr=st.floats(1e-6, 10))
def test_coordinates_relabel_eta_and_change_nothing(name: str, ratio: float, lr: float) -> None:
    sp = get_rule(name)
    mup = in_coordinates(sp, "mup")
    eta = convert_lr(lr, ratio, "sp", "mup", "adam")
    for role in ROLES:
        a, b = width_settings(sp, role, ratio), width_settings(mup, role, ratio)
        assert lr * a.lr == pytest.approx(eta * b.lr)
        assert (a.init, a.multiplier, a.weight_decay, a.eps) == (b.init, b.multiplier, b.weight_decay, b.eps)
    assert convert_lr(eta, ratio, "mup", "sp", "adam") == pytest.approx(lr)
    assert in_coordinates(mup, "sp") == sp


def test_mup_coordinates_are_the_usual_mup_table() -> None:
    mup = in_coordinates(get_rule("mup"), "mup")
    lrs = {role: width_settings(mup, role, 8).lr for role in ROLES}
    assert lrs["embedding"] == lrs["vector"] == 1
    assert lrs["hidden"] == lrs["readout"] == 1 / 8


def test_an_unknown_rule_names_the_closest() -> None:
    with pytest.raises(RuleError, match=r"'mup-embed' \(did you mean 'mup-embd'\?\); valid: sp, sp\+embd"):
        get_rule("mup-embed")


@pytest.mark.parametrize("ratio", [0.0, -1.0, math.nan, math.inf])
def test_an_impossible_ratio_is_refused(ratio: float) -> None:
    with pytest.raises(RuleError, match="positive and finite"):
        width_settings(get_rule("sp"), "hidden", ratio)
