"""Numbers half way through a fit, held against recorded ones: windows, basins, laws, pooling, predictions.

tests/golden holds the results of whole fits. These are the quantities before them, of small tables that go
through what a plain table does not: cliffs, rival minima, edges, offset laws, seeds that hardly tell noise.
`python tests/quantify/test_recorded.py` records again, with src and tests/quantify on PYTHONPATH.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from known_sweeps import from_rows, join, make

from hptransfer.quantify.basin.cells import Cells, cells_of
from hptransfer.quantify.basin.fit import _batch, fit_basins
from hptransfer.quantify.basin.posterior import fit_posterior
from hptransfer.quantify.basin.window import noise_guess, select_windows
from hptransfer.quantify.comparison_metrics import near_optimal_bands, sensitivity
from hptransfer.quantify.law.laws import fit_laws
from hptransfer.quantify.pooling import pooled
from hptransfer.quantify.predict import all_regrets, predict
from hptransfer.sweep.table import SweepTable

FILE = Path(__file__).with_name("recorded.json")
RELATIVE = 1e-4  # allowed between processors: the loss law stops at the root of rounding
# Losses of a small language model under muP on octave grids from 2^first.
CLIFFS = {
    32: (-9.0, [5.194, 4.920, 4.526, 4.259, 4.150, 4.099, 4.838, 5.246]),
    48: (-9.585, [5.088, 4.736, 4.335, 4.083, 3.980, 4.106, 5.004, 5.224]),
    64: (-10.0, [4.987, 4.572, 4.182, 3.985, 3.914, 3.975, 4.826, 5.186]),
    96: (-10.585, [4.825, 4.325, 3.977, 3.846, 3.831, 3.843, 3.928, 5.132]),
    128: (-11.0, [4.804, 4.271, 3.952, 3.831, 3.797, 3.862, 3.917, 4.073]),
}


def cliffs() -> SweepTable:
    rows = [
        ("v", float(n), 2.0 ** (first + i), "0", loss)
        for n, (first, losses) in CLIFFS.items()
        for i, loss in enumerate(losses)
    ]
    return from_rows(rows)


def rivals() -> SweepTable:
    """At the last scale a second minimum is lower by less than noise explains, far off the others' line."""
    parts = make(widths=(64.0, 128.0, 256.0), noise=0.001, grid=np.arange(-13.0, -3.0, 0.5))
    x = np.arange(-13.0, -3.0, 0.5)
    well = 0.5 * 0.08 * (x + 9.8) ** 2
    other = 0.5 * 0.3 * (x + 4.9) ** 2 - 0.004
    loss = 3.35 + np.minimum(well, other)
    return join(parts, from_rows([("v", 512.0, 2.0**a, "0", y) for a, y in zip(x, loss, strict=True)]))


def bent() -> SweepTable:
    parts = []
    for k in range(8):
        star = -7.0 + np.log2(1 + 3.0 * 2.0**-k)
        grid = np.arange(-10.0, -2.0, 0.5)
        loss = (3.0, 2 ** (-k / 2), 0.5)
        parts.append(make(widths=(32.0 * 2**k,), x0=star, noise=0.001, grid=grid, loss=loss, seed=k))
    return join(*parts)


def edge() -> SweepTable:
    few = make(widths=(64.0, 128.0, 256.0, 512.0), drift=-0.3, noise=0.008, seed=3)
    last = make(widths=(2048.0,), x0=-12.0, grid=np.arange(-11.4, -5.0), noise=0.001, loss=(3.0, 0.18, 0.5))
    return join(few, last)


def seeds(spare: int) -> SweepTable:
    """Noise far above what is taken for granted, and so many runs more than cells."""
    once = make(noise=0.1, seed=1)
    again = once.take(np.abs(np.log2(once.hp) + 9.0) < 1.5).take(np.arange(12) < spare)
    rng = np.random.default_rng(5)
    twice = SweepTable(
        again.variant,
        again.scale,
        again.hp,
        np.full(spare, "1"),
        again.loss + 0.1 * rng.standard_normal(spare),
    )
    return join(once, twice)


TABLES = {
    "cliffs": cliffs,
    "rivals": rivals,
    "bent": bent,
    "edge": edge,
    "five_spare": lambda: seeds(5),
    "six_spare": lambda: seeds(6),
    "tilted": lambda: make(noise=0.004, seeds=2, shape=lambda u: 0.03 * u**2 * np.exp(0.4 * u)),
}


def quantities(sweep: SweepTable) -> dict[str, object]:
    """All that is recorded of one table, as plain lists."""
    (cells,) = cells_of(sweep)
    basins = fit_basins([cells], 300, 0)[0]
    laws = fit_laws(basins, None, np.random.default_rng(1))
    assert laws is not None
    pool = pooled(basins, laws, np.random.default_rng(2))
    ahead = predict(pool, laws, 4.0 * float(cells.scale[-1]), 0.9, np.random.default_rng(3))
    found: dict[str, object] = {
        "search": _search(cells),
        "x": basins.x,
        "loss": basins.loss,
        "log_curvature": basins.log_curvature,
        "shape": basins.shape,
        "noise": basins.noise,
        "misfit": basins.misfit,
        "sd of x": basins.x_draws.std(axis=0),
        "sd of loss": basins.loss_draws.std(axis=0),
        "laws": {
            name: [law.log_likelihood, law.scatter, *law.parameters, *law.draws.std(axis=0)]
            for name, law in laws.families.items()
        },
        "aicc": dict(laws.aicc),
        "mixture": dict(laws.mixture),
        "apart": basins.apart,
        "evidence": {name: [law.evidence, law.wander_draws.mean()] for name, law in laws.families.items()},
        "bend": laws.bend[0] if laws.bend else None,
        "loss law": [*laws.loss.parameters, laws.loss.scatter],
        "log curvature law": [*laws.log_curvature.parameters, laws.log_curvature.scatter],
        "pooled x": pool.x,
        "pooled loss": pool.loss,
        "by law": pool.by_law,
        "prediction": [ahead.hp.value, ahead.hp.low, ahead.hp.high, ahead.hp_recommended, ahead.regret],
        "regrets": [[r.regret.value, r.regret.low, r.regret.high, r.factor.value] for r in
                    all_regrets(pool, laws.loss, 0.9)],
        "band": near_optimal_bands(pool, 0.9).width.estimate.value,
        "sensitivity": sensitivity(pool, None, 0.9).estimate.value,
        "flags": [list(flags) for flags in basins.flags],
    }  # fmt: skip
    return {name: plain(value) for name, value in found.items()}


def _search(cells: Cells) -> dict[str, object]:
    """Windows, and the posterior of the joint fit at its likeliest settings."""
    windows = select_windows(cells)
    posterior = fit_posterior(*_batch([cells], [windows]))
    best = np.argsort(-posterior.weight[0])[:3]
    return {
        "noise guess": noise_guess(cells),
        "slots": [w.slots for w in windows],
        "ends": [[w.low, w.high] for w in windows],
        "weight": posterior.weight[0, best],
        "sigma": posterior.noise.sigma[0, best],
        "misfit": posterior.noise.misfit[0, best],
        "growth": posterior.noise.growth[0, best],
        "misfit inflation": posterior.misfit_inflation[0],
        "variance factor": posterior.variance_factor[0].max(axis=-1),
    }


def plain(value: object) -> object:
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | np.ndarray):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(f"{value:.9g}") if np.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def same(recorded: object, now: object, path: str) -> None:
    if isinstance(recorded, dict | list):
        assert type(recorded) is type(now), path
        assert len(recorded) == len(now), path
        for key in recorded if isinstance(recorded, dict) else range(len(recorded)):
            same(recorded[key], now[key], f"{path}/{key}")
    elif isinstance(recorded, float):
        assert now == pytest.approx(recorded, rel=RELATIVE, abs=1e-7), path
    else:
        assert recorded == now, path


@pytest.mark.parametrize("name", TABLES)
def test_quantities_are_those_recorded(name: str) -> None:
    recorded = json.loads(FILE.read_text(encoding="utf-8"))[name]
    now = json.loads(json.dumps(quantities(TABLES[name]())))
    assert recorded.keys() == now.keys()
    for key in recorded:
        same(recorded[key], now[key], f"{name}/{key}")


if __name__ == "__main__":
    text = json.dumps({name: quantities(table()) for name, table in TABLES.items()}, indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")
