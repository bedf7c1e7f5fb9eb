"""Where a window ends, to within a few per cent of every threshold."""

import numpy as np
import pytest
from known_sweeps import from_rows

from hptransfer.quantify.basin import window
from hptransfer.quantify.basin.cells import Cells, cells_of
from hptransfer.quantify.basin.window import noise_guess, select_window, select_windows


def cells(loss, spacing: float = 1.0, seeds: int = 1, spread: float = 0.0) -> Cells:
    """Cells `spacing` octaves apart; the first `seeds` of them have two runs, `spread` either side.

    No seed is in two cells: what it did to all of them would be its own effect and no noise.
    """
    rows = [("v", 64.0, 2.0 ** (spacing * i - 9), f"a{i}", y) for i, y in enumerate(loss)]
    if spread:
        rows = [(v, n, hp, s, y + spread if i < seeds else y) for i, (v, n, hp, s, y) in enumerate(rows)]
        rows += [(v, n, hp, f"b{s}", y - 2 * spread) for v, n, hp, s, y in rows[:seeds]]
    return next(iter(cells_of(from_rows(rows))))


def slots(loss, noise: float = 0.0, spacing: float = 1.0) -> list[int]:
    return list(select_window(cells(loss, spacing), 0, noise).slots)


def bowl(reach: int, height: float, spacing: float = 1.0) -> np.ndarray:
    return 3.0 + height * (spacing * np.arange(-reach, reach + 1)) ** 2


def test_the_window_reaches_3_octaves_or_two_cells() -> None:
    assert len(slots(bowl(12, 0.02, 0.45), spacing=0.45)) == 2 * 7 + 1  # 3.15 octaves, not 3.6
    assert len(slots(bowl(6, 0.01, 2.0), spacing=2.0)) == 2 * 2 + 1


def test_the_window_is_widened_where_its_ends_do_not_rise_above_the_noise() -> None:
    assert len(slots(bowl(6, 0.002), noise=0.0022)) == 2 * 3 + 1  # rises 0.018, more than 8 sd
    assert len(slots(bowl(6, 0.002), noise=0.0023)) == 2 * 4 + 1


@pytest.mark.parametrize(("noise", "least"), [(0.0, 0.03), (0.01, 0.055)])
def test_a_fall_after_a_climb_is_another_minimum(noise: float, least: float) -> None:
    for fall, last in ((least - 0.001, 4), (least + 0.001, 2)):
        loss = np.array([0.5, 0.0, 0.1, 0.1 - fall, 0.1])
        assert window._own_well(loss, 0, 1, 4, noise) == (0, last)


def test_a_side_that_climbs_by_less_than_it_did_is_a_shoulder() -> None:
    for slope, last in ((0.59, 3), (0.61, 4)):
        assert slots([3.5, 3.1, 3.0, 3.5, 3.5 + 0.5 * slope])[-1] == last
    for noise, last in ((0.0215, 3), (0.0225, 4)):  # a slope of 0.4 might be 0.6 for its noise
        assert slots([4.0, 3.5, 3.0, 3.5, 3.7], noise)[-1] == last


@pytest.mark.parametrize(
    ("bends", "rise", "across", "cliff"),
    [
        ([1.0, 7.9], [0.0, 1.0, 1.9], 0.0, False),
        ([1.0, 8.1], [0.0, 1.0, 1.9], 0.0, True),
        ([1.0, 3.9], [0.0, 1.0, 2.1], 0.0, False),
        ([1.0, 4.1], [0.0, 1.0, 2.1], 0.0, True),
        ([1.0, 4.1], [0.0, 1.0, 1.9], 0.0, False),
        ([1.0, 4.1], [0.0, 1.0, 2.1], 1.1, False),  # the other side climbs as high
        ([0.001, 0.095], [0.0, 0.01, 0.2], 0.0, False),
        ([0.001, 0.105], [0.0, 0.01, 0.2], 0.0, True),
    ],
)
def test_a_cliff_is_steep_and_high(bends: list[float], rise: list[float], across: float, cliff: bool) -> None:
    assert window._cliff(np.array(bends), np.array(rise), across) == (1 if cliff else 2)


@pytest.mark.parametrize(
    ("crest", "second", "noise", "told"),
    [
        (0.1, 0.014, 0.0, True),
        (0.1, 0.016, 0.0, False),
        (0.2, 0.044, 0.01, True),
        (0.2, 0.046, 0.01, False),
        (0.0115, 0.001, 0.0, True),
        (0.0105, 0.001, 0.0, False),  # no clear crest in between
        (0.037, 0.001, 0.01, True),
        (0.035, 0.001, 0.01, False),
    ],
)
def test_a_second_minimum_nearly_as_low_is_told(
    crest: float, second: float, noise: float, told: bool
) -> None:
    loss = 3.0 + np.array([0.5, 0.25, 0.0, crest, second, 0.25, 0.5])
    assert ("two_minima" in select_window(cells(loss), 0, noise).flags) is told


def test_noise_is_that_of_seeds_where_there_are_five_runs_to_spare() -> None:
    parabola = bowl(4, 0.1)
    assert noise_guess(cells(parabola, seeds=4, spread=0.01)) == pytest.approx(0.0, abs=2e-3)
    # Two runs 0.02 apart: variance 2 x 0.01^2 of one, half of that of their mean.
    known = cells(parabola, seeds=9, spread=0.01)
    assert noise_guess(known) == pytest.approx(0.01)


def test_without_seeds_noise_is_that_of_third_differences_within_four_cells() -> None:
    at = np.arange(-8, 9)
    loss = 3.0 + 0.02 * at**2 + 0.001 * np.isin(at, (-4, 3)) - 0.001 * np.isin(at, (-3, 4))
    third = np.abs(np.convolve(loss[4:13], [1.0, -3.0, 3.0, -1.0], "valid")) / np.sqrt(20)
    assert noise_guess(cells(loss)) == pytest.approx(np.percentile(third, 25) / 0.3186)
    assert noise_guess(cells(loss)) > 0


def two_minima(second: float, *, scales: int = 4, slope: int = -1, apart: int = 3, off: float = 0.0) -> Cells:
    """Clear basins whose lowest cells move `slope` cells a doubling, and a last scale with two minima.

    The second lies `off` octaves left of the line of the others, the lowest `apart` cells further right.
    """
    rows = []
    for k in range(scales):
        best, shift = 8 + slope * k, off
        loss = 3.0 + 0.05 * (np.arange(16) - best) ** 2
        if k == scales - 1:
            loss, shift = np.full(16, 3.4), 0.0
            loss[best - 1 : best + 2] = np.array([3.1, 3.0, 3.1]) + second
            loss[best + apart : best + apart + 2] = 3.0, 3.1
        rows += [("v", 64.0 * 2**k, 2.0 ** (i - 12 + shift), "0", y) for i, y in enumerate(loss)]
    return next(iter(cells_of(from_rows(rows))))


@pytest.mark.parametrize("slope", [-1, 1])
def test_of_two_minima_that_on_the_line_of_the_other_scales_is_taken(slope: int) -> None:
    for second, best in ((0.01, 8 + 3 * slope), (0.016, 8 + 3 * slope + 3)):
        found = select_windows(two_minima(second, slope=slope))
        assert [w.best for w in found[:3]] == [8, 8 + slope, 8 + 2 * slope]
        assert found[3].best == best
    few = two_minima(0.01, scales=3)  # two clear scales tell no line
    assert select_windows(few)[2].best == int(np.argmin(few.loss[2]))


@pytest.mark.parametrize(("noise", "height"), [(0.0, 0.006), (0.001, 0.0072)])
def test_a_minimums_height_counts_against_its_place(
    noise: float, height: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """0.8 octaves from the line against 1.2: worth 0.4 of the height at which minima are rivals."""
    monkeypatch.setattr(window, "noise_guess", lambda cells: noise)
    for second, best in ((height - 0.0005, 5), (height + 0.0005, 7)):
        assert select_windows(two_minima(second, apart=2, off=0.8))[3].best == best


def test_what_diverged_walls_the_range_off() -> None:
    loss = [3.5, float("nan"), 3.1, 3.0, 3.2, float("nan"), 3.3]
    found = select_window(cells(loss), 0)
    assert list(found.slots) == [2, 3, 4]
    assert (found.low, found.high) == (-7.0, -5.0)
    lone = select_window(cells([3.5, float("nan"), 3.0, float("nan"), 3.6]), 0)
    assert (lone.flags, lone.low, lone.high, len(lone.slots)) == (("thin",), -8.0, -6.0, 0)
    gone = select_window(cells([float("nan")] * 3), 0)
    assert (gone.flags, gone.low, gone.high) == (("all_diverged",), -np.inf, np.inf)


@pytest.mark.parametrize(
    ("loss", "edge", "low", "high"),
    [
        ([3.0, 3.1, 3.2], -1, -np.inf, -8.0),
        ([float("nan"), 3.0, 3.1, 3.2], -1, -9.0, -7.0),
        ([3.2, 3.1, 3.0], 1, -8.0, np.inf),
        ([3.2, 3.1, 3.0, float("nan")], 1, -8.0, -6.0),
    ],
)
def test_an_edge_bounds_the_optimum_by_its_neighbours(
    loss: list[float], edge: int, low: float, high: float
) -> None:
    found = select_window(cells(loss), 0)
    assert (found.edge, found.low, found.high, found.flags) == (edge, low, high, ("at_edge",))
    assert len(found.slots) == 0
