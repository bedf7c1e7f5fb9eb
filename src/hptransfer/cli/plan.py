"""`hptransfer plan`: what a study will run, take and cost, and what a budget would buy."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from hptransfer.cli.options import option
from hptransfer.cli.plan_places import print_next, print_places, size_cells, size_columns
from hptransfer.cli.spec import Ablation, Out, Override, Size, Spec, read_spec
from hptransfer.cli.text_table import print_table
from hptransfer.errors import StoreError
from hptransfer.words import duration, fixed, plural, rough

if TYPE_CHECKING:
    from hptransfer.design.forecast import BudgetForecast
    from hptransfer.study.cost import Rate, SizeCost
    from hptransfer.study.spec import StudySpec
    from hptransfer.study.store import Store


@dataclass(frozen=True)
class Pricing:
    """What turns FLOPs into time and money."""

    rate: Rate | None  # of one device; None where it is unknown
    devices: int  # that train at a time
    price: float | None  # of an hour of one device
    currency: str  # of the price


def plan(
    spec: Spec,
    size: Size = None,
    ablation: Ablation = None,
    out: Out = None,
    price: Annotated[float | None, option("X", "Price of an hour of one device.", min=0)] = None,
    flops_per_second: Annotated[
        float | None, option("X", "Training rate of one device.  [default: measured, else calibrated]")
    ] = None,
    devices: Annotated[int | None, option("N", "Number of devices that train at a time.", min=1)] = None,
    budget: Annotated[bool, typer.Option(help="Show what a budget would buy.")] = True,
    overrides: Override = None,
) -> None:
    """Show a study's runs, FLOPs, time and money in advance.

    It also says what a budget would buy.

    The time is worked out from the rate of the study's finished runs. Where no run is finished, a few steps
    are trained here and now to measure it. Where that would take long, the time is left out.

    Over several axes of scale the next runs are named by width, parameters, batch, tokens and learning rate,
    and every budget says where its runs would go.

    A spec that `hptransfer run` would refuse is refused here, too; what only this machine lacks is a note.

    Examples: hptransfer plan study.yaml --price 2.50; hptransfer plan kalra2026-step --size small
    """
    from hptransfer.study.cost import size_costs
    from hptransfer.study.planner import plan as planned
    from hptransfer.study.refusals import check_startable
    from hptransfer.study.run import default_folder
    from hptransfer.study.store import STORE_FILE, Store

    study = read_spec(spec, size, ablation, overrides or ())
    folder = default_folder(study) if out is None else out
    for note in check_startable(study, folder):
        typer.echo(f"note: {note}", err=True)
    with ExitStack() as opened:
        begun = (folder / STORE_FILE).is_file()
        store = opened.enter_context(Store(folder, read_only=True)) if begun else None
        losses = {} if store is None else store.losses()
        rate = _rate(study, store, flops_per_second)
    price = study.cost.price if price is None else price
    pricing = Pricing(rate, devices or study.workers or 1, price, study.cost.currency)
    stacks = planned(study, losses)
    costs = size_costs(stacks, losses, rate)
    _print_runs(study, costs)
    if study.axes and study.adaptive:
        print_next(study, stacks, losses)
    _print_time(costs, pricing)
    if budget:
        from hptransfer.design.forecast import forecast
        from hptransfer.design.goal import UNITS
        from hptransfer.study.rounds import candidate_grid, observations

        units = {**UNITS, "verdict": "octaves, nats"}
        offers, known = forecast(candidate_grid(study), observations(study, losses), study.goal)
        named = study.goal == "prediction" and study.targets
        target = study.targets[0] if study.axes else study.largest_target
        of = f"the optimum at {target}" if named else f"the {study.goal}"
        basis = "from the finished runs" if known else "from what is usual, since no run is finished"
        typer.echo(f"\nWhat a budget would buy: the expected 95% interval of {of} ({basis})")
        _print_budgets(offers, units[study.goal], _mean_rate(costs, rate), pricing)
        if study.axes:
            print_places(study, offers)


def _rate(study: StudySpec, store: Store | None, stated: float | None) -> Rate | None:
    """Stated, else measured on finished runs, else calibrated here; None where none of it can be."""
    from hptransfer.study import cost

    stated = study.cost.flops_per_second if stated is None else stated
    if stated is not None:
        if not (stated > 0 and math.isfinite(stated)):
            raise typer.BadParameter("must be positive", param_hint="--flops-per-second")
        return cost.stated_rate(stated)
    if store is not None:
        with suppress(StoreError):
            if (measured := cost.measured_rate(store.runs(), str(store.path.parent))) is not None:
                return measured
    builtin = study.trial.kind == "builtin" and importlib.util.find_spec("torch") is not None
    if not builtin or not cost.can_calibrate(study):
        return None
    from hptransfer.lm.pace import seconds_per_step

    return cost.calibrated_rate(study, seconds_per_step)


def _print_runs(study: StudySpec, costs: Sequence[SizeCost]) -> None:
    kind = "the whole grid" if study.adaptive is None else f"adaptive, goal: {study.adaptive.goal}"
    variants, seeds = len(study.variants_with_decay()), len(study.seeds)
    typer.echo(f"{study.name}: {kind}; {plural(variants, 'variant')}, {plural(seeds, 'seed')}")
    rows = []
    for cost in costs:
        left = "" if cost.seconds is None else duration(cost.seconds)
        counts = (f"{cost.runs}", f"{cost.finished}", rough(cost.tokens), rough(cost.flops))
        rows.append((*size_cells(study, cost.size), *counts, rough(cost.flops * cost.runs), left))
    runs, done = sum(cost.runs for cost in costs), sum(cost.finished for cost in costs)
    total = sum(cost.flops * cost.runs for cost in costs)
    seconds = [cost.seconds for cost in costs if cost.seconds is not None]
    left = duration(math.fsum(seconds)) if seconds else ""
    blank = ("",) * (len(size_columns(study)) - 1)
    rows.append(("all", *blank, f"{runs}", f"{done}", "", "", rough(total), left))
    heads = ("runs", "finished", "tokens/run", "FLOPs/run", "FLOPs", "device time left")
    print_table((*size_columns(study), *heads), rows)
    if study.adaptive is not None:
        typer.echo("An adaptive study decides its runs as results arrive; these are determined so far.")
    elif study.lr.extend:
        more = study.lr.extend * study.lr.extend_by
        typer.echo(
            f"Where an optimum is at the edge of the grid, up to {more} learning rates are added for each "
            f"{'size' if study.axes else 'width'} and variant."
        )


def _print_time(costs: Sequence[SizeCost], pricing: Pricing) -> None:
    if pricing.rate is None:
        typer.echo("time: unknown, since the rate of a device is; state it with --flops-per-second")
        return
    seconds = math.fsum(cost.seconds or 0.0 for cost in costs)
    several = f", about {duration(seconds / pricing.devices)} on {pricing.devices} at a time"
    several = several if pricing.devices > 1 else ""
    typer.echo(f"time: {duration(seconds)} of one device{several} ({pricing.rate.source})")
    if pricing.price is not None:
        money = f"{fixed(seconds / 3600 * pricing.price)} {pricing.currency}"
        typer.echo(f"money: {money} at {fixed(pricing.price)} {pricing.currency} for an hour of a device")


def _print_budgets(
    offers: Sequence[BudgetForecast], unit: str, flops_per_second: float | None, pricing: Pricing
) -> None:
    rows = []
    for offer in offers:
        row = [offer.plan, f"{offer.runs}", rough(offer.flops)]
        seconds = offer.flops / flops_per_second if flops_per_second else None
        row.append("" if seconds is None else duration(seconds))
        if pricing.price is not None:
            row.append("" if seconds is None else fixed(seconds / 3600 * pricing.price))
        row.append("none: too few scales" if math.isinf(offer.width) else f"{rough(offer.width, 2)} {unit}")
        rows.append(row)
    money = () if pricing.price is None else (pricing.currency,)
    print_table(("plan", "runs", "FLOPs", "device time", *money, "interval"), rows)


def _mean_rate(costs: Sequence[SizeCost], rate: Rate | None) -> float | None:
    """FLOPs per second over a whole plan."""
    if rate is None:
        return None
    flops = math.fsum(cost.flops * cost.runs for cost in costs)
    seconds = math.fsum(rate.seconds(cost.size.width, cost.flops * cost.runs) for cost in costs)
    return flops / seconds if seconds else None
