"""What the loss column holds: each kind turned so that lower is better, in its unit, with its tolerance."""

from __future__ import annotations

import numpy as np
import pytest

import hptransfer as hpt
from hptransfer.errors import SweepError
from hptransfer.quantify.units import default_tolerance, unit_of
from hptransfer.sweep.metric import as_metric, warnings


def columns(values: list[float], name: str = "loss") -> dict[str, list[float]]:
    count = len(values)
    return {"width": [64.0] * count, "lr": [2.0**-i for i in range(count)], name: values}


def read(values: list[float], **how: object) -> hpt.SweepTable:
    return hpt.read(columns(values), **how)


def test_nats_stay_as_they_are() -> None:
    sweep = read([2.0, 1.5, 1.8])
    assert (sweep.metric.name, default_tolerance(sweep), unit_of(sweep)) == ("nats", 0.01, 1.0)


def test_bits_are_nats_but_for_a_factor() -> None:
    sweep = read([2.0, 1.5, 1.8], metric="bits")
    assert default_tolerance(sweep) == pytest.approx(0.01 / np.log(2))
    assert unit_of(sweep) == pytest.approx(np.log(2))


def test_the_logarithm_of_a_perplexity_is_fitted() -> None:
    sweep = read([20.0, 10.0, np.nan], metric="perplexity")
    assert sweep.loss[:2] == pytest.approx(np.log([20.0, 10.0]))
    assert "ln loss" in sweep.notes[0]


@pytest.mark.parametrize(("values", "top"), [([0.2, 0.9], 1.0), ([20.0, 90.0], 100.0)])
def test_an_accuracy_becomes_an_error(values: list[float], top: float) -> None:
    sweep = hpt.read(columns(values, "acc"), loss="acc", metric="accuracy")
    assert sweep.loss == pytest.approx([top - v for v in values])
    assert sweep.columns.loss == f"{top:g} - acc"
    assert default_tolerance(sweep) == pytest.approx(0.02 * (top - values[1]))


def test_any_metric_can_be_maximised() -> None:
    sweep = hpt.read(columns([28.0, 31.0, 30.0], "psnr"), loss="psnr", metric="dB", maximize=True)
    assert int(np.argmin(sweep.loss)) == 1
    assert default_tolerance(sweep) == pytest.approx(0.02 * 3.0)
    assert sweep.metric.unit == "dB"


@pytest.mark.parametrize(
    ("values", "how", "words"),
    [
        ([0.5, 2.0], {"metric": "perplexity"}, "at least 1"),
        ([-0.5, 0.7], {"metric": "accuracy"}, "between 0 and 1"),
        ([-0.5, 0.7], {"metric": "mse"}, "negative"),
        ([0.5, 0.7], {"metric": "mse", "maximize": True}, "is a loss"),
        ([0.5, 0.7], {"metric": " "}, "blank"),
    ],
)
def test_values_that_cannot_be_of_a_kind(values: list[float], how: dict[str, object], words: str) -> None:
    with pytest.raises(SweepError, match=words):
        read(values, **how)


def test_a_table_without_a_finished_run_has_a_metric_too() -> None:
    assert as_metric(read([np.nan, np.nan]), "mse").metric.name == "mse"
    assert default_tolerance(as_metric(read([np.nan, np.nan]), "mse")) == 0.05


def test_a_column_that_sounds_like_an_accuracy_is_warned_of() -> None:
    sweep = hpt.read(columns([0.2, 0.9], "val/acc"), loss="val/acc")
    assert "--maximize" in warnings(sweep)[0]
    assert warnings(read([0.2, 0.9])) == ()
    assert warnings(hpt.read(columns([0.2, 0.9], "acc"), loss="acc", metric="accuracy")) == ()
