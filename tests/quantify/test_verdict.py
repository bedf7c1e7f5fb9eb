"""Verdicts from two intervals, and the runs they ask for: each where something is learned, and once."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import from_rows, make

from hptransfer.fit import quantify
from hptransfer.quantify import verdict as verdict_module
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.result import Estimate, HoldOut, Regret, SuggestedRun, VariantFit, Verdict
from hptransfer.quantify.settings import Settings

SETTINGS = Settings((), 0.95, 0.01, 100, 0, None, None, 1, 1.35, None)


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


def estimate(low: float | None, high: float | None) -> Estimate:
    return Estimate(0.5 * ((low or 0.0) + (high or 0.02)), low, high)


@pytest.mark.parametrize(
    ("kept", "law", "value"),
    [
        (estimate(0.0, 0.0099), estimate(0.0, 0.5), "invariant"),
        (estimate(0.0, 0.01), estimate(0.0, 0.0099), "predictable"),
        (estimate(0.02, None), estimate(0.0, 0.0099), "predictable"),
        (estimate(0.0101, 0.5), estimate(0.0101, 0.5), "unpredictable"),
        (estimate(0.0101, None), estimate(0.0101, None), "unpredictable"),
        (estimate(0.0101, 0.5), estimate(0.0099, 0.5), "undecided"),
        (estimate(0.0099, 0.5), estimate(0.0101, 0.5), "undecided"),
        (estimate(0.0, 0.01), estimate(0.0, 0.01), "undecided"),
        (Estimate(flags=("outside_grid",)), estimate(0.02, 0.5), "undecided"),
    ],
)
def test_a_verdict_follows_from_two_intervals_and_the_tolerance(
    kept: Estimate, law: Estimate, value: str
) -> None:
    verdict = decided(kept, law)
    assert verdict.value == value
    assert (verdict.suggested == ()) == (value != "undecided")
    assert ("the law's prediction costs" in verdict.reason) == (value != "invariant")


def decided(kept: Estimate, law: Estimate | None, **settings: object) -> Verdict:
    """The verdict on two regrets, of a variant whose basins say nothing against them."""
    sweep = make(noise=0.002)
    basins = fit_basins(list(cells_of(sweep)), 100, 0)[0]
    pair = (Regret(64.0, 256.0, Estimate(9.0, 9.0, 9.0)), Regret(64.0, 512.0, kept))
    nothing = Estimate()
    holdouts = [HoldOut(256.0, nothing, nothing, None, Estimate(9.0, 9.0, 9.0), None)]
    holdouts += [HoldOut(512.0, nothing, nothing, None, law, None)] if law else []
    return verdict_module.decide(basins, pair, tuple(holdouts), replace(SETTINGS, **settings), sweep)


def test_the_reason_gives_the_numbers() -> None:
    text = decided(Estimate(0.0123456, 0.001, None), Estimate(flags=("no_laws",))).reason
    assert text == (
        "at width 512 the smallest scale's optimum costs 0.0123 nats (0.0010 to no upper limit); "
        "the law's prediction costs an unknown amount (no_laws)"
    )
    text = decided(Estimate(0.02, None, 0.03), Estimate()).reason
    assert "costs 0.0200 nats (0 to 0.0300)" in text
    assert text.endswith("costs an unknown amount")


@pytest.mark.parametrize(("known", "other", "shift"), [("sp", "muP", -3.0), ("mup", "SP", 3.0)])
def test_the_cost_in_the_other_coordinates_is_that_of_the_value_kept_there(
    known: str, other: str, shift: float
) -> None:
    """From 64 to 512, m = 8: what is kept in SP moves by 3 octaves in muP coordinates, and back."""
    sweep = make(noise=0.002, grid=np.arange(-14.0, -2.0))
    basins = fit_basins(list(cells_of(sweep)), 100, 0)[0]
    reason = verdict_module.decide(basins, (), (), replace(SETTINGS, coordinates=known), sweep).reason
    found = float(re.search(rf"or in {other} coordinates ([\d.]+) nats", reason)[1])
    assert found == pytest.approx(basins.regret_at(3, np.array([basins.x[0] + shift]))[0], abs=1e-4)
    one = fit_basins(list(cells_of(make(widths=(64.0,)))), 100, 0)[0]
    assert (
        "coordinates"
        not in verdict_module.decide(one, (), (), replace(SETTINGS, coordinates=known), sweep).reason
    )


def test_seeds_go_to_the_four_cells_nearest_the_optima_of_both_ends() -> None:
    sweep = make(noise=0.002, grid=np.arange(-13.0, -3.0, 0.5))
    basins = fit_basins(list(cells_of(sweep)), 100, 0)[0]
    wide = Estimate(0.012, 0.004, 0.020)
    verdict = verdict_module.decide(
        basins, (Regret(64.0, 512.0, wide),), (), replace(SETTINGS, tolerance=0.016), sweep
    )
    assert {run.seeds for run in verdict.suggested} == {4}  # (0.016 / 0.008)^2
    for scale, x in ((64.0, basins.x[0]), (512.0, basins.x[3])):
        asked_for = np.log2([run.hp for run in verdict.suggested if run.scale == scale])
        grid = basins.cells.x[0]
        assert asked_for == pytest.approx(np.sort(grid[np.argsort(np.abs(grid - x))[:4]]))


def test_where_every_run_diverged_smaller_values_are_asked_for() -> None:
    nan = float("nan")
    table = {64.0: [nan, nan, nan], 512.0: [2.6, 2.3, 2.1, 2.4]}
    verdict = quantify(from_rows(rows_of(table))).variants["v"].verdict
    assert np.log2([run.hp for run in verdict.suggested if run.scale == 64.0]) == pytest.approx([-9.0, -10.0])
    lone = quantify(from_rows([("v", 64.0, 0.25, "0", nan)])).variants["v"].verdict
    assert np.log2([run.hp for run in lone.suggested]) == pytest.approx([-3.0, -4.0])  # an octave apart


def test_runs_past_an_edge_stop_short_of_one_that_diverged() -> None:
    rows = rows_of({64.0: [2.0, 2.1, 2.3, 2.6], 512.0: [2.6, 2.3, 2.1, float("nan")]})
    runs = [run for run in quantify(from_rows(rows)).variants["v"].verdict.suggested if run.scale == 512.0]
    assert np.log2([run.hp for run in runs]) == pytest.approx([-6 + 1 / 3, -6 + 2 / 3])


def test_a_lowest_run_at_the_end_of_its_grid_is_asked_beside_by_half_a_step() -> None:
    cells = next(iter(cells_of(from_rows(rows_of({64.0: [2.0, 2.1, 2.3]})))))
    for lowest, beside in ((0, (-8.5, -7.5)), (2, (-6.5, -5.5))):
        loss = np.where(np.arange(3) == lowest, 1.0, cells.loss)
        basins = fit_basins([replace(cells, loss=loss)], 100, 0)[0]
        assert verdict_module._beside_lowest(basins, 0) == pytest.approx(beside)


@pytest.mark.parametrize("value", [None, 0.02])
def test_one_seed_where_no_number_of_them_would_decide(value: float | None) -> None:
    for regret in (Estimate(value, None, 0.03), Estimate(value, 0.0, None), Estimate(None, 0.0, 0.03)):
        assert verdict_module._seeds(regret, 0.01) == 1
    assert verdict_module._seeds(Estimate(0.0085, 0.008, 0.0099), 0.01) == 1


def test_flops_are_measured_or_six_times_parameters_and_tokens() -> None:
    sweep = make(widths=(64.0, 128.0))
    n = len(sweep)
    measured = replace(sweep, extra={"flops": np.where(np.arange(n) % 10 == 0, np.nan, sweep.scale * 1e6)})
    assert verdict_module._flops(measured, "v", 128.0, 3) == pytest.approx(3 * 128e6)
    counted = replace(sweep, extra={"params": sweep.scale**2, "tokens": np.full(n, 1e6)})
    assert verdict_module._flops(counted, "v", 64.0, 2) == pytest.approx(2 * 6 * 64**2 * 1e6)
    for extra in ({}, {"params": sweep.scale}, {"flops": np.full(n, np.nan)}):
        assert verdict_module._flops(replace(sweep, extra=extra), "v", 64.0, 1) is None
