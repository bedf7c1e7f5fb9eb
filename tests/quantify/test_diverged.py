"""Every place that counts diverged runs counts the same rows of the table."""

import json
import re
from pathlib import Path

import pytest

import hptransfer as hpt
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.report.basin_chart import runs_of

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture(params=["initial_loss", "no_seed"], scope="module")
def fit(request):
    return hpt.quantify(hpt.read(str(GOLDEN / f"{request.param}.csv")), draws=100)


def test_json_terminal_and_optima_count_the_same_diverged_runs(fit):
    written = json.loads(fit.to_json())
    optima = [o for v in written["variants"].values() for o in v["optima"]]
    lost = int(fit.sweep.diverged.sum())
    assert lost > 0
    assert written["diverged"] == lost
    assert sum(o["diverged"] for o in optima) == lost
    assert int(re.search(r"(\d+) of them diverged", " ".join(fit.summary().split()))[1]) == lost
    assert written["runs"] == sum(o["runs"] for o in optima) == len(fit.sweep)


def test_figures_mark_the_hyperparameters_of_the_same_runs(fit):
    for name in fit.variants:
        rows = fit.sweep.select(name)
        for group in runs_of(fit, name):
            lost = rows.hp[(rows.scale == group.scale) & rows.diverged]
            assert group.diverged.size == len(set(lost.tolist()))


def table(loss, initial=None, copies=1, seed=""):
    extra = {} if initial is None else {"initial_loss": [initial] * len(loss) * copies}
    rows = len(loss) * copies
    hp = [2.0**-i for i in range(len(loss))] * copies
    return hpt.SweepTable(["v"] * rows, [64.0] * rows, hp, [seed] * rows, loss * copies, extra)


def test_runs_without_a_loss_are_nobodys_duplicates():
    (cells,) = cells_of(table([3.0, 2.0, float("nan")], copies=3))
    assert cells.duplicates == 4
    assert (cells.runs.tolist(), cells.diverged.tolist()) == ([9], [3])
    assert cells.count.tolist() == [[0, 1, 1]]
    assert cells.censored.tolist() == [[True, False, False]]


def test_a_loss_above_the_initial_one_is_censored_in_its_cell():
    (cells,) = cells_of(table([3.0, 2.0, 5.0], initial=4.0))
    assert cells.diverged.tolist() == [1]
    assert cells.censored.tolist() == [[True, False, False]]
