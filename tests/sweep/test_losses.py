import numpy as np
import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read

NAN = float("nan")


def table(losses, **more):
    return {
        "width": [64] * len(losses),
        "lr": [0.1 * 2**i for i in range(len(losses))],
        "loss": losses,
        **more,
    }


@pytest.mark.parametrize("text", ["—", ">10", "> 1e3", "≥ 12", "exploded", "DIV", "✗", "unstable"])
def test_words_of_divergence_are_said(text):
    sweep = read(table(["3.0", text]))
    np.testing.assert_array_equal(sweep.loss, [3.0, NAN])
    assert sweep.notes == (f"runs count as diverged where loss is {text} (1)",)


@pytest.mark.parametrize("text", ["OOM", "failed", "timeout"])
def test_runs_that_failed_are_left_out_and_said(text):
    sweep = read(table(["3.0", text, "2.0"]))
    assert sweep.loss.tolist() == [3.0, 2.0]
    assert f"left out where loss is {text} (1)" in sweep.notes[0]


def test_broken_runs_that_diverged_are_kept_and_others_left_out():
    states = ["finished", "crashed", "crashed", "running", "finished"]
    sweep = read(table([3.0, NAN, 5.0, 4.0, 2.0], State=states))
    np.testing.assert_array_equal(sweep.loss, [3.0, NAN, 2.0])
    assert "counted as diverged: 1 run with State crashed and no loss" in sweep.notes
    assert len(read(table([3.0, NAN, 5.0, 4.0, 2.0], State=states), where="State != none")) == 5


def test_nothing_finished_is_an_error():
    with pytest.raises(SweepError, match="at least one run must have finished"):
        read(table(["OOM", "OOM"]))


def test_an_unknown_word_is_an_error_with_the_way_out():
    with pytest.raises(
        SweepError, match="row 1 of the mapping has loss=oops; leave such rows out with --where"
    ):
        read(table(["3", "oops"]))
