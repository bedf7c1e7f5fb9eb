"""`hptransfer fit`: quantify a table of runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hptransfer.cli.options import argument, option
from hptransfer.cli.outputs import check_outputs, write_outputs
from hptransfer.errors import SweepError
from hptransfer.fit import TransferFit, quantify
from hptransfer.sweep import read
from hptransfer.sweep.metric import warnings


def fit(
    sources: Annotated[
        list[str],
        argument(
            "SOURCE",
            "A table in a file (CSV, TSV, JSON, JSONL, Markdown, XLSX, Parquet, Feather, SQLite, a "
            "log; perhaps "
            "compressed), a folder of runs, `-` for standard input, or a tracker: wandb:ENTITY/PROJECT, "
            "mlflow:URI#EXPERIMENT, optuna:STORAGE#STUDY. Several are read as one table.",
        ),
    ],
    scale: Annotated[
        str | None,
        option(
            "COLUMN", "Column of the scale: width, params, tokens, ...  [default: width, or what is like it]"
        ),
    ] = None,
    hp: Annotated[
        str | None,
        option(
            "COLUMN", "Column of the hyperparameter: lr, weight_decay, ...  [default: lr, or what is like it]"
        ),
    ] = None,
    loss: Annotated[
        str | None,
        option(
            "COLUMN",
            "Column of the loss; blank, nan, inf or diverged means that the run diverged.  "
            "[default: loss, or what "
            "is like it]",
        ),
    ] = None,
    by: Annotated[
        str | None,
        option(
            "COLUMN",
            "Column of the variant, or several, comma-separated; `file` takes the file name.  "
            "[default: variant, "
            "or what is like it]",
        ),
    ] = None,
    seed: Annotated[
        str | None, option("COLUMN", "Column of the seed.  [default: seed, or what is like it]")
    ] = None,
    where: Annotated[
        str | None, option("EXPRESSION", 'Keep only these rows: "epoch == 5 and variant in [sp, mup]".')
    ] = None,
    profile: Annotated[
        str | None,
        option("COLUMN", "Column of a second hyperparameter; its value with the lowest loss is kept."),
    ] = None,
    hp_scale: Annotated[
        str | None,
        option(
            "SCALE",
            "What the hyperparameter's numbers are: linear, log2, log10 or ln.  [default: by its name]",
        ),
    ] = None,
    take: Annotated[
        str | None,
        option("WHAT", "Loss of a run with a logged curve: final, best or mean:K, of its last K points."),
    ] = None,
    extract: Annotated[
        str | None,
        option(
            "REGEX",
            "Find the runs in a printed log: 'd=(?P<width>\\d+) lr=(?P<lr>\\S+) loss=(?P<loss>\\S+)'.",
        ),
    ] = None,
    extract_from: Annotated[
        tuple[str, str] | None,
        option("COLUMN TEMPLATE", "Find columns in the texts of another: Name '...lr{lr}...d{width}'."),
    ] = None,
    query: Annotated[
        str | None,
        option("TEXT", "Table of a database, or SELECT ...; sheet of a workbook; filter of a tracker."),
    ] = None,
    decimal: Annotated[
        str | None, option("CHARACTER", "What stands before decimals, . or ,  [default: found out]")
    ] = None,
    target: Annotated[
        list[str] | None, option("N", "Scale to predict the optimum at, 4096 or 4k; may be repeated.")
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
    suggest: Annotated[
        bool,
        typer.Option(
            "--suggest/--no-suggest", help="Look for runs that would settle what is not known: some seconds."
        ),
    ] = True,
    draws: Annotated[int, option("B", "Number of posterior draws.")] = 1000,
    limit: Annotated[int, option("N", "Number of variants to print; files hold all of them.", min=1)] = 20,
    json: Annotated[
        Path | None,
        option("OUT", "Write the fit as JSON (schema version 2); `-` prints it and nothing else."),
    ] = None,
    html: Annotated[Path | None, option("OUT", "Write the report as one self-contained page.")] = None,
) -> None:
    """Measure how a hyperparameter transfers, from a table of runs.

    Prints, for every variant, whether the small models' value can be kept and whether its law can be
    followed, the value to use at the targets, what to run where that is not known, how well the law
    predicted the largest scale, and the metrics. Where a table does not hold enough runs for a
    law, the rest is printed. A table of one scale only ends with exit code 2.

    Columns are found by their names where these are usual ones, and the first line says which were taken.

    Example: hptransfer fit runs.csv --scale width --hp lr --loss val_loss --target 4096 --html report.html
    """
    alone = json == Path("-")  # then nothing but the JSON may stand on standard output
    check_outputs([None if alone else json, html], [Path(source) for source in sources if source != "-"])
    sweep = read(
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
        suggest=suggest,
    )
    written = write_outputs((None if alone else json, result.to_json), (html, result.to_html))
    for note in (*sweep.notes, *warnings(sweep)):
        typer.echo(f"note: {note}", err=True)
    _print(result, limit, alone)
    for path in written:
        typer.echo(f"wrote {path}", err=alone)
    if len(sweep.scales) == 1:
        raise SweepError(
            f"to say what transfers takes two {sweep.columns.scale}s or more, but the table holds one, "
            f"{sweep.scale[0]:g}; what it does say is above"
        )


def _print(result: TransferFit, limit: int, json_alone: bool) -> None:
    """The answer: which columns were taken, where that is not plain, and the summary; or the JSON alone."""
    if json_alone:
        typer.echo(result.to_json())
        return
    from hptransfer.report.terminal import print_summary  # rich is not needed for --help

    if result.sweep.taken:
        typer.echo(result.sweep.taken)
    print_summary(result, limit=limit)
