"""Where a basin ends: shoulders before another well, and which of two minima is the basin's."""

import numpy as np
import pytest
from known_sweeps import from_rows

from hptransfer.fit import quantify
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.window import select_window


def slots(losses: list[float], noise: float = 0.001) -> list[int]:
    rows = [("v", 64.0, 2.0 ** (i - 12), "0", loss) for i, loss in enumerate(losses)]
    return list(select_window(next(iter(cells_of(from_rows(rows)))), 0, noise).slots)


def test_a_side_that_flattens_is_cut_where_it_does() -> None:
    parabola = [0.1 * (i - 3) ** 2 + 3 for i in range(7)]
    assert slots([4.6, *parabola, 4.6]) == [1, 2, 3, 4, 5, 6, 7]  # the window alone
    assert slots([*parabola[:5], 3.13, 3.15]) == [0, 1, 2, 3, 4]  # the right side climbs, then hardly
    assert slots([3.15, 3.13, *parabola[2:]]) == [2, 3, 4, 5, 6]


def test_noise_does_not_make_a_shoulder() -> None:
    parabola = [0.1 * (i - 3) ** 2 + 3 for i in range(7)]
    assert slots([*parabola[:5], 3.37, 3.9], noise=0.03) == [0, 1, 2, 3, 4, 5, 6]


@pytest.mark.parametrize("lone", [-6.0, -14.0])
def test_a_lucky_run_at_the_edge_does_not_carry_the_optimum_away(lone: float) -> None:
    rows = []
    for k, n in enumerate((64.0, 128.0, 256.0, 512.0, 1024.0)):
        for x in np.arange(-14.0, -5.5, 0.5):
            loss = 3.0 - 0.1 * k + 0.01 * (x + 10) ** 2
            if k == 4:
                if not -12.0 <= x <= -8.0 and x != lone:
                    continue
                if x == lone:
                    loss = 3.0 - 0.1 * k - 0.004
            rows.append(("v", n, 2.0**x, "0", loss))
    optimum = quantify(from_rows(rows), draws=200, holdout=0).variants["v"].optima[4]
    assert np.log2(optimum.hp.value) == pytest.approx(-10.0, abs=0.3)
