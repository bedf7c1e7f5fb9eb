import numpy as np
import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep.table import Columns, Source, SweepTable


def make(**changes):
    columns = {
        "variant": ["b", "b", "a"],
        "scale": [128, 64, 64],
        "hp": [0.1, 0.2, 0.1],
        "seed": ["1", "1", "2"],
        "loss": [3.0, np.inf, 2.5],
        "extra": {"tokens": [1, 2, 3]},
    }
    return SweepTable(**(columns | changes))


def test_columns_become_arrays_and_infinite_losses_diverge():
    sweep = make()
    assert sweep.scale.dtype == np.float64
    assert sweep.extra["tokens"].tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(sweep.loss[1])
    assert sweep.diverged.tolist() == [False, True, False]
    assert len(sweep) == 3


def test_a_loss_of_absurd_size_diverged():
    assert make(loss=[3.0, 3e38, -1e300]).diverged.tolist() == [False, True, True]
    assert make(loss=[3.0, 1e15, -5.0]).diverged.tolist() == [False, False, False]


def test_a_loss_above_the_runs_own_initial_loss_diverged():
    extra = {"initial_loss": [2.9, 9.0, np.nan]}
    assert make(extra=extra).diverged.tolist() == [True, True, False]
    assert repr(make(extra=extra)).startswith("SweepTable: 3 runs, 2 diverged")
    assert "loss: 2.5000 to 2.5000" in repr(make(extra=extra))


def test_variants_keep_their_order_and_scales_ascend():
    assert make().variants == ("b", "a")
    assert make().scales.tolist() == [64.0, 128.0]


def test_select_keeps_rows_extras_and_names():
    part = make(columns=Columns(hp="eta")).select("b")
    assert part.scale.tolist() == [128.0, 64.0]
    assert part.extra["tokens"].tolist() == [1.0, 2.0]
    assert part.columns.hp == "eta"
    with pytest.raises(SweepError, match="no variant 'c'; the sweep table has b, a"):
        make().select("c")


def test_to_frame_uses_the_users_names():
    frame = make(columns=Columns(scale="params", hp="wd")).to_frame()
    assert list(frame.columns) == ["variant", "params", "wd", "seed", "loss", "tokens"]
    assert frame["params"].tolist() == [128.0, 64.0, 64.0]


def test_repr_says_what_there_is():
    text = repr(make(source=Source("runs.csv"), notes=("mind the gap",)))
    assert text.splitlines() == [
        "SweepTable: 3 runs, 1 diverged, from runs.csv",
        "  variant: b, a",
        "  width: 64, 128",
        "  lr: 0.1, 0.2",
        "  loss: 2.5000 to 3.0000",
        "  also: tokens",
        "  note: mind the gap",
    ]
    assert "every run diverged" in repr(make(loss=[np.nan] * 3))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scale": [128, 0, 64]}, "width must be positive and finite, but row 1 has width=0"),
        ({"hp": [0.1, 0.2, np.inf]}, "lr must be positive and finite, but row 2 has lr=inf"),
        ({"hp": [0.1, np.nan, 0.1]}, "row 1 has lr=nan"),
        ({"seed": ["1"]}, "equal length"),
        ({"extra": {"tokens": [1.0]}}, "tokens"),
        ({"hp": ["a", "b", "c"]}, "column hp must be numeric"),
        ({"loss": 3.0}, "at least one run"),
    ],
)
def test_what_cannot_be_a_sweep(changes, message):
    with pytest.raises(SweepError, match=message):
        make(**changes)


def test_empty_sweep():
    with pytest.raises(SweepError, match="at least one run"):
        SweepTable(variant=[], scale=[], hp=[], seed=[], loss=[])
