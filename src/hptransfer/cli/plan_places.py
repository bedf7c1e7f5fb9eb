"""`hptransfer plan` over several axes: which sizes and learning rates come next, where a budget would go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import typer

from hptransfer.cli.text_table import print_table
from hptransfer.words import rough

if TYPE_CHECKING:
    from hptransfer.design.forecast import BudgetForecast
    from hptransfer.study.scale import Size
    from hptransfer.study.spec import StudySpec
    from hptransfer.study.stacks import Stack

COORDINATES = {"mup": "muP coordinates", "sp": "SP coordinates"}


def size_columns(study: StudySpec) -> tuple[str, ...]:
    """Heads of the columns that name a size, its tokens apart: the width, or over several axes all of it."""
    if not study.axes:
        return ("width",)
    return ("width", *(("depth",) if "depth" in study.sizes[0].given else ()), "params", "batch")


def size_cells(study: StudySpec, size: Size) -> tuple[str, ...]:
    """The cells of these columns."""
    run = study.example_run(size)
    values = {"width": size.width, "depth": run.model.depth, "batch": run.train.batch_size}
    if study.axes:
        from hptransfer.study.scale import axis_value

        values["params"] = int(axis_value(run, "params"))
    return tuple(f"{values[name]}" for name in size_columns(study))


def print_next(study: StudySpec, stacks: Sequence[Stack], losses: Mapping[str, float]) -> None:
    """The runs of an adaptive study that are determined and not finished: variant, size, learning rates."""
    found: dict[tuple[str, Size], set[float]] = {}
    for run in (run for stack in stacks for run in stack.runs if run.run_id not in losses):
        lr = study.lr_at(run.index, run.size.width, study.lr.coordinates, run.spec.train.optimizer)
        found.setdefault((run.variant, run.size), set()).add(lr)
    rows = [(variant, *_cells(study, size), _listed(lrs)) for (variant, size), lrs in found.items()]
    if rows:
        typer.echo("\nNext runs:")
        print_table(
            ("variant", *_heads(study), f"learning rates ({COORDINATES[study.lr.coordinates]})"), rows
        )


def print_places(study: StudySpec, offers: Sequence[BudgetForecast]) -> None:
    """Where the runs of each budget would lie: a size a line, with the number of its runs by budget."""
    from hptransfer.study.rounds import by_price, candidate_grid

    grid = candidate_grid(study)
    chosen = [offer for offer in offers if offer.made]
    if not chosen:
        return
    rows = []
    for k, size in enumerate(by_price(study)):
        lrs = {2.0 ** float(grid.x[v, k][place]) for v, at, place in chosen[-1].made if at == k}
        counts = [sum(at == k for _, at, _ in offer.made) for offer in chosen]
        if lrs:
            rows.append((*_cells(study, size), _listed(lrs), *(f"{count or '-'}" for count in counts)))
    typer.echo(
        f"\nWhere each budget would go: new runs by size, with the learning rates "
        f"({COORDINATES[study.lr.coordinates]}) of the largest"
    )
    print_table((*_heads(study), "learning rates", *(rough(offer.flops) for offer in chosen)), rows)


def _heads(study: StudySpec) -> tuple[str, ...]:
    return (*size_columns(study), "tokens")


def _cells(study: StudySpec, size: Size) -> tuple[str, ...]:
    return (*size_cells(study, size), f"{study.example_run(size).tokens}")


def _listed(lrs: Iterable[float]) -> str:
    """Up to three values one by one, more as a range."""
    found = sorted(lrs)
    texts = [rough(lr) for lr in found]
    return ", ".join(texts) if len(texts) <= 3 else f"{texts[0]} to {texts[-1]}"
