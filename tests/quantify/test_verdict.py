"""The runs that a verdict asks for: where something is to be learned, and never twice the same."""

from __future__ import annotations

import numpy as np
import pytest
from known_sweeps import from_rows, make

from hptransfer.fit import quantify
from hptransfer.quantify import verdict as verdict_module
from hptransfer.quantify.result import Estimate, SuggestedRun, VariantFit


def asked(fit: VariantFit, scale: float) -> list[SuggestedRun]:
    return [run for run in fit.verdict.suggested if run.scale == scale]


def rows_of(losses: dict[float, list[float]]) -> list[tuple[str, float, float, str, float]]:
    """One octave apart from 2^-8 on."""
    return [("v", n, 2.0 ** (i - 8), "0", y) for n, column in losses.items() for i, y in enumerate(column)]


def test_a_minimum_beside_a_cliff_asks_for_runs_beside_it() -> None:
    # The parabola across the cliff dips far below every run: rejected.
    fit = quantify(
        from_rows(
            rows_of(
                {
                    128.0: [2.38, 2.24, 1.79, 1.67, 1.51, 1.49, 2.43, 2.44],
                    512.0: [1.70, 1.51, 1.34, 1.30, 2.37, 2.42, 2.41, 2.45],
                }
            )
        )
    ).variants["v"]
    assert "below_observed" in fit.optima[0].flags
    for scale, lowest in ((128.0, -3.0), (512.0, -5.0)):
        assert np.log2([run.hp for run in asked(fit, scale)]) == pytest.approx([lowest - 0.5, lowest + 0.5])


def test_one_run_between_diverged_ones_asks_for_runs_towards_them() -> None:
    nan = float("nan")
    fit = quantify(from_rows(rows_of({128.0: [nan, nan, 2.0, nan], 512.0: [3.0, 2.0, 1.9, 2.2]}))).variants[
        "v"
    ]
    assert np.log2([run.hp for run in asked(fit, 128.0)]) == pytest.approx([-6.5, -5.5])


def test_an_optimum_on_the_edge_asks_for_runs_beyond_it() -> None:
    fit = quantify(from_rows(rows_of({128.0: [2.0, 2.1, 2.3, 2.6], 512.0: [2.6, 2.3, 2.1, 2.0]}))).variants[
        "v"
    ]
    assert np.log2([run.hp for run in asked(fit, 128.0)]) == pytest.approx([-9.0, -10.0])
    assert np.log2([run.hp for run in asked(fit, 512.0)]) == pytest.approx([-4.0, -3.0])


@pytest.mark.parametrize("seed", range(4))
def test_no_run_is_asked_for_twice(seed: int) -> None:
    fit = quantify(make(noise=0.02, grid=np.arange(-10.0, -5.0), seed=seed)).variants["v"]
    runs = [(run.scale, run.hp) for run in fit.verdict.suggested]
    assert len(set(runs)) == len(runs)


@pytest.mark.parametrize(
    ("value", "low", "high", "seeds"),
    [
        (0.012, 0.004, 0.020, 16),  # 0.016 wide, 0.002 from the tolerance
        (0.016, 0.008, 0.024, 2),  # 0.016 wide, 0.006 from it
        (0.0101, 0.008, 0.012, 4),  # at least 0.001 from it
        (0.02, 0.015, 0.03, 1),  # settled
    ],
)
def test_seeds_are_as_many_as_move_the_interval_off_the_tolerance(
    value: float, low: float, high: float, seeds: int
) -> None:
    assert verdict_module._seeds(Estimate(value, low, high), 0.01) == seeds
