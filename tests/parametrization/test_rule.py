"""A rule as plain data: read-only, comparable, to be copied and pickled."""

import copy
import pickle
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.parametrization.rule import ROLES, Exponents, Ramp, Rule, role_map
from hptransfer.parametrization.rule_arithmetic import get_rule


def test_a_rule_says_nothing_by_default() -> None:
    rule = Rule("plain", role_map(Exponents(), Exponents(), Exponents()))
    assert Exponents() == Exponents(init=0, multiplier=0, lr=0, weight_decay=0, eps=0)
    assert (rule.attention, rule.coordinates, rule.optimizer) == (-0.5, "sp", "adam")  # 1/sqrt(head_dim)
    assert (rule.lr_exponent, rule.residual, rule.tied) == (0, 0, None)
    assert (dict(rule.depth), dict(rule.ramps), rule.scales_depth) == ({}, {}, False)


def test_roles_in_their_order() -> None:
    given = [Exponents(init=i) for i in range(5)]
    assert role_map(*given) == dict(zip(ROLES, given, strict=True))
    assert ROLES == ("embedding", "hidden", "readout", "vector", "scalar")
    assert role_map(*given[:3])["vector"] == role_map(*given[:3])["scalar"] == Exponents()


def test_no_one_changes_a_rule_of_the_catalogue() -> None:
    rule = get_rule("mup")
    for mapping in (rule.roles, rule.depth, rule.ramps):
        with pytest.raises(TypeError):
            mapping["hidden"] = Exponents()  # type: ignore[index]
    mine = dict(rule.roles)
    made = replace(rule, roles=mine)
    mine.clear()
    assert made == rule


@pytest.mark.parametrize("again", [copy.deepcopy, lambda rule: pickle.loads(pickle.dumps(rule))])
def test_a_copy_is_the_same_rule_and_read_only_too(again) -> None:
    rule = replace(get_rule("completep"), ramps={"embedding": Ramp(-1.0)})
    twin = again(rule)
    assert twin == rule
    with pytest.raises(TypeError):
        twin.roles["hidden"] = Exponents()


def test_a_ramp_sets_out_at_once_and_arrives_at_the_end_by_default() -> None:
    assert (Ramp(-1.0).begin, Ramp(-1.0).end) == (0, 1)
    assert [Ramp(-1.0).factor(16.0, share) for share in (0, 0.25, 0.5, 1)] == [1, 1 / 2, 1 / 4, 1 / 16]


@given(
    exponent=st.floats(-2, 2),
    begin=st.floats(0, 0.4),
    end=st.floats(0.6, 1),
    ratio=st.floats(1 / 64, 64),
    share=st.floats(0, 1),
)
def test_a_ramp_stays_between_its_ends(exponent, begin, end, ratio, share) -> None:
    ramp = Ramp(exponent, begin, end)
    ends = sorted((1.0, ratio**exponent))
    assert ends[0] * (1 - 1e-12) <= ramp.factor(ratio, share) <= ends[1] * (1 + 1e-12)
    assert ramp.factor(ratio, begin) == 1
    assert ramp.factor(ratio, end) == pytest.approx(ratio**exponent)
