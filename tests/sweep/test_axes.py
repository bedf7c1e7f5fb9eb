import numpy as np
import pytest

import hptransfer as hpt
from hptransfer.errors import SweepError

ROWS = [
    {"N": n, "model.tokens": d, "bs": b, "lr": lr, "loss": 3.0 + 0.01 * b + lr}
    for n in ("60M", "120M")
    for d in ("1B", "2B")
    for b in (1, 2)
    for lr in (0.1, 0.2)
]


@pytest.mark.parametrize("scale", ["N,model.tokens", ["N", "tokens"], "N, tokens"])
def test_axes_are_numbers_under_the_users_names(scale: str | list[str]) -> None:
    sweep = hpt.read(ROWS, scale=scale, hp="lr")
    first, second = sweep.axes
    assert first == "N" == sweep.columns.scale
    assert np.unique(sweep.scale).tolist() == [6e7, 1.2e8]
    assert np.unique(sweep.extra[second]).tolist() == [1e9, 2e9]


def test_runs_at_different_places_of_an_axis_are_no_replicates() -> None:
    assert not any("model.tokens" in note for note in hpt.read(ROWS, scale="N,tokens").notes)
    assert any("'bs'" in note for note in hpt.read(ROWS, scale="N,tokens").notes)


def test_a_second_hyperparameter_is_profiled_out_at_each_place() -> None:
    sweep = hpt.read(ROWS, scale="N,tokens", profile="bs")
    assert len(sweep) == 8
    assert sweep.loss == pytest.approx(3.01 + sweep.hp)


def test_a_column_whose_name_has_a_comma_is_one_scale() -> None:
    rows = [{"a,b": n, "lr": lr, "loss": lr} for n in (1, 2) for lr in (0.1, 0.2)]
    sweep = hpt.read(rows, scale="a,b")
    assert sweep.axes == ()
    assert sweep.columns.scale == "a,b"


@pytest.mark.parametrize(
    ("scale", "change", "words"),
    [
        ("N,N", {}, "different columns"),
        ("N,depth", {}, "no column 'depth'"),
        ("N,bs", {"bs": ""}, "bs must be a positive number, but row 3"),
        ("N,bs", {"bs": -1}, "bs must be a positive number, but row 3"),
        ("N,bs", {"bs": "many"}, "bs must be a positive number, but row 3"),
    ],
)
def test_an_axis_that_is_none_is_one_clear_line(scale: str, change: dict[str, object], words: str) -> None:
    rows = [{**row, **change} if i == 3 else row for i, row in enumerate(ROWS)]
    with pytest.raises(SweepError, match=words):
        hpt.read(rows, scale=scale)
