import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hptransfer.runs.divergence import diverged_step, divergence, ends_diverged
from hptransfer.sweep.table import SweepTable

NAN = math.nan


def test_the_step_golden() -> None:
    assert diverged_step([5.0, 4.0, 3.0]) is None
    assert diverged_step([5.0, NAN, NAN]) == 1
    assert diverged_step([5.0, math.inf, 4.0]) == 1
    up = np.full(60, 5.5)
    up[0] = 5.0
    assert diverged_step(up) == 1
    up[53] = 4.9  # six steps above since then, a tenth of sixty
    assert diverged_step(up) == 54
    up[54] = 5.0  # as high as the start is not above it
    assert diverged_step(up) is None
    assert diverged_step([5.0, 5.5, 5.5, 5.5, 5.5]) is None  # four losses are too few to tell
    assert diverged_step([5.0, 5.5, 5.5, 5.5, 5.5, 5.5]) == 1
    assert diverged_step([5.0]) is None
    assert diverged_step([]) is None


def test_a_tenth_of_the_steps_is_rounded_up() -> None:
    up = np.full(61, 5.5)
    up[[0, 54]] = 5.0  # six losses above, a tenth of 61 is seven
    assert diverged_step(up) is None
    up[[54, 53]] = 5.5, 5.0
    assert diverged_step(up) == 54


def test_the_start_is_the_loss_at_initialisation_where_it_is_known() -> None:
    curve = [5.0, *[5.5] * 9]
    assert diverged_step(curve) == 1
    assert diverged_step(curve, initial_loss=NAN) == 1
    assert diverged_step(curve, initial_loss=5.5) is None
    assert diverged_step(curve, initial_loss=4.0) == 0


def test_a_thinned_curve_is_judged_by_its_steps() -> None:
    steps = [0, 10, 20, 30, 40, 50, 51, 52, 53, 54]
    curve = [5.0, 4.0, 4.0, 4.0, 4.9, 5.5, 5.5, 5.5, 5.5, 5.5]
    assert diverged_step(curve, steps) == 50
    wide = [*range(0, 1000, 100), *range(901, 906), 1000]
    assert diverged_step([5.0] * 10 + [5.5] * 6, wide) is None  # 100 steps above since step 900, of 1001
    assert diverged_step([5.0] * 9 + [5.5] * 7, wide) == 900
    assert diverged_step([7.0, 6.0, math.inf], [0, 10, 20]) == 20


@given(st.lists(st.floats(1, 10), min_size=1, max_size=60), st.integers(0, 59))
def test_a_loss_that_comes_back_down_is_not_diverged(losses: list[float], last: int) -> None:
    values = np.array(losses)
    values[-1] = values[0]
    assert diverged_step(values) is None
    values[min(last, len(values) - 1)] = NAN
    assert diverged_step(values) == min(last, len(values) - 1)


@given(st.lists(st.floats(1, 10), min_size=1, max_size=200), st.floats(1, 10))
def test_thinning_every_other_step_moves_the_step_by_one_at_most(losses: list[float], start: float) -> None:
    curve = np.repeat(losses, 2)  # each loss twice: a thinned curve has seen every level
    whole, thin = diverged_step(curve, None, start), diverged_step(curve[::2], range(0, len(curve), 2), start)
    if whole is not None and thin is not None:
        assert whole == thin


@pytest.mark.parametrize(
    ("loss", "initial", "expected"),
    [(5.0, 6.0, False), (6.0, 6.0, False), (6.1, 6.0, True), (6.1, None, False), (6.1, NAN, False)],
)
def test_a_final_loss_above_the_initial_one_is_diverged(
    loss: float, initial: float | None, expected: bool
) -> None:
    assert bool(ends_diverged(loss, initial)) is expected
    assert divergence(loss, initial) == (expected, None)


@pytest.mark.parametrize("loss", [NAN, math.inf, -math.inf])
def test_a_final_loss_that_is_not_finite_is_diverged(loss: float) -> None:
    assert divergence(loss) == (True, None)


def test_a_run_is_diverged_where_its_curve_is_though_its_final_loss_is_not() -> None:
    assert divergence(4.0, 5.0, [5.0, *[5.5] * 9]) == (True, 1)


def test_a_sweep_table_counts_the_same_runs() -> None:
    loss, initial = [3.0, 6.1, NAN, 6.1], [6.0, 6.0, 6.0, NAN]
    table = SweepTable(
        np.array(["a"] * 4), np.full(4, 64.0), 2.0 ** np.arange(4), np.array(["0"] * 4), loss,
        {"initial_loss": initial},
    )  # fmt: skip
    assert table.diverged.tolist() == [divergence(a, b).diverged for a, b in zip(loss, initial, strict=True)]
    assert table.diverged.tolist() == [False, True, True, False]
