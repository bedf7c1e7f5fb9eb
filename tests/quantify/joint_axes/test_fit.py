import json

import numpy as np
import pytest
from surfaces import HP_SLOPES, hp_optimum, joint_sweep

import hptransfer as hpt
from hptransfer.errors import QuantifyError
from hptransfer.joint import quantify_joint
from hptransfer.sweep.metric import as_metric

TARGET = {"params": 1e8 * 2.0**5, "tokens": 2e9 * 2.0**4}


def test_exponents_of_every_hyperparameter_and_combination(fit):
    laws = fit.variants["all"].laws
    assert list(laws) == ["lr", "batch_size", "lr/sqrt(batch)", "batch_size/(lr*tokens)"]
    found = {name: {a.name: a.drift for a in law.axes} for name, law in laws.items()}
    for hp, slopes in HP_SLOPES.items():
        for axis, slope in slopes.items():
            assert found[hp][axis].low <= slope <= found[hp][axis].high
            assert found[hp][axis].value == pytest.approx(slope, abs=0.06)
    assert found["lr/sqrt(batch)"]["params"].value == pytest.approx(-0.6, abs=0.06)
    assert found["batch_size/(lr*tokens)"]["tokens"].value == pytest.approx(0.5 - 0.25 - 1, abs=0.06)
    assert set(found["lr"]) == {"params", "tokens", "fixed tokens per parameter"}


def test_the_optimum_at_a_target_is_a_point_with_an_ellipse(fit):
    (p,) = fit.variants["all"].predictions
    for hp in HP_SLOPES:
        truth = 2.0 ** hp_optimum(np.array([[5.0, 4.0]]), hp)[0]
        assert p.hp[hp].low < truth < p.hp[hp].high
        assert p.recommended[hp] == pytest.approx(truth, rel=0.35)
    assert p.covariance.shape == (2, 2)
    assert p.beyond == pytest.approx({"params": 2.0, "tokens": 2.0})
    assert 0 <= p.regret < 0.02
    ratio = fit.variants["all"].laws["lr/sqrt(batch)"].predictions[0]
    assert ratio.hp.value == pytest.approx(p.combinations["lr/sqrt(batch)"].value)


def test_every_point_has_its_optimum_and_its_loss(fit):
    optima = fit.variants["all"].optima
    assert optima[0].at == {"params": 1e8, "tokens": 2e9}
    assert optima[0].loss.value == pytest.approx(3.0, abs=0.01)
    assert fit.variants["all"].laws["lr"].points[0].loss.value == pytest.approx(3.0, abs=0.01)
    assert fit.variants["all"].loss["L_inf"].low < 2.0 < fit.variants["all"].loss["L_inf"].high


def test_losses_are_in_the_unit_of_the_table(fit, sweep):
    bits = as_metric(hpt.SweepTable(**{**vars(sweep), "loss": sweep.loss / np.log(2)}), "bits")
    found = quantify_joint(bits, targets=[TARGET], draws=300).variants["all"]
    same = fit.variants["all"]
    for a, b in (
        (found.optima[0].loss, same.optima[0].loss),
        (found.laws["lr"].points[0].loss, same.laws["lr"].points[0].loss),
        (found.predictions[0].loss, same.predictions[0].loss),
        (found.loss["L_inf"], same.loss["L_inf"]),
    ):
        assert a.value == pytest.approx(b.value / np.log(2), rel=0.02)
    assert found.relations[1].cost == pytest.approx(same.relations[1].cost / np.log(2), rel=0.02)
    given_up = [(f.holdouts[0].regret.value, f.predictions[0].regret) for f in (found, same)]
    assert given_up[0] == pytest.approx(np.array(given_up[1]) / np.log(2), rel=0.3)
    assert "bits" in found.keep.reason


def test_the_answers(fit):
    variant = fit.variants["all"]
    assert variant.keep.value == "no"
    assert variant.extrapolate.value in ("yes", "not known")
    assert variant.kept == pytest.approx({"lr": 2.0**-8, "batch_size": 2.0**6}, rel=0.15)
    assert "nats" in variant.keep.reason


def test_suggested_runs_are_grids_at_new_places(fit):
    suggested = fit.variants["all"].suggested
    assert suggested
    seen = {tuple(o.at.values()) for o in fit.variants["all"].optima}
    for runs in suggested:
        assert tuple(runs.at.values()) not in seen
        assert {name: len(values) for name, values in runs.hps.items()} == {"lr": 4, "batch_size": 4}
        assert sum(after for _, after in runs.width.values()) < sum(now for now, _ in runs.width.values())


def test_rules_go_by_the_hyperparameter(fit):
    laws = fit.variants["all"].laws
    assert "step-law LR" in {r.name for r in laws["lr"].rules}
    assert "step-law batch" in {r.name for r in laws["batch_size"].rules}
    assert {r.name for r in laws["lr/sqrt(batch)"].rules} == {"constant lr/sqrt(batch)"}
    half = next(r for r in laws["batch_size"].rules if r.name == "batch ~ tokens^0.38")
    assert half.cost < 0.01


def test_the_json_is_whole(fit):
    data = json.loads(fit.to_json())
    assert data["kind"] == "joint over axes"
    variant = data["variants"]["all"]
    assert len(variant["optima"]) == 12
    assert set(variant["optima"][0]["at"]) == {"params", "tokens"}
    assert variant["laws"]["lr"]["predictions"][0]["hp"]["low"] > 0
    assert variant["ridges"]["lr per batch_size"]["value"] == pytest.approx(0.5, abs=0.1)
    assert np.array(variant["predictions"][0]["covariance"]).shape == (2, 2)


def test_a_further_target(fit):
    found = fit.predict("params=3.2e9,tokens=10x")["all"]
    assert found.hp["lr"].value == pytest.approx(fit.variants["all"].predictions[0].hp["lr"].value, rel=0.1)


STAR = np.array([[0, 0], [1, 0], [2, 0], [3, 0], [0, 1], [0, 2], [0, 3]], float)
DIAGONAL = np.stack([np.arange(5.0), np.arange(5.0)], axis=1)
RAGGED = np.array([[0, 0], [0, 2], [1, 1], [2, 0], [2, 2], [3, 1]], float)


@pytest.mark.parametrize(("octaves", "share"), [(STAR, 0.5), (RAGGED, 0.3)])
def test_stars_and_ragged_designs_with_few_runs(octaves, share):
    fit = quantify_joint(joint_sweep(octaves, share=share), targets=["params=1.6e9,tokens=20x"], draws=200)
    for hp, slopes in HP_SLOPES.items():
        for law in fit.variants["all"].laws[hp].axes[:2]:
            assert law.drift.low - 0.02 <= slopes[law.name] <= law.drift.high + 0.02


def test_axes_that_grow_together_are_said_and_nothing_is_predicted_off_their_path():
    off = {"params": 1e8 * 2.0**6, "tokens": 2e9}
    fit = quantify_joint(joint_sweep(DIAGONAL), targets=[off], draws=200)
    variant = fit.variants["all"]
    assert "collinear" in variant.flags
    assert "cannot tell tokens from params" in variant.tied
    (p,) = variant.predictions
    assert p.recommended is None
    assert p.hp["lr"].value is None
    assert "off_path" in p.flags
    assert fit.summary()
    assert fit.to_html()


def test_too_few_points_for_the_laws_leave_the_optima():
    fit = quantify_joint(joint_sweep(RAGGED[:4]), targets=[TARGET], draws=200)
    assert fit.variants["all"].laws["lr"].axes
    sweep = joint_sweep(RAGGED[:4])
    low = (sweep.scale > 1.5e8) | (sweep.hp < 2.0**-9)  # the smallest points have only their left sides
    cut = hpt.SweepTable(
        sweep.variant[low], sweep.scale[low], sweep.hp[low], sweep.seed[low], sweep.loss[low],
        extra={k: v[low] for k, v in sweep.extra.items()}, axes=sweep.axes, hps=sweep.hps,
        columns=sweep.columns,
    )  # fmt: skip
    few = quantify_joint(cut, targets=[TARGET], draws=200)
    variant = few.variants["all"]
    assert variant.predictions[0].hp["lr"].value is None
    assert any(flag.startswith("no_laws") for flag in variant.flags)
    assert json.loads(few.to_json())
    assert "no_laws" in few.summary()
    assert few.to_html()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hp": "lr,tokens"}, "tokens is given as both"),
        ({"family": "power"}, "family is for one axis"),
        ({"holdout": 2}, "holdout is for one axis"),
        ({"targets": [{"params": 1e9}]}, "leaves out tokens"),
        ({"targets": [4096]}, "must be params=1e9,tokens=1e9"),
        ({"combinations": "lr/depth"}, "valid: lr, batch_size, params, tokens"),
        ({"draws": 10}, "draws"),
        ({"path": "depth=1"}, "must name the axes"),
    ],
)
def test_bad_input_is_one_line(sweep, options, words):
    with pytest.raises(QuantifyError, match=words) as raised:
        quantify_joint(sweep, **options)
    assert "\n" not in str(raised.value)
