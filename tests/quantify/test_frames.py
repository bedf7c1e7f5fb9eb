"""Tables of a fit as pandas frames: the numbers and names of its JSON."""

import json

import pytest
from known_sweeps import join, make

from hptransfer.errors import QuantifyError
from hptransfer.fit import TransferFit, quantify
from hptransfer.quantify.frames import TABLES, to_frame


@pytest.fixture(scope="module")
def fit() -> TransferFit:
    parts = join(make(variant="a", noise=0.002), make(variant="b", noise=0.002, widths=(64.0, 128.0)))
    return quantify(parts, draws=100, targets=(1024.0,))


@pytest.mark.parametrize("table", ["optima", "regret", "predictions", "holdouts"])
def test_rows_are_those_of_the_json(fit, table):
    written = json.loads(fit.to_json())["variants"]
    rows = [{"variant": name, **row} for name, variant in written.items() for row in variant[table]]
    frame = to_frame(fit, table)
    assert list(frame.columns) == list(rows[0])
    assert frame["flags"].map(list).tolist() == [row["flags"] for row in rows]
    for column in rows[0].keys() - {"flags"}:
        for value, row in zip(frame[column], rows, strict=True):
            missing = value is None or value != value
            assert missing if row[column] is None else value == row[column], column


def test_laws_that_were_not_fitted_have_no_row(fit):
    frame = to_frame(fit, "laws")
    assert list(frame.columns) == [
        "variant", "law", "family", "exponent", "exponent_low", "exponent_high", "scatter", "flags",
    ]  # fmt: skip
    assert frame[["variant", "law"]].to_numpy().tolist() == [["a", "hp"], ["a", "loss"], ["a", "curvature"]]


def test_verdicts_and_metrics(fit):
    verdicts = to_frame(fit, "verdicts")
    assert list(verdicts.columns[:4]) == ["variant", "value", "reason", "tolerance"]
    assert {"keep", "keep_cost", "keep_cost_high", "extrapolate", "extrapolate_reason"} <= set(
        verdicts.columns
    )
    metrics = to_frame(fit).set_index(["variant", "metric"])
    for name, variant in fit.variants.items():
        for metric, estimate in variant.metrics.items():
            row = metrics.loc[(name, metric)]
            assert [None if row[c] != row[c] else row[c] for c in ("value", "low", "high")] == [
                estimate.value, estimate.low, estimate.high,
            ]  # fmt: skip


def test_unknown_tables_are_refused_by_name(fit):
    with pytest.raises(QuantifyError, match="must be one of " + ", ".join(TABLES) + ", but got 'all'"):
        to_frame(fit, "all")
