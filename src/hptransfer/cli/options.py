"""The options of `hptransfer fit`: how a column, a setting or an output is named on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def option(metavar: str, text: str, *flags: str, **limits: Any) -> Any:
    """An option that shows this placeholder and help; named after its parameter, unless flags are given."""
    return typer.Option(*flags, metavar=metavar, help=text, **limits)


def argument(metavar: str, text: str) -> Any:
    """A positional argument that shows this placeholder and help."""
    return typer.Argument(metavar=metavar, help=text)


Files = Annotated[
    list[Path], argument("FILE", "CSV, TSV, JSON, JSONL or Parquet; several are read as one table.")
]

Scale = Annotated[str, option("COLUMN", "Column of the scale: width, params, tokens, ...")]
Hp = Annotated[str, option("COLUMN", "Column of the hyperparameter: lr, weight_decay, ...")]
Loss = Annotated[
    str, option("COLUMN", "Column of the loss; blank, nan, inf or diverged means that the run diverged.")
]
By = Annotated[
    str, option("COLUMN", "Column of the variant, or several, comma-separated; `file` takes the file name.")
]
Seed = Annotated[str, option("COLUMN", "Column of the seed.")]
Where = Annotated[
    str | None, option("EXPRESSION", 'Keep only these rows: "epoch == 5 and variant in [sp, mup]".')
]
Profile = Annotated[
    str | None, option("COLUMN", "Column of a second hyperparameter; its value with the lowest loss is kept.")
]

Target = Annotated[list[float] | None, option("N", "Scale to predict the optimum at; may be repeated.")]
Level = Annotated[float, option("X", "Level of the credible intervals.")]
Tolerance = Annotated[float, option("X", "Regret that the verdict allows, in nats.")]
Family = Annotated[
    str | None, option("LAW", "Law of the optimum: power, offset or const.  [default: by AICc]")
]
Reference = Annotated[
    str | None,
    option("VARIANT", "Variant that R(inf) is measured from.  [default: the best of all at each scale]"),
]
Holdout = Annotated[int, option("K", "Number of largest scales to leave out and predict, as a check.")]
Filter = Annotated[
    float, option("X", "Losses above this many times the lowest of their scale do not enter E.")
]
Coordinates = Annotated[
    str | None, option("sp|mup", "Coordinates of the learning rates; the drift is then shown in both.")
]
Optimizer = Annotated[
    str | None,
    option("NAME", "Optimizer that trained the runs; for sgd both coordinates are one.  [default: adamw]"),
]
Draws = Annotated[int, option("B", "Number of posterior draws.")]

Limit = Annotated[int, option("N", "Number of variants to print; files hold all of them.", min=1)]
JsonOut = Annotated[Path | None, option("OUT", "Write the fit as JSON (schema version 1).")]
HtmlOut = Annotated[Path | None, option("OUT", "Write the report as one self-contained page.")]
