import json

import numpy as np
import pytest
from surfaces import FOUR, START, grid, optimum, sweep_of

import hptransfer as hpt
from hptransfer.errors import QuantifyError

TARGET = {"params": 1e8 * 2.0**5, "tokens": 2e9 * 2.0**4}


@pytest.fixture(scope="module")
def fit():  # type: ignore[no-untyped-def]
    return hpt.quantify(sweep_of(FOUR), scale=["params", "tokens"], targets=[TARGET], draws=300)


def test_exponents_and_the_prediction_are_those_of_the_law(fit) -> None:  # type: ignore[no-untyped-def]
    variant = fit.variants["all"]
    found = {law.name: law.drift for law in variant.axes}
    for name, slope in (("params", -0.6), ("tokens", 0.25), ("fixed tokens per parameter", -0.35)):
        assert found[name].low <= slope <= found[name].high
        assert found[name].value == pytest.approx(slope, abs=0.03)
    (prediction,) = variant.predictions
    truth = 2.0 ** optimum(np.array([[5.0, 4.0]]), ("params", "tokens"))[0]
    assert prediction.hp.low < truth < prediction.hp.high
    straight = prediction.hp_straight
    assert straight.low < truth < straight.high
    assert prediction.hp.low < straight.low < straight.high < prediction.hp.high
    assert prediction.beyond == pytest.approx({"params": 2.0, "tokens": 2.0})


def test_the_largest_of_each_axis_and_a_corner_are_left_out(fit) -> None:  # type: ignore[no-untyped-def]
    checks = fit.variants["all"].holdouts
    assert {check.left_out for check in checks} == {"largest params", "largest tokens", "corner"}
    assert np.mean([check.covered for check in checks]) > 0.8
    assert max(abs(check.error_octaves) for check in checks) < 0.2
    assert fit.variants["all"].extrapolate.value == "yes"
    assert fit.variants["all"].keep.value == "no"


def test_rules_are_judged_by_the_runs(fit) -> None:  # type: ignore[no-untyped-def]
    rules = {rule.name: rule for rule in fit.variants["all"].rules}
    assert rules["constant lr"].rejected
    assert rules["DeepSeek LR"].rejected
    step = rules["step-law LR"]
    assert step.predictions[0] == pytest.approx(1.79 * TARGET["params"] ** -0.713 * TARGET["tokens"] ** 0.307)
    assert rules["constant lr"].worst > step.cost or step.rejected


def test_suggested_runs_are_new_places_that_narrow_the_interval(fit) -> None:  # type: ignore[no-untyped-def]
    suggested = fit.variants["all"].suggested
    assert suggested
    seen = {tuple(p.at.values()) for p in fit.variants["all"].points}
    for runs in suggested:
        assert tuple(runs.at.values()) not in seen
        assert runs.width[1] < runs.width[0]
        assert len(runs.hps) == 5


def test_the_json_is_whole_and_has_no_nan(fit) -> None:  # type: ignore[no-untyped-def]
    data = json.loads(fit.to_json())
    variant = data["variants"]["all"]
    assert data["axes"] == ["params", "tokens"]
    assert len(variant["points"]) == len(FOUR)
    assert variant["predictions"][0]["hp"]["low"] == fit.variants["all"].predictions[0].hp.low
    assert set(variant["axes"][0]) == {
        "name", "direction", "drift", "alpha", "gamma", "kappa", "constant", "wander",
    }  # fmt: skip


def test_a_further_target_is_predicted_by_the_same_law(fit) -> None:  # type: ignore[no-untyped-def]
    found = fit.predict("params=3.2e9,tokens=10x")["all"]
    near = fit.variants["all"].predictions[0]
    assert found.hp.value == pytest.approx(near.hp.value, rel=0.05)


def test_axes_that_grow_together_give_the_exponent_of_their_path() -> None:
    along = np.stack([np.arange(6.0), np.arange(6.0)], axis=1)
    on, off = (
        {"params": 1e8 * 2.0**7, "tokens": 2e9 * 2.0**7},
        {"params": 1e8 * 2.0**7, "tokens": 2e9 * 2.0**5},
    )
    variant = hpt.quantify(sweep_of(along), targets=[on, off], draws=200).variants["all"]  # type: ignore[list-item]
    assert "collinear" in variant.flags
    assert "cannot tell tokens from params" in variant.tied
    (law,) = variant.axes
    assert law.drift.value == pytest.approx(-0.35, abs=0.03)
    assert law.direction == pytest.approx({"params": 1.0, "tokens": 1.0})
    assert variant.predictions[0].hp.value is not None
    assert variant.predictions[1].hp.value is None
    assert "off_path" in variant.predictions[1].flags


def test_three_axes_and_two_variants() -> None:
    three = grid((0.0, 1.0, 2.0), (0.0, 2.0), (0.0, 1.0))
    names = ("params", "tokens", "depth")
    fit = hpt.quantify(sweep_of(three, names, variants=("a", "b")), scale=names, draws=200)
    for name, slope in (("params", -0.6), ("tokens", 0.25), ("depth", -0.3)):
        law = next(one for one in fit.variants["b"].axes if one.name == name)
        assert law.drift.value == pytest.approx(slope, abs=0.05)
    assert fit.variants["b"].metrics["R_n"].value == pytest.approx(0.05, abs=0.005)
    assert fit.variants["a"].metrics["R_n"].value == pytest.approx(0.0, abs=0.005)


def test_one_axis_is_what_it_was() -> None:
    line = sweep_of(np.stack([np.arange(5.0), np.zeros(5)], axis=1))
    plain = hpt.SweepTable(line.variant, line.scale, line.hp, line.seed, line.loss, extra=line.extra)
    one, same = hpt.quantify(plain, draws=200), hpt.quantify(plain, scale="width", draws=200)
    assert one.to_json() == same.to_json()
    swapped = hpt.SweepTable(line.variant, np.ones(len(line.loss)), line.hp, line.seed, line.loss,
                             extra={"params": line.scale})  # fmt: skip
    other = hpt.quantify(swapped, scale="params", draws=200).variants["all"].laws["hp"].exponent
    assert other == one.variants["all"].laws["hp"].exponent


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"targets": [{"params": 1e9}]}, "leaves out tokens"),
        ({"targets": ["params=1e9"]}, "leaves out tokens"),
        ({"targets": [4096]}, "must be params=1e9,tokens=1e9"),
        ({"level": 2.0}, "level"),
        ({"reference": "none"}, "reference"),
        ({"path": "params=0"}, "path"),
        ({"targets": [{"params": 1e99, "tokens": 1e9}]}, "within"),
    ],
)
def test_bad_settings_are_one_line(options: dict, words: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(QuantifyError, match=words):
        hpt.quantify(sweep_of(FOUR), **options)


def test_too_few_points_say_how_many_would_do() -> None:
    with pytest.raises(
        QuantifyError, match=r"needs runs at 4 different points .* there are 3; add runs at 1 more"
    ):
        hpt.quantify(sweep_of(FOUR[[0, 1, 4]]))


def test_points_whose_optimum_is_at_the_edge_do_not_stop_the_rest() -> None:
    sweep = sweep_of(FOUR)
    corner = START["params"] * 8.0
    keep = ~(
        (sweep.scale == corner) & (np.log2(sweep.hp) > optimum(FOUR[-1:], ("params", "tokens"))[0] - 0.4)
    )
    fit = hpt.quantify(sweep.take(keep), scale=["params", "tokens"], draws=200)
    law = fit.variants["all"].axes[0]
    assert law.drift.value == pytest.approx(-0.6, abs=0.1)
