"""Charts as W&B exports them: a column for every run."""

import pytest

from hptransfer.sweep import read


def chart(runs, metric="val/loss", steps=4, ends=("", "__MIN", "__MAX")):
    names = [f"mup-w{n}-lr{lr:g} - {metric}{end}" for n, lr, _ in runs for end in ends]
    lines = ["Step," + ",".join(f'"{name}"' for name in names)]
    for step in range(steps):
        cells = [f"{loss + steps - 1 - step:g}" for _, _, loss in runs for _ in ends]
        lines.append(f"{step},{','.join(cells)}")
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("ends", [("",), ("", "__MIN", "__MAX")])
def test_every_run_has_its_last_value(write, right, runs, ends):
    sweep = read(write(chart(runs, ends=ends)))
    right(sweep)
    assert any("chart of 9 runs" in note for note in sweep.notes)


def test_what_is_taken(write, right, runs):
    right(read(write(chart(runs)), take="mean:2"), [(n, lr, loss + 0.5) for n, lr, loss in runs])


def test_steps_at_which_a_run_logged_nothing_are_no_divergence(write, right, runs):
    lines = chart(runs, ends=("",)).splitlines()
    lines.insert(-1, lines[-1])  # the runs stop at different steps
    lines[-1] = "9," + "," * (len(runs) - 1)
    right(read(write("\n".join(lines) + "\n")))


def test_a_run_that_ends_in_nan_diverged(write, runs):
    text = chart(runs, ends=("",)) + "9," + ",".join(["NaN"] + [""] * (len(runs) - 1)) + "\n"
    assert read(write(text)).diverged.tolist() == [True] + [False] * 8


def test_a_chart_of_something_else_is_no_sweep(write, runs):
    with pytest.raises(Exception, match="no column"):
        read(write(chart(runs, metric="accuracy")))
