"""The dynamics section's tables as data: stability of every variant, and where instability begins."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from hptransfer.dynamics.instability import EDGES, Edge, predict_edge
from hptransfer.dynamics.study import StudyDynamics
from hptransfer.errors import DynamicsError
from hptransfer.quantify.result import Estimate
from hptransfer.report import number_format
from hptransfer.report.dynamics_charts import probe_label, scales_of
from hptransfer.report.table_data import VARIANT_MEANING, Cell, Column, Table

_VARIANT = Column("variant", "text", VARIANT_MEANING)


def stability_columns(study: StudyDynamics) -> tuple[Column, ...]:
    """Columns of the stability table."""
    bumps = (
        f"How much the loss-{study.hp} curve goes up and down beyond one basin, nats: mean over scales "
        "and seeds, with the interval of that mean. It is 0 for any curve with one minimum."
    )
    return (
        _VARIANT,
        Column("runs", "number", "Finished runs, diverged ones included."),
        Column("diverged", "number", "Runs that diverged."),
        Column("with spikes", "number", "Runs with at least one loss spike."),
        Column("spikes", "number", "Loss spikes in all."),
        Column("gradient spikes", "number", "Spikes of the gradient's norm, at the probed steps."),
        Column("height", "number", "Median height of a spike above its baseline, nats."),
        Column("recovery", "number", "Median steps from a spike's start until it is over."),
        Column("raggedness", "estimate", bumps),
    )


def edge_columns(study: StudyDynamics) -> tuple[Column, ...]:
    """Columns of the table of edges."""
    return (
        _VARIANT,
        Column("measure", "text", "What must not cross its edge, and the edge."),
        Column(study.scale, "scale", "The scale n."),
        Column(f"{study.hp} at the edge", "text", "Where it is expected to cross, with its interval."),
        Column("held out", "text", "The same, predicted from all but the largest scale."),
        Column("error", "number", "Root mean square error of that prediction, octaves of the measure."),
        Column("inside", "number", "How many of the measured values lie inside their 95% intervals."),
    )


def spike_table(study: StudyDynamics) -> Table:
    """Stability of every variant: spikes, divergence, raggedness."""
    rows = tuple(_stability(study, variant) for variant in study.variants)
    return Table("Stability", stability_columns(study), rows)


def _stability(study: StudyDynamics, variant: str) -> tuple[Cell, ...]:
    runs = study.of(variant)
    spikes = [spike for run in runs for spike in run.spikes]
    heights = [s.height for s in spikes if math.isfinite(s.height)]
    recoveries = [float(s.recovery) for s in spikes if s.recovery is not None]
    diverged, spiked = (sum(run.status == "diverged" for run in runs), sum(bool(run.spikes) for run in runs))
    gradient_spikes = sum(len(run.gradient_spikes) for run in runs)
    return (
        variant,
        float(len(runs)),
        *map(number_format.count, (diverged, spiked, len(spikes), gradient_spikes)),
        number_format.fixed(float(np.median(heights))) if heights else number_format.MISSING,
        number_format.count(float(np.median(recoveries))) if recoveries else number_format.MISSING,
        mean_interval([v for v in study.raggedness(variant).values() if math.isfinite(v)]),
    )


def mean_interval(values: Sequence[float]) -> Estimate:
    """Mean with its 95% interval by Student's t; no limits for fewer than two values."""
    from scipy.special import stdtrit  # a third of a second, which a report without dynamics need not spend

    if not values:
        return Estimate(None)
    mean = float(np.mean(values))
    if len(values) < 2:
        return Estimate(mean)
    half = float(stdtrit(len(values) - 1, 0.975)) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return Estimate(mean, mean - half, mean + half)


def edge_table(study: StudyDynamics, targets: Sequence[float]) -> Table:
    """The learning rates at which both measures of instability cross their edge, with the hold-out check.

    One row for each variant, measure and scale: the largest measured, and the targets.
    """
    largest = max(scales_of(study), default=0.0)
    rows: list[tuple[Cell, ...]] = []
    for variant in study.variants:
        for measure in EDGES:
            try:
                rows += _edge_rows(predict_edge(study, variant, measure, [largest, *targets]))
            except DynamicsError:  # too little was measured of it
                continue
    return Table("Edges", edge_columns(study), tuple(rows))


def _edge_rows(edge: Edge) -> list[tuple[Cell, ...]]:
    label = f"{probe_label(edge.measure)} = {number_format.precise(edge.edge)}"
    rows: list[tuple[Cell, ...]] = []
    for crossing in edge.crossings:
        held_out: tuple[Cell, ...] = ("", "", "")
        check = edge.holdout
        if check is not None and math.isclose(check.scale, crossing.scale):
            found = f"found {_hp(check.found)}" if check.found else "not crossed there"
            held_out = (
                f"{_crossing(check.predicted.hp, check.predicted.low, check.predicted.high)}; {found}",
                number_format.fixed(check.error),
                f"{number_format.count(check.covered * check.count)} of {number_format.count(check.count)}",
            )
        crossed = _crossing(crossing.hp, crossing.low, crossing.high)
        rows.append((edge.variant, label, crossing.scale, crossed, *held_out))
    return rows


def _hp(value: float) -> str:
    return number_format.decimal(Estimate(value))


def _crossing(hp: float, low: float, high: float) -> str:
    """`0.0078 [0.0061, never]`: a learning rate of infinity is never reached, one of 0 always exceeded."""
    value, *limits = ("never" if x == math.inf else "always" if x == 0 else _hp(x) for x in (hp, low, high))
    return f"{value} [{', '.join(limits)}]"
