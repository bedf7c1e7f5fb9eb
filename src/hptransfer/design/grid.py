"""Where an adaptive sweep may run, what has been run there, and what one run costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from hptransfer.quantify.axes.model import SPARE
from hptransfer.sweep.table import Columns, FloatArray, SweepTable

MIN_LAW_SCALES = 3  # scales that a law of one axis needs
GridKey = tuple[str, int]  # variant, and place of its scale in `CandidateGrid.scales`


@dataclass(frozen=True)
class CandidateGrid:
    """Places where runs may be put, on a grid for each variant and scale."""

    scales: FloatArray  # ascending, shape [K]; over A axes by the cost of a run, shape [K, A]
    cost: FloatArray  # FLOPs of one run at each scale, shape [K]
    # log2 of the hyperparameter at each place, ascending, by basin, each of shape [places]
    x: Mapping[GridKey, FloatArray]
    start: Mapping[GridKey, tuple[int, int]]  # places (first, last) between which the search begins, by basin
    seeds: int  # most runs at a place
    shift: FloatArray  # log2 of the hyperparameter in the coordinates that are quantified, minus x, shape [K]
    target: float | tuple[float, ...]  # scale to predict at, a value of each axis
    axes: tuple[str, ...] = ()  # names, where there are several

    @property
    def variants(self) -> tuple[str, ...]:
        """Names, in order."""
        return tuple(dict.fromkeys(variant for variant, _ in self.x))

    @property
    def z(self) -> FloatArray:
        """log2 of the scales, shape [K, A]."""
        return np.asarray(np.log2(self.scales).reshape(len(self.scales), -1))

    @property
    def z_target(self) -> FloatArray:
        """log2 of the target, shape [A]."""
        return np.asarray(np.log2(np.atleast_1d(self.target)))

    @property
    def least_scales(self) -> int:
        """Scales that a law needs."""
        return MIN_LAW_SCALES if not self.axes else len(self.axes) + SPARE

    def nearest(self, basin: GridKey, x: float) -> int:
        """The place closest to log2 eta = x."""
        return int(np.argmin(np.abs(self.x[basin] - x)))

    def step(self, basin: GridKey) -> float:
        """Octaves between neighbours."""
        x = self.x[basin]
        return float(np.median(np.diff(x))) if len(x) > 1 else 1.0


@dataclass(frozen=True)
class Proposal:
    """One run that the planner wants to be made."""

    variant: str  # of the grid
    scale: int  # place in `CandidateGrid.scales`
    place: int  # on the basin's grid
    seed: int  # rank among the seeds, 0 first


@dataclass
class Observations:
    """Results so far: losses at each place of each basin, by rank of the seed; infinite where diverged."""

    losses: dict[GridKey, dict[int, dict[int, float]]] = field(default_factory=dict)

    def add(self, proposal: Proposal, loss: float) -> None:
        """Adds a finished run."""
        self.losses.setdefault((proposal.variant, proposal.scale), {}).setdefault(proposal.place, {})[
            proposal.seed
        ] = loss

    def mean_losses(self, basin: GridKey) -> dict[int, float]:
        """Mean loss by place, ascending; infinite where any seed diverged."""
        cells = self.losses.get(basin, {})
        return {place: float(np.mean(list(cells[place].values()))) for place in sorted(cells)}

    def count(self, basin: GridKey, place: int) -> int:
        """Runs at a place."""
        return len(self.losses.get(basin, {}).get(place, {}))

    @property
    def runs(self) -> int:
        """Finished runs."""
        return sum(len(cell) for places in self.losses.values() for cell in places.values())

    def sweep_table(self, grid: CandidateGrid) -> SweepTable | None:
        """As `quantify` takes it; None where no run is finished."""
        rows = [
            (basin[0], basin[1], float(grid.x[basin][place]), seed, loss)
            for basin in grid.x
            for place, cell in sorted(self.losses.get(basin, {}).items())
            for seed, loss in sorted(cell.items())
        ]
        if not any(np.isfinite(row[4]) for row in rows):
            return None
        variant, scale, x, seed, loss = zip(*rows, strict=True)
        k = np.array(scale)
        return SweepTable(
            variant=np.array(variant),
            scale=grid.scales[k] if not grid.axes else grid.scales[k, 0],
            hp=np.exp2(np.array(x) + grid.shift[k]),
            seed=np.array([str(s) for s in seed]),
            loss=np.array(loss),
            extra={axis: grid.scales[k, i] for i, axis in enumerate(grid.axes) if i},
            columns=Columns(scale=grid.axes[0]) if grid.axes else Columns(),
            axes=grid.axes,
        )
