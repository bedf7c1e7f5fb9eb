"""A logged run: its settings, its last values, its curves; many of them as a table."""

import math

import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep.runs import LoggedRun, curves_of, has_steps, table_of_runs


def test_a_run_as_a_row():
    run = LoggedRun(
        "a/b", {"config": {"lr": 0.1, "width": 64}}, {"val/loss": [3.0, 2.0, 2.5], "acc": [0.1, 0.4]}
    )
    assert run.record(None) == {
        "run": "a/b",
        "config.lr": 0.1,
        "config.width": 64,
        "val/loss": 2.5,
        "acc": 0.4,
    }
    assert run.record("best")["val/loss"] == 2.0
    assert run.record("best")["acc"] == 0.4  # what is taken of a loss is not taken of others
    assert run.record("mean:2")["val/loss"] == 2.25


def test_of_a_schedule_the_peak_is_the_learning_rate():
    curves = {"learning_rate": [0.0, 0.1, 0.05], "loss": [3.0, 2.0]}
    assert LoggedRun("a", {}, curves).record(None)["learning_rate"] == 0.1
    assert (
        LoggedRun("a", {"learning_rate": 0.2}, curves).record(None)["learning_rate"] == 0.2
    )  # as it was set


def test_a_curve_does_not_replace_a_setting_of_its_name():
    record = LoggedRun("a", {"loss": "cross_entropy"}, {"loss": [2.0]}).record(None)
    assert record == {"run": "a", "loss": "cross_entropy", "metrics.loss": 2.0}


def test_curves_of_rows_that_lack_values():
    rows = [
        {"loss": 3, "eval": {"loss": None}},
        {"loss": "", "eval": {"loss": "nan"}},
        {"note": "x", "loss": "2"},
    ]
    curves = curves_of(rows)
    assert curves["loss"] == [3.0, 2.0]
    assert math.isnan(curves["eval.loss"][0])
    assert set(curves) == {"loss", "eval.loss"}


def test_runs_as_a_table():
    table = table_of_runs([LoggedRun("a", {"lr": 1}), LoggedRun("b", {"width": 2})], "here", None)
    assert table.columns == {"run": ["a", "b"], "lr": [1, None], "width": [None, 2]}
    assert table.of_runs
    assert table.place(1) == "row 2 of here"
    with pytest.raises(SweepError, match="at least one run"):
        table_of_runs([], "here", None)


@pytest.mark.parametrize(
    ("names", "are"), [(["step", "loss"], True), (["Epoch"], True), (["lr", "loss"], False)]
)
def test_steps_are_known_by_their_names(names, are):
    assert has_steps(names) == are
