"""Golden factors of every rule, role and optimizer at m = 4; derived in docs/reference/rules.md."""

import pytest

from hptransfer.errors import RuleError
from hptransfer.parametrization.catalogue import CATALOGUE, RULES
from hptransfer.parametrization.rule_arithmetic import (
    get_rule,
    in_coordinates,
    scaled_eps_exponent,
    without_multipliers,
)
from hptransfer.parametrization.tensor_settings import depth_settings, width_settings

# Per role (init std, multiplier, LR) at m = 4 in the rule's own coordinates; then attention exponent, tied.
SP_HIDDEN = (1 / 2, 1, 1)
ONE = (1, 1, 1)
GOLDEN = {
    #                  embedding       hidden             readout            vector  attention tied
    ("sp", "adam"): (ONE, SP_HIDDEN, (1 / 2, 1, 1), ONE, -0.5, None),
    ("sp+embd", "adam"): ((1, 1, 4), SP_HIDDEN, (1 / 2, 1, 1), ONE, -0.5, None),
    ("sp+ln", "adam"): (ONE, SP_HIDDEN, (1 / 2, 1, 1), (1, 1, 4), -0.5, None),
    ("sp+attn", "adam"): (ONE, SP_HIDDEN, (1 / 2, 1, 1), ONE, -1, None),
    ("sp+last", "adam"): (ONE, SP_HIDDEN, (1 / 4, 1, 1), ONE, -0.5, -1),
    ("sp+embd+ln", "adam"): ((1, 1, 4), SP_HIDDEN, (1 / 2, 1, 1), (1, 1, 4), -0.5, None),
    ("sp+embd+attn", "adam"): ((1, 1, 4), SP_HIDDEN, (1 / 2, 1, 1), ONE, -1, None),
    ("sp+embd+last", "adam"): ((1, 1, 4), SP_HIDDEN, (1 / 4, 1, 1), ONE, -0.5, -1),
    ("sp+ln+attn", "adam"): (ONE, SP_HIDDEN, (1 / 2, 1, 1), (1, 1, 4), -1, None),
    ("sp+ln+last", "adam"): (ONE, SP_HIDDEN, (1 / 4, 1, 1), (1, 1, 4), -0.5, -1),
    ("sp+attn+last", "adam"): (ONE, SP_HIDDEN, (1 / 4, 1, 1), ONE, -1, -1),
    ("mup-embd", "adam"): (ONE, SP_HIDDEN, (1 / 4, 1, 1), (1, 1, 4), -1, -1),
    ("mup-ln", "adam"): ((1, 1, 4), SP_HIDDEN, (1 / 4, 1, 1), ONE, -1, -1),
    ("mup-attn", "adam"): ((1, 1, 4), SP_HIDDEN, (1 / 4, 1, 1), (1, 1, 4), -0.5, -1),
    ("mup-last", "adam"): ((1, 1, 4), SP_HIDDEN, (1 / 2, 1, 1), (1, 1, 4), -1, None),
    ("mup", "adam"): ((1, 1, 4), SP_HIDDEN, (1 / 4, 1, 1), (1, 1, 4), -1, -1),
    ("sp+sqrt-embd", "adam"): ((1, 1, 2), SP_HIDDEN, (1 / 2, 1, 1), ONE, -0.5, None),
    ("mup-sqrt-embd", "adam"): ((1, 1, 2), SP_HIDDEN, (1 / 4, 1, 1), (1, 1, 4), -1, -1),
    ("mup-tp5-table3", "adam"): (ONE, (1 / 2, 1, 1 / 4), (1 / 4, 1, 1 / 4), ONE, -1, -1),
    ("mup-tp5-table8", "adam"): (ONE, (1 / 2, 1, 1 / 4), (1, 1 / 4, 1), ONE, -1, -1),
    ("mup-tp5-table9", "adam"): ((1 / 2, 2, 1 / 2), (1 / 2, 1, 1 / 4), (1 / 2, 1 / 2, 1 / 2), ONE, -1, -1),
    ("ntk", "adam"): (ONE, (1, 1 / 2, 1), (1, 1 / 2, 1), ONE, -0.5, -0.5),
    ("everett-sp-no-alignment", "adam"): (ONE, (1 / 2, 1, 1 / 2), (1 / 2, 1, 1 / 2), ONE, -0.5, None),
    ("everett-sp-full-alignment", "adam"): (ONE, (1 / 2, 1, 1 / 4), (1 / 2, 1, 1 / 4), ONE, -0.5, None),
    ("everett-ntk-no-alignment", "adam"): (ONE, (1, 1 / 2, 1), (1, 1 / 2, 1), ONE, -0.5, -0.5),
    ("everett-ntk-full-alignment", "adam"): (ONE, (1, 1 / 2, 1 / 2), (1, 1 / 2, 1 / 2), ONE, -0.5, -0.5),
    ("everett-mup-no-alignment", "adam"): (
        (1 / 2, 2, 1 / 2), (1 / 2, 1, 1 / 2), (1 / 2, 1 / 2, 1), ONE, -0.5, -1,
    ),
    ("everett-mup-full-alignment", "adam"): (
        (1 / 2, 2, 1 / 2), (1 / 2, 1, 1 / 4), (1 / 2, 1 / 2, 1 / 2), ONE, -0.5, -1,
    ),
    ("u-mup", "adam"): ((1, 1, 1 / 2), (1, 1 / 2, 1 / 2), (1, 1 / 4, 1), ONE, -1, -1),
    ("completep", "adam"): (ONE, (1 / 2, 1, 1 / 4), (1, 1 / 4, 1), ONE, -1, -1),
    ("completedp", "adam"): (ONE, (1 / 2, 1, 1 / 4), (1 / 4, 1, 1 / 4), ONE, -1, -1),
    ("depth-mup", "adam"): (ONE, (1 / 2, 1, 1 / 4), (1 / 4, 1, 1 / 4), ONE, -1, -1),
    ("depth-mup", "sgd"): ((1, 1, 4), SP_HIDDEN, (1 / 4, 1, 1 / 4), (1, 1, 4), -1, -1),
    ("sp", "sgd"): (ONE, SP_HIDDEN, (1 / 2, 1, 1), ONE, -0.5, None),
    ("mup", "sgd"): ((1, 1, 4), SP_HIDDEN, (1 / 4, 1, 1 / 4), (1, 1, 4), -1, -1),
    ("mup-tp5-table3", "sgd"): ((1, 1, 4), SP_HIDDEN, (1 / 4, 1, 1 / 4), (1, 1, 4), -1, -1),
    ("mup-tp5-table8", "sgd"): ((1, 1, 4), SP_HIDDEN, (1, 1 / 4, 4), (1, 1, 4), -1, -1),
    ("mup-tp5-table9", "sgd"): ((1 / 2, 2, 1), SP_HIDDEN, (1 / 2, 1 / 2, 1), (1, 1, 4), -1, -1),
    ("mup-sqrt-decay", "adam"): (ONE, (1 / 2, 1, 1 / 4), (1 / 4, 1, 1 / 4), ONE, -1, -1),
    ("mup-megatron", "adam"): (ONE, (1 / 2, 1, 1 / 4), (1, 1 / 4, 1), ONE, -1, -1),
    ("ntk", "sgd"): (ONE, (1, 1 / 2, 1), (1, 1 / 2, 1), ONE, -0.5, -0.5),
}  # fmt: skip
DECAY_AND_EPS = {  # all others: 1 and 1
    "mup-sqrt-decay": {"hidden": (2, 1)},
    "mup-megatron": {"hidden": (1, 1 / 4)},
    "completedp": {
        "embedding": (1, 1 / 4), "hidden": (4, 1 / 4), "readout": (4, 1), "vector": (1, 1 / 4),
    },
    "completep": {"embedding": (1, 1 / 4), "hidden": (4, 1 / 4), "readout": (1, 1 / 4), "vector": (1, 1 / 4)},
}  # fmt: skip


def test_every_entry_has_golden_factors() -> None:
    assert set(GOLDEN) == set(CATALOGUE)
    assert set(RULES) == {name for name, family in CATALOGUE if family == "adam"}


@pytest.mark.parametrize(("name", "family"), GOLDEN)
def test_golden_factors(name: str, family: str) -> None:
    rule = get_rule(name, family)
    *roles, attention, tied = GOLDEN[name, family]
    for role, golden in zip(("embedding", "hidden", "readout", "vector"), roles, strict=True):
        found = width_settings(rule, role, 4.0)
        assert (found.init, found.multiplier, found.lr) == pytest.approx(golden), role
        decay_and_eps = DECAY_AND_EPS.get(name, {}).get(role, (1, 1))
        assert (found.weight_decay, found.eps) == pytest.approx(decay_and_eps), role
    scalar = width_settings(rule, "scalar", 4.0)
    assert (scalar.init, scalar.multiplier, scalar.weight_decay, scalar.eps) == (1, 1, 1, 1)
    assert scalar.lr == (roles[3][2] if family == "adam" else 1)  # biases of fixed length too; SGD: no fan
    assert (rule.attention, rule.tied) == (attention, tied)
    assert (rule.name, rule.optimizer) == (name, family)
    assert rule.source


def test_depth_rules() -> None:
    deepening = {name for name, rule in RULES.items() if rule.scales_depth}
    assert deepening == {"u-mup", "completep", "completedp", "depth-mup"}
    complete, unit = get_rule("completep"), get_rule("u-mup")
    assert (complete.residual, unit.residual) == (-1, -0.5)
    assert (complete.depth["hidden"].lr, complete.depth["hidden"].eps) == (0, -1)
    assert (unit.depth["hidden"].lr, unit.depth["vector"].lr) == (-0.5, -0.5)
    for family, lr in (("adam", -0.5), ("sgd", 0)):
        deep = get_rule("depth-mup", family)
        assert (deep.residual, deep.depth["hidden"].lr, deep.depth["vector"].lr) == (-0.5, lr, lr)
        assert deep.roles == get_rule("mup-tp5-table3", family).roles


@pytest.mark.parametrize(("name", "family"), CATALOGUE)
def test_what_training_sees_is_the_same_without_multipliers(name: str, family: str) -> None:
    """Effective init (init x multiplier) and effective LR stay; tables 3, 8 and 9 become one."""
    rule = get_rule(name, family)
    bare = without_multipliers(rule)
    power = 2 if family == "sgd" else 1
    for role, e in rule.roles.items():
        assert bare.roles[role].multiplier == 0
        assert bare.roles[role].init == e.init + e.multiplier
        assert bare.roles[role].lr == e.lr + power * e.multiplier
        assert bare.roles[role].weight_decay == e.weight_decay - power * e.multiplier  # keeps LR x lambda
        assert bare.roles[role].eps == e.eps - e.multiplier  # as the gradient, which no multiplier multiplies
    assert without_multipliers(bare) == bare


@pytest.mark.parametrize("family", ["adam", "sgd"])
def test_tables_3_8_9_are_one_rule_without_multipliers(family: str) -> None:
    tables = [without_multipliers(get_rule(f"mup-tp5-table{t}", family)) for t in (3, 8, 9)]
    lrs = [{role: (e.init, e.lr) for role, e in rule.roles.items()} for rule in tables]
    assert lrs[0] == lrs[1] == lrs[2]


def test_scaled_eps_is_completep_s_published_eps() -> None:
    rule = get_rule("completep")
    for role in ("embedding", "hidden", "readout"):
        assert scaled_eps_exponent(rule, role) == rule.roles[role].eps


def test_the_study_s_mup_is_table_3_in_mup_coordinates() -> None:
    mup, table = in_coordinates(get_rule("mup"), "mup"), get_rule("mup-tp5-table3")
    for role in ("embedding", "hidden", "readout", "vector", "scalar"):
        assert width_settings(mup, role, 8) == width_settings(table, role, 8)


def test_eta_is_relabelled_by_the_model_s_ratio_and_scaled_by_the_tensor_s() -> None:
    table = in_coordinates(get_rule("mup-tp5-table3"), "sp")
    assert width_settings(table, "hidden", 2.0, 4.0).lr == pytest.approx(4 / 2)
    assert width_settings(get_rule("sp"), "hidden", 2.0, 4.0).lr == 1


def test_sgd_has_one_coordinate() -> None:
    rule = get_rule("mup", "sgd")
    assert width_settings(in_coordinates(rule, "mup"), "hidden", 4).lr == 1


def test_a_rule_that_is_silent_on_sgd_says_so() -> None:
    with pytest.raises(RuleError, match=r"completep says nothing about sgd; valid for sgd: mup-tp5-table3"):
        get_rule("completep", "sgd")
    with pytest.raises(RuleError, match="one of adam, sgd, but got 'lbfgs'"):
        get_rule("mup", "lbfgs")  # type: ignore[arg-type]


@pytest.mark.parametrize("alpha", [0.5, 0.75, 1.0])
def test_completep_of_any_alpha_is_the_paper_s_code(alpha: float) -> None:
    """Groups of the authors' code (nanoGPT-mup), written out: width ratio m, depth ratio mL."""
    m, deeper = 4.0, 3.0
    rule = get_rule("completep" if alpha == 1 else f"completep-{alpha}")
    width_lr, depth_lr = 1 / m, deeper ** (alpha - 1)
    eps = 1 / m * deeper**-alpha
    hidden = width_settings(rule, "hidden", m) * depth_settings(rule, "hidden", deeper)
    assert (hidden.lr, hidden.weight_decay) == pytest.approx((width_lr * depth_lr, 1 / width_lr))
    vector = width_settings(rule, "vector", m) * depth_settings(rule, "vector", deeper)
    assert vector.lr == pytest.approx(depth_lr)
    assert (hidden.eps, vector.eps) == pytest.approx((eps, eps))
    assert deeper**rule.residual == pytest.approx(deeper**-alpha)
    embedding = width_settings(rule, "embedding", m)
    assert (embedding.lr, embedding.weight_decay) == (1, 1)
    assert hidden.lr * hidden.weight_decay == pytest.approx(
        depth_lr
    )  # a step's decay, between coupled and mup


@pytest.mark.parametrize("name", ["completep-0.4", "completep-1.1", "completep-0.49999"])
def test_alpha_is_from_a_half_to_one(name: str) -> None:
    with pytest.raises(RuleError, match=r"alpha must be from 0\.5 to 1, but got"):
        get_rule(name)
    with pytest.raises(RuleError, match=r"must be in the catalogue, but got 'completep-0\.5'"):
        get_rule("completep-0.5", "sgd")


def test_completedp_is_completep_without_multipliers() -> None:
    bare, named = without_multipliers(get_rule("completep")), get_rule("completedp")
    assert (bare.roles, bare.depth, bare.residual) == (named.roles, named.depth, named.residual)
