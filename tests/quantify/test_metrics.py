"""Metrics: each registered with its meaning, and left out or unknown where it does not apply."""

from known_sweeps import join, make

import hptransfer as hpt
from hptransfer.quantify.metrics import MAIN, METRICS


def test_every_metric_of_a_fit_is_registered_with_its_meaning():
    two = join(make(variant="a", noise=0.002), make(variant="b", noise=0.002, seed=1))
    fit = hpt.quantify(two, coordinates="sp", draws=100)
    for variant in fit.variants.values():
        assert set(variant.metrics) == set(METRICS)
    for name, metric in METRICS.items():
        assert metric.name == name
        assert metric.label
        assert metric.definition.endswith((".", ")")), name
    assert tuple(METRICS)[: len(MAIN)] == MAIN
    assert {name: METRICS[name].label for name in ("R_inf", "E", "drift_sp")} == {
        "R_inf": "R(inf)",
        "E": "E",
        "drift_sp": "drift (SP)",
    }
    assert (METRICS["E"].unit, METRICS["alpha"].unit) == ("nats^2", "")


def test_metrics_that_do_not_apply_are_left_out():
    fit = hpt.quantify(make(noise=0.002, widths=(64.0, 128.0)), draws=100)
    metrics = fit.variants["v"].metrics
    assert {"drift_sp", "drift_mup", "bend", "beta_offset"}.isdisjoint(metrics)
    assert metrics["kappa"].flags == ("no_laws",)
    assert metrics["R_inf"].flags == ("no_laws",)
