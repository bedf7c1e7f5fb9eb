"""The runs of several studies in one, without training any again."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hptransfer.errors import SpecError
from hptransfer.study.planner import plan
from hptransfer.study.provenance import provenance
from hptransfer.study.runs_table import place_of
from hptransfer.study.spec import StudySpec, parse_study
from hptransfer.study.store import STORE_FILE, Store
from hptransfer.study.validation_errors import shortened
from hptransfer.words import precise

UNITED = ("variants", "widths", "seeds", "weight_decays", "targets")  # lists: the merged study has all
_APART = ("name", "workers", "executor", "stack", "compile", "cost", "lr", "base_width", *UNITED)


@dataclass(frozen=True)
class Added:
    """What became of runs that were to be added to a study."""

    spec: StudySpec = field(repr=False)  # of the study
    taken: int  # finished runs that came in
    known: int  # finished runs that were there already, or in an earlier source
    foreign: int  # runs that the study does not plan; they were left out
    planned: int  # runs that the study plans and nobody has trained; they are trained at the next start


def merge(target: Path, sources: Sequence[Path]) -> Added:
    """Adds the runs of other studies, which are only read, to a study, which may be new.

    The merged study has every variant, width, seed and weight decay of all; their grids must lie on one
    lattice, and all else must agree. A finished run that is there already stays as it is.

    Raises:
        SpecError: the studies do not fit together. StoreError: a store cannot be read or written.
    """
    with ExitStack() as opened:
        stores = [opened.enter_context(Store(folder, read_only=True)) for folder in sources]
        others = [store.spec() for store in stores]
        if not (target / STORE_FILE).exists():
            united(others)  # what does not fit is refused before anything is made
        with Store(target) as store:
            begun = [store.spec()] if store.sessions() else []
            spec = united([*begun, *others])
            store.begin(spec, provenance(spec))
            taken = known = 0
            for source in stores:
                have = store.losses()
                pairs = [(run, r) for run, r in source.runs() if r.status != "failed"]
                new = [(run, r) for run, r in pairs if r.run_id not in have]
                store.add(f"merged from {source.path.parent.name}", new)
                taken, known = taken + len(new), known + len(pairs) - len(new)
            return Added(spec, taken, known, 0, assign_places(store, spec))


def united(specs: Sequence[StudySpec]) -> StudySpec:
    """One spec that plans the runs of all.

    Raises:
        SpecError: they do not fit together.
    """
    first, *others = (spec.model_dump(mode="json") for spec in specs)
    bases = [spec.base for spec in specs]
    for number, other in enumerate(others, 1):
        for key in first:
            if key not in _APART and first[key] != other[key]:
                raise SpecError(
                    f"studies that are merged must agree in `{key}`, but {specs[0].name} has "
                    f"{shortened(first[key])} and {specs[number].name} has {shortened(other[key])}"
                )
        if bases[number] != bases[0]:
            raise SpecError(
                f"studies that are merged must have one base width, but {specs[0].name} has {bases[0]} and "
                f"{specs[number].name} has {bases[number]}"
            )
        if (first["weight_decays"] is None) != (other["weight_decays"] is None):
            raise SpecError("studies that are merged must all list `weight_decays`, or none of them")
    plain = {**first, "base_width": bases[0], "lr": _grid(specs)}
    for key in UNITED:
        lists = [list(plain[key] or ()), *(list(other[key] or ()) for other in others)]
        plain[key] = list(dict.fromkeys(value for values in lists for value in values)) or first[key]
    return parse_study(plain, where="the merged spec")


def _grid(specs: Sequence[StudySpec]) -> dict[str, Any]:
    """The grid from the lowest to the highest LR of all, where they lie on one lattice."""
    high = max(spec.lr.high for spec in specs)
    lowest = min(specs, key=lambda spec: spec.lr.low)
    grid = lowest.lr
    for spec in specs:
        places = range(grid.count + spec.lr.count + 200)
        lattice = {lowest.lr_at(place, spec.base, grid.coordinates) for place in places}
        same = (spec.lr.factor, spec.lr.coordinates) == (grid.factor, grid.coordinates)
        if not same or spec.lr.low not in lattice:
            raise SpecError(
                f"the grids of studies that are merged must lie on one lattice, but {lowest.name} has "
                f"{precise(grid.low)} x {precise(grid.factor)}^k and {spec.name} {precise(spec.lr.low)} x "
                f"{precise(spec.lr.factor)}^k"
            )
    return {**grid.model_dump(mode="json"), "high": high}


def assign_places(store: Store, spec: StudySpec) -> int:
    """Give every run its place in the study; returns how many are yet to be trained."""
    losses = store.losses()
    stacks = plan(spec, losses)
    store.set_places(place_of(spec, stack.round, run) for stack in stacks for run in stack.runs)
    return sum(run.run_id not in losses for stack in stacks for run in stack.runs)
