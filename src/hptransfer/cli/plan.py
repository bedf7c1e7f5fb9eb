"""`hptransfer plan`: what a study will run, take and cost, and what a budget would buy."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hptransfer.cli.spec import Ablation, Out, Override, Scale, Spec, read_spec
from hptransfer.errors import StoreError

if TYPE_CHECKING:
    from hptransfer.design.forecast import BudgetForecast
    from hptransfer.study.cost import Line, Rate
    from hptransfer.study.spec import StudySpec

UNITS = {"optimum": "octaves", "law": "of the exponent", "prediction": "octaves", "verdict": "octaves, nats"}


def plan(
    spec: Spec,
    scale: Scale = None,
    ablation: Ablation = None,
    out: Out = None,
    price: Annotated[float | None, typer.Option(metavar="X", help="Of an hour of one device.", min=0)] = None,
    flops_per_second: Annotated[
        float | None,
        typer.Option(metavar="X", help="Of one device, as it trains.  [default: measured, else calibrated]"),
    ] = None,
    devices: Annotated[int | None, typer.Option(metavar="N", help="That train at a time.", min=1)] = None,
    budget: Annotated[bool, typer.Option(help="Show what a budget would buy.")] = True,
    set_: Override = None,
) -> None:
    """Show a study's runs, FLOPs, time and money before anything starts, and what a budget would buy.

    The time goes by the rate of the study's finished runs, where there are any; else of a few steps trained
    here and now; else it is left out.

    Examples: hptransfer plan study.yaml --price 2.50; hptransfer plan kalra2026-step --scale small
    """
    from hptransfer.study.cost import lines
    from hptransfer.study.planner import plan as planned
    from hptransfer.study.run import default_folder

    study = read_spec(spec, scale, ablation, set_ or ())
    folder = default_folder(study) if out is None else out
    losses = _finished(folder)
    rate = _rate(study, folder, flops_per_second)
    found = lines(planned(study, losses), losses, rate)
    _print_lines(study, found)
    price = study.cost.price if price is None else price
    _print_time(study, found, rate, devices or study.workers or 1, price)
    if budget:
        from hptransfer.design.forecast import forecast
        from hptransfer.study.rounds import candidate_grid, observations

        options, known = forecast(candidate_grid(study), observations(study, losses), study.goal)
        _print_budgets(study, options, known, rate, found, price)


def _finished(folder: Path) -> Mapping[str, float]:
    from hptransfer.study.store import STORE_FILE, Store

    if not (folder / STORE_FILE).is_file():
        return {}
    with Store(folder, read_only=True) as store:
        return store.losses()


def _rate(study: StudySpec, folder: Path, given_rate: float | None) -> Rate | None:
    """Stated, else measured on finished runs, else calibrated here; None where none of it can be."""
    from hptransfer.study import cost
    from hptransfer.study.store import STORE_FILE, Store

    stated = given_rate if given_rate is not None else study.cost.flops_per_second
    if stated is not None:
        if not (stated > 0 and math.isfinite(stated)):
            raise typer.BadParameter("must be positive", param_hint="--flops-per-second")
        return cost.given(stated)
    if (folder / STORE_FILE).is_file():
        try:
            with Store(folder, read_only=True) as store:
                measured = cost.measured(store.runs(), str(folder))
        except StoreError:
            measured = None
        if measured is not None:
            return measured
    if study.trial.kind != "builtin" or importlib.util.find_spec("torch") is None:
        return None
    if not cost.calibrates(study):
        return None
    return cost.calibrated(study)


def _print_lines(study: StudySpec, found: Sequence[Line]) -> None:
    kind = "the whole grid" if study.adaptive is None else f"adaptive, goal: {study.adaptive.goal}"
    runs, done = sum(line.runs for line in found), sum(line.finished for line in found)
    typer.echo(f"{study.name}: {kind}; {len(study.variants_with_decay())} variants, {len(study.seeds)} seeds")
    rows = [
        (
            f"{line.width}",
            f"{line.runs}",
            f"{line.finished}",
            f"{line.tokens:.3g}",
            f"{line.flops:.3g}",
            f"{line.flops * line.runs:.3g}",
            "" if line.seconds is None else duration(line.seconds),
        )
        for line in found
    ]
    total = sum(line.flops * line.runs for line in found)
    seconds = [line.seconds for line in found if line.seconds is not None]
    rows.append(
        ("all", f"{runs}", f"{done}", "", "", f"{total:.3g}", duration(math.fsum(seconds)) if seconds else "")
    )
    table(("width", "runs", "finished", "tokens/run", "FLOPs/run", "FLOPs", "device time left"), rows)
    if study.adaptive is not None:
        typer.echo("An adaptive study plans as it goes: these are the runs that are determined so far.")
    elif study.lr.extend:
        more = study.lr.extend * study.lr.extend_by
        typer.echo(
            f"Where an optimum is at the edge, up to {more} learning rates a width and variant are added."
        )


def _print_time(
    study: StudySpec, found: Sequence[Line], rate: Rate | None, devices: int, price: float | None
) -> None:
    if rate is None:
        typer.echo("time: unknown; --flops-per-second states a device's rate")
        return
    seconds = math.fsum(line.seconds or 0.0 for line in found)
    at = "" if devices == 1 else f", about {duration(seconds / devices)} on {devices} at a time"
    typer.echo(f"time: {duration(seconds)} of one device{at} ({rate.source})")
    if price is not None:
        cost = f"{seconds / 3600 * price:,.2f} {study.cost.currency}"
        typer.echo(f"money: {cost} at {price:g} {study.cost.currency} an hour of a device")


def _print_budgets(
    study: StudySpec,
    options: Sequence[BudgetForecast],
    known: bool,
    rate: Rate | None,
    found: Sequence[Line],
    price: float | None,
) -> None:
    goal = study.goal
    of = f"the optimum at {max(study.targets)}" if goal == "prediction" and study.targets else f"the {goal}"
    basis = (
        "from the finished runs" if known else "from what basins are usually like: nothing is finished yet"
    )
    typer.echo(f"\nWhat a budget would buy: expected 95% interval of {of} ({basis})")
    rows = []
    pace = _mean_rate(found, rate)
    for option in options:
        row = [option.plan, f"{option.runs}", f"{option.flops:.3g}"]
        seconds = option.flops / pace if pace else None
        row.append("" if seconds is None else duration(seconds))
        if price is not None:
            row.append("" if seconds is None else f"{seconds / 3600 * price:,.2f}")
        row.append(
            "none: too few scales" if math.isinf(option.width) else f"{option.width:.2g} {UNITS[goal]}"
        )
        rows.append(tuple(row))
    money = () if price is None else (study.cost.currency,)
    table(("plan", "runs", "FLOPs", "device time", *money, "interval"), rows)


def _mean_rate(found: Sequence[Line], rate: Rate | None) -> float | None:
    """FLOPs per second over a whole plan."""
    if rate is None:
        return None
    flops = math.fsum(line.flops * line.runs for line in found)
    seconds = math.fsum(rate.seconds(line.width, line.flops * line.runs) for line in found)
    return flops / seconds if seconds else None


def duration(seconds: float) -> str:
    """`40 s`, `12 min`, `3.5 h`, `12 days`."""
    for unit, size, most in (("s", 1, 100), ("min", 60, 100), ("h", 3600, 72), ("days", 86400, math.inf)):
        if seconds / size < most:
            return f"{seconds / size:.2g} {unit}" if seconds / size < 10 else f"{seconds / size:,.0f} {unit}"
    raise AssertionError


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Columns, numbers to the right."""
    widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
    for row in (head, *rows):
        typer.echo("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
