"""`hptransfer coord-check`: do activations keep their size as the model grows under a rule?"""

from __future__ import annotations

import io
import warnings
from pathlib import Path
from typing import Annotated, Any

import typer

from hptransfer.cli.model_sizes import ModelSizes, comma_separated
from hptransfer.cli.options import argument, option
from hptransfer.cli.outputs import check_outputs, write_outputs
from hptransfer.errors import DynamicsError, MissingExtraError, one_of
from hptransfer.files import write_whole

FAILED = 1  # exit code where a layer grows or shrinks


def coord_check(
    rule: Annotated[str, argument("RULE", "A rule of the catalogue (sp, sp+embd, mup, ...) or a YAML file.")],
    widths: Annotated[str, option("N,N", "Widths, comma-separated.")] = "64,128,256,512",
    base_width: Annotated[
        int | None,
        option("N", "Width at which every rule is the same.  [default: the smallest width]", min=1),
    ] = None,
    model: Annotated[
        str, option("NAME", "Model: decoder (the reference decoder), gpt2, llama, ...")
    ] = "decoder",
    depth: Annotated[int, option("N", "Number of blocks.", min=1)] = 2,
    heads: Annotated[int, option("N", "Number of attention heads, at every width.", min=1)] = 4,
    context: Annotated[int, option("N", "Context in tokens (bytes of text).", min=2)] = 16,
    batch_size: Annotated[int, option("N", "Number of sequences in the batch.", min=1)] = 4,
    steps: Annotated[int, option("N", "Number of optimizer steps.")] = 10,
    seeds: Annotated[int, option("N", "Number of initialisations at each width.")] = 3,
    lr: Annotated[float, option("X", "Learning rate at the base width.")] = 2.0**-7,
    optimizer: Annotated[str, option("NAME", "Optimizer: adamw, adam or sgd.")] = "adamw",
    coordinates: Annotated[
        str | None, option("sp|mup", "Coordinates of the learning rate.  [default: mup; sp for the rule sp]")
    ] = None,
    level: Annotated[float, option("X", "Level of the confidence intervals.")] = 0.95,
    threshold: Annotated[str, option("LOW,HIGH", "Range of slopes that count as flat.")] = "-0.25,0.1",
    json: Annotated[Path | None, option("OUT", "Write the verdicts and slopes as JSON.")] = None,
    plot: Annotated[
        Path | None, option("OUT", "Write the figure as PNG, SVG or PDF, according to the file's ending.")
    ] = None,
) -> None:
    """Check that activations keep their size as models grow.

    It trains a small model for a few steps at each width and fits, layer by layer, how the change of its
    output scales with width. Exit code 0: no layer grows or shrinks; 1: some layer does; 2: bad input.

    Example: hptransfer coord-check mup --widths 64,128,256,512 --plot check.png
    """
    check_outputs([json, plot])
    if plot is not None and plot.suffix.lower() not in (".png", ".svg", ".pdf"):
        raise DynamicsError(f"--plot must end in .png, .svg or .pdf, but got {str(plot)!r}")
    every_width = comma_separated(widths, "--widths", int, DynamicsError)
    flat = comma_separated(threshold, "--threshold", float, DynamicsError)
    if len(flat) != 2:
        raise DynamicsError(f"--threshold must be two numbers, low and high, but got {threshold!r}")
    if coordinates is not None:
        one_of(coordinates, ("sp", "mup"), "--coordinates", DynamicsError)
    try:
        import torch
    except ImportError:
        raise MissingExtraError("lm", "coord-check") from None
    from hptransfer.cli.coord_models import VOCAB, subject
    from hptransfer.dynamics.coord_check import coord_check as check

    torch.set_num_threads(1)  # the models are too small for more to pay
    chosen = subject(model, ModelSizes(depth, heads, context, VOCAB), batch_size)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # transformers' advice on its kernels
        result = check(
            chosen.build,
            every_width,
            rule,
            chosen.batches,
            steps=steps,
            lr=lr,
            optimizer=optimizer,
            base_width=base_width,
            seeds=seeds,
            level=level,
            threshold=(flat[0], flat[1]),
            coordinates=coordinates,
            **chosen.scaling,
        )

    def save_figure(path: Path) -> None:
        figure: Any = result.plot()[0].figure
        drawn = io.BytesIO()
        figure.savefig(drawn, dpi=150, format=path.suffix.removeprefix(".") or None)
        write_whole(path, drawn.getvalue())

    written = write_outputs((json, result.to_json), (plot, save_figure))
    typer.echo(result.summary())
    for path in written:
        typer.echo(f"wrote {path}")
    if not result.passed:
        raise typer.Exit(FAILED)
