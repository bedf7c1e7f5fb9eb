from dataclasses import replace

import numpy as np
import pytest
from joint_sweeps import decayed, two_hps

import hptransfer as hpt
from hptransfer.joint import quantify_joint
from hptransfer.quantify.axes.design import Points
from hptransfer.quantify.joint.basins import fit_joint
from hptransfer.quantify.joint.points import axes_of, hyperparameters, points_of
from hptransfer.quantify.joint.suggest import edge_runs


def without(sweep, left_out):
    """The sweep without some rows."""
    k = ~left_out
    return hpt.SweepTable(
        sweep.variant[k], sweep.scale[k], sweep.hp[k], sweep.seed[k], sweep.loss[k],
        extra={name: values[k] for name, values in sweep.extra.items()}, hps=sweep.hps,
    )  # fmt: skip


def variant(sweep, **options):
    (found,) = quantify_joint(sweep, draws=200, **options).variants.values()
    return found


def test_an_edge_is_followed_by_runs_past_it():
    sweep = two_hps()
    cut = without(sweep, (sweep.scale == 1024) & (sweep.hp > 2.0**-9))
    first = variant(cut, targets=[4096]).suggested[0]
    assert first.at == {"width": 1024.0}
    assert first.hps["lr"] == pytest.approx((2.0**-8, 2.0**-7), rel=0.01)
    optimum = 2.0**7.5
    assert first.hps["batch_size"] == pytest.approx((optimum / 2, optimum, optimum * 2), rel=0.2)
    assert "above every lr" in first.why
    # six runs at the largest width, a price of width^2, against all that were run
    spent = sum((cut.scale == n).sum() * (n / 1024.0) ** 2 for n in np.unique(cut.scale))
    assert first.cost_share == pytest.approx(6 / spent, rel=1e-6)
    assert first.width == {}


def test_below_an_edge_values_go_down():
    sweep = two_hps()
    cut = without(sweep, (sweep.scale == 128) & (sweep.extra["batch_size"] < 2.0**7))
    first = variant(cut).suggested[0]
    assert first.at == {"width": 128.0}
    assert first.hps["batch_size"] == pytest.approx((2.0**5, 2.0**6), rel=0.01)
    assert "below every batch_size" in first.why


def test_nothing_is_suggested_below_zero():
    sweep = decayed()
    values = hyperparameters(sweep, ("lr", "weight_decay"))
    points = points_of(sweep, "a", values, axes_of(("lr", "weight_decay"), values))
    basins = fit_joint(points, 200, np.random.default_rng(0))
    edge = np.zeros_like(basins.edge)
    edge[0] = -1  # of both: weight decay was run at 0, the learning rate was not
    found = edge_runs(replace(basins, edge=edge), Points(("width",), points.scale[:, None]))
    assert [runs.why for runs in found] == ["the optimum lies below every lr that was run there"]
    assert found[0].hps["lr"] == pytest.approx((2.0**-13, 2.0**-12), rel=0.01)


def test_other_scales_narrow_both_intervals_at_the_target():
    found = variant(two_hps(noise=0.01), targets=[4096]).suggested
    assert found
    for runs in found:
        assert runs.goal == {"width": 4096.0}
        assert runs.at["width"] in (2048.0, 4096.0)
        assert {name: len(values) for name, values in runs.hps.items()} == {"lr": 4, "batch_size": 4}
        for now, after in runs.width.values():
            assert 0 < after < now
    narrow = min(found, key=lambda runs: runs.at["width"])
    # the grid lies about the law's value there
    assert np.log2(narrow.hps["lr"]).mean() == pytest.approx(-7 - 0.4 * 4, abs=0.3)
    assert np.log2(narrow.hps["batch_size"]).mean() == pytest.approx(6 + 0.5 * 4, abs=0.3)


def test_too_few_scales_leave_the_edges_alone():
    assert variant(two_hps(scales=(128.0, 256.0))).suggested == ()


def test_it_is_in_the_json_and_printed():
    sweep = two_hps()
    cut = without(sweep, (sweep.scale == 1024) & (sweep.hp > 2.0**-9))
    fit = quantify_joint(cut, draws=200)
    assert fit.to_dict()["variants"]["a"]["suggested"][0]["at"] == {"width": 1024.0}
    assert "lies above every lr" in " ".join(fit.summary(160).split())
