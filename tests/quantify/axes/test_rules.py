import numpy as np
import pytest
from made_axes import B, H, model, settings
from scipy.stats import chi2

from hptransfer.quantify.axes.rules import Rule, check_rule, check_rules, hp_kind, kind_of, own_cost

VALUES = [[n, d] for n in (1e8, 2e8, 4e8) for d in (2e9, 4e9, 8e9)]
AT = {"params": 7e9, "tokens": 1.4e12}
BATCH = ("LR ~ batch^0.5", "LR ~ batch")
HIDDEN, HORIZON = "muP, LR of hidden, Adam", "LR ~ tokens^-0.32"


def checked(found, hp="lr", targets=(AT,)):
    axes = found.basis.design.axes
    return {r.name: r for r in check_rules(found, settings(axes, targets, hp=hp))}


def test_axes_and_hyperparameters_by_their_names():
    axes = ("d_model", "n_params", "n_layers", "D", "batch_size", "flops", "foo")
    kinds = ["width", "params", "depth", "tokens", "batch", "compute", None]
    assert [kind_of(name) for name in axes] == kinds
    names = ("lr", "learning_rate", "lr_hidden", "weight_decay", "batch_size", "momentum")
    assert [hp_kind(n) for n in names] == ["lr", "lr", "lr", "weight decay", "batch", None]


def test_rules_give_what_their_papers_do():
    rules = checked(model(VALUES, [-0.6, 0.25]))
    n, d = AT["params"], AT["tokens"]
    assert rules["step-law LR"].predictions[0] == pytest.approx(1.79 * n**-0.713 * d**0.307)
    assert rules["DeepSeek LR"].predictions[0] == pytest.approx(0.3118 * (6 * n * d) ** -0.125)
    by_flops = model(
        [[10.0**k, 32.0 * (1 + k % 2)] for k in range(17, 23)], [-0.1, 0.0], ("flops", "batch_size")
    )
    found = checked(by_flops, targets=({"flops": 1e24, "batch_size": 64.0},))
    # of the batch the rule says nothing: the law's own exponent is 0 here
    assert found["DeepSeek LR"].exponents == {"flops": -0.125}


def test_rules_of_the_batch_and_of_the_decay():
    found = model(VALUES, [0.0, 0.57])
    batch = checked(found, "batch_tokens")
    assert batch["step-law batch"].predictions[0] == pytest.approx(0.58 * AT["tokens"] ** 0.571, rel=1e-6)
    c = 6 * AT["params"] * AT["tokens"]
    assert batch["DeepSeek batch"].predictions[0] == pytest.approx(0.292 * c**0.3271)
    assert "step-law LR" not in batch
    in_sequences = checked(found, "batch_size")["DeepSeek batch"]
    assert in_sequences.level == "fitted"
    assert in_sequences.note == ""
    decay = checked(model(VALUES, [0.0, -1.0]), "weight_decay")
    assert set(decay) == {"decay ~ 1 / tokens", "constant weight_decay"}
    assert not decay["decay ~ 1 / tokens"].rejected


@pytest.mark.parametrize(
    ("axes", "names"),
    [
        (("width", "batch_size"), {*BATCH, "muP, LR as its user sets it", HIDDEN}),
        (("tokens", "batch_size"), {*BATCH, HORIZON, "LR ~ batch / tokens"}),
        (("tokens", "depth"), {HORIZON, "LR ~ 1 / tokens"}),
    ],
)
def test_which_rules_speak_goes_by_the_axes(axes, names):
    assert set(checked(model(VALUES, [0.0, 0.5], axes), targets=())) == names | {"constant lr"}


@pytest.mark.parametrize(
    ("axes", "slopes", "name", "rejected"),
    [
        (("width", "batch_size"), [-1.0, 0.5], "LR ~ batch^0.5", False),
        (("width", "batch_size"), [-1.0, 0.5], "LR ~ batch", True),
        (("width", "batch_size"), [-1.0, 0.5], "muP, LR of hidden, Adam", False),
        (("width", "batch_size"), [-1.0, 0.5], "muP, LR as its user sets it", True),
        (("width", "batch_size"), [0.0, 1.0], "muP, LR as its user sets it", False),
        (("width", "batch_size"), [0.0, 1.0], "LR ~ batch", False),
        (("tokens", "batch_size"), [-1.0, 1.0], "LR ~ batch / tokens", False),
        (("tokens", "batch_size"), [-0.32, 0.2], "LR ~ tokens^-0.32", False),
        (("params", "tokens"), [0.0, 0.0], "constant lr", False),
        (("params", "tokens"), [0.0, 0.2], "constant lr", True),
    ],
)
def test_rules_are_rejected_by_their_exponents(axes, slopes, name, rejected):
    assert checked(model(VALUES, slopes, axes), targets=())[name].rejected is rejected


def test_the_probability_is_that_of_chi_square():
    found = model(VALUES, [-0.3, 0.1])
    rule = Rule("a", "", {"params": -0.2, "tokens": 0.0})
    by_axis = {"params": -0.2, "tokens": 0.0}
    r = check_rule(found, rule, by_axis, settings(("params", "tokens")), own_cost(found))
    away = np.array([-0.1, 0.1])
    errors = np.cov(found.hp.draws[:, 1:].T)
    assert r.probability == pytest.approx(chi2.sf(away @ np.linalg.solve(errors, away), 2), rel=0.01)
    assert r.level == "fitted"
    # its value and its cost, with the constant that makes the mean of log2 right
    x = found.basis.points.z @ np.array([-0.2, 0.0])
    level = np.mean(found.basis.basins.x - x)
    assert r.cost == pytest.approx(np.mean(0.5 * H * (x + level - found.basis.basins.x) ** 2))
    assert r.worst == pytest.approx(np.max(0.5 * H * (x + level - found.basis.basins.x) ** 2))


def test_a_level_of_its_own_is_judged_too():
    right = checked(model(VALUES, [-0.713, 0.307]))["step-law LR"]
    assert right.rejected  # the law's level of 2^-8 is far from the rule's
    assert right.level == "its own"
    n, d = np.exp2(np.log2(np.array(VALUES)).mean(axis=0))
    level = np.log2(1.79) - 0.713 * np.log2(n) + 0.307 * np.log2(d)
    assert not checked(model(VALUES, [-0.713, 0.307], level=level))["step-law LR"].rejected


def test_what_a_rule_does_not_say_is_the_laws():
    found = model(VALUES, [-0.6, 0.5], ("width", "batch_size"))
    at = {"width": 1e9, "batch_size": 3.2e10}
    (r,) = [r for r in checked(found, targets=(at,)).values() if r.name == "LR ~ batch^0.5"]
    truth = -8.0 + np.log2(1e9 / 2e8) * -0.6 + np.log2(3.2e10 / 4e9) * 0.5
    assert np.log2(r.predictions[0]) == pytest.approx(truth, abs=0.01)
    assert r.cost == pytest.approx(0.0, abs=1e-9)


def test_a_cost_may_be_given():
    found = model(VALUES, [0.0, 0.0])
    rules = check_rules(found, settings(("params", "tokens")), lambda k, x: float(k))
    assert rules[-1].cost == pytest.approx(np.mean(np.arange(len(VALUES))))
    assert rules[-1].worst == len(VALUES) - 1
    assert found.hp.draws.shape[0] == B
