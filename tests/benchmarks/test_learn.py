"""Learned numbers are learned under the estimator's own model of optima."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

import torch

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.law import departure as departure_module
from hptransfer.quantify.law import scatter as scatter_module
from hptransfer.quantify.law import siblings as siblings_module
from hptransfer.quantify.law.departure import departure
from hptransfer.quantify.law.laws import fit_hp_laws
from hptransfer.quantify.law.scatter import scatters
from hptransfer.quantify.law.siblings import TablePrior, own_law, table_priors
from hptransfer.quantify.predict import optimum_draws
from hptransfer.quantify.priors import DEPARTURE, LAW

TARGET, FOUND, FOUND_SD = 512.0, -9.4, 0.08


@pytest.fixture(scope="module")
def learn(benchmark_module: Callable[[str], ModuleType]) -> Iterator[ModuleType]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield benchmark_module("learn")
    torch.set_default_dtype(before)


def example(learn: ModuleType, seed: int = 0, others: tuple[Basins, ...] = (), own: int | None = None) -> Any:
    """Five scales of noisy runs whose optima drift and err, and what was found at four times the largest."""
    rng = np.random.default_rng(seed)
    parts = []
    for k, width in enumerate((8.0, 16.0, 32.0, 64.0, 128.0)):
        x = np.arange(-11.5, -4.9, 0.5)
        star = -7.6 - 0.2 * k + 0.15 * rng.standard_normal()
        loss = 3 - 0.2 * k + 0.05 * (x - star) ** 2 + 0.012 * rng.standard_normal(len(x))
        parts.append(pd.DataFrame({"scale": width, "x": x, "seed": "0", "loss": loss}))
    runs = pd.concat(parts, ignore_index=True)
    from real_series import Case, Series, Truth

    series = Series("made", f"series {seed}", runs, runs, own)
    case = Case(series, runs, Truth(TARGET, FOUND, FOUND_SD, cost=None))
    basins = fit_basins(list(cells_of(learn.sweep_of(case.runs))), 20_000, 0)[0]
    assert basins.fitted.all()
    return learn.Example(case, basins, others)


@pytest.fixture
def no_scale_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one thing that the estimator thinks of and learning does not."""
    monkeypatch.setattr(scatter_module, "LAW", replace(LAW, outlier_scale_probability=1e-300))


def mixture(basins: Basins, others: TablePrior | None = None) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and variances of the estimator's predictions, one a family and size of departure."""
    t, prior = np.log2(basins.cells.scale), departure(basins)
    every = scatters(t, basins.x_draws, prior, others.sizes if others else None)
    ahead, parts = np.log2(TARGET) - t[-1], []
    drifts = np.log1p(-prior.constant)
    ways = [(1, np.log(prior.constant), None), (2, drifts - np.log(LAW.slope_sd), None)]
    if others is not None:
        ways[1] = (2, ways[1][1] + np.log1p(-others.share), None)
        ways.append((2, drifts + np.log(others.share) - np.log(others.sd), others))
    for columns, log_share, known in ways:
        basis = np.stack([np.ones(len(t)), t - t.mean()], axis=1)[:, :columns]
        at = np.array([1.0, np.log2(TARGET) - t.mean()])[:columns]
        weight = 0.0 if known is None else known.sd**-2
        by_prior = np.diag([0.0, weight])[:columns, :columns]
        pull = np.array([0.0, weight * (known.slope if known else 0.0)])[:columns]
        for s in range(len(every.size)):
            inverse = every.inverse[s]
            covariance = np.linalg.inv(basis.T @ inverse @ basis + by_prior)
            law = covariance @ (basis.T @ inverse @ basins.x + pull)
            residual = basins.x - basis @ law
            log = every.log_prior[s] + log_share - 0.5 * residual @ inverse @ residual
            log -= 0.5 * weight * (law[-1] - (known.slope if known else 0.0)) ** 2
            log += 0.5 * (np.linalg.slogdet(covariance)[1] - every.log_det[s])
            variance = at @ covariance @ at + every.size[s] ** 2 + every.wander[s] ** 2 * ahead
            parts.append((log, at @ law, variance))
    log, mean, variance = np.array(parts).T
    weight = np.exp(log - log.max())
    return weight / weight.sum(), mean, variance


@pytest.mark.parametrize(("seed", "count", "own"), [(0, 0, None), (1, 2, None), (2, 2, 0), (3, 0, -1)])
@pytest.mark.usefixtures("no_scale_off")
def test_what_is_maximised_is_the_density_of_the_estimators_prediction(
    learn: ModuleType, seed: int, count: int, own: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = tuple(example(learn, 10 + i).basins for i in range(count))
    one = example(learn, seed, others, own)
    rng = np.random.default_rng(seed)
    numbers = learn.start() + torch.tensor(0.3 * rng.standard_normal(len(learn.start())))
    monkeypatch.setattr(departure_module, "DEPARTURE", learn.as_priors(numbers))
    monkeypatch.setattr(siblings_module, "DEPARTURE", learn.as_priors(numbers))
    laws = [own_law(b) for b in (one.basins, *others)]
    # x is in muP coordinates, where they are known.
    told = table_priors(laws, None if own is None else np.zeros(len(laws)))[0]
    weight, mean, variance = mixture(one.basins, told)
    total = variance + FOUND_SD**2
    density = weight @ (np.exp(-0.5 * (FOUND - mean) ** 2 / total) / np.sqrt(2 * np.pi * total))
    (found,) = learn.log_probability(learn.batched([one]), numbers)
    assert float(found) == pytest.approx(np.log(density), abs=0.005)


@pytest.mark.usefixtures("no_scale_off")
def test_that_mixture_is_what_predictions_are_drawn_from(learn: ModuleType) -> None:
    basins, told = example(learn).basins, TablePrior(0.1, 0.1, 0.7, np.linspace(-2.0, 2.0, 100))
    laws = fit_hp_laws(basins, None, np.random.default_rng(0), told)
    assert laws is not None
    draws = optimum_draws(laws, TARGET, np.random.default_rng(1))
    weight, mean, variance = mixture(basins, told)
    assert draws.mean() == pytest.approx(weight @ mean, abs=0.03)
    assert draws.var() == pytest.approx(weight @ (variance + (mean - weight @ mean) ** 2), rel=0.15)


def test_examples_padded_to_more_scales_are_as_probable_as_alone(learn: ModuleType) -> None:
    one, other = example(learn, 0), example(learn, 1)
    fitted = other.basins.fitted.copy()
    fitted[0] = False
    fewer = replace(other, basins=replace(other.basins, fitted=fitted))
    numbers = learn.start()
    alone = [float(learn.log_probability(learn.batched([e]), numbers)) for e in (one, fewer)]
    together = learn.log_probability(learn.batched([one, fewer]), numbers)
    assert together.tolist() == pytest.approx(alone, abs=1e-4)


def test_the_numbers_of_a_project_count_with_the_root_of_its_cases(learn: ModuleType) -> None:
    one = example(learn, 0)
    other = replace(one, case=replace(one.case, series=replace(one.case.series, project="another")))
    assert learn.batched([one, one, one, one, other]).weight.tolist() == [0.5] * 4 + [1.0]


def test_learning_climbs_and_learned_numbers_are_priors(learn: ModuleType) -> None:
    chosen = [example(learn, seed) for seed in range(3)]
    batch, found = learn.batched(chosen), learn.learned(chosen, steps=5)
    before, after = (
        float((batch.weight * learn.log_probability(batch, n)).sum()) for n in (learn.start(), found)
    )
    assert after > before
    priors = learn.as_priors(found)
    for name in ("scatter_none", "wander_none", "constant", "steady", "slope_shared"):
        assert 0.0 < getattr(priors, name) < 1.0
    assert priors.trait_centres == DEPARTURE.trait_centres
    assert len(priors.wander_by_trait) == learn.TRAITS
    assert priors.scatter > 0
