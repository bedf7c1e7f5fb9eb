"""Named rules beside the laws of several hyperparameters over one axis."""

import numpy as np
import pytest
from joint_sweeps import SCALES, optima, two_hps

from hptransfer.joint import quantify_joint
from hptransfer.sweep.table import SweepTable

TARGET = 4096.0
TRUE = optima((*SCALES, TARGET))[-1]


@pytest.fixture(scope="module")
def fit():
    return quantify_joint(two_hps(), combinations=["lr/sqrt(batch_size)"], targets=[TARGET], draws=300)


def rules(fit, name):
    return {r.name: r for r in fit.variants["a"].laws[name].rules}


def test_each_hyperparameter_and_combination_has_the_rules_of_its_kind(fit):
    assert set(rules(fit, "lr")) == {"muP, LR as its user sets it", "muP, LR of hidden, Adam", "constant lr"}
    assert set(rules(fit, "batch_size")) == {"constant batch_size"}
    assert set(rules(fit, "lr/sqrt(batch_size)")) == {"constant lr/sqrt(batch_size)"}
    # the optimum of lr goes as width^-0.4, that of the batch as width^0.5
    assert all(r.rejected for name in ("lr", "batch_size") for r in rules(fit, name).values())


def test_a_rule_costs_what_the_basin_says_and_gives_a_value_at_the_target(fit):
    kept, middle = rules(fit, "batch_size")["constant batch_size"], optima()[:, 1].mean()
    # log2 of the optima is 0.75 octaves off at the ends, 0.25 within; the curvature is 0.05 at the best lr
    away = optima()[:, 1] - middle
    assert kept.cost == pytest.approx(np.mean(0.025 * away**2), rel=0.3)
    assert kept.worst == pytest.approx(0.025 * 0.75**2, rel=0.3)
    assert np.log2(kept.predictions[0]) == pytest.approx(middle, abs=0.1)
    hidden = rules(fit, "lr")["muP, LR of hidden, Adam"]
    assert np.log2(hidden.predictions[0]) == pytest.approx(optima()[:, 0].mean() - (12 - 8.5), abs=0.1)


def test_relations_of_the_batch_are_told_by_the_ridge(fit):
    variant = fit.variants["a"]
    related = {r.name: r for r in variant.relations}
    assert set(related) == {"LR ~ batch^0.5", "LR ~ batch", "constant decay timescale"}
    assert not related["LR ~ batch^0.5"].rejected  # the basin's ridge has the slope 0.5
    assert related["LR ~ batch"].rejected
    assert variant.ridges["lr per batch_size"].low < 0.5 < variant.ridges["lr per batch_size"].high
    batch = float(related["LR ~ batch"].note.removeprefix("at target: for batch_size "))
    assert batch == pytest.approx(2.0 ** optima()[0, 1], rel=0.1)


def test_a_timescale_takes_the_columns_that_have_one_value_at_each_scale(fit):
    (timescale,) = [r for r in fit.variants["a"].relations if r.name == "constant decay timescale"]
    assert timescale.exponents == {"lr": -1.0, "batch_size": 1.0, "tokens": -1.0}
    assert timescale.note == "weight decay fixed"
    # batch / (lr tokens) goes as width^(0.5 + 0.4 - 1): its mean over the scales, then to the target
    x = optima()[:, 1] - optima()[:, 0] - np.log2(20 * np.array([128.0, 256.0, 512.0, 1024.0]))
    found = np.log2(timescale.predictions[0])
    assert found == pytest.approx(TRUE[1] - np.log2(20 * TARGET) - x.mean(), abs=0.25)
    assert not timescale.rejected or timescale.cost < 0.01


def test_a_column_that_differs_within_a_scale_is_no_part_of_a_timescale():
    sweep = two_hps()
    tokens = sweep.extra["tokens"] * np.where(np.arange(len(sweep)) % 2, 1.0, 2.0)
    mixed = SweepTable(**{**vars(sweep), "extra": {**sweep.extra, "tokens": tokens}})
    fit = quantify_joint(mixed, draws=100)
    (timescale,) = [r for r in fit.variants["a"].relations if r.name == "constant decay timescale"]
    assert timescale.note == "weight decay and tokens fixed"
    assert timescale.predictions == ()


def test_too_few_scales_for_laws_have_no_rules_of_laws():
    sweep = two_hps()
    fit = quantify_joint(sweep.take(sweep.scale <= 256), draws=100, targets=[TARGET])
    variant = fit.variants["a"]
    assert variant.laws == {}
    assert [r.name for r in variant.relations] == ["LR ~ batch^0.5", "LR ~ batch"]
    assert fit.to_dict()["variants"]["a"]["relations"][0]["predictions"] == [None]
