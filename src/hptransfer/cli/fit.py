"""`hptransfer fit`: quantify a table of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hptransfer.cli.outputs import check_outputs
from hptransfer.quantify import quantify
from hptransfer.readers import read


def fit(
    files: Annotated[
        list[Path],
        typer.Argument(
            metavar="FILE", help="CSV, TSV, JSON, JSONL or Parquet; several are read as one table."
        ),
    ],
    scale: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of the scale: width, params, tokens, ...")
    ] = "width",
    hp: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of the hyperparameter: lr, weight_decay, ...")
    ] = "lr",
    loss: Annotated[
        str, typer.Option(metavar="COLUMN", help="Column of the loss; blank, nan, inf, diverged: diverged.")
    ] = "loss",
    by: Annotated[
        str,
        typer.Option(
            metavar="COLUMN", help="Column of the variant, or several, comma-separated; `file`: by file name."
        ),
    ] = "variant",
    seed: Annotated[str, typer.Option(metavar="COLUMN", help="Column of the seed.")] = "seed",
    where: Annotated[
        str | None,
        typer.Option(
            metavar="EXPRESSION", help='Keep only these rows: "epoch == 5 and variant in [sp, mup]".'
        ),
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="Second hyperparameter; of its levels, the best loss is kept."),
    ] = None,
    target: Annotated[
        list[float] | None,
        typer.Option(metavar="N", help="Scale to predict the optimum at; may be repeated."),
    ] = None,
    level: Annotated[float, typer.Option(metavar="X", help="Confidence level of the intervals.")] = 0.95,
    tolerance: Annotated[
        float, typer.Option(metavar="X", help="Regret that the verdict allows, nats.")
    ] = 0.01,
    family: Annotated[
        str | None,
        typer.Option(metavar="LAW", help="Law of the optimum: power, offset or const.  [default: by AICc]"),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            metavar="VARIANT",
            help="Variant that R(inf) is measured from.  [default: the best of all at each scale]",
        ),
    ] = None,
    holdout: Annotated[
        int, typer.Option(metavar="X", help="Largest scales to leave out and predict, as a check.")
    ] = 1,
    filter: Annotated[
        float, typer.Option(metavar="X", help="E leaves out losses above this many times the scale's best.")
    ] = 1.35,
    coordinates: Annotated[
        str | None,
        typer.Option(
            metavar="sp|mup", help="Coordinates of the learning rates: sp or mup; shows drift in both."
        ),
    ] = None,
    resamples: Annotated[int, typer.Option(metavar="X", help="Bootstrap draws.")] = 1000,
    limit: Annotated[
        int, typer.Option(min=1, metavar="X", help="Most variants to print; files hold all of them.")
    ] = 20,
    json: Annotated[
        Path | None, typer.Option(metavar="OUT", help="Write the fit as JSON (schema version 1).")
    ] = None,
) -> None:
    """Fit the transfer of a hyperparameter across scales from a table of finished runs.

    Prints, for every variant, whether the optimum transfers, the predicted optimum at the targets, how well
    the law predicted the largest scale, and the metrics. A table too thin for a law gets what can be said.

    Example: hptransfer fit runs.csv --scale width --hp lr --loss val_loss --target 4096 --json fit.json
    """
    check_outputs([json], files)
    landscape = read(
        files, scale=scale, hp=hp, loss=loss, variant=by, seed=seed, where=where, profile=profile
    )
    result = quantify(
        landscape,
        targets=target or (),
        level=level,
        tolerance=tolerance,
        resamples=resamples,
        family=family,
        reference=reference,
        holdout=holdout,
        filter=filter,
        coordinates=coordinates,
    )
    for note in landscape.notes:
        typer.echo(f"note: {note}", err=True)
    from hptransfer.report.tables import print_summary

    print_summary(result, limit=limit)
    if json is not None:
        result.to_json(json)
        typer.echo(f"wrote {json}")
