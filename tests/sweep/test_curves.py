import math

import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read
from hptransfer.sweep.curves import loss_of_curve


def test_final_best_and_smoothed():
    curve = [4.0, 2.0, 2.5, 3.0]
    assert [loss_of_curve(curve, take) for take in (None, "final", "best", "mean:2", "mean:99")] == [
        3,
        3,
        2,
        2.75,
        2.875,
    ]
    assert all(math.isnan(loss_of_curve([4.0, math.inf], take)) for take in ("final", "best", "mean:1"))


LOG = "width,lr,step,loss\n64,0.1,20,3\n64,0.1,10,2.5\n64,0.2,10,4\n64,0.2,20,nan\n"


def test_a_row_for_every_step_becomes_one_for_every_run(write):
    sweep = read(write(LOG), take="final")
    assert sweep.loss.tolist()[0] == 3
    assert (len(sweep), sweep.diverged.tolist()) == (2, [False, True])
    assert read(write(LOG), take="best").loss.tolist()[0] == 2.5


@pytest.mark.parametrize("take", ["last", "mean", "mean:0", "mean:x", "best:2"])
def test_other_words_are_refused(write, take):
    with pytest.raises(SweepError, match=r"--take must be final, best or mean:K"):
        read(write(LOG), take=take)


def test_a_table_without_steps_is_refused(write):
    with pytest.raises(SweepError, match="needs a column of steps or epochs"):
        read(write("width,lr,loss\n64,0.1,3\n"), take="best")
