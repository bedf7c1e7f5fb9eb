"""What the loss column holds: nats, bits, perplexity, an error, an accuracy; its unit and usual tolerance."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from hptransfer.errors import SweepError
from hptransfer.sweep.table import FloatArray, LossMetric, SweepTable
from hptransfer.words import precise, rough


@dataclass(frozen=True)
class MetricKind:
    """One kind of number that runs are judged by."""

    unit: str  # of a difference of two, as sentences name it
    tolerance: float  # cost that counts as none: nats, or a share (see `relative`)
    # Whether the tolerance is a share of the lowest loss at the largest scale, not nats.
    relative: bool = True
    nats: float = 1.0  # what one unit is in nats, where it is not relative


KINDS: dict[str, MetricKind] = {
    "nats": MetricKind("nats", 0.01, relative=False),
    "bits": MetricKind("bits", 0.01, relative=False, nats=float(np.log(2.0))),
    "perplexity": MetricKind("nats", 0.01, relative=False),  # its logarithm is fitted
    "mse": MetricKind("MSE", 0.05),
    "error": MetricKind("error", 0.02),
    "accuracy": MetricKind("accuracy", 0.02),  # of the error, 1 - accuracy
}
OTHER_TOLERANCE = 0.02  # of any other metric, of the lowest loss or, with maximize, of the range
HIGHER_IS_BETTER = {
    "accuracy",
    "acc",
    "top1",
    "top5",
    "psnr",
    "ssim",
    "bleu",
    "rouge",
    "f1",
    "auc",
    "reward",
    "score",
}
PERCENT = 1.5  # a highest accuracy above this is in per cent


def as_metric(sweep: SweepTable, metric: str = "nats", maximize: bool = False) -> SweepTable:
    """The table with its loss column read as a metric: lower is better, with its unit and tolerance.

    Perplexities become their logarithm, accuracies 1 - accuracy (or 100 - accuracy), and what is maximised
    its distance from a value that lies the range of the runs above the best; a note says so.

    Args:
        sweep: with the column as it stands.
        metric: `nats`, `bits`, `perplexity`, `mse`, `error`, `accuracy`, or any other name, as a unit.
        maximize: whether a higher value is better; an accuracy always is.

    Raises:
        SweepError: the values cannot be of that kind.
    """
    name, kind = metric.strip(), KINDS.get(metric.strip(), MetricKind(metric.strip(), OTHER_TOLERANCE))
    if not name:
        raise SweepError("the metric must have a name, but got a blank one")
    if maximize and name in KINDS and name != "accuracy":
        raise SweepError(f"--maximize is for metrics where higher is better, but {name} is a loss")
    column, values = sweep.columns.loss, sweep.loss[np.isfinite(sweep.loss)]
    held = LossMetric(name, kind.unit, kind.tolerance, kind.relative, kind.nats)
    if not len(values):
        return replace(sweep, metric=held)
    if name == "perplexity":
        if values.min() < 1.0:
            raise SweepError(
                f"a perplexity must be at least 1, but the lowest {column} is {precise(values.min())}"
            )
        return _turned(sweep, held, np.log, f"ln {column}")
    if name == "accuracy" or maximize:
        top = _top(values, column) if name == "accuracy" else float(2 * values.max() - values.min())
        return _turned(sweep, held, lambda value: top - value, f"{rough(top, 4)} - {column}")
    if name in ("mse", "error") and values.min() < 0:
        raise SweepError(
            f"metric {name} must not be negative, but the lowest {column} is {precise(values.min())}"
        )
    return replace(sweep, metric=held)


def _top(values: FloatArray, column: str) -> float:
    top = 100.0 if values.max() > PERCENT else 1.0
    if not 0.0 <= values.min() <= values.max() <= top:
        raise SweepError(
            f"an accuracy must lie between 0 and {precise(top)}, "
            f"but {column} has {precise(values.min())} to {precise(values.max())}"
        )
    return top


def _turned(
    sweep: SweepTable, held: LossMetric, turn: Callable[[FloatArray], FloatArray], label: str
) -> SweepTable:
    """The table with its losses, and those at initialisation, turned so that lower is better."""
    with np.errstate(invalid="ignore", divide="ignore"):
        loss = turn(sweep.loss)
        extra = {k: turn(v) if k == "initial_loss" else v for k, v in sweep.extra.items()}
    note = f"{sweep.columns.loss} is fitted as {label}, of which lower is better"
    columns = replace(sweep.columns, loss=label)
    return replace(sweep, loss=loss, extra=extra, columns=columns, metric=held, notes=(*sweep.notes, note))


def warnings(sweep: SweepTable) -> tuple[str, ...]:
    """That the loss column looks like something of which higher is better, by its name."""
    parts = set(re.split(r"[^a-z0-9]+", sweep.columns.loss.lower()))
    if sweep.metric.name != "nats" or not parts & HIGHER_IS_BETTER:
        return ()
    return (
        f"{sweep.columns.loss} is read as a loss, of which lower is better; if higher is better, add "
        "--metric accuracy, or --maximize",
    )
