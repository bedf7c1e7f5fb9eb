"""The dynamics of a study: what each run is, its curve and its probes, side by side. No torch here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from hptransfer.dynamics.probe_table import ProbeLog, ProbeTable, table
from hptransfer.dynamics.spikes import Spike, find_spikes, raggedness

FloatArray = NDArray[np.float64]
CellKey = tuple[str, float, float]  # variant, scale, hyperparameter


@dataclass(frozen=True, eq=False)
class RunDynamics:
    """One run of a study.

    Attributes:
        run: its id.
        variant: curve family.
        scale: n, such as its width.
        hp: eta, in the study's own coordinates.
        seed: of the run.
        status: done or diverged.
        loss: final, nats per token; NaN where diverged.
        steps: of the curve.
        curve: training loss at these steps, nats per token.
        diverged_step: from which on it counts as diverged, see `hptransfer.runs.divergence`; None where it
            has not diverged, or where only the final loss says so.
        probes: what was measured inside; None where nothing was.
        known_spikes: of every step's loss; None where only a thinned curve is kept.
    """

    run: str
    variant: str
    scale: float
    hp: float
    seed: str
    status: str
    loss: float
    steps: tuple[int, ...] = ()
    curve: tuple[float, ...] = ()
    diverged_step: int | None = None
    probes: ProbeLog | None = None
    known_spikes: tuple[Spike, ...] | None = None

    @cached_property
    def spikes(self) -> tuple[Spike, ...]:
        """Loss spikes: of every step where they are known, else of the curve as it was kept."""
        return find_spikes(self.curve, self.steps) if self.known_spikes is None else self.known_spikes

    @cached_property
    def gradient_spikes(self) -> tuple[Spike, ...]:
        """Spikes of the log of the gradient's norm at the probed steps."""
        steps, norms = self.series("", "grad_norm")
        return find_spikes(np.log(norms), steps.tolist(), floor=np.log(2)) if norms.size else ()

    def series(self, layer: str, name: str) -> tuple[NDArray[np.int64], FloatArray]:
        """Steps and finite values of one probe; empty where it was not measured."""
        if self.probes is None:
            return np.zeros(0, dtype=np.int64), np.zeros(0)
        found = [i for i, row in enumerate(self.probes.rows) if (row[0], row[2]) == (layer, name)]
        values = self.probes.values[:, found[0]] if found else np.full(len(self.probes.steps), np.nan)
        keep = np.isfinite(values)
        return np.array(self.probes.steps, dtype=np.int64)[keep], values[keep]


@dataclass(frozen=True, eq=False)
class StudyDynamics:
    """Every run of a study.

    Attributes:
        runs: in the study's order.
        scale: what n is, such as width.
        hp: what eta is, such as lr.
        weight_decay: by variant, where the study lists decays; for filters.
    """

    runs: tuple[RunDynamics, ...]
    scale: str = "width"
    hp: str = "lr"
    weight_decay: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def table(self) -> ProbeTable:
        """Every probe of every run."""
        return table((run.run, run.probes) for run in self.runs if run.probes is not None)

    @property
    def variants(self) -> tuple[str, ...]:
        """In order of appearance."""
        return tuple(dict.fromkeys(run.variant for run in self.runs))

    def of(self, variant: str) -> list[RunDynamics]:
        """The runs of one variant."""
        return [run for run in self.runs if run.variant == variant]

    def raggedness(self, variant: str) -> dict[tuple[float, str], float]:
        """Raggedness of every loss-LR curve of a variant, by scale and seed, nats."""
        groups: dict[tuple[float, str], list[RunDynamics]] = {}
        for run in self.of(variant):
            groups.setdefault((run.scale, run.seed), []).append(run)
        return {
            place: raggedness([run.loss for run in sorted(runs, key=lambda r: r.hp)])
            for place, runs in groups.items()
        }

    def spikes(self, variant: str) -> dict[CellKey, float]:
        """Mean number of loss spikes a run, by cell of a variant."""
        return _mean(((r.variant, r.scale, r.hp), float(len(r.spikes))) for r in self.of(variant))


def _mean(pairs: Iterable[tuple[CellKey, float]]) -> dict[CellKey, float]:
    groups: dict[CellKey, list[float]] = {}
    for cell, value in pairs:
        groups.setdefault(cell, []).append(value)
    return {cell: float(np.mean(values)) for cell, values in groups.items()}
