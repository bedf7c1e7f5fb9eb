"""What a tensor gets, by rule x role x width x depth x optimizer: numbers worked out by hand."""

from dataclasses import replace

import pytest

from hptransfer.errors import RuleError
from hptransfer.parametrization.constants import Constants
from hptransfer.parametrization.optimizers import OPTIMIZERS
from hptransfer.parametrization.rule_arithmetic import get_rule, in_coordinates
from hptransfer.parametrization.tensor_settings import (
    Growth,
    RoleSettings,
    TrainingSettings,
    depth_settings,
    group_settings,
    step_decay,
    tensor_factors,
    width_settings,
)

HIDDEN = Growth("hidden", ratio=4.0, model_ratio=4.0, depth_ratio=2.0, longest_ratio=4.0)
EMBEDDING = Growth("embedding", ratio=4.0, model_ratio=4.0)


def test_factors_for_width_and_depth_multiply() -> None:
    rule = get_rule("completep")
    both = width_settings(rule, "hidden", 4.0) * depth_settings(rule, "hidden", 2.0)
    assert both == tensor_factors(rule, HIDDEN)
    assert both == RoleSettings(init=1 / 2, multiplier=1.0, lr=1 / 4, weight_decay=4.0, eps=1 / 8)
    assert RoleSettings(2, 3, 5, 7, 11) * RoleSettings(13, 17, 19, 23, 29) == RoleSettings(
        26, 51, 95, 161, 319
    )


def test_a_tensor_outside_the_blocks_knows_no_depth() -> None:
    rule = get_rule("completep")
    assert tensor_factors(rule, replace(HIDDEN, depth_ratio=1.0)) == width_settings(rule, "hidden", 4.0)
    assert depth_settings(get_rule("mup"), "hidden", 8.0) == RoleSettings()


@pytest.mark.parametrize("ratio", [0.0, -1.0, float("nan"), float("inf")])
def test_a_ratio_must_be_positive_and_finite(ratio: float) -> None:
    with pytest.raises(RuleError, match="must be positive and finite"):
        group_settings(get_rule("sp"), replace(HIDDEN, ratio=ratio), TrainingSettings("adamw", 0.01))


@pytest.mark.parametrize(
    ("decay", "hidden", "embedding"),  # shares of the weight that a step takes off, by hand
    [
        ("coupled", 0.02 * 0.1, 0.08 * 0.1),
        ("independent", 0.1, 0.1),
        ("mup", 0.08 * 0.1, 0.08 * 0.1),
        ("sqrt-width", 0.04 * 0.1, 0.08 * 0.1),
        ("inverse-width", 0.02 * 0.1, 0.08 * 0.1),
    ],
)
def test_conventions_of_decay_under_mup_at_sp_eta(decay, hidden: float, embedding: float) -> None:
    rule, training = get_rule("mup"), TrainingSettings("adamw", 0.02, weight_decay=0.1, decay=decay)
    assert step_decay(group_settings(rule, HIDDEN, training)) == pytest.approx(hidden)
    assert step_decay(group_settings(rule, EMBEDDING, training)) == pytest.approx(embedding)
    kept = replace(EMBEDDING, decays=False)
    assert group_settings(rule, kept, training).weight_decay == 0.0


@pytest.mark.parametrize("decay", ["coupled", "independent", "mup"])
def test_coordinates_do_not_change_what_a_tensor_gets(decay) -> None:
    rule = get_rule("mup")
    training = TrainingSettings("adamw", 0.02, weight_decay=0.1, decay=decay)
    for growth in (HIDDEN, EMBEDDING):
        sp = group_settings(rule, growth, training)
        mup = group_settings(in_coordinates(rule, "mup"), growth, replace(training, lr=0.02 * 4))
        assert (mup.lr, mup.weight_decay) == pytest.approx((sp.lr, sp.weight_decay))


@pytest.mark.parametrize(
    ("eps_rule", "factor"),
    [("fixed", 1.0), ("rule", 1 / 8), ("scaled", 1 / 8)],  # CompleteP: m^-1, in blocks x depth^-1
)
def test_eps(eps_rule, factor: float) -> None:
    training = TrainingSettings("adamw", 0.02, eps=1e-6, eps_rule=eps_rule)
    assert group_settings(get_rule("completep"), HIDDEN, training).eps == pytest.approx(1e-6 * factor)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_eps_is_none_where_the_optimizer_has_none(name: str) -> None:
    rule = get_rule("mup", OPTIMIZERS[name].family)
    found = group_settings(rule, HIDDEN, TrainingSettings(name, 0.02))
    assert (found.eps is not None) == (name in ("adamw", "adam"))
    assert found.optimizer == name


@pytest.mark.parametrize(("adjust", "width"), [("original", 1.0), ("match_rms_adamw", 1 / 2)])
def test_muon_has_its_own_width_rule_and_the_rule_s_factor_for_depth(adjust, width: float) -> None:
    rule = get_rule("depth-mup")  # in muP coordinates; LR in the blocks x depth^-1/2
    training = TrainingSettings("muon", 0.02, weight_decay=0.1, muon_adjust=adjust, others_lr=0.3)
    found = group_settings(rule, HIDDEN, training)
    assert found.lr == pytest.approx(0.02 * width * 2**-0.5)
    assert found.weight_decay == 0.1
    beside = group_settings(rule, EMBEDDING, training)
    assert (beside.optimizer, beside.lr) == ("adamw", pytest.approx(0.3 * 0.02))
    assert group_settings(rule, EMBEDDING, TrainingSettings("muon", 0.02)).lr == 0.02


def test_what_is_not_said_changes_nothing() -> None:
    at_base = Growth("hidden", ratio=1.0, model_ratio=1.0)
    training = TrainingSettings("adamw", 0.02, weight_decay=0.1)
    for rule in ("sp", "completep", "u-mup"):
        found = group_settings(get_rule(rule), at_base, training)
        assert (found.init, found.multiplier, found.lr, found.weight_decay) == (1, 1, 0.02, 0.1)
        assert found.eps == 1e-8  # torch's default
    muon = TrainingSettings("muon", 0.02, muon_adjust="match_rms_adamw")
    assert group_settings(get_rule("sp"), at_base, muon).lr == 0.02


def test_decay_of_sgd_is_in_the_gradient() -> None:
    training = TrainingSettings("sgd", 0.5, weight_decay=0.1, decay="independent")
    found = group_settings(get_rule("mup", "sgd"), EMBEDDING, training)
    assert found.lr == 0.5 * 4
    assert step_decay(found) == found.weight_decay == pytest.approx(0.1 / 2)


@pytest.mark.parametrize(("decay", "share"), [("coupled", 1.0), ("sqrt-width", 0.5), ("inverse-width", 0.25)])
def test_decay_of_muon_by_width(decay, share: float) -> None:
    """Muon's LR does not fall with width, so that lambda has to for a step's decay to fall."""
    training = TrainingSettings("muon", 0.02, weight_decay=0.1, decay=decay)
    found = group_settings(in_coordinates(get_rule("mup"), "mup"), HIDDEN, training)
    assert (found.lr, step_decay(found)) == pytest.approx((0.02, 0.02 * 0.1 * share))


def test_constants_of_a_tensor() -> None:
    training = TrainingSettings("adamw", 0.02, weight_decay=0.1, eps=1e-8)
    plain = group_settings(get_rule("mup"), HIDDEN, training)
    own = group_settings(get_rule("mup"), HIDDEN, training, Constants(lr=2.0, weight_decay=0.5, eps=4.0))
    assert (own.lr, own.weight_decay, own.eps) == (2 * plain.lr, plain.weight_decay / 2, 4 * plain.eps)
