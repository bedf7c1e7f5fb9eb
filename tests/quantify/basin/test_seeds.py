"""What a seed does to a whole curve: raise it, or tilt it, and how far that moves an optimum."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from known_sweeps import from_rows, make

from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.seeds import (
    SeedRuns,
    freedom_lost,
    no_tilts,
    optimum_sd,
    seed_effects,
    seed_tilts,
)
from hptransfer.quantify.priors import SEEDS
from hptransfer.sweep.table import SweepTable

X = np.arange(-10.0, -5.9, 0.5)  # 9 cells


def table(effects: list[float], slopes: list[float], noise: float = 0.0, seed: int = 0) -> SeedRuns:
    """Deviations of seeds that raise and tilt the curve of one scale about -8."""
    rng = np.random.default_rng(seed)
    x = np.tile(X, len(effects))
    label = np.repeat(np.arange(float(len(effects))), len(X))
    deviation = np.repeat(effects, len(X)) + np.repeat(slopes, len(X)) * (x + 8)
    deviation = deviation + noise * rng.standard_normal(len(x))
    return SeedRuns(x, deviation, np.zeros(len(x), dtype=np.int64), label)


def effects_of(runs: SeedRuns, value: np.ndarray) -> np.ndarray:
    _, cell = np.unique(runs.x, return_inverse=True)
    return seed_effects(value, cell, runs.scale, runs.seed)


def test_golden_effects() -> None:
    runs = table([0.1, -0.02, 0.04], [0.0] * 3)
    found = effects_of(runs, 3 + 0.05 * (runs.x + 8) ** 2 + runs.deviation)
    assert found == pytest.approx(np.repeat([0.06, -0.06, 0.0], 9))


@given(level=st.floats(-3, 3), curve=st.floats(0, 1), order=st.permutations(range(27)))
def test_effects_do_not_depend_on_level_curve_or_order_of_rows_and_seeds(
    level: float, curve: float, order: list[int]
) -> None:
    runs = table([0.1, -0.02, 0.04], [0.0] * 3, noise=0.01)
    found = effects_of(runs, 3 + runs.deviation)
    assert effects_of(runs, level + curve * runs.x**2 + runs.deviation) == pytest.approx(found, abs=1e-9)
    index = np.array(order)
    other = SeedRuns(runs.x[index], runs.deviation[index], runs.scale[index], 2.0 - runs.seed[index])
    assert effects_of(other, 3 + other.deviation) == pytest.approx(found[index], abs=1e-9)


def test_a_run_that_goes_its_own_way_is_not_its_seeds_effect() -> None:
    runs = table([0.1, -0.1], [0.0] * 2)
    value = 3 + runs.deviation
    value[8] += 5.0  # far right
    assert effects_of(runs, value)[:8] == pytest.approx(np.full(8, 0.1), abs=0.01)


def test_two_cells_do_not_tell_an_effect_from_noise() -> None:
    for cells, told in ((2, False), (3, True)):
        x = np.tile(X[:cells], 2)
        label, scale = np.repeat([0.0, 1.0], cells), np.zeros(2 * cells, dtype=np.int64)
        _, cell = np.unique(x, return_inverse=True)
        found = seed_effects(3 + 0.1 * label, cell, scale, label)
        assert found == pytest.approx(0.1 * (label - 0.5) if told else 0.0 * label)


def test_every_scale_has_effects_of_its_own() -> None:
    runs = table([0.1, -0.1], [0.0] * 2)
    both = SeedRuns(np.tile(runs.x, 2), np.concatenate([runs.deviation, -3 * runs.deviation]),
                    np.repeat([0, 1], 18), np.tile(runs.seed, 2))  # fmt: skip
    _, cell = np.unique(np.stack([both.scale, both.x]), axis=1, return_inverse=True)
    found = seed_effects(3 + both.deviation, cell.ravel(), both.scale, both.seed)
    assert found == pytest.approx(both.deviation)


def test_runs_that_do_not_count_tell_nothing() -> None:
    runs = table([0.1, -0.1], [0.0] * 2)
    assert seed_effects(3 + runs.deviation, np.full(18, -1), runs.scale, runs.seed).tolist() == [0.0] * 18
    alone = table([0.1], [0.0])
    assert effects_of(alone, 3 + alone.deviation).tolist() == [0.0] * 9


def test_a_cell_that_one_seed_alone_has_loses_that_seeds_effect_as_all_others_do() -> None:
    """Seeds are often added near the optimum only: the curve must not step where they end."""
    seeds = (("0", 0.1, 9.0), ("1", -0.1, 1.1))
    rows = [
        ("v", 64.0, 2.0**x, seed, 3.0 + 0.05 * (x + 8) ** 2 + effect)
        for seed, effect, reach in seeds
        for x in X
        if abs(x + 8) < reach
    ]
    (cells,) = cells_of(from_rows(rows))
    assert cells.loss[0] == pytest.approx(3.0 + 0.05 * (X + 8) ** 2)


def test_seeds_that_raise_curves_are_no_noise() -> None:
    quiet = make(noise=0.001, seeds=3, seed=4)
    raised = replace(quiet, loss=quiet.loss + 0.2 * quiet.seed.astype(float))
    (before,), (after,) = cells_of(quiet), cells_of(raised)
    assert after.spread == pytest.approx(before.spread, abs=1e-12)
    assert after.loss - before.loss == pytest.approx(np.full(before.loss.shape, 0.2))


def test_golden_tilts() -> None:
    """Squares of the seeds' slopes over the seeds less one."""
    tilt, freedom = seed_tilts(table([0.0] * 3, [0.02, -0.03, 0.01]), np.array([-8.0]))
    assert freedom.tolist() == [2]
    assert tilt == pytest.approx([(0.02**2 + 0.03**2 + 0.01**2) / 2])


@given(effects=st.lists(st.floats(-1, 1), min_size=3, max_size=3), shift=st.floats(-5, 5))
def test_tilts_do_not_depend_on_effects_place_or_names_of_seeds(effects: list[float], shift: float) -> None:
    expected = seed_tilts(table([0.0] * 3, [0.02, -0.03, 0.01], 0.002), np.array([-8.0]))[0]
    runs = table(effects, [0.02, -0.03, 0.01], 0.002)
    moved = SeedRuns(runs.x + shift, runs.deviation, runs.scale, (runs.seed + 1) % 3)
    assert seed_tilts(moved, np.array([shift - 8.0]))[0] == pytest.approx(expected, abs=1e-9)


def test_noise_is_no_tilt() -> None:
    tables = [table([0.0] * 6, [0.0] * 6, 0.01, seed) for seed in range(40)]
    found = [seed_tilts(runs, np.array([-8.0]))[0][0] for runs in tables]
    one_slope = 0.01**2 / 2.5  # variance of a slope through 5 cells half an octave apart
    assert np.mean(found) < 0.4 * one_slope
    assert min(found) == 0.0


def test_only_an_octave_around_the_lowest_cell_tilts_the_optimum() -> None:
    runs = table([0.0] * 2, [0.02, -0.02])
    far = np.abs(runs.x + 8) > 1.2
    other = SeedRuns(runs.x, runs.deviation + 0.3 * far * (runs.seed - 0.5), runs.scale, runs.seed)
    assert seed_tilts(other, np.array([-8.0]))[0] == pytest.approx([2 * 0.02**2])
    end = np.abs(np.abs(runs.x + 8) - 1.0) < 0.1  # these count
    other = SeedRuns(runs.x, runs.deviation * np.where(end, 2.0, 1.0), runs.scale, runs.seed)
    assert seed_tilts(other, np.array([-8.0]))[0][0] > 1.5 * 2 * 0.02**2


def test_one_seed_or_two_cells_show_no_tilt() -> None:
    nothing = [a.tolist() for a in no_tilts(1)]
    assert nothing == [[0.0], [0]]
    assert [a.tolist() for a in seed_tilts(table([0.0], [0.1]), np.array([-8.0]))] == nothing
    runs = table([0.0] * 2, [0.1, -0.1])
    two = np.where(np.abs(runs.x + 8.25) < 0.3, runs.deviation, np.nan)
    lost = SeedRuns(runs.x, two, runs.scale, runs.seed)
    assert [a.tolist() for a in seed_tilts(lost, np.array([-8.0]))] == nothing


def sd(tilt: float = 0.0, freedom: int = 0, curvature: float = 0.1, seeds: float = 1.0) -> float:
    (found,) = optimum_sd(*(np.array([v]) for v in (tilt, freedom, curvature, seeds)))
    return float(found)


def test_one_seed_moves_the_optimum_by_what_is_usual_and_more_in_a_flat_basin() -> None:
    assert 0.07 < sd() < 0.3
    assert sd(curvature=0.1) == pytest.approx(SEEDS.optimum_sd, rel=0.05)
    assert sd(seeds=4.0) == pytest.approx(sd() / 2)
    assert sd(seeds=0.0) == sd()
    assert 1.35 < sd(curvature=0.01) / sd() < 3.0
    assert sd(curvature=1.0) < sd(curvature=0.1) < sd(curvature=0.01)


@given(st.floats(0, 0.1), st.floats(0, 0.1), st.integers(1, 30), st.floats(0.01, 1))
def test_seeds_seen_to_move_it_by_more_make_it_less_certain(
    one: float, other: float, freedom: int, curvature: float
) -> None:
    low, high = sorted((one, other))
    assert sd(low**2, freedom, curvature) <= sd(high**2, freedom, curvature) * (1 + 1e-9)
    assert sd(0.0, freedom, curvature) < sd(curvature=curvature)


def test_what_is_seen_counts_by_its_seeds_beside_what_is_usual() -> None:
    usual = sd()
    # A tilt that moves the optimum by just what is usual changes nothing.
    assert sd((usual * 0.1) ** 2, 5) == pytest.approx(usual)
    assert 0.6 < sd(0.0, 4) / usual < 0.85
    assert sd(0.0, 400) / usual < 0.25
    assert sd((2 * usual * 0.1) ** 2, 10_000) == pytest.approx(2 * usual, rel=0.01)
    assert 2.5 < sd(100.0, 10_000) / usual < 6.0  # no scale counts for more than that


def test_all_scales_with_seeds_speak_for_those_with_one() -> None:
    arrays = np.array([0.04, 0.0]), np.array([6, 0]), np.array([0.1, 0.1]), np.array([3.0, 1.0])
    with_seeds, alone = optimum_sd(*arrays)
    assert alone > 1.3 * sd()
    assert with_seeds == pytest.approx(alone / np.sqrt(3))


def test_sums_of_squares_are_made_whole_where_effects_were_taken_off() -> None:
    """An effect learned from m cells takes one m-th of the scatter with it."""
    found = freedom_lost(np.array([3.0, 9.0, 9.0, 0.0]), np.array([True, True, False, False]))
    assert found == pytest.approx([1.5, 9 / 8, 1.0, 1.0])


def test_noise_is_known_beside_the_effects_of_seeds() -> None:
    rng = np.random.default_rng(5)
    x, seeds = np.arange(9.0), np.arange(3)
    noise, offset = 0.01 * rng.standard_normal((200, 9, 3)), 0.1 * rng.standard_normal((200, 1, 3))
    squares = []
    for loss in 3.0 + noise + offset:
        table = SweepTable(
            np.full(27, "v"),
            np.full(27, 64.0),
            2.0 ** np.repeat(x, 3),
            np.tile(seeds, 9).astype(str),
            loss.ravel(),
        )
        cells = next(iter(cells_of(table)))
        squares.append(cells.spread.sum() / (9 * 2))
    assert np.sqrt(np.mean(squares)) == pytest.approx(0.01, rel=0.06)
