"""Suggested runs: other scales where scales are few, a wider grid at an edge; tried before offered."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import from_rows, join, make

import hptransfer as hpt
from hptransfer.quantify import suggest as module
from hptransfer.quantify.result import VariantFit
from hptransfer.quantify.simulate import run_noise, simulated
from hptransfer.quantify.suggest import _candidates, is_settled
from hptransfer.sweep.table import SweepTable

GRID = np.arange(-13.0, -3.0)


def fitted(sweep: SweepTable) -> VariantFit:
    return hpt.quantify(sweep, draws=200).variants["v"]


def tried(monkeypatch: pytest.MonkeyPatch, sweep: SweepTable, settles: float):
    """The suggestion where every candidate settles the question that often."""
    monkeypatch.setattr(module, "_settles", lambda *_: settles)
    return hpt.quantify(sweep, draws=200, suggest=True).variants["v"].verdict.suggested


def test_three_scales_are_offered_another_scale() -> None:
    sweep = make(widths=(64.0, 128.0, 256.0), noise=0.004, grid=GRID)
    offered = {run.scale for c in _candidates(sweep, fitted(sweep)) for run in c.runs}
    assert {32.0, 512.0} < offered


@pytest.mark.parametrize("factor", [1e200, 1e-200])
def test_the_price_of_extreme_scales_is_a_ratio(factor: float) -> None:
    sweep = make(widths=(64.0, 128.0, 256.0), noise=0.004, grid=GRID)
    plain = [c.price for c in _candidates(sweep, fitted(sweep))]
    sweep = replace(sweep, scale=sweep.scale * factor)
    assert [c.price for c in _candidates(sweep, fitted(sweep))] == pytest.approx(plain, rel=0.1)


def test_one_scale_is_offered_others() -> None:
    sweep = make(widths=(256.0,), noise=0.004, grid=GRID)
    alone = [c for c in _candidates(sweep, fitted(sweep)) if "seeds" not in c.text]
    assert alone
    assert all(run.scale != 256.0 for c in alone for run in c.runs)


def test_an_optimum_at_the_edge_is_offered_runs_beyond_it(monkeypatch: pytest.MonkeyPatch) -> None:
    edge = make(widths=(512.0,), x0=-9.8, grid=np.arange(-9.0, -4.0), noise=0.004)
    sweep = join(make(widths=(64.0, 128.0), noise=0.004, grid=GRID), edge)
    found = tried(monkeypatch, sweep, 0.9)
    assert found.text == "a wider grid where the optimum is at an edge"
    assert [(run.scale, np.log2(run.hp)) for run in found.runs] == [(512.0, -10.0), (512.0, -11.0)]


def test_runs_past_an_edge_stop_short_of_one_that_diverged(monkeypatch: pytest.MonkeyPatch) -> None:
    table = {64.0: [2.0, 2.1, 2.3, 2.6], 512.0: [2.6, 2.3, 2.1, np.nan]}
    rows = [("v", n, 2.0 ** (i - 8), "0", y) for n, column in table.items() for i, y in enumerate(column)]
    runs = tried(monkeypatch, from_rows(rows), 0.9).runs
    assert np.log2([run.hp for run in runs if run.scale == 512.0]) == pytest.approx([-6 + 1 / 3, -6 + 2 / 3])
    assert np.log2([run.hp for run in runs if run.scale == 64.0]) == pytest.approx([-9.0, -10.0])


def test_what_is_not_likely_to_settle_it_is_not_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    sweep = make(widths=(64.0, 128.0, 256.0), noise=0.004, grid=GRID)
    found = tried(monkeypatch, sweep, 0.3)
    assert (found.runs, found.worth) == ((), False)
    assert "live with the uncertainty" in found.text


def test_the_cheapest_that_is_likely_to_settle_it_comes_first_with_its_price(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sweep = make(widths=(64.0, 128.0, 256.0), noise=0.004, grid=GRID)
    flops = replace(sweep, extra={"flops": sweep.scale**2 * 1e6})
    found = tried(monkeypatch, flops, 0.9)
    assert {run.scale for run in found.runs} == {32.0}
    spent = sum(flops.extra["flops"])
    assert found.cost_share == pytest.approx(sum(run.flops for run in found.runs) / spent)
    assert found.runs[0].flops == pytest.approx(32**2 * 1e6)
    assert found.worth


def test_no_runs_help_where_the_tolerance_is_no_test() -> None:
    sweep = make(noise=0.002)
    small = replace(sweep, loss=sweep.loss * 1e-3)
    found = hpt.quantify(small, draws=200, suggest=True).variants["v"].verdict.suggested
    assert not found.runs
    assert "name the metric" in found.text


def test_simulated_runs_lie_on_the_fitted_curves() -> None:
    sweep = make(widths=(64.0, 128.0, 256.0), noise=0.001, grid=GRID)
    fit = fitted(sweep)
    candidate = next(c for c in _candidates(sweep, fit) if c.runs[0].scale == 32.0)
    made = simulated(sweep, fit, candidate.runs, np.random.default_rng(0))
    new = made.take(np.arange(len(made)) >= len(sweep))
    assert len(new) == len(candidate.runs)
    assert np.log2(new.hp[np.argmin(new.loss)]) == pytest.approx(-7.3, abs=0.8)  # -8.3 at 64, falling by 1
    assert run_noise(sweep, fit) < 0.003


def test_settled_is_the_first_open_question_answered() -> None:
    verdict = fitted(make(widths=(64.0, 128.0, 256.0), noise=0.004, grid=GRID)).verdict
    open_ = replace(verdict, keep=replace(verdict.keep, value="not known"))
    assert is_settled(open_, replace(verdict, keep=replace(verdict.keep, value="no")))
    assert not is_settled(verdict, verdict)
    assert is_settled(verdict, replace(verdict, value="predictable"))
