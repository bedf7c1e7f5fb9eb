import json

import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read


def of(runs, *keys):
    names = ("width", "lr", "loss")
    return [{key: row[names.index(key)] for key in keys or names} for row in runs]


def by_width(runs, make):
    return {f"{w}": make([row for row in runs if row[0] == w]) for w in dict.fromkeys(row[0] for row in runs)}


def lists(rows):
    return {"lrs": [row[1] for row in rows], "losses": [row[2] for row in rows]}


def by_lr(rows, label=""):
    return {f"{label}{lr}": loss for _, lr, loss in rows}


NAMES = ["width", "lr", "loss"]
SHAPES = {
    "records": of,
    "columns": lambda runs: {name: [row[i] for row in runs] for i, name in enumerate(NAMES)},
    "split": lambda runs: {"columns": NAMES, "index": list(range(9)), "data": list(map(list, runs))},
    "table": lambda runs: {"schema": {"fields": []}, "data": of(runs)},
    "list under a key": lambda runs: {"best_lr": 0.002, "results": of(runs)},
    "dict of runs": lambda runs: {
        f"w{w}_lr{lr}": {"width": w, "lr": lr, "test_loss": x} for w, lr, x in runs
    },
    "dict of losses": lambda runs: {f"w{w}_lr{lr}": x for w, lr, x in runs},
    "nested": lambda runs: [
        {"config": {"model": {"d_model": w}, "lr": lr}, "summary": {"val": {"loss": x}}} for w, lr, x in runs
    ],
    "width > lr": lambda runs: by_width(runs, by_lr),
    "d64 > lr=": lambda runs: {
        f"d{w}": v for w, v in by_width(runs, lambda rows: by_lr(rows, "lr=")).items()
    },
    "width > lists": lambda runs: by_width(runs, lists),
    "lrs beside": lambda runs: {
        "lrs": [0.001, 0.002, 0.004],
        "widths": by_width(runs, lambda rows: lists(rows)["losses"]),
    },
    "width and runs": lambda runs: [
        {"width": int(w), "runs": v} for w, v in by_width(runs, lambda rows: of(rows, "lr", "loss")).items()
    ],
    "list of lists": lambda runs: [NAMES, *map(list, runs)],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_runs_in_the_shapes_people_write(runs, right, write, shape):
    right(read(write(json.dumps(SHAPES[shape](runs)), "runs.json")))


@pytest.mark.parametrize("shape", ["width > lists", "width > lr", "records", "lrs beside"])
def test_variants_above_them_are_kept(runs, write, shape):
    sweep = read(write(json.dumps({"sp": SHAPES[shape](runs), "mup": SHAPES[shape](runs)}), "runs.json"))
    assert (sweep.variants, len(sweep)) == (("sp", "mup"), 18)


@pytest.mark.parametrize(
    ("data", "says"),
    [({}, "has no rows"), ([1], "row 0 of .* is 1"), ([["a", "b"], [1]], "every row must have a value"),
     ({"a": 1}, "has no rows"), (3, "must hold a list of runs")],
)  # fmt: skip
def test_what_holds_no_runs_is_refused(write, data, says):
    with pytest.raises(SweepError, match=says):
        read(write(json.dumps(data), "runs.json"))


def test_deep_nesting_ends(write):
    text = '{"a":' * 60 + "1" + "}" * 60
    with pytest.raises(SweepError, match=r"deeper than 12|no rows|no column"):
        read(write(text, "runs.json"))
