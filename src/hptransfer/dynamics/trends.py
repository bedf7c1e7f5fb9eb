"""How a probe changes with scale, as an exponent with its interval. No torch here."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hptransfer.dynamics.slopes import lines
from hptransfer.dynamics.study import RunDynamics, StudyDynamics
from hptransfer.errors import DynamicsError
from hptransfer.runs.probe_names import PROBES

FloatArray = NDArray[np.float64]
By = Literal["role", "layer"]


@dataclass(frozen=True)
class Trend:
    """d log2(probe) / d log2(scale) of one variant at fixed eta.

    Attributes:
        variant: of the study.
        name: of the probe.
        place: role or layer; empty for the run as a whole.
        value: the exponent.
        low, high: limits, from the scatter of the scales about the line.
        scales: that it rests on.
        hps: learning rates that it rests on; the same at every scale.
        runs: that it rests on.
    """

    variant: str
    name: str
    place: str
    value: float
    low: float
    high: float
    scales: tuple[float, ...]
    hps: int
    runs: int


def trends(
    study: StudyDynamics,
    names: Sequence[str] | None = None,
    *,
    by: By = "role",
    steps: tuple[float, float] = (0.0, 1.0),
    octaves: float | None = 2.0,
    level: float = 0.95,
) -> list[Trend]:
    """The exponent of every probe against scale, for every variant and role (or layer).

    Of each run: the mean over layers of a role, and over the probed steps, of log2 of the probe. Only
    learning rates that every scale has finished runs of enter, each with a level of its own, so that the
    exponent is at fixed eta in the coordinates of `hp`. What is left is averaged over learning rates and
    seeds, and a line is fitted through the scales; its interval comes from the scales' scatter about it, by
    Student's t with scales - 2 degrees of freedom, since seeds of one scale share the scale's own deviation
    from a power law.

    Args:
        study: of probed runs, `hp` in the coordinates in which eta is to stay fixed.
        names: of probes; default every one that was measured and has a logarithm.
        by: role, or layer.
        steps: first and last share of the training that is looked at.
        octaves: learning rates further than this from the best one (lowest mean loss over scales) are left
            out; None takes all.
        level: of the intervals.

    Raises:
        DynamicsError: a setting is out of range, or nothing was probed.
    """
    if not (0 <= steps[0] < steps[1] <= 1 and 0 < level < 1):
        raise DynamicsError(
            f"0 <= steps[0] < steps[1] <= 1 and 0 < level < 1 must hold, but got {steps}, {level}"
        )
    probed = [run for run in study.runs if run.probes is not None and run.status == "done"]
    if not probed:
        raise DynamicsError("trends need probed runs that finished, but the study has none")
    found = []
    for variant in study.variants:
        runs = _shared([run for run in probed if run.variant == variant], octaves)
        for (name, place), cells in _levels(runs, names, by, steps).items():
            if (trend := _fitted(variant, name, place, cells, level)) is not None:
                found.append(trend)
    return found


def _shared(runs: Sequence[RunDynamics], octaves: float | None) -> list[RunDynamics]:
    """The runs at learning rates that every scale of the variant has, near the best of them."""
    by_hp: dict[float, dict[float, list[float]]] = {}
    for run in runs:
        by_hp.setdefault(run.hp, {}).setdefault(run.scale, []).append(run.loss)
    scales = {run.scale for run in runs}
    whole = {
        hp: np.mean([np.mean(v) for v in at.values()]) for hp, at in by_hp.items() if at.keys() == scales
    }
    if not whole:
        return []
    best = min(whole, key=lambda hp: float(whole[hp]))
    reach = math.inf if octaves is None else octaves + 1e-9
    return [run for run in runs if run.hp in whole and abs(math.log2(run.hp / best)) <= reach]


Levels = dict[tuple[str, str], dict[tuple[float, float], list[float]]]


def _levels(
    runs: Iterable[RunDynamics], names: Sequence[str] | None, by: By, steps: tuple[float, float]
) -> Levels:
    """By probe and place, by scale and eta: mean log2 of each run."""
    found: Levels = {}
    for run in runs:
        assert run.probes is not None
        last = max(run.probes.steps, default=0) or 1
        share = np.array(run.probes.steps) / last
        inside = (share >= steps[0]) & (share <= steps[1])
        with np.errstate(divide="ignore", invalid="ignore"):
            logs = np.log2(run.probes.values[inside])
        logs[~np.isfinite(logs)] = np.nan
        groups: dict[tuple[str, str], list[int]] = {}
        for i, (layer, role, name) in enumerate(run.probes.rows):
            if (name in names) if names is not None else not PROBES[name].linear:
                groups.setdefault((name, role if by == "role" else layer), []).append(i)
        for key, columns in groups.items():
            part = logs[:, columns]
            if np.isfinite(part).any():
                cell = found.setdefault(key, {}).setdefault((run.scale, run.hp), [])
                cell.append(float(np.nanmean(part)))
    return found


def _fitted(
    variant: str, name: str, place: str, cells: Mapping[tuple[float, float], list[float]], level: float
) -> Trend | None:
    scales = sorted({scale for scale, _ in cells})
    hps = [hp for hp in sorted({hp for _, hp in cells}) if all((scale, hp) in cells for scale in scales)]
    if len(scales) < 2 or not hps:
        return None
    y = np.array([np.mean([np.mean(cells[scale, hp]) for hp in hps]) for scale in scales])
    (value,), (half,) = (part.tolist() for part in lines(np.log2(scales), y[:, None], level))
    runs = sum(len(cells[scale, hp]) for scale in scales for hp in hps)
    return Trend(variant, name, place, value, value - half, value + half, tuple(scales), len(hps), runs)
