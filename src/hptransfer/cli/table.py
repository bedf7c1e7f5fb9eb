"""`hptransfer table`: what every tensor of a model gets under a rule, and where two rules differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Annotated, cast, get_args

from hptransfer.cli.model_sizes import ModelSizes, comma_separated
from hptransfer.cli.options import argument, option
from hptransfer.cli.table_output import Block, print_blocks, print_differences
from hptransfer.errors import MissingExtraError, RuleError, one_of
from hptransfer.parametrization.constants import NONE, tensor_constants
from hptransfer.parametrization.coordinates import Coordinates
from hptransfer.parametrization.custom import as_rule
from hptransfer.parametrization.optimizers import Family
from hptransfer.parametrization.rule import Rule
from hptransfer.parametrization.rule_arithmetic import attention_scale, check_depth, in_coordinates
from hptransfer.parametrization.tensor_settings import Growth, TensorSettings, decays, tensor_factors

REFERENCE = "reference"
FORMATS = ("text", "csv", "markdown")


def table(
    rule: Annotated[
        str, argument("RULE", "A rule of the catalogue (sp, mup, mup-tp5-table8, ...), or a YAML file.")
    ],
    model: Annotated[
        str, option("NAME", "Model: reference, or a Hugging Face family such as gpt2, llama, mixtral, t5.")
    ] = REFERENCE,
    widths: Annotated[str, option("N,N", "Widths, comma-separated.")] = "64,256",
    base_width: Annotated[
        int | None, option("N", "Width at which every rule is the same.  [default: the smallest width]")
    ] = None,
    diff: Annotated[str | None, option("OTHER", "Show only where this other rule differs.")] = None,
    output: Annotated[str, option("|".join(FORMATS), "Format of the output.", "--format")] = "text",
    optimizer: Annotated[str, option("adam|sgd", "Family of the optimizer.")] = "adam",
    depth: Annotated[int, option("N", "Number of blocks.")] = 2,
    heads: Annotated[int, option("N", "Number of attention heads, at every width.")] = 4,
    vocab: Annotated[int, option("N", "Size of the vocabulary.")] = 512,
    context: Annotated[int, option("N", "Context in tokens.")] = 64,
    coordinates: Annotated[
        str | None,
        option(
            "sp|mup",
            "Coordinates: with sp the hidden learning rate is eta, with mup eta / m.  "
            "[default: the rule's own]",
        ),
    ] = None,
    base_depth: Annotated[
        int | None, option("N", "Number of blocks at the base width.  [default: --depth]", min=1)
    ] = None,
    factors: Annotated[
        str, option("KEY=X,...", "Constants on learning rates, by role or pattern: embedding=10,*.wq=0.5.")
    ] = "",
) -> None:
    """Print what every tensor gets under a rule.

    That is its role, init std, multiplier, learning rate, weight decay and eps.

    Examples: hptransfer table mup --widths 64,256; hptransfer table mup --diff mup-tp5-table8;
    hptransfer table completep --model llama --format markdown
    """
    if coordinates is not None:
        one_of(coordinates, get_args(Coordinates), "--coordinates", RuleError)
    family = cast(Family, one_of(optimizer, get_args(Family), "--optimizer", RuleError))
    one_of(output, FORMATS, "--format", RuleError)
    given = [as_rule(name, family) for name in (rule, diff) if name is not None]
    # Both rules of a difference in one coordinate: the first one's, as in Python.
    read_in = cast(Coordinates, coordinates or given[0].coordinates)
    rules = [in_coordinates(each, read_in) for each in given]
    every_width = comma_separated(widths, "--widths", int, RuleError)
    base = min(every_width) if base_width is None else base_width
    sizes = ModelSizes(depth, heads, context, vocab)
    at_base = Base(base, depth if base_depth is None else base_depth)
    constants = _constants(factors)
    blocks = [
        [_with_constants(_block(chosen, model, sizes, width, at_base), constants) for width in every_width]
        for chosen in rules
    ]
    if diff is None:
        print_blocks(blocks[0], output)
    else:
        print_differences(rules, blocks, output)


@dataclass(frozen=True)
class Base:
    """Where every rule is the same."""

    width: int
    depth: int  # blocks


def _constants(text: str) -> dict[str, float]:
    found = {}
    for part in filter(None, text.split(",")):
        key, equals, value = part.partition("=")
        try:
            found[key.strip()] = float(value)
        except ValueError:
            raise RuleError(f"--factors must be KEY=NUMBER, comma-separated, but got {part!r}") from None
        if not equals:
            raise RuleError(f"--factors must be KEY=NUMBER, comma-separated, but got {part!r}")
    return found


def _with_constants(block: Block, constants: Mapping[str, float]) -> Block:
    by_name = tensor_constants({row.tensor: (row.role, ()) for row in block.rows}, constants)
    rows = tuple(replace(row, lr=row.lr * by_name.get(row.tensor, NONE).lr) for row in block.rows)
    return replace(block, rows=rows)


def _block(rule: Rule, model: str, sizes: ModelSizes, width: int, base: Base) -> Block:
    """Everything one rule says at one width."""
    if model != REFERENCE:
        return _hugging_face_block(rule, model, sizes, width, base)
    from hptransfer.runs.decoder_tensors import tensor_layout

    check_depth(rule, sizes.depth / base.depth)
    here, at_base = sizes.decoder_config(width), sizes.decoder_config(base.width)
    rows = []
    for t, b in zip(tensor_layout(here), tensor_layout(at_base, base.depth), strict=True):
        depth_ratio = sizes.depth / base.depth if t.group != t.role else 1.0
        m = width / base.width
        growth = Growth(t.role, m, m, depth_ratio, decays=decays(t.role, t.shape))
        rows.append(TensorSettings.of(t.name, growth, t.shape, b.base_std, tensor_factors(rule, growth)))
    return Block(rule, width, base.width, attention_scale(rule, here.d_head, at_base.d_head), tuple(rows))


def _hugging_face_block(rule: Rule, model: str, sizes: ModelSizes, width: int, base: Base) -> Block:
    """The same for a Hugging Face model, whose init std are measured at the base width, seed 0."""
    try:
        import torch

        from hptransfer.parametrization.hf_models import build
        from hptransfer.parametrization.parametrize import parametrize
    except ImportError:
        raise MissingExtraError("lm", f"--model {model}") from None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        at_base = build(model, base.width, **replace(sizes, depth=base.depth).as_arguments())
    with torch.device("meta"):
        here = build(model, width, **sizes.as_arguments())
        other = build(model, 2 * base.width, **sizes.as_arguments()) if width == base.width else None
    found = parametrize(here, base=at_base, rule=rule, optimizer=rule.optimizer, other=other, narrower=True)
    attention = found.attention[0].value if found.attention else None
    return Block(rule, width, base.width, attention, tuple(found.table()), tuple(found.tied_factors(here)))
