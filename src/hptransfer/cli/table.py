"""`hptransfer table`: what every tensor of the reference decoder gets under a rule."""

from __future__ import annotations

from typing import Annotated, cast, get_args

import typer
from pydantic import ValidationError
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from hptransfer.errors import RuleError
from hptransfer.lm.config import ModelConfig
from hptransfer.lm.layout import tensor_layout
from hptransfer.parametrization.rules import Coordinates, Rule, attention_scale, get_rule, in_coordinates
from hptransfer.parametrization.table import TensorSettings, tensor_settings

_NARROWEST = 100  # columns that a row needs; a narrower terminal wraps it rather than cutting numbers


def table(
    rule: Annotated[str, typer.Argument(metavar="RULE", help="Of the catalogue: sp, sp+embd, mup, ...")],
    widths: Annotated[str, typer.Option(metavar="N,N", help="Widths, comma-separated.")] = "64,256",
    base_width: Annotated[
        int | None,
        typer.Option(metavar="N", help="Where every rule is the same.  [default: the smallest width]"),
    ] = None,
    depth: Annotated[int, typer.Option(metavar="N", help="Blocks.")] = 2,
    heads: Annotated[int, typer.Option(metavar="N", help="Attention heads, at every width.")] = 4,
    vocab: Annotated[int, typer.Option(metavar="N", help="Vocabulary.")] = 512,
    context: Annotated[int, typer.Option(metavar="N", help="Context, tokens.")] = 64,
    coordinates: Annotated[
        str,
        typer.Option(metavar="sp|mup", help="sp: eta is the hidden LR; mup: the hidden LR is eta / m."),
    ] = "sp",
) -> None:
    """Print what every tensor of the decoder gets under a rule.

    Role, init std, multiplier, LR, weight decay and eps, at each width.

    Example: hptransfer table mup --widths 64,256
    """
    chosen = in_coordinates(get_rule(rule), _coordinates(coordinates))
    sizes = _widths(widths)
    base = min(sizes) if base_width is None else base_width
    shape = {"depth": depth, "heads": heads, "vocab": vocab, "context": context}
    console = Console(width=max(Console().width, _NARROWEST))
    at_base = _model(base, shape)
    for width in sizes:
        model = _model(width, shape)
        rows = tensor_settings(chosen, tensor_layout(model), tensor_layout(at_base), width / base)
        console.print(_head(chosen, model, at_base))
        console.print(_rendered(rows))
    console.print(
        "lr in units of eta, weight decay of lambda, eps of its value at the base; init std `ones`: a gain.",
    )


def _head(rule: Rule, model: ModelConfig, base: ModelConfig) -> str:
    scale = attention_scale(rule, model.head_dim, base.head_dim)
    return (
        f"{rule.name} at width {model.width} (m = {model.width / base.width:g}, base {base.width}), "
        f"{rule.coordinates} coordinates; attention logits x {scale:.4g}"
    )


def _rendered(rows: list[TensorSettings]) -> Table:
    out = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for column in ("tensor", "role", "shape"):
        out.add_column(column, no_wrap=True)
    for column in ("init std", "mult", "lr", "wd", "eps"):
        out.add_column(column, justify="right", no_wrap=True)
    for row in rows:
        numbers = (row.multiplier, row.lr, row.weight_decay, row.eps)
        out.add_row(
            row.tensor,
            row.role,
            "x".join(map(str, row.shape)),
            f"{row.init_std:.4g}" if row.init_std else "ones",
            *(f"{number:.4g}" for number in numbers),
        )
    return out


def _model(width: int, shape: dict[str, int]) -> ModelConfig:
    try:
        return ModelConfig.model_validate({"width": width, **shape})
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(map(str, found["loc"])) or "model"
        raise RuleError(f"{place}: {found['msg'].removeprefix('Value error, ')}") from None


def _widths(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise RuleError(f"--widths must be whole numbers, comma-separated, but got {text!r}") from None


def _coordinates(text: str) -> Coordinates:
    if text not in get_args(Coordinates):
        raise RuleError(f"--coordinates must be one of {', '.join(get_args(Coordinates))}, but got {text!r}")
    return cast(Coordinates, text)
