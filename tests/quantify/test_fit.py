import numpy as np
import pytest
from known_landscapes import from_rows, make

from hptransfer.errors import QuantifyError
from hptransfer.quantify import quantify


def test_known_landscape_comes_back():
    fit = quantify(make(noise=0.002, seeds=2), targets=(2048,), coordinates="sp").variants["v"]
    assert fit.metrics["drift"].low < -0.5 < fit.metrics["drift"].high
    assert fit.metrics["drift"].value == pytest.approx(-0.5, abs=0.06)
    assert fit.metrics["drift_mup"].value == pytest.approx(fit.metrics["drift_sp"].value + 1)
    assert fit.optima[0].loss.value == pytest.approx(4.0, abs=0.01)
    assert np.log2(fit.predictions[0].hp.value) == pytest.approx(-8.3 - 0.5 * 5, abs=0.15)


def test_two_scales_have_basins_and_no_laws():
    fit = quantify(make(widths=(64.0, 128.0)), targets=(256,)).variants["v"]
    assert fit.optima[1].hp.value is not None
    assert fit.laws == {}
    assert any("no_laws" in f for f in fit.flags)
    assert fit.predictions[0].hp.value is None


def test_everything_diverged():
    rows = [("v", n, 2.0**x, "0", np.nan) for n in (64, 128, 256) for x in range(-9, -4)]
    fit = quantify(from_rows(rows)).variants["v"]
    assert all("all_diverged" in o.flags for o in fit.optima)


def test_bad_settings_say_what_must_hold():
    with pytest.raises(QuantifyError, match="0 < level < 1"):
        quantify(make(), level=2)
    with pytest.raises(QuantifyError, match="reference must be"):
        quantify(make(), reference="nobody")
