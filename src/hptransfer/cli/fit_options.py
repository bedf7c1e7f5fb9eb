"""Options of `hptransfer fit`, one type each."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hptransfer.cli.options import argument, option

# What is read, and which of its columns
Sources = Annotated[
    list[str],
    argument(
        "SOURCE...",
        "A table in a file (CSV, TSV, JSON, JSONL, Markdown, XLSX, Parquet, Feather, SQLite, a log; "
        "perhaps compressed), a folder of runs or of a study, `-` for standard input, or a tracker: "
        "wandb:ENTITY/PROJECT, mlflow:URI#EXPERIMENT, optuna:STORAGE#STUDY. Several are read as one table.",
    ),
]
Scale = Annotated[
    str | None,
    option(
        "COLUMN",
        "Column of the scale: width, params, tokens, ...; or several, comma-separated.  "
        "[default: width, or what is like it]",
    ),
]
Hp = Annotated[
    str | None,
    option(
        "COLUMN",
        "Column of the hyperparameter: lr, weight_decay, ...; two or three, comma-separated, are fitted "
        "together.  [default: lr, or what is like it]",
    ),
]
Combination = Annotated[
    list[str] | None,
    option(
        "PRODUCT",
        "With several hyperparameters: a product of powers whose law is wanted too, 'lr/sqrt(batch_size)'; "
        "may be repeated.",
    ),
]
Loss = Annotated[
    str | None,
    option(
        "COLUMN",
        "Column of the loss; blank, nan, inf or diverged means that the run diverged.  "
        "[default: loss, or what is like it]",
    ),
]
By = Annotated[
    str | None,
    option(
        "COLUMN",
        "Column of the variant, or several, comma-separated; `file` takes the file name.  "
        "[default: variant, or what is like it]",
    ),
]
Seed = Annotated[str | None, option("COLUMN", "Column of the seed.  [default: seed, or what is like it]")]
Where = Annotated[
    str | None, option("EXPRESSION", 'Keep only these rows: "epoch == 5 and variant in [sp, mup]".')
]
Profile = Annotated[
    str | None,
    option("COLUMN", "Column of a second hyperparameter; its value with the lowest loss is kept."),
]
# How it is read
HpScale = Annotated[
    str | None,
    option(
        "SCALE",
        "What the hyperparameter's numbers are: linear, log2, log10 or ln.  [default: by its name]",
    ),
]
Take = Annotated[
    str | None,
    option("WHAT", "Loss of a run with a logged curve: final, best or mean:K, of its last K points."),
]
Extract = Annotated[
    str | None,
    option(
        "REGEX",
        "Find the runs in a printed log: 'd=(?P<width>\\d+) lr=(?P<lr>\\S+) loss=(?P<loss>\\S+)'.",
    ),
]
ExtractFrom = Annotated[
    tuple[str, str] | None,
    option("COLUMN TEMPLATE", "Find columns in the texts of another: Name '...lr{lr}...d{width}'."),
]
Query = Annotated[
    str | None,
    option("TEXT", "Table of a database, or SELECT ...; sheet of a workbook; filter of a tracker."),
]
Decimal = Annotated[
    str | None, option("CHARACTER", "Decimal separator, . or ,  [default: as the numbers show]")
]
# What is asked
Target = Annotated[
    list[str] | None,
    option(
        "N",
        "Scale to predict the optimum at, 4096 or 4k; of several axes params=7e9,tokens=1.4e12 or "
        "params=7e9,tokens=200x. May be repeated.",
    ),
]
AlongPath = Annotated[
    str | None,
    option(
        "AXES",
        "Of several axes: a path to give exponents along too, params=1,tokens=1.  [default: none]",
    ),
]
Level = Annotated[float, option("X", "Level of the credible intervals.")]
# What the loss is
Metric = Annotated[
    str,
    option("METRIC", "What the loss column holds: nats, bits, perplexity, mse, error, accuracy, or a unit."),
]
Maximize = Annotated[bool, typer.Option("--maximize", help="A higher value of the loss column is better.")]
Tolerance = Annotated[
    float | None,
    option(
        "X",
        "Cost that counts as none, in the loss column's unit.  [default: 0.01 nats; 5% of the lowest mse "
        "at the largest scale, 2% of the lowest error]",
    ),
]
# How it is fitted
Family = Annotated[
    str | None,
    option(
        "LAW",
        "Law of the optimum: power, offset or const; refused with several axes.  [default: by AICc]",
    ),
]
Reference = Annotated[
    str | None,
    option("VARIANT", "Variant that R(inf) is measured from.  [default: the best of all at each scale]"),
]
Holdout = Annotated[
    int,
    option(
        "K",
        "Number of largest scales to leave out and predict, as a check; refused with several axes, where the "
        "largest of each and a corner are left out.",
    ),
]
LossFilter = Annotated[
    float, option("X", "Losses above this many times the lowest of their scale do not enter E.")
]
Coordinates = Annotated[
    str | None,
    option(
        "sp|mup",
        "Coordinates of the learning rates; the drift is then shown in both. No effect with several axes.",
    ),
]
Parametrization = Annotated[
    str | None,
    option(
        "RULE",
        "Parametrization of all runs, such as sp or mup: says whose learning rate the answer is about.  "
        "[default: the column `parametrization`, where there is one]",
    ),
]
Optimizer = Annotated[
    str | None,
    option("NAME", "Optimizer that trained the runs; for sgd both coordinates are one.  [default: adamw]"),
]
Suggest = Annotated[
    bool,
    typer.Option(
        "--suggest/--no-suggest",
        help="Look for runs that would settle what is not known: some seconds. Without effect with several "
        "axes or hyperparameters, where they are always looked for.",
    ),
]
Draws = Annotated[int, option("B", "Number of posterior draws.")]
# What is printed and written
Limit = Annotated[int, option("N", "Number of variants to print; files hold all of them.", min=1)]
JsonOut = Annotated[
    Path | None,
    option("OUT", "Write the fit as JSON (schema version 2); `-` prints it and nothing else."),
]
HtmlOut = Annotated[Path | None, option("OUT", "Write the report as one self-contained page.")]
