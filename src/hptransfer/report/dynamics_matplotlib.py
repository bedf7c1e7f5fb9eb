"""The dynamics section's figures with matplotlib, for papers; each draws on axes of the caller's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from hptransfer.dynamics.study import StudyDynamics
from hptransfer.dynamics.trends import Trend
from hptransfer.errors import DynamicsError
from hptransfer.report import palette
from hptransfer.report.dynamics_charts import best, heat_rows, representative, scales_of
from hptransfer.runs.probe_names import PROBES

if TYPE_CHECKING:
    from matplotlib.axes import Axes


def draw_curves(axes: Axes, study: StudyDynamics, variant: str, scale: float) -> Axes:
    """Training loss against step, a line a learning rate of one seed, spikes marked by triangles."""
    runs = representative([run for run in study.of(variant) if run.scale == scale])
    for run, colour in zip(runs, palette.sequence(len(runs)), strict=True):
        axes.plot(run.steps, run.curve, lw=0.9, color=colour, label=f"{run.hp:.2g}")
        if run.spikes:
            at = [spike.peak for spike in run.spikes]
            axes.plot(at, np.interp(at, run.steps, run.curve), "v", ms=4, color=palette.ACCENT)
    axes.set_xlabel("step")
    axes.set_ylabel("training loss, nats")
    return axes


def draw_heat(axes: Axes, study: StudyDynamics, variant: str, scale: float, probe: str) -> Axes:
    """A probe over layers and steps in the run with the lowest loss; log2 where it cannot be negative.

    Raises:
        DynamicsError: no such run has that probe.
    """
    run = best([run for run in study.of(variant) if run.scale == scale])
    layers, values = ([], np.zeros((0, 0))) if run is None else heat_rows(run, probe)
    if run is None or run.probes is None or not layers:
        raise DynamicsError(f"the heat map needs a run with {probe}, but {variant} at {scale:g} has none")
    with np.errstate(divide="ignore", invalid="ignore"):
        z = values if PROBES[probe].linear else np.log2(values)
    image = axes.imshow(z, aspect="auto", cmap="cividis", interpolation="nearest")
    axes.set_yticks(range(len(layers)), layers, fontsize=6)
    places = np.unique(np.linspace(0, len(run.probes.steps) - 1, 6).round().astype(int))
    axes.set_xticks(places, [str(run.probes.steps[i]) for i in places])
    axes.set_xlabel("step")
    figure = axes.get_figure()
    assert figure is not None
    figure.colorbar(image, ax=axes, label=probe if PROBES[probe].linear else f"log2 {probe}")
    return axes


def draw_forest(axes: Axes, found: Sequence[Trend], probe: str) -> Axes:
    """Exponents of one probe against scale with their intervals, a row a role and variant.

    Raises:
        DynamicsError: there are none of that probe.
    """
    rows = sorted((t for t in found if t.name == probe), key=lambda t: t.place)
    if not rows:
        raise DynamicsError(f"the forest plot needs exponents of {probe}, but there are none")
    at = np.arange(len(rows))
    value, low, high = (np.array([getattr(t, side) for t in rows]) for side in ("value", "low", "high"))
    axes.errorbar(
        value, at, xerr=np.nan_to_num([value - low, high - value]), fmt="o", ms=4, color=palette.INK
    )
    axes.axvline(0, color=palette.HAIR, lw=0.8, zorder=0)
    axes.set_yticks(at, [f"{t.place or 'run'}: {t.variant}" for t in rows], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel(f"exponent of {probe.replace('_', ' ')}")
    return axes


def draw_critical(axes: Axes, study: StudyDynamics, variant: str) -> Axes:
    """Critical learning rate (solid) and the one in use (dashed) of each scale's best run."""
    scales = scales_of(study)
    for scale, colour in zip(scales, palette.sequence(len(scales)), strict=True):
        run = best([run for run in study.of(variant) if run.scale == scale])
        if run is not None:
            axes.plot(*run.series("", "critical_lr"), "-o", ms=2, lw=1, color=colour, label=f"{scale:g}")
            axes.plot(*run.series("", "lr"), "--", lw=1, color=colour)
    axes.set_yscale("log")
    axes.set_xlabel("step")
    axes.set_ylabel("learning rate")
    return axes
