"""`hptransfer table`: what every tensor of a model gets under a rule, and where two rules differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, cast, get_args

import typer
from pydantic import ValidationError

from hptransfer.cli.table_output import Block, print_blocks, print_differences
from hptransfer.errors import MissingExtraError, RuleError
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.parametrization.custom import as_rule
from hptransfer.parametrization.optimizers import Family
from hptransfer.parametrization.rule import Rule
from hptransfer.parametrization.rule_arithmetic import attention_scale, in_coordinates
from hptransfer.parametrization.settings_table import TensorSettings
from hptransfer.parametrization.tensor_settings import width_settings
from hptransfer.runs.config import ModelConfig
from hptransfer.runs.decoder_tensors import tensor_layout

REFERENCE = "reference"
FORMATS = ("text", "csv", "markdown")


@dataclass(frozen=True)
class Shape:
    """Sizes of the model that stay when width grows."""

    model: str  # `reference` or a Hugging Face family
    depth: int
    heads: int
    vocab: int
    context: int


def table(
    rule: Annotated[
        str,
        typer.Argument(
            metavar="RULE", help="Of the catalogue (sp, mup, mup-tp5-table8, ...), or a YAML file."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(
            metavar="NAME", help="reference, or a Hugging Face family: gpt2, llama, mixtral, t5, ..."
        ),
    ] = REFERENCE,
    widths: Annotated[str, typer.Option(metavar="N,N", help="Widths, comma-separated.")] = "64,256",
    base_width: Annotated[
        int | None,
        typer.Option(metavar="N", help="Where every rule is the same.  [default: the smallest width]"),
    ] = None,
    diff: Annotated[
        str | None, typer.Option(metavar="OTHER", help="Show only where this other rule differs.")
    ] = None,
    output: Annotated[
        str, typer.Option("--format", metavar="|".join(FORMATS), help="Of the output.")
    ] = "text",
    optimizer: Annotated[str, typer.Option(metavar="adam|sgd", help="Family of optimizers.")] = "adam",
    depth: Annotated[int, typer.Option(metavar="N", help="Blocks.")] = 2,
    heads: Annotated[int, typer.Option(metavar="N", help="Attention heads, at every width.")] = 4,
    vocab: Annotated[int, typer.Option(metavar="N", help="Vocabulary.")] = 512,
    context: Annotated[int, typer.Option(metavar="N", help="Context, tokens.")] = 64,
    coordinates: Annotated[
        str,
        typer.Option(metavar="sp|mup", help="sp: eta is the hidden LR; mup: the hidden LR is eta / m."),
    ] = "sp",
) -> None:
    """Print what every tensor gets under a rule: role, init std, multiplier, LR, weight decay, eps.

    Examples: hptransfer table mup --widths 64,256; hptransfer table mup --diff mup-tp5-table8;
    hptransfer table completep --model llama --format markdown
    """
    read_in = cast(Coordinates, _one_of(coordinates, get_args(Coordinates), "--coordinates"))
    family = cast(Family, _one_of(optimizer, get_args(Family), "--optimizer"))
    _one_of(output, FORMATS, "--format")
    rules = [in_coordinates(as_rule(name, family), read_in) for name in (rule, diff) if name is not None]
    sizes = _widths(widths)
    base = min(sizes) if base_width is None else base_width
    shape = Shape(model, depth, heads, vocab, context)
    blocks = [[_block(chosen, width, base, shape) for width in sizes] for chosen in rules]
    if diff is None:
        print_blocks(blocks[0], output)
    else:
        print_differences(rules, blocks, output)


def _block(rule: Rule, width: int, base: int, shape: Shape) -> Block:
    """Everything one rule says at one width."""
    if shape.model != REFERENCE:
        return _family(rule, width, base, shape)
    here, at_base = _config(width, shape), _config(base, shape)
    rows = tuple(
        TensorSettings.of(t.name, t.role, t.shape, b.base_std, width_settings(rule, t.role, width / base))
        for t, b in zip(tensor_layout(here), tensor_layout(at_base), strict=True)
    )
    return Block(rule, width, base, attention_scale(rule, here.d_head, at_base.d_head), rows)


def _family(rule: Rule, width: int, base: int, shape: Shape) -> Block:
    """The same for a Hugging Face model, whose init std are measured at the base width, seed 0."""
    try:
        import torch

        from hptransfer.parametrization.hf_models import build
        from hptransfer.parametrization.parametrize import parametrize
    except ImportError:
        raise MissingExtraError("lm", f"--model {shape.model}") from None
    sizes: dict[str, Any] = {
        "depth": shape.depth,
        "heads": shape.heads,
        "vocab": shape.vocab,
        "context": shape.context,
    }
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        at_base = build(shape.model, base, **sizes)
    with torch.device("meta"):
        here = build(shape.model, width, **sizes)
        other = build(shape.model, 2 * base, **sizes) if width == base else None
    found = parametrize(here, base=at_base, rule=rule, optimizer=rule.optimizer, other=other, narrower=True)
    attention = found.attention[0].value if found.attention else None
    return Block(rule, width, base, attention, tuple(found.table()), tuple(found.tied_factors(here)))


def _config(width: int, shape: Shape) -> ModelConfig:
    sizes = {"depth": shape.depth, "heads": shape.heads, "vocab": shape.vocab, "context": shape.context}
    try:
        return ModelConfig.model_validate({"width": width, **sizes})
    except ValidationError as error:
        found = error.errors()[0]
        place = ".".join(map(str, found["loc"])) or "model"
        raise RuleError(f"{place}: {found['msg'].removeprefix('Value error, ')}") from None


def _widths(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise RuleError(f"--widths must be whole numbers, comma-separated, but got {text!r}") from None


def _one_of(text: str, valid: tuple[str, ...], flag: str) -> str:
    if text not in valid:
        raise RuleError(f"{flag} must be one of {', '.join(valid)}, but got {text!r}")
    return text
