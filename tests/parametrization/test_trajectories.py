"""Rules that claim to be the same training are the same training, in float64."""

import dataclasses
from types import MappingProxyType

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_models import build, train

import hptransfer as hpt
from hptransfer.parametrization.catalogue import RULES
from hptransfer.parametrization.rule import ROLES, Rule
from hptransfer.parametrization.rule_arithmetic import get_rule, without_multipliers

BASE, WIDTH, STEPS = 8, 32, 8


def trajectory(
    rule: Rule | str, *, family: str = "adam", width: int = WIDTH, lr: float = 0.02, decay: str = "mup"
) -> list[float]:
    """Losses of a small transformer trained under a rule, float64, eps scaled, weight decay on."""
    shape = {"dtype": torch.float64}
    model, base = build(width, **shape), build(BASE, seed=1, **shape)
    scaling = hpt.parametrize(
        model, base=base, rule=rule, optimizer=family, other=build(16, **shape) if width == BASE else None
    )
    scaling.init_(model, seed=3)
    groups = scaling.param_groups(model, lr=lr, weight_decay=0.1, eps=1e-3, decay=decay, eps_rule="scaled")
    optimizer = torch.optim.SGD(groups, momentum=0.9) if family == "sgd" else torch.optim.AdamW(groups)
    losses = train(model, optimizer, STEPS)
    scaling.verify(model, optimizer)
    return losses


@pytest.mark.parametrize("family", ["adam", "sgd"])
def test_tables_3_8_and_9_are_one_training(family: str) -> None:
    lr = 0.02 if family == "adam" else 0.3
    three, eight, nine = (trajectory(f"mup-tp5-table{t}", family=family, lr=lr) for t in (3, 8, 9))
    assert three == pytest.approx(eight, abs=1e-10)
    assert three == pytest.approx(nine, abs=1e-10)
    assert abs(three[-1] - three[0]) > 1e-2  # something was learned


def test_table_3_is_the_study_s_mup_in_other_coordinates() -> None:
    study = hpt.get_rule("mup")
    assert trajectory("mup-tp5-table3", lr=0.02) == pytest.approx(
        trajectory(study, lr=0.02 * BASE / WIDTH), abs=1e-10
    )


def test_the_dialects_differ_where_weight_decay_is_coupled() -> None:
    three, eight = (trajectory(f"mup-tp5-table{t}", decay="coupled") for t in (3, 8))
    assert abs(three[-1] - eight[-1]) > 1e-8


def test_sp_is_another_training() -> None:
    assert abs(trajectory("sp")[-1] - trajectory("mup")[-1]) > 1e-3


@pytest.mark.parametrize("name", sorted(RULES))
def test_every_rule_is_sp_at_the_base(name: str) -> None:
    assert trajectory(name, width=BASE) == pytest.approx(trajectory("sp", width=BASE), abs=1e-12)


@pytest.mark.parametrize("name", ["mup-tp5-table8", "mup-tp5-table9", "u-mup", "ntk", "completep"])
def test_multipliers_can_be_shifted_away(name: str) -> None:
    rule = get_rule(name)
    kwargs = {"decay": "coupled"}
    assert trajectory(without_multipliers(rule), **kwargs) == pytest.approx(
        trajectory(rule, **kwargs), abs=1e-10
    )


def shifted(rule: Rule, thetas: dict[str, float]) -> Rule:
    """multiplier x m^theta, init and LR / m^theta (SGD: LR / m^(2 theta)), decay the other way."""
    power = 2 if rule.optimizer == "sgd" else 1
    roles = {
        role: dataclasses.replace(
            e,
            multiplier=e.multiplier + thetas[role],
            init=e.init - thetas[role],
            lr=e.lr - power * thetas[role],
            weight_decay=e.weight_decay + power * thetas[role],
        )
        for role, e in rule.roles.items()
    }
    return dataclasses.replace(rule, roles=MappingProxyType(roles))


thetas = st.fixed_dictionaries(
    {role: st.floats(-1, 1) if role in ("embedding", "hidden", "readout") else st.just(0.0) for role in ROLES}
)


@settings(max_examples=15, deadline=None)
@given(thetas=thetas, name=st.sampled_from(["sp", "mup"]), family=st.sampled_from(["adam", "sgd"]))
def test_abc_shifts_change_nothing(thetas: dict[str, float], name: str, family: str) -> None:
    rule = get_rule(name, family)
    lr = 0.02 if family == "adam" else 0.3
    kwargs = {"family": family, "lr": lr, "decay": "coupled"}
    assert trajectory(shifted(rule, thetas), **kwargs) == pytest.approx(trajectory(rule, **kwargs), abs=1e-9)
