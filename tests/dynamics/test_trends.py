import math
from dataclasses import replace

import pytest
from studies import LRS, WIDTHS, simulated

from hptransfer.dynamics.study import StudyDynamics
from hptransfer.dynamics.trends import trends
from hptransfer.errors import DynamicsError


def found(study: StudyDynamics, **settings) -> dict[tuple[str, str, str], object]:
    return {(t.variant, t.name, t.place): t for t in trends(study, **settings)}


def test_the_exponent_of_a_power_law_is_found() -> None:
    all_of_them = found(simulated())
    for variant, exponent in (("sp", -1.0), ("sp+embd", 0.0)):
        trend = all_of_them[variant, "relative_update", "embedding"]
        assert trend.value == pytest.approx(exponent, abs=1e-9)
        assert (trend.low, trend.high) == pytest.approx((exponent, exponent), abs=1e-6)
        assert trend.scales == WIDTHS
    assert all_of_them["sp", "critical_lr", ""].value == pytest.approx(-1.0)


def test_layers_of_a_role_are_averaged_or_kept_apart() -> None:
    by_layer = found(simulated(), by="layer", names=["relative_update"])
    assert {place for _, _, place in by_layer} == {"token_embedding", "blocks.0.qkv", "blocks.1.qkv"}
    assert found(simulated())["sp", "relative_update", "hidden"].value == pytest.approx(0, abs=1e-9)


def test_probes_without_a_logarithm_are_left_out_unless_asked_for() -> None:
    assert not any(name == "attention_logit_max" for _, name, _ in found(simulated()))
    asked = found(simulated(), names=["attention_logit_max"])
    assert asked["sp", "attention_logit_max", "hidden"].value == pytest.approx(0.5)


def test_only_learning_rates_that_every_scale_finished_count() -> None:
    study = simulated()
    broken = tuple(
        replace(run, status="diverged") if run.scale == 128 and run.hp == LRS[-1] else run
        for run in study.runs
    )
    trend = found(replace(study, runs=broken), octaves=None)["sp", "relative_update", "embedding"]
    assert trend.hps == len(LRS) - 1
    assert trend.value == pytest.approx(-1.0)


def test_learning_rates_far_from_the_best_are_left_out() -> None:
    assert found(simulated(), octaves=1)["sp", "relative_update", "embedding"].hps == 3
    assert found(simulated(), octaves=None)["sp", "relative_update", "embedding"].hps == len(LRS)


def test_two_scales_give_a_slope_without_an_interval() -> None:
    trend = found(simulated(widths=(32.0, 64.0)))["sp", "relative_update", "embedding"]
    assert trend.value == pytest.approx(-1.0)
    assert math.isnan(trend.low)


def test_nothing_probed_is_told() -> None:
    study = simulated()
    bare = replace(study, runs=tuple(replace(run, probes=None) for run in study.runs))
    with pytest.raises(DynamicsError, match="the study has none"):
        trends(bare)
    with pytest.raises(DynamicsError, match="steps"):
        trends(study, steps=(0.5, 0.5))


def test_steps_choose_a_share_of_training() -> None:
    study = simulated()
    early = found(study, steps=(0.0, 0.4))["sp", "relative_update", "embedding"]
    assert early.value == pytest.approx(-1.0)
