"""The options of `hptransfer fit`: how a column, a setting or an output is named on the command line."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer


def _option(metavar: str, text: str, **limits: Any) -> Any:
    return typer.Option(metavar=metavar, help=text, **limits)


Files = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", help="CSV, TSV, JSON, JSONL or Parquet; several are read as one table."),
]

Scale = Annotated[str, _option("COLUMN", "Column of the scale: width, params, tokens, ...")]
Hp = Annotated[str, _option("COLUMN", "Column of the hyperparameter: lr, weight_decay, ...")]
Loss = Annotated[
    str, _option("COLUMN", "Column of the loss; blank, nan, inf or diverged means that the run diverged.")
]
By = Annotated[
    str, _option("COLUMN", "Column of the variant, or several, comma-separated; `file` takes the file name.")
]
Seed = Annotated[str, _option("COLUMN", "Column of the seed.")]
Where = Annotated[
    str | None, _option("EXPRESSION", 'Keep only these rows: "epoch == 5 and variant in [sp, mup]".')
]
Profile = Annotated[
    str | None,
    _option("COLUMN", "Column of a second hyperparameter; its value with the lowest loss is kept."),
]

Target = Annotated[list[float] | None, _option("N", "Scale to predict the optimum at; may be repeated.")]
Level = Annotated[float, _option("X", "Level of the credible intervals.")]
Tolerance = Annotated[float, _option("X", "Regret that the verdict allows, in nats.")]
Family = Annotated[
    str | None, _option("LAW", "Law of the optimum: power, offset or const.  [default: by AICc]")
]
Reference = Annotated[
    str | None,
    _option("VARIANT", "Variant that R(inf) is measured from.  [default: the best of all at each scale]"),
]
Holdout = Annotated[int, _option("K", "Number of largest scales to leave out and predict, as a check.")]
Filter = Annotated[
    float, _option("X", "Losses above this many times the lowest of their scale do not enter E.")
]
Coordinates = Annotated[
    str | None, _option("sp|mup", "Coordinates of the learning rates; the drift is then shown in both.")
]
Optimizer = Annotated[
    str | None,
    _option("NAME", "Optimizer that trained the runs; for sgd both coordinates are one.  [default: adamw]"),
]
Draws = Annotated[int, _option("B", "Number of posterior draws.")]

Limit = Annotated[int, _option("N", "Number of variants to print; files hold all of them.", min=1)]
JsonOut = Annotated[Path | None, _option("OUT", "Write the fit as JSON (schema version 1).")]
HtmlOut = Annotated[Path | None, _option("OUT", "Write the report as one self-contained page.")]
