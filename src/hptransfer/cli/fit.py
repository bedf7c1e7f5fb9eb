"""`hptransfer fit`: quantify a table of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hptransfer.cli.options import argument, option
from hptransfer.cli.outputs import check_outputs, write_outputs
from hptransfer.errors import SweepError
from hptransfer.fit import quantify
from hptransfer.sweep import read
from hptransfer.sweep.metric import warnings


def fit(
    files: Annotated[
        list[Path], argument("FILE", "CSV, TSV, JSON, JSONL or Parquet; several are read as one table.")
    ],
    scale: Annotated[str, option("COLUMN", "Column of the scale: width, params, tokens, ...")] = "width",
    hp: Annotated[str, option("COLUMN", "Column of the hyperparameter: lr, weight_decay, ...")] = "lr",
    loss: Annotated[
        str, option("COLUMN", "Column of the loss; blank, nan, inf or diverged means that the run diverged.")
    ] = "loss",
    by: Annotated[
        str,
        option("COLUMN", "Column of the variant, or several, comma-separated; `file` takes the file name."),
    ] = "variant",
    seed: Annotated[str, option("COLUMN", "Column of the seed.")] = "seed",
    where: Annotated[
        str | None, option("EXPRESSION", 'Keep only these rows: "epoch == 5 and variant in [sp, mup]".')
    ] = None,
    profile: Annotated[
        str | None,
        option("COLUMN", "Column of a second hyperparameter; its value with the lowest loss is kept."),
    ] = None,
    target: Annotated[
        list[float] | None, option("N", "Scale to predict the optimum at; may be repeated.")
    ] = None,
    level: Annotated[float, option("X", "Level of the credible intervals.")] = 0.95,
    metric: Annotated[
        str,
        option(
            "METRIC", "What the loss column holds: nats, bits, perplexity, mse, error, accuracy, or a unit."
        ),
    ] = "nats",
    maximize: Annotated[
        bool, typer.Option("--maximize", help="A higher value of the loss column is better.")
    ] = False,
    tolerance: Annotated[
        float | None,
        option(
            "X",
            "Cost that counts as none, in the loss column's unit.  [default: 0.01 nats; 5% of the lowest mse "
            "at the largest scale, 2% of the lowest error]",
        ),
    ] = None,
    family: Annotated[
        str | None, option("LAW", "Law of the optimum: power, offset or const.  [default: by AICc]")
    ] = None,
    reference: Annotated[
        str | None,
        option("VARIANT", "Variant that R(inf) is measured from.  [default: the best of all at each scale]"),
    ] = None,
    holdout: Annotated[
        int, option("K", "Number of largest scales to leave out and predict, as a check.")
    ] = 1,
    filter: Annotated[
        float, option("X", "Losses above this many times the lowest of their scale do not enter E.")
    ] = 1.35,
    coordinates: Annotated[
        str | None, option("sp|mup", "Coordinates of the learning rates; the drift is then shown in both.")
    ] = None,
    parametrization: Annotated[
        str | None,
        option(
            "RULE",
            "Parametrization of all runs, such as sp or mup: says whose learning rate the answer is about.  "
            "[default: the column `parametrization`, where there is one]",
        ),
    ] = None,
    optimizer: Annotated[
        str | None,
        option(
            "NAME", "Optimizer that trained the runs; for sgd both coordinates are one.  [default: adamw]"
        ),
    ] = None,
    draws: Annotated[int, option("B", "Number of posterior draws.")] = 1000,
    limit: Annotated[int, option("N", "Number of variants to print; files hold all of them.", min=1)] = 20,
    json: Annotated[Path | None, option("OUT", "Write the fit as JSON (schema version 2).")] = None,
    html: Annotated[Path | None, option("OUT", "Write the report as one self-contained page.")] = None,
) -> None:
    """Measure how a hyperparameter transfers, from a table of runs.

    Prints, for every variant, whether the small models' value can be kept and whether its law can be
    followed, the value to use at the targets, what to run where that is not known, how well the law
    predicted the largest scale, and the metrics. Where a table does not hold enough runs for a
    law, the rest is printed. A table of one scale only ends with exit code 2.

    Example: hptransfer fit runs.csv --scale width --hp lr --loss val_loss --target 4096 --html report.html
    """
    from hptransfer.report.terminal import print_summary  # rich is not needed for --help

    check_outputs([json, html], files)
    columns = {"scale": scale, "hp": hp, "loss": loss, "variant": by, "seed": seed}
    how = {"parametrization": parametrization, "metric": metric, "maximize": maximize}
    sweep = read(files, **columns, where=where, profile=profile, optimizer=optimizer, **how)  # type: ignore[arg-type]
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
        suggest=True,
    )
    written = write_outputs((json, result.to_json), (html, result.to_html))
    for note in (*sweep.notes, *warnings(sweep)):
        typer.echo(f"note: {note}", err=True)
    print_summary(result, limit=limit)
    for path in written:
        typer.echo(f"wrote {path}")
    if len(sweep.scales) == 1:
        raise SweepError(
            f"to say what transfers takes two {scale}s or more, but the table holds one, "
            f"{sweep.scale[0]:g}; what it does say is above"
        )
