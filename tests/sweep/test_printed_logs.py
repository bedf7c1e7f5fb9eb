"""Printed logs: a line a run, or a file a run."""

import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read
from hptransfer.sweep.printed_logs import pairs_of, read_lines

RUN = "[{i:02d}:00] INFO done | width={n} lr={lr:g}, final_loss={loss} seed=0\n"


def test_pairs_of_a_line():
    assert pairs_of("a: 1, b = 2; {'c': '3'}") == {"a": "1", "b": "2", "c": "3"}
    assert pairs_of("Overriding: n_embd = 128") == {"n_embd": "128"}
    assert pairs_of("10:30:00 nothing is said") == {}


@pytest.mark.parametrize("name", ["sweep.out", "sweep.log", "sweep.txt", "sweep"])
def test_lines_that_name_what_they_say(write, right, runs, name):
    text = "starting\nlr warms up\n" + "".join(
        RUN.format(i=i, n=n, lr=lr, loss=loss) + "saved\n" for i, (n, lr, loss) in enumerate(runs)
    )
    right(read(write(text, name)))


def test_a_single_line_or_one_that_lacks_a_name_is_no_run():
    assert read_lines("width=1 lr=2 loss=3\n", "x") is None
    assert read_lines("width=1 loss=3\nwidth=2 loss=3\n", "x") is None


NANO = """Overriding: n_embd = {n}
Overriding: learning_rate = {lr:g}
step 0: train loss 9.1, val loss 9.2
iter 0: loss 9.1234, time 12.3ms
step 500: train loss {train}, val loss {loss}
iter 500: loss 1.0, time 12.3ms
"""


def test_a_log_a_run(tmp_path, right, runs):
    for i, (n, lr, loss) in enumerate(runs):
        (tmp_path / f"run{i}.log").write_text(NANO.format(n=n, lr=lr, loss=loss, train=loss - 0.1))
    sweep = read(tmp_path)
    right(sweep)
    assert "printed logs" in sweep.notes[0]
    assert sweep.columns.loss == "val_loss"
    assert max(read(tmp_path, take="mean:2").loss) > 6


def test_a_log_that_ends_in_nan_diverged(tmp_path, runs):
    for i, (n, lr, loss) in enumerate(runs):
        text = NANO.format(n=n, lr=lr, loss="nan" if i == 2 else loss, train=1.0)
        (tmp_path / f"w{n}_lr{lr:g}.txt").write_text(text)
    assert read(tmp_path).diverged.sum() == 1


def test_logs_without_losses_are_refused_with_the_way_out(tmp_path):
    (tmp_path / "a.log").write_text("nothing\n")
    with pytest.raises(SweepError, match="--extract"):
        read(tmp_path)
