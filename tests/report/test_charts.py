import numpy as np
import pytest

from hptransfer.quantify.result import Estimate
from hptransfer.report import charts

SCALES = [32.0, 48.0, 64.0, 96.0, 128.0, 1024.0]


@pytest.mark.parametrize("octaves", [5.4, 10.0, 20.0])
def test_tick_labels_do_not_touch(octaves: float) -> None:
    low = 4.8
    kept = charts.tick_labels(SCALES, low, low + octaves)
    assert {"32", "1,024"} <= {label for _, label in kept}
    gaps = np.diff([at for at, _ in kept]) / octaves * 38
    letters = [len(label) for _, label in kept]
    assert all(gap >= (a + b) / 2 + 1 for gap, a, b in zip(gaps, letters, letters[1:], strict=False))


def test_a_wide_axis_labels_every_scale() -> None:
    kept = charts.tick_labels(SCALES, 4.9, 4.9 + 5.2 / 4)  # four times as much room as the scales take
    assert [label for _, label in kept] == ["32", "48", "64", "96", "128", "1,024"]
    assert [at for at, _ in kept] == pytest.approx(np.log2(SCALES))


def test_error_bars_are_lengths_and_zero_where_a_limit_is_not_known() -> None:
    items = [Estimate(2.0, 1.5, 4.0), Estimate(2.0, None, 3.0), Estimate(2.0, -np.inf, 2.5), Estimate()]
    assert charts.error_bars(items).tolist() == [[0.5, 0.0, 0.0, 0.0], [2.0, 1.0, 0.5, 0.0]]
    assert charts.error_bars([]).shape == (2, 0)


def test_an_error_bar_never_points_backwards() -> None:
    assert charts.error_bars([Estimate(2.0, 2.1, 3.0)]).tolist() == [[0.0], [1.0]]
