"""Which law is chosen, and what an optimum at an edge does to it."""

from dataclasses import replace

import numpy as np
import pytest
from known_sweeps import make

from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.quantify.law import laws as module
from hptransfer.quantify.law.laws import fit_hp_laws, fit_laws
from hptransfer.quantify.pooling import pooled
from hptransfer.quantify.predict import optimum_draws

WIDTHS = (64.0, 128.0, 256.0, 512.0, 1024.0)


@pytest.fixture(scope="module")
def basins() -> Basins:
    return fit_basins(list(cells_of(make(widths=WIDTHS, noise=0.002))), 2000, 0)[0]


def at_edge(basins: Basins, low: float, high: float) -> Basins:
    """The last scale without a fit, its optimum between two bounds relative to the law's value there."""
    law = fit_hp_laws(replace(basins, fitted=np.arange(5) < 4), "power", np.random.default_rng(0))
    at = float(law.hp.at(WIDTHS[-1]))
    last = np.arange(5) == 4
    return replace(
        basins,
        fitted=~last,
        edge=np.where(last, 1, 0),
        low=np.where(last, at + low, basins.low),
        high=np.where(last, at + high, basins.high),
    )


def fitted(basins: Basins):
    return fit_hp_laws(basins, "power", np.random.default_rng(0))


def test_the_offset_family_must_win_by_ten() -> None:
    handicap = 2 * 4 * 5 / 2 - 2 * 3 * 4 / 3  # what AICc takes from the offset family at 7 scales
    for margin, family in ((9.9, "power"), (10.1, "offset")):
        aicc = {"const": 50.0, "power": 0.0, "offset": -handicap - margin}
        assert module._choose(aicc, 7, sharp=True) == family
    assert module._choose({"const": 0.0, "power": 1.0, "offset": -99.0}, 5, sharp=True) == "const"
    assert module._choose({"const": 0.0, "power": 1.0, "offset": -99.0}, 5, sharp=False) == "power"


@pytest.mark.parametrize(("noise", "family"), [(0.09, "const"), (0.11, "power")])
def test_a_constant_needs_a_drift_that_would_have_been_seen(
    noise: float, family: str, basins: Basins, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = module.fit_line

    def with_slopes(*arguments):
        fit = line(*arguments)
        if fit.family != "power":
            return replace(fit, log_likelihood=fit.log_likelihood + 1e3)
        slopes = fit.draws.copy()
        slopes[:, 1] = noise * (slopes[:, 1] - slopes[:, 1].mean()) / slopes[:, 1].std()
        return replace(fit, draws=slopes)

    monkeypatch.setattr(module, "fit_line", with_slopes)
    assert fit_hp_laws(basins, None, np.random.default_rng(0)).family == family


def test_bounds_of_an_edge_reweight_the_law(basins: Basins) -> None:
    law = fitted(at_edge(basins, 0.0, 5.0))
    assert law.flags == ("edge_censored",)
    free = fitted(at_edge(basins, -5.0, 5.0))
    assert law.hp.at(WIDTHS[-1]) > free.hp.at(WIDTHS[-1])
    # Weights fall off as exp(-(distance / 0.1 octaves)^2 / 2): Kish's number of draws is that of these.
    rng, fit = np.random.default_rng(1), free.hp
    edge = at_edge(basins, 0.0, 5.0)
    index, _ = module._censoring(edge, edge.edge != 0, fit, np.random.default_rng(1))
    x = fit.draws_at(WIDTHS[-1]) + fit.scatter_draws * rng.standard_normal(len(fit.draws))
    weight = np.exp(-0.5 * (np.maximum(edge.low[4] - x, 0.0) / 0.1) ** 2)
    assert float(x[index].mean()) == pytest.approx(float(weight @ x / weight.sum()), abs=0.2 * x.std())
    assert np.mean(x[index] < edge.low[4]) == pytest.approx(
        float(weight[x < edge.low[4]].sum() / weight.sum()), abs=0.04
    )


def censored(basins: Basins, outside: float, sure: float) -> tuple[str, ...]:
    """Flags where a fraction `sure` of draws lies within the bounds and all others `outside` octaves off."""
    edge = at_edge(basins, 0.0, 5.0)
    law = fitted(at_edge(basins, -5.0, 5.0)).hp
    draws = np.zeros_like(law.draws)
    draws[:, 0] = edge.low[4] - np.where(np.arange(len(draws)) < sure * len(draws), 0.0, outside)
    law = replace(law, draws=draws, scatter_draws=np.zeros(len(draws)))
    return module._censoring(edge, edge.edge != 0, law, np.random.default_rng(0))[1]


def test_bounds_that_no_draw_meets_contradict_the_law(basins: Basins) -> None:
    assert censored(basins, 0.39, 0.0) == ("edge_censored",)  # costs a log weight of 7.6
    assert censored(basins, 0.41, 0.0) == ("edge_contradicts_law",)  # of 8.4
    assert censored(basins, 9.0, 0.022) == ("edge_censored",)
    assert censored(basins, 9.0, 0.018) == ("edge_contradicts_law",)


def test_the_law_says_where_an_edge_is_if_enough_of_its_draws_allow_it(basins: Basins) -> None:
    free = at_edge(basins, -50.0, 50.0)
    found = fit_laws(free, "power", np.random.default_rng(0))
    draws = optimum_draws(found, WIDTHS[-1], np.random.default_rng(9))
    for quantile, told in ((0.77, True), (0.83, False)):  # a fifth of the draws must allow it
        low = float(np.quantile(draws, quantile))
        bounded = replace(free, low=np.where(np.arange(5) == 4, low, free.low))
        assert np.isfinite(pooled(bounded, found, np.random.default_rng(3)).by_law[4]) == told
