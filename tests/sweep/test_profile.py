import numpy as np

from hptransfer.sweep import read


def test_profile_keeps_the_best_level_of_each_cell():
    nan = float("nan")
    columns = {
        "width": [64] * 6,
        "lr": [0.1, 0.1, 0.1, 0.2, 0.2, 0.4],
        "wd": [0, 0.1, 0.2, 0, 0.1, 0],
        "loss": [3.0, 2.0, 2.5, nan, 4.0, nan],
    }
    sweep = read(columns, profile="wd")
    assert sweep.hp.tolist() == [0.1, 0.2, 0.4]
    np.testing.assert_array_equal(sweep.loss, [2.0, 4.0, nan])
    assert sweep.extra["wd"].tolist() == [0.1, 0.1, 0.0]
    assert "wd is profiled out: each run is the best of 1 to 3 levels" in sweep.notes[0]


def test_profile_lets_seeds_compete_only_with_themselves():
    columns = {"width": [64] * 4, "lr": [0.1] * 4, "wd": [0, 1, 0, 1], "loss": [1.0, 2.0, 4.0, 3.0]}
    assert read(columns | {"seed": [0, 0, 1, 1]}, profile="wd").loss.tolist() == [1.0, 3.0]
    assert read(columns, profile="wd").loss.tolist() == [1.0, 3.0]
