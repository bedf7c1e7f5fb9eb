"""It is the series that says how far its prediction is to be trusted: medians over six made of each kind."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from known_sweeps import from_rows

from hptransfer import read
from hptransfer.fit import quantify
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.own_runs import vertex
from hptransfer.quantify.result import Estimate
from hptransfer.sweep.table import SweepTable

SCALES = (32.0, 64.0, 128.0, 256.0, 512.0, 1024.0)
LAW = -8.0 - 0.5 * np.arange(6)
GRID = np.arange(-14.0, -4.9, 0.5)
FAULTS = Path(__file__).parents[3] / "shared" / "faults" / "sweeps"
SERIES = 6  # made of each kind


def series(
    x: np.ndarray = LAW, *, seed: int, noise: float = 0.001, ragged: float = 0.0, seeds: int = 1
) -> SweepTable:
    """Parabolas with these optima; `ragged`: what half of the runs right of them lose, a nat per octave."""
    rng = np.random.default_rng(seed)
    rows = []
    for n, star in zip(SCALES, x, strict=True):
        u = GRID - star
        for name in range(seeds):
            struck = (rng.random(len(u)) < 0.5) * rng.lognormal(0.0, 1.0, len(u)) * np.maximum(u + 0.3, 0.0)
            loss = (
                3.0 + (n / 32) ** -0.5 + 0.04 * u * u + noise * rng.standard_normal(len(u)) + ragged * struck
            )
            rows += [("v", n, 2.0**h, str(name), y) for h, y in zip(GRID, loss, strict=True)]
    return from_rows(rows)


def octaves(estimate: Estimate) -> float:
    return float(np.log2(estimate.high / estimate.low))


def widths(sweep: SweepTable, *targets: float) -> list[float]:
    fit = quantify(sweep, targets=targets or (4096.0,), draws=1000, holdout=0).variants["v"]
    return [octaves(p.hp) for p in fit.predictions]


def jump(seed: int, size: float = 0.6) -> SweepTable:
    return series(LAW + size * (np.arange(6) == 5), seed=seed)


def walk(seed: int) -> SweepTable:
    return series(LAW + np.cumsum(0.2 * np.random.default_rng(seed).standard_normal(6)), seed=seed)


def off(seed: int) -> SweepTable:
    return series(LAW + 0.2 * np.random.default_rng(seed).standard_normal(6), seed=seed)


KINDS: dict[str, Callable[[int], SweepTable]] = {
    "clean": lambda seed: series(seed=seed),
    "noisier": lambda seed: series(seed=seed, noise=0.02),
    "ragged": lambda seed: series(seed=seed, ragged=0.05),
    "jump at its end": jump,
    "larger jump at its end": functools.partial(jump, size=-1.2),
    "walks": walk,
    "scatters": off,
}


@functools.cache
def median(kind: str) -> float:
    return float(np.median([widths(KINDS[kind](seed))[0] for seed in range(SERIES)]))


def test_a_clean_series_has_a_narrow_interval() -> None:
    """Four times the largest of six scales: each of them under 0.6 octaves."""
    every = [widths(series(seed=seed, noise=noise))[0] for seed in range(3) for noise in (0.0003, 0.001)]
    assert max(every) < 0.6
    assert np.median(every) < 0.3


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "clean"])
def test_a_series_that_is_none_has_a_wider_one(kind: str) -> None:
    assert median(kind) > 2 * median("clean")


@pytest.mark.parametrize("kind", ["noisier", "ragged", "walks", "scatters"])
def test_intervals_hold_what_a_series_that_leaves_its_law_did_next(kind: str) -> None:
    """As much as 0.3 octaves from where the line of the last two scales leads, and more."""
    assert median(kind) > 0.5


@pytest.mark.parametrize("kind", KINDS)
def test_intervals_grow_with_distance(kind: str) -> None:
    found = widths(KINDS[kind](1), 1024.0, 2048.0, 4096.0, 8192.0)
    assert found == sorted(found)
    assert found[-1] > found[0]


def test_noise_widens_step_by_step() -> None:
    found = [np.median([widths(series(seed=seed, noise=noise))[0] for seed in range(4)])
             for noise in (0.001, 0.005, 0.02)]  # fmt: skip
    assert found == sorted(found)


def by_seeds(noise: float, turned: float) -> np.ndarray:
    """Widths with one, two and four seeds of eight studies whose law turns by `turned` a doubling, [8, 3]."""
    found = []
    for study in range(8):
        x = LAW + np.cumsum(turned * np.random.default_rng(study).standard_normal(6))
        whole = series(x, seed=study, noise=noise, seeds=4)
        parts = [replace_rows(whole, whole.seed.astype(int) < count) for count in (1, 2, 4)]
        found.append([widths(part)[0] for part in parts])
    return np.array(found)


def test_more_seeds_narrow_what_noise_widened() -> None:
    one, two, four = np.median(by_seeds(0.01, 0.0), axis=0)
    assert four < two < one
    assert four < 0.8 * one


def test_more_seeds_do_not_widen_what_a_turning_law_leaves_wide() -> None:
    """They tell that it turns: the same studies may come out a little less certain, not much."""
    found = by_seeds(0.004, 0.1)
    assert np.median(found[:, 2] / found[:, 0]) < 1.25
    assert np.median(found[:, 2] / found[:, 1]) < 1.25


def replace_rows(sweep: SweepTable, rows: np.ndarray) -> SweepTable:
    columns = ("variant", "scale", "hp", "seed", "loss")
    return SweepTable(*(getattr(sweep, column)[rows] for column in columns))


def agree_with_their_runs(sweep: SweepTable) -> dict[float, bool]:
    """By scale: the parabola of its own runs lies in its optimum's interval, or a flag says it does not."""
    (cells,) = cells_of(sweep)
    (fit,) = quantify(sweep, holdout=0).variants.values()
    found = {}
    for k, optimum in enumerate(fit.optima):
        usable = cells.usable[k]
        at, _ = vertex(cells.x[k, usable], cells.loss[k, usable], np.ones(usable.sum()))
        inside = optimum.hp.low is not None and np.log2(optimum.hp.low) <= at <= np.log2(optimum.hp.high)
        found[optimum.scale] = inside or "own_runs_differ" in optimum.hp.flags
    return found


@pytest.mark.skipif(not FAULTS.exists(), reason="inputs of faults not at hand")
def test_a_clean_v_at_the_largest_width_is_not_contradicted() -> None:
    assert agree_with_their_runs(read(FAULTS / "pooled_excludes_own.csv"))[2048.0]


@pytest.mark.parametrize("away", [-0.9, -0.5, 0.5, 0.9])
@pytest.mark.parametrize("where", [2, 5])
def test_one_scale_apart_from_the_law_of_all_others_keeps_its_own_v(away: float, where: int) -> None:
    """Ragged scales that say little, one that says where its optimum is, and not where the others lead."""
    ragged = series(seed=3, noise=0.008)
    clean = series(LAW + away * (np.arange(6) == where), seed=3, noise=0.0005)
    here = ragged.scale == SCALES[where]
    mixed = replace(ragged, loss=np.where(here, clean.loss, ragged.loss))
    assert agree_with_their_runs(mixed)[SCALES[where]]


@pytest.mark.parametrize("lean", [0.6, -0.6])
def test_one_scale_of_another_shape_keeps_its_own_v(lean: float) -> None:
    """A basin whose sides are steep on the other hand: its lowest runs lie where they lie."""
    rows = []
    for k, (n, star) in enumerate(zip(SCALES, LAW, strict=True)):
        u = GRID - star
        side = np.exp((-lean if k == 5 else lean) * np.tanh(u))
        loss = 3.0 + 2.0 ** (-0.5 * k) + 0.04 * u * u * side
        rows += [("v", n, 2.0**h, "0", y) for h, y in zip(GRID, loss, strict=True)]
    assert agree_with_their_runs(from_rows(rows))[SCALES[5]]
