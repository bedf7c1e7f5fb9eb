from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from hptransfer.fit import TransferFit
from hptransfer.quantify.result import Estimate
from hptransfer.report import gain


def _with_losses(fit: TransferFit, losses: dict[str, float]) -> TransferFit:
    """Draws of R_n that share their noise, so that differences are exact."""
    noise = np.random.default_rng(0).normal(0, 0.1, 500)
    variants = {
        name: replace(
            fit.variants[name],
            metrics={**fit.variants[name].metrics, "R_n": Estimate(loss, loss - 0.2, loss + 0.2)},
            draws={"R_n": loss + noise},
        )
        for name, loss in losses.items()
    }
    return replace(fit, variants=variants)


def test_the_share_of_a_gain_comes_from_paired_draws(fit: TransferFit) -> None:
    paired = _with_losses(fit, {"sp": 0.08, "sp+embd": 0.008, "mup": 0.0})
    found = gain.recovered(paired, "sp", "sp+embd", "mup")
    assert (found.low, found.value, found.high) == pytest.approx((0.9, 0.9, 0.9))


def test_a_gain_that_may_be_nothing_has_no_share(fit: TransferFit) -> None:
    paired = _with_losses(fit, {"sp": 0.0, "sp+embd": 0.008, "mup": 0.01})
    assert gain.recovered(paired, "sp", "sp+embd", "mup").flags == ("no_gain",)
    assert "may be nothing" in gain.plain_sentences(paired)[2]
    assert gain.recovered(fit, "sp", "sp+embd", "mup").value is None  # it holds no draws


def test_three_sentences_say_what_the_study_found(
    fit: TransferFit, make_fit: Callable[..., TransferFit]
) -> None:
    first, second, third = gain.plain_sentences(_with_losses(fit, {"sp": 0.08, "sp+embd": 0.008, "mup": 0.0}))
    assert first.startswith(
        "Under SP the learning rate does not transfer: to keep that of width 32 costs 0.112 nats"
    )
    assert second.startswith("Under muP the learning rate transfers: to keep that of width 32 costs ")
    assert second.endswith(", where 0.01 counts as none.")
    assert "recovers 90% [90, 90] of what muP gains over SP at width 128" in third
    assert gain.plain_sentences(make_fit(("a", "b"))) == []
