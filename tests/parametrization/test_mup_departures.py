"""Where a rule is not muP by its own exponents: none for muP however it is written, each one for SP."""

from dataclasses import replace

import pytest

from hptransfer.parametrization.catalogue import CATALOGUE
from hptransfer.parametrization.mup_departures import departures, initial_slope, natural_coordinates
from hptransfer.parametrization.rule import ROLES
from hptransfer.parametrization.rule_arithmetic import get_rule, in_coordinates

MUP = ("mup", "mup-tp5-table3", "mup-tp5-table8", "mup-tp5-table9", "depth-mup")


@pytest.mark.parametrize(("name", "family"), [key for key in CATALOGUE if key[0] in (*MUP, "completep")])
def test_mup_however_it_is_written_has_none(name: str, family: str) -> None:
    assert departures(natural_coordinates(get_rule(name, family)), ROLES) == ()


def test_the_departures_of_sp() -> None:
    assert departures(get_rule("sp"), ROLES) == (
        "hidden LR m^0, not m^-1",
        "readout init m^-0.5, not m^-1",
        "readout LR m^0, not m^-1",
        "attention logits x head_dim^-0.5, not head_dim^-1",
    )
    assert departures(get_rule("sp", "sgd"), ("embedding", "hidden")) == (
        "embedding LR m^0, not m^1",
        "attention logits x head_dim^-0.5, not head_dim^-1",
    )


@pytest.mark.parametrize(
    ("switch", "departure"),
    [
        ("embd", "embedding LR m^-1, not m^0"),
        ("ln", "vector LR m^-1, not m^0"),
        ("attn", "attention logits x head_dim^-0.5, not head_dim^-1"),
        ("last", "readout init m^-0.5, not m^-1"),
    ],
)
def test_a_missing_switch_is_the_departure(switch: str, departure: str) -> None:
    assert departure in departures(natural_coordinates(get_rule(f"mup-{switch}")), ROLES)


def test_a_readout_may_start_smaller_and_no_other_role_may() -> None:
    rule = get_rule("mup-tp5-table3")
    for role, found in (("readout", ()), ("hidden", ("hidden init m^-1.5, not m^-0.5",))):
        smaller = replace(rule.roles[role], init=rule.roles[role].init - 1)
        assert departures(replace(rule, roles={**rule.roles, role: smaller}), ROLES) == found


@pytest.mark.parametrize("name", ["sp", *MUP])
def test_activations_start_at_one_size_whatever_the_width(name: str) -> None:
    rule = get_rule(name)
    assert initial_slope(rule, "embedding") == initial_slope(rule, "hidden") == 0
    assert initial_slope(rule, "readout") is None


def test_an_init_without_its_root_of_the_fan_in_grows() -> None:
    rule = get_rule("sp")
    hidden = replace(rule.roles["hidden"], init=0.0)
    assert initial_slope(replace(rule, roles={**rule.roles, "hidden": hidden}), "hidden") == 0.5


def test_sp_alone_is_read_with_one_lr_for_all() -> None:
    assert natural_coordinates(get_rule("sp")) == get_rule("sp")
    assert natural_coordinates(get_rule("sp+embd")) == in_coordinates(get_rule("sp+embd"), "mup")
