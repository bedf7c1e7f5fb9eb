import math
from dataclasses import replace

import pytest
from studies import LRS, simulated

from hptransfer.dynamics.instability import largest, predict_edge
from hptransfer.errors import DynamicsError

# log2 logit = 16 + 1.5 log2 eta + 0.5 log2 n crosses log2 256 = 8 at log2 eta = (-8 - 0.5 log2 n) / 1.5
EDGE = 256.0


def exact(n: float) -> float:
    return 2.0 ** ((-8 - 0.5 * math.log2(n)) / 1.5)


def test_the_crossing_of_a_known_surface_is_found_beyond_the_scales_measured() -> None:
    edge = predict_edge(simulated(), "sp", "attention_logit_max", [256, 1024], edge=EDGE)
    for crossing in edge.crossings:
        assert crossing.hp == pytest.approx(exact(crossing.scale), rel=0.03)  # the grid it is looked for on
        assert crossing.low <= crossing.hp <= crossing.high


def test_intervals_hold_the_truth_under_noise() -> None:
    edge = predict_edge(simulated(0.3), "sp", "attention_logit_max", [512], edge=EDGE)
    (crossing,) = edge.crossings
    assert crossing.low < exact(512) < crossing.high
    assert crossing.high / crossing.low < 4


def test_the_largest_scale_is_held_out() -> None:
    edge = predict_edge(simulated(0.1), "sp", "attention_logit_max", [256], edge=EDGE)
    check = edge.holdout
    assert check is not None
    assert (check.scale, check.count) == (128, 12)
    assert check.error < 0.3
    assert check.covered >= 0.75
    assert check.found == pytest.approx(exact(128), rel=0.2)
    assert check.predicted.low < exact(128) < check.predicted.high


def test_a_wrong_extrapolation_shows_in_the_check() -> None:
    study = simulated(0.05)
    runs = []
    for run in study.runs:  # at the largest width the logits explode, as nothing before has said
        probes = run.probes
        if run.scale == 128:
            probes = replace(probes, values=probes.values * 64)
        runs.append(replace(run, probes=probes))
    check = predict_edge(replace(study, runs=tuple(runs)), "sp", "attention_logit_max", [256]).holdout
    assert check.error > 5
    assert check.covered == 0


def test_the_critical_lr_is_crossed_where_eta_reaches_it() -> None:
    study = simulated()
    (run,) = [r for r in study.of("sp") if r.scale == 32 and r.hp == LRS[2] and r.seed == "0"]
    assert largest(run, "lr_over_critical") == pytest.approx(LRS[2] / 0.1)
    edge = predict_edge(study, "sp", "lr_over_critical", [64, 256])
    assert [c.hp for c in edge.crossings] == pytest.approx([0.05, 0.0125], rel=0.03)
    assert edge.scale_at(0.025) == pytest.approx(128, rel=0.05)
    assert math.isnan(edge.scale_at(1.0))


def test_a_measure_that_never_reaches_its_edge_crosses_nowhere() -> None:
    flat = simulated(logit=(2.0, 0.0, 0.0))
    (crossing,) = predict_edge(flat, "sp", "attention_logit_max", [256]).crossings
    assert crossing.hp == math.inf


def test_too_little_to_go_by_is_told() -> None:
    with pytest.raises(DynamicsError, match="two scales"):
        predict_edge(simulated(widths=(32.0,)), "sp", "attention_logit_max", [64])
    with pytest.raises(DynamicsError, match="must be one of attention_logit_max"):
        predict_edge(simulated(), "sp", "logits", [64])
    assert predict_edge(simulated(widths=(32.0, 64.0)), "sp", "attention_logit_max", [64]).holdout is None
