"""Sweep tables of real projects as a person would have had them: every variant, cut below one scale."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import pandas as pd

from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.quantify.basin.basins import Basins
from hptransfer.quantify.basin.cells import cells_of
from hptransfer.quantify.basin.fit import fit_basins
from hptransfer.sweep.table import SweepTable
from real_series import LEAST_SCALES, Case, Series, cases

DRAWS = 1000  # as `quantify` takes by default


@dataclass(frozen=True)
class Group:
    """Series of one project that were seen together, up to one scale.

    Attributes:
        members: the series, their runs cut.
        cases: what is asked of them.
    """

    members: Sequence[Series]
    cases: Sequence[Case]

    @property
    def project(self) -> str:
        """Whose runs these are."""
        return self.members[0].project

    @property
    def coordinates(self) -> Coordinates | None:
        """Of x; None where they are not known."""
        return None if self.members[0].own is None else "mup"

    def alone(self) -> list[Group]:
        """Every series that something is asked of by itself, as if nothing were known of coordinates."""
        found = []
        for series in self.members:
            asked = [
                replace(c, series=replace(c.series, own=None))
                for c in self.cases
                if c.series.name == series.name
            ]
            if asked:
                found.append(Group([replace(series, own=None)], asked))
        return found

    def sweep(self) -> SweepTable:
        """As an estimator gets them, one variant a series."""
        every = pd.concat([s.runs.assign(variant=s.name) for s in self.members])
        columns = (every["variant"], every["scale"], 2.0 ** every["x"], every["seed"], every["loss"])
        optimizers = {s.name: s.optimizer for s in self.members}
        return SweepTable(*(column.to_numpy() for column in columns), optimizers=optimizers)


@dataclass(frozen=True)
class Example:
    """One case with the basins of its runs and of the other variants of its table."""

    case: Case
    basins: Basins
    others: tuple[Basins, ...] = ()


def groups(every: Iterable[Series]) -> list[Group]:
    """Every table that a cut leaves with something to predict."""
    seen: dict[tuple[str, int], list[Series]] = {}
    for series in every:
        seen.setdefault((series.project, series.view), []).append(series)
    found = []
    for together in seen.values():
        asked: dict[float, list[Case]] = {}
        for series in together:
            for case in cases(series):
                asked.setdefault(float(case.runs["scale"].max()), []).append(case)
        for top, wanted in sorted(asked.items()):
            cut = [_cut(series, top) for series in together]
            found.append(Group([s for s in cut if s.runs["scale"].nunique() >= LEAST_SCALES], wanted))
    return found


def _cut(series: Series, top: float) -> Series:
    runs = series.runs[series.runs["scale"] <= top]
    return Series(series.project, series.name, runs, runs, series.own, series.optimizer, series.view)


def examples(found: Iterable[Group]) -> list[Example]:
    """Every case that has laws."""
    out: list[Example] = []
    for group in found:
        every = fit_basins(list(cells_of(group.sweep())), DRAWS, 0)
        fitted = {b.cells.variant: b for b in every if b.fitted.sum() >= LEAST_SCALES}
        for case in group.cases:
            name = case.series.name
            if name in fitted:
                others = tuple(b for other, b in fitted.items() if other != name)
                out.append(Example(case, fitted[name], others))
    return out
