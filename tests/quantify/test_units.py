"""A study in other units is the same study: every number in the unit of its table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import make

import hptransfer as hpt
from hptransfer.sweep.metric import as_metric


def test_bits_give_the_numbers_of_nats_in_bits() -> None:
    sweep = make(noise=0.002)
    bits = as_metric(replace(sweep, loss=sweep.loss / np.log(2)), "bits")
    nats, found = (hpt.quantify(s, targets=(1024.0,), draws=200).variants["v"] for s in (sweep, bits))
    unit = 1 / np.log(2)
    pairs = [
        (found.optima[0].loss.value, nats.optima[0].loss.value * unit),
        (found.optima[0].hp.value, nats.optima[0].hp.value),
        (found.optima[0].curve_loss[0], nats.optima[0].curve_loss[0] * unit),
        (found.laws["loss"].parameters["L_inf"].value, nats.laws["loss"].parameters["L_inf"].value * unit),
        (found.laws["loss"].exponent.value, nats.laws["loss"].exponent.value),
        (found.laws["loss"].value[0], nats.laws["loss"].value[0] * unit),
        (found.metrics["E"].value, nats.metrics["E"].value * unit**2),
        (found.metrics["drift"].value, nats.metrics["drift"].value),
        (found.regret[0].regret.high, nats.regret[0].regret.high * unit),
        (found.predictions[0].loss.low, nats.predictions[0].loss.low * unit),
        (found.holdouts[0].regret.high, nats.holdouts[0].regret.high * unit),
        (found.verdict.tolerance, nats.verdict.tolerance * unit),
        (found.verdict.keep.cost.high, nats.verdict.keep.cost.high * unit),
        (found.verdict.keep.share.value, nats.verdict.keep.share.value),
    ]
    for got, expected in pairs:
        assert got == pytest.approx(expected, rel=1e-6)
    assert "bits" in found.verdict.reason
    assert found.verdict.value == nats.verdict.value


def test_an_mse_is_judged_alike_whatever_its_size() -> None:
    sweep = make(noise=0.002)
    one, other = (
        hpt.quantify(as_metric(replace(sweep, loss=sweep.loss * size), "mse"), draws=200).variants["v"]
        for size in (1.0, 1e-6)
    )
    assert one.verdict.keep.value == other.verdict.keep.value
    assert other.verdict.keep.cost.value == pytest.approx(1e-6 * one.verdict.keep.cost.value, rel=1e-6)
