"""Other people's sweeps, where the reference data are at hand."""

from pathlib import Path

import numpy as np
import pytest

from hptransfer import read
from hptransfer.fit import quantify

SWEEPS = Path(__file__).parents[3] / "shared" / "data" / "sweeps"
pytestmark = pytest.mark.skipif(not SWEEPS.exists(), reason="reference data not at hand")


def test_nanogpt_sp_drifts_and_mup_does_not():
    fit = quantify(read(SWEEPS / "nanogpt_mup_shakespeare_digitised.csv"), targets=(4096,))
    sp, mup = (fit.variants[v].metrics["drift"] for v in ("sp", "mup"))
    assert -1.9 < sp.value < -1.6
    assert mup.low < 0 < mup.high
    assert abs(mup.value) < 0.1
    # What the smallest width's value costs at the largest: a lot for sp, and nothing that is seen for muP.
    kept = {v: next(r.regret for r in fit.variants[v].regret if (r.source, r.to) == (256, 2048))
            for v in ("sp", "mup")}  # fmt: skip
    assert kept["sp"].low > 0.1
    assert kept["mup"].value < 0.01
    assert kept["mup"].high < 0.03
    assert fit.variants["sp"].verdict.value in ("drifts", "undecided")
    assert fit.variants["mup"].verdict.value in ("invariant", "undecided")


def test_every_epoch_of_the_mup_demo_predicts_its_largest_width():
    sweep = read(SWEEPS / "mup_mlp_cifar10.csv", where="epoch == 5")
    fit = quantify(sweep)
    mup = fit.variants["mup"].holdouts[0]
    assert abs(mup.error_octaves) < 0.3
    assert mup.regret.value < 0.01
    sp = fit.variants["sp"]
    assert "at_edge" in sp.optima[-1].flags
    assert sp.metrics["drift"].value == pytest.approx(-0.62, abs=0.1)
    assert np.isfinite(sp.metrics["kappa"].value)
