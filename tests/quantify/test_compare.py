"""Differences of the metrics of two variants, from draws that belong together."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import join, make

from hptransfer import compare, quantify
from hptransfer.errors import QuantifyError
from hptransfer.fit import TransferFit
from hptransfer.quantify.intervals import limits
from hptransfer.quantify.result import Estimate


@pytest.fixture(scope="module")
def fit() -> TransferFit:
    parts = make(variant="a", noise=0.003), make(variant="b", noise=0.003, loss=(3.1, 1.0, 0.5), seed=1)
    return quantify(join(*parts), draws=200, holdout=0, level=0.9)


def test_limits_are_those_of_the_differences_of_draws(fit):
    found, (a, b) = compare(fit, "b", "a"), (fit.variants[name] for name in "ab")
    assert list(found) == [name for name in b.metrics if name in found]
    difference = b.draws["R_n"].astype(float) - a.draws["R_n"]
    assert found["R_n"].value == pytest.approx(b.metrics["R_n"].value - a.metrics["R_n"].value)
    assert (found["R_n"].low, found["R_n"].high) == pytest.approx(limits(difference, 0.9))
    back = compare(fit, "a", "b")["R_n"]
    assert (back.value, back.low, back.high) == pytest.approx(
        (-found["R_n"].value, -found["R_n"].high, -found["R_n"].low)
    )


def test_flags_of_both_are_given_once_and_unknown_metrics_left_out(fit):
    a, b = fit.variants["a"], fit.variants["b"]
    unknown = replace(a, metrics={**a.metrics, "alpha": Estimate(flags=("no_laws",))})
    flagged = replace(b, metrics={**b.metrics, "beta": replace(b.metrics["beta"], flags=("at_bound",))})
    found = compare(replace(fit, variants={"a": unknown, "b": flagged}), "b", "a")
    assert "alpha" not in found
    assert found["beta"].flags == ("at_bound",)
    assert found["kappa"].flags.count("beta of the power family") == 1


def test_a_fit_without_draws_cannot_be_compared(fit):
    bare = {name: replace(variant, draws={}) for name, variant in fit.variants.items()}
    with pytest.raises(QuantifyError, match="needs a fit with its draws"):
        compare(replace(fit, variants=bare), "a", "b")
    assert {draws.dtype for draws in fit.variants["a"].draws.values()} == {np.dtype(np.float32)}


def test_compare_names_what_is_wrong():
    fit = quantify(make(noise=0.002))
    with pytest.raises(QuantifyError, match="valid: v"):
        compare(fit, "v", "nobody")
