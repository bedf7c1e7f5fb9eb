"""`hptransfer fit`: quantify a table of runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from hptransfer.cli import fit_options as options
from hptransfer.cli.fit_study import read_or_study
from hptransfer.cli.outputs import check_outputs, write_outputs
from hptransfer.errors import SweepError
from hptransfer.fit import Options, TransferFit, quantify
from hptransfer.sweep.metric import warnings
from hptransfer.sweep.table import SweepTable
from hptransfer.words import scale_text

if TYPE_CHECKING:  # what is seldom asked for takes half of the time that the command takes to start
    from hptransfer.fit_axes import AxesTransferFit
    from hptransfer.joint import JointFit
    from hptransfer.joint_axes import JointAxesTransferFit

    Fit = TransferFit | AxesTransferFit | JointFit | JointAxesTransferFit


def fit(
    sources: options.Sources,
    scale: options.Scale = None,
    hp: options.Hp = None,
    combination: options.Combination = None,
    loss: options.Loss = None,
    by: options.By = None,
    seed: options.Seed = None,
    where: options.Where = None,
    profile: options.Profile = None,
    hp_scale: options.HpScale = None,
    take: options.Take = None,
    extract: options.Extract = None,
    extract_from: options.ExtractFrom = None,
    query: options.Query = None,
    decimal: options.Decimal = None,
    target: options.Target = None,
    path: options.AlongPath = None,
    level: options.Level = 0.95,
    metric: options.Metric = "nats",
    maximize: options.Maximize = False,
    tolerance: options.Tolerance = None,
    family: options.Family = None,
    reference: options.Reference = None,
    holdout: options.Holdout = 1,
    filter: options.LossFilter = 1.35,
    coordinates: options.Coordinates = None,
    parametrization: options.Parametrization = None,
    optimizer: options.Optimizer = None,
    suggest: options.Suggest = True,
    draws: options.Draws = 1000,
    limit: options.Limit = 20,
    json: options.JsonOut = None,
    html: options.HtmlOut = None,
) -> None:
    """Measure how a hyperparameter transfers, from a table of runs.

    It prints, for every variant, whether the small models' value can be kept and whether its law can be
    followed, the value to use at the targets, what to run where that is not known, how well the law
    predicted the largest scale, and the metrics. Where a table does not hold enough runs for a
    law, the rest is printed. The exit code is 2 where it holds one scale only.

    With several axes of scale (--scale params,tokens) the optimum's law is a plane over them all. Several
    hyperparameters, `--hp lr,batch_size`, are fitted together: their joint optimum, its laws, and those of
    combinations (`--combination 'lr/sqrt(batch_size)'`). A weight decay of 0 is then a value like others.

    Columns are found by their names where these are usual ones, and the first line says which were taken.

    Example: hptransfer fit runs.csv --scale width --hp lr --loss val_loss --target 4096 --html report.html
    """
    alone = json == Path("-")  # then nothing but the JSON may stand on standard output
    check_outputs([None if alone else json, html], [Path(source) for source in sources if source != "-"])
    sweep, of_study = read_or_study(
        sources,
        scale=scale,
        hp=hp,
        loss=loss,
        variant=by,
        seed=seed,
        where=where,
        profile=profile,
        optimizer=optimizer,
        hp_scale=hp_scale,
        decimal=decimal,
        take=take,
        extract=extract,
        extract_from=extract_from,
        query=query,
        parametrization=parametrization,
        metric=metric,
        maximize=maximize,
    )
    if sweep.diverged.all():
        raise SweepError(f"at least one run must have finished, but all {len(sweep.loss)} diverged")
    settings: Options = {
        "targets": target or (),
        "level": level,
        "tolerance": tolerance,
        "draws": draws,
        "family": family,
        "reference": reference,
        "holdout": holdout,
        "filter": filter,
        "coordinates": coordinates or ("sp" if of_study else None),  # type: ignore[typeddict-item]  # checked by quantify
        "suggest": suggest,
        "path": path,
    }
    result: Fit
    if sweep.hps:
        result = _joint(sweep, combination or (), settings)
    elif combination:
        raise SweepError("--combination takes several hyperparameters: --hp lr,batch_size, for one")
    else:
        result = quantify(sweep, scale=sweep.axes or None, **settings)
    written = write_outputs((None if alone else json, result.to_json), (html, result.to_html))
    for note in (*sweep.notes, *warnings(sweep)):
        typer.echo(f"note: {note}", err=True)
    _print(result, limit, alone)
    for file in written:
        typer.echo(f"wrote {file}", err=alone)
    if len(sweep.scales) == 1 and not sweep.axes:
        raise SweepError(
            f"to say what transfers takes two {sweep.columns.scale}s or more, but the table holds one, "
            f"{scale_text(sweep.scale[0])}; what it does say is above"
        )


def _joint(sweep: SweepTable, combinations: Sequence[str], settings: Options) -> Fit:
    """The fit of several hyperparameters, options that say nothing about it refused."""
    from hptransfer.joint import quantify_joint

    usual = {"reference": None, "coordinates": None, "filter": 1.35}
    given = [name for name, value in usual.items() if settings.get(name) != value]
    if given:
        raise SweepError(f"--{given[0]} goes with one hyperparameter, but --hp names several; leave it out")
    kept = ("targets", "level", "tolerance", "draws", "family", "holdout", "path")
    return quantify_joint(sweep, combinations=combinations, **{name: settings[name] for name in kept})  # type: ignore[literal-required]


def _print(result: Fit, limit: int, json_alone: bool) -> None:
    """The answer: which columns were taken, where that is not plain, and the summary; or the JSON alone."""
    if json_alone:
        typer.echo(result.to_json())
        return
    from hptransfer.report.terminal import print_summary  # rich is not needed for --help

    if result.sweep.taken:
        typer.echo(result.sweep.taken)
    if isinstance(result, TransferFit):
        print_summary(result, limit=limit)
    else:
        _print_several(result, limit)


def _print_several(result: AxesTransferFit | JointFit | JointAxesTransferFit, limit: int) -> None:
    """A fit of several axes, or of several hyperparameters."""
    from hptransfer.fit_axes import AxesTransferFit
    from hptransfer.joint import JointFit
    from hptransfer.report.axes_terminal import print_axes
    from hptransfer.report.joint_axes_terminal import print_joint_axes
    from hptransfer.report.joint_terminal import print_joint

    if isinstance(result, JointFit):
        print_joint(result, limit=limit)
    elif isinstance(result, AxesTransferFit):
        print_axes(result, limit=limit)
    else:
        print_joint_axes(result, limit=limit)
