import numpy as np
import pytest
from joint_sweeps import decayed, two_hps

from hptransfer.errors import QuantifyError
from hptransfer.quantify.joint.points import axes_of, hyperparameters, points_of, windows
from hptransfer.sweep.table import SweepTable


def points(sweep):
    values = hyperparameters(sweep, sweep.hps)
    return points_of(sweep, "a", values, axes_of(sweep.hps, values))


def table(**columns):
    n = len(columns["loss"])
    plain = {"variant": ["a"] * n, "seed": [""] * n, "scale": [1.0] * n, "hp": np.geomspace(1, 9, n)}
    extra = {k: np.array(v, dtype=float) for k, v in columns.items() if k not in ("loss", *plain)}
    return SweepTable(**{**plain, **{k: v for k, v in columns.items() if k in ("loss", *plain)}}, extra=extra)


def test_every_run_has_its_place():
    found = points(two_hps())
    assert found.x.shape == (4, 56, 2)
    assert found.real.all()
    assert (found.count == 1).all()


def test_repeats_are_averaged_and_a_diverged_one_takes_the_point_out():
    sweep = table(
        hp=[1, 1, 2, 2, 4], wd=[1, 1, 2, 2, 4], loss=[2.0, 4.0, 3.0, np.nan, 5.0], seed=list("01010")
    )
    values = hyperparameters(sweep, ("lr", "wd"))
    found = points_of(sweep, "a", values, axes_of(("lr", "wd"), values))
    assert found.count.tolist() == [[2, 0, 1]]
    np.testing.assert_allclose(found.loss[0], [3.0, np.nan, 5.0])
    assert found.diverged.tolist() == [1]


def test_zero_stands_two_octaves_left_of_the_smallest_positive_value():
    found = points(decayed())
    axes = found.axes
    assert axes.zero.tolist() == [False, True]
    assert axes.place(np.array([1.0, 0.0]))[1] == -8.0
    assert set(np.unique(found.x[found.at_zero[..., 1]][:, 1])) == {-8.0}
    back = axes.value(1, np.array([-8.0, -7.2, -6.5, -3.0]))
    np.testing.assert_allclose(back, [0, 0, 2**-6.5, 2**-3.0])
    assert axes.value(0, np.array(-20.0)) == 2.0**-20  # a learning rate was never 0


def test_without_a_zero_small_values_stay_what_they_are():
    axes = points(decayed(zero=False)).axes
    assert axes.value(1, np.array(-20.0)) == 2.0**-20


@pytest.mark.parametrize(
    ("columns", "names", "words"),
    [
        ({"wd": [1, 1, 1, 1]}, ("lr", "wd"), "wd must take at least 3 values"),
        ({"wd": [1, 2, 1, 2]}, ("lr", "wd"), "these runs have 1, 2"),
        ({"wd": [1, 2, -3, 2]}, ("lr", "wd"), "wd must be positive or zero, but row 2 has wd=-3"),
        ({"wd": [1, np.nan, 3, 2]}, ("lr", "wd"), "1 of 4 runs have none, the first of them row 1"),
        ({"wd": [1, np.inf, 3, 2]}, ("lr", "wd"), "must be a number in every run"),
        ({"wd": [1, 2, 3, 4]}, ("lr", "decay"), "got 'decay'; valid: lr, wd"),
        ({"wd": [1, 2, 3, 4]}, ("lr",), "two or three hyperparameters"),
        ({"wd": [1, 2, 3, 4]}, ("lr", "lr"), "different columns"),
        ({"wd": [1, 2, 3, 4]}, ("lr", "wd", "a", "b"), "two or three"),
    ],
)
def test_bad_columns_are_told_in_a_line(columns, names, words):
    with pytest.raises(QuantifyError) as error:
        hyperparameters(table(loss=[1.0, 2, 3, 4], **columns), names)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_runs_far_above_the_lowest_do_not_count():
    sweep = two_hps()
    loss = sweep.loss.copy()
    worst = np.argmax(np.where(sweep.scale == 128, loss, 0))
    found = windows(points(sweep))
    assert 12 <= found.sum(axis=1).min() < 56
    assert not found[0][np.isclose(points(sweep).loss[0], loss[worst])].any()


def test_a_scale_whose_points_lie_on_a_line_does_not_count():
    n = 30
    line = np.geomspace(1, 1000, n)
    sweep = table(hp=line, wd=line, loss=np.linspace(2, 3, n))
    values = hyperparameters(sweep, ("lr", "wd"))
    assert not windows(points_of(sweep, "a", values, axes_of(("lr", "wd"), values))).any()


def test_some_of_the_scales_are_taken():
    cut = points(two_hps()).take(np.arange(2))
    assert cut.scale.tolist() == [128, 256]
    assert cut.x.shape[0] == cut.loss.shape[0] == cut.runs.shape[0] == 2
