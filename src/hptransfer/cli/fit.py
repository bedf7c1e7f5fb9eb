"""`hptransfer fit`: quantify a table of runs."""

from __future__ import annotations

import typer

from hptransfer.cli import options as opt
from hptransfer.cli.outputs import check_outputs, write_outputs
from hptransfer.errors import SweepError
from hptransfer.fit import quantify
from hptransfer.sweep import read


def fit(
    files: opt.Files,
    scale: opt.Scale = "width",
    hp: opt.Hp = "lr",
    loss: opt.Loss = "loss",
    by: opt.By = "variant",
    seed: opt.Seed = "seed",
    where: opt.Where = None,
    profile: opt.Profile = None,
    target: opt.Target = None,
    level: opt.Level = 0.95,
    tolerance: opt.Tolerance = 0.01,
    family: opt.Family = None,
    reference: opt.Reference = None,
    holdout: opt.Holdout = 1,
    filter: opt.Filter = 1.35,
    coordinates: opt.Coordinates = None,
    optimizer: opt.Optimizer = None,
    draws: opt.Draws = 1000,
    limit: opt.Limit = 20,
    json: opt.JsonOut = None,
    html: opt.HtmlOut = None,
) -> None:
    """Measure how a hyperparameter transfers, from a table of runs.

    Prints, for every variant, whether the optimum transfers, the predicted optimum at the targets, how well
    the law predicted the largest scale, and the metrics. Where a table does not hold enough runs for a
    law, the rest is printed. A table of one scale only ends with exit code 2.

    Example: hptransfer fit runs.csv --scale width --hp lr --loss val_loss --target 4096 --html report.html
    """
    from hptransfer.report.terminal import print_summary  # rich is not needed for --help

    check_outputs([json, html], files)
    columns = {"scale": scale, "hp": hp, "loss": loss, "variant": by, "seed": seed}
    sweep = read(files, **columns, where=where, profile=profile, optimizer=optimizer)
    if sweep.diverged.all():
        raise SweepError(f"at least one run must have finished, but all {len(sweep.loss)} diverged")
    result = quantify(
        sweep,
        targets=target or (),
        level=level,
        tolerance=tolerance,
        draws=draws,
        family=family,
        reference=reference,
        holdout=holdout,
        filter=filter,
        coordinates=coordinates,  # type: ignore[arg-type]  # checked by quantify
    )
    written = write_outputs((json, result.to_json), (html, result.to_html))
    for note in sweep.notes:
        typer.echo(f"note: {note}", err=True)
    print_summary(result, limit=limit)
    for path in written:
        typer.echo(f"wrote {path}")
    if len(sweep.scales) == 1:
        raise SweepError(
            f"to say what transfers takes two {scale}s or more, but the table holds one, "
            f"{sweep.scale[0]:g}; what it does say is above"
        )
